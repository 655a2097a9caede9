"""Which times and samples of one file belong to those of another."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int, Shaped

from gridvit.data.times import TimeStep, epoch_seconds

WANDERING = 0.15  # of a step of months: their middles and ends wander
NEAR = 1e-3  # of a step


def ends_among(
    held: Shaped[np.ndarray, " held"], times: Shaped[np.ndarray, " init"], step: TimeStep, count: int
) -> Int[np.ndarray, "init end"]:
    """Where among the times ``held`` t + n dt is, n = 0..count, for each t in ``times``; -1 where it is not."""
    needed = [step.after(time, n) for time in times for n in range(count + 1)]
    seconds, wanted = epoch_seconds(held), epoch_seconds(np.array(needed, dtype=times.dtype))
    order = np.argsort(seconds)
    ordered = seconds[order]
    after = np.searchsorted(ordered, wanted).clip(0, len(held) - 1)
    before = np.maximum(after - 1, 0)
    near = np.where(np.abs(wanted - ordered[before]) < np.abs(ordered[after] - wanted), before, after)
    slack = (WANDERING if step.months else NEAR) * step.seconds
    found = np.where(np.abs(ordered[near] - wanted) <= slack, order[near], -1)
    return found.reshape(len(times), count + 1)


def same_samples(
    held: Shaped[np.ndarray, " held"], wanted: Shaped[np.ndarray, " sample"]
) -> Int[np.ndarray, " sample"]:
    """Where among the samples ``held`` each of ``wanted`` is, by its label, or the only one; -1 where it is not."""
    if len(held) == 1:
        return np.zeros(len(wanted), dtype=np.int64)
    place = {label: n for n, label in enumerate(held.tolist())}
    return np.array([place.get(label, -1) for label in wanted.tolist()])
