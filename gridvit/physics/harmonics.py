"""Spherical harmonics on a grid of latitudes and longitudes: analysis, synthesis and the derivatives between."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.cells import gaussian_bounds
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import check_space

METRES = 1000.0  # in a kilometre, the unit of a grid's radius


@dataclass(frozen=True, eq=False)
class Harmonics:
    """u = sum_{n <= T} sum_{|m| <= n} c_nm P_nm(sin latitude) e^{i m longitude}, (1/2) int P_nm^2 = 1.

    c_00 is the area mean, and the mean square of u the sum of |c_nm|^2. Triangular truncation at the degree T
    up to which a product of two fields is analysed exactly: 3 T is at most the degree that the rows integrate
    (2 rows - 1 for Gaussian latitudes, rows - 1 for equal steps) and below the number of columns. Every rotation
    of the sphere leaves such a sum one, so the poles are points like others and limit no step; finite volumes
    on the same cells would be limited by the narrowest, and only of low order there.

    Transforms are two matrix products and a real FFT; float32 keeps six digits. Tables take (T + 1)^2 rows
    numbers each: good for T up to a few hundred.

    Args:
        grid: the whole sphere; Gaussian latitudes, or equal steps without rows at the poles.

    Raises:
        InputError: another grid.

    Reference: D. L. Williamson et al., J. Comput. Phys. 102 (1992) 211-224, doi:10.1016/S0021-9991(05)80016-6,
    appendix B; S. A. Orszag, J. Atmos. Sci. 27 (1970) 890-895.
    """

    grid: Grid

    def __post_init__(self) -> None:
        grid = self.grid
        whole = grid.is_sphere and grid.periodic[1] and np.ptp(grid.bounds[0]) > 180 - 1e-6
        if not whole or np.ptp(np.diff(grid.centers[1])) > 1e-3 or abs(grid.centers[0]).max() > 90 - 1e-6:
            raise InputError(
                "the whole sphere in equal steps of longitude without rows at the poles",
                grid.describe(),
                "make it with Grid.gaussian or Grid.latlon",
            )
        if self.truncation < 1 or self._weights.min() <= 0:
            raise InputError(
                "at least 4 rows and 4 columns, Gaussian or in equal steps of latitude",
                grid.describe(),
                "make it with Grid.gaussian or Grid.latlon",
            )

    @property
    def radius(self) -> float:
        """a, metres."""
        return float(self.grid.radius or 0) * METRES

    @cached_property
    def truncation(self) -> int:
        """T."""
        rows, columns = self.grid.shape
        degree = 2 * rows - 1 if gaussian_bounds(self.grid.centers[0]) is not None else rows - 1
        return min(degree, columns - 1) // 3

    @cached_property
    def eigenvalues(self) -> Float[np.ndarray, "degree"]:
        """-n (n + 1) / a^2, of the Laplacian, 1 / m^2."""
        n = np.arange(self.truncation + 1)
        return -n * (n + 1) / self.radius**2

    def analyse(
        self, field: Float[Tensor, "batch variable lat lon"]
    ) -> Complex[Tensor, "batch variable order degree"]:
        """c_nm, zero where n < m; what lies beyond the truncation is dropped."""
        check_space(field, self.grid)
        weighted = self._like(field, "legendre") * self._like(field, "weights")
        return _project(weighted, self._zonal(field))

    def synthesise(
        self, spectrum: Complex[Tensor, "batch variable order degree"]
    ) -> Float[Tensor, "batch variable lat lon"]:
        """The field of the coefficients."""
        return self._field(spectrum, "legendre")

    def truncated(
        self, field: Float[Tensor, "batch variable lat lon"]
    ) -> Float[Tensor, "batch variable lat lon"]:
        """The part of a field that the truncation holds."""
        return self.synthesise(self.analyse(field))

    def laplacian(
        self, spectrum: Complex[Tensor, "batch variable order degree"], power: int = 1
    ) -> Complex[Tensor, "batch variable order degree"]:
        """(nabla^2)^power; with power -1 the inverse of zero mean."""
        values = self.eigenvalues.copy()
        values[0] = 0 if power > 0 else np.inf
        return spectrum * torch.from_numpy(values**power).to(spectrum.device, spectrum.real.dtype)

    def gradient(
        self, spectrum: Complex[Tensor, "batch variable order degree"]
    ) -> tuple[Float[Tensor, "batch variable lat lon"], Float[Tensor, "batch variable lat lon"]]:
        """(u_lon / (a cos lat), u_lat / a): the slopes to the east and to the north, per metre."""
        east = self.synthesise(self._along(spectrum)) / self._cosine(spectrum.real)
        return east / self.radius, self._field(spectrum, "slopes") / self.radius

    def divergence(
        self, east: Float[Tensor, "batch variable lat lon"], north: Float[Tensor, "batch variable lat lon"]
    ) -> Complex[Tensor, "batch variable order degree"]:
        """Coefficients of div (east, north), by parts: its mean is zero to the last digit."""
        weights = self._like(east, "weights")
        along = _project(self._like(east, "legendre") * weights, self._zonal(east / self._cosine(east)))
        across = _project(self._like(east, "slopes") * weights, self._zonal(north))
        return (self._along(along) - across) / self.radius

    def curl(
        self, east: Float[Tensor, "batch variable lat lon"], north: Float[Tensor, "batch variable lat lon"]
    ) -> Complex[Tensor, "batch variable order degree"]:
        """Coefficients of the vertical component of curl (east, north)."""
        return self.divergence(north, -east)

    def wind(
        self,
        vorticity: Complex[Tensor, "batch variable order degree"],
        divergence: Complex[Tensor, "batch variable order degree"] | None = None,
    ) -> tuple[Float[Tensor, "batch variable lat lon"], Float[Tensor, "batch variable lat lon"]]:
        """(u, v) = k x grad psi + grad chi with lap psi = vorticity and lap chi = divergence."""
        psi_x, psi_y = self.gradient(self.laplacian(vorticity, -1))
        if divergence is None:
            return -psi_y, psi_x
        chi_x, chi_y = self.gradient(self.laplacian(divergence, -1))
        return chi_x - psi_y, chi_y + psi_x

    def _along(self, spectrum: Tensor) -> Tensor:
        """i m c_nm."""
        order = torch.arange(self.truncation + 1, device=spectrum.device, dtype=spectrum.real.dtype)
        return 1j * order[:, None] * spectrum

    def _zonal(self, field: Tensor) -> Tensor:
        """(1 / 2 pi) int u e^{-i m lon} dlon: (batch, variable, lat, order)."""
        return torch.fft.rfft(field, norm="forward")[..., : self.truncation + 1]

    def _field(self, spectrum: Tensor, table: str) -> Tensor:
        parts = torch.view_as_real(spectrum)
        rows = torch.einsum("mnj,bvmnk->bvjmk", self._like(parts, table), parts).contiguous()
        return torch.fft.irfft(torch.view_as_complex(rows), n=self.grid.shape[1], norm="forward")

    def _cosine(self, like: Tensor) -> Tensor:
        return self._like(like, "cosine")[:, None]

    def _like(self, tensor: Tensor, name: str) -> Tensor:
        """A table in the precision and on the device of a tensor, moved there once."""
        key = (name, tensor.dtype, tensor.device)
        if key not in self._moved:
            self._moved[key] = torch.from_numpy(getattr(self, f"_{name}_table")).to(
                tensor.device, tensor.dtype
            )
        return self._moved[key]

    @cached_property
    def _moved(self) -> dict:
        return {}

    @cached_property
    def _sines(self) -> Float[np.ndarray, " lat"]:
        return np.sin(np.deg2rad(self.grid.centers[0]))

    @cached_property
    def _cosine_table(self) -> Float[np.ndarray, " lat"]:
        return np.cos(np.deg2rad(self.grid.centers[0]))

    @cached_property
    def _weights(self) -> Float[np.ndarray, " lat"]:
        """Of the rows, sum 1: those that integrate all polynomials of degree below their number."""
        rows = len(self._sines)
        mean = np.zeros(rows)
        mean[0] = 1
        return np.linalg.solve(np.polynomial.legendre.legvander(self._sines, rows - 1).T, mean)

    @property
    def _weights_table(self) -> Float[np.ndarray, " lat"]:
        return self._weights

    @cached_property
    def _legendre_table(self) -> Float[np.ndarray, "order degree lat"]:
        return legendre(self.truncation, self._sines)

    @cached_property
    def _slopes_table(self) -> Float[np.ndarray, "order degree lat"]:
        """dP_nm / dlat = ((n + 1) e_n P_{n-1} - n e_{n+1} P_{n+1}) / cos lat."""
        T = self.truncation
        more = legendre(T + 1, self._sines)[: T + 1]
        n, e = np.arange(T + 1)[:, None], _ratios(T + 1)[: T + 1, :, None]
        below = np.concatenate([np.zeros_like(more[:, :1]), more[:, :T]], axis=1)
        return ((n + 1) * e[:, : T + 1] * below - n * e[:, 1:] * more[:, 1:]) / self._cosine_table


def legendre(degree: int, sines: Float[np.ndarray, " lat"]) -> Float[np.ndarray, "order degree lat"]:
    """P_nm(mu) for m, n = 0 .. degree, zero where n < m, with (1/2) int P_nm^2 dmu = 1.

    P_mm = sqrt((2 m + 1) / (2 m)) cos lat P_{m-1,m-1} and e_n P_n = mu P_{n-1} - e_{n-1} P_{n-2}, which loses no
    digits; where P_mm underflows next to a pole, all of the order is negligible.
    """
    table, e = np.zeros((degree + 1, degree + 1, len(sines))), _ratios(degree)
    diagonal = np.ones_like(sines)
    for m in range(degree + 1):
        if m:
            diagonal = np.sqrt((2 * m + 1) / (2 * m)) * np.sqrt(1 - sines**2) * diagonal
        table[m, m] = diagonal
        for n in range(m + 1, degree + 1):
            older = e[m, n - 1] * table[m, n - 2] if n > m + 1 else 0.0
            table[m, n] = (sines * table[m, n - 1] - older) / e[m, n]
    return table


def _ratios(degree: int) -> Float[np.ndarray, "order degree"]:
    """e_nm = sqrt((n^2 - m^2) / (4 n^2 - 1)), zero where n <= m."""
    m, n = np.ogrid[: degree + 1, : degree + 1]
    return np.sqrt(np.maximum(n**2 - m**2, 0) / np.abs(4 * n**2 - 1))


def _project(weighted: Tensor, rows: Tensor) -> Tensor:
    """sum_j P_nm(j) w_j u_m(j)."""
    parts = torch.einsum("mnj,bvjmk->bvmnk", weighted, torch.view_as_real(rows))
    return torch.view_as_complex(parts.contiguous())
