"""States to begin with: random fields of a stated spectrum, on the plane and on the sphere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gridvit.cells import per_axis
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary
from gridvit.physics.harmonics import Harmonics


@runtime_checkable
class OwnStates(Protocol):
    """An equation that makes its own states of random fields: in other units, in balance, or positive."""

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """States of independent random fields, one for each variable, of zero mean and unit variance."""
        ...


def random_states(
    equation: Any,
    grid: Grid,
    n: int,
    *,
    seed: int,
    cutoff: float | int,
    first: int = 0,
    boundary: Boundary = "open",
) -> Float64[Tensor, "n variable *space"]:
    """States of an equation: its own of random fields where it says how, else the random fields themselves.

    Raises:
        InputError: as ``random_field``.
    """
    count = len(equation.variables(grid.ndim))
    noise = random_field(grid, n, seed=seed, cutoff=cutoff, variables=count, first=first, boundary=boundary)
    return equation.states(noise, grid) if isinstance(equation, OwnStates) else noise


def random_field(
    grid: Grid,
    n: int,
    *,
    seed: int,
    cutoff: float | int,
    variables: int = 1,
    first: int = 0,
    boundary: Boundary = "open",
) -> Float64[Tensor, "n variable *space"]:
    """Gaussian random fields with amplitudes E|u_k| ~ exp(-(|k|/cutoff)^2).

    On a plane k is in cycles per domain, and white noise on the cells is filtered, so that the shortest wave of
    an even axis needs no care. Between walls it is made of standing waves: sines where ``boundary`` is
    "dirichlet", else cosines, that is the odd or even part of a field on a domain of twice the length. On the
    sphere k is the degree n of the harmonics, alike for all orders (the statistics do not know where the poles
    are), and a field is the same on every grid that holds it.

    Every field has a mean square of one over the area, and all but the sines zero mean. Each has its own
    generator, of (seed, number): the same seed gives the same fields, however they are divided among calls.

    Args:
        grid: a plane, or a sphere as `Harmonics` takes it.
        n: number of fields.
        seed: of the generators.
        cutoff: |k| at which the amplitude has fallen to 1/e; good values lie between 2 and an eighth of the
            cells along the shortest axis (the scheme that moves the field then resolves it), on the sphere a
            third of the truncation.
        variables: independent fields in each sample.
        first: number of the first field.
        boundary: condition at the walls of bounded axes, one for all axes or one for each.

    Returns:
        (n, variables, *space), float64, on the CPU.

    Raises:
        InputError: no field, another number of conditions than of axes, or a cutoff that is not
            positive or beyond the grid's shortest wave.
    """
    _check(grid, n, cutoff, variables)
    generators = [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,))) for k in range(first, first + n)
    ]
    if grid.is_sphere:
        fields = _on_sphere(grid, generators, float(cutoff), variables)
    else:
        conditions = per_axis(boundary, grid.ndim, "boundary condition")
        fields = _on_plane(grid, generators, float(cutoff), variables, conditions)
    weights = torch.from_numpy(grid.areas / grid.areas.sum())
    space = tuple(range(2, fields.ndim))
    return fields / ((fields**2 * weights).sum(space, keepdim=True)).sqrt()


def _on_plane(
    grid: Grid,
    generators: list[np.random.Generator],
    cutoff: float,
    variables: int,
    conditions: tuple[str, ...],
) -> Tensor:
    periods = [1 if wraps else 2 for wraps in grid.periodic]  # of the domain in that of the waves
    shape = [n * period for n, period in zip(grid.shape, periods, strict=True)]
    noise = np.stack([generator.standard_normal((variables, *shape)) for generator in generators])
    axes = tuple(range(2, noise.ndim))
    amplitude = _amplitude(shape, periods, cutoff)
    fields = torch.from_numpy(np.fft.ifftn(np.fft.fftn(noise, axes=axes) * amplitude, axes=axes).real)
    for axis, wraps, condition, n in zip(axes, grid.periodic, conditions, grid.shape, strict=True):
        if not wraps:
            mirrored = fields.flip(axis)
            fields = (fields - mirrored if condition == "dirichlet" else fields + mirrored).narrow(axis, 0, n)
    return fields


def _on_sphere(grid: Grid, generators: list[np.random.Generator], cutoff: float, variables: int) -> Tensor:
    """Coefficients are drawn degree by degree, for all variables at once: a finer grid only adds to them."""
    transform = Harmonics(grid)
    T = transform.truncation
    fields = []
    for generator in generators:  # one by one: products of larger matrices round differently
        spectrum = np.zeros((1, variables, T + 1, T + 1), dtype=np.complex128)
        for n in range(1, T + 1):
            parts = generator.standard_normal((2 * n + 1, variables)).T * np.exp((1 - n**2) / cutoff**2)
            spectrum[0, :, 0, n] = parts[:, 0]
            spectrum[0, :, 1 : n + 1, n] = (parts[:, 1 : n + 1] + 1j * parts[:, n + 1 :]) / np.sqrt(2)
        fields.append(transform.synthesise(torch.from_numpy(spectrum)))
    return torch.cat(fields)


def _amplitude(shape: Sequence[int], periods: Sequence[int], cutoff: float) -> np.ndarray:
    """exp(-|k|^2 / cutoff^2) without the mean: scaled to 1 at the longest wave, which no cutoff makes underflow."""
    waves = (np.fft.fftfreq(n, period / n) for n, period in zip(shape, periods, strict=True))
    square = sum(component**2 for component in np.meshgrid(*waves, indexing="ij"))
    longest = square[square > 0].min()
    return np.where(square > 0, np.exp(np.minimum(longest - square, 0) / cutoff**2), 0.0)


def _check(grid: Grid, n: int, cutoff: float | int, variables: int) -> None:
    if n < 1 or variables < 1:
        raise InputError("at least one field and variable", f"{n} and {variables}", "ask for more")
    largest = Harmonics(grid).truncation if grid.is_sphere else min(grid.shape) / 2
    unit = "degrees of the harmonics" if grid.is_sphere else "cycles per domain"
    if not 0 < cutoff <= largest:
        raise InputError(
            f"a cutoff above 0 and up to {largest:g} {unit}, the grid's shortest wave",
            f"{cutoff}",
            "lower the cutoff or refine the grid",
        )
