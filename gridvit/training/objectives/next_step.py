"""The next-step objective: predict the normalised increment."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from gridvit.data.samples import Batch
from gridvit.rollout import Context
from gridvit.training.objectives.base import Objective
from gridvit.training.objectives.units import units


class NextStep(Objective):
    """loss = mean over cells (area-weighted), variables, leads and batch of |f(x) - (u(t + dt) - u(t)) / sigma_d|^2.

    Of diagnostic variables y it is |f(x) - (y(t + dt) - mu) / sigma|^2. A boundary that is given is not learned.

    Of variables with gaps only cells enter that have a value at t + dt, as the mean over their area in each state:
    every state counts the same, however much of it is there. A cell without a value at t starts from the mean, as the
    forecast does, and its error counts in units of the state, |.| sigma_d / sigma: so filling is learned, and does not
    drown the increments. Persistence scores 1.
    """

    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """Weighted mean squared error of the normalised outputs."""
        step, frames = self.step, batch.frames
        history = step.channels.history
        state, following = step.state_of(frames), frames[:, history:, : len(step.channels.targets)]
        context = Context(batch.time, step.known_of(frames[:, history - 1 :]), batch.condition)
        inputs, target = step.inputs(state, context), (following - step.base(state)[:, None]) / step.scale
        unit = None if step.complete else self.rolled(units(step, state), shifts)
        inputs, target = self.rolled(inputs, shifts), self.rolled(target, shifts)
        return self.error(self.outputs(inputs, context), target, unit)
