"""Score a run on its test part, against everything that a forecast must beat."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import xarray as xr
from jaxtyping import Bool, Int

from gridvit.climatology import Climatology
from gridvit.config import RunConfig
from gridvit.data.fields import Fields
from gridvit.data.loading import in_memory, within
from gridvit.data.measure import Measured
from gridvit.data.rounds import GIB
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.nn.heads import HEADS
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep
from gridvit.run.cases import Cases, scored_leads
from gridvit.run.cost import solver_costs, spread_out
from gridvit.run.folder import STATISTICS, RunFolder
from gridvit.run.forecasts import EMULATOR, forecasts
from gridvit.run.labels import score_labels
from gridvit.run.scoring import Scoring, climate_variance
from gridvit.run.solvers import solved


def evaluate(
    run: str | os.PathLike[str], data: xr.Dataset | None = None, model: Network | None = None
) -> xr.Dataset:
    """Scores by model, variable and lead; also writes ``scores.nc``, and ``forecast.nc`` and ``truth.nc`` of one case.

    Statistical baselines are fitted on the training part (the ridge penalty on the validation part). A file that
    ``gridvit simulate`` made is also forecast by the scheme that made it, and by the exact solution; where coefficients
    were drawn, with those of each trajectory, if the model is told them all. Its equation is then solved on fewer cells
    by every method there is, to hold error against cost. A run that labels is scored by
    ``gridvit.run.labels.score_labels``.

    Args:
        run: the run folder.
        data: an open Dataset in the place of the file that the run's configuration names.
        model: the network of a run with one of one's own.

    Returns:
        Scores, valid times, spectra, quantities and costs of every model, and error and cost of the solvers.
    """
    folder = RunFolder(Path(run))
    config = folder.config
    if config.training.objective.kind in HEADS:
        return score_labels(folder, data)
    forecaster = Forecaster.load(folder.path, model)
    step = forecaster.step
    leads = scored_leads(config.evaluation.leads, step.channels)
    parts = _parts(
        config, folder.fields(forecaster, data), step.channels.history - 1 + leads[-1] * step.channels.pace
    )
    cases = Cases.of(parts["test"], leads, step.channels)
    cases.truth[..., unscored(step)] = np.nan
    most = config.evaluation.solver_cases
    few = spread_out(len(cases.index), most or len(cases.index))
    scoring, makers = _scoring(folder, cases, few, parts["train"].targets), solved(cases, config.data.stride)
    for name, make in forecasts(step, parts, leads, scoring.climatology, makers):
        forecast = scoring.add(name, make)
        if name == EMULATOR:
            _write_example(folder, forecaster, cases, forecast)
    scores = scoring.table()
    maker = next((makers[name] for name in scoring.errors if name in makers), None)
    if maker is not None and most:
        solvers = solver_costs(maker, cases.take(few), cases.truth[few], scoring.climate)
        scores = xr.merge([scores, solvers], compat="no_conflicts", join="exact", combine_attrs="override")
    folder.write(scores, "scores.nc")
    return scores


def _parts(config: RunConfig, fields: Fields, span: int) -> dict[str, Fields]:
    """The test part, and as much of the others as may be held."""
    parts = partition(config.data.split, fields, span)
    return {"test": in_memory(parts["test"])} | {
        name: within(parts[name], config.data.buffer * GIB, f"baselines see of the {name} part")
        for name in ("train", "validate")
    }


def _scoring(folder: RunFolder, cases: Cases, few: Int[np.ndarray, "some"], train: Fields) -> Scoring:
    """About the climatology that is saved with the run; without it, about that of the train part."""
    known = Measured.load(folder / STATISTICS)
    whole = None if known is None else known.climatology
    climatology = Climatology.fit(train.array, train.times) if whole is None else whole
    climatology = climatology.first(len(train.variables))
    return Scoring(cases, climatology, climate_variance(climatology, train), few)


def unscored(step: ModelStep) -> Bool[np.ndarray, "target *space"]:
    """Cells that no model can know, outside the domain, and those whose values are given."""
    off = ~step.domain.numpy()[: len(step.channels.targets)]
    if step.given is not None:
        off[: len(step.channels.prognostic)] |= step.given.numpy()
    return off


def _write_example(folder: RunFolder, forecaster: Forecaster, cases: Cases, forecast: np.ndarray) -> None:
    """The first case, forecast and truth, in the user's layout."""
    fields = cases.fields
    initial = cases.times[:1]
    for name, values in (("forecast.nc", forecast[:1]), ("truth.nc", cases.truth[:1])):
        folder.write(forecaster.dataset(values[None], initial, fields.layout, {}, cases.leads), name)
