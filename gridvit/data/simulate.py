"""Solver trajectories as a CF dataset that says how it was made, so that its scheme can be built again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import reduce
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Complex, Float, Float32
from torch import Tensor

from gridvit.config import SimulateConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    TABLEAUX,
    LinearEquation,
    LinearScheme,
    Solver,
    equation_from,
    linear_scheme,
    random_field,
    stable_step,
)
from gridvit.rollout import Context, Step, repeat, rollout
from gridvit.stencil import Stencil, modes

CHUNK = 16  # trajectories in float64 at once
DEFAULT_SCHEMES = {True: "exact", False: "ssprk3"}  # linear equations, and all others
LIMIT = 1e-3  # how closely stable_step is known: a step at the limit needs no substeps
LARGEST = 4.0  # standard deviations: what |u| of a random state of unit variance stays below, nearly always
NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf")
SLACK = 1e-6  # growth of a wave in a step that is rounding, not instability


@dataclass(frozen=True)
class Substeps:
    """F^n of a linear scheme F: the step between stored frames; dt is n times the scheme's."""

    scheme: LinearScheme
    count: int

    @property
    def grid(self) -> Grid:
        """The scheme's."""
        return self.scheme.grid

    @property
    def dt(self) -> float:
        """Time from frame to frame."""
        return float(self.scheme.dt * self.count)

    @property
    def variables(self) -> tuple[str, ...]:
        """The scheme's."""
        return self.scheme.variables

    @property
    def name(self) -> str:
        """The scheme's."""
        return self.scheme.name

    def __call__(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch variable *space"]:
        """u(t + n dt)."""
        return repeat(self.scheme, state, self.count, context)

    def symbol(self, theta: Float[np.ndarray, "*modes d"]) -> Complex[np.ndarray, "*modes"]:
        """G(theta)^n."""
        return self.scheme.symbol(theta) ** self.count

    def stencil(self) -> Stencil:
        """S composed n times with itself."""
        return reduce(lambda a, b: a @ b, [self.scheme.stencil()] * self.count)


def simulate(config: SimulateConfig) -> xr.Dataset:
    """Trajectories u(t + dt) = F(u(t)) from random smooth states, float64 inside and float32 in the dataset.

    Returns:
        Variables of the equation along (sample, time, *axes), with the initial frame; the axes are periodic.
        Attributes name equation, parameters and scheme for ``generating_step`` and ``exact_step``.

    Raises:
        InputError: an unknown equation, parameter or scheme; a scheme that is unstable at this step (and how
            many substeps help); a solution that blew up.
    """
    if config.steps < 1 or config.samples < 1:
        raise InputError(
            "at least one step and one sample", f"{config.steps} and {config.samples}", "ask for more"
        )
    grid = Grid.regular(config.shape, config.lengths or None)
    config = _completed(config, grid)
    attrs = _attributes(config)
    step = _step(attrs, grid)
    _refuse_unstable(step)
    states = random_field(
        grid, config.samples, seed=config.seed, cutoff=config.cutoff, variables=len(step.variables)
    )
    return _dataset(_trajectories(step, states, config.steps), step, attrs)


def generating_step(attrs: Mapping[str, Any], grid: Grid, stride: int = 1) -> Step | None:
    """The step that made the frames of a dataset of these attributes, over ``stride`` frames.

    None where the attributes are not those of ``simulate``.
    """
    return _step(attrs, grid, stride) if "gridvit_equation" in attrs else None


def exact_step(attrs: Mapping[str, Any], grid: Grid, stride: int = 1) -> LinearScheme | None:
    """The exact propagator of the equation over ``stride`` frames; None where none is known."""
    if "gridvit_equation" not in attrs:
        return None
    equation = _equation(attrs)
    if not isinstance(equation, LinearEquation):
        return None
    return linear_scheme("exact", equation, grid, float(attrs["gridvit_dt"]) * stride)


def refuse_existing(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Raise InputError where ``write`` could not: the path is taken, or its suffix names no known format."""
    path = Path(path)
    if path.suffix not in (*NETCDF_SUFFIXES, ".zarr"):
        raise InputError(
            f"an output ending in {', '.join(NETCDF_SUFFIXES)} or .zarr", str(path), "choose one of them"
        )
    if path.exists() and not overwrite:
        raise InputError(
            "an output that does not exist yet", str(path), "choose another name or add --overwrite"
        )


def write(ds: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a NetCDF file or a Zarr store, by suffix; whole or not at all.

    It is written under a temporary name beside ``path`` and then renamed, so that an interrupted write leaves
    what was there. Folders on the way are made.

    Raises:
        InputError: ``path`` exists and ``overwrite`` is false, or another suffix.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path) as temporary:
        if path.suffix == ".zarr":
            ds.to_zarr(temporary, zarr_format=2, consolidated=True)
        else:
            ds.to_netcdf(temporary, engine="netcdf4")
        _replace(temporary, path)
    return path


def good_parameters(equation: str, ndim: int) -> dict[str, Any]:
    """Coefficients for cells of width one and frames one apart; none for an unknown equation."""
    velocity = [0.5, 0.25, 0.125][:ndim]
    good: dict[str, dict[str, Any]] = {
        "advection": {"velocity": velocity},
        "diffusion": {"diffusivity": 0.2},
        "advection-diffusion": {"velocity": velocity, "diffusivity": 0.05},
        "burgers": {"viscosity": 0.5},
    }
    return good.get(equation, {})


def _completed(config: SimulateConfig, grid: Grid) -> SimulateConfig:
    """Good parameters where none are given, the default scheme, and as few substeps as are stable."""
    config = replace(config, parameters=config.parameters or good_parameters(config.equation, grid.ndim))
    equation = equation_from(config.equation, config.parameters)
    linear = isinstance(equation, LinearEquation)
    config = replace(config, scheme=config.scheme or DEFAULT_SCHEMES[linear])
    if config.substeps or (not linear and config.scheme not in TABLEAUX):
        return config
    if config.scheme in TABLEAUX:
        speed = () if linear else (LARGEST,)
        limit = equation.stable_step(grid, *speed)
    else:
        limit = stable_step(config.scheme, equation, grid)
    return replace(config, substeps=max(1, ceil(config.dt / limit * (1 - LIMIT))) if limit else 1)


def _attributes(config: SimulateConfig) -> dict[str, Any]:
    """All that is needed to build the step again, and the whole configuration as JSON."""
    return {
        "Conventions": "CF-1.11",
        "title": f"{config.equation} solved by {config.scheme}",
        "history": "made by gridvit simulate",
        "gridvit_equation": config.equation,
        "gridvit_scheme": config.scheme,
        "gridvit_parameters": json.dumps(config.parameters),
        "gridvit_dt": float(config.dt),
        "gridvit_substeps": int(config.substeps),
        "gridvit_simulation": json.dumps(asdict(config)),
    }


def _equation(attrs: Mapping[str, Any]) -> Any:
    return equation_from(attrs["gridvit_equation"], json.loads(attrs["gridvit_parameters"]))


def _step(attrs: Mapping[str, Any], grid: Grid, stride: int = 1) -> Any:
    """A Runge-Kutta solver or a named linear scheme with its substeps, over ``stride`` frames."""
    name, equation = attrs["gridvit_scheme"], _equation(attrs)
    dt, substeps = float(attrs["gridvit_dt"]) * stride, int(attrs["gridvit_substeps"]) * stride
    if substeps < 1:
        raise InputError("at least one substep", str(substeps), "leave it out for one")
    if name in TABLEAUX or not isinstance(equation, LinearEquation):
        return Solver(equation, grid, dt, name, substeps)
    scheme = linear_scheme(name, equation, grid, dt / substeps)
    return Substeps(scheme, substeps) if substeps > 1 else scheme


def _refuse_unstable(step: Any) -> None:
    """Ask the waves of this grid first: the limit for all waves takes far longer, and is for the sentence."""
    scheme = step.scheme if isinstance(step, Substeps) else step
    if not isinstance(scheme, LinearScheme):
        return
    growth = float(np.abs(scheme.symbol(modes(scheme.grid.shape))).max())
    if growth > 1 + SLACK:
        limit = stable_step(scheme.name, scheme.equation, scheme.grid)
        advice = (
            f"take at least {int(np.ceil(step.dt / limit))} substeps" if limit else "choose another scheme"
        )
        raise InputError(
            f"a step of {scheme.name} up to {limit:.4g}, where it is stable", f"{scheme.dt:g}", advice
        )


def _trajectories(
    step: Step, states: Float[Tensor, "sample variable *space"], steps: int
) -> Float32[np.ndarray, "sample time variable *space"]:
    with torch.no_grad():
        chunks = [rollout(step, chunk, steps).float().numpy() for chunk in states.split(CHUNK)]
    frames = np.concatenate(chunks)
    if not np.isfinite(frames).all():
        raise InputError(
            "a solution that stays finite", "one that blew up", "take more substeps, or a smaller dt"
        )
    return frames


def _dataset(
    frames: Float32[np.ndarray, "sample time variable *space"], step: Step, attrs: dict[str, Any]
) -> xr.Dataset:
    dims = ("sample", "time", *step.grid.names)
    arrays = {
        name: (dims, frames[:, :, c], {"units": "1", "long_name": f"{name} of {attrs['gridvit_equation']}"})
        for c, name in enumerate(step.variables)
    }
    coords = {
        "sample": ("sample", np.arange(len(frames)), {"long_name": "trajectory"}),
        "time": (
            "time",
            step.dt * np.arange(frames.shape[1]),
            {"units": "1", "axis": "T", "long_name": "time"},
        ),
    }
    return xr.Dataset(arrays, {**coords, **step.grid.coords()}, attrs)


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``; what is left under it at the end is removed."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
    finally:
        _remove(temporary)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; a folder cannot take another's place, so the old one steps aside first."""
    if not path.is_dir():
        os.replace(new, path)
        return
    with _beside(path.with_stem(f"{path.stem}.old")) as old:
        os.replace(path, old)
        try:
            os.replace(new, path)
        except OSError:
            os.replace(old, path)
            raise
