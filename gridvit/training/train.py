"""Train a model on fields in memory or streamed, resumable at every epoch."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float
from lightning.pytorch.callbacks import Callback, EMAWeightAveraging, RichProgressBar

from gridvit.channels import Channels
from gridvit.checkpoint import Description, build
from gridvit.config import RunConfig
from gridvit.data.blocks import blocks
from gridvit.data.fields import Fields
from gridvit.data.measure import Measured, remeasured
from gridvit.data.normalise import refuse_new_gaps
from gridvit.data.parameters import mean_and_std
from gridvit.data.rounds import GIB
from gridvit.data.windows import partition
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.features import TIMED
from gridvit.nn.own import Network, Own
from gridvit.nn.step import ModelStep
from gridvit.training.checkpoints import BEST, LAST, Checkpoints
from gridvit.training.datamodule import Unchanged, WindowsModule
from gridvit.training.metrics import MetricsFile
from gridvit.training.objective import NextStep

log = logging.getLogger("gridvit")
PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}


@dataclass(frozen=True)
class Plan:
    """All that a run needs before anything is written: checked configuration, data and an untrained model."""

    config: RunConfig
    parts: dict[str, Fields]
    model: ModelStep
    description: Description
    measured: Measured


def plan(
    config: RunConfig, fields: Fields, known: Measured | None = None, network: Network | None = None
) -> Plan:
    """Split the data, take the statistics of the training part, and build the model.

    ``known`` is what an interrupted run had measured: used again where the files have not changed since. ``network``
    takes the place of gridvit's own; see ``Own``.

    Raises:
        InputError: data whose statistics are not those ``known``; a part of the split that is too short, a constant
            variable, a patch that does not fit, a shift along an axis that is not periodic, a variable with gaps that
            the training part does not have.
    """
    description = Description.of(config.model, config.data, fields)
    found = description.channels
    refuse_far_forecast(found, config.evaluation.leads)
    longest = max(found.leads[-1], config.evaluation.leads * found.pace)
    parts = partition(config.data.split, fields, found.history - 1 + longest)
    refuse_bounded_shift(config.training.shift, fields)
    refuse_undated(config.model.features, fields)
    L.seed_everything(config.training.seed, workers=True, verbose=False)
    measured = remeasured(parts["train"], found.leads, config.data.buffer * GIB, config.data.dask, known)
    statistics = measured.statistics
    for part in (parts["validate"], parts["test"]):
        for _, values in blocks(part.values):
            refuse_new_gaps(values, fields.names, statistics.presence)
    static = None if fields.static_values is None else standard_static(fields.static_values, fields.grid)
    own, numbers = parts["train"].parameters, None
    if own is not None:
        numbers = torch.from_numpy(mean_and_std(fields.parameter_names, own))
    return Plan(
        config, parts, build(description, statistics, static, numbers, network), description, measured
    )


def standard_static(
    values: Float[np.ndarray, "static *space"], grid: Grid
) -> Float[torch.Tensor, "static *space"]:
    """(s - <s>) / sqrt(<(s - <s>)^2>), <.> the area mean over the cells that have a value; 0 in the others."""
    there, axes = ~np.isnan(values), tuple(range(1, values.ndim))
    weights = there * grid.areas
    wide, total = np.where(there, values, 0.0).astype(np.float64), weights.sum(axis=axes, keepdims=True)
    anomaly = np.where(there, wide - (wide * weights).sum(axis=axes, keepdims=True) / total, 0.0)
    spread = np.sqrt((anomaly**2 * weights).sum(axis=axes, keepdims=True) / total)
    return torch.from_numpy(anomaly / spread).float()


def refuse_far_forecast(channels: Channels, leads: int) -> None:
    """A predictor is not known beyond the present: there is one step."""
    if channels.predictor and leads > 1:
        raise InputError(
            "evaluation.leads of 1 where data.predictors are not known beyond the present",
            str(leads),
            "set evaluation.leads to 1, or make them forcings or variables",
        )


def refuse_undated(names: tuple[str, ...], fields: Fields) -> None:
    """Features of time need dates; the time of day says nothing where a step is a calendar month."""
    timed = [name for name in names if name in TIMED]
    if timed and not fields.step.dates:
        raise InputError(f"dates for model.features {timed[0]}", str(fields.step), "leave it out")
    if "local_time" in timed and fields.step.months:
        raise InputError(
            "steps of fixed length for model.features local_time", str(fields.step), "leave it out"
        )


def fit(plan: Plan, folder: Path) -> ModelStep:
    """The model with the lowest validation loss, after ``training.epochs`` epochs.

    Checkpoints go to ``folder/checkpoints`` at the end of each epoch; where one is found, training goes on from it.
    Data order and shifts are functions of seed, epoch and step, so an interrupted run ends with the weights of an
    uninterrupted one.
    """
    objective = NextStep(plan.model, plan.config.training)
    offsets = plan.description.channels.offsets
    train, validate = plan.parts["train"], plan.parts["validate"]
    data = WindowsModule(train, validate, plan.config.training, offsets, plan.config.data.buffer * GIB)
    log.info(
        "%d parameters, %s, %d training windows",
        sum(p.numel() for p in plan.model.parameters()),
        "a network of your own" if isinstance(plan.model.network, Own) else f"{plan.model.token_grid.size} tokens",
        train.n_samples * (train.n_times - offsets[-1] + offsets[0]),
    )  # fmt: skip
    error = bias_error(plan.model)
    if error > 0:
        log.info("the series of the distance bias is right within %.2g of a logit", error)
    _run(objective, data, plan, folder)
    best = folder / "checkpoints" / BEST
    if not best.exists():
        raise InputError("a finite validation loss", "none in any epoch", "lower training.learning_rate")
    objective.load_state_dict(torch.load(best, map_location="cpu", weights_only=True)["state_dict"])
    return plan.model.eval()


def bias_error(model: ModelStep) -> float:
    """Largest error of a distance bias that a series stands for, in logits; see ``Bias.approximation_error``."""
    networks = [module for module in model.modules() if isinstance(module, ViT)]
    return max((float(bias.approximation_error().max()) for n in networks for bias in n.biases), default=0.0)


def refuse_bounded_shift(axes: tuple[str, ...], fields: Fields) -> None:
    """Rolling would move the fields of one wall to the other; on a curvilinear mesh no two columns are alike."""
    grid = fields.grid
    rolls = [turns and grid.mesh is None for turns in grid.periodic]
    periodic = [name for name, turns in zip(grid.names, rolls, strict=True) if turns]
    for name in axes:
        if name not in periodic:
            raise InputError(
                f"training.shift along straight periodic axes ({', '.join(periodic) or 'none here'})",
                repr(name),
                "leave it out",
            )


def _run(objective: NextStep, data: WindowsModule, plan: Plan, folder: Path) -> None:
    """Run Lightning from the last checkpoint, if there is one, to the last epoch."""
    options = plan.config.training
    callbacks: list[Callback] = [
        Unchanged(plan.measured.fingerprint, plan.parts["train"]),
        Checkpoints(folder / "checkpoints"),
        MetricsFile(folder / "metrics.csv"),
    ]
    if options.ema:
        callbacks.append(EMAWeightAveraging(use_buffers=False, decay=options.ema))
    interactive = sys.stderr.isatty()
    if interactive:
        callbacks.append(RichProgressBar())
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    last = folder / "checkpoints" / LAST
    with quiet():
        trainer = L.Trainer(
            accelerator=automatic if options.accelerator == "auto" else options.accelerator,
            devices=1,
            precision=PRECISIONS[options.precision],
            max_epochs=options.epochs,
            gradient_clip_val=options.clip,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=True,
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
        try:
            yield
        finally:
            logger.setLevel(level)
