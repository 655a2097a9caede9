"""The trunk that all objectives share: a model, its cell weights, the optimiser, and what is logged."""

from __future__ import annotations

from abc import abstractmethod
from functools import partial
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.channels import Channels
from gridvit.config import RunConfig, TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.nn import ViT
from gridvit.nn.reach import Reach
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.training.losses import present_error, variable_weights
from gridvit.training.means import Mean
from gridvit.training.noise import short_waves
from gridvit.training.persistence import still
from gridvit.training.processes import rank, summed, world
from gridvit.training.schedule import decayed_groups, good_learning_rate, schedule_of
from gridvit.training.slopes import Slopes

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
    importance: Tensor | None
    forecasts = True
    """Whether the model that it trains is a step of a forecast, which persistence can be set beside."""

    def __init__(self, step: ModelStep, config: TrainingConfig) -> None:
        super().__init__()
        self.step, self.config = step, config
        areas = torch.tensor(step.grid.areas).float()
        self.register_buffer("weights", areas / areas.mean(), persistent=False)
        self.means = {name: Mean() for name in ("train_loss", "validate_loss", "persistence_loss")}
        self.terms: Tensor | None = None
        own = variable_weights(config.weights, step.channels.targets) if config.weights else None
        self.register_buffer("importance", None if own is None else torch.tensor(own), persistent=False)
        self.slopes = Slopes(step.grid) if config.slopes else None
        self.reach = Reach(step.attending) if config.reach else None
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

    def context(self, batch: Batch) -> Context:
        """Of the states at t."""
        known = self.step.known_of(batch.frames[:, self.step.channels.history - 1 :])
        return Context(batch.time, known, batch.condition)

    def outputs(
        self, inputs: Float[Tensor, "batch input *space"], context: Context, leads: slice = slice(None)
    ) -> Tensor:
        """f(x) of the network, which in training is looked at where ``training.reach`` is not 0."""
        look = self.reach.see if self.reach is not None and torch.is_grad_enabled() else None
        return self.step.outputs(inputs, condition=self.step.condition(context), leads=leads, look=look)

    def error(
        self,
        found: Float[Tensor, "batch lead target *space"],
        target: Float[Tensor, "batch lead target *space"],
        unit: Float[Tensor, "batch lead target *space"] | None = None,
    ) -> Float[Tensor, ""]:
        """mean of w |found - target|^2, w the areas of the cells over their mean, times ``training.weights``.

        With ``unit`` errors count by it, and only cells enter where it is not zero and the target has a value, as
        the mean over their area in each state; see ``present_error``. With ``training.slopes`` l the same of the
        slopes, in units of 1 / l, is added for each axis.
        """
        if unit is not None:
            found, target = found * unit, torch.where(unit > 0, target, torch.nan) * unit
        error, self.terms = self._square(found, target, self.weights, unit is not None)
        if self.slopes is None:
            return error
        for axis in self.slopes.axes:
            pair = self.slopes(found, axis), self.slopes(target, axis)
            square, _ = self._square(*pair, self.slopes.weights(axis), unit is not None)
            error = error + self.config.slopes**2 * square
        return error

    def _square(
        self, found: Tensor, target: Tensor, weights: Tensor, gaps: bool
    ) -> tuple[Float[Tensor, ""], Tensor | None]:
        """The mean of w |found - target|^2; with gaps over what is there, and of how many terms."""
        own = self.importance
        if not gaps:
            square = (found - target).square() * weights
            return (square if own is None else square * own.view(-1, *[1] * weights.ndim)).mean(), None
        own = None if own is None else own.repeat(found.shape[1])
        return present_error(found.flatten(1, 2), target.flatten(1, 2), weights, own)

    def on_fit_start(self) -> None:
        """Refuse a mixed precision that cannot hold the distance bias; of shards it is refused before they are cut."""
        if self.config.strategy != "shard":
            self.check_precision(str(self.trainer.precision))

    def check_precision(self, precision: str) -> None:
        """Refuse a mixed precision, by Lightning's name, that cannot hold the distance bias."""
        dtype = MIXED.get(precision)
        for network in self.step.modules():
            if isinstance(network, ViT) and dtype is not None:
                network.check_precision(dtype)

    def disturbed(self, batch: Batch) -> Batch:
        """u + sigma_d (noise xi + grid_noise eta) of prognostic variables up to t, xi white and eta of short waves.

        What is predicted stays: the model learns the way back to the data, as A. Sanchez-Gonzalez et al. (2020),
        arXiv:2002.09405, train simulators of particles. A boundary that is given stays, and what is missing.
        """
        step, frames = self.step, batch.frames.clone()
        past = frames[:, : step.channels.history, : len(step.channels.prognostic)]
        seed = np.random.SeedSequence([self.config.seed, self.global_step, rank()]).generate_state(1)[0]
        draw = torch.Generator().manual_seed(int(seed))
        xi = torch.zeros(past.shape)
        if self.config.noise:
            xi += self.config.noise * torch.randn(past.shape, generator=draw)
        if self.config.grid_noise:
            xi += self.config.grid_noise * short_waves(
                torch.randn(past.shape, generator=draw), step.grid.ndim
            )
        xi = xi.to(past)
        if step.given is not None:
            xi = xi.masked_fill(step.given.to(xi.device), 0.0)
        past += step.increment_std[0, : past.shape[2]] * xi
        return batch._replace(frames=frames)

    def shifts(self) -> list[int]:
        """Cells to roll along each shift axis in this step."""
        if not self.shift_axes:
            return []
        generator = torch.Generator().manual_seed(self.config.seed * 1_000_003 + self.global_step)
        shape = self.step.grid.shape
        return [int(torch.randint(shape[axis], (), generator=generator)) for axis in self.shift_axes]

    def rolled(self, fields: Tensor, shifts: list[int]) -> Tensor:
        """Fields ``(.., *space)`` moved by these cells along the shift axes."""
        if not shifts:
            return fields
        return torch.roll(fields, shifts, [axis - self.step.grid.ndim for axis in self.shift_axes])

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """The loss of a rolled batch, and how far attention looks, which is not part of what is logged."""
        if self.config.noise or self.config.grid_noise:
            batch = self.disturbed(batch)
        loss = self.minimised(batch, self.shifts())
        share = self.counted("train_loss", loss, batch)
        if self.reach is not None:
            loss = loss + self.config.reach * self.reach.taken()
        return loss if share is None else loss * share

    def counted(self, name: str, loss: Float[Tensor, ""], batch: Batch) -> Float[Tensor, ""] | None:
        """Add a loss to the mean ``name``; of R processes R c_r / sum_r c_r, c_r the terms of its mean in this one.

        So weighted, the mean over processes, which is what becomes of their gradients, is that over all terms of the
        step's batch, however they are shared out. Terms are windows, or what ``error`` counted where there are gaps.
        """
        if world() == 1:
            self.means[name].add(loss, len(batch.time))
            return None
        windows = loss.new_tensor(len(batch.time) * batch.counts, dtype=torch.float64)
        terms = windows if self.terms is None else self.terms.double() * batch.counts
        all_terms, all_windows = summed(torch.stack([terms, windows]))
        share = (terms / all_terms.clamp(min=1e-6)).to(loss.dtype)
        self.means[name].add(loss * share, all_windows)
        return share * world()

    def persistence_loss(self, batch: Batch) -> Float[Tensor, ""] | None:
        """The loss where the network says nothing, f = 0; None for an objective that does not forecast.

        Prognostic variables then stay as they are, and diagnostic ones have their mean.
        """
        if not self.forecasts:
            return None
        with still(self.step):
            return self.loss(batch, [])

    def validation_step(self, batch: Batch, index: int) -> None:
        """The loss as it is, and that of persistence on the same windows."""
        self.counted("validate_loss", self.loss(batch, []), batch)
        persistence = self.persistence_loss(batch)
        if persistence is not None:
            self.counted("persistence_loss", persistence, batch)

    def on_validation_epoch_end(self) -> None:
        """The means over the epoch and over the validation windows, for callbacks and loggers."""
        for name, mean in self.means.items():
            if mean.count:
                self.log(name, mean.value())
            mean.reset()

    def configure_optimizers(self) -> Any:
        """AdamW with the learning rate that ``schedule`` says over the whole run."""
        config = self.config
        peak = config.learning_rate or good_learning_rate(self.step.network.config.width)
        optimizer = torch.optim.AdamW(decayed_groups(self, config.weight_decay), lr=peak, betas=(0.9, 0.95))
        total = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, partial(schedule_of(config), total=total))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def refuse_terms(config: TrainingConfig, *names: str) -> None:
    """Terms of the loss that this kind of objective has no use for."""
    for name in names:
        if value := getattr(config, name):
            raise InputError(
                f"no training.{name} for training.objective.kind {config.objective.kind}",
                str(value),
                "leave it out",
            )
