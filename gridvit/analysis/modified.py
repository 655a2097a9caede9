"""The modified equation of a stencil: what it carries, spreads, disperses and makes grow, with intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial, prod

import numpy as np
import xarray as xr
from scipy import stats

from gridvit.analysis.symbol import fit_cumulants
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.moments import MultiIndex
from gridvit.stencil import Stencil

LEAST = 5
"""Cells along each axis that determine three cumulants."""


def modified_equation(
    stencil: Stencil, grid: Grid, dt: float | int = 1.0, *, time_units: str = "1"
) -> xr.Dataset:
    r"""``u_t = sum_n kappa_n h^n / (n! dt) d^n u`` to order three, ``kappa_n`` by ``fit_cumulants``.

    Reaction ``kappa_0 / dt``, velocity ``-kappa_1 h / dt``, diffusivity ``kappa_ij h_i h_j / (2 dt)``, dispersion
    ``kappa_ijk h_i h_j h_k / (6 dt)``, the last two so that the tensors are contracted with all their derivatives.

    Args:
        stencil: of one variable; leading axes (states, layers) stay.
        grid: a plane, periodic along every axis.
        dt: length of the step.
        time_units: of ``dt``.

    Returns:
        ``modified_reaction``, ``modified_velocity(axis)``, ``modified_diffusivity(axis, axis_2)`` and
        ``modified_dispersion(axis, axis_2, axis_3)`` after the leading axes.

    Raises:
        InputError: a system, or fewer than 5 cells along an axis.

    Reference: Warming & Hyett (1974), J. Comput. Phys. 14, 159-179.
    """
    if stencil.is_system or min(grid.shape) < LEAST:
        got = f"{stencil.components} variables on {grid.shape} cells"
        raise InputError(f"one variable on at least {LEAST} cells per axis", got, "take component(out, into)")
    lead = stencil.weights.shape[:-1]
    each = [
        _tensors(Stencil(stencil.offsets, stencil.weights[index], np.ones(grid.ndim)), grid, dt)
        for index in np.ndindex(*lead)
    ]
    length, axes = grid.distance_units, ("axis", "axis_2", "axis_3")
    names = {
        "modified_reaction": ("growth rate of the modified equation", f"1 / {time_units}"),
        "modified_velocity": ("velocity of the modified equation", f"{length} / {time_units}"),
        "modified_diffusivity": ("diffusivity of the modified equation", f"{length}^2 / {time_units}"),
        "modified_dispersion": ("dispersion of the modified equation", f"{length}^3 / {time_units}"),
    }
    data = {}
    for order, (name, (long_name, units)) in enumerate(names.items()):
        values = np.array([tensors[order] for tensors in each]).reshape((*lead, *(grid.ndim,) * order))
        data[name] = ((*stencil.dims, *axes[:order]), values, {"long_name": long_name, "units": units})
    return xr.Dataset(data, {name: list(grid.names) for name in axes})


def _tensors(stencil: Stencil, grid: Grid, dt: float | int) -> list[np.ndarray]:
    """Symmetric tensors of order 0 to 3, in the grid's unit."""
    found = fit_cumulants(stencil, grid.shape, 3, min(3, (min(grid.shape) - 1) // 2))
    spacing = np.asarray(grid.spacing, dtype=np.float64)
    tensors = [np.zeros((grid.ndim,) * order) for order in range(4)]
    for tensor in tensors:
        for place in np.ndindex(*tensor.shape):
            index: MultiIndex = tuple(place.count(axis) for axis in range(grid.ndim))
            scale = prod(spacing[axis] for axis in place) / (factorial(tensor.ndim) * dt)
            tensor[place] = found[index] * scale
    tensors[1] *= -1
    return tensors


def interval(table: xr.Dataset, dim: str, level: float = 0.95) -> xr.Dataset:
    r"""``mean``, ``mean -+ t s / sqrt(n)`` and the standard deviation ``s`` over one axis, of every variable.

    Student's interval of the mean, for values that are independent and near normal, such as states far apart in
    time or runs of several seeds. Of a single value it is NaN.

    Args:
        table: variables without this axis stay as they are.
        dim: ``"state"`` or ``"run"``.
        level: of the interval.

    Returns:
        Each variable averaged, with ``_low``, ``_high`` and ``_spread`` beside it.
    """
    found = {}
    for name, values in table.data_vars.items():
        if dim not in values.dims:
            found[name] = values
            continue
        n = values.sizes[dim]
        mean, many = values.mean(dim), values.var(dim) * n / max(n - 1, 1)
        spread = np.sqrt(many) if n > 1 else xr.full_like(mean, np.nan)
        half = spread * stats.t.ppf((1 + level) / 2, max(n - 1, 1)) / np.sqrt(n)
        parts = {"": mean, "_low": mean - half, "_high": mean + half, "_spread": spread}
        words = {"": "", "_low": ", low end", "_high": ", high end", "_spread": ", standard deviation"}
        for end, part in parts.items():
            attrs = {**values.attrs, "long_name": values.attrs.get("long_name", str(name)) + words[end]}
            found[f"{name}{end}"] = part.assign_attrs(attrs)
    return xr.Dataset(found, attrs=table.attrs)


def across_runs(tables: Sequence[xr.Dataset], level: float = 0.95) -> xr.Dataset:
    """``interval`` over several runs' Datasets, such as the ``analysis.nc`` of three seeds.

    Args:
        tables: of the same variables and coordinates; what is not a number is taken from the first.
        level: of the interval.

    Raises:
        InputError: fewer than two.
    """
    if len(tables) < 2:
        raise InputError("the Datasets of at least two runs", f"{len(tables)}", "give one of each seed")
    numbers = [t.drop_vars([n for n, v in t.data_vars.items() if v.dtype.kind not in "fi"]) for t in tables]
    joined = xr.concat(
        numbers,
        "run",
        join="exact",
        combine_attrs="drop_conflicts",
        data_vars="all",
        coords="minimal",
        compat="override",
    )
    return interval(joined, "run", level)
