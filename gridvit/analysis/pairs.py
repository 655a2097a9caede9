"""Pairs of tokens: how far from the query a key is, in which bin, and how much of the way runs along each axis."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gridvit.grid import SPHERE_NAMES, Grid

FINE = 50  # bins of the quantiles within one of the radial profile
KEPT = 2**22  # pairs whose geometry is computed once for all layers
BLOCK = 256


@dataclass(frozen=True, eq=False)
class Block:
    """The geometry of some queries and all keys.

    distances: (query, key), in ``grid.distance_units``.
    squares:   (axis, query, key), of sum ``distances ** 2``: of the way along each of ``Pairs.axes``.
    bins:      (query, key), the fine bin of each distance.
    """

    distances: Float[np.ndarray, "query key"]
    squares: Float[np.ndarray, "axis query key"]
    bins: Int[np.ndarray, "query key"]


class Pairs:
    """All pairs of the tokens of a grid, a block of queries at a time.

    Args:
        grid: of the tokens.
        bins: equal bins of distance up to the largest one, or their edges; pairs beyond them are in none.
    """

    def __init__(self, grid: Grid, bins: int | Float[np.ndarray, "edge"] = 20) -> None:
        self.grid, self.axes = grid, SPHERE_NAMES if grid.is_sphere else grid.names
        self.edges = np.linspace(0.0, farthest(grid), bins + 1) if isinstance(bins, int) else np.asarray(bins)
        steps = np.arange(FINE) / FINE
        inner = (self.edges[:-1, None] + np.diff(self.edges)[:, None] * steps).ravel()
        self._fine = np.append(inner, self.edges[-1])
        self._kept: dict[tuple[int, int], Block] = {}

    @property
    def fine(self) -> int:
        """How many fine bins there are; one more number is that of the pairs beyond them."""
        return len(self._fine) - 1

    def of(self, rows: slice) -> Block:
        """The pairs of these queries."""
        key = rows.start, rows.stop
        if key not in self._kept:
            block = self._made(rows)
            if self.grid.size**2 > KEPT:
                return block
            self._kept[key] = block
        return self._kept[key]

    def _made(self, rows: slice) -> Block:
        distances = self.grid.distances(rows=rows)
        bins = np.searchsorted(self._fine, distances, side="right") - 1
        bins[distances == self._fine[-1]] -= 1  # the last edge is in the last bin
        bins[(bins < 0) | (bins >= self.fine)] = self.fine
        return Block(distances, self._squares(rows, distances), bins)

    def _squares(self, rows: slice, distances: np.ndarray) -> Float[np.ndarray, "axis query key"]:
        """Of displacements on a plane; on a sphere of (d cos a, d sin a), a the bearing at which the way begins."""
        if not self.grid.is_sphere:
            return np.moveaxis(self.grid.displacements(rows) ** 2, -1, 0)
        p = self.grid.positions
        north, east = tangents(p[rows])
        up, right = (north @ p.T) ** 2, (east @ p.T) ** 2
        total = up + right
        clear = total > 1e-24  # the way to the other side of the globe begins in every direction
        share = np.where(clear, up / np.where(clear, total, 1.0), 0.5)
        return np.stack([share, 1 - share]) * distances**2


def tangents(p: Float[np.ndarray, "point 3"]) -> tuple[Float[np.ndarray, "point 3"], ...]:
    """Unit vectors north and east at points of the unit sphere; at a pole some two."""
    level = np.hypot(p[:, 0], p[:, 1])
    safe = np.where(level > 0, level, 1.0)
    east = np.stack([-p[:, 1] / safe, np.where(level > 0, p[:, 0] / safe, 1.0), np.zeros(len(p))], -1)
    return np.cross(p, east), east


def farthest(grid: Grid) -> float:
    """The largest distance between two tokens."""
    starts = range(0, grid.size, BLOCK)
    return max(float(grid.distances(rows=slice(start, start + BLOCK)).max()) for start in starts)
