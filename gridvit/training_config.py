"""How a network learns, as the user states it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from gridvit.errors import InputError
from gridvit.model_config import require


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimised.

    Args:
        kind: "next-step": the increment to the next state, or to each of ``data.leads``.
    """

    kind: Literal["next-step"] = "next-step"


@dataclass(frozen=True)
class TrainingConfig:
    """How a model learns.

    Args:
        objective: what is minimised.
        epochs: passes over the training windows.
        batch_size: windows in a step of the optimiser.
        learning_rate: peak of a schedule with linear warm-up and cosine decay.
        weight_decay: decoupled decay of the weight matrices (AdamW).
        warmup_steps: steps of linear warm-up.
        clip: largest norm of the gradient.
        ema: what is left per step of older weights in the moving average that is validated and kept, such as 0.999;
            0 for the last weights themselves.
        precision: of matrix products and attention: "32", or "bf16" and "16" (mixed with 32) for devices that are
            faster so; see ``model.half``.
        shift: periodic axes along which each batch is rolled by a random number of cells.
        seed: seed of weights, data order and shifts.
        workers: processes that prepare batches; none is right for data in memory.
        checkpoint_minutes: between checkpoints within an epoch; 0 for one at the end of each epoch alone.
        accelerator: what to train on; "auto" takes a CUDA device where there is one.
    """

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_steps: int = 50
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["32", "bf16", "16"] = "32"
    shift: tuple[str, ...] = ()
    seed: int = 0
    workers: int = 0
    checkpoint_minutes: float | int = 10.0
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"

    def __post_init__(self) -> None:
        require(self, 1, "epochs", "batch_size")
        require(self, 0, "learning_rate", "weight_decay", "warmup_steps", "clip", "ema", "seed", "workers")
        require(self, 0, "checkpoint_minutes")
        if self.ema >= 1:
            raise InputError("training.ema below 1", str(self.ema), "take 0.999, or 0 for no average")
