"""Two-dimensional incompressible flow as vorticity, decaying or forced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency, fit
from gridvit.physics.constant import Accuracy, Operator, laplacian
from gridvit.physics.derivatives import Derivatives
from gridvit.physics.dispersive import advection_rate
from gridvit.physics.fourier import Waves, mixer
from gridvit.physics.good import Good
from gridvit.physics.pattern import Semilinear, check_coefficients, check_dimensions, check_walls


@dataclass(frozen=True)
class Vorticity(Semilinear):
    """w_t + J(psi, w) = nu lap w - mu w + f with lap psi = w, (u, v) = (-psi_y, psi_x): Navier-Stokes on a plane.

    x is the last axis, y the first. The force A sin(K y) along x, K = 2 pi ``wavenumber`` / L_y, gives
    f = -A K cos(K y) (Kolmogorov's flow; at rest w = f / (nu K^2 + mu)). J is Arakawa's: without nu, mu and f the
    sums of w, w^2 and psi w stay what they are. psi comes from the same differences, in Fourier space; its mean and
    w's are of no effect. Walls are "dirichlet", free slip (psi = w = 0), between which the sums of w^2 and psi w stay.

    Good values: |w| near 10 on a side of 2 pi with nu = 0.02 and 64 cells, 0.005 and 128, or 0.001 and 256, a step
    below h / (2 |u|) by "rk4" or "etdrk4"; forced: A = 1, wavenumber 4, mu = 0.1. Cells wider than some 3
    sqrt(nu / |w|) miss the dissipation: vorticity piles up at the shortest waves as noise.

    Args:
        viscosity: nu, length^2 / time, not negative.
        drag: mu, 1 / time, not negative.
        forcing: A, length / time^2.
        wavenumber: waves of the force along y.

    Raises:
        InputError: a negative viscosity or drag; at the call, a grid without two axes or another wall.

    Reference: A. Arakawa, J. Comput. Phys. 1 (1966) 119-143, doi:10.1016/0021-9991(66)90015-5.
    """

    good: ClassVar[Good] = Good(
        frame=0.1,
        method="etdrk4",
        shape=(64, 64),
        lengths=(2 * np.pi, 2 * np.pi),
        parameters={"viscosity": 0.02},
    )
    viscosity: float | int = 1e-3
    drag: float | int = 0.0
    forcing: float | int = 0.0
    wavenumber: float | int = 4

    def __post_init__(self) -> None:
        check_coefficients(self, ("viscosity", "drag"), ("forcing", "wavenumber"))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Vorticity of standard deviation 4."""
        return 4 * noise

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("w",)."""
        check_dimensions(self, ndim, (2,))
        return ("w",)

    def linear(self, ndim: int) -> Operator:
        """nu lap - mu."""
        check_dimensions(self, ndim, (2,))
        return Operator.diagonal({**laplacian(2, self.viscosity), (0, 0): -self.drag})

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """f - J(psi, w).

        Raises:
            InputError: a wall that the flow would go through, or along which vorticity has no image.
        """
        invert = streamfunction(grid, accuracy, boundary)
        check_walls(boundary, grid, ("dirichlet",), "vorticity, which is free slip")
        gradient = Derivatives.gradient(grid, accuracy, boundary, levels=2)
        force = torch.from_numpy(self.force(grid))
        return lambda w: force.to(w) - jacobian(gradient, invert(w), w)

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """2 speed / h summed over the axes, the speed being the flow's."""
        return advection_rate(grid, speed)

    def force(self, grid: Grid) -> np.ndarray:
        """f (y, x)."""
        k = 2 * np.pi * self.wavenumber / grid.lengths[0]
        y = grid.centers[0] - grid.bounds[0][0]
        return np.broadcast_to(-self.forcing * k * np.cos(k * y)[:, None], grid.shape).copy()


def streamfunction(grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
    """w -> psi with lap psi = w and no mean: Poisson's equation, wave by wave."""
    waves = Waves(grid, boundary)
    symbol = Operator.diagonal(laplacian(grid.ndim)).symbol(waves.theta, grid, accuracy)
    symbol[(0,) * grid.ndim] = np.inf  # the mean
    inverse = mixer(1 / symbol)
    return lambda w: waves.back(inverse(waves.forward(w)))


def jacobian(gradient: Derivatives, psi: Tensor, w: Tensor) -> Tensor:
    """J = psi_x w_y - psi_y w_x, the mean of three forms that are one where the fields are smooth.

    Advection, divergence of w u, and divergence of psi k x grad w: the mean keeps the sums of w, w^2 and psi w.
    """
    fields = gradient.pad(torch.cat([psi, w], dim=1))
    along_y, along_x = gradient(0, fields), gradient(1, fields)
    (psi_y, w_y), (psi_x, w_x) = along_y.split(1, dim=1), along_x.split(1, dim=1)
    p, q = fit(fields, psi_x.shape[2:]).split(1, dim=1)
    divergence = gradient(1, p * w_y - q * psi_y) + gradient(0, q * psi_x - p * w_x)
    return gradient.inside(divergence + fit(psi_x * w_y - psi_y * w_x, divergence.shape[2:])) / 3
