"""simulate, train, forecast, report: each verb a few lines over the rooms below."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gridvit import checkpoint
from gridvit.axes import find_axes
from gridvit.cluster import refuse_wrong_world
from gridvit.config import MODEL_FILE, DataConfig, PlantedConfig, RunConfig, SimulateConfig, TrainingConfig
from gridvit.data.choices import open_chosen
from gridvit.data.matching import ends_among
from gridvit.data.measure import Measured
from gridvit.data.simulate_files import refuse_existing, write
from gridvit.data.simulate_planted import simulate_planted
from gridvit.data.simulate_portions import Progress, simulate_to
from gridvit.data.standard import narrowed
from gridvit.data.times import canonical
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.nn.own import Network
from gridvit.report import Findings, build
from gridvit.run.coastlines import coastlines
from gridvit.run.folder import STATISTICS, RunFolder, load_fields
from gridvit.run.pictures import Pictures
from gridvit.run.record import recorded, refuse_repeated, session, sessions
from gridvit.run.teacher import GIVEN, SOLVER, taught, teacher_of
from gridvit.training.metrics import read_metrics
from gridvit.training.plan import plan
from gridvit.training.train import fit
from gridvit.training.turns import Turn

log = logging.getLogger("gridvit")


def simulate(
    config: SimulateConfig | PlantedConfig,
    out: str | os.PathLike[str],
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Solver trajectories as a CF NetCDF or Zarr file; the same call goes on where one was interrupted.

    A planted world is written with its truth beside it; see ``gridvit.data.simulate_planted``.
    """
    if isinstance(config, PlantedConfig):
        return simulate_planted(config, out, overwrite)
    return simulate_to(config, out, overwrite, progress)


def absolute(name: str) -> str:
    """A file's or folder's name as it can be found from any folder; an address as it is."""
    return os.path.abspath(os.path.expanduser(name)) if name and "://" not in name else name


def rooted(training: TrainingConfig) -> TrainingConfig:
    """The runs that a training starts from and is taught by, by absolute names."""
    start, objective = training.start, training.objective
    named = objective.teacher not in (SOLVER, GIVEN)
    teacher = absolute(objective.teacher) if named else objective.teacher
    run = replace(start, run=absolute(start.run))
    return replace(training, start=run, objective=replace(objective, teacher=teacher))


def located(data: DataConfig) -> DataConfig:
    """File names made absolute, so that a run finds its data from any folder; addresses and patterns alike."""
    files = tuple(absolute(name) for name in data.files)
    return replace(data, path=absolute(data.path), static_file=absolute(data.static_file), files=files)


def train(
    config: RunConfig,
    data: xr.Dataset | None = None,
    overwrite: bool = False,
    model: Network | None = None,
    teacher: Any = None,
) -> Path:
    """Train, or go on with, the run that ``config`` describes; returns its folder.

    Args:
        config: the run; ``config.data.path`` names the data unless ``data`` is given.
        data: an open Dataset instead of a file.
        overwrite: lose what the folder holds.
        model: a network of one's own: a module ``(B, inputs, *space) -> (B, outputs, *space)``, or what makes one from
            ``inputs, outputs, grid``. The files of the run hold its weights and no code: it is given again to
            ``Forecaster.load``, ``evaluate`` and ``analyse``, or named by ``--network`` on the command line.
        teacher: what the network learns from beside the data: any ``Step`` of the same grid, variables and dt, such as
            a solver or the ``step`` of a ``Forecaster`` (``training.objective.kind`` becomes "distilled"), or of
            labels a function of states and their contexts that gives logits. It is given again to go on with the run.

    Of several processes (``training.devices``, ``training.nodes``) the first one does this alone, but for the training
    itself; the others end with it, so a script should call this under ``if __name__ == "__main__"`` and do its further
    work after it. On one machine they are started here, by running the same command or script again.

    Raises:
        InputError: see ``RunFolder.refuse`` and ``gridvit.training.train.plan``; nothing has been written then.
        Interrupted: SIGUSR1 or SIGTERM came; the same call goes on.
    """
    nodes, devices = config.training.nodes, config.training.devices
    refuse_wrong_world(nodes, devices)
    folder = RunFolder(Path(config.root) / config.name)
    config = taught(replace(config, data=located(config.data), training=rooted(config.training)), teacher)
    if model is not None:
        config = replace(config, model=replace(config.model, kind="own"))
    turn = Turn(nodes * devices)
    if not turn.first:
        turn.wait()
        known, fields = Measured.load(folder / STATISTICS), load_fields(config, data)
        planned = plan(
            config, fields, known, model, settled=True, teacher=teacher_of(config, fields, teacher)
        )
        fit(planned, folder.path, [Pictures(planned, folder.path)])
        raise SystemExit(0)
    with turn.preparing():
        folder.refuse(config, overwrite)
        known = None if overwrite else Measured.load(folder / STATISTICS)
        fields = load_fields(config, data)
        planned = plan(config, fields, known, model, teacher=teacher_of(config, fields, teacher))
        now = session(config, planned.measured)
        if not overwrite:
            refuse_repeated(folder.path, now)
        resumed = folder.claim(config, overwrite)
        planned.measured.save(folder / STATISTICS)
    with recorded(folder.path, {**now, "resumed": resumed}):
        fitted = fit(planned, folder.path, [Pictures(planned, folder.path)])
        checkpoint.save(folder / MODEL_FILE, fitted, planned.description, planned.head)
    return folder.path


def forecast(
    run: str | os.PathLike[str],
    path: str,
    steps: int,
    out: str,
    init: str = "last",
    overwrite: bool = False,
    forcings: str = "",
    direct: bool = False,
    model: Network | None = None,
) -> Path:
    """Forecast ``steps`` model steps from the ``first``, ``last`` or every (``all``) time of a file, or from a date.

    What the model is given (forcings, a boundary) is read from the file itself, or from the file ``forcings``; of all
    times those are left out then whose forecast it does not cover. ``direct`` forecasts at the leads that the model
    was trained for, each in one step, instead. ``model`` is the network of a run with one of one's own.
    """
    target = Path(out)
    refuse_existing(target, overwrite)
    forecaster, data = Forecaster.load(run, model), _choices(Path(run))
    with ExitStack() as files:
        ds = files.enter_context(open_chosen(data, path))
        known = files.enter_context(open_chosen(data, forcings)) if forcings else ds
        start = _initial(ds, known, forecaster, init, data.stride, 1 if direct else steps)
        made = forecaster.direct(start, known) if direct else forecaster(start, steps, known)
        return write(made, target, overwrite)


def _choices(run: Path) -> DataConfig:
    """The choices about its data that the run was trained with; none for a model file alone."""
    return RunFolder(run).config.data if (run / "config.yaml").is_file() else DataConfig()


def _initial(
    ds: xr.Dataset, known: xr.Dataset, forecaster: Forecaster, init: str, stride: int, steps: int
) -> xr.Dataset:
    """The chosen initial times, each with the history that the model needs, ``stride`` steps of the file apart."""
    history, time = forecaster.step.channels.history, _time(ds, forecaster.step.channels.inputs)
    if init == "all":
        every = ds.isel({time: slice(None, None, stride)})
        return _covered(every, known, forecaster, steps)
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


def _time(ds: xr.Dataset, names: Sequence[str]) -> str:
    time = find_axes(narrowed(ds, tuple(name for name in names if name in ds))).time
    if time is None:
        raise InputError("a time axis", "none", "give a file with times along one dimension")
    return time


def _covered(ds: xr.Dataset, known: xr.Dataset, forecaster: Forecaster, steps: int) -> xr.Dataset:
    """The times up to the last whose forecast the known fields cover; all where nothing is known."""
    channels, step = forecaster.step.channels, forecaster.description.model_step
    if not channels.known_places:
        return ds
    time, theirs = (
        _time(ds, channels.inputs),
        _time(known, [channels.frame[n] for n in channels.known_places]),
    )
    times, held = (canonical(each[name].values, name) for each, name in ((ds, time), (known, theirs)))
    inside = np.flatnonzero((ends_among(held, times, step, steps) >= 0).all(axis=1))
    if not len(inside):
        return ds  # the forecaster says what is lacking
    first = max(0, int(inside[0]) - channels.history + 1)
    kept = ds.isel({time: slice(first, int(inside[-1]) + 1)})
    if kept.sizes[time] < len(times):
        log.info("%d of %d times: the others lack what the model is given", kept.sizes[time], len(times))
    return kept


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


def report(run: str | os.PathLike[str], coast: str = "") -> Path:
    """Draw what ``evaluate`` and ``analyse`` have written as one HTML page.

    Args:
        run: the run folder.
        coast: a file of coastlines for maps in longitude and latitude: GeoJSON, or a NetCDF file with a land mask. In
            its absence those that cartopy has on this machine are drawn, and none where it has none.
    """
    folder = RunFolder(Path(run))
    config = (folder / "config.yaml").read_text() if (folder / "config.yaml").is_file() else ""
    if not config:
        raise InputError(
            "a run folder with a config.yaml", str(run), "give the folder that gridvit train wrote"
        )
    scores, analysis = folder.read("scores.nc"), folder.read("analysis.nc")
    fields = (folder.read("forecast.nc"), folder.read("truth.nc"))
    rows = read_metrics(folder / "metrics.csv")
    found = Findings(scores, analysis, rows, *fields, config, sessions(folder.path))
    return build(found, folder / "report.html", f"gridvit: {folder.path.name}", coastlines(coast))
