"""Distillation of fields: the next-step objective with a teacher beside the data."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import TrainingConfig
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.step import ModelStep
from gridvit.rollout import Step, rollout
from gridvit.training.objectives.next_step import NextStep


class Distilled(NextStep):
    """loss = (1 - lambda) |f - y|^2 + lambda |f - t|^2, y = (u(t + dt) - u) / sigma_d and t = (F(u) - u) / sigma_d.

    F is any step of the same grid, variables and dt: a solver, a network of any kind. Norms, gaps and units are those
    of ``NextStep``, which is lambda = 0; lambda is ``objective.trust``. Later leads are those of a rollout of F. What
    F does not predict (diagnostic variables of a solver) is learned from the data alone. Both minima are one where F
    made the data; elsewhere the network learns a mean of both, which a solver with a known error may well worsen.

    Args:
        step: the model.
        config: of the optimiser.
        teacher: F.

    Raises:
        InputError: a teacher that ``refuse_teacher`` refuses.
    """

    def __init__(self, step: ModelStep, config: TrainingConfig, teacher: Step) -> None:
        super().__init__(step, config)
        refuse_teacher(teacher, step)
        self.teacher = (teacher,)  # the tuple: a teacher is no part of what trains, and of no checkpoint

    def on_fit_start(self) -> None:
        """Move the teacher to where the model is."""
        super().on_fit_start()
        move(self.teacher[0], self.device)

    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """See the class."""
        trust = self.config.objective.trust
        if not trust:
            return super().loss(batch, shifts)
        taught, data = self.against([self.taught(batch), self.following(batch)], batch, shifts)
        return (1 - trust) * data + trust * taught

    @torch.no_grad()
    def taught(self, batch: Batch) -> Float[Tensor, "batch lead target *space"]:
        """What the teacher says, in the place of what the data have."""
        teacher, step = self.teacher[0], self.step
        state = step.state_of(batch.frames)[:, : len(teacher.variables)]
        ahead = [round(lead) for lead in step.channels.relative_leads]
        after = rollout(teacher, state, ahead[-1], self.context(batch))[:, ahead]
        known = min(len(teacher.variables), len(step.channels.targets))
        return torch.cat([after[:, :, :known], self.following(batch)[:, :, known:]], 2)


def move(teacher: object, device: torch.device) -> None:
    """Put the weights and buffers of a teacher, if it is a module, on a device."""
    if isinstance(teacher, nn.Module):
        teacher.to(device)


def refuse_other_grid(theirs: Grid, ours: Grid) -> None:
    """A teacher sees the same cells; raises InputError with both grids."""
    if theirs != ours:
        raise InputError(
            f"a teacher on the grid of the run ({ours.describe()})",
            theirs.describe(),
            "train the teacher on that grid, or move it there (ModelStep.on, gridvit.physics.Coarse)",
        )


def refuse_teacher(teacher: Step, step: ModelStep) -> None:
    """Refuse a step that cannot teach the model ``step``.

    Raises:
        InputError: another grid, other variables than those of the model's state or the prognostic ones, another dt;
            gaps, where the teacher is no model, which fills them.
    """
    refuse_other_grid(teacher.grid, step.grid)
    names, moving = tuple(teacher.variables), step.channels.prognostic
    if not moving or names not in (moving, tuple(step.variables)):
        raise InputError(
            f"a teacher of {', '.join(moving) or 'data.variables'}, in this order",
            ", ".join(names),
            "choose the same data.variables and data.history",
        )
    if not math.isclose(teacher.dt, step.dt, rel_tol=1e-6):
        raise InputError(
            f"a teacher with the run's step of {step.dt:g}",
            f"{teacher.dt:g}",
            "change data.leads or data.stride, or repeat the teacher's step",
        )
    if not step.complete and not isinstance(teacher, ModelStep):
        raise InputError(
            "data without gaps and given boundaries for a teacher that is no gridvit model",
            "some with",
            "fill them, or let a trained run teach",
        )
