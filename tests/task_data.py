"""Tiny runs of a planted advection, for the tests of objectives that start from or learn from others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import xarray as xr

from gridvit.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    RunConfig,
    SimulateConfig,
    Split,
    TrainingConfig,
)
from gridvit.data.simulate import simulate
from gridvit.training_config import ObjectiveConfig

TINY = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 9))),
    model=ModelConfig(preset="mini", patch=(4,), width=24, depth=2, heads=2),
    training=TrainingConfig(epochs=2, batch_size=7, warmup_steps=3, accelerator="cpu"),
    evaluation=EvaluationConfig(leads=2),
)
LABELLED = replace(TINY.data, predictors=("u",), diagnostics=("label",))


def made(config: RunConfig = TINY, **training: Any) -> RunConfig:
    """``config`` with other options of the training."""
    return replace(config, training=replace(config.training, **training))


def labelled(kind: str, **options: Any) -> RunConfig:
    """A run that labels."""
    return replace(made(objective=ObjectiveConfig(kind=kind, **options)), data=LABELLED)  # type: ignore[arg-type]


def waves(cells: int = 16, samples: int = 9, **options: Any) -> xr.Dataset:
    """Advection of smooth waves along a circle of length 16, exact."""
    config = SimulateConfig(
        equation="advection", parameters={"velocity": [0.7]}, shape=(cells,), lengths=(16.0,), samples=samples,
        steps=6, cutoff=2.0, **options,
    )  # fmt: skip
    return simulate(config)
