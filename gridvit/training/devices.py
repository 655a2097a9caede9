"""What trains: which devices, how many processes, and what each of them holds."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy, ModelParallelStrategy

from gridvit.config import TrainingConfig
from gridvit.data.fields import Fields
from gridvit.errors import InputError
from gridvit.nn import ViT
from gridvit.nn.heads import HEADS
from gridvit.training.objectives.base import Objective

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""Lightning's names."""
WAIT = timedelta(minutes=30)  # for a process that does not come; a validation figure of the first one fits in


def accelerator_of(config: TrainingConfig) -> str:
    """ "cuda" where there is one, unless the configuration says otherwise."""
    automatic = "cuda" if torch.cuda.is_available() else "cpu"
    return automatic if config.accelerator == "auto" else config.accelerator


def refuse_devices(config: TrainingConfig) -> None:
    """More devices than there are; batches that do not go round; what shards cannot do.

    Raises:
        InputError: one of these.
    """
    if accelerator_of(config) == "cuda":
        there = torch.cuda.device_count()
        if config.devices > there:
            raise InputError(
                f"at most {there} CUDA device{'s' * (there != 1)}, as this machine has",
                f"training.devices {config.devices}",
                "ask for fewer, or for training.accelerator cpu",
            )
    processes = config.devices * config.nodes
    if config.batch_size < processes:
        raise InputError(
            f"training.batch_size of at least {processes}, a window for each device",
            str(config.batch_size),
            "enlarge it, or train on fewer devices",
        )
    beside = (*HEADS, "masked")  # which have weights that are not the network's
    if config.strategy == "shard" and (config.objective.kind in beside or config.start.train != "all"):
        kind = config.objective.kind
        raise InputError(
            "training.strategy ddp where weights are frozen, or train beside the network",
            f"shard for training.objective.kind {kind} and training.start.train {config.start.train}",
            "change it",
        )
    if config.strategy == "shard" and config.precision == "16":
        raise InputError(
            "training.precision bf16 or 32 where training.strategy is shard",
            "16",
            "take bf16, or strategy ddp",
        )
    if config.strategy == "shard" and config.keep:
        raise InputError(
            "no training.keep where training.strategy is shard",
            str(list(config.keep)),
            "leave it out: no process has the whole network",
        )
    if config.strategy == "shard" and config.ema:
        raise InputError(
            "training.ema of 0 where training.strategy is shard",
            str(config.ema),
            "take strategy ddp, or no average",
        )


def refuse_batch(config: TrainingConfig, part: Fields, span: int) -> None:
    """More windows of ``span`` + 1 frames in a step than the training part has.

    Raises:
        InputError: so it is.
    """
    windows = part.n_samples * (part.n_times - span)
    if config.batch_size > windows:
        raise InputError(
            f"training.batch_size of at most {windows}, the windows of the training part",
            str(config.batch_size),
            "take smaller batches",
        )


def strategy_of(config: TrainingConfig) -> Any:
    """Lightning's strategy. A sharded model is kept in one file, gathered: any number of devices may go on with it."""
    processes = config.devices * config.nodes
    if config.strategy == "shard":
        return ModelParallelStrategy(processes, 1, save_distributed_checkpoint=False, timeout=WAIT)
    if config.strategy == "auto" and processes == 1:
        return "auto"
    return DDPStrategy(broadcast_buffers=False, gradient_as_bucket_view=True, timeout=WAIT)


def shard(objective: Objective) -> None:
    """Have Lightning give each process its share of every block, and of what is around them, before it trains."""
    from torch.distributed.fsdp import fully_shard  # slow to import, and seldom needed

    objective.check_precision(PRECISIONS[objective.config.precision])

    def configure_model() -> None:
        mesh = objective.device_mesh["data_parallel"]
        for network in objective.modules():
            if isinstance(network, ViT):
                for block in network.blocks:
                    fully_shard(block, mesh=mesh)
        fully_shard(objective.step.network, mesh=mesh)

    objective.configure_model = configure_model
