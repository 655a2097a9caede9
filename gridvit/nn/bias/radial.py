"""Biases in the distance itself. Its matrix has full rank: they are masks, or a series in its place that folds."""

from __future__ import annotations

import math
from abc import abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.bias.base import (
    EVERY,
    Bias,
    Fold,
    Rows,
    initial_strength,
    nearest_distance,
    plane_ladder,
    sphere_ladder,
)
from gridvit.nn.bias.pairs import Distances, Pairs

HIDDEN = 16


class OfDistance(Bias):
    """b(i, j) = curve(d_ij), done by ``pairs``: exactly by a matrix (``Distances``), or by a ``Series`` that folds."""

    spacing: Tensor

    def __init__(self, grid: Grid, heads: int, pairs: Pairs) -> None:
        super().__init__()
        self.pairs, self.dims = pairs, pairs.dims
        lengths = sphere_ladder(grid, heads) if grid.is_sphere else plane_ladder(grid, heads)
        self.register_buffer("lengths", lengths.float())
        self.register_buffer("spacing", torch.tensor([nearest_distance(grid)]).float())

    @abstractmethod
    def curve(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """What the bias is to be at ``distance``, in ``grid.distance_units``."""

    def fold(self) -> Fold | None:
        """That of the series; none of the matrix."""
        return self.pairs.fold(self.curve)

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The bias itself, of a series too from differences of positions."""
        return self.pairs.logits(self.curve, rows)

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """What acts at ``distance``: the curve, or its series."""
        return self.pairs.kernel(self.curve, distance)

    def approximation_error(self) -> Float[Tensor, "head"]:
        """That of the series."""
        return self.pairs.error(self.curve)

    def length(self) -> Float[Tensor, "head"]:
        """Distance over which the bias falls by one, from its slope over a token spacing; negative if it rises."""
        zero = torch.zeros_like(self.spacing)
        fall = (self.kernel(zero) - self.kernel(self.spacing))[:, 0]
        return torch.where(fall == 0, math.inf, self.spacing / fall)


class Linear(OfDistance):
    """b(i, j) = -s d_ij / l: the linear bias of ALiBi (Press et al. 2022, arXiv:2108.12409) in physical distance.

    ``l`` is fixed on the ladder of the other families, ``s`` learned without constraint: positive prefers near.
    On a line of cells softmax(b) is the implicit Euler step of the heat equation.
    """

    lengths: Tensor

    def __init__(self, grid: Grid, heads: int, pairs: Pairs) -> None:
        super().__init__(grid, heads, pairs)
        self.strength = nn.Parameter(initial_strength(heads).float())

    def curve(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """-s d / l."""
        return -(self.strength / self.lengths)[:, None] * distance

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """Of the matrix a number per head times the distances: half the time of looking up a learned curve."""
        if not isinstance(self.pairs, Distances):
            return super().logits(rows)
        distances = self.pairs.values[self.pairs.which[rows]]
        return -(self.strength / self.lengths)[:, None, None] * distances


class Radial(OfDistance):
    """b(i, j) = W GELU(V log(1 + d_ij / h) + c) + a, h the token spacing: any function of distance, learned.

    The logarithm spreads near distances as those of SwinV2 (Liu et al. 2022, arXiv:2111.09883). The outer layer
    starts at zero: no head has a bias at first.
    """

    def __init__(self, grid: Grid, heads: int, pairs: Pairs) -> None:
        super().__init__(grid, heads, pairs)
        self.first, self.last = nn.Linear(1, HIDDEN), nn.Linear(HIDDEN, heads)
        for start in self.last.parameters():
            nn.init.zeros_(start)

    def curve(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The network at ``distance``."""
        near = torch.log1p(distance / self.spacing)[:, None]
        return self.last(nn.functional.gelu(self.first(near))).T
