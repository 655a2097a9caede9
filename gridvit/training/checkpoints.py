"""What a run keeps to go on from, and to end with."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

LAST, BEST = "last.ckpt", "best.ckpt"


class Checkpoints(Checkpoint):
    """``last.ckpt`` after every epoch, ``best.ckpt`` after those with the lowest validation loss so far.

    The lowest loss is part of the checkpoint and no path is, so a run folder can be moved before it goes on. Each
    file is written under a temporary name and renamed: a crash leaves the one before. Lightning calls a
    ``Checkpoint`` after all other callbacks of an epoch, which its own loops count on.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.lowest = folder, math.inf

    def state_dict(self) -> dict[str, Any]:
        """The lowest validation loss so far."""
        return {"lowest": self.lowest}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from it."""
        self.lowest = state_dict["lowest"]

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Validation of the epoch has run by now."""
        loss = float(trainer.callback_metrics["validate_loss"])
        if loss < self.lowest:
            self.lowest = loss
            self._save(trainer, BEST)
        self._save(trainer, LAST)

    def _save(self, trainer: L.Trainer, name: str) -> None:
        temporary = self.folder / f"{name}.tmp"
        trainer.save_checkpoint(temporary)
        os.replace(temporary, self.folder / name)
