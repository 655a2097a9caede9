"""simulate, train, forecast, report: each verb a few lines over the rooms below."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from gridvit import checkpoint
from gridvit.axes import find_axes
from gridvit.config import DataConfig, RunConfig, SimulateConfig
from gridvit.data.choices import open_chosen
from gridvit.data.simulate_files import refuse_existing, write
from gridvit.data.simulate_portions import Progress, simulate_to
from gridvit.errors import InputError
from gridvit.forecast import MODEL_FILE, Forecaster
from gridvit.report import build
from gridvit.run.folder import RunFolder, load_fields
from gridvit.training.metrics import read_metrics
from gridvit.training.train import fit, plan

log = logging.getLogger("gridvit")


def simulate(
    config: SimulateConfig,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Solver trajectories as a CF NetCDF or Zarr file; the same call goes on where one was interrupted."""
    return simulate_to(config, out, overwrite, progress)


def located(data: DataConfig) -> DataConfig:
    """File names made absolute, so that a run finds its data from any folder; addresses and patterns alike."""

    def absolute(name: str) -> str:
        return os.path.abspath(os.path.expanduser(name)) if name and "://" not in name else name

    return replace(data, path=absolute(data.path), files=tuple(absolute(name) for name in data.files))


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
    config = replace(config, data=located(config.data))
    folder.refuse(config, overwrite)
    planned = plan(config, load_fields(config, data))
    folder.claim(config, overwrite)
    checkpoint.save(folder / MODEL_FILE, fit(planned, folder.path), planned.description)
    return folder.path


def forecast(
    run: str | os.PathLike[str],
    path: str,
    steps: int,
    out: str,
    init: str = "last",
    overwrite: bool = False,
    forcings: str = "",
) -> Path:
    """Forecast ``steps`` model steps from the ``first``, ``last`` or every (``all``) time of a file, or from a date.

    What the model is given (forcings, a boundary) is read from the file itself, or from the file ``forcings``.
    """
    target = Path(out)
    refuse_existing(target, overwrite)
    forecaster, data = Forecaster.load(run), _choices(Path(run))
    with open_chosen(data, path) as ds:
        start = _initial(ds, forecaster, init, data.stride)
        if not forcings:
            return write(forecaster(start, steps, ds), target, overwrite)
        with open_chosen(data, forcings) as future:
            return write(forecaster(start, steps, future), target, overwrite)


def _choices(run: Path) -> DataConfig:
    """The choices about its data that the run was trained with; none for a model file alone."""
    return RunFolder(run).config.data if (run / "config.yaml").is_file() else DataConfig()


def _initial(ds: xr.Dataset, forecaster: Forecaster, init: str, stride: int) -> xr.Dataset:
    """The chosen initial times, each with the history that the model needs, ``stride`` steps of the file apart."""
    history, inputs = forecaster.step.channels.history, forecaster.step.channels.inputs
    sources = [v.source for v in forecaster.description.variables if v.name in inputs]
    time = find_axes(ds[[name for name in sources if name in ds]]).time
    if time is None:
        raise InputError("a time axis", "none", "give a file with times along one dimension")
    if init == "all":
        return ds if history == 1 else ds.isel({time: slice(None, None, stride)})
    places = _places(ds, time, init, (history - 1) * stride)
    if len(places) > 1 and history > 1:
        raise InputError("one initial time of a model with history", f"{len(places)} in {init!r}", "name one")
    earlier = np.arange(1 - history, 1) * stride
    chosen = places[0] + earlier if history > 1 else places
    if chosen.min() < 0:
        raise InputError(
            f"{history} times up to the initial one, the model's history",
            f"{init!r}, which is time {int(places[0]) + 1} of the file",
            "start later",
        )
    return ds.isel({time: chosen})


def _places(ds: xr.Dataset, time: str, init: str, before: int) -> np.ndarray:
    count = ds.sizes[time]
    if init in ("first", "last"):
        return np.array([min(before, count - 1) if init == "first" else count - 1])
    along = xr.DataArray(np.arange(count), {time: ds[time]}, [time])
    try:
        found = along.sel({time: float(init) if ds[time].dtype.kind in "fiu" else init})
    except (KeyError, ValueError, TypeError):
        span = f"{ds[time].values[0]} to {ds[time].values[-1]}"
        raise InputError(
            f"--init first, last, all, or a time from {span}", repr(init), "correct it"
        ) from None
    return np.atleast_1d(found.values)


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
