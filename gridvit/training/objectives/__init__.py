"""What a model is trained to do: objectives over one trunk, each a Lightning module."""

from typing import Any

from gridvit.config import TrainingConfig
from gridvit.nn.heads import Head
from gridvit.nn.step import ModelStep
from gridvit.training.objectives.base import Objective
from gridvit.training.objectives.distilled import Distilled
from gridvit.training.objectives.labelled import Classification, Detection, Labelled, Segmentation
from gridvit.training.objectives.masked import Masked
from gridvit.training.objectives.next_step import NextStep
from gridvit.training.objectives.unrolled import Unrolled

__all__ = [
    "OBJECTIVES",
    "Classification",
    "Detection",
    "Distilled",
    "Labelled",
    "Masked",
    "NextStep",
    "Objective",
    "Segmentation",
    "Unrolled",
    "objective_of",
]

OBJECTIVES: dict[str, type[Objective]] = {
    "next-step": NextStep,
    "unrolled": Unrolled,
    "masked": Masked,
    "distilled": Distilled,
    "segmentation": Segmentation,
    "classification": Classification,
    "detection": Detection,
}
"""By ``training.objective.kind``."""


def objective_of(
    step: ModelStep, config: TrainingConfig, head: Head | None = None, teacher: Any = None
) -> Objective:
    """The objective that ``config.objective`` names, with the head and the teacher of those that have one."""
    given = {name: each for name, each in (("head", head), ("teacher", teacher)) if each is not None}
    return OBJECTIVES[config.objective.kind](step, config, **given)
