"""Noise of the shortest waves, which the data of smooth fields do not have."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

TIMES = 2  # that the Laplacian is taken: waves of 4 cells get a quarter of the amplitude of those of 2, of 10 cells 1 %


def short_waves(xi: Float[Tensor, "*shape"], ndim: int) -> Float[Tensor, "*shape"]:
    """L^2 xi over its standard deviation, (L u)_i = sum_a (2 u_i - u_{i-1} - u_{i+1}) over the last ``ndim`` axes.

    Of white noise xi a wave of angle k_a from cell to cell gets an amplitude of (sum_a (2 - 2 cos k_a))^2. Axes are
    closed to a ring, which makes of noise no other noise.
    """
    for _ in range(TIMES):
        xi = sum((2 * xi - xi.roll(1, axis) - xi.roll(-1, axis) for axis in range(-ndim, 0)), torch.zeros(()))
    return xi / xi.square().mean().sqrt().clamp(min=torch.finfo(xi.dtype).tiny)
