"""States to begin with: random fields of a stated spectrum, on the plane and on the sphere."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
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
    equation: Any, grid: Grid, n: int, *, seed: int, cutoff: float | int, first: int = 0
) -> Float64[Tensor, "n variable *space"]:
    """States of an equation: its own of random fields where it says how, else the random fields themselves.

    Raises:
        InputError: as ``random_field``.
    """
    count = len(equation.variables(grid.ndim))
    noise = random_field(grid, n, seed=seed, cutoff=cutoff, variables=count, first=first)
    return equation.states(noise, grid) if isinstance(equation, OwnStates) else noise


def random_field(
    grid: Grid, n: int, *, seed: int, cutoff: float | int, variables: int = 1, first: int = 0
) -> Float64[Tensor, "n variable *space"]:
    """Gaussian random fields with amplitudes E|u_k| ~ exp(-(|k|/cutoff)^2).

    On a periodic plane k is in cycles per domain, and white noise on the cells is filtered, so that the shortest
    wave of an even axis needs no care. On the sphere k is the degree n of the harmonics, alike for all orders
    (the statistics do not know where the poles are), and a field is the same on every grid that holds it.

    Every field has zero mean and unit variance over the area. Each has its own generator, of (seed, number): the
    same seed gives the same fields, however they are divided among calls.

    Args:
        grid: a periodic plane, or a sphere as `Harmonics` takes it.
        n: number of fields.
        seed: of the generators.
        cutoff: |k| at which the amplitude has fallen to 1/e; good values lie between 2 and an eighth of the
            cells along the shortest axis (the scheme that moves the field then resolves it), on the sphere a
            third of the truncation.
        variables: independent fields in each sample.
        first: number of the first field.

    Returns:
        (n, variables, *space), float64, on the CPU.

    Raises:
        InputError: a bounded plane, no field, or a cutoff that is not positive or beyond the grid's shortest
            wave.
    """
    _check(grid, n, cutoff, variables)
    make = _on_sphere if grid.is_sphere else _on_plane
    generators = [
        np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(k,))) for k in range(first, first + n)
    ]
    fields = make(grid, generators, float(cutoff), variables)
    weights = torch.from_numpy(grid.areas / grid.areas.sum())
    space = tuple(range(2, fields.ndim))
    return fields / ((fields**2 * weights).sum(space, keepdim=True)).sqrt()


def _on_plane(grid: Grid, generators: list[np.random.Generator], cutoff: float, variables: int) -> Tensor:
    noise = np.stack([generator.standard_normal((variables, *grid.shape)) for generator in generators])
    axes = tuple(range(2, noise.ndim))
    return torch.from_numpy(
        np.fft.ifftn(np.fft.fftn(noise, axes=axes) * _amplitude(grid.shape, cutoff), axes=axes).real
    )


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


def _amplitude(shape: tuple[int, ...], cutoff: float | int) -> np.ndarray:
    """exp((1 - |k|^2) / cutoff^2) without the mean: scaled to 1 at k = 1, which no cutoff makes underflow."""
    k = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
    square = sum(component**2 for component in k)
    return np.where(square > 0, np.exp(np.minimum(1 - square, 0) / cutoff**2), 0.0)


def _check(grid: Grid, n: int, cutoff: float | int, variables: int) -> None:
    if not grid.is_sphere and not all(grid.periodic):
        raise InputError("a periodic plane", grid.describe(), "make it with Grid.regular(periodic=True)")
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
