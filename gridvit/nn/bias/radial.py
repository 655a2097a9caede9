"""Biases in the distance itself. Its matrix has full rank, so there is no fold: the logits are a mask."""

from __future__ import annotations

import math
from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias.base import (
    EVERY,
    Bias,
    Rows,
    initial_strength,
    nearest_distance,
    plane_ladder,
    sphere_ladder,
)

MOST_TOKENS = 8192  # a float32 matrix of four heads is then a GiB
HIDDEN = 16


class Distances(nn.Module):
    """d_ij as a table of the different distances and, for each pair, which of them: one for all layers.

    Great-circle km on the sphere, the nearest image on planes. Distances that agree within 1e-9 of the longest are
    one: a torus of N tokens has no more than about N / 2^n of them.
    """

    values: Tensor
    which: Tensor

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        if grid.size > MOST_TOKENS:
            raise InputError(
                f"at most {MOST_TOKENS} tokens for a model.bias that is a matrix",
                str(grid.size),
                "raise model.patch, or take model.bias distance",
            )
        distances = grid.distances()
        step = float(distances.max()) * 1e-9 or 1.0
        steps, inverse = np.unique(np.round(distances / step).astype(np.int64), return_inverse=True)
        self.register_buffer("values", torch.from_numpy(steps * step).float(), persistent=False)
        which = torch.from_numpy(inverse.reshape(distances.shape)).int()
        self.register_buffer("which", which, persistent=False)


class Explicit(Bias):
    """b(i, j) = kernel(d_ij): the logits are the kernel of the table of distances."""

    spacing: Tensor

    def __init__(self, grid: Grid, heads: int, distances: Distances) -> None:
        super().__init__()
        self.distances = distances
        lengths = sphere_ladder(grid, heads) if grid.is_sphere else plane_ladder(grid, heads)
        self.register_buffer("lengths", lengths.float())
        self.register_buffer("spacing", torch.tensor([nearest_distance(grid)]).float())

    @abstractmethod
    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The bias at ``distance``, in ``grid.distance_units``."""

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The kernel of each pair's distance."""
        which = self.distances.which[rows]
        return self.kernel(self.distances.values).index_select(1, which.flatten()).unflatten(1, which.shape)

    def length(self) -> Float[Tensor, "head"]:
        """Distance over which the bias falls by one, from its slope over a token spacing; negative if it rises."""
        zero = torch.zeros_like(self.spacing)
        fall = (self.kernel(zero) - self.kernel(self.spacing))[:, 0]
        return torch.where(fall == 0, math.inf, self.spacing / fall)


class Linear(Explicit):
    """b(i, j) = -s d_ij / l: the linear bias of ALiBi (Press et al. 2022, arXiv:2108.12409) in physical distance.

    ``l`` is fixed on the ladder of the other families, ``s`` learned without constraint: positive prefers near.
    On a line of cells softmax(b) is the implicit Euler step of the heat equation. Quadratic in memory.
    """

    lengths: Tensor

    def __init__(self, grid: Grid, heads: int, distances: Distances) -> None:
        super().__init__(grid, heads, distances)
        self.strength = nn.Parameter(initial_strength(heads).float())

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """-s d / l."""
        return -(self.strength / self.lengths)[:, None] * distance

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """A number per head times the distances: half the time of looking up a learned curve."""
        distances = self.distances.values[self.distances.which[rows]]
        return -(self.strength / self.lengths)[:, None, None] * distances


class Radial(Explicit):
    """b(i, j) = W GELU(V log(1 + d_ij / h) + c) + a, h the token spacing: any function of distance, learned.

    The logarithm spreads near distances as those of SwinV2 (Liu et al. 2022, arXiv:2111.09883). The outer layer
    starts at zero: no head has a bias at first. Quadratic in memory.
    """

    def __init__(self, grid: Grid, heads: int, distances: Distances) -> None:
        super().__init__(grid, heads, distances)
        self.first, self.last = nn.Linear(1, HIDDEN), nn.Linear(HIDDEN, heads)
        for start in self.last.parameters():
            nn.init.zeros_(start)

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The network at ``distance``."""
        near = torch.log1p(distance / self.spacing)[:, None]
        return self.last(nn.functional.gelu(self.first(near))).T
