"""The trunk that all objectives share: a model, its cell weights, the optimiser, and what is logged."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import lightning as L
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.config import TrainingConfig
from gridvit.data.samples import Batch
from gridvit.nn import ViT
from gridvit.nn.step import ModelStep
from gridvit.training.means import Mean
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
        self.training_mean, self.validation_mean = Mean(), Mean()
        self.shift_axes = [step.grid.names.index(name) for name in config.shift]

    @property
    def offsets(self) -> tuple[int, ...]:
        """Steps of the data, from t, of the frames that a window holds."""
        return self.step.channels.offsets

    @abstractmethod
    def loss(self, batch: Batch, shifts: list[int]) -> Float[Tensor, ""]:
        """What is minimised, of a batch rolled by ``shifts`` cells along the shift axes."""

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
        loss = self.loss(batch, self.shifts())
        self.training_mean.add(loss, len(batch.time))
        return loss

    def on_train_epoch_start(self) -> None:
        """Its loss counts from here; not called where an epoch goes on in its middle."""
        self.training_mean.reset()

    def validation_step(self, batch: Batch, index: int) -> None:
        """The loss as it is."""
        self.validation_mean.add(self.loss(batch, []), len(batch.time))

    def on_validation_epoch_end(self) -> None:
        """Both means, for callbacks and loggers."""
        self.log("train_loss", self.training_mean.value(), prog_bar=True)
        self.log("validate_loss", self.validation_mean.value(), prog_bar=True)
        self.validation_mean.reset()

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
