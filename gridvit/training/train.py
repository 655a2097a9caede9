"""Train a model on fields in memory, resumable at every epoch."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint, RichProgressBar

from gridvit.checkpoint import Description, build
from gridvit.config import RunConfig, TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.normalise import compute
from gridvit.data.windows import partition
from gridvit.errors import InputError
from gridvit.nn.step import ModelStep
from gridvit.training.datamodule import PairsModule
from gridvit.training.metrics import MetricsFile
from gridvit.training.objective import NextStep

log = logging.getLogger("gridvit")


@dataclass(frozen=True)
class Plan:
    """All that a run needs before anything is written: checked configuration, data and an untrained model."""

    config: RunConfig
    parts: dict[str, Fields]
    model: ModelStep
    description: Description


def plan(config: RunConfig, fields: Fields) -> Plan:
    """Split the data, take the statistics of the training part, and build the model.

    Raises:
        InputError: a part of the split that is too short, a constant variable, a patch that does not fit, a shift
            along an axis that is not periodic.
    """
    parts = partition(config.data.split, fields)
    refuse_bounded_shift(config.training.shift, fields)
    L.seed_everything(config.training.seed, workers=True, verbose=False)
    description = Description.of(config.model, fields)
    return Plan(config, parts, build(description, compute(parts["train"])), description)


def fit(plan: Plan, folder: Path) -> ModelStep:
    """The model with the lowest validation loss, after ``training.epochs`` epochs.

    Checkpoints go to ``folder/checkpoints`` at the end of each epoch; where one is found, training goes on from it.
    Data order and shifts are functions of seed, epoch and step, so an interrupted run ends with the weights of an
    uninterrupted one.
    """
    objective = NextStep(plan.model, plan.config.training)
    data = PairsModule(plan.parts["train"], plan.parts["validate"], plan.config.training)
    log.info(
        "%d parameters, %d tokens, %d training pairs",
        sum(p.numel() for p in plan.model.parameters()), plan.model.token_grid.size, len(data.train),
    )  # fmt: skip
    best = _run(objective, data, plan.config.training, folder)
    state = torch.load(best, map_location="cpu", weights_only=True)["state_dict"]
    objective.load_state_dict(state, strict=False)
    return plan.model.eval()


def refuse_bounded_shift(axes: tuple[str, ...], fields: Fields) -> None:
    """Rolling along an axis with walls would move one wall's fields to the other."""
    periodic = [name for name, turns in zip(fields.grid.names, fields.grid.periodic, strict=True) if turns]
    for name in axes:
        if name not in periodic:
            raise InputError(
                f"training.shift along periodic axes ({', '.join(periodic) or 'none here'})",
                repr(name),
                "leave it out",
            )


def _run(objective: NextStep, data: PairsModule, options: TrainingConfig, folder: Path) -> Path:
    """Run Lightning; returns the checkpoint with the lowest validation loss."""
    checkpoints = folder / "checkpoints"
    keep = ModelCheckpoint(
        dirpath=checkpoints,
        filename="best",
        monitor="validate_loss",
        save_last=True,
        enable_version_counter=False,
    )
    callbacks: list[Callback] = [keep, MetricsFile(folder / "metrics.csv")]
    interactive = sys.stderr.isatty()
    if interactive:
        callbacks.append(RichProgressBar())
    last = checkpoints / "last.ckpt"
    with quiet():
        trainer = L.Trainer(
            accelerator=options.accelerator,
            devices=options.devices,
            precision=options.precision,
            max_epochs=options.epochs,
            gradient_clip_val=options.clip,
            callbacks=callbacks,
            logger=False,
            enable_progress_bar=interactive,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        try:
            trainer.fit(objective, data, ckpt_path=last if last.exists() else None, weights_only=True)
        except SystemExit as stop:  # what Lightning makes of Ctrl+C, after which it ignores further ones
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop
    return Path(keep.best_model_path)


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's advice on workers and logging does not apply to data in memory."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        for advice in (".*does not have many workers.*", ".*exists and is not empty.*"):
            warnings.filterwarnings("ignore", advice)
        yield
    logger.setLevel(level)
