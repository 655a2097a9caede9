"""Score a run on its test part, against everything that a forecast must beat."""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float

from gridvit.analysis.baselines import DampedPersistence
from gridvit.analysis.ridge import AnomalyRidge, LocalRidge
from gridvit.analysis.skill import PERSISTENCE, area_weights, score_table, square_errors
from gridvit.climatology import Climatology
from gridvit.data.fields import Fields
from gridvit.data.loading import in_memory, within
from gridvit.data.measure import Measured
from gridvit.data.rounds import GIB
from gridvit.data.simulate import driving, exact_step, generating_step
from gridvit.data.simulate_drawn import drawn, with_own
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.initial import CHUNK, Known, forecast_array, told
from gridvit.nn.heads import HEADS
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep
from gridvit.rollout import Step
from gridvit.run.cases import Cases, scored_leads
from gridvit.run.folder import STATISTICS, RunFolder
from gridvit.run.labels import score_labels

log = logging.getLogger("gridvit")


def evaluate(
    run: str | os.PathLike[str], data: xr.Dataset | None = None, model: Network | None = None
) -> xr.Dataset:
    """Scores by model, variable and lead; also writes ``scores.nc``, and ``forecast.nc`` and ``truth.nc`` of one case.

    Statistical baselines are fitted on the training part (the ridge penalty on the validation part). A file that
    ``gridvit simulate`` made is also forecast by the scheme that made it, and by the exact solution; where coefficients
    were drawn, with those of each trajectory, if the model is told them all. A run that labels is scored by
    ``gridvit.run.labels.score_labels``.

    Args:
        run: the run folder.
        data: an open Dataset in the place of the file that the run's configuration names.
        model: the network of a run with one of one's own.
    """
    folder = RunFolder(Path(run))
    config = folder.config
    if config.training.objective.kind in HEADS:
        return score_labels(folder, data)
    forecaster = Forecaster.load(folder.path, model)
    channels = forecaster.step.channels
    leads = scored_leads(config.evaluation.leads, channels)
    fields = folder.fields(forecaster, data)
    parts = partition(config.data.split, fields, channels.history - 1 + leads[-1] * channels.pace)
    parts = {"test": in_memory(parts["test"])} | {
        name: within(parts[name], config.data.buffer * GIB, f"baselines see of the {name} part")
        for name in ("train", "validate")
    }
    cases = Cases.of(parts["test"], leads, channels)
    truth, weights = cases.truth, area_weights(forecaster.grid)
    truth[..., unscored(forecaster.step)] = np.nan
    errors = {}
    known = Measured.load(folder / STATISTICS)
    climatology = None if known is None else known.climatology
    for name, forecast in forecasts(forecaster, parts, cases, config.data.stride, climatology):
        errors[name] = square_errors(forecast, truth, weights)
        log.info("scored %s on %d cases", name, len(truth))
        if name == "emulator":
            _write_example(folder, forecaster, cases, forecast)
    scores = _table(errors, cases, truth, weights)
    folder.write(scores, "scores.nc")
    return scores


def forecasts(
    forecaster: Forecaster,
    parts: dict[str, Fields],
    cases: Cases,
    stride: int,
    climatology: Climatology | None = None,
) -> Iterator[tuple[str, Float[np.ndarray, "case lead variable *space"]]]:
    """Every forecast by name, one at a time: the emulator, then its baselines.

    ``climatology`` is the one saved with the run; without it, it is fitted here. Where an initial value is missing,
    persistence takes the train part's mean of the cell.
    """
    step, grid = forecaster.step, forecaster.grid
    train, validate = parts["train"].targets, parts["validate"].targets
    leads = [step.channels.pace * n for n in cases.leads]
    yield "emulator", emulated(step, cases)
    if len(step.channels.leads) > 1:
        yield "emulator, direct", direct(step, cases)
    damped = DampedPersistence.fit(train.array, leads, grid)
    yield PERSISTENCE, np.repeat(damped.filled(cases.states)[:, None], len(leads), axis=1)
    yield "damped persistence", damped(cases.states)
    if climatology is None:
        climatology = Climatology.fit(train.array, train.times)
    climatology = climatology.first(len(train.variables))
    yield climatology.name, climatology(cases.valid_times)
    if any(np.isnan(part.targets.array).any() for part in parts.values()):
        log.info("left out local ridge and solvers: they need values in every cell, and the data have gaps")
        return
    if grid.ndim <= 2:
        yield "local ridge", LocalRidge.fit(train.array, validate.array, grid, leads)(cases.states)
        if len(climatology.hours) > 1 or climatology.annual:
            times = (train.times, validate.times)
            ridge = AnomalyRidge.fit(climatology, train.array, validate.array, times, grid, leads)
            yield "local ridge of anomalies", ridge(cases.states, cases.times, cases.valid_times)
    yield from solved(cases, stride).items()


def solved(cases: Cases, stride: int) -> dict[str, Float[np.ndarray, "case lead variable *space"]]:
    """Forecasts of the solvers by name, each trajectory's with the coefficients that were drawn for it."""
    attrs, names, told = cases.fields.attrs, cases.fields.parameter_names, cases.fields.parameters
    if why := untold(cases.fields, stride * cases.channels.pace):
        log.info("left out the solver: %s", why)
        return {}
    wanted = drawn(json.loads(attrs.get("gridvit_parameters", "{}")))
    if missing := [name for name in wanted if name not in names]:
        log.info("left out the solver: each trajectory has its own %s, not in data.parameters", missing[0])
        return {}
    found: dict[str, np.ndarray] = {}
    samples = enumerate(told) if wanted and told is not None else [(-1, None)]
    for sample, values in samples:
        rows = slice(None) if values is None else cases.index[:, 0] == sample
        own = attrs if values is None else with_own(attrs, names, values)
        part = replace(cases, index=cases.index[rows])
        fields = replace(cases.fields, attrs=own)
        for name, solver in solvers(fields, stride, cases.channels.pace).items():
            all_cases = found.setdefault(name, np.empty(cases.truth.shape))
            known = part.known if driving(attrs) else None
            all_cases[rows] = stepped(solver, part.states.astype(np.float64), part, known)
    return found


def stepped(
    step: Step, states: np.ndarray, cases: Cases, known: Known | None = None
) -> Float[np.ndarray, "case lead variable *space"]:
    """The leads of forecasts that go on step after step."""
    whole = forecast_array(step, states, cases.seconds, cases.leads[-1], known, cases.condition)
    return whole[:, np.array(cases.leads) - 1]


def emulated(step: ModelStep, cases: Cases) -> Float[np.ndarray, "case lead variable *space"]:
    """The model's own forecasts, step after step; NaN beyond the first of a model with predictors."""
    if step.channels.predictor:
        return direct(step, cases, [1])
    states = np.concatenate([states for states, _ in _portions(step, cases)])
    known = cases.known if step.channels.known_places else None
    return stepped(step, states, cases, known)[:, :, : len(step.channels.targets)]


def direct(
    step: ModelStep, cases: Cases, leads: Sequence[int] = ()
) -> Float[np.ndarray, "case lead variable *space"]:
    """The forecasts that the model makes for its leads (or some of them) in one step each; NaN at the others."""
    found = np.full_like(cases.truth, np.nan)
    reached = [lead // step.channels.pace for lead in step.channels.leads]
    kept = [n for n, lead in enumerate(reached) if lead in (leads or reached)]
    places = [cases.leads.index(reached[n]) for n in kept]
    for states, part in _portions(step, cases):
        context = told(
            cases.seconds, cases.known if step.channels.known_places else None, cases.condition, part
        )
        with torch.no_grad():
            found[part, places] = step.predict(torch.from_numpy(states), context)[:, kept]
    return found


def _portions(step: ModelStep, cases: Cases) -> Iterator[tuple[np.ndarray, slice]]:
    """States of the model, a portion of the cases at a time."""
    for first in range(0, len(cases.index), CHUNK):
        part = slice(first, min(first + CHUNK, len(cases.index)))
        yield step.state_of(torch.from_numpy(cases.frames(part))).numpy(), part


def unscored(step: ModelStep) -> Bool[np.ndarray, "target *space"]:
    """Cells that no model can know, outside the domain, and those whose values are given."""
    off = ~step.domain.numpy()[: len(step.channels.targets)]
    if step.given is not None:
        off[: len(step.channels.prognostic)] |= step.given.numpy()
    return off


def solvers(fields: Fields, stride: int, pace: int = 1) -> dict[str, Step]:
    """The scheme that made a simulated file, under its own name first, and the exact propagator; else nothing.

    A file can say how it was made and yet be another problem by now: walls stated where the plane was periodic,
    variables chosen or reordered, times thinned. Those steps do not solve it, so nothing is given then.
    """
    attrs, grid = fields.attrs, fields.grid
    maker = generating_step(attrs, grid, stride * pace)
    if (
        maker is None
        or maker.variables != fields.targets.names
        or untold(fields, stride * pace)
        or not math.isclose(maker.dt, fields.step.seconds * pace, rel_tol=1e-6)
    ):
        return {}
    exact = exact_step(attrs, grid, stride * pace)
    return {maker_name(attrs): maker} | ({} if exact is None else {"exact": exact})


def untold(fields: Fields, frames: int) -> str:
    """Why a solver over so many frames of the file is not told what drove them; nothing where it is, or nothing did."""
    forces, forcing = driving(fields.attrs), tuple(v.name for v in fields.variables if v.role == "forcing")
    if not forces or (forces == forcing and frames == 1):
        return ""
    if forces == forcing:
        return f"{', '.join(forces)} between the ends of a step of {frames} frames is not known"
    return f"data.forcings are not {', '.join(forces)} alone, which drove the data"


def maker_name(attrs: Mapping[str, Any]) -> str:
    """The scheme's name, with its substeps where there are several."""
    substeps = int(attrs["gridvit_substeps"])
    return str(attrs["gridvit_scheme"]) + (f", {substeps} substeps" if substeps > 1 else "")


def _table(errors: dict[str, np.ndarray], cases: Cases, truth: np.ndarray, weights: np.ndarray) -> xr.Dataset:
    fields = cases.fields
    model_step = fields.step.strided(cases.channels.pace)
    times, units = model_step.leads(cases.leads)
    variables = {v.name: v.units for v in fields.targets.variables}
    samples = fields.n_samples
    trajectories = samples > 1 and not fields.layout.members
    per_sample = len(cases.index) // samples
    blocks = 1 if trajectories else max(cases.leads[-1] * cases.channels.pace, round(per_sample ** (1 / 3)))
    relative = None if fields.step.dates else square_errors(0 * truth, truth, weights)
    if fields.layout.members:  # they share their weather: initial times are drawn, each with all its members
        errors = {name: _by_time(e, samples) for name, e in errors.items()}
        relative = relative if relative is None else _by_time(relative, samples)
    scores = score_table(errors, times, variables, lead_units=units, power=relative, block=blocks,
                         cluster=per_sample if trajectories else samples)  # fmt: skip
    drawn = "whole trajectories" if trajectories else f"blocks of {blocks} initial times"
    scores.attrs["statement"] = (
        f"Forecasts from {len(cases.index)} initial states of the test part, which neither training nor the choice of "
        f"the checkpoint has seen; to {times[-1]:g} {units}; intervals by bootstrap over {drawn}."
    )
    return scores


def _by_time(errors: Float[np.ndarray, "case *rest"], samples: int) -> Float[np.ndarray, "case *rest"]:
    """Cases sample by sample put in order of time, the samples of one time together."""
    return errors.reshape(samples, -1, *errors.shape[1:]).swapaxes(0, 1).reshape(errors.shape)


def _write_example(folder: RunFolder, forecaster: Forecaster, cases: Cases, forecast: np.ndarray) -> None:
    """The first case, forecast and truth, in the user's layout."""
    fields = cases.fields
    initial = cases.times[:1]
    for name, values in (("forecast.nc", forecast[:1]), ("truth.nc", cases.truth[:1])):
        folder.write(forecaster.dataset(values[None], initial, fields.layout, {}, cases.leads), name)
