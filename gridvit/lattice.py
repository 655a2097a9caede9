"""The arrays behind a ``Stencil``: which are well formed, and which cells of a grid they read."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np
from jaxtyping import Float, Int
from scipy import sparse

from gridvit.errors import InputError
from gridvit.grid import Grid

Number = float | int | np.number
Spacing = float | int | Sequence[float | int] | np.ndarray


def as_tuple(value: int | Sequence[int]) -> tuple[int, ...]:
    """One number, or one per axis, as a tuple."""
    return tuple(int(v) for v in np.atleast_1d(value))


def widths(spacing: Spacing, ndim: int) -> np.ndarray:
    """One width per axis, from one number or from an array with the axes last."""
    h = np.asarray(spacing, dtype=np.float64)
    return np.full(ndim, h) if h.ndim == 0 else h


def check_arrays(
    offsets: np.ndarray, weights: np.ndarray, spacing: np.ndarray, dims: tuple[str, ...]
) -> None:
    """Refuse arrays whose shapes do not make a stencil."""
    if offsets.ndim != 2 or not offsets.size or not np.array_equal(offsets, np.round(offsets)):
        raise InputError(
            "offsets (K, d) of whole numbers", f"shape {offsets.shape}", "give one row per offset"
        )
    free = weights.ndim - 1 - len(dims)
    square = free == 0 or (free == 2 and weights.shape[-3] == weights.shape[-2])
    if not square or weights.shape[-1] != len(offsets):
        k = len(offsets)
        want = f"weights (*lead, {k}) or (*lead, C, C, {k}) with {len(dims)} leading axes"
        raise InputError(want, f"shape {weights.shape}", "name every leading axis in dims")
    lead = weights.shape[: len(dims)]
    if spacing.shape not in ((offsets.shape[1],), (*lead, offsets.shape[1])) or not (spacing > 0).all():
        want = f"positive spacing of shape ({offsets.shape[1]},) or one per leading axis"
        raise InputError(want, f"{spacing.tolist()}", "give one cell width per axis")


def sources(
    offsets: Int[np.ndarray, "K ndim"], grid: Grid, boundary: str | Sequence[str]
) -> tuple[Int[np.ndarray, "K cells"], Float[np.ndarray, "K cells"]]:
    """For each offset, the flat cell that every cell reads, and the sign it gets behind a wall."""
    grid.require_axes()
    conditions = (boundary,) * grid.ndim if isinstance(boundary, str) else tuple(boundary)
    reach = np.abs(offsets).max(axis=0)
    ghosts = [grid.ghost(a, int(reach[a]), conditions[a]) for a in range(grid.ndim)]
    columns, signs = [], []
    for offset in offsets:
        windows = [slice(start, start + n) for start, n in zip(offset + reach, grid.shape, strict=True)]
        lines = [(index[w], sign[w]) for (index, sign), w in zip(ghosts, windows, strict=True)]
        columns.append(np.ravel_multi_index(np.ix_(*(index for index, _ in lines)), grid.shape).ravel())
        signs.append(reduce(np.multiply.outer, [sign for _, sign in lines]).ravel())
    return np.stack(columns), np.stack(signs)


def sparse_matrix(
    offsets: Int[np.ndarray, "K ndim"],
    weights: Float[np.ndarray, "C C K"],
    grid: Grid,
    boundary: str | Sequence[str],
) -> sparse.csr_array:
    """The ``(C N, C N)`` matrix of ``(S u)(x) = sum_d S(d) u(x + d)``, variables outermost, row-major."""
    columns, signs = sources(offsets, grid, boundary)
    rows = np.broadcast_to(np.arange(grid.size), columns.shape).ravel()
    place = (rows, columns.ravel())
    shape = (grid.size, grid.size)
    table = weights[..., None] * signs
    blocks = [[sparse.csr_array((w.ravel(), place), shape=shape) for w in row] for row in table]
    return sparse.block_array(blocks, format="csr")
