"""simulate, check, train, forecast, report: each verb a few lines over the rooms below."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gridvit import checkpoint
from gridvit.config import RunConfig, SimulateConfig
from gridvit.data import simulate as simulation
from gridvit.data.fields import Fields, load
from gridvit.data.sources import open_dataset, standardise
from gridvit.errors import InputError
from gridvit.forecast import MODEL_FILE, Forecaster, stated_periodicity
from gridvit.report import build
from gridvit.run.folder import RunFolder, load_fields
from gridvit.training.metrics import read_metrics
from gridvit.training.train import fit, plan

log = logging.getLogger("gridvit")


def simulate(config: SimulateConfig, out: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Solver trajectories as a CF NetCDF or Zarr file."""
    path = Path(out)
    simulation.refuse_existing(path, overwrite)
    return simulation.write(simulation.simulate(config), path, overwrite)


def check(
    path: str, variables: tuple[str, ...] = (), periodic: dict[str, bool] | None = None
) -> dict[str, Any]:
    """What gridvit sees in a file: grid, periodicity, times, variables; raises InputError where it cannot use it."""
    fields = load(path, variables or None, periodic)
    grid = fields.grid
    return {
        "path": str(path),
        "usable": True,
        "grid": {
            "description": grid.describe(),
            "kind": "sphere" if grid.is_sphere else "plane",
            "axes": [_axis(fields, axis) for axis in range(grid.ndim)],
        },
        "time": {
            "steps": fields.n_times,
            "first": _shown(fields.times[0]),
            "last": _shown(fields.times[-1]),
            "step": str(fields.step),
        },
        "samples": fields.n_samples,
        "variables": [_variable(fields, c) for c in range(len(fields.variables))],
    }


def _shown(time: Any) -> str:
    """A date without what lies below its seconds."""
    return str(np.datetime_as_string(time, "s")) if isinstance(time, np.datetime64) else str(time)


def _axis(fields: Fields, axis: int) -> dict[str, Any]:
    grid = fields.grid
    n = grid.shape[axis]
    return {
        "name": grid.names[axis],
        "in_file": fields.layout.axes[axis].name,
        "cells": n,
        "from": float(grid.centers[axis][0]),
        "to": float(grid.centers[axis][-1]),
        "units": grid.units[axis],
        "periodic": grid.periodic[axis],
        "patches": [p for p in range(1, min(n, 16) + 1) if not grid.periodic[axis] or n % p == 0],
    }


def _variable(fields: Fields, channel: int) -> dict[str, Any]:
    values = fields.values[:, :, channel]
    areas, there = np.broadcast_to(fields.grid.areas, values.shape), ~np.isnan(values)
    mean = np.average(values[there].astype(np.float64), weights=areas[there])
    variable = fields.variables[channel]
    return {
        "name": variable.name,
        "units": variable.units,
        "long_name": variable.long_name,
        "missing": float(1 - there.mean()),
        "min": float(np.nanmin(values)),
        "area_mean": float(mean),
        "max": float(np.nanmax(values)),
    }


def train(config: RunConfig, data: xr.Dataset | None = None, overwrite: bool = False) -> Path:
    """Train, or go on with, the run that ``config`` describes; returns its folder.

    Args:
        config: the run; ``config.data.path`` names the data unless ``data`` is given.
        data: an open Dataset instead of a file.
        overwrite: lose what the folder holds.

    Raises:
        InputError: see ``RunFolder.refuse`` and ``gridvit.training.train.plan``; nothing has been written then.
    """
    folder = RunFolder(Path(config.root) / config.name)
    folder.refuse(config, overwrite)
    planned = plan(config, load_fields(config, data))
    folder.claim(config, overwrite)
    checkpoint.save(folder / MODEL_FILE, fit(planned, folder.path), planned.description)
    return folder.path


def forecast(
    run: str | os.PathLike[str], path: str, steps: int, out: str, init: str = "last", overwrite: bool = False
) -> Path:
    """Forecast ``steps`` model steps from the ``first``, ``last`` or every (``all``) time of a file, or from a date."""
    target = Path(out)
    simulation.refuse_existing(target, overwrite)
    forecaster = Forecaster.load(run)
    ds = open_dataset(path)
    layout = standardise(ds, forecaster.step.variables, stated_periodicity(forecaster.grid))[2]
    return simulation.write(forecaster(_initial(ds, layout.time, init), steps), target, overwrite)


def _initial(ds: xr.Dataset, time: str, init: str) -> xr.Dataset:
    chosen = {"first": slice(0, 1), "last": slice(-1, None), "all": slice(None)}.get(init)
    if chosen is not None:
        return ds.isel({time: chosen})
    try:
        wanted = float(init) if ds[time].dtype.kind in "fiu" else init
        found = ds.sel({time: wanted})
    except (KeyError, ValueError, TypeError):
        span = f"{ds[time].values[0]} to {ds[time].values[-1]}"
        raise InputError(
            f"--init first, last, all, or a time from {span}", repr(init), "correct it"
        ) from None
    return found if time in found.dims else found.expand_dims(time)


def report(run: str | os.PathLike[str]) -> Path:
    """Draw what ``evaluate`` and ``analyse`` have written as one HTML page."""
    folder = RunFolder(Path(run))
    config = (folder / "config.yaml").read_text() if (folder / "config.yaml").is_file() else ""
    if not config:
        raise InputError(
            "a run folder with a config.yaml", str(run), "give the folder that gridvit train wrote"
        )
    predicted, truth = folder.read("forecast.nc"), folder.read("truth.nc")
    return build(
        folder.read("scores.nc"),
        folder.read("analysis.nc"),
        read_metrics(folder / "metrics.csv") or None,
        predicted,
        config,
        folder / "report.html",
        truth=truth,
        title=f"gridvit: {folder.path.name}",
    )
