"""The next-step objective: predict the normalised increment."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.config import TrainingConfig
from gridvit.data.samples import Batch
from gridvit.nn import ViT
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Lightning's names of mixed precision."""


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Linear from 0 to 1 over ``warmup`` steps, then (1 + cos(pi s)) / 2 down to 0 at ``total``."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def decayed_groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices of layers decay; biases, norms and the distance bias do not: a decayed bias would prefer l."""
    linear = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    decayed = {id(m.weight) for m in module.modules() if isinstance(m, linear)}
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) not in decayed], "weight_decay": 0.0},
    ]


def present_error(
    found: Float[Tensor, "batch variable *space"],
    target: Float[Tensor, "batch variable *space"],
    weights: Float[Tensor, "*space"],
) -> Float[Tensor, ""]:
    """mean over states and variables of sum_x w (f - y)^2 / sum_x w, x the cells where the target y is no NaN.

    A state that has no such cell of a variable does not enter; no gradient flows from the other cells.
    """
    there = ~torch.isnan(target)
    area = (there * weights).flatten(2).sum(-1)
    square = ((found - target.nan_to_num()).square() * (there * weights)).flatten(2).sum(-1)
    return (square / area.clamp(min=torch.finfo(area.dtype).tiny)).sum() / (area > 0).sum().clamp(min=1)


class NextStep(L.LightningModule):
    """loss = mean over cells (area-weighted), variables, leads and batch of |f(x) - (u(t + dt) - u(t)) / sigma_d|^2.

    Of diagnostic variables y it is |f(x) - (y(t + dt) - mu) / sigma|^2. A boundary that is given is not learned.

    Of variables with gaps only cells enter that have a value at t + dt, as the mean over their area in each state:
    every state counts the same, however much of it is there. A cell without a value at t starts from the mean, as the
    forecast does, and its error counts in units of the state, |.| sigma_d / sigma: so filling is learned, and does not
    drown the increments.

    Persistence scores 1. Each batch is rolled along the ``shift`` axes by a number of cells that depends on seed and
    step alone: for a field whose statistics do not depend on the place along a periodic axis this is its symmetry,
    elsewhere it is a regulariser.
    """

    weights: Tensor

    def __init__(self, step: ModelStep, config: TrainingConfig) -> None:
        super().__init__()
        self.step, self.config = step, config
        areas = torch.tensor(step.grid.areas).float()
        self.register_buffer("weights", areas / areas.mean(), persistent=False)
        self.shift_axes = [step.grid.names.index(name) for name in config.shift]

    def on_fit_start(self) -> None:
        """Refuse a mixed precision that cannot hold the distance bias."""
        dtype = MIXED.get(str(self.trainer.precision))
        for network in self.step.modules():
            if isinstance(network, ViT) and dtype is not None:
                network.check_precision(dtype)

    def shifts(self) -> list[int]:
        """Cells to roll along each shift axis in this step."""
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.global_step)
        shape = self.step.grid.shape
        return [int(torch.randint(shape[axis], (), generator=generator)) for axis in self.shift_axes]

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
        if shifts:
            axes = [axis - step.grid.ndim for axis in self.shift_axes]
            inputs, target = torch.roll(inputs, shifts, axes), torch.roll(target, shifts, axes)
            unit = unit if unit is None else torch.roll(unit, shifts, axes)
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

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of a rolled batch."""
        loss = self.loss(batch, self.shifts())
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.time))
        return loss

    def validation_step(self, batch: Batch, index: int) -> None:
        """The loss as it is."""
        loss = self.loss(batch, [])
        self.log("validate_loss", loss, prog_bar=True, batch_size=len(batch.time), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """AdamW with warm-up and cosine decay over the whole run."""
        config = self.config
        optimizer = torch.optim.AdamW(
            decayed_groups(self.step, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.95)
        )
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: learning_rate_factor(step, config.warmup_steps, total)
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
