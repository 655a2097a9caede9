"""The unrolled objective: predict several steps, each from the one before as a forecast does."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import RunConfig
from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.nn.companion import following
from gridvit.training.objectives.base import Objective
from gridvit.training.objectives.units import units

log = logging.getLogger("gridvit")


class Unrolled(Objective):
    """loss = mean over k = 1 .. n of |(u_k - u(t + k dt)) / sigma_d|^2, u_k = F(u_(k-1)), u_0 = u(t).

    F is the step of the model, as ``rollout`` repeats it: history moves on, forcings and boundary are those of the
    data, and the mean is that of ``NextStep``, whose loss is the case n = 1. A cell that is filled at t counts in units
    of the state at every k. Persistence scores the mean over k of |u(t + k dt) - u(t)|^2 / sigma_d^2: 1 for n = 1, more
    for more steps, at most 2 sigma^2 / sigma_d^2 of fields that forget.

    With ``gradient`` "last" u_(k-1) is held fixed in the error of u_k. The loss is the same number, its gradient that
    of a one-step loss at states that the model made: with n = 2 one half of the one-step plus the stability loss of
    Brandstetter, Worrall and Welling (2022), arXiv:2202.03376 (the pushforward trick).

    While it is trained n grows from 1 to ``steps`` by epochs (``rollout_steps``); ``loss`` has all of them.
    """

    @property
    def offsets(self) -> tuple[int, ...]:
        """History, the present, and the end of each step."""
        pace, held = self.step.channels.pace, self.step.channels.offsets[: self.step.channels.history]
        return (*held, *(pace * k for k in range(1, self.config.objective.steps + 1)))

    @classmethod
    def refuse(cls, config: RunConfig, channels: Channels, parts: dict[str, Fields]) -> None:
        """A model that cannot be rolled out, and trajectories shorter than the rollouts."""
        refuse_single_steps(channels)
        steps = config.training.objective.steps
        frames = channels.history + steps * channels.pace
        for name in ("train", "validate"):
            if parts[name].n_times < frames:
                raise InputError(
                    f"training.objective.steps that fit into the {parts[name].n_times} times of the {name} part",
                    f"{steps}, which take {frames}",
                    "take fewer steps, or longer trajectories",
                )

    @property
    def passes(self) -> int:
        """One for each step."""
        return self.config.objective.steps

    def on_train_epoch_start(self) -> None:
        """Say where rollouts grow."""
        super().on_train_epoch_start()
        now, before = (self._length(self.current_epoch - n) for n in (0, 1))
        if self.current_epoch == 0 or now > before:
            log.info("epoch %d: rollouts of %d step%s", self.current_epoch + 1, now, "s" * (now > 1))

    def _length(self, epoch: int) -> int:
        """n of an epoch."""
        how = self.config.objective
        return rollout_steps(epoch, self.config.epochs, how.steps, how.grow)

    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """Of all steps."""
        return self.unrolled(batch, shifts, self.config.objective.steps)

    def minimised(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """Of as many steps as this epoch has."""
        return self.unrolled(batch, shifts, self._length(self.current_epoch))

    def unrolled(self, batch: Batch, shifts: list[int], steps: int) -> Float[Tensor, ""]:
        """The mean over the first ``steps``."""
        start = self.step.state_of(batch.frames)
        unit = None if self.step.complete else units(self.step, start).expand(-1, steps, -1, *start.shape[2:])
        found, target = zip(*self._steps(start, batch, shifts, steps), strict=True)
        return self.error(torch.cat(found, 1), torch.cat(target, 1), unit)

    def _steps(
        self, state: Tensor, batch: Batch, shifts: list[int], steps: int
    ) -> Iterator[tuple[Float[Tensor, "batch 1 target *space"], Float[Tensor, "batch 1 target *space"]]]:
        """(f, what f ought to be) of each step."""
        step, first = self.step, self.step.channels.history
        back = [-cells for cells in shifts]
        context = self.context(batch)
        for k in range(steps):
            inputs = self.rolled(step.inputs(state, context), shifts)
            f = self.rolled(self.outputs(inputs, context), back)
            truth = batch.frames[:, first + k, : len(step.channels.targets)]
            yield f, ((truth - step.base(state)) / step.scale[0])[:, None]
            state = following(state, step.applied(f, state, context)[:, 0], step.channels)
            if self.config.objective.gradient == "last":
                state = state.detach()
            context = context.advanced(step.dt)


def rollout_steps(epoch: int, epochs: int, steps: int, grow: float | int) -> int:
    """n = 1 + floor((steps - 1) epoch / (grow epochs)), at most ``steps``.

    A function of the epoch alone, so that a resumed training goes on with the right one.
    """
    if grow == 0:
        return steps
    return min(steps, 1 + math.floor((steps - 1) * epoch / (grow * epochs) + 1e-9))


def refuse_single_steps(channels: Channels) -> None:
    """What is not known beyond the present, several leads, and frames between those of a step."""
    if channels.predictor:
        raise InputError(
            f"one step, as {', '.join(channels.predictor)} is not known beyond the present",
            "training.objective.kind unrolled",
            "take next-step, or make it a forcing or a variable",
        )
    if len(channels.leads) > 1:
        raise InputError(
            "one of data.leads where training.objective.kind is unrolled",
            str(list(channels.leads)),
            "leave the others out: they are steps of the rollout",
        )
    if channels.history > 1 and channels.pace > 1:
        raise InputError(
            f"frames a step of the model apart (data.leads {[channels.pace]}) in rollouts",
            f"data.history {channels.history} of frames a step of the data apart",
            "set data.stride to the lead and data.leads to [1], or data.history to 1",
        )
