"""What a run keeps to go on from, and to end with."""

from __future__ import annotations

import logging
import math
import os
import time
from pathlib import Path
from typing import Any

import lightning as L
import torch
import torch.distributed as dist
from lightning.pytorch.callbacks import Checkpoint

from gridvit.cluster.preflight import helping
from gridvit.config import REQUEUE_FILE
from gridvit.training.interruption import (
    CTRL_C_EXIT,
    LEAVE,
    NOTHING,
    REQUEUE_EXIT,
    SAVE,
    Interrupted,
    Signals,
)  # fmt: skip
from gridvit.training.objectives.base import Objective
from gridvit.training.processes import gathered, rank, world
from gridvit.training.randomness import random_state, set_random_state
from gridvit.training.storage import BEST, LAST, Storage

log = logging.getLogger("gridvit")


class Checkpoints(Checkpoint):
    """``last.ckpt`` after every epoch and every few minutes, ``best.ckpt`` after the lowest validation loss so far.

    The minutes count from the checkpoint before; one is taken between two steps of the optimiser, never where
    validation or the end of the epoch comes next, which Lightning would leave out when it goes on from there. At the
    same places the run obeys signals, all processes together: it saves and leaves.

    A checkpoint holds the random numbers and the mean loss so far of every process, and no path, so a run folder can be
    moved before it goes on. Lightning calls a ``Checkpoint`` after all other callbacks, which its own loops, and the
    moving average of the weights, count on.

    Args:
        folder: of the run; checkpoints go to ``checkpoints`` in it.
        minutes: between checkpoints; 0 for the ends of epochs alone.
        signals: that may end the run.
        storage: that writes the files.
    """

    def __init__(self, folder: Path, minutes: float | int, signals: Signals, storage: Storage) -> None:
        self.folder, self.seconds, self.signals, self.storage = folder, 60 * minutes, signals, storage
        self.lowest = math.inf
        self._saved = 0.0
        self._random: list[dict[str, Any]] = []
        self._position: dict[str, Any] | None = None
        self._quick: dist.ProcessGroup | None = None

    def state_dict(self) -> dict[str, Any]:
        """The lowest validation loss so far, and what random numbers come next in each process."""
        return {"lowest": self.lowest, "random": gathered(random_state())}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it; random numbers when all is set up."""
        self.lowest, self._random = state_dict["lowest"], state_dict["random"]

    def on_save_checkpoint(
        self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """The mean loss of the epoch so far, and its next batch."""
        assert isinstance(module, Objective)
        checkpoint["train_loss"] = gathered(module.means["train_loss"].state())
        checkpoint["position"] = trainer.train_dataloader.position()

    def on_load_checkpoint(
        self, trainer: L.Trainer, module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Go on from there."""
        assert isinstance(module, Objective)
        module.means["train_loss"].go_on_from(checkpoint["train_loss"], trainer.strategy.root_device)
        self._position = checkpoint["position"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """From here on a checkpoint holds all that has happened."""
        assert isinstance(module, Objective)
        if trainer.is_global_zero:
            (self.folder / REQUEUE_FILE).unlink(missing_ok=True)
        self.signals.listen()
        self._quick = dist.new_group(backend="gloo") if world() > 1 else None
        if len(self._random) == world():
            set_random_state(self._random[rank()])
        elif rank() > 0:  # a new process must not draw what the first one draws
            L.seed_everything(module.config.seed + rank(), workers=True, verbose=False)
        if self._position is not None:
            trainer.train_dataloader.go_on_from(self._position)
        self._saved = time.monotonic()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where it is time or a signal came."""
        if not between_steps(trainer, batch_idx):
            return
        due = 0 < self.seconds < time.monotonic() - self._saved
        wish = self._agreed(max(self.signals.wish, SAVE if due else NOTHING))
        if wish != NOTHING:
            self._save(trainer, LAST)
            self._obey(trainer, wish)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Validation of the epoch has run by now."""
        loss = float(trainer.callback_metrics["validate_loss"])
        best, before = loss < self.lowest, self.lowest
        self.lowest = loss if best else before
        if best and self._save(trainer, BEST):
            self._save_again(trainer)
        else:
            self.lowest = before
            self._save(trainer, LAST)
        if trainer.current_epoch + 1 < trainer.max_epochs:
            self._obey(trainer, self._agreed(self.signals.wish))

    def _agreed(self, wish: int) -> int:
        """The strongest wish of all processes, by their CPUs: a device would have to be waited for in every step."""
        if self._quick is None:
            return wish
        wishes = torch.tensor(wish)
        dist.all_reduce(wishes, dist.ReduceOp.MAX, self._quick)
        return int(wishes)

    def _save(self, trainer: L.Trainer, name: str) -> bool:
        """Whether it was written."""
        trainer.save_checkpoint(self.folder / "checkpoints" / name)
        self._saved = time.monotonic()
        return not trainer.strategy.broadcast(self.storage.failed)

    def _save_again(self, trainer: L.Trainer) -> None:
        """The last checkpoint is the best one: one file with two names, if that is possible."""
        folder = self.folder / "checkpoints"
        linked = trainer.is_global_zero and self.storage.link(folder / BEST, folder / LAST)
        if not trainer.strategy.broadcast(linked):
            self._save(trainer, LAST)

    def _obey(self, trainer: L.Trainer, wish: int) -> None:
        """Leave, if that is wished; the marker tells a batch script to start the run again."""
        if wish <= SAVE:
            return
        if wish != LEAVE and trainer.is_global_zero:
            for marker in (self.folder / REQUEUE_FILE, os.environ.get("GRIDVIT_REQUEUE")):
                if marker:
                    Path(marker).touch()
        log.info(
            "stopped after step %d by a signal; the same command goes on from there", trainer.global_step
        )
        trainer.strategy.barrier("stopped")
        status = CTRL_C_EXIT if wish == LEAVE else REQUEUE_EXIT
        raise Interrupted(0 if helping() else status)


def between_steps(trainer: L.Trainer, batch_idx: int) -> bool:
    """Whether the optimiser has made its step, and another batch comes next rather than validation."""
    if trainer.is_last_batch or trainer.fit_loop._should_accumulate():
        return False
    every = trainer.val_check_batch
    return not (trainer.enable_validation and every != math.inf and (batch_idx + 1) % every == 0)
