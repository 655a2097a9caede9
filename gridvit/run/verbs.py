"""simulate, train, forecast, report: each verb a few lines over the rooms below."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import xarray as xr

from gridvit import checkpoint
from gridvit.config import DataConfig, RunConfig, SimulateConfig
from gridvit.data import simulate as simulation
from gridvit.data.choices import open_chosen
from gridvit.data.standard import standardise
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
    run: str | os.PathLike[str], path: str, steps: int, out: str, init: str = "last", overwrite: bool = False
) -> Path:
    """Forecast ``steps`` model steps from the ``first``, ``last`` or every (``all``) time of a file, or from a date."""
    target = Path(out)
    simulation.refuse_existing(target, overwrite)
    forecaster = Forecaster.load(run)
    with open_chosen(_choices(Path(run)), path) as ds:
        return simulation.write(_forecast(forecaster, ds, steps, init), target, overwrite)


def _choices(run: Path) -> DataConfig:
    """The choices about its data that the run was trained with; none for a model file alone."""
    return RunFolder(run).config.data if (run / "config.yaml").is_file() else DataConfig()


def _forecast(forecaster: Forecaster, ds: xr.Dataset, steps: int, init: str) -> xr.Dataset:
    stated = stated_periodicity(forecaster.grid)
    layout = standardise(ds, forecaster.step.variables, stated, members=True)[2]
    return forecaster(_initial(ds, layout.time, init), steps)


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
