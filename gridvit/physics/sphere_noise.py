"""Gaussian noise on the sphere whose correlation depends on the angle alone, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.polynomial import legendre

from gridvit.errors import InputError
from gridvit.grid import Grid, Number

SMALLEST = 1e-17
"""Terms of a series below this share of the first are left out."""


@dataclass(frozen=True)
class SphereNoise:
    r"""cov(e(p), e(q)) = (1 - white) rho(p.q) + white [p = q], variance one in every cell.

    Positive definite at any points, for each kind is a sum of Legendre polynomials of positive weights:

    - "heat": rho ~ sum_l (2 l + 1) e^{-l (l + 1) t} P_l, t = ``scale``; nearly e^{-angle^2 / 4 t}: it falls to 1 / e
      at about 2 sqrt(t) rad (25 degrees at t = 0.05) and vanishes far away.
    - "generating": rho = (1 - tau) / sqrt(1 - 2 tau cos(angle) + tau^2), tau = ``scale`` < 1; a long tail.
    - "compact": the fifth-order piecewise function of Gaspari and Cohn in the chord, zero beyond two ``scale``.

    Args:
        kind: one of the three.
        scale: see above.
        white: share of noise that each cell has for itself. Without any, the covariance of a fine grid is
            singular to rounding, and what a linear forecast does with the shortest waves is undetermined.
        mean_free: leave out l = 0, so that the area mean of rho is zero. The long tail of "generating" then
            averages out; but "heat", whose far field is nil with l = 0, gets one of -t (-0.052 at t = 0.05).

    Raises:
        InputError: another kind, or a scale or share out of range.

    Reference: G. Gaspari and S. E. Cohn, Q. J. R. Meteorol. Soc. 125 (1999) 723-757, equation 4.10,
    doi:10.1002/qj.49712555417; I. J. Schoenberg, Duke Math. J. 9 (1942) 96-108 on positive definiteness.
    """

    kind: str = "heat"
    scale: Number = 0.05
    white: Number = 0.02
    mean_free: bool = False

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(
                f"noise of a kind among {', '.join(KINDS)}", repr(self.kind), "choose one of them"
            )
        most = 1.0 if self.kind != "heat" else np.inf
        if not (0 < self.scale < most and 0 <= self.white <= 1):
            raise InputError(
                "a positive scale (below 1 unless of kind heat) and a white share of 0 to 1",
                f"{self.scale:g} and {self.white:g}",
                "correct them",
            )
        if self.mean_free and self.kind == "compact":
            raise InputError("a mean to leave out of a series", "noise of kind compact", "leave it in")

    def correlation(self, cosine: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
        """rho of the cosine of the angle, without the white share."""
        values, mean = KINDS[self.kind](np.clip(cosine, -1.0, 1.0), self.scale)
        return (values - mean) / (1 - mean) if self.mean_free else values

    def on(self, grid: Grid) -> Correlated:
        """The noise in the cells of a grid.

        Raises:
            InputError: another grid than latitudes by equal steps around the whole circle.
        """
        return Correlated.of(self, grid)


@dataclass(frozen=True, eq=False)
class Correlated:
    """A covariance that is the same all around each circle of latitude: one small matrix per zonal wave.

    Memory and time are those of rows^2 x columns, not of cells squared.

    Args:
        kernel: covariance of (row, first column) with (other row, column).
    """

    kernel: Float[np.ndarray, "lat lat lon"]

    @classmethod
    def of(cls, noise: SphereNoise, grid: Grid) -> Correlated:
        """Values at the centres of the cells."""
        if not grid.is_latlon or not grid.periodic[1] or np.ptp(np.diff(grid.centers[1])) > 1e-3:
            raise InputError(
                "latitudes by equal steps of longitude that close",
                grid.describe(),
                "make the grid with Grid.latlon or Grid.gaussian",
            )
        points = grid.positions.reshape(*grid.shape, 3)
        kernel = (1 - noise.white) * noise.correlation(np.einsum("ik,jxk->ijx", points[:, 0], points))
        rows = np.arange(grid.shape[0])
        kernel[rows, rows, 0] = 1.0
        return cls(kernel)

    @property
    def _waves(self) -> Float[np.ndarray, "wave lat lat"]:
        """One symmetric matrix per zonal wave; the kernel is even in longitude, so they are real."""
        return np.moveaxis(np.fft.rfft(self.kernel).real, -1, 0)

    def times(self, fields: Float[np.ndarray, "*batch lat lon"]) -> Float[np.ndarray, "*batch lat lon"]:
        """Q u: the covariance times fields."""
        return self._apply(self._waves, fields)

    def draw(self, count: int, rng: np.random.Generator) -> Float[np.ndarray, "time lat lon"]:
        """Independent fields Q^{1/2} xi."""
        values, vectors = np.linalg.eigh(self._waves)
        root = np.sqrt(np.maximum(values, 0.0))[:, None] * vectors @ vectors.swapaxes(1, 2)
        _, rows, columns = self.kernel.shape
        return self._apply(root, rng.standard_normal((count, rows, columns)))

    def dense(self) -> Float[np.ndarray, "cell cell"]:
        """Q between all cells, row-major."""
        rows, _, columns = self.kernel.shape
        turn = (np.arange(columns)[None] - np.arange(columns)[:, None]) % columns
        return self.kernel[:, :, turn].swapaxes(1, 2).reshape(rows * columns, -1)

    def _apply(self, waves: np.ndarray, fields: np.ndarray) -> np.ndarray:
        spectrum = np.fft.rfft(fields)
        return np.fft.irfft(np.einsum("mij,...jm->...im", waves, spectrum), n=fields.shape[-1])


def _heat(cosine: np.ndarray, t: float) -> tuple[np.ndarray, float]:
    degrees = np.arange(int(np.ceil(np.sqrt(-np.log(SMALLEST) / t))) + 2)
    weights = (2 * degrees + 1) * np.exp(-degrees * (degrees + 1) * t)
    return legendre.legval(cosine, weights / weights.sum()), float(1 / weights.sum())


def _generating(cosine: np.ndarray, tau: float) -> tuple[np.ndarray, float]:
    return (1 - tau) / np.sqrt(1 - 2 * tau * cosine + tau**2), 1 - tau


def _compact(cosine: np.ndarray, half: float) -> tuple[np.ndarray, float]:
    """The correlation and no mean: that of its series is not in closed form, and is left in."""
    z = np.sqrt(np.maximum(2 - 2 * cosine, 0.0)) / half
    near = -(z**5) / 4 + z**4 / 2 + 5 / 8 * z**3 - 5 / 3 * z**2 + 1
    beyond = np.maximum(z, 1.0)
    far = beyond**5 / 12 - beyond**4 / 2 + 5 / 8 * beyond**3 + 5 / 3 * beyond**2 - 5 * beyond + 4
    far = far - 2 / (3 * beyond)
    return np.where(z <= 1, near, np.where(z < 2, far, 0.0)), 0.0


KINDS: dict[str, Callable[[np.ndarray, float], tuple[np.ndarray, float]]] = {
    "heat": _heat,
    "generating": _generating,
    "compact": _compact,
}
"""Correlation of the cosine of the angle, and its term of degree zero."""
