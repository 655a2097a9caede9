"""The next-step objective: predict the normalised increment."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from gridvit.data.samples import Batch
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
        return self.against([self.following(batch)], batch, shifts)[0]

    def following(self, batch: Batch) -> Float[Tensor, "batch lead target *space"]:
        """What is predicted, as the data have it."""
        return batch.frames[:, self.step.channels.history :, : len(self.step.channels.targets)]

    def against(
        self, answers: Sequence[Float[Tensor, "batch lead target *space"]], batch: Batch, shifts: list[int]
    ) -> list[Float[Tensor, ""]]:
        """The loss of one pass of the network against each of several answers in the place of the data's."""
        step, state = self.step, self.step.state_of(batch.frames)
        context = self.context(batch)
        inputs = self.rolled(step.inputs(state, context), shifts)
        unit = None if step.complete else self.rolled(units(step, state), shifts)
        found, base = self.outputs(inputs, context), step.base(state)[:, None]
        targets = (self.rolled((answer - base) / step.scale, shifts) for answer in answers)
        return [self.error(found, target, unit) for target in targets]
