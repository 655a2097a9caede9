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
GIVEN = "given"
"""Condition of fields that bring their ghost cells along: nothing is added, and what is worked out is smaller."""
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
    return correlation(stencil, width)(pad(u, grid, width, boundary, normal))


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
        InputError: the field is not on the grid, the number of conditions is not that of the axes, or the grid
            is a curvilinear mesh.
    """
    return padder(grid, width, boundary, normal)(u)


def padder(grid: Grid, width: Sequence[int], boundary: Boundary = "open", normal: Normal = ()) -> Tendency:
    """``pad`` for many fields: what it needs of the grid is worked out once."""
    if boundary == GIVEN:
        return lambda u: u
    grid.require_axes()
    axes = enumerate(zip(width, conditions(boundary, grid), strict=True))
    layers = [_layer(grid, axis, cells, condition, normal) for axis, (cells, condition) in axes if cells]
    shape = tuple(grid.shape)

    def padded(u: Tensor) -> Tensor:
        _check_shape(u, shape)
        for layer in layers:
            u = layer(u)
        return u

    return padded


def _layer(grid: Grid, axis: int, cells: int, condition: str, normal: Normal) -> Tendency:
    """Ghost cells along one axis: slices where it wraps, which are faster, else the cells of ``Grid.ghost``."""
    n, dim = grid.shape[axis], axis + 2
    if grid.periodic[axis] and cells <= n:
        return lambda u: torch.cat([u.narrow(dim, n - cells, cells), u, u.narrow(dim, 0, cells)], dim)
    source, sign = grid.ghost(axis, cells, "dirichlet" if condition == "wall" else condition)
    across = np.array([along == axis or condition != "wall" for along in normal or (None,)])
    shape = (len(across), *(1,) * axis, len(sign), *(1,) * (grid.ndim - axis - 1))
    index = torch.as_tensor(source)
    signs = torch.as_tensor(np.where(across[:, None], sign, 1.0)).reshape(shape)
    if bool((signs == 1).all()):
        return lambda u: u.index_select(dim, index.to(u.device))
    return lambda u: u.index_select(dim, index.to(u.device)) * signs.to(u)


def correlation(stencil: Stencil, width: Sequence[int]) -> Tendency:
    """u -> sum_d S(d) u(x + d) on the inner cells of a field that already has ``width`` ghost cells."""
    starts = [[c + int(d) for c, d in zip(width, offset, strict=True)] for offset in stencil.offsets]
    table = stencil.weights if stencil.is_system else stencil.weights[None, None]
    rows = [
        [(k, i, float(row[i, k])) for k in range(len(starts)) for i in range(len(row)) if row[i, k]]
        for row in table
    ]

    def correlated(padded: Tensor) -> Tensor:
        inner = [size - 2 * cells for size, cells in zip(padded.shape[2:], width, strict=True)]
        views = [_window(padded, start, inner) for start in starts]
        if not stencil.is_system:
            return _weighted([(views[k], w) for k, _, w in rows[0]], views[0])
        parts = [[(views[k][:, i : i + 1], w) for k, i, w in row] for row in rows]
        return torch.cat([_weighted(part, views[0][:, :1]) for part in parts], dim=1)

    return correlated


def _window(padded: Tensor, start: Sequence[int], inner: Sequence[int]) -> Tensor:
    for axis, (first, n) in enumerate(zip(start, inner, strict=True)):
        padded = padded.narrow(axis + 2, first, n)
    return padded


def _weighted(terms: Sequence[tuple[Tensor, float]], like: Tensor) -> Tensor:
    if not terms:
        return torch.zeros_like(like)
    total = terms[0][1] * terms[0][0]
    for view, weight in terms[1:]:
        total = torch.add(total, view, alpha=weight)
    return total


def fit(field: Tensor, shape: Sequence[int]) -> Tensor:
    """The middle of a field (batch, variable, *padded), ``shape`` cells large."""
    if tuple(field.shape[2:]) == tuple(shape):
        return field
    window = []
    for size, n in zip(field.shape[2:], shape, strict=True):
        start = (size - n) // 2
        window.append(slice(start, start + n))
    return field[(slice(None), slice(None), *window)]


def check_space(u: Tensor, grid: Grid) -> None:
    """Refuse a tensor whose space axes are not those of the grid."""
    _check_shape(u, tuple(grid.shape))


def _check_shape(u: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(u.shape[2:]) != shape:
        raise InputError(
            f"a field (batch, variable, {', '.join(map(str, shape))}) on the grid",
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
