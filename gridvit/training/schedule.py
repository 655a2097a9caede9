"""What the optimiser is told: which weights decay, and how the learning rate moves."""

from __future__ import annotations

import math
from typing import Any

import torch


def learning_rate_factor(step: int, warmup: int, total: int) -> float:
    """Linear from 0 to 1 over ``warmup`` steps, then (1 + cos(pi s)) / 2 down to 0 at ``total``."""
    if step < warmup:
        return (step + 1) / warmup
    share = (step - warmup) / max(1, total - warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, share)))


def decayed_groups(module: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Matrices of layers decay; biases, norms and the distance bias do not: a decayed bias would prefer l."""
    linear = (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d, torch.nn.Conv3d)
    decayed = {id(m.weight) for m in module.modules() if isinstance(m, linear)}
    parameters = [p for p in module.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if id(p) in decayed], "weight_decay": weight_decay},
        {"params": [p for p in parameters if id(p) not in decayed], "weight_decay": 0.0},
    ]
