"""A stencil at work: (S u)(x) = sum_d S(d) u(x + d) on batches of tensors, walls and seams included."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil

Boundary = str | tuple[str, ...]
"""Condition at the walls of every bounded axis ("open", "dirichlet", "neumann", "wall"), or one for each axis.

"wall" is a slip wall: the velocity across it is "dirichlet", everything else is "neumann".
"""
Normal = tuple[int | None, ...]
"""For each variable the axis along which it is a velocity, or None; () where no variable is one."""
Tendency = Callable[[Tensor], Tensor]
"""F of u_t = F(u), on tensors (batch, variable, *space)."""


def apply(
    stencil: Stencil,
    u: Float[Tensor, "batch variable *space"],
    grid: Grid,
    boundary: Boundary = "open",
    normal: Normal = (),
) -> Float[Tensor, "batch variable *space"]:
    """(S u)(x) = sum_d S(d) u(x + d).

    A scalar stencil acts on every variable alike; a stencil of a system mixes them, (S u)_o = sum_i S_oi u_i.
    Differentiable, on any device, in the precision of ``u``. The cost is one multiplication per offset: a
    stencil as wide as the grid is better multiplied in Fourier space.

    Args:
        stencil: without leading axes; its weights carry the unit of the result over that of ``u``.
        u: the field.
        grid: where it lives; periodic axes wrap.
        boundary: condition at the walls of bounded axes (see ``Grid.ghost``), one for all axes or one for
            each.
        normal: the velocities among the variables, for slip walls.

    Returns:
        The result on the same cells.

    Raises:
        InputError: the field is not on the grid, or the stencil does not fit its axes or variables.
    """
    _check_stencil(stencil, u, grid)
    width = reach(stencil)
    return correlate(stencil, pad(u, grid, width, boundary, normal), width)


def reach(*stencils: Stencil) -> tuple[int, ...]:
    """Cells that a set of stencils looks beyond its own, along each axis: max |d|."""
    return tuple(max(cells) for cells in zip(*(stencil.reach for stencil in stencils), strict=True))


def pad(
    u: Float[Tensor, "batch variable *space"],
    grid: Grid,
    width: Sequence[int],
    boundary: Boundary = "open",
    normal: Normal = (),
) -> Float[Tensor, "batch variable *padded"]:
    """The field with ``width[axis]`` ghost cells at both ends of each axis.

    Nonlinear terms are formed on padded fields, since the ghost of a square is not the square's own ghost.
    ``normal`` tells a "wall" which variables are velocities across it.

    Raises:
        InputError: the field is not on the grid, or the number of conditions is not that of the axes.
    """
    check_space(u, grid)
    for axis, (cells, condition) in enumerate(zip(width, conditions(boundary, grid), strict=True)):
        if cells:
            index, sign = grid.ghost(axis, cells, "dirichlet" if condition == "wall" else condition)
            u = u.index_select(axis + 2, torch.as_tensor(index, device=u.device))
            if np.any(sign != 1):
                shape = (-1, len(sign)) + (1,) * (grid.ndim - axis - 1)
                rows = _wall_signs(sign, axis, normal) if condition == "wall" else sign[None]
                u = u * torch.as_tensor(rows, dtype=u.dtype, device=u.device).reshape(_at(axis, shape))
    return u


def _at(axis: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    """(variable, cell, 1, ..) with a one for each axis between the two."""
    return (shape[0], *(1,) * axis, *shape[1:])


def _wall_signs(sign: np.ndarray, axis: int, normal: Normal) -> np.ndarray:
    """Odd reflection of the velocities across the wall, even reflection of all else."""
    across = np.array([along == axis for along in normal] or [False])
    return np.where(across[:, None], sign, 1.0)


def correlate(
    stencil: Stencil, padded: Float[Tensor, "batch variable *padded"], width: Sequence[int]
) -> Float[Tensor, "batch variable *space"]:
    """sum_d S(d) u(x + d) on the inner cells of a field that already has ``width`` ghost cells."""
    inner = [size - 2 * cells for size, cells in zip(padded.shape[2:], width, strict=True)]
    total = padded.new_zeros((*padded.shape[:2], *inner))
    for k, offset in enumerate(stencil.offsets):
        starts = [cells + int(d) for cells, d in zip(width, offset, strict=True)]
        window = tuple(slice(start, start + n) for start, n in zip(starts, inner, strict=True))
        total = total + _weigh(stencil.weights[..., k], padded[(slice(None), slice(None), *window)])
    return total


def _weigh(weight: np.ndarray, u: Tensor) -> Tensor:
    if weight.ndim == 0:
        return float(weight) * u
    matrix = torch.tensor(weight, dtype=u.dtype, device=u.device)
    return torch.einsum("oi,bi...->bo...", matrix, u)


def check_space(u: Tensor, grid: Grid) -> None:
    """Refuse a tensor whose space axes are not those of the grid."""
    if tuple(u.shape[2:]) != tuple(grid.shape):
        raise InputError(
            f"a field (batch, variable, {', '.join(map(str, grid.shape))}) on the grid",
            f"a tensor of shape {tuple(u.shape)}",
            "give the state on the grid of the operator",
        )


def _check_stencil(stencil: Stencil, u: Tensor, grid: Grid) -> None:
    lead = stencil.weights.ndim - (3 if stencil.is_system else 1)
    if lead or stencil.ndim != grid.ndim:
        raise InputError(
            f"one stencil with {grid.ndim} space axes",
            f"{stencil.ndim} space axes and {lead} leading axes",
            "select one stencil, made for this grid",
        )
    if stencil.is_system and stencil.components != u.shape[1]:
        raise InputError(
            f"{stencil.components} variables, as the stencil has",
            f"{u.shape[1]}",
            "give the state of the system that the stencil was made for",
        )


def conditions(boundary: Boundary, grid: Grid) -> tuple[str, ...]:
    conditions = (boundary,) * grid.ndim if isinstance(boundary, str) else tuple(boundary)
    if len(conditions) != grid.ndim:
        raise InputError(
            f"one boundary condition or {grid.ndim}, one for each axis",
            f"{len(conditions)}",
            "name a condition for each axis of the grid",
        )
    return conditions
