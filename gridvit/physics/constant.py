"""Linear operators of constant coefficients as data: a stencil on any plane grid, exact on every wave."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, correlation, padder
from gridvit.physics.fourier import Waves, mixer
from gridvit.physics.operators import plane_spacing
from gridvit.stencil import Stencil, modes

Terms = Mapping[tuple[int, ...], float]
"""sum_a c_a d^a: a coefficient for each multi-index of derivatives along the grid's axes."""
Accuracy = int | str
"""Even order of the central differences, or "spectral" for derivatives exact on every wave of the grid."""
SPECTRAL = "spectral"
SAMPLE = 24  # waves along each axis among which the fastest is sought; 2 pi / 3 and pi are of them


def laplacian(ndim: int, factor: float | int = 1.0) -> dict[tuple[int, ...], float]:
    """factor sum_i d_i^2."""
    return {tuple(2 * int(i == axis) for i in range(ndim)): float(factor) for axis in range(ndim)}


def bilaplacian(ndim: int, factor: float | int = 1.0) -> dict[tuple[int, ...], float]:
    """factor (sum_i d_i^2)^2."""
    terms: dict[tuple[int, ...], float] = {}
    for one in laplacian(ndim):
        for two in laplacian(ndim):
            index = tuple(a + b for a, b in zip(one, two, strict=True))
            terms[index] = terms.get(index, 0.0) + float(factor)
    return terms


@dataclass(frozen=True)
class Operator:
    """(L u)_o = sum_i sum_a c_oia d^a u_i: ``rows[o][i]`` are the terms by which u_i enters the o-th equation.

    An operator of one row acts on every variable alike.
    """

    rows: tuple[tuple[Terms, ...], ...]

    @classmethod
    def diagonal(cls, *terms: Terms) -> Operator:
        """Each variable by itself."""
        return cls(tuple(tuple(t if i == o else {} for i in range(len(terms))) for o, t in enumerate(terms)))

    def stencil(self, grid: Grid, accuracy: int = 2) -> Stencil:
        """Central differences of order ``accuracy``; a matrix stencil for more than one variable."""
        spacing = plane_spacing(grid)
        table = [[_combine(terms, spacing, accuracy) for terms in row] for row in self.rows]
        return table[0][0] if len(table) == 1 else Stencil.block(table)

    def symbol(
        self, theta: Float[np.ndarray, "*modes d"], grid: Grid, accuracy: Accuracy = 2
    ) -> Complex[np.ndarray, "*modes variable variable"]:
        """Lambda(theta) with L (v e^{i theta.x/h}) = (Lambda v) e^{i theta.x/h}; theta in radians per cell.

        "spectral" gives the derivatives' own (i theta / h)^a, of which odd powers vanish at theta = pi, where a
        real field cannot say the direction of the wave.
        """
        if accuracy != SPECTRAL:
            found = self.stencil(grid, differences(accuracy)).symbol(theta)
            return found[..., None, None] if len(self.rows) == 1 else found
        k = theta / plane_spacing(grid)
        odd = np.where(np.isclose(np.abs(theta), np.pi), 0.0, k)
        return np.stack([np.stack([_exact(t, k, odd) for t in row], -1) for row in self.rows], -2)

    def tendency(
        self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open", normal: Normal = ()
    ) -> Tendency:
        """u -> L u, by the stencil or in Fourier space."""
        if accuracy != SPECTRAL:
            stencil = self.stencil(grid, differences(accuracy))
            pad, correlate = (
                padder(grid, stencil.reach, boundary, normal),
                correlation(stencil, stencil.reach),
            )
            return lambda u: correlate(pad(u))
        waves = Waves(grid, boundary, normal)
        mix = mixer(self.symbol(waves.theta, grid, accuracy))
        return lambda u: waves.back(mix(waves.forward(u)))

    def keeps_images(self, axis: int, odd: tuple[bool, ...] = ()) -> bool:
        """Whether mirror images along an axis stay images, those of the ``odd`` variables being turned over.

        Then derivatives of odd order lead from an even variable to an odd one or back, all others to their like.
        """
        turned = odd or (False,) * len(self.rows)
        return all(
            index[axis] % 2 == int(turned[o] != turned[i])
            for o, row in enumerate(self.rows)
            for i, terms in enumerate(row)
            for index in terms
        )

    def radius(self, grid: Grid, accuracy: Accuracy = 2) -> float:
        """max |lambda| over waves and eigenvalues: the fastest rate there is."""
        theta = modes((SAMPLE,) * grid.ndim)
        # Exact odd derivatives are fastest just below the shortest wave, at which they are none.
        symbols = self.symbol(theta * (1 - 1e-4) if accuracy == SPECTRAL else theta, grid, accuracy)
        return float(np.abs(np.linalg.eigvals(symbols)).max())


def differences(accuracy: Accuracy) -> int:
    """The even order of central differences, or a refusal."""
    if not isinstance(accuracy, int) or accuracy < 2 or accuracy % 2:
        raise InputError("an even order of accuracy for differences", repr(accuracy), "take 2, 4 or 6")
    return accuracy


def _combine(terms: Terms, spacing: Float[np.ndarray, "d"], accuracy: int) -> Stencil:
    total = 0.0 * Stencil.identity(len(spacing), spacing)
    for index, factor in terms.items():
        total = total + factor * Stencil.derivative(index, accuracy, spacing=spacing)
    return total


def _exact(
    terms: Terms, k: Float[np.ndarray, "*modes d"], odd: Float[np.ndarray, "*modes d"]
) -> Complex[np.ndarray, "*modes"]:
    total = np.zeros(k.shape[:-1], dtype=np.complex128)
    for index, factor in terms.items():
        powers = [(1j * (odd if a % 2 else k)[..., axis]) ** a for axis, a in enumerate(index)]
        total = total + factor * np.prod(powers, axis=0)
    return total
