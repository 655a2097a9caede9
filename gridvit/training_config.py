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
        kind: "next-step": the error of the increment to the next state, or to each of ``data.leads`` (by one network
            that is told which, if ``model.leads`` says so); "unrolled": the mean error of a rollout; "masked": patches
            of the state that are hidden, from those that are not, for a run that others start from; "distilled":
            "next-step" and the increments of a teacher; "segmentation" of cells or "classification" of states into
            the classes, or "detection" of the things, that ``data.diagnostics`` holds.
        steps: of the model in the rollouts of "unrolled", at the end of the training and wherever it is validated.
        gradient: "through" all steps of a rollout, or of each step's error through the "last" alone, the state before
            it held fixed (pushforward).
        grow: part of the epochs in which rollouts grow, from one step to ``steps``; 0 for all of them at once.
        share: of the patches of a window that "masked" hides.
        teacher: of "distilled": the folder of a run, or "solver", the one that made the file; of "segmentation" and
            "classification" the folder of a run that labels the same, or none.
        trust: weight of the teacher's answer, from 0 to 1; the data have the rest.
        temperature: that softens the classes of both before they are compared.
        classes: of "segmentation" and "classification"; the labels are the numbers below it.
        ahead: whether labels are those of a time one of ``data.leads`` later, and not of the state itself.
    """

    kind: Literal[
        "next-step", "unrolled", "masked", "distilled", "segmentation", "classification", "detection"
    ] = "next-step"
    steps: int = 4
    gradient: Literal["through", "last"] = "through"
    grow: float | int = 0.5
    share: float = 0.6
    teacher: str = ""
    trust: float | int = 0.5
    temperature: float | int = 2.0
    classes: int = 2
    ahead: bool = False

    PATH: ClassVar[str] = "training.objective"

    def __post_init__(self) -> None:
        refuse_unused(self)
        require(self, 1, "steps")
        require(self, 0, "grow")
        if self.grow >= 1:
            raise InputError(f"{self.PATH}.grow below 1", str(self.grow), "leave epochs for the whole length")
        require(self, 2, "classes")
        require(self, 0, "trust")
        if self.trust > 1:
            raise InputError(f"{self.PATH}.trust of at most 1", str(self.trust), "correct it")
        if not 0 < self.share < 1:
            raise InputError(f"{self.PATH}.share between 0 and 1", str(self.share), "correct it")
        if not self.temperature > 0:
            raise InputError(f"{self.PATH}.temperature above 0", str(self.temperature), "correct it")


TAUGHT = ("teacher", "trust", "temperature")
USED: dict[str, tuple[str, ...]] = {
    "next-step": (),
    "unrolled": ("steps", "gradient", "grow"),
    "masked": ("share",),
    "distilled": ("teacher", "trust"),
    "segmentation": ("classes", "ahead", *TAUGHT),
    "classification": ("classes", "ahead", *TAUGHT),
    "detection": ("ahead",),
}
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
class StartConfig:
    """From which weights a network starts, and which of them train.

    Args:
        run: folder of a finished run of the same ``model``, whose network this one takes over as far as it sees and
            predicts the same; a network at random where empty.
        train: "all" weights (full fine-tuning); the "head", decoder and skip (linear probe); it and the "last"
            ``blocks`` (partial fine-tuning); it and low-rank updates of the matrices of all blocks ("lora").
            What cannot be taken over trains too.
        blocks: at the end of the network, of "last".
        rank: of the updates of "lora"; 4 to 16 serve most.
        alpha: of "lora", the updates' scale times the rank.
    """

    run: str = ""
    train: Literal["all", "head", "last", "lora"] = "all"
    blocks: int = 1
    rank: int = 8
    alpha: float | int = 16.0

    PATH: ClassVar[str] = "training.start"

    def __post_init__(self) -> None:
        require(self, 1, "blocks", "rank")
        require(self, 0, "alpha")
        if self.train != "all" and not self.run:
            raise InputError(
                f"a trained run in {self.PATH}.run for {self.PATH}.train {self.train}", "none", "name one"
            )


@dataclass(frozen=True)
class LoggerConfig:
    """Where metrics go beside ``metrics.csv``.

    Args:
        kind: "csv" for nowhere else, "tensorboard" (event files in the run's folder), or "wandb" (Weights & Biases).
        project: of "wandb".
        name: of the run in "wandb"; that of the run's folder where there is none.
    """

    kind: Literal["csv", "tensorboard", "wandb"] = "csv"
    project: str = "gridvit"
    name: str = ""


@dataclass(frozen=True)
class TrainingConfig:
    """How a model learns.

    Args:
        objective: what is minimised.
        start: from which weights.
        epochs: passes over the training windows.
        batch_size: windows in a step of the optimiser, which the devices share.
        learning_rate: peak of the schedule; 0 for one that is good for the width, 1e-3 up to 384 and less beyond.
        weight_decay: decoupled decay of the weight matrices (AdamW).
        warmup_steps: steps of linear warm-up.
        schedule: of the learning rate after it: "cosine" down to 0 at the end, "constant", or "trapezoid", constant and
            then in a line down to 0, which can be cut short or gone on with.
        cooldown: part of all steps over which a "trapezoid" falls.
        weights: of variables in the loss, by name or by a pattern with *, e.g. {"*_850": 0.85, tp: 2}; those of all
            patterns that match multiply, and the mean of all variables is made 1.
        clip: largest norm of the gradient.
        ema: what is left per step of older weights in the moving average that is validated and kept, such as 0.999;
            0 for the last weights themselves.
        precision: of matrix products and attention: "32", or "bf16" and "16" (mixed with 32) for devices that are
            faster so; see ``model.half``.
        slopes: a length l, in km or axis units: l^2 times the mean square error of the slopes is added, so waves
            shorter than 2 pi l count more than by their amplitude; 0 for nothing.
        noise: standard deviation of white noise, in units of the spread of the increments, that is added to the frames
            up to t in each step: the model learns the way back to the data from near them, also where these are few and
            alike. Some times the relative error of a step, such as 0.01; 0 for none.
        grid_noise: the same of noise of the shortest waves (``gridvit.training.noise``), which smooth fields do not
            have: rollouts damp them, and little of the data is hidden. 0.1 is a good start, 0.01 where single steps are
            very accurate, 0 for none.
        reach: what is added to the loss for each unit of D^2 / D_uniform^2, D the root mean square of the distance
            over which heads attend: above 0 encourages near, below 0 far, such as -0.1 for a teleconnection; 0 for
            nothing.
        shift: periodic axes along which each batch is rolled by a random number of cells.
        keep: epochs after which the weights are kept in ``snapshots``, 0 for those before the first, such as
            [0, 1, 2, 5, 10, 30]: what ``gridvit analyse`` measures over the training.
        seed: seed of weights, data order and shifts.
        workers: processes that prepare batches; none is right for data in memory.
        checkpoint_minutes: between checkpoints within an epoch; 0 for one at the end of each epoch alone.
        accelerator: what to train on; "auto" takes a CUDA device where there is one.
        devices: processes on each node, one for each device.
        nodes: machines that train together.
        strategy: "ddp": each device holds the whole model; "shard": each holds its share of weights, gradients and
            moments, and fetches the others' block by block (FSDP2), for models that do not fit; "auto" is "ddp".
        logger: where metrics go beside ``metrics.csv``.
    """

    objective: ObjectiveConfig = field(default_factory=ObjectiveConfig)
    start: StartConfig = field(default_factory=StartConfig)
    epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 0.0
    weight_decay: float = 0.05
    warmup_steps: int = 50
    schedule: Literal["cosine", "constant", "trapezoid"] = "cosine"
    cooldown: float | int = 0.2
    weights: dict[str, float | int] = field(default_factory=dict)
    clip: float = 1.0
    ema: float = 0.0
    precision: Literal["32", "bf16", "16"] = "32"
    slopes: float | int = 0.0
    noise: float | int = 0.0
    grid_noise: float | int = 0.0
    reach: float | int = 0.0
    shift: tuple[str, ...] = ()
    keep: tuple[int, ...] = ()
    seed: int = 0
    workers: int = 0
    checkpoint_minutes: float | int = 10.0
    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    devices: int = 1
    nodes: int = 1
    strategy: Literal["auto", "ddp", "shard"] = "auto"
    logger: LoggerConfig = field(default_factory=LoggerConfig)

    def __post_init__(self) -> None:
        require(self, 1, "epochs", "batch_size", "devices", "nodes")
        require(
            self, 0, "learning_rate", "weight_decay", "warmup_steps", "clip", "ema", "seed", "workers", "keep"
        )
        require(self, 0, "checkpoint_minutes", "slopes", "noise", "grid_noise")
        if any(weight < 0 for weight in self.weights.values()):
            raise InputError("training.weights of at least 0", str(self.weights), "correct them")
        if not 0 < self.cooldown <= 1 or (self.cooldown != 0.2 and self.schedule != "trapezoid"):
            raise InputError(
                "training.cooldown above 0 and at most 1, of a training.schedule trapezoid",
                f"{self.cooldown} of {self.schedule}",
                "correct it",
            )
        if self.seed >= 2**32:
            raise InputError("training.seed below 2^32", str(self.seed), "take a smaller one")
        if self.ema >= 1:
            raise InputError("training.ema below 1", str(self.ema), "take 0.999, or 0 for no average")
