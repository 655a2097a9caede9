"""What the optimiser is told: which weights decay, and how the learning rate moves."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from gridvit.config import TrainingConfig

WIDTH = 384  # up to which 1e-3 is not too much


def schedule_of(config: TrainingConfig) -> Callable[..., float]:
    """factor(step, total=...) of the learning rate, as ``config`` states it."""
    return partial(
        learning_rate_factor, warmup=config.warmup_steps, shape=config.schedule, cooldown=config.cooldown
    )


def learning_rate_factor(
    step: int, warmup: int, total: int, shape: str = "cosine", cooldown: float | int = 0.0
) -> float:
    """Linear from 0 to 1 over ``warmup`` steps, then by ``shape`` to ``total``.

    With s from 0 to 1 after the warm-up: (1 + cos(pi s)) / 2 of "cosine", 1 of "constant"; of "trapezoid" 1, and
    down to 0 in a line over the last ``cooldown`` of all steps (Hu et al. 2024, arXiv:2404.06395).
    """
    if step < warmup:
        return (step + 1) / warmup
    if shape == "constant":
        return 1.0
    if shape == "trapezoid":
        return min(1.0, max(0, total - step) / max(1.0, min(cooldown * total, total - warmup)))
    share = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def good_learning_rate(width: int) -> float:
    """1e-3, of networks that are wider than 384 times 384 / width."""
    return 1e-3 * min(1.0, WIDTH / width)


def decayed_groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices of layers decay; biases, norms and the distance bias do not: a decayed bias would prefer l."""
    linear = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    decayed = {id(m.weight) for m in module.modules() if isinstance(m, linear)}
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) not in decayed], "weight_decay": 0.0},
    ]
