"""The next-step objective: predict the normalised increment."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.data.samples import Batch
from gridvit.rollout import Context
from gridvit.training.losses import present_error
from gridvit.training.objectives.base import Objective


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
        unit = None if step.complete else self.unit(state)
        if unit is not None:
            target = torch.where(unit > 0, target, torch.nan)
            unit = self.rolled(unit, shifts)
        inputs, target = self.rolled(inputs, shifts), self.rolled(target, shifts)
        found = step.outputs(inputs, condition=step.condition(context))
        if unit is not None:
            return present_error((found * unit).flatten(1, 2), (target * unit).flatten(1, 2), self.weights)
        return ((found - target).square() * self.weights).mean()

    def unit(
        self, state: Float[Tensor, "batch variable *space"]
    ) -> Float[Tensor, "batch lead target *space"]:
        """The unit of each error: 1, sigma_d / sigma where u is filled, and 0 where nothing is learned."""
        step = self.step
        moving, targets = len(step.channels.prognostic), len(step.channels.targets)
        filled = step.increment_std[:, :moving] / step.std[:moving]
        unit = torch.where(step.there(state)[:, None, :moving], 1.0, filled)
        if step.given is not None:
            unit = torch.where(step.given.to(unit.device), 0.0, unit)
        alone = unit.new_ones(len(unit), len(step.channels.leads), targets - moving, *step.grid.shape)
        return torch.cat([unit, alone], 2) * step.domain[:targets]
