"""Waves under a step that knows its patches: alias matrices, stability and the imprint of the patches.

A patch model commutes with shifts by a patch only. It sends a wave ``k`` to ``k + 2 pi m / P``, and a plain
symbol does not tell its growth: the ``P^d x P^d`` alias matrices do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import prod

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import grid_symbol
from gridvit.errors import InputError
from gridvit.rollout import Context, Step
from gridvit.stencil import Stencil

SITES = 4
"""Rows by which two patches are compared."""


def phase_average(stencil: Stencil) -> Stencil:
    """``S(d) = P^-d sum_p J(p, p + d)``: the mean over the axis ``"cell"`` of a probed stencil."""
    return stencil.mean("cell")


def alias_matrices(
    rows: Stencil, shape: Sequence[int], patch: Sequence[int]
) -> Complex[np.ndarray, "base n n"]:
    r"""``M_k[m, m'] = g_{m - m'}(k + 2 pi m' / P)``, ``g_m(k) = P^-d sum_p G_p(k) e^{-2 pi i m.p / P}``.

    A linear operator that commutes with shifts by ``P`` cells sends a wave ``k'`` only to ``k' + 2 pi m /
    P``; ``G_p`` is the symbol of its row at phase ``p``. The eigenvalues of all ``M_k`` together are those
    of the operator, and their diagonals are the symbol of ``phase_average``.

    Args:
        rows: dims ``("cell",)``: the Jacobian row at each cell of the first patch, row-major.
        shape: of the periodic grid.
        patch: ``P`` per axis, dividing the shape.

    Returns:
        One ``(P^d C, P^d C)`` matrix for each of the ``prod(n / P)`` waves ``k``.
    """
    ndim, size, blocks = len(shape), prod(patch), [n // p for n, p in zip(shape, patch, strict=True)]
    if any(n % p for n, p in zip(shape, patch, strict=True)) or rows.weights.shape[0] != size:
        got = f"{rows.weights.shape[0]} rows on {tuple(shape)}"
        raise InputError(
            f"{size} rows on a grid that {tuple(patch)} divides", got, "probe every cell of one patch"
        )
    symbols = grid_symbol(rows, shape).reshape(*patch, rows.components, rows.components, *shape)
    phases = np.fft.fftn(symbols, axes=tuple(range(ndim)), norm="forward")
    split = phases.reshape(size, rows.components, rows.components, *np.column_stack([patch, blocks]).ravel())
    bands = split.transpose(0, *range(3, split.ndim, 2), *range(4, split.ndim, 2), 1, 2)
    bands = bands.reshape(size, size, prod(blocks), rows.components, rows.components)
    alias = np.stack(np.unravel_index(np.arange(size), tuple(patch)))
    change = (alias[:, :, None] - alias[:, None, :]) % np.reshape(patch, (-1, 1, 1))
    coupled = bands[np.ravel_multi_index(tuple(change), tuple(patch)), np.arange(size)]
    n = size * rows.components
    return coupled.transpose(2, 0, 3, 1, 4).reshape(-1, n, n)


def bloch(
    step: Step,
    state: Float[Tensor, "1 variable *space"],
    patch: Sequence[int],
    context: Context | None = None,
) -> xr.Dataset:
    r"""``rho = max_k rho(M_k)`` and ``sigma = max_k |M_k|_2`` over a step's alias matrices.

    What decides stability is ``rho``, not the largest ``|G|`` of the averaged stencil. ``imprint`` is
    ``|off-diagonal|_F / |M|_F``: 0 for a step that does not know its patches, and waves it mixes up
    otherwise. ``energy_defect = |J^T J - 1|_F / sqrt(N)``: 0 for a step that keeps the energy of every field.

    Args:
        step: commutes with shifts by a patch. ``site_defect`` says how nearly: how much four Jacobian rows of
            the first patch and of the middle one differ, relative to their size. A nonlinear step commutes
            only if the state itself repeats with the patch, such as a constant.
        state: one state on a plane that is periodic along every axis.
        patch: cells per axis.

    Returns:
        Dataset of the numbers ``spectral_radius``, ``sigma_max``, ``imprint``, ``energy_defect`` and ``site_defect``.
    """
    grid = step.grid
    if grid.is_sphere or not all(grid.periodic):
        raise InputError("a plane that is periodic along every axis", grid.describe(), "use the probe alone")
    # Of one forward pass: the first patch, and some cells of the middle one that are held against their like.
    first = patch_cells(patch)
    some = np.linspace(0, len(first) - 1, min(SITES, len(first))).round().astype(int)
    middle = [n // p // 2 * p for n, p in zip(grid.shape, patch, strict=True)]
    both = probe(step, state, np.concatenate([first, first[some] + middle]), context).isel(state=0)
    rows, other = replace(both, weights=both.weights[: len(first)]), both.weights[len(first) :]
    matrices = alias_matrices(rows, grid.shape, patch)
    blocks = np.kron(np.eye(prod(patch)), np.ones((len(step.variables),) * 2)).astype(bool)
    numbers = {
        "spectral_radius": (np.abs(np.linalg.eigvals(matrices)).max(), "largest eigenvalue of the step"),
        "sigma_max": (np.linalg.norm(matrices, 2, axis=(-2, -1)).max(), "largest amplification in one step"),
        "imprint": (
            np.linalg.norm(matrices[:, ~blocks]) / np.linalg.norm(matrices),
            "share of aliased waves",
        ),
        "energy_defect": (_energy_defect(matrices), "change of energy by the waves together"),
        "site_defect": (
            np.linalg.norm(other - rows.weights[some]) / np.linalg.norm(rows.weights[some]),
            "difference between two patches",
        ),
    }
    return xr.Dataset(
        {k: ((), float(v), {"long_name": name, "units": "1"}) for k, (v, name) in numbers.items()}
    )


def _energy_defect(matrices: Complex[np.ndarray, "base n n"]) -> float:
    """``|M^H M - 1|_F`` over the root of the number of waves."""
    n = matrices.shape[-1]
    gap = matrices.conj().swapaxes(-1, -2) @ matrices - np.eye(n)
    return float(np.linalg.norm(gap) / np.sqrt(len(matrices) * n))
