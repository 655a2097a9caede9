"""How a network learns, as the user states it."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import ClassVar, Literal

from gridvit.errors import InputError
from gridvit.model_config import require


@dataclass(frozen=True)
class ObjectiveConfig:
    """What is minimised.

    Args:
        kind: "next-step": the error of the increment to the next state, or to each of ``data.leads``; "unrolled": the
            mean error of a rollout.
        steps: of the model in the rollouts of "unrolled", at the end of the training and wherever it is validated.
        gradient: "through" all steps of a rollout, or of each step's error through the "last" alone, the state before
            it held fixed (pushforward).
        grow: part of the epochs in which rollouts grow, from one step to ``steps``; 0 for all of them at once.
    """

    kind: Literal["next-step", "unrolled"] = "next-step"
    steps: int = 4
    gradient: Literal["through", "last"] = "through"
    grow: float | int = 0.5

    PATH: ClassVar[str] = "training.objective"

    def __post_init__(self) -> None:
        refuse_unused(self)
        require(self, 1, "steps")
        require(self, 0, "grow")
        if self.grow >= 1:
            raise InputError(f"{self.PATH}.grow below 1", str(self.grow), "leave epochs for the whole length")


USED = {"next-step": (), "unrolled": ("steps", "gradient", "grow")}
"""The fields that count for each kind of objective."""


def refuse_unused(config: ObjectiveConfig) -> None:
    """A field that is set, and that this kind of objective does not look at, is a misunderstanding."""
    for known in fields(config):
        if known.name in ("kind", *USED[config.kind]) or getattr(config, known.name) == known.default:
            continue
        kinds = " or ".join(kind for kind, names in USED.items() if known.name in names)
        raise InputError(
            f"{config.PATH}.kind {kinds} where {known.name} is set",
            config.kind,
            "leave it out, or choose the kind",
        )


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
        accelerator: what to train on; "auto" takes a CUDA device where there is one.
        devices: processes on each node, one for each device.
        nodes: machines that train together.
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
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    nodes: int = 1

    def __post_init__(self) -> None:
        require(self, 1, "epochs", "batch_size", "devices", "nodes")
        require(self, 0, "learning_rate", "weight_decay", "warmup_steps", "clip", "ema", "seed", "workers")
        if self.ema >= 1:
            raise InputError("training.ema below 1", str(self.ema), "take 0.999, or 0 for no average")
