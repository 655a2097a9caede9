"""Biases on planes that fold: Fourier series along periodic axes, a Gaussian across the bounded ones."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.bias.base import EVERY, Bias, Fold, Rows, initial_strength, plane_ladder, signed_length


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
        lengths = plane_ladder(grid, heads)
        periods = torch.tensor([grid.lengths[axis] for axis in turns], dtype=torch.float64)
        angles = 2 * math.pi * positions[:, turns] / periods
        waves = torch.arange(1, harmonics + 1)[:, None] * angles[..., None, :]  # (token, harmonic, axis)
        self.shape, self.turns = grid.shape, turns
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
        """Turned harmonics and harmonics; the aim of the Gaussian and positions with their squares."""
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

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The bias itself, from differences of positions.

        A series is summed for the places along its axis, not for all keys.
        """
        angle = torch.atan2(self.wave[:, 0, :, 1], self.wave[:, 0, :, 0])
        bias = self.table.new_zeros(len(self.table), len(angle[rows]), *self.shape)
        for number, axis in enumerate(self.turns):
            apart = math.prod(self.shape[axis + 1 :])  # numbers of neighbours along the axis
            line = angle[: self.shape[axis] * apart : apart, number]
            curve = self._along(number, line - angle[rows, number, None])  # (head, query, place)
            bias += curve.reshape(*curve.shape[:2], *(-1 if n == axis else 1 for n in range(len(self.shape))))
        bias = bias.flatten(2)
        if self.strength is not None and self.drift is not None:
            step = self.offsets_from[None] - self.offsets_from[rows][:, None]
            gap = step - self.drift[:, None, None] * self.lengths[:, None, None, None]
            bias = bias - 0.5 * self.curvature()[:, None, None] * gap.square().sum(-1)
        return bias

    def _periodic(self, turn: Tensor) -> Tensor:
        """Sum of harmonics at angles ``turn (*points, axis)`` -> ``(head, *points)``."""
        total = turn.new_zeros(len(self.table), *turn.shape[:-1])
        for axis, each in enumerate(turn.unbind(-1)):
            total = total + self._along(axis, each)
        return total

    def _along(self, axis: int, turn: Tensor) -> Tensor:
        """Sum of harmonics of one periodic axis at angles ``turn (*points)`` -> ``(head, *points)``."""
        order = torch.arange(1, self.table.shape[1] + 1, device=turn.device)
        phase = order * turn[..., None]
        even, odd = self.coefficients()[:, :, axis].unbind(-1)
        return torch.einsum("hm,...m->h...", even, phase.cos()) + torch.einsum(
            "hm,...m->h...", odd, phase.sin()
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
