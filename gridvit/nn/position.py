"""What a token knows of where it is, beyond distances."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias.sphere import real_harmonics

WAVES = 6
AXIAL = ("bounded", "learned", "sincos", "rope")
"""Positions along the axes; the others know the sphere alone, or nothing."""


def position_features(kind: str, grid: Grid, extent: Grid) -> Float[Tensor, "token feature"]:
    """What each token of ``grid`` is told of its place, the axes measured by the ``extent``; nothing of some kinds.

    "bounded" gives ``bounded_features``. "sincos" adds cos(2 pi m s), sin(2 pi m s), m = 1..6, of the relative
    coordinate s along each periodic axis (Vaswani et al. 2017, with whole waves, so that nothing shows where the axis
    closes). "harmonics" gives the real spherical harmonics of degrees 1..6, each of mean square one: smooth at the
    poles, where longitudes meet.

    Raises:
        InputError: harmonics off the sphere.
    """
    if kind == "harmonics":
        return spherical_features(grid)
    if kind == "bounded":
        return bounded_features(grid, extent)
    if kind == "sincos":
        return torch.cat([bounded_features(grid, extent), periodic_features(grid, extent)], 1)
    return torch.zeros(grid.size, 0)


def relative(grid: Grid, extent: Grid, axis: int) -> Float[np.ndarray, "token"]:
    """s = (x - low) / (high - low) of every token along one axis, from the first to the last bound of ``extent``."""
    low, high = extent.bounds[axis][0], extent.bounds[axis][-1]
    return ((grid.centers[axis] - low) / (high - low))[np.indices(grid.shape)[axis].ravel()]


def bounded_features(grid: Grid, extent: Grid | None = None) -> Float[Tensor, "token feature"]:
    """cos(m pi s), m = 1..6, of the relative coordinate s in (0, 1) along each bounded axis.

    The cosines are the smooth functions of an interval; on latitude they are the zonal harmonics' cos(m theta). On a
    curvilinear mesh s counts cells. Periodic axes give none: along them position enters by distance
    alone, which keeps the shift symmetry.
    """
    orders, walls = np.arange(1, WAVES + 1), [n for n in range(grid.ndim) if not grid.periodic[n]]
    waves = [np.cos(np.pi * orders * relative(grid, extent or grid, axis)[:, None]) for axis in walls]
    return _joined(waves, grid)


def periodic_features(grid: Grid, extent: Grid) -> Float[Tensor, "token feature"]:
    """cos(2 pi m s) and sin(2 pi m s), m = 1..6, of the relative coordinate s along each periodic axis."""
    orders, turns = np.arange(1, WAVES + 1), [n for n in range(grid.ndim) if grid.periodic[n]]
    angles = [2 * np.pi * orders * relative(grid, extent, axis)[:, None] for axis in turns]
    return _joined([wave(angle) for angle in angles for wave in (np.cos, np.sin)], grid)


def spherical_features(grid: Grid) -> Float[Tensor, "token feature"]:
    """sqrt(2 l + 1) Y_lm, l = 1..6, in the norm of ``real_harmonics``: of mean square one over the sphere."""
    if not grid.is_sphere:
        raise InputError(
            "a sphere for model.position harmonics", grid.describe(), "take model.position sincos"
        )
    degrees = np.repeat(np.arange(1, WAVES + 1), 2 * np.arange(1, WAVES + 1) + 1)
    return _joined([np.sqrt(2 * degrees + 1) * real_harmonics(grid.positions, WAVES)], grid)


def _joined(columns: list[np.ndarray], grid: Grid) -> Float[Tensor, "token feature"]:
    return torch.from_numpy(np.concatenate(columns, 1) if columns else np.zeros((grid.size, 0))).float()


def with_rim(
    after: Float[Tensor, "batch lead target *space"],
    known: Float[Tensor, "batch moving *space"],
    rim: Bool[Tensor, "*space"],
) -> Float[Tensor, "batch lead target *space"]:
    """The first targets as they are known in the cells of the rim, where they are."""
    moving = known.shape[1]
    given = torch.where((rim & ~torch.isnan(known))[:, None], known[:, None], after[:, :, :moving])
    return torch.cat([given, after[:, :, moving:]], 2)


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
