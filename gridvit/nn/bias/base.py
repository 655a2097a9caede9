"""What every family of biases answers, and the length scales that they start from."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid

QUIET_SHARE = 4  # every fourth head starts without a bias, so that long range is discoverable

Fold = tuple[Float[Tensor, "head token dim"], Float[Tensor, "*batch token dim"]]
Rows = slice | Tensor  # which queries: a range, or their numbers
EVERY = slice(None)


class Bias(nn.Module, ABC):
    """A family of biases: ``dims`` extra dimensions of queries and keys, the explicit bias, and its curve."""

    dims: int = 0
    kept: tuple[str, ...] = ("lengths", "scale", "spacing")
    """Buffers in physical units: on another grid the same parameters then mean the same bias at the same distance."""

    def fold(self) -> Fold | None:
        """Features of queries and of keys whose product is the bias, up to a function of the query; none if none."""
        return None

    @abstractmethod
    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions, of the queries ``rows``."""

    @abstractmethod
    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The bias at ``distance``, in ``grid.distance_units``."""

    @abstractmethod
    def length(self) -> Float[Tensor, "head"]:
        """Signed length scale per head: positive prefers near, negative far, infinite where there is no bias."""

    def approximation_error(self) -> Float[Tensor, "head"]:
        """max |b - what b stands for| over distances of tokens, in logits: zero but for a series."""
        return torch.zeros_like(self.length())


class NoBias(Bias):
    """b = 0: attention by content alone."""

    blank: Tensor

    def __init__(self, grid: Grid, heads: int) -> None:
        super().__init__()
        self.register_buffer("blank", torch.zeros(heads, grid.size, 0))

    def fold(self) -> Fold:
        """No features."""
        return self.blank, self.blank[0]

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """Zeros."""
        return self.blank[:, rows] @ self.blank.transpose(1, 2)

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """Zeros."""
        return torch.zeros(self.blank.shape[0], len(distance), dtype=distance.dtype)

    def length(self) -> Float[Tensor, "head"]:
        """Infinite: no preference."""
        return torch.full((self.blank.shape[0],), math.inf)


def length_ladder(shortest: float, longest: float, heads: int) -> Tensor:
    """Geometric ladder of ``heads`` length scales from ``shortest`` to ``longest``, in the unit of its arguments."""
    return torch.logspace(
        math.log10(shortest), math.log10(max(longest, shortest)), heads, dtype=torch.float64
    )


def sphere_ladder(grid: Grid, heads: int) -> Tensor:
    """From the token spacing to a quarter of the great circle, km."""
    assert grid.radius is not None
    return length_ladder(nearest_distance(grid), math.pi / 2 * grid.radius, heads)


def plane_ladder(grid: Grid, heads: int) -> Tensor:
    """From the token spacing to a quarter of the longest axis, in axis units."""
    return length_ladder(nearest_distance(grid), max(grid.lengths) / 4, heads)


def initial_strength(heads: int) -> Tensor:
    """One for a head that starts local, zero for every fourth."""
    return (torch.arange(heads) % QUIET_SHARE != QUIET_SHARE - 1).double()


def signed_length(curvature: Float[Tensor, "head"]) -> Float[Tensor, "head"]:
    """l = sign(c) / sqrt|c|: the standard deviation of the Gaussian exp(-c x^2 / 2); infinite at c = 0."""
    return torch.where(curvature == 0, math.inf, torch.sign(curvature) / curvature.abs().sqrt())


def nearest_distance(grid: Grid) -> float:
    """Distance between neighbouring tokens: the largest cell width, on a mesh the square root of the largest area."""
    if grid.mesh is not None:
        return float(grid.areas.max()) ** 0.5
    width = max(float((bounds[1:] - bounds[:-1]).max()) for bounds in grid.bounds)
    return width if grid.radius is None else math.radians(width) * grid.radius
