"""What a training tells while it runs: a bar on a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.callbacks import ProgressBar as LightningBar
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from gridvit.training.clock import Clock, spoken
from gridvit.training.metrics import losses_of

log = logging.getLogger("gridvit")
REFRESH = 0.25  # seconds between two looks at the loss, each of which waits for the device


class EpochLine(Callback):
    """A line of the log after each epoch: losses, skill as in ``MetricsFile``, speed, time left; from one process."""

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start the clocks: an epoch may go on in its middle."""
        self.clock = Clock(trainer.global_step, int(trainer.estimated_stepping_batches))
        self.started = time.monotonic()

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Start that of the epoch."""
        self.started = time.monotonic()

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Validation of the epoch has run by now."""
        if not trainer.is_global_zero:
            return
        took, told = spoken(time.monotonic() - self.started), self.clock.told(trainer.global_step)
        log.info("%s  %s  %s, %s", _epoch(trainer), _losses(losses_of(trainer)), took, told)


class Bar(LightningBar):
    """One bar on stderr for the whole training: losses, skill as in ``MetricsFile``, speed, time left."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__()
        self.console, self.on = console or Console(stderr=True), True
        self.bar: Progress | None = None

    def disable(self) -> None:
        """Of several processes one shows it."""
        self.on = False

    def enable(self) -> None:
        """Show it again."""
        self.on = True

    def on_train_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Show it, where training begins or goes on."""
        self.clock = Clock(trainer.global_step, int(trainer.estimated_stepping_batches))
        self.shown, self.told = -math.inf, ""
        if self.on:
            columns = TextColumn("{task.description}"), BarColumn(16), TextColumn("{task.fields[told]}")
            self.bar = Progress(*columns, console=self.console, auto_refresh=False)
            self.task: TaskID = self.bar.add_task(_epoch(trainer), total=self.clock.steps, told="")
            self.bar.start()

    def on_train_batch_end(
        self, trainer: L.Trainer, module: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move it, a few times a second."""
        if self.bar is not None and time.monotonic() - self.shown > REFRESH:
            self._show(trainer, f"train {float(outputs['loss']):.4g}{self.told}")

    def on_train_epoch_end(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Tell what validation says, until the next one."""
        found = losses_of(trainer)
        self.told = _losses(found | {"train_loss": math.nan})
        self.told = f"  {self.told}" if self.told else ""
        self._show(trainer, _losses(found))

    def _show(self, trainer: L.Trainer, losses: str) -> None:
        if self.bar is None:
            return
        step = trainer.global_step
        told = f"{self.clock.told(step)}\n{losses}"  # two lines: one would not fit 80 columns
        self.bar.update(self.task, completed=step, description=_epoch(trainer), told=told, refresh=True)
        self.shown = time.monotonic()

    def on_exception(self, trainer: L.Trainer, module: L.LightningModule, exception: BaseException) -> None:
        """Give the terminal back: there is no teardown then."""
        self.teardown(trainer, module, "fit")

    def teardown(self, trainer: L.Trainer, module: L.LightningModule, stage: str) -> None:
        """Leave the line as it is."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def _epoch(trainer: L.Trainer) -> str:
    return f"epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"


def _losses(found: dict[str, float]) -> str:
    """Those that are known."""
    named = {"train": "train_loss", "validate": "validate_loss", "skill": "validate_skill"}
    known = {short: found[name] for short, name in named.items() if not math.isnan(found[name])}
    return "  ".join(
        f"{short} {value:.3f}" if short == "skill" else f"{short} {value:.4g}"
        for short, value in known.items()
    )
