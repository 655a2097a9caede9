"""One row of metrics an epoch, in a CSV file that survives interruption."""

from __future__ import annotations

import csv
import math
import os
import time
from pathlib import Path
from typing import Any

import lightning as L

from gridvit.training.persistence import skill

COLUMNS = (
    "epoch",
    "step",
    "train_loss",
    "validate_loss",
    "persistence_loss",
    "validate_skill",
    "learning_rate",
    "seconds",
)


class MetricsFile(L.Callback):
    """Appends a row of ``COLUMNS`` after each epoch.

    validate_skill = 1 - L(f) / L(0), with L(f) the loss over all validation windows, ``validate_loss``, and L(0) that
    of a network whose output is 0 on the same windows, ``persistence_loss``: prognostic variables stay as they are,
    diagnostic ones have their mean. Of increments in units of sigma_d, L(0) is near 1, and not 1 where the validation
    part moves more or less than the training part. Both are empty for an objective that does not forecast.

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
            writer.writerows(map(_written, rows))
        os.replace(temporary, self.path)

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clock."""
        self._started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Write the row; validation of the epoch has run by now."""
        if not trainer.is_global_zero:
            return
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            **losses_of(trainer),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._started, 3),
        }
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, COLUMNS).writerow(_written(row))


def losses_of(trainer: L.Trainer) -> dict[str, float]:
    """The losses of the last epoch and the skill, as ``MetricsFile`` defines them; NaN where there are none."""
    names = ("train_loss", "validate_loss", "persistence_loss")
    found = {name: float(trainer.callback_metrics.get(name, math.nan)) for name in names}
    return {**found, "validate_skill": skill(found["validate_loss"], found["persistence_loss"])}


def _written(row: dict[str, Any]) -> dict[str, Any]:
    """What is not known is left empty."""
    return {
        key: "" if isinstance(value, float) and math.isnan(value) else value for key, value in row.items()
    }


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Rows of a metrics file as numbers, NaN where one is empty; none where there is no file."""
    if not path.exists():
        return []
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return [
        {key: int(row[key]) if key in ("epoch", "step") else float(row.get(key) or "nan") for key in COLUMNS}
        for row in rows
    ]
