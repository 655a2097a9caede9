"""Series in place of a curve of distance: finite, so that they fold, and differentiable in what the curve learns."""

from __future__ import annotations

import itertools
import math
from abc import abstractmethod

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import eval_legendre
from torch import Tensor

from gridvit.grid import Grid
from gridvit.nn.bias.base import Fold, Rows
from gridvit.nn.bias.pairs import Curve, Pairs
from gridvit.nn.bias.sphere import cosines, legendre_series, real_harmonics

NODES = 256  # of the quadrature in the angle
QUERIES = 64


class Series(Pairs):
    """b(i, j) = c_0 + sum_w c_w f_w(x_i) . f_w(x_j), c = project curve(nodes), of which c_0 is not folded.

    ``waves`` are the features f of every token and ``which`` the coefficient that each has.
    """

    nodes: Tensor
    project: Tensor
    waves: Tensor
    which: Tensor

    def __init__(
        self,
        grid: Grid,
        nodes: Float[np.ndarray, "point"],
        project: Float[np.ndarray, "coefficient point"],
        waves: Float[np.ndarray, "token dim"],
        which: list[int],
    ) -> None:
        super().__init__()
        self.grid, self.dims = grid, waves.shape[1]
        for name, value in {"nodes": nodes, "project": project, "waves": waves}.items():
            self.register_buffer(name, torch.from_numpy(value).float(), persistent=False)
        self.register_buffer("which", torch.tensor(which), persistent=False)

    def coefficients(self, curve: Curve) -> Float[Tensor, "head coefficient"]:
        """c_0, c_1, ..., in logits."""
        return curve(self.nodes) @ self.project.T

    def fold(self, curve: Curve) -> Fold:
        """c f and f."""
        return self.coefficients(curve)[:, None, self.which] * self.waves, self.waves

    @abstractmethod
    def logits(self, curve: Curve, rows: Rows) -> Float[Tensor, "head query key"]:
        """The series, from differences of positions."""

    @torch.no_grad()
    def error(self, curve: Curve) -> Float[Tensor, "head"]:
        """max |curve(d_ij) - b(i, j)| over all keys of up to 64 queries, which are spread over the tokens."""
        count = self.waves.shape[0]
        rows = torch.linspace(0, count - 1, min(count, QUERIES)).round().long()
        distances = torch.from_numpy(self.grid.distances(rows.numpy())).to(self.nodes)
        wanted = curve(distances.flatten()).unflatten(1, distances.shape)
        return (wanted - self.logits(curve, rows.to(self.nodes.device))).abs().amax((1, 2))


class Legendre(Series):
    """b = sum_l c_l P_l(cos g), c_l = (2 l + 1) / 2 int_0^pi curve(R g) P_l(cos g) sin g dg, l = 0 .. degree.

    (degree + 1)^2 - 1 dimensions by the addition theorem (``Harmonics``). The integral is a Gauss-Legendre sum in the
    angle g, where a curve that has a cusp at zero distance is smooth. The distance itself is
    pi / 2 - (3 pi / 8) P_1 - (7 pi / 128) P_3 - ...: .39 radians off at degree 1, .095 at degree 9, at its two ends.
    """

    points: Tensor

    def __init__(self, grid: Grid, degree: int) -> None:
        assert grid.radius is not None
        x, weight = np.polynomial.legendre.leggauss(NODES)
        angle = np.pi / 2 * (x + 1)
        order = np.arange(degree + 1)[:, None]
        project = (order + 0.5) * eval_legendre(order, np.cos(angle)) * np.sin(angle) * np.pi / 2 * weight
        which = [n for n in range(1, degree + 1) for _ in range(2 * n + 1)]
        super().__init__(grid, grid.radius * angle, project, real_harmonics(grid.positions, degree), which)
        self.radius = grid.radius
        self.register_buffer("points", torch.tensor(grid.positions).float(), persistent=False)

    def logits(self, curve: Curve, rows: Rows) -> Float[Tensor, "head query key"]:
        """The series at the cosine of the angle."""
        return self._at(curve, cosines(self.points, rows))

    def kernel(self, curve: Curve, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The series at great-circle ``distance`` (km)."""
        return self._at(curve, torch.cos(distance / self.radius))

    def _at(self, curve: Curve, cosine: Tensor) -> Tensor:
        mean, *rest = self.coefficients(curve).T
        return mean.reshape(-1, *[1] * cosine.ndim) + legendre_series(torch.stack(rest, 1), cosine)


class Fourier(Series):
    """b = sum_k c_k cos(k . (x_j - x_i)), k = 2 pi m / P: all waves of |k| up to ``waves`` 2 pi / max P.

    ``P`` is the period of an axis, twice the length of a bounded one: no two of its points are then nearer the other
    way round. Two dimensions per pair k, -k. c are the discrete Fourier transform over the distances of evenly spaced
    tokens: with all waves the series is the curve there. It is not quite the same in all directions.
    """

    points: Tensor
    vectors: Tensor

    def __init__(self, grid: Grid, waves: int) -> None:
        grid.distance_units  # noqa: B018 - refuses axes whose lengths cannot be compared
        periods, counts = (np.array(x) for x in lattice(grid))
        numbers = wave_numbers(periods, counts, waves)
        different, which = np.unique(np.abs(numbers), axis=0, return_inverse=True)
        nodes, project = transform(periods, counts, np.concatenate([0 * numbers[:1], different]))
        vectors = 2 * np.pi * numbers / periods
        points = grid.positions - grid.positions.mean(0)
        phase = points @ vectors.T
        features = np.concatenate([np.cos(phase), np.sin(phase)], 1)
        super().__init__(grid, nodes, project, features, [*(which.ravel() + 1).tolist()] * 2)
        self.register_buffer("points", torch.from_numpy(points).float(), persistent=False)
        self.register_buffer("vectors", torch.from_numpy(vectors).float(), persistent=False)

    def logits(self, curve: Curve, rows: Rows) -> Float[Tensor, "head query key"]:
        """The sum of cosines, one wave after another."""
        mean, amplitudes = self._amplitudes(curve)
        step = self.points - self.points[rows][:, None]
        total = mean[:, None, None].expand(-1, *step.shape[:2])
        for amplitude, vector in zip(amplitudes.T, self.vectors, strict=True):
            total = total + amplitude[:, None, None] * torch.cos(step @ vector)
        return total

    def kernel(self, curve: Curve, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The series at ``distance`` (axis units), averaged over the axes."""
        mean, amplitudes = self._amplitudes(curve)
        along = torch.cos(distance[:, None, None] * self.vectors.to(distance)).mean(-1)
        return mean[:, None] + amplitudes @ along.T

    def _amplitudes(self, curve: Curve) -> tuple[Tensor, Tensor]:
        """c_0 (head) and c_k (head, wave)."""
        coefficients = self.coefficients(curve)
        return coefficients[:, 0], coefficients[:, self.which[: len(self.vectors)]]


def lattice(grid: Grid) -> tuple[list[float], list[int]]:
    """Period of each axis and the tokens in it; twice its length and tokens where it is bounded."""
    turns = [1 if wraps else 2 for wraps in grid.periodic]
    periods = [length * turn for length, turn in zip(grid.lengths, turns, strict=True)]
    return periods, [n * turn for n, turn in zip(grid.shape, turns, strict=True)]


def wave_numbers(
    periods: Float[np.ndarray, "axis"], counts: Int[np.ndarray, "axis"], waves: int
) -> Float[np.ndarray, "wave axis"]:
    """m of one of each pair m, -m but zero, |m max P / P| <= waves, resolved along each axis."""
    most = np.minimum(np.floor(waves * periods / periods.max() + 1e-9), counts // 2).astype(int)
    every = itertools.product(*(range(-m, m + 1) for m in most))
    numbers = np.array([m for m in every if m > (0,) * len(most)], dtype=float)
    return numbers[np.linalg.norm(numbers * periods.max() / periods, axis=1) <= waves + 1e-9]


def transform(
    periods: Float[np.ndarray, "axis"],
    counts: Int[np.ndarray, "axis"],
    numbers: Float[np.ndarray, "wave axis"],
) -> tuple[Float[np.ndarray, "point"], Float[np.ndarray, "wave point"]]:
    """Distances, and the matrix that takes a curve of them to the amplitudes of cosines.

    The curve is even along each axis: half of the points of an axis are enough, counted twice but for the first and
    for the one at half a period. So are waves but the constant, and those that alternate along an axis are their own
    mirror.
    """
    square, project = np.zeros(1), np.ones((len(numbers), 1))
    for period, n, m in zip(periods, counts, numbers.T, strict=True):
        steps = np.arange(n // 2 + 1)
        counted = np.where((steps == 0) | (2 * steps == n), 1, 2) / n
        alone = np.where(2 * m == n, 0.5, 1.0)
        waves = alone[:, None] * counted * np.cos(2 * math.pi * m[:, None] * steps / n)
        square = (square[:, None] + (steps * period / n) ** 2).ravel()
        project = (project[:, :, None] * waves[:, None]).reshape(len(numbers), -1)
    twice = np.where(numbers.any(1), 2, 1)
    return np.sqrt(square), twice[:, None] * project
