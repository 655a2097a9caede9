"""One row of metrics an epoch, in a CSV file that survives interruption."""

from __future__ import annotations

import csv
import logging
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


log = logging.getLogger("gridvit")


class MetricsFile(L.Callback):
    """A row of ``COLUMNS`` for each epoch.

    validate_skill = 1 - L(f) / L(0), with L(f) the loss over all validation windows, ``validate_loss``, and L(0) that
    of a network whose output is 0 on the same windows, ``persistence_loss``: prognostic variables stay as they are,
    diagnostic ones have their mean. Of increments in units of sigma_d, L(0) is near 1, and not 1 where the validation
    part moves more or less than the training part. Both are empty for an objective that does not forecast.

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
        row = {
            "epoch": trainer.current_epoch,
            "step": trainer.global_step,
            **losses_of(trainer),
            "learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.monotonic() - self._started, 3),
        }
        self.rows.append(row)
        self._write(trainer)

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
                writer.writerows(map(_written, self.rows))
            os.replace(temporary, self.path)
        except OSError as error:
            log.warning("%s was not written (%s): training goes on", self.path, error)


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
