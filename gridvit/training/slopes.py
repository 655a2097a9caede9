"""Slopes of fields along the axes of a grid: what an error in them is measured by."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid

PAIRS = 64  # of neighbours at a time


class Slopes(nn.Module):
    """(u_(i+1) - u_i) / d_i along each axis, d the distance of the centres; once around where the axis is periodic.

    An axis of one cell has none. On the sphere d is at least the width of a mean cell: towards the poles of a
    latitude-longitude grid neighbours come so near that their differences alone would count.

    Args:
        grid: whose axes have one unit.
    """

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        self.axes = [axis for axis in range(grid.ndim) if grid.shape[axis] > 1]
        self.ndim, self.periodic = grid.ndim, grid.periodic
        areas = torch.from_numpy(grid.areas)
        least = float(areas.mean()) ** 0.5 if grid.is_sphere else 0.0
        for axis in self.axes:
            distances = neighbour_distances(grid, axis).clip(min=least)
            between = areas + self._next(areas, axis)
            weights = self._within(between, axis) / self._within(between, axis).mean()
            self.register_buffer(f"distances_{axis}", torch.from_numpy(distances).float(), persistent=False)
            self.register_buffer(f"weights_{axis}", weights.float(), persistent=False)

    def _next(self, fields: Tensor, axis: int) -> Tensor:
        return fields.roll(-1, axis - self.ndim)

    def _within(self, fields: Tensor, axis: int) -> Tensor:
        """Without what goes beyond the last cell of a bounded axis."""
        cut = 0 if self.periodic[axis] else 1
        return fields.narrow(axis - self.ndim, 0, fields.shape[axis - self.ndim] - cut)

    def weights(self, axis: int) -> Float[Tensor, "*face"]:
        """Areas of the two cells of each pair, of mean one."""
        return self.get_buffer(f"weights_{axis}")

    def forward(self, fields: Float[Tensor, "*batch"], axis: int) -> Float[Tensor, "*face"]:
        """Slopes along one of ``axes``, of fields ``(.., *space)``; NaN where either cell is."""
        return self._within(self._next(fields, axis) - fields, axis) / self.get_buffer(f"distances_{axis}")


def neighbour_distances(grid: Grid, axis: int) -> Float[np.ndarray, "*face"]:
    """From each cell to the next along an axis, in ``grid.distance_units``."""
    flat = np.arange(grid.size).reshape(grid.shape)
    here, there = (np.moveaxis(cells, axis, 0) for cells in (flat, np.roll(flat, -1, axis)))
    if not grid.periodic[axis]:
        here, there = here[:-1], there[:-1]
    rows, columns = here.ravel(), there.ravel()
    blocks = (slice(start, start + PAIRS) for start in range(0, len(rows), PAIRS))
    found = [np.diagonal(grid.distances(rows[block], columns[block])) for block in blocks]
    return np.moveaxis(np.concatenate(found).reshape(here.shape), 0, axis)
