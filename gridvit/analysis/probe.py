"""The stencil of any step: rows of its Jacobian, measured by automatic differentiation.

A solver's own stencil comes back to rounding; so what comes back from a model is what the model does.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Step, check_state
from gridvit.stencil import Stencil

CHUNK = 64
"""Copies of a state in one backward pass: the memory of a batch of this size."""


def probe(
    step: Step,
    state: Float[Tensor, "batch variable *space"],
    at: Int[np.ndarray, "cell ndim"] | None = None,
    context: Context | None = None,
) -> Stencil:
    r"""``S(d)[out, in] = dF(u)[out, x] / du[in, x + d]``, the Jacobian row behind each output cell.

    One reverse pass gives one row, so each state is copied once per cell and output variable. Everything is
    float64: the step gets float64 states.

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
    batch, variables = state.shape[:2]
    jobs = np.stack(np.meshgrid(range(batch), range(len(cells)), range(variables), indexing="ij"), -1)
    rows = [_chunk(step, state, cells, part, context) for part in _chunks(jobs.reshape(-1, 3))]
    return np.concatenate(rows).reshape(batch, len(cells), variables, *state.shape[1:])


def _chunks(jobs: np.ndarray) -> Iterator[np.ndarray]:
    return (jobs[start : start + CHUNK] for start in range(0, len(jobs), CHUNK))


def _chunk(
    step: Step, state: Tensor, cells: np.ndarray, jobs: Int[np.ndarray, "job 3"], context: Context | None
) -> Float[np.ndarray, "job in *space"]:
    which, cell, out = torch.tensor(jobs, device=state.device).T
    with torch.enable_grad():
        copies = state[which].requires_grad_()
        after = step(copies, context and context.take(which))
        if not after.requires_grad:
            raise InputError(
                "a step that torch can differentiate", "one without a gradient", "do not detach it"
            )
        x = torch.tensor(cells, device=state.device)[cell]
        picked = after[torch.arange(len(jobs), device=state.device), out, *x.T]
        (rows,) = torch.autograd.grad(picked.sum(), copies)
    return rows.cpu().numpy()


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
