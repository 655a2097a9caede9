"""One row of metrics an epoch, in a CSV file that survives interruption."""

from __future__ import annotations

import csv
import logging
import os
import time
from pathlib import Path
from typing import Any

import lightning as L

COLUMNS = ("epoch", "step", "train_loss", "validate_loss", "learning_rate", "seconds")
log = logging.getLogger("gridvit")


class MetricsFile(L.Callback):
    """``epoch, step, train_loss, validate_loss, learning_rate, seconds`` of each epoch.

    The rows are part of the checkpoint, so a resumed run has those of the epochs that its state has seen, and no
    others. ``seconds`` is the wall time of the epoch in which it trained.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, Any]] = []
        self._started, self._spent = 0.0, 0.0

    def state_dict(self) -> dict[str, Any]:
        """The rows so far, and how long this epoch has taken."""
        return {"rows": self.rows, "spent": time.monotonic() - self._started}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from them."""
        self.rows, self._spent = state_dict["rows"], state_dict["spent"]

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """A file of the rows that the restored state has seen."""
        self._started = time.monotonic() - self._spent
        self._write(trainer)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the row; validation of the epoch has run by now."""
        metrics = trainer.callback_metrics
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "train_loss": float(metrics["train_loss"]),
            "validate_loss": float(metrics["validate_loss"]),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._started, 3),
        }
        self.rows.append(row)
        self._write(trainer)
        if trainer.progress_bar_callback is not None:  # it says the same on a terminal
            return
        left = (trainer.max_epochs - row["epoch"] - 1) * row["seconds"]
        log.info(
            "epoch %d/%d  train %.4f  validate %.4f  %.1f s, about %.0f s left",
            row["epoch"] + 1, trainer.max_epochs, row["train_loss"], row["validate_loss"], row["seconds"], left,
        )  # fmt: skip

    def _write(self, trainer: L.Trainer) -> None:
        """All rows by a temporary name and a rename; where the disk is full the next epoch writes them."""
        if not trainer.is_global_zero:
            return
        temporary = self.path.with_suffix(".tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("w", newline="") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(self.rows)
            os.replace(temporary, self.path)
        except OSError as error:
            log.warning("%s was not written (%s): training goes on", self.path, error)


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file as numbers; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {key: int(row[key]) if key in ("epoch", "step") else float(row[key]) for key in COLUMNS}
        for row in rows
    ]
