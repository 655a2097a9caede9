"""The differential operators of the equations as stencils, and the coefficients that weigh them.

Vectors and tensors have one component for each axis of the grid, *in the grid's axis order*: on ("y", "x") a
velocity is (along y, along x).
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil

Vector = float | int | Sequence[float | int] | np.ndarray
Matrix = float | int | Sequence[float | int | Sequence[float | int]] | np.ndarray
Entry = TypeVar("Entry")


def advection(
    velocity: Float[np.ndarray, "d"], spacing: Float[np.ndarray, "d"], accuracy: int = 2, upwind: bool = False
) -> Stencil:
    """S u = -a . grad u by central differences, or by differences from the side that the flow comes from."""
    total = 0.0 * Stencil.identity(len(velocity), spacing)
    for axis in np.flatnonzero(velocity):
        side = -int(np.sign(velocity[axis])) if upwind else 0
        total = total - float(velocity[axis]) * slope(int(axis), spacing, accuracy=accuracy, side=side)
    return total


def diffusion(
    tensor: Float[np.ndarray, "d d"], spacing: Float[np.ndarray, "d"], accuracy: int = 2
) -> Stencil:
    """S u = sum_ij D_ij u_ij by central differences."""
    total = 0.0 * Stencil.identity(len(tensor), spacing)
    for i, j in zip(*np.nonzero(tensor), strict=True):
        order = [int(axis == i) + int(axis == j) for axis in range(len(tensor))]
        total = total + float(tensor[i, j]) * Stencil.derivative(order, accuracy, spacing=spacing)
    return total


def slope(axis: int, spacing: Float[np.ndarray, "d"], *, accuracy: int, side: int = 0) -> Stencil:
    """The first derivative along one axis; ``side`` as in ``Stencil.derivative``."""
    index = [int(i == axis) for i in range(len(spacing))]
    return Stencil.derivative(index, accuracy, spacing=spacing, side=side)


def plane_spacing(grid: Grid) -> Float[np.ndarray, "d"]:
    """Cell width h along each axis of a uniform plane grid."""
    if grid.is_sphere:
        raise InputError("a plane grid for this equation", "a sphere", "make the grid with Grid.regular")
    return np.asarray(grid.spacing, dtype=np.float64)


def crossing_time(
    speed: Float[np.ndarray, "d"], diffusivity: Float[np.ndarray, "d"], spacing: Float[np.ndarray, "d"]
) -> float:
    """1 / (sum_i s_i / h_i + 2 D_i / h_i^2): time to replace a cell; inf where nothing moves."""
    rate = float(np.sum(speed / spacing + 2 * diffusivity / spacing**2))
    return 1 / rate if rate else float("inf")


def plain(value: Any) -> Any:
    """Numbers as floats in nested tuples, so that equations compare and hash by value."""
    nested = isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.ndim > 0)
    return tuple(plain(entry) for entry in value) if nested else number(value, "each coefficient")


def number(value: Any, what: str) -> float:
    """A float, or a refusal of words, lists and nothing."""
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"a number for {what}", repr(value), "give one number") from None


def velocity_vector(velocity: Vector, ndim: int) -> Float[np.ndarray, "d"]:
    """Velocity (d,) in the grid's axis order, or a refusal."""
    vector = np.atleast_1d(_array(velocity))
    if vector.shape != (ndim,) or not np.isfinite(vector).all():
        raise InputError(
            f"a finite velocity with {ndim} components, one for each axis of the grid",
            f"{velocity}",
            "give them in the order of the grid's axes",
        )
    return vector


def diffusivity_tensor(diffusivity: Matrix, ndim: int) -> Float[np.ndarray, "d d"]:
    """Diffusivity (d, d), symmetric and not negative, in the grid's axis order, or a refusal."""
    given = _array(diffusivity)
    tensor = np.diag(np.broadcast_to(given, ndim)) if given.shape in ((), (ndim,)) else given
    if tensor.shape != (ndim, ndim) or not _is_positive(tensor):
        raise InputError(
            f"a diffusivity of 1, {ndim} or, symmetric, {ndim} x {ndim} numbers, not negative",
            f"{diffusivity}",
            "correct it; the order is that of the grid's axes",
        )
    return tensor


def choose(table: Mapping[str, Entry], name: str, kinds: str) -> Entry:
    """``table[name]``, or a refusal that names the nearest entry."""
    if not isinstance(name, str) or name not in table:
        near = difflib.get_close_matches(str(name), table, n=1, cutoff=0.0)[0]
        raise InputError(f"one of the {kinds} {', '.join(table)}", repr(name), f"use {near!r}")
    return table[name]


def _array(values: Any) -> np.ndarray:
    """Numbers as an array; rows of different lengths as nan, which no check lets pass."""
    try:
        return np.asarray(values, dtype=np.float64)
    except ValueError:
        return np.array(np.nan)


def _is_positive(tensor: Float[np.ndarray, "d d"]) -> bool:
    if not np.isfinite(tensor).all() or not np.array_equal(tensor, tensor.T):
        return False
    return bool(np.linalg.eigvalsh(tensor).min() >= -1e-12 * np.abs(tensor).max())
