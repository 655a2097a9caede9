"""Sums and lists over the processes that train together; of one process they are its own."""

from __future__ import annotations

from typing import Any, TypeVar

import torch.distributed as dist
from torch import Tensor

T = TypeVar("T")


def world() -> int:
    """Processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """Which of them this is."""
    return dist.get_rank() if world() > 1 else 0


def summed(values: Tensor) -> Tensor:
    """The sum over all processes; each must ask."""
    if world() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def gathered(value: T) -> list[T]:
    """What each process has, in their order; each must ask."""
    found: list[Any] = [value]
    if world() > 1:
        found = [None] * world()
        dist.all_gather_object(found, value)
    return found
