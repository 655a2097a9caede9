"""What forecasts start from and are told, and many of them at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from gridvit.data.layout import Layout
from gridvit.data.times import epoch_seconds
from gridvit.rollout import Context, Step, rollout

CHUNK = 32  # initial states forecast at once: bounds memory, not the result
Known = Callable[[slice], np.ndarray]


def forecast_array(
    step: Step,
    states: Float[np.ndarray, "case variable *space"],
    seconds: Float[np.ndarray, "case"],
    steps: int,
    known: Known | None = None,
    condition: Float[np.ndarray, "case parameter"] | None = None,
) -> Float[np.ndarray, "case lead variable *space"]:
    """u(t + n dt), n = 1..steps, for every initial state, in its dtype.

    ``known`` gives the fields ``(case, steps + 1, known, *space)`` that a slice of the cases is told, ``condition``
    the numbers of each case's own.
    """
    chunks = []
    with torch.no_grad():
        for first in range(0, len(states), CHUNK):
            part = slice(first, first + CHUNK)
            context = told(seconds, known, condition, part)
            chunks.append(rollout(step, torch.from_numpy(states[part]), steps, context)[:, 1:].numpy())
    return np.concatenate(chunks)


def told(
    seconds: Float[np.ndarray, "case"],
    known: Known | None,
    condition: Float[np.ndarray, "case parameter"] | None,
    part: slice,
) -> Context:
    """What a slice of the cases is told."""
    fields = None if known is None else torch.from_numpy(known(part))
    own = None if condition is None else torch.from_numpy(condition[part])
    return Context(torch.from_numpy(seconds[part]), fields, own)


@dataclass(frozen=True, eq=False)
class Read:
    """Variables of a user's Dataset: values in the model's layout, times, layout, and what its samples are called."""

    values: Float[np.ndarray, "sample time variable *space"]
    times: np.ndarray
    layout: Layout
    labels: np.ndarray


@dataclass(frozen=True, eq=False)
class Initial:
    """What a forecast starts from, sample by sample and time by time.

    states:  (S, I, state, *space).
    times:   (I,), the file's own.
    layout:  of the user's Dataset.
    known:   what the model is given, or None.
    condition: (S I, P), parameters of each state's sample, or None.
    """

    states: Float[np.ndarray, "sample init state *space"]
    times: np.ndarray
    layout: Layout
    known: Known | None
    condition: Float[np.ndarray, "case parameter"] | None = None

    def context(self, part: slice = slice(None)) -> Context:
        """What a slice of all states is told."""
        return told(self.seconds, self.known, self.condition, part)

    @property
    def flat(self) -> Float[np.ndarray, "case state *space"]:
        """All states."""
        return self.states.reshape(-1, *self.states.shape[2:])

    @property
    def seconds(self) -> Float[np.ndarray, "case"]:
        """Times of all states."""
        return np.tile(epoch_seconds(self.times), len(self.states))
