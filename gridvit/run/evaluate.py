"""Score a run on its test part, against everything that a forecast must beat."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int

from gridvit.analysis.baselines import Climatology, DampedPersistence
from gridvit.analysis.ridge import AnomalyRidge, LocalRidge
from gridvit.analysis.skill import PERSISTENCE, area_weights, score_table, square_errors
from gridvit.channels import Channels
from gridvit.data.fields import Fields
from gridvit.data.simulate import exact_step, generating_step
from gridvit.data.windows import partition, windows
from gridvit.forecast import CHUNK, Forecaster, forecast_array
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context, Step
from gridvit.run.folder import RunFolder

log = logging.getLogger("gridvit")


@dataclass(frozen=True, eq=False)
class Cases:
    """Windows of the test part: initial states and what followed them.

    fields: the test part.
    index:  (sample, first frame) of each window.
    leads:  steps of the model in a window.
    channels: of the model.
    """

    fields: Fields
    index: Int[np.ndarray, "case 2"]
    leads: int
    channels: Channels

    @classmethod
    def of(cls, fields: Fields, leads: int, channels: Channels) -> Cases:
        """Every window of ``leads`` model steps with the history before it."""
        return cls(fields, windows(fields, channels.history - 1 + leads * channels.pace), leads, channels)

    @property
    def start(self) -> Int[np.ndarray, "case"]:
        """Index of the initial time."""
        return self.index[:, 1] + self.channels.history - 1

    @cached_property
    def states(self) -> Float[np.ndarray, "case variable *space"]:
        """The model's variables at t, without earlier frames: what baselines start from."""
        return self.fields.targets.values[self.index[:, 0], self.start]

    def frames(self, part: slice) -> Float[np.ndarray, "case frame variable *space"]:
        """The frames up to t, whole."""
        sample, first = self.index[part].T[:, :, None]
        return self.fields.values[sample, first + np.arange(self.channels.history)]

    def known(self, part: slice) -> Float[np.ndarray, "case end known *space"]:
        """What the model is given at t + n dt, n = 0..leads."""
        ends = self.start[part, None] + self.channels.pace * np.arange(self.leads + 1)
        return self.fields.values[self.index[part, :1], ends][:, :, self.channels.known_places]

    @cached_property
    def truth(self) -> Float[np.ndarray, "case lead variable *space"]:
        """What is predicted, at t + n dt, n = 1..leads."""
        return self.fields.targets.values[self.index[:, :1], self._ends]

    @property
    def _ends(self) -> Int[np.ndarray, "case lead"]:
        return self.start[:, None] + self.channels.pace * np.arange(1, self.leads + 1)

    @property
    def seconds(self) -> Float[np.ndarray, "case"]:
        """t, as ``Fields.seconds``."""
        return self.fields.seconds[self.start]

    @property
    def times(self) -> np.ndarray:
        """t ``(case,)``, as the file's own dates or numbers."""
        return self.fields.times[self.start]

    @property
    def valid_times(self) -> np.ndarray:
        """t + n dt ``(case, lead)``, as the file's own dates or numbers."""
        return self.fields.times[self._ends]


def evaluate(run: str | os.PathLike[str], data: xr.Dataset | None = None) -> xr.Dataset:
    """Scores by model, variable and lead; also writes ``scores.nc``, and ``forecast.nc`` and ``truth.nc`` of one case.

    Statistical baselines are fitted on the training part (the ridge penalty on the validation part). A file that
    ``gridvit simulate`` made is also forecast by the scheme that made it, and by the exact solution.

    Args:
        run: the run folder.
        data: an open Dataset in the place of the file that the run's configuration names.
    """
    folder = RunFolder(Path(run))
    config = folder.config
    forecaster = Forecaster.load(folder.path)
    leads, channels = config.evaluation.leads, forecaster.step.channels
    longest = max(channels.leads[-1], leads * channels.pace)
    fields = folder.fields(forecaster, data)
    parts = partition(config.data.split, fields, channels.history - 1 + longest)
    cases = Cases.of(parts["test"], leads, channels)
    truth, weights = cases.truth, area_weights(forecaster.grid)
    truth[..., unscored(forecaster.step)] = np.nan
    errors = {}
    for name, forecast in forecasts(forecaster, parts, cases, config.data.stride):
        errors[name] = square_errors(forecast, truth, weights)
        log.info("scored %s on %d cases", name, len(truth))
        if name == "emulator":
            _write_example(folder, forecaster, cases, forecast)
    scores = _table(errors, cases, truth, weights)
    folder.write(scores, "scores.nc")
    return scores


def forecasts(
    forecaster: Forecaster, parts: dict[str, Fields], cases: Cases, stride: int
) -> Iterator[tuple[str, Float[np.ndarray, "case lead variable *space"]]]:
    """Every forecast by name, one at a time: the emulator, then its baselines.

    Where an initial value is missing, persistence takes the train part's mean of the cell.
    """
    step, grid = forecaster.step, forecaster.grid
    train, validate = parts["train"].targets, parts["validate"].targets
    leads = [step.channels.pace * n for n in range(1, cases.leads + 1)]
    yield "emulator", emulated(step, cases)
    if len(step.channels.leads) > 1:
        yield "emulator, direct", direct(step, cases)
    damped = DampedPersistence.fit(train.values, leads, grid)
    yield PERSISTENCE, np.repeat(damped.filled(cases.states)[:, None], cases.leads, axis=1)
    yield "damped persistence", damped(cases.states)
    climatology = Climatology.fit(train.values, train.times)
    yield climatology.name, climatology(cases.valid_times)
    if any(np.isnan(part.targets.values).any() for part in parts.values()):
        log.info("left out local ridge and solvers: they need values in every cell, and the data have gaps")
        return
    if grid.ndim <= 2:
        yield "local ridge", LocalRidge.fit(train.values, validate.values, grid, leads)(cases.states)
        if len(climatology.hours) > 1 or climatology.annual:
            times = (train.times, validate.times)
            ridge = AnomalyRidge.fit(train.values, validate.values, times, grid, leads)
            yield "local ridge of anomalies", ridge(cases.states, cases.times, cases.valid_times)
    for name, solver in solvers(cases.fields, stride, step.channels.pace).items():
        yield name, forecast_array(solver, cases.states.astype(np.float64), cases.seconds, cases.leads)


def emulated(step: ModelStep, cases: Cases) -> Float[np.ndarray, "case lead variable *space"]:
    """The model's own forecasts, step after step."""
    states = np.concatenate([states for states, _ in _portions(step, cases)])
    known = cases.known if step.channels.known_places else None
    return forecast_array(step, states, cases.seconds, cases.leads, known)[:, :, : len(step.channels.targets)]


def direct(step: ModelStep, cases: Cases) -> Float[np.ndarray, "case lead variable *space"]:
    """The forecasts that the model makes for its leads in one step each; NaN at leads that it was not trained for."""
    found = np.full_like(cases.truth, np.nan)
    places = [lead // step.channels.pace - 1 for lead in step.channels.leads]
    kept = [n for n, place in enumerate(places) if place < cases.leads]
    for states, part in _portions(step, cases):
        context = Context(torch.from_numpy(cases.seconds[part]))
        with torch.no_grad():
            found[part, [places[n] for n in kept]] = step.predict(torch.from_numpy(states), context)[:, kept]
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
        or maker.variables != fields.names
        or not math.isclose(maker.dt, fields.step.seconds * pace, rel_tol=1e-6)
    ):
        return {}
    exact = exact_step(attrs, grid, stride * pace)
    return {maker_name(attrs): maker} | ({} if exact is None else {"exact": exact})


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
    blocks = 1 if trajectories else max(cases.leads * cases.channels.pace, round(per_sample ** (1 / 3)))
    relative = None if fields.step.dates else square_errors(0 * truth, truth, weights)
    if fields.layout.members:  # they share their weather: initial times are drawn, each with all its members
        errors = {name: _by_time(e, samples) for name, e in errors.items()}
        relative = relative if relative is None else _by_time(relative, samples)
    scores = score_table(errors, times, variables, lead_units=units, power=relative, block=blocks,
                         cluster=per_sample if trajectories else samples)  # fmt: skip
    drawn = "whole trajectories" if trajectories else f"blocks of {blocks} initial times"
    scores.attrs["statement"] = (
        f"Forecasts from {len(cases.index)} initial states of the test part, which neither training nor the choice of "
        f"the checkpoint has seen; {cases.leads} steps of {model_step}; intervals by bootstrap over {drawn}."
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
        folder.write(forecaster.dataset(values[None], initial, fields.layout, {}), name)
