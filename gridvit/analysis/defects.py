"""What a step should keep and does not: mass, constants, shifts, reflections, directions, energy, units."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from gridvit.analysis.symbol import grid_symbol
from gridvit.errors import InputError
from gridvit.rollout import Context, Step, check_state
from gridvit.stencil import Stencil, modes

SCALE, LIFT = 0.5, 0.5
"""Of ``semilinearity_defect``: half the amplitude, half a standard deviation up."""


def step_defects(
    step: Step,
    state: Float[Tensor, "batch variable *space"],
    patch: Sequence[int],
    context: Context | None = None,
) -> xr.Dataset:
    r"""Defects that a step shows on states, each 0 for a step that keeps the rule.

    - ``mass_defect = mean |1^T J - 1^T|`` over cells: what a cell adds to the sum of the first variable, less one;
    - ``shift_defect(axis) = |F(T u) - T F(u)| / |F(u)|`` for a shift by one cell, ``patch_shift_defect`` by a patch;
    - ``reflection_defect(axis) = |F(R u) - R F(u)| / |F(u)|``: 0 for pure diffusion, large for what advects;
    - ``semilinearity_defect = |F(a u + b) - a F(u) - b| / |F(u)|``, ``a`` 1/2 and ``b`` half a standard deviation:
      0 for every linear scheme that keeps constants, and for schemes with limiters.

    Args:
        step: on a plane that is periodic along every axis. What its context tells is not shifted along.
        state: some states, each shifted as a whole.
        patch: cells per axis.
        context: of the states.

    Raises:
        InputError: a state that does not fit, or a grid that is bounded or a sphere.
    """
    grid = step.grid
    check_state(step, state)
    if grid.is_sphere or not all(grid.periodic):
        raise InputError("a plane that is periodic along every axis", grid.describe(), "use the probe alone")
    with torch.no_grad():
        after = step(state, context)
        size = after.norm()

        def gap(found: Tensor, wanted: Tensor) -> float:
            return float((found - wanted).norm() / size)

        shifted: list[float] = []
        patched: list[float] = []
        mirrored: list[float] = []
        for axis, cells in enumerate(patch):
            for into, shift in ((shifted, 1), (patched, cells)):
                into.append(gap(step(state.roll(shift, axis + 2), context), after.roll(shift, axis + 2)))
            mirrored.append(gap(step(state.flip(axis + 2), context), after.flip(axis + 2)))
        lift = LIFT * state.transpose(0, 1).flatten(1).std(1).reshape(-1, *[1] * grid.ndim)
        semilinear = gap(step(SCALE * state + lift, context), SCALE * after + lift)
    mass = float(np.abs(_column_sums(step, state, context) - 1).mean())
    axes = ("axis",)
    table = {
        "mass_defect": ((), mass, "what a cell adds to the sum, less one"),
        "shift_defect": (axes, shifted, "error of a shift by a cell"),
        "patch_shift_defect": (axes, patched, "error of a shift by a patch"),
        "reflection_defect": (axes, mirrored, "error of a reflection"),
        "semilinearity_defect": ((), semilinear, "error of a change of scale and level"),
    }
    data = {k: (d, v, {"long_name": name, "units": "1"}) for k, (d, v, name) in table.items()}
    return xr.Dataset(data, {"axis": list(grid.names)})


def stencil_defects(rows: Stencil, shape: Sequence[int]) -> xr.Dataset:
    r"""Defects that are read off the Jacobian rows of a step.

    - ``constants_defect = max |J 1 - 1|`` over states and cells;
    - ``odd_share = |S(d) - S(-d)| / 2 |S|`` of the mean ``S``: the odd part is the imaginary part of ``G``, advection;
    - ``anisotropy``: the spread of ``|G|`` on rings of equal ``|theta|`` one longest wave wide, up to the shortest wave
      of an axis: ``sqrt(sum (|G| - mean of its ring)^2 / sum |G|^2)``. NaN in one dimension.

    Args:
        rows: of one variable, any leading axes.
        shape: of the grid, a plane that is periodic along every axis.
    """
    sums, stencil = rows.weights.sum(axis=-1), rows
    for dim in rows.dims:
        stencil = stencil.mean(dim)
    symbol = grid_symbol(stencil, shape)
    kernel = np.fft.fftn(symbol).real
    flipped = np.roll(np.flip(kernel), 1, axis=tuple(range(kernel.ndim)))
    odd = np.linalg.norm(kernel - flipped) / (2 * np.linalg.norm(kernel))
    table = {
        "constants_defect": (np.abs(sums - 1).max(), "largest change of a constant"),
        "odd_share": (odd, "share of the stencil that changes sign in a reflection"),
        "anisotropy": (
            _anisotropy(np.abs(symbol)),
            "spread of the amplification on rings of equal wave number",
        ),
    }
    return xr.Dataset(
        {k: ((), float(v), {"long_name": name, "units": "1"}) for k, (v, name) in table.items()}
    )


def _column_sums(step: Step, state: Tensor, context: Context | None) -> Float[np.ndarray, "batch *space"]:
    """``1^T J`` of the first variable: one reverse pass."""
    with torch.enable_grad():
        leaf = state.detach().clone().requires_grad_()
        (columns,) = torch.autograd.grad(step(leaf, context)[:, 0].sum(), leaf)
    return columns[:, 0].cpu().numpy()


def _anisotropy(size: Float[np.ndarray, "*space"]) -> float:
    if size.ndim == 1:
        return float("nan")
    length, width = np.linalg.norm(modes(size.shape), axis=-1), 2 * np.pi / min(size.shape)
    ring = np.round(length / width).astype(int)
    inside = (length < np.pi) & (ring > 0)
    values, ring = size[inside], ring[inside]
    mean = np.bincount(ring, values) / np.maximum(np.bincount(ring), 1)
    return float(np.linalg.norm(values - mean[ring]) / np.linalg.norm(values))
