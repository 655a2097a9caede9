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
    """Appends ``epoch, step, train_loss, validate_loss, learning_rate, seconds`` after each epoch.

    On resuming, rows after the restored epoch are dropped first. ``seconds`` is the wall time of the epoch.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._started = 0.0

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Keep the rows of the epochs that the restored state has seen."""
        rows = [row for row in read_metrics(self.path) if row["epoch"] < trainer.current_epoch]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".tmp")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, self.path)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the row; validation of the epoch has run by now."""
        if not trainer.is_global_zero:
            return
        metrics = trainer.callback_metrics
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            "train_loss": float(metrics["train_loss"]),
            "validate_loss": float(metrics["validate_loss"]),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._started, 3),
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(row)
        if trainer.progress_bar_callback is not None:  # it says the same on a terminal
            return
        left = (trainer.max_epochs - row["epoch"] - 1) * row["seconds"]
        log.info(
            "epoch %d/%d  train %.4f  validate %.4f  %.1f s, about %.0f s left",
            row["epoch"] + 1, trainer.max_epochs, row["train_loss"], row["validate_loss"], row["seconds"], left,
        )  # fmt: skip


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
