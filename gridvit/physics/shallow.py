"""Shallow water on a rotating plane, with walls where there are any."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, fit
from gridvit.physics.constant import Accuracy, Operator, Terms, laplacian
from gridvit.physics.derivatives import Derivatives
from gridvit.physics.dispersive import advection_rate
from gridvit.physics.good import Good, at_rest
from gridvit.physics.pattern import Semilinear, check_coefficients, check_dimensions


@dataclass(frozen=True)
class ShallowWater(Semilinear):
    """eta_t + ((H + eta) u)_x + ((H + eta) v)_y = 0, u_t - (f + z) v + (g eta + (u^2 + v^2) / 2)_x = nu lap u - mu u,
    v_t + (f + z) u + (g eta + (u^2 + v^2) / 2)_y = nu lap v - mu v, with z = v_x - u_y and f = f_0 + beta (y - y_0).

    x is the last axis, y the first; y_0 is its middle. Central differences keep the sum of eta and, without nu and
    mu, of the energy (H + eta) (u^2 + v^2) / 2 + g eta^2 / 2, between slip walls too (boundary "wall"; where a
    current leans on a wall of a rotating plane, the mirror image has a kink and the error there falls as h).

    Good values: g = H = 1 (waves of speed 1), f_0 of 0 to 1, |eta| and |u| below 0.3, nu near 0.1 h: all variables
    stand in the same cells, so that without any viscosity waves of two cells length stand still and gather noise.
    Steps below h / (sqrt(g H) + |u|) by "rk4"; "etdrk4" takes gravity waves and viscosity exactly. Where H + eta
    goes to zero, or waves break, take `DamBreak`.

    Args:
        gravity: g, length / time^2, not negative.
        depth: H, length, not negative.
        coriolis: f_0, 1 / time.
        beta: df / dy, 1 / (length time).
        viscosity: nu, length^2 / time, not negative.
        drag: mu, 1 / time, not negative.

    Raises:
        InputError: a negative coefficient; at the call, a grid without two axes.

    Reference: G. K. Vallis, Atmospheric and Oceanic Fluid Dynamics, 2nd ed. (2017), chapter 3.
    """

    good: ClassVar[Good] = Good(
        frame=0.5,
        largest=1.0,
        method="etdrk4",
        shape=(64, 64),
        lengths=(20.0, 20.0),
        parameters={"coriolis": 1.0, "viscosity": 0.02},
    )
    gravity: float | int = 1.0
    depth: float | int = 1.0
    coriolis: float | int = 0.0
    beta: float | int = 0.0
    viscosity: float | int = 0.0
    drag: float | int = 0.0

    def __post_init__(self) -> None:
        check_coefficients(self, ("gravity", "depth", "viscosity", "drag"), ("coriolis", "beta"))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Elevations of standard deviation 0.1, at rest."""
        return at_rest(noise, 0.1)

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("eta", "u", "v"): elevation of the surface, velocity along x and y."""
        check_dimensions(self, ndim, (2,))
        return ("eta", "u", "v")

    def normal(self, ndim: int) -> Normal:
        """u along the last axis, v along the first."""
        return (None, 1, 0)

    def linear(self, ndim: int) -> Operator:
        """Gravity waves, viscosity and drag; rotation is not here, since a wall's mirror would turn it round."""
        check_dimensions(self, ndim, (2,))
        x, y = (0, 1), (1, 0)
        g, depth = self.gravity, self.depth
        own: Terms = {**laplacian(2, self.viscosity), (0, 0): -self.drag}
        return Operator((({}, {x: -depth}, {y: -depth}), ({x: -g}, own, {}), ({y: -g}, {}, own)))

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """-div(eta u), (f + z) v - K_x and -(f + z) u - K_y with K = (u^2 + v^2) / 2."""
        gradient = Derivatives.gradient(grid, accuracy, boundary, self.normal(grid.ndim))
        coriolis = torch.from_numpy(self.rotation(grid))

        def tendency(state: Tensor) -> Tensor:
            padded = gradient.pad(state)
            eta, u, v = padded.split(1, dim=1)
            products = torch.cat([eta * u, v, (u**2 + v**2) / 2], dim=1)
            along_x = gradient(1, products)
            along_y = gradient(0, torch.cat([eta * v, u, products[:, 2:]], dim=1))
            flux, spin, push_x = (
                along_x - along_y * along_x.new_tensor([-1.0, 1.0, 0.0])[:, None, None]
            ).split(1, 1)
            inner_u, inner_v = fit(u, spin.shape[2:]), fit(v, spin.shape[2:])
            own = torch.cat([-flux, spin * inner_v - push_x, -spin * inner_u - along_y[:, 2:]], dim=1)
            f = coriolis.to(state)
            turn = torch.cat([torch.zeros_like(state[:, :1]), f * state[:, 2:], -f * state[:, 1:2]], dim=1)
            return gradient.inside(own) + turn

        return tendency

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """2 speed / h summed over the axes, and the largest |f|."""
        return advection_rate(grid, speed) + float(np.abs(self.rotation(grid)).max())

    def rotation(self, grid: Grid) -> np.ndarray:
        """f (y, 1)."""
        lower, upper = grid.bounds[0][0], grid.bounds[0][-1]
        return (self.coriolis + self.beta * (grid.centers[0] - (lower + upper) / 2))[:, None]
