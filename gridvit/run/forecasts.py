"""Every forecast that a run is scored beside: the emulator's own, and those that it must beat."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float

from gridvit.analysis.baselines import DampedPersistence
from gridvit.analysis.linear import LinearPredictor
from gridvit.analysis.ridge import AnomalyRidge, LocalRidge
from gridvit.analysis.skill import PERSISTENCE
from gridvit.climatology import Climatology
from gridvit.data.fields import Fields
from gridvit.initial import CHUNK, told
from gridvit.nn.step import ModelStep
from gridvit.run.cases import Cases
from gridvit.run.cost import Forecasts
from gridvit.run.solvers import Solved, stepped

log = logging.getLogger("gridvit")

EMULATOR = "emulator"


def forecasts(
    step: ModelStep,
    parts: dict[str, Fields],
    leads: Sequence[int],
    climatology: Climatology,
    solved: dict[str, Solved],
) -> Iterator[tuple[str, Forecasts]]:
    """Every forecast by name, as a function of cases: the emulator, then its baselines, which are fitted here.

    Where an initial value is missing, persistence takes the train part's mean of the cell.

    Args:
        step: the emulator.
        parts: "train" and "validate", for the fits, and "test".
        leads: steps of the model that are scored.
        climatology: of the targets.
        solved: forecasts of solvers by name.
    """
    grid, train = step.grid, parts["train"].targets
    frames = [step.channels.pace * n for n in leads]
    yield EMULATOR, lambda cases: emulated(step, cases)
    if len(step.channels.leads) > 1:
        yield "emulator, direct", lambda cases: direct(step, cases)
    damped = DampedPersistence.fit(train.array, frames, grid)
    yield PERSISTENCE, lambda cases: np.repeat(damped.filled(cases.states)[:, None], len(leads), axis=1)
    yield "damped persistence", lambda cases: damped(cases.states)
    yield climatology.name, lambda cases: climatology(cases.valid_times)
    if any(np.isnan(part.targets.array).any() for part in parts.values()):
        log.info(
            "left out linear predictors and solvers: they need values in every cell, and the data have gaps"
        )
        return
    yield from _linear(parts, frames, climatology)
    yield from solved.items()


def _linear(
    parts: dict[str, Fields], frames: Sequence[int], climatology: Climatology
) -> Iterator[tuple[str, Forecasts]]:
    """Regressions on the neighbourhood and, where no place differs from any other, on every wave."""
    train, validate = parts["train"].targets, parts["validate"].targets
    grid = train.grid
    if grid.ndim <= 2:
        ridge = LocalRidge.fit(train.array, validate.array, grid, frames)
        yield "local ridge", lambda cases: ridge(cases.states)
        if len(climatology.hours) > 1 or climatology.annual:
            times = (train.times, validate.times)
            of_anomalies = AnomalyRidge.fit(climatology, train.array, validate.array, times, grid, frames)
            yield (
                "local ridge of anomalies",
                lambda cases: of_anomalies(cases.states, cases.times, cases.valid_times),
            )
    if not grid.is_sphere and all(grid.periodic):
        linear = LinearPredictor.fit(train.array, frames)
        yield "best linear predictor", lambda cases: linear(cases.states)


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
