"""Train a model on fields in memory or streamed; a run that ends before its time goes on where it was."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn

from gridvit.cluster.preflight import place
from gridvit.data.rounds import GIB
from gridvit.errors import InputError
from gridvit.nn import ViT
from gridvit.nn.lora import merge
from gridvit.nn.own import Own
from gridvit.nn.step import ModelStep
from gridvit.training.checkpoints import Checkpoints
from gridvit.training.datamodule import Unchanged, WindowsModule
from gridvit.training.devices import PRECISIONS, accelerator_of, shard, strategy_of
from gridvit.training.environment import plugins
from gridvit.training.interruption import CTRL_C_EXIT, Interrupted, Signals
from gridvit.training.loggers import Logged
from gridvit.training.metrics import MetricsFile
from gridvit.training.objectives import Objective
from gridvit.training.plan import Plan
from gridvit.training.snapshots import Snapshots
from gridvit.training.storage import BEST, Storage, newest
from gridvit.training.telling import Bar, EpochLine
from gridvit.training.unwatched import Unwatched
from gridvit.training.watch import Watch

log = logging.getLogger("gridvit")


def fit(plan: Plan, folder: Path, also: Sequence[Callback] = ()) -> ModelStep:
    """The model with the lowest validation loss, after ``training.epochs`` epochs; in the first process.

    Checkpoints go to ``folder/checkpoints`` at the end of each epoch and every ``training.checkpoint_minutes``; where
    one is found, training goes on from it. Data order and shifts are functions of seed, epoch and step, and random
    numbers are kept, so an interrupted run ends with the weights and the metrics of an uninterrupted one. ``also`` are
    callbacks that look on.

    Raises:
        Diverged: a loss that is not finite or far beyond that of persistence, see ``Watch``.
        Interrupted: SIGUSR1 or SIGTERM came, its work is saved, and the same call goes on.
        KeyboardInterrupt: the same for Ctrl+C.
    """
    objective = plan.objective()
    offsets = objective.offsets
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
    kept = deepcopy(objective) if plan.config.training.strategy == "shard" else objective
    _run(objective, data, plan, folder, also)
    if place() > 0:
        return plan.model
    path = folder / "checkpoints" / BEST
    if not path.exists():  # no write of it went well
        raise InputError(f"a disk that takes {path}", "none", "make room; the same command goes on")
    best = torch.load(path, map_location="cpu", weights_only=True)
    kept.load_state_dict(best["state_dict"])
    merge(kept.step)
    return kept.step.eval()


def bias_error(model: ModelStep) -> float:
    """Largest error of a distance bias that a series stands for, in logits; see ``Bias.approximation_error``."""
    networks = [module for module in model.modules() if isinstance(module, ViT)]
    return max((float(bias.approximation_error().max()) for n in networks for bias in n.biases), default=0.0)


def _run(
    objective: Objective, data: WindowsModule, plan: Plan, folder: Path, also: Sequence[Callback]
) -> None:
    """Run Lightning from the last checkpoint, if there is one, to the last epoch."""
    options, signals, storage = plan.config.training, Signals(), Storage()
    metrics = MetricsFile(folder / "metrics.csv")
    if options.strategy == "shard":
        shard(objective)
    callbacks: list[Callback] = [
        Unchanged(plan.measured.fingerprint, plan.parts["train"]),
        Watch(plan.parts["train"], plan.parts["validate"]),
        Checkpoints(folder, options.checkpoint_minutes, signals, storage),
        metrics,
        *also,  # before the average, in whose place the weights are until it sees the end of validation
    ]
    if options.keep:
        callbacks.append(Snapshots(plan, folder))
    if options.logger.kind != "csv":
        callbacks.append(Logged(folder, plan.config, metrics))
    if options.ema:
        # m + (1 - b) (w - m), which leaves frozen weights as they are: b m + (1 - b) w would round them.
        average = get_ema_multi_avg_fn(options.ema)
        callbacks.append(WeightAveraging(use_buffers=False, multi_avg_fn=average))
    interactive = sys.stderr.isatty()
    callbacks.append(Bar() if interactive else EpochLine())
    last = newest(folder / "checkpoints")
    with quiet(), signals.listening():
        trainer = L.Trainer(
            accelerator=accelerator_of(options),
            devices=options.devices,
            num_nodes=options.nodes,
            strategy=strategy_of(options),
            precision=PRECISIONS[options.precision],
            max_epochs=options.epochs,
            gradient_clip_val=options.clip,
            callbacks=callbacks,
            plugins=[storage, *plugins(options.devices)],
            profiler=Unwatched(),
            logger=False,
            enable_checkpointing=True,
            enable_progress_bar=interactive,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            default_root_dir=folder,
        )
        try:
            trainer.fit(objective, data, ckpt_path=last, weights_only=True)
        except Interrupted as stop:
            if stop.code == CTRL_C_EXIT:
                raise KeyboardInterrupt from stop
            raise
        except SystemExit as stop:  # what Lightning makes of Ctrl+C, after which it ignores further ones
            signal.signal(signal.SIGINT, signal.default_int_handler)
            raise KeyboardInterrupt from stop


@contextmanager
def quiet() -> Iterator[None]:
    """Lightning's advice on workers and logging does not apply to data in memory."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="lightning")
        advices = (
            ".*does not have many workers.*",
            ".*exists and is not empty.*",
            ".*returned a view tensor.*",
        )
        for advice in advices:  # the last of shards: nothing is added in place to what a network returns
            warnings.filterwarnings("ignore", advice)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
