"""A planted world and its truth as two files."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import xarray as xr

from gridvit.config import PlantedConfig
from gridvit.data.simulate_files import refuse_existing, write
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted import Planted
from gridvit.physics.planted_data import dataset, graph
from gridvit.physics.planted_truth import PlantedTruth

LEADS = 6  # steps ahead of which the truth has maps


def simulate_planted(config: PlantedConfig, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """The field in ``path``, and what is true of it beside it: ``world.nc`` and ``world_truth.nc``.

    The truth holds the links, and of a linear world for every region and lead which cells act on it, by how much, and
    with what correlation as infinitely many steps would show it.

    Returns:
        The path of the field.

    Raises:
        InputError: one of the two exists, and the field or its truth would be lost; a name of another suffix.
    """
    path = Path(path)
    beside = truth_path(path)
    refuse_existing(path, overwrite)
    refuse_existing(beside, overwrite)
    if len(config.shape) != 2:
        raise InputError("rows and columns of a planted world", str(list(config.shape)), "give two numbers")
    world = world_of(config)
    field, truth = dataset(world, config.steps, config.seed), truth_of(world)
    write(truth, beside, overwrite)
    return write(field, path, overwrite)


def truth_path(path: Path) -> Path:
    """Where the truth of a file is."""
    return path.with_stem(f"{path.stem}_truth")


def world_of(config: PlantedConfig) -> Planted:
    """The world of a configuration."""
    grid = Grid.latlon(*config.shape)
    make = Planted.linear if config.form == "linear" else Planted.nonlinear
    world = make(grid, config.strength) if config.strength else make(grid)
    return replace(world, days=config.days)


def truth_of(world: Planted) -> xr.Dataset:
    """The links, and the maps where they are known."""
    links = graph(world)
    found = links.rename({str(name): f"link_{name}" for name in links.data_vars})
    if world.is_linear:
        found = found.merge(PlantedTruth(world).maps(range(1, LEADS + 1)))
    return found.assign_attrs(Conventions="CF-1.11", title="truth of a planted world")
