"""States to begin with."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid


def random_field(
    grid: Grid, n: int, *, seed: int, cutoff: float | int, variables: int = 1
) -> Float64[Tensor, "n variable *space"]:
    """Gaussian random fields with Fourier amplitudes E|u_k| ~ exp(-(|k|/cutoff)^2), k in cycles per domain.

    White noise on the cells is filtered, so that the shortest wave of an even axis needs no care. Every field
    has zero mean and unit variance over the cells. The same seed gives the same fields, and the first of them
    whatever ``n``.

    Args:
        grid: a periodic plane.
        n: number of fields.
        seed: of the generator.
        cutoff: |k| at which the amplitude has fallen to 1/e; good values lie between 2 and an eighth of the
            cells along the shortest axis (the scheme that moves the field then resolves it).
        variables: independent fields in each sample.

    Returns:
        (n, variables, *space), float64, on the CPU.

    Raises:
        InputError: no periodic plane, no field, or a cutoff that is not positive or beyond the grid's
            shortest wave.
    """
    _check(grid, n, cutoff, variables)
    noise = np.random.default_rng(seed).standard_normal((n, variables, *grid.shape))
    axes = tuple(range(2, noise.ndim))
    fields = np.fft.ifftn(np.fft.fftn(noise, axes=axes) * _amplitude(grid.shape, cutoff), axes=axes).real
    return torch.from_numpy(fields / fields.std(axis=axes, keepdims=True))


def _amplitude(shape: tuple[int, ...], cutoff: float | int) -> np.ndarray:
    """exp((1 - |k|^2) / cutoff^2) without the mean: scaled to 1 at k = 1, which no cutoff makes underflow."""
    k = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
    square = sum(component**2 for component in k)
    return np.where(square > 0, np.exp(np.minimum(1 - square, 0) / cutoff**2), 0.0)


def _check(grid: Grid, n: int, cutoff: float | int, variables: int) -> None:
    if grid.is_sphere or not all(grid.periodic):
        raise InputError("a periodic plane", grid.describe(), "make it with Grid.regular(periodic=True)")
    if n < 1 or variables < 1:
        raise InputError("at least one field and variable", f"{n} and {variables}", "ask for more")
    if not 0 < cutoff <= min(grid.shape) / 2:
        raise InputError(
            f"a cutoff above 0 and up to {min(grid.shape) / 2:g} cycles per domain, the grid's shortest wave",
            f"{cutoff}",
            "lower the cutoff or refine the grid",
        )
