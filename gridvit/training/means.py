"""Means over the windows of an epoch, kept when a run is interrupted in the middle of one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Mean:
    """sum_b n_b x_b / sum_b n_b over batches b of n_b windows with the mean x_b, without waiting for the device."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self.total: Tensor | float = 0.0
        self.count = 0

    def add(self, mean: Tensor, count: int) -> None:
        """One more batch."""
        self.total = self.total + mean.detach() * count
        self.count += count

    def value(self) -> float:
        """The mean; waits for the device."""
        return float(self.total / self.count)

    def state_dict(self) -> dict[str, Any]:
        """The sums so far."""
        return {"total": torch.as_tensor(self.total).cpu(), "count": self.count}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Go on from them."""
        self.total, self.count = state["total"].to(device), state["count"]
