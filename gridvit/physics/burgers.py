"""Burgers' equation in one and two dimensions: the simplest flow that steepens into fronts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, correlation, fit, padder, reach
from gridvit.physics.constant import Accuracy, Operator, differences, laplacian
from gridvit.physics.good import Good
from gridvit.physics.operators import choose, crossing_time, plane_spacing, slope
from gridvit.physics.pattern import Semilinear, check_coefficients, check_dimensions
from gridvit.stencil import Stencil

FLUXES: dict[str, tuple[int, int]] = {"engquist-osher": (-1, 1), "central": (0, 0)}
"""Sides of the differences by which the rightward and the leftward part of the flow enter."""


@dataclass(frozen=True)
class Burgers(Semilinear):
    """u_t + (u^2/2)_x = nu u_xx; in two dimensions u_t + (u^2/2)_x + v u_y = nu (u_xx + u_yy) and
    v_t + u v_x + (v^2/2)_y = nu (v_xx + v_yy), with u along the last axis (x) and v along the first (y).

    Fronts steepen until viscosity balances them at a thickness of about 4 nu / jump. The Engquist-Osher flux
    f(i+1/2) = (max(u_i, 0)^2 + min(u_{i+1}, 0)^2) / 2 is monotone and first-order, and v u_y is then upwind;
    the central flux has the order ``accuracy`` of the right-hand side. Both conserve mass in one dimension.

    Good values: |u| near 1 on a domain of length 1 to 10; nu from 0.001 (Engquist-Osher, whose own viscosity
    |u| h / 2 then rules) or above |u| h / 2 (central). Below that the central flux oscillates behind fronts
    and may blow up.

    Args:
        viscosity: nu, length^2 / time, not negative.
        flux: "engquist-osher" or "central".

    Raises:
        InputError: a negative viscosity or an unknown flux.

    Reference: B. Engquist and S. Osher, Math. Comp. 36 (1981) 321-351, doi:10.1090/S0025-5718-1981-0606500-X.
    """

    good: ClassVar[Good] = Good(parameters={"viscosity": 0.5})
    viscosity: float | int
    flux: str = "engquist-osher"

    def __post_init__(self) -> None:
        check_coefficients(self, ("viscosity",))
        choose(FLUXES, self.flux, "fluxes")

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",) or ("u", "v")."""
        check_dimensions(self, ndim, (1, 2))
        return ("u", "v")[:ndim]

    def normal(self, ndim: int) -> Normal:
        """u along the last axis, v along the first."""
        return (1, 0) if ndim == 2 else (0,)

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """nu lap for each component."""
        return Operator.diagonal(*[laplacian(ndim, self.viscosity)] * len(self.variables(ndim)))

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """-convection by the chosen flux; ``accuracy`` is the order of the central one.

        Raises:
            InputError: a grid that is no uniform plane of one or two axes.
        """
        check_dimensions(self, grid.ndim, (1, 2))
        spacing, normal = plane_spacing(grid), self.normal(grid.ndim)
        order = differences(accuracy)
        slopes = [_slopes(self.flux, axis, spacing, order) for axis in range(grid.ndim)]
        width = reach(*(stencil for pair in slopes for stencil in pair))
        pairs = [(correlation(onward, width), correlation(backward, width)) for onward, backward in slopes]
        pad = padder(grid, width, boundary, normal)
        return lambda u: -_convection(u, pad(u), pairs)

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """speed / h summed over the axes."""
        return float(np.sum(abs(speed) / plane_spacing(grid)))

    def stable_step(self, grid: Grid, speed: float | int = 1.0, accuracy: Accuracy = 2) -> float:
        """dt = 1 / (sum_i speed / h_i + 2 nu / h_i^2) where |u| is at most ``speed``.

        Within it forward Euler with the Engquist-Osher flux makes no new extremum, and neither does any
        strong-stability-preserving method of ``gridvit.physics.solve``. For other ``accuracy`` than two
        ``Semilinear.stable_step``.
        """
        if accuracy != 2:
            return super().stable_step(grid, speed, accuracy)
        ones = np.ones(grid.ndim)
        return crossing_time(abs(speed) * ones, self.viscosity * ones, plane_spacing(grid))


def _slopes(flux: str, axis: int, spacing: np.ndarray, accuracy: int) -> tuple[Stencil, Stencil]:
    """First derivatives along an axis, for the flow to higher and for the flow to lower coordinates."""
    order = accuracy if flux == "central" else 1
    onward, backward = (slope(axis, spacing, accuracy=order, side=side) for side in FLUXES[flux])
    return onward, backward


def _convection(u: Tensor, padded: Tensor, slopes: list[tuple[Tendency, Tendency]]) -> Tensor:
    """sum_j (w_j^2/2)_j in the equation of w_j itself, and w_j (w_i)_j in those of the others.

    Fluxes are formed on the padded field: the ghost of a square is not the square's ghost.
    """
    parts = []
    for j, (onward, backward) in enumerate(reversed(slopes)):
        field = padded[:, j : j + 1]
        own = onward(field.clamp(min=0) ** 2 / 2) + backward(field.clamp(max=0) ** 2 / 2)
        wind = fit(u[:, j : j + 1], own.shape[2:])
        before, after = (
            wind.clamp(min=0) * onward(others) + wind.clamp(max=0) * backward(others)
            for others in (padded[:, :j], padded[:, j + 1 :])
        )
        parts.append(torch.cat([before, own, after], dim=1))
    return sum(parts[1:], parts[0])
