"""The stencil of any step: rows of its Jacobian, measured by automatic differentiation.

A solver's own stencil comes back to rounding; so what comes back from a model is what the model does.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Step, check_state
from gridvit.stencil import Stencil

CELLS = 2**16
"""Cells of all the states that are stepped at once: what a network keeps for its backward pass grows with them."""


def probe(
    step: Step,
    state: Float[Tensor, "batch variable *space"],
    at: Int[np.ndarray, "cell ndim"] | None = None,
    context: Context | None = None,
) -> Stencil:
    r"""``S(d)[out, in] = dF(u)[out, x] / du[in, x + d]``, the Jacobian row behind each output cell.

    States are stepped once, some at a time; then one reverse pass for each cell and output variable gives that row of
    all of them. Everything is float64: the step gets float64 states.

    Args:
        step: any ``Step`` that torch can differentiate.
        state: where to linearise, ``(batch, variable, *space)``.
        at: output cells ``x``, one row of indices each; the grid's centre cell if absent. A model that cuts
            the field into patches needs all phases of a patch: ``patch_cells``.
        context: of the states.

    Returns:
        A stencil with leading axes ``("state", "cell")``: weights ``(B, M, K)`` for one variable, else
        ``(B, M, C, C, K)``. Offsets are minimal images on periodic axes (``-n/2`` where ``n`` is even) and
        reach from wall to wall on bounded ones, zero outside; those that nothing uses are left out. The
        spacing is the grid's, or that of each cell where it varies.

    For a nonlinear step the stencil depends on the state: average its moments over states rather than its
    weights, which moving features blur.

    Raises:
        InputError: a state or cells that do not fit the step; a curvilinear mesh, whose offsets have no direction.
    """
    check_state(step, state)
    step.grid.require_axes()
    cells = _checked_cells(step.grid, at)
    rows = _jacobian_rows(step, state.detach().double(), cells, context)
    offsets, weights = _about_each_cell(step.grid, rows, cells)
    if len(step.variables) == 1:
        weights = weights[:, :, 0, 0]
    spacing = _spacing(step.grid, cells, len(state))
    return Stencil(offsets, weights, spacing, ("state", "cell")).trimmed()


def patch_cells(patch: Sequence[int], corner: Sequence[int] | None = None) -> Int[np.ndarray, "cell ndim"]:
    """The ``prod(patch)`` cells of one patch, row-major, the first at ``corner`` (the grid's if absent).

    A model on patches of ``P`` cells commutes with shifts by ``P`` alone: these are all its stencils.
    """
    start = np.zeros(len(patch), dtype=int) if corner is None else np.asarray(corner)
    return start + np.array(list(itertools.product(*(range(p) for p in patch))))


def _checked_cells(grid: Grid, at: np.ndarray | None) -> np.ndarray:
    shape = np.array(grid.shape)
    cells = shape[None] // 2 if at is None else at
    if cells.shape[1] != grid.ndim or (cells < 0).any() or (cells >= shape).any():
        raise InputError(f"cells inside a grid of {grid.shape}", f"{cells.tolist()}", "index from 0")
    return cells


def _jacobian_rows(
    step: Step, state: Tensor, cells: Int[np.ndarray, "cell ndim"], context: Context | None
) -> Float[np.ndarray, "batch cell out in *space"]:
    """``dF[out, x] / du`` over the whole input field, for every state, cell and output variable."""
    some = max(1, CELLS // step.grid.size)
    parts = [slice(first, first + some) for first in range(0, len(state), some)]
    return np.concatenate(
        [_rows_of_some(step, state[part], cells, context and context.take(part)) for part in parts]
    )


def _rows_of_some(
    step: Step, state: Tensor, cells: np.ndarray, context: Context | None
) -> Float[np.ndarray, "batch cell out in *space"]:
    """The rows of a few states, of one forward pass. No state depends on another, so a sum keeps them apart."""
    with torch.enable_grad():
        leaf = state.clone().requires_grad_()
        after = step(leaf, context)
        if not after.requires_grad:
            raise InputError(
                "a step that torch can differentiate", "one without a gradient", "do not detach it"
            )
        rows = np.empty((len(state), len(cells), after.shape[1], *state.shape[1:]))
        for number, flat in enumerate(np.ravel_multi_index(tuple(cells.T), step.grid.shape)):
            for out in range(after.shape[1]):
                picked = after[:, out].flatten(1)[:, int(flat)].sum()
                (row,) = torch.autograd.grad(picked, leaf, retain_graph=True)
                rows[:, number, out] = row.cpu().numpy()
    return rows


def _about_each_cell(
    grid: Grid, rows: Float[np.ndarray, "batch cell out in *space"], cells: Int[np.ndarray, "cell ndim"]
) -> tuple[Int[np.ndarray, "K ndim"], Float[np.ndarray, "batch cell out in K"]]:
    """Read each row as a function of the offset from its own cell."""
    lines = [_offsets(n, wraps, x) for n, wraps, x in zip(grid.shape, grid.periodic, cells.T, strict=True)]
    offsets = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, grid.ndim)
    source = cells[:, None] + offsets
    inside = ((source >= 0) & (source < grid.shape) | np.array(grid.periodic)).all(axis=-1)
    flat = np.ravel_multi_index(tuple(np.moveaxis(source, -1, 0)), grid.shape, mode="wrap")
    fields = rows.reshape(*rows.shape[:4], -1)
    weights = np.take_along_axis(fields, flat[None, :, None, None], axis=-1)
    return offsets, weights * inside[None, :, None, None]


def _offsets(n: int, periodic: bool, cells: Int[np.ndarray, "cell"]) -> Int[np.ndarray, "K"]:
    """Every offset along one axis that leads from some cell into the grid, ascending."""
    return np.arange(-(n // 2), (n + 1) // 2) if periodic else np.arange(-cells.max(), n - cells.min())


def _spacing(grid: Grid, cells: Int[np.ndarray, "cell ndim"], batch: int) -> Float[np.ndarray, "..."]:
    try:
        return np.array(grid.spacing)
    except InputError:
        # Gaussian latitudes and cut-off tokens have no one spacing; the local one is the central difference.
        steps = [
            np.gradient(c) if len(c) > 1 else np.array(grid.lengths[a]) for a, c in enumerate(grid.centers)
        ]
        local = [np.broadcast_to(h, n)[x] for h, n, x in zip(steps, grid.shape, cells.T, strict=True)]
        return np.broadcast_to(np.stack(local, axis=-1), (batch, *cells.shape))
