"""Biases on the sphere that fold: functions of p . q, the cosine of the great-circle angle."""

from __future__ import annotations

import math

import numpy as np
import torch
from jaxtyping import Float
from scipy.special import lpmv
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.bias.base import EVERY, Bias, Fold, Rows, initial_strength, signed_length, sphere_ladder


class Chordal(Bias):
    """b(i, j) = -s |p_i - p_j|^2 R^2 / (2 l^2), p unit vectors on the sphere of radius R: von Mises-Fisher attention.

    Up to a constant this is ``(s R^2 / l^2) p_i . p_j``: three dimensions. Positive ``s`` prefers near keys with
    length scale ``l / sqrt(s)`` (a Gaussian's standard deviation, small angles), negative ``s`` far ones. ``l`` is
    fixed, on a ladder from the token spacing to a quarter of the great circle, and ``s`` is learned without
    constraint. Reference: the von Mises-Fisher density, Mardia and Jupp (2000), section 9.3.
    """

    dims = 3
    lengths: Tensor
    points: Tensor

    def __init__(self, grid: Grid, heads: int) -> None:
        super().__init__()
        assert grid.radius is not None
        self.radius = grid.radius
        self.register_buffer("lengths", sphere_ladder(grid, heads).float())
        self.register_buffer("points", torch.tensor(grid.positions).float())
        self.strength = nn.Parameter(initial_strength(heads).float())

    @property
    def concentration(self) -> Float[Tensor, "head"]:
        """kappa = s R^2 / l^2 per head, dimensionless."""
        return self.strength * (self.radius / self.lengths) ** 2

    def fold(self) -> Fold:
        """kappa p and p."""
        return self.concentration[:, None, None] * self.points, self.points

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions."""
        chord2 = (self.points[rows][:, None] - self.points[None]).square().sum(-1)
        return -0.5 * self.concentration[:, None, None] * chord2

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """Bias at great-circle ``distance`` (km)."""
        chord2 = 4 * torch.sin(distance / (2 * self.radius)).square()
        return -0.5 * self.concentration[:, None] * chord2

    def length(self) -> Float[Tensor, "head"]:
        """Signed length scale per head in km: positive prefers near, negative far, infinite where there is no bias."""
        return signed_length(self.concentration / self.radius**2)


class Aimed(Chordal):
    """b(i, j) = -s |a_i - p_j|^2 R^2 / (2 l^2), a = cos b cos a p + cos b sin a e + sin b n: a Gaussian with an offset.

    The centre of attention lies at the angle ``a`` east and ``b`` north of the query, in its own frame of p, east e
    and north n: an advection that the head can learn. Both are multiples of ``l / R``, zero at first, and the same
    everywhere, so turning the sphere about its axis changes nothing. Three dimensions. The kernel is the bias
    against the distance from that centre. At a pole east is that of the token's longitude.
    """

    east: Tensor
    north: Tensor

    def __init__(self, grid: Grid, heads: int) -> None:
        super().__init__(grid, heads)
        x, y, _ = grid.positions.T
        turn = np.arctan2(y, x)
        east = np.stack([-np.sin(turn), np.cos(turn), 0 * turn], -1)
        self.register_buffer("east", torch.from_numpy(east).float())
        self.register_buffer("north", torch.from_numpy(np.cross(grid.positions, east)).float())
        self.offset = nn.Parameter(torch.zeros(heads, 2))

    def aim(self, rows: Rows = EVERY) -> Float[Tensor, "head query 3"]:
        """Unit vectors to where each query looks."""
        angle = self.offset * (self.lengths / self.radius)[:, None]
        (a, b), (across, up) = angle.cos().T[..., None, None], angle.sin().T[..., None, None]
        return b * a * self.points[rows] + b * across * self.east[rows] + up * self.north[rows]

    def fold(self) -> Fold:
        """kappa a and p."""
        return self.concentration[:, None, None] * self.aim(), self.points

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions."""
        chord2 = (self.aim(rows)[:, :, None] - self.points).square().sum(-1)
        return -0.5 * self.concentration[:, None, None] * chord2


class Harmonics(Bias):
    """b = sum_l f_l P_l(cos angle), l = 1 .. L: any band-limited function of the great-circle angle.

    By the addition theorem P_l(p . q) = sum_m Y_lm(p) Y_lm(q), real harmonics of norm sqrt(4 pi / (2 l + 1)):
    (L + 1)^2 - 1 dimensions. ``f_l`` is learned as a multiple of ``(R / l_h)^2``, sign free; the first starts as
    the von Mises-Fisher bias of length scale ``l_h``, the others at zero. Good values: L of 2 to 4; what is
    narrower than 180 / L degrees cannot be said by the higher ones. Reference: DLMF 14.30.9.
    """

    lengths: Tensor
    waves: Tensor
    points: Tensor

    def __init__(self, grid: Grid, heads: int, degree: int) -> None:
        super().__init__()
        assert grid.radius is not None
        self.radius, self.degree = grid.radius, degree
        self.dims = (degree + 1) ** 2 - 1
        self.register_buffer("lengths", sphere_ladder(grid, heads).float())
        self.register_buffer("points", torch.tensor(grid.positions).float())
        self.register_buffer("waves", torch.from_numpy(real_harmonics(grid.positions, degree)).float())
        table = torch.zeros(heads, degree)
        table[:, 0] = initial_strength(heads)
        self.table = nn.Parameter(table)

    def coefficients(self) -> Float[Tensor, "head degree"]:
        """f_l, in logits."""
        return self.table * (self.radius / self.lengths).square()[:, None]

    def fold(self) -> Fold:
        """f_l Y_lm and Y_lm."""
        orders = [degree for degree in range(self.degree) for _ in range(2 * degree + 3)]
        spread = self.coefficients()[:, orders]
        return spread[:, None] * self.waves, self.waves

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The bias itself, from Legendre polynomials of the cosine; P_l(1) = 1 is kept."""
        return legendre_series(self.coefficients(), cosines(self.points, rows))

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """Bias at great-circle ``distance`` (km)."""
        return legendre_series(self.coefficients(), torch.cos(distance / self.radius))

    def length(self) -> Float[Tensor, "head"]:
        """Signed length scale per head in km, from the curvature sum f_l l (l + 1) / 2 at zero distance."""
        degree = torch.arange(1, self.degree + 1, device=self.table.device)
        curvature = (self.coefficients() * (degree * (degree + 1) / 2)).sum(1)
        return signed_length(curvature / self.radius**2)


def cosines(points: Float[Tensor, "point 3"], rows: Rows) -> Float[Tensor, "query point"]:
    """p . q = 1 - |p - q|^2 / 2, right to rounding where points are near."""
    return 1 - (points[rows][:, None] - points).square().sum(-1) / 2


def legendre_series(
    coefficients: Float[Tensor, "head degree"], cosine: Float[Tensor, "*point"]
) -> Float[Tensor, "head *point"]:
    """sum_l f_l P_l, l = 1 .. L, by Bonnet's recurrence (l + 1) P_{l+1} = (2 l + 1) x P_l - l P_{l-1}."""
    before, now = torch.ones_like(cosine), cosine
    total = torch.zeros_like(cosine)
    for degree, factor in enumerate(coefficients.T, 1):
        total = total + factor.reshape(-1, *[1] * cosine.ndim) * now
        before, now = now, ((2 * degree + 1) * cosine * now - degree * before) / (degree + 1)
    return total


def real_harmonics(points: Float[np.ndarray, "point 3"], degree: int) -> Float[np.ndarray, "point harmonic"]:
    """Y_lm(p) = sqrt((2 - [m = 0]) (l - m)! / (l + m)!) P_l^m(z) (cos m t, sin m t), l = 1 .. degree.

    Ordered by l; of each l first m = 0, then cosine and sine of m = 1 .. l. sum_m Y_lm(p) Y_lm(q) = P_l(p . q).
    """
    turn, height = np.arctan2(points[:, 1], points[:, 0]), points[:, 2].clip(-1, 1)
    columns = []
    for n in range(1, degree + 1):
        columns.append(lpmv(0, n, height))
        for m in range(1, n + 1):
            norm = math.sqrt(2 * math.factorial(n - m) / math.factorial(n + m))
            columns += [norm * lpmv(m, n, height) * wave for wave in (np.cos(m * turn), np.sin(m * turn))]
    return np.stack(columns, -1)
