"""What a model is trained to do: objectives over one trunk, each a Lightning module."""

from gridvit.config import TrainingConfig
from gridvit.nn.step import ModelStep
from gridvit.training.objectives.base import Objective
from gridvit.training.objectives.next_step import NextStep
from gridvit.training.objectives.unrolled import Unrolled

__all__ = ["OBJECTIVES", "NextStep", "Objective", "Unrolled", "objective_of"]

OBJECTIVES: dict[str, type[Objective]] = {"next-step": NextStep, "unrolled": Unrolled}
"""By ``training.objective.kind``."""


def objective_of(step: ModelStep, config: TrainingConfig) -> Objective:
    """The objective that ``config.objective`` names."""
    return OBJECTIVES[config.objective.kind](step, config)
