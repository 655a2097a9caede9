"""The weights after chosen epochs, each in a model file of its own: what a network was while it learned."""

from __future__ import annotations

import logging
from copy import deepcopy
from pathlib import Path

import lightning as L

from gridvit import checkpoint
from gridvit.errors import InputError
from gridvit.nn.lora import merge
from gridvit.training.objectives import Objective
from gridvit.training.plan import Plan

log = logging.getLogger("gridvit")
SNAPSHOTS = "snapshots"


class Snapshots(L.Callback):
    """``snapshots/epoch_0005.safetensors`` after the epochs of ``training.keep``; 0 is before the first.

    They are the weights that are validated, those of ``training.ema`` where there are some, and load as any model file
    does. Where one cannot be written training goes on.

    Args:
        plan: of the run.
        folder: of the run.
    """

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan, self.folder, self.wanted = plan, folder / SNAPSHOTS, set(plan.config.training.keep)

    def on_train_start(self, trainer: L.Trainer, module: Objective) -> None:
        """Before the first step."""
        if trainer.global_step == 0:
            self._keep(trainer, module, 0)

    def on_validation_epoch_end(self, trainer: L.Trainer, module: Objective) -> None:
        """With the weights that were validated."""
        self._keep(trainer, module, trainer.current_epoch + 1)

    def _keep(self, trainer: L.Trainer, module: Objective, epoch: int) -> None:
        if epoch not in self.wanted or not trainer.is_global_zero:
            return
        model = deepcopy(module.step)
        merge(model)
        try:
            self.folder.mkdir(exist_ok=True)
            path = self.folder / f"epoch_{epoch:04d}.safetensors"
            checkpoint.save(path, model, self.plan.description, self.plan.head)
        except (OSError, InputError) as error:
            log.warning("no snapshot after epoch %d: %s", epoch, error)


def snapshots(folder: Path) -> dict[int, Path]:
    """The model files that a run kept, by epoch."""
    found = sorted((folder / SNAPSHOTS).glob("epoch_*.safetensors"))
    return {int(path.stem.removeprefix("epoch_")): path for path in found}
