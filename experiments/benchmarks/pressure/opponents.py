"""What a network must beat on sea level pressure, from persistence to regressions on two frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Float

from gridvit.analysis.baselines import DampedPersistence, companion
from gridvit.analysis.inverse import LinearInverse
from gridvit.analysis.ridge import LocalRidge
from gridvit.analysis.skill import PERSISTENCE, area_weights, square_errors
from gridvit.climatology import Climatology
from gridvit.data.fields import Fields
from gridvit.grid import Grid
from gridvit.run.cases import Cases

HISTORY = 2
Forecast = Float[np.ndarray, "case lead variable *space"]


def anomalies(fields: Fields, climatology: Climatology) -> Fields:
    """u(t) - c(t)."""
    away = fields.array - climatology.at(fields.times)
    return replace(fields, values=away.astype(np.float32))


def opponents(
    parts: dict[str, Fields], cases: Cases, climatology: Climatology, radii: Sequence[int]
) -> Iterator[tuple[str, Forecast]]:
    """Forecasts by name; fitted on the train part, and what there is to choose on the validation part.

    ``cases`` are those of the whole fields; regressions see anomalies from the climatology of the train part.
    """
    leads, grid = cases.leads, parts["train"].grid
    train = parts["train"]
    yield PERSISTENCE, np.repeat(cases.states[:, None], len(leads), axis=1)
    yield "damped persistence", DampedPersistence.fit(train.array, leads, grid)(cases.states)
    yield climatology.name, climatology(cases.valid_times)
    away = [anomalies(parts[name], climatology).array for name in ("train", "validate")]
    frames = replace(cases, fields=anomalies(cases.fields, climatology)).frames(slice(None))
    starts, ahead = frames[:, ::-1], climatology(cases.valid_times)  # the latest first
    for history in (1, HISTORY):
        start = starts[:, :history].reshape(len(starts), -1, *grid.shape)
        inverse = LinearInverse.fit(*away, grid, leads, history)
        name = f"linear inverse model, {len(inverse.propagator)} EOFs"
        yield f"{name}, {_frames(history)}", inverse(start) + ahead
        ridge, radius = chosen_ridge(away, grid, leads, history, radii)
        side = 2 * radius + 1
        yield f"local ridge of {side} x {side}, {_frames(history)}", ridge(start) + ahead


def chosen_ridge(
    away: Sequence[np.ndarray], grid: Grid, leads: Sequence[int], history: int, radii: Sequence[int]
) -> tuple[LocalRidge, int]:
    """The ridge of the radius with the least error on the validation part, relative to persistence, over all leads."""
    train, validate = (companion(part, history) for part in away)
    times = validate.shape[1] - max(leads)
    truth = validate[0, np.arange(times)[:, None] + np.array(leads)][:, :, :1]
    starts, weights = validate[0, :times], area_weights(grid)
    still = square_errors(np.repeat(starts[:, None, :1], len(leads), axis=1), truth, weights).mean(axis=0)
    found = []
    for radius in radii:
        ridge = LocalRidge.fit(train, validate, grid, leads, radius, targets=1)
        error = square_errors(ridge(starts), truth, weights).mean(axis=0)
        found.append((float((error / still).mean()), radius, ridge))
    _, radius, ridge = min(found, key=lambda each: each[0])
    return ridge, radius


def _frames(history: int) -> str:
    return "one frame" if history == 1 else f"{history} frames"
