"""What every measure of a run is given: the trained step, some states of the test part, and where they come from."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from gridvit.config import RunConfig
from gridvit.data.fields import Fields
from gridvit.grid import Grid
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context


@dataclass(frozen=True)
class Subject:
    """A trained step and where it is looked at.

    Args:
        step: in float32, as it was trained.
        states: ``(B, state, *space)`` of the test part, spread evenly over samples and times.
        context: of the states.
        test: the test part.
        config: of the run.
        snapshots: model files of the weights after some epochs.
    """

    step: ModelStep
    states: torch.Tensor
    context: Context
    test: Fields
    config: RunConfig
    snapshots: dict[int, Path] = field(default_factory=dict)

    @property
    def grid(self) -> Grid:
        """Of the fields."""
        return self.step.grid

    @cached_property
    def double(self) -> ModelStep:
        """The step in float64, for what is differentiated."""
        return copy.deepcopy(self.step).double()


def some_states(step: ModelStep, fields: Fields, count: int) -> tuple[torch.Tensor, Context]:
    """``count`` states of the model, spread evenly over samples and times of a part, and what it knows there."""
    history, pace = step.channels.history, step.channels.pace if step.channels.known_places else 0
    times = fields.n_times - (history - 1) - pace
    total = fields.n_samples * times
    chosen = np.linspace(0, total - 1, min(count, total)).round().astype(int)
    sample, time = np.divmod(chosen[:, None], times)
    frames = torch.tensor(fields.array[sample, time + np.arange(history)])
    seconds = torch.tensor(fields.seconds[time[:, 0] + history - 1])
    ends = torch.tensor(fields.array[sample, time + history - 1 + np.array([0, pace])])
    own = None if fields.parameters is None else torch.tensor(fields.parameters[sample[:, 0]])
    return step.state_of(frames), Context(seconds, step.known_of(ends), own)
