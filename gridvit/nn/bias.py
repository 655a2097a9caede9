"""Distance bias of attention, folded exactly into a few extra dimensions of queries and keys.

The logits are ``q_i . k_j / sqrt(d) + b_h(x_i, x_j) + log w_j`` with the bias ``b_h`` a function of physical
distance and ``w_j`` the area of key ``j``. Every family here can be written ``b_h = f_q(x_i) . f_k(x_j)`` up to a
term that depends on the query alone, which softmax does not see; so the bias rides along inside
``scaled_dot_product_attention`` and no L x L matrix is ever made. ``logits`` is the explicit reference that the
fold is tested against, and what analysis looks at.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid

NO_KEY = -1e9  # log area of a key without area: finite, so that a state without any key gives no NaN
QUIET_SHARE = 4  # every fourth head starts without a bias, so that long range is discoverable


def length_ladder(shortest: float, longest: float, heads: int) -> Tensor:
    """Geometric ladder of ``heads`` length scales from ``shortest`` to ``longest``, in the unit of its arguments."""
    return torch.logspace(
        math.log10(shortest), math.log10(max(longest, shortest)), heads, dtype=torch.float64
    )


def initial_strength(heads: int) -> Tensor:
    """One for a head that starts local, zero for every fourth."""
    return (torch.arange(heads) % QUIET_SHARE != QUIET_SHARE - 1).double()


Fold = tuple[Float[Tensor, "head token dim"], Float[Tensor, "*batch token dim"]]
Share = Float[Tensor, "batch key"] | None


class Bias(nn.Module, ABC):
    """A family of biases: ``dims`` extra dimensions of queries and keys, the explicit bias, and its curve."""

    dims: int

    @abstractmethod
    def fold(self) -> Fold:
        """Features of queries and of keys whose product is the bias, up to a function of the query."""

    @abstractmethod
    def logits(self) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions."""

    @abstractmethod
    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The bias at ``distance``, in ``grid.distance_units``."""

    @abstractmethod
    def length(self) -> Float[Tensor, "head"]:
        """Signed length scale per head: positive prefers near, negative far, infinite where there is no bias."""


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
        lengths = length_ladder(nearest_distance(grid), math.pi / 2 * self.radius, heads)
        self.register_buffer("lengths", lengths.float())
        self.register_buffer("points", torch.tensor(grid.positions).float())
        self.strength = nn.Parameter(initial_strength(heads).float())

    @property
    def concentration(self) -> Float[Tensor, "head"]:
        """kappa = s R^2 / l^2 per head, dimensionless."""
        return self.strength * (self.radius / self.lengths) ** 2

    def fold(self) -> Fold:
        return self.concentration[:, None, None] * self.points, self.points

    def logits(self) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions."""
        chord2 = (self.points[:, None] - self.points[None]).square().sum(-1)
        return -0.5 * self.concentration[:, None, None] * chord2

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """Bias at great-circle ``distance`` (km)."""
        chord2 = 4 * torch.sin(distance / (2 * self.radius)).square()
        return -0.5 * self.concentration[:, None] * chord2

    def length(self) -> Float[Tensor, "head"]:
        """Signed length scale per head in km: positive prefers near, negative far, infinite where there is no bias."""
        return signed_length(self.concentration / self.radius**2)


class Plane(Bias):
    r"""b = sum over periodic axes and harmonics m of a_m cos(m t) + b_m sin(m t), t = 2 pi (x_j - x_i) / L,
    minus s |x_j - x_i - D|^2 / (2 l^2) over the bounded axes.

    Two dimensions per harmonic and periodic axis; the sine part gives a direction. The first cosine starts as the
    von Mises bias of length scale ``l``. The bounded axes share one Gaussian, n + 1 dimensions for n axes. Learned
    numbers are dimensionless multiples of ``(L / 2 pi l)^2`` and of ``1 / l^2``; their sign is free.
    Reference: Mardia and Jupp (2000), section 3.5.4 for the von Mises density.
    """

    lengths: Tensor
    periods: Tensor
    wave: Tensor
    offsets_from: Tensor
    scale: Tensor

    def __init__(self, grid: Grid, heads: int, harmonics: int) -> None:
        super().__init__()
        grid.distance_units  # noqa: B018 - refuses axes whose lengths cannot be compared
        turns = [axis for axis in range(grid.ndim) if grid.periodic[axis]]
        walls = [axis for axis in range(grid.ndim) if not grid.periodic[axis]]
        positions = torch.tensor(grid.positions).double()
        lengths = length_ladder(nearest_distance(grid), max(grid.lengths) / 4, heads)
        periods = torch.tensor([grid.lengths[axis] for axis in turns], dtype=torch.float64)
        angles = 2 * math.pi * positions[:, turns] / periods
        waves = torch.arange(1, harmonics + 1)[:, None] * angles[..., None, :]  # (token, harmonic, axis)
        self.dims = waves[0].numel() * 2 + (len(walls) + 1 if walls else 0)
        self.register_buffer("lengths", lengths.float())
        self.register_buffer("periods", periods.float())
        self.register_buffer("wave", torch.stack([waves.cos(), waves.sin()], -1).float())
        self.register_buffer("offsets_from", (positions[:, walls] - positions[:, walls].mean(0)).float())
        scale = (periods / (2 * math.pi)).square() / lengths[:, None].square()  # (head, axis)
        self.register_buffer("scale", scale.float())
        table = torch.zeros(heads, harmonics, len(turns), 2)
        table[:, 0, :, 0] = initial_strength(heads)[:, None].float()
        self.table = nn.Parameter(table)
        self.strength = nn.Parameter(initial_strength(heads).float()) if walls else None
        self.drift = nn.Parameter(torch.zeros(heads, len(walls))) if walls else None

    def coefficients(self) -> Float[Tensor, "head harmonic axis 2"]:
        """Cosine and sine amplitudes, in logits."""
        return self.table * self.scale[:, None, :, None]

    def curvature(self) -> Float[Tensor, "head"]:
        """s / l^2 of the Gaussian on the bounded axes."""
        assert self.strength is not None
        return self.strength / self.lengths.square()

    def fold(self) -> Fold:
        cosine, sine = self.wave.unbind(-1)
        even, odd = self.coefficients()[:, None].unbind(-1)
        query = [torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], -1).flatten(2)]
        key = [self.wave.flatten(1)]
        if self.strength is not None and self.drift is not None:
            aim = self.offsets_from + self.drift[:, None] * self.lengths[:, None, None]
            curvature = self.curvature()[:, None, None]
            query += [curvature * aim, -0.5 * curvature.expand(-1, aim.shape[1], 1)]
            key += [self.offsets_from, self.offsets_from.square().sum(-1, keepdim=True)]
        return torch.cat(query, -1), torch.cat(key, -1)

    def logits(self) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions."""
        angle = torch.atan2(self.wave[:, 0, :, 1], self.wave[:, 0, :, 0])
        turn = angle[None] - angle[:, None]
        bias = self._periodic(turn)
        if self.strength is not None and self.drift is not None:
            step = self.offsets_from[None] - self.offsets_from[:, None]
            gap = step - self.drift[:, None, None] * self.lengths[:, None, None, None]
            bias = bias - 0.5 * self.curvature()[:, None, None] * gap.square().sum(-1)
        return bias

    def _periodic(self, turn: Tensor) -> Tensor:
        """Sum of harmonics at angles ``turn (*points, axis)`` -> ``(head, *points)``."""
        order = torch.arange(1, self.table.shape[1] + 1, device=turn.device)
        phase = order[:, None] * turn[..., None, :]
        even, odd = self.coefficients().unbind(-1)
        return torch.einsum("hma,...ma->h...", even, phase.cos()) + torch.einsum(
            "hma,...ma->h...", odd, phase.sin()
        )

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """Even part of the bias at ``distance`` (axis units), averaged over the axes."""
        curves = []
        for axis, period in enumerate(self.periods):
            turn = torch.zeros(len(distance), len(self.periods), dtype=distance.dtype, device=distance.device)
            turn[:, axis] = 2 * math.pi * distance / period
            curves.append(0.5 * (self._periodic(turn) + self._periodic(-turn)))
        if self.strength is not None:
            curves += [-0.5 * self.curvature()[:, None] * distance.square()] * self.offsets_from.shape[1]
        return torch.stack(curves).mean(0)

    def length(self) -> Float[Tensor, "head"]:
        """Signed length scale per head in axis units, from the mean curvature at zero distance."""
        order = torch.arange(1, self.table.shape[1] + 1, device=self.table.device)
        even = self.coefficients()[..., 0]
        curvature = (
            torch.einsum("m,hma->ha", order.square().to(even), even) * (2 * math.pi / self.periods) ** 2
        )
        if self.strength is not None:
            walls = self.curvature()[:, None].expand(-1, self.offsets_from.shape[1])
            curvature = torch.cat([curvature, walls], 1)
        return signed_length(curvature.mean(1))


class NoBias(Bias):
    """b = 0: attention by content alone."""

    dims = 0
    blank: Tensor

    def __init__(self, grid: Grid, heads: int) -> None:
        super().__init__()
        self.register_buffer("blank", torch.zeros(heads, grid.size, 0))

    def fold(self) -> Fold:
        return self.blank, self.blank[0]

    def logits(self) -> Float[Tensor, "head query key"]:
        """Zeros."""
        return self.blank @ self.blank.transpose(1, 2)

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """Zeros."""
        return torch.zeros(self.blank.shape[0], len(distance), dtype=distance.dtype)

    def length(self) -> Float[Tensor, "head"]:
        """Infinite: no preference."""
        return torch.full((self.blank.shape[0],), math.inf)


class AreaWeighted(Bias):
    """b + log(w_j / mean w): attention with zero logits is then the area-weighted mean of the values.

    ``w_j`` is the area of token ``j`` that has values in a state, all of it without ``share``; without area a token is
    no key. One more dimension. Reference: the quadrature-weighted softmax of Bonev et al. (2025), arXiv:2505.11157.
    """

    log_area: Tensor

    def __init__(self, inner: Bias, grid: Grid) -> None:
        super().__init__()
        areas = torch.tensor(grid.areas).double().flatten()
        self.inner = inner
        self.dims = inner.dims + 1
        self.register_buffer("log_area", torch.log(areas / areas.mean()).float())

    def fold(self, share: Share = None) -> Fold:
        """Keys are ``(key, dim)``, or ``(batch, 1, key, dim)`` where there is a ``share``."""
        query, key = self.inner.fold()
        ones = query.new_ones(*query.shape[:-1], 1)
        area = self._log_area(share)[..., None]
        return torch.cat([query, ones], -1), torch.cat([key.expand(*area.shape[:-1], -1), area], -1)

    def logits(self, share: Share = None) -> Float[Tensor, "*batch head query key"]:
        """The inner bias plus the log area of each key."""
        return self.inner.logits() + self._log_area(share)[..., None, :]

    def _log_area(self, share: Share) -> Tensor:
        return self.log_area if share is None else (self.log_area + share.log())[:, None].clamp(min=NO_KEY)

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The inner curve; area is no function of distance."""
        return self.inner.kernel(distance)

    def length(self) -> Float[Tensor, "head"]:
        """The inner length scale."""
        return self.inner.length()


def signed_length(curvature: Float[Tensor, "head"]) -> Float[Tensor, "head"]:
    """l = sign(c) / sqrt|c|: the standard deviation of the Gaussian exp(-c x^2 / 2); infinite at c = 0."""
    return torch.where(curvature == 0, math.inf, torch.sign(curvature) / curvature.abs().sqrt())


def nearest_distance(grid: Grid) -> float:
    """Distance between neighbouring tokens: the largest cell width, on a mesh the square root of the largest area."""
    if grid.mesh is not None:
        return float(grid.areas.max()) ** 0.5
    width = max(float((bounds[1:] - bounds[:-1]).max()) for bounds in grid.bounds)
    return width if grid.radius is None else math.radians(width) * grid.radius


def make_bias(kind: str, grid: Grid, heads: int, harmonics: int, gaps: bool = False) -> Bias:
    """Chordal on the sphere, Fourier and Gaussian on planes, or none; area-weighted where areas differ or have gaps."""
    if kind == "none":
        inner: Bias = NoBias(grid, heads)
    elif grid.is_sphere:
        inner = Chordal(grid, heads)
    else:
        inner = Plane(grid, heads, harmonics)
    uniform = float(grid.areas.max() - grid.areas.min()) <= 1e-6 * float(grid.areas.max())
    return inner if uniform and not gaps else AreaWeighted(inner, grid)
