"""Metrics to TensorBoard or Weights & Biases, beside the CSV file."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import lightning as L

from gridvit.config import RunConfig
from gridvit.errors import InputError
from gridvit.files import put
from gridvit.training.metrics import MetricsFile

PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "wandb": ("wandb",)}
"""Any one of which a kind of logger needs."""


class Logger(Protocol):
    """Takes a row of ``metrics.csv`` after each epoch."""

    def write(self, row: dict[str, Any]) -> None:
        """Of one epoch."""

    def close(self) -> None:
        """No more will come."""


class TensorBoard:
    """Event files in ``tensorboard/`` of the run; training that goes on after ``step`` hides what was written beyond.

    Args:
        folder: of the run.
        config: of the run.
        step: of the optimiser that training goes on from, 0 at its beginning.
    """

    def __init__(self, folder: Path, config: RunConfig, step: int) -> None:
        home = "torch.utils.tensorboard" if find_spec("tensorboard") else "tensorboardX"
        purged = step + 1 if step else None
        own = f".{step:012d}"  # a file that goes on within the same second would else have the name of the first
        self.writer = import_module(home).SummaryWriter(
            str(folder / "tensorboard"), purge_step=purged, filename_suffix=own
        )

    def write(self, row: dict[str, Any]) -> None:
        """Each column against the step."""
        for name in row.keys() - {"epoch", "step"}:
            self.writer.add_scalar(name, row[name], int(row["step"]))
        self.writer.flush()

    def close(self) -> None:
        """Close the file."""
        self.writer.close()


class WandB:
    """A run of Weights & Biases of one id, kept in ``wandb/id`` of the run, so that resuming goes on with it.

    Its step is the epoch; of an epoch that is written again the service keeps one. ``WANDB_MODE=offline`` and its other
    variables work as ever.
    """

    def __init__(self, folder: Path, config: RunConfig, step: int) -> None:
        wandb, chosen = import_module("wandb"), config.training.logger
        known = folder / "wandb" / "id"
        known.parent.mkdir(exist_ok=True)
        if not known.is_file():
            put(known, uuid.uuid4().hex)
        try:
            self.run = wandb.init(
                project=chosen.project, name=chosen.name or config.name, id=known.read_text(), resume="allow",
                dir=str(folder), config=asdict(config),
            )  # fmt: skip
        except wandb.Error as error:
            raise InputError(
                "Weights & Biases that can be reached",
                " ".join(str(error).split()),
                "wandb login, WANDB_MODE=offline, or training.logger.kind csv",
            ) from None

    def write(self, row: dict[str, Any]) -> None:
        """All columns at the epoch."""
        self.run.log({name: value for name, value in row.items() if name != "epoch"}, step=int(row["epoch"]))

    def close(self) -> None:
        """Send what is left."""
        self.run.finish()


LOGGERS: dict[str, Callable[[Path, RunConfig, int], Logger]] = {"tensorboard": TensorBoard, "wandb": WandB}


class Logged(L.Callback):
    """Hands each new row of ``metrics`` on, from one process; a callback that comes after it."""

    def __init__(self, folder: Path, config: RunConfig, metrics: MetricsFile) -> None:
        self.folder, self.config, self.metrics = folder, config, metrics
        self.logger: Logger | None = None

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Open it."""
        if trainer.is_global_zero:
            make = LOGGERS[self.config.training.logger.kind]
            self.logger = make(self.folder, self.config, trainer.global_step)

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """The last row is that of this epoch."""
        if self.logger is not None:
            row = self.metrics.rows[-1]
            self.logger.write({name: value for name, value in row.items() if value == value})

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        """Close it: there is no teardown then."""
        self.teardown(trainer, module, "fit")

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Close it."""
        if self.logger is not None:
            self.logger.close()
            self.logger = None


def refuse_missing(kind: str) -> None:
    """A logger whose package is not installed.

    Raises:
        InputError: naming the command that installs it.
    """
    packages = PACKAGES.get(kind, ())
    if packages and not any(find_spec(name) for name in packages):
        raise InputError(
            f"the package {packages[0]} for training.logger.kind {kind}",
            "none",
            f"pip install 'gridvit[{kind}]', or leave the logger out: metrics.csv is always written",
        )
