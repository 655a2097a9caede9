"""A training that diverges stops at once, and says where that began."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import torch
from torch import Tensor
from torch.optim import Optimizer

from gridvit.data.fields import Fields
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.training.blame import Blame, each
from gridvit.training.metrics import losses_of
from gridvit.training.objectives import Objective
from gridvit.training.processes import gathered, world

BOUND = 1000.0
"""A loss of so many times that of persistence has exploded; so has a forecast of so many times the variance."""
EVERY, TIMES = 50, 3
"""Steps between two looks at how large the loss is, and looks on end at which it must be too large."""
DO = (
    "the checkpoints before it are kept, and from them it would do so again: take another --name with a lower "
    "training.learning_rate or training.clip, or mend the data there"
)


class Diverged(InputError):
    """A training whose loss or forecasts left all bounds: going on from its last checkpoint does so again."""

    shared = True


class Watch(L.Callback):
    """Stops a training whose loss is not finite or larger than ``BOUND`` times that of persistence.

    Before each update the loss must be finite: the weights are still those that made it, so window and variable can
    be found by running them again. Gradients that overflow make the weights, and so the next loss, not finite. On a
    device the number is copied while the gradient is computed, so nothing waits for it. How large the loss is is
    looked at every ``EVERY`` steps, and after each validation.

    Of several processes none stops alone, which would leave the others waiting: they stop when the sum of the
    gradients has reached all, a step later, with what each has found.

    Args:
        train: the part that trains; ``validate`` the one that validates.

    Raises:
        Diverged: naming step, epoch, batch, window and variable.
    """

    def __init__(self, train: Fields, validate: Fields) -> None:
        self.parts = {"train": train, "validate": validate}
        self.batch: Batch | None = None
        self.index, self.high = 0, 0
        self.copied: torch.cuda.Event | None = None
        self.found = ""

    def on_train_batch_start(self, trainer: L.Trainer, module: Objective, batch: Any, batch_idx: int) -> None:
        """Hold the batch as long as its step takes."""
        self.batch, self.index = batch, batch_idx

    def on_before_backward(self, trainer: L.Trainer, module: Objective, loss: Tensor) -> None:
        """Send for the number."""
        self.loss = loss.detach()
        if self.loss.is_cuda:
            self.loss = torch.empty((), pin_memory=True).copy_(self.loss, non_blocking=True)
            self.copied = torch.cuda.Event()
            self.copied.record()

    def on_before_optimizer_step(self, trainer: L.Trainer, module: Objective, optimizer: Optimizer) -> None:
        """Look at it."""
        if self.copied is not None:
            self.copied.synchronize()
        if math.isfinite(float(self.loss)) or self.batch is None:
            return
        broken, blame = broken_weights(module), Blame(module, self.parts["train"], "train")
        where = f"step {trainer.global_step + 1} (epoch {trainer.current_epoch + 1}, batch {self.index + 1})"
        got = f"{float(self.loss)} at {where}"
        if broken:
            cause = f"after the gradient of the step before had made the weights {broken!r} so"
        elif sharded(module) and not module.forecasts:
            cause = "in shards that no process can look into alone"
        elif sharded(module):
            cause = f"farthest from the mean are {blame.data_alone(self.batch)}"
        else:
            cause = blame.first(self.batch)
        self.found = self.found or f"{got}, {cause}"
        if world() == 1 or broken:
            raise Diverged("a finite training loss", everywhere(self.found), DO)

    def on_train_batch_end(
        self, trainer: L.Trainer, module: Objective, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Every so often, see how large the loss is."""
        self.batch = None
        if trainer.global_step % EVERY:
            return
        with torch.no_grad():
            persistence = module.persistence_loss(batch)
        loss, mark = float(outputs["loss"]), math.inf if persistence is None else float(persistence)
        large = trainer.strategy.reduce_boolean_decision(bool(loss > BOUND * mark > 0), all=False)
        self.high = self.high + 1 if large else 0
        if self.high < TIMES:
            return
        where = f"step {trainer.global_step} (epoch {trainer.current_epoch + 1}, batch {batch_idx + 1})"
        raise Diverged(
            f"a training loss of at most {BOUND:g} times that of persistence",
            f"{loss:.4g}, {loss / mark:.3g} times it, at {where}{self._most(module, 'train', [batch])}",
            DO,
        )

    def on_train_epoch_end(self, trainer: L.Trainer, module: Objective) -> None:
        """Validation of the epoch has run by now."""
        if any(gathered(self.found)):  # and no weights broken: scaled gradients that overflow are left out
            raise Diverged("a finite training loss", everywhere(self.found), DO)
        found = losses_of(trainer)
        loss, mark = found["validate_loss"], found["persistence_loss"]
        if loss <= BOUND * mark or (math.isfinite(loss) and not mark > 0):
            return
        where = f"step {trainer.global_step} (end of epoch {trainer.current_epoch + 1})"
        most = self._most(module, "validate", trainer.val_dataloaders)
        raise Diverged(
            f"a validation loss of at most {BOUND:g} times that of persistence",
            f"{loss:.4g} at {where}{most}",
            DO,
        )

    def _most(self, module: Objective, part: str, batches: Any) -> str:
        """Where the loss is largest, where that can be said by this process alone."""
        if sharded(module):
            return ""
        moved = (each(batch, lambda part: part.to(module.device)) for batch in batches)
        return f", most in {Blame(module, self.parts[part], part).most(moved)}"


def broken_weights(module: torch.nn.Module) -> str:
    """The first parameter that is not finite, of this process's share; empty where all are."""
    for name, parameter in module.named_parameters():
        local = parameter.to_local() if hasattr(parameter, "to_local") else parameter
        if not bool(torch.isfinite(local).all()):
            return name
    return ""


def sharded(module: torch.nn.Module) -> bool:
    """Whether no process has all weights, so that none can run the model alone."""
    return any(hasattr(parameter, "to_local") for parameter in module.parameters())


def everywhere(found: str) -> str:
    """What the first process that found something other than broken weights says, which all of them say then."""
    every = gathered(found)
    causes = [
        f"{one} in process {rank}" for rank, one in enumerate(every) if one and "the step before" not in one
    ]
    return causes[0] if len(every) > 1 and causes else found
