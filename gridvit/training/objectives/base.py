"""The trunk that all objectives share: a model, its cell weights, the optimiser, and what is logged."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import RunConfig, TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.nn import ViT
from gridvit.nn.step import ModelStep
from gridvit.training.losses import present_error
from gridvit.training.persistence import still
from gridvit.training.schedule import decayed_groups, learning_rate_factor

MIXED = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}
"""Lightning's names of mixed precision."""


class Objective(L.LightningModule):
    """What is minimised over the batches of windows, and how; a subclass says the loss.

    Each batch is rolled along the ``shift`` axes by a number of cells that depends on seed and step alone: for a field
    whose statistics do not depend on the place along a periodic axis this is its symmetry, elsewhere it is a
    regulariser.

    Args:
        step: the model.
        config: of the optimiser.
    """

    weights: Tensor

    def __init__(self, step: ModelStep, config: TrainingConfig) -> None:
        super().__init__()
        self.step, self.config = step, config
        areas = torch.tensor(step.grid.areas).float()
        self.register_buffer("weights", areas / areas.mean(), persistent=False)
        self.shift_axes = [step.grid.names.index(name) for name in config.shift]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Steps of the data, from t, of the frames that a window holds."""
        return self.step.channels.offsets

    @property
    def passes(self) -> int:
        """Times that the network is run for a window."""
        return len(self.step.channels.leads) if self.step.network.config.leads == "condition" else 1

    @classmethod
    def refuse(cls, config: RunConfig, channels: Channels, parts: dict[str, Fields]) -> None:
        """What cannot be trained so, before anything is written: raises ``InputError``. Nothing, unless said."""

    @abstractmethod
    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """The yardstick, the same throughout a training, of a batch rolled by ``shifts`` along the shift axes."""

    def minimised(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """What is minimised at this point of the training: ``loss``, unless there is a curriculum."""
        return self.loss(batch, shifts)

    def error(
        self,
        found: Float[Tensor, "batch lead target *space"],
        target: Float[Tensor, "batch lead target *space"],
        unit: Float[Tensor, "batch lead target *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """mean of w |found - target|^2, w the areas of the cells over their mean.

        With ``unit`` errors count by it, and only cells enter where it is not zero and the target has a value, as
        the mean over their area in each state; see ``present_error``.
        """
        if unit is None:
            return ((found - target).square() * self.weights).mean()
        target = torch.where(unit > 0, target, torch.nan)
        return present_error((found * unit).flatten(1, 2), (target * unit).flatten(1, 2), self.weights)

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

    def rolled(self, fields: Tensor, shifts: list[int]) -> Tensor:
        """Fields ``(.., *space)`` moved by these cells along the shift axes."""
        if not shifts:
            return fields
        return torch.roll(fields, shifts, [axis - self.step.grid.ndim for axis in self.shift_axes])

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of a rolled batch."""
        loss = self.minimised(batch, self.shifts())
        self.log("train_loss", loss, on_step=False, on_epoch=True, prog_bar=True, batch_size=len(batch.time))
        return loss

    def persistence_loss(self, batch: Batch) -> Float[Tensor, ""] | None:
        """The loss where the network says nothing, f = 0; None for an objective that does not forecast.

        Prognostic variables then stay as they are, and diagnostic ones have their mean.
        """
        with still(self.step):
            return self.loss(batch, [])

    def validation_step(self, batch: Batch, index: int) -> None:
        """The loss as it is, and that of persistence on the same windows."""
        losses = {"validate_loss": self.loss(batch, []), "persistence_loss": self.persistence_loss(batch)}
        for name, loss in losses.items():
            if loss is not None:
                self.log(name, loss, prog_bar=True, batch_size=len(batch.time), sync_dist=True)

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
