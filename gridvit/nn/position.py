"""What a token knows of where it is, beyond distances."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid

COSINES = 6


def bounded_features(grid: Grid) -> Float[Tensor, "token feature"]:
    """cos(m pi s), m = 1..6, of the relative coordinate s in (0, 1) along each bounded axis.

    The cosines are the smooth functions of an interval; on latitude they are the zonal harmonics' cos(m theta). On a
    curvilinear mesh s counts cells. Periodic axes give none: along them position enters by distance
    alone, which keeps the shift symmetry.
    """
    features = []
    for axis in range(grid.ndim):
        if not grid.periodic[axis]:
            low, high = grid.bounds[axis][0], grid.bounds[axis][-1]
            relative = (grid.centers[axis] - low) / (high - low)
            waves = np.cos(np.pi * np.arange(1, COSINES + 1) * relative[:, None])
            index = np.indices(grid.shape)[axis].ravel()
            features.append(waves[index])
    return torch.from_numpy(np.concatenate(features, 1) if features else np.zeros((grid.size, 0))).float()


def rim(grid: Grid, width: int) -> Bool[np.ndarray, "*space"]:
    """The cells within ``width`` of a wall: of an end of a bounded axis that is no pole.

    Raises:
        InputError: no wall, or walls so near that nothing is left between them.
    """
    near = np.zeros(grid.shape, dtype=bool)
    for axis in range(grid.ndim):
        low, high = grid.bounds[axis][0], grid.bounds[axis][-1]
        polar = grid.is_latlon and axis == 0
        lines = np.moveaxis(near, axis, 0)
        if not grid.periodic[axis] and not (polar and np.isclose(low, -90)):
            lines[:width] = True
        if not grid.periodic[axis] and not (polar and np.isclose(high, 90)):
            lines[-width:] = True
    if near.all() or not near.any():
        got = "none" if not near.any() else f"{width} cells, which leaves nothing inside"
        raise InputError("walls for data.boundary", got, "set data.boundary to 0, or to fewer cells")
    return near
