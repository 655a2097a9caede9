"""Means over the windows of an epoch, kept when a run is interrupted in the middle of one."""

from __future__ import annotations

import torch
from torch import Tensor

from gridvit.training.processes import rank, summed, world


class Mean:
    """sum_b n_b x_b / sum_b n_b over batches b of n_b windows with the mean x_b, without waiting for the device.

    Of several processes each adds its share of x_b, and the n_b of all.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin again."""
        self.total: Tensor | float = 0.0
        self.count: Tensor | int = 0

    def add(self, mean: Tensor, count: Tensor | int) -> None:
        """One more batch."""
        self.total = self.total + mean.detach() * count
        self.count = self.count + count

    def value(self) -> float:
        """The mean over all processes; waits for the device."""
        return float(summed(torch.as_tensor(self.total)) / self.count)

    def state(self) -> tuple[float, float]:
        """The sums so far."""
        return float(self.total), float(self.count)

    def go_on_from(self, states: list[tuple[float, float]], device: torch.device) -> None:
        """Of each process its own sums; where there were others, all are the first one's."""
        same = len(states) == world()
        total = states[rank()][0] if same else sum(total for total, _ in states) * (rank() == 0)
        self.total, self.count = torch.tensor(total, device=device), int(states[0][1])
