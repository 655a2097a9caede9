"""What a token or a cell knows of where and when it is, beyond distances."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid

CLOCK_CHANNELS = 4
DAY = 86400.0
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


def clock(grid: Grid, seconds: Float[Tensor, "batch"]) -> Float[Tensor, "batch 4 *space"]:
    """cos p, sin p, cos 2p, sin 2p of local solar time p = 2 pi (t / day + longitude / 360).

    The two harmonics are those of the diurnal and the semidiurnal tide. ``seconds`` since midnight UTC of any day,
    float64.
    """
    longitude = torch.tensor(grid.centers[1][None] if grid.mesh is None else grid.mesh.longitude).to(seconds)
    phase = 2 * math.pi * (seconds[:, None, None] / DAY % 1.0 + longitude / 360.0)
    waves = torch.stack([phase.cos(), phase.sin(), (2 * phase).cos(), (2 * phase).sin()], 1)
    return waves.expand(-1, -1, *grid.shape)
