"""Equations u_t = F(u) whose right-hand sides are made of stencils.

Vectors and tensors have one component for each axis of the grid, *in the grid's axis order*: on ("y", "x") a
velocity is (along y, along x).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Float

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency
from gridvit.physics.burgers import Burgers
from gridvit.physics.constant import Accuracy, Operator
from gridvit.physics.dambreak import DamBreak
from gridvit.physics.dispersive import KortewegDeVries, KuramotoSivashinsky
from gridvit.physics.forced import ForcedBurgers
from gridvit.physics.good import Good
from gridvit.physics.operators import (
    Matrix,
    Vector,
    advection,
    choose,
    crossing_time,
    diffusion,
    diffusivity_tensor,
    plain,
    plane_spacing,
    velocity_vector,
)
from gridvit.physics.pattern import Equation, Semilinear
from gridvit.physics.reaction import AllenCahn, FitzHughNagumo, GrayScott
from gridvit.physics.shallow import ShallowWater
from gridvit.physics.sphere import SphereAdvection, SphereDiffusion
from gridvit.physics.sphere_flow import BarotropicVorticity, SphereShallowWater
from gridvit.physics.vorticity import Vorticity
from gridvit.physics.wave import Wave
from gridvit.stencil import Stencil

CARRIED = (0.5, 0.25, 0.125)  # good velocities for cells of width one and frames one apart


class LinearEquation(Semilinear):
    """u_t = -a . grad u + div(D grad u) with constant velocity ``a`` and diffusivity tensor ``D``.

    Abstract: an equation says its ``coefficients``; stencil, right-hand side and exact symbol follow from
    them.
    """

    @abstractmethod
    def coefficients(self, ndim: int) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
        """Velocity a (d,) and diffusivity tensor D (d, d) in ``ndim`` dimensions, in axis order."""

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",)."""
        return ("u",)

    def operator(self, grid: Grid, accuracy: int = 2, upwind: bool = False) -> Stencil:
        """S with S u = -a . grad u + div(D grad u) to order ``accuracy``, by central differences.

        Args:
            grid: a plane grid of uniform spacing.
            accuracy: even order of the central differences.
            upwind: takes the first derivatives from first-order differences on the side that the flow comes
                from.

        Raises:
            InputError: the grid is no uniform plane, or the coefficients do not have its number of axes.
        """
        if not upwind:
            return self.linear(grid.ndim).stencil(grid, accuracy)
        spacing = plane_spacing(grid)
        velocity, tensor = self.coefficients(grid.ndim)
        return advection(velocity, spacing, 1, upwind) + diffusion(tensor, spacing, accuracy)

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """-a . grad + div D grad."""
        velocity, tensor = self.coefficients(ndim)
        unit = np.eye(ndim, dtype=int)
        terms = {tuple(unit[i].tolist()): -float(velocity[i]) for i in np.flatnonzero(velocity)}
        for i, j in zip(*np.nonzero(tensor), strict=True):
            index = tuple((unit[i] + unit[j]).tolist())
            terms[index] = terms.get(index, 0.0) + float(tensor[i, j])
        return Operator.diagonal(terms)

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """0."""
        return torch.zeros_like

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """0."""
        return 0.0

    def rhs(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """F(u) = S u with the stencil of ``operator``, or its spectral counterpart."""
        return self.linear(grid.ndim).tendency(grid, accuracy, boundary)

    def exact_symbol(
        self,
        theta: Float[np.ndarray, "*modes d"],
        spacing: Float[np.ndarray, "d"],
        dt: float | int,
    ) -> Complex[np.ndarray, "*modes"]:
        """G = exp(dt (-i a.k - k.D k)), k = theta / h: what the equation does to a wave in the time ``dt``.

        Args:
            theta: phase from cell to cell along each axis, radians.
            spacing: cell width h along each axis.
            dt: time, in the unit of the coefficients.
        """
        velocity, tensor = self.coefficients(theta.shape[-1])
        k = theta / spacing
        return np.exp(-dt * (1j * (k @ velocity) + np.einsum("...i,ij,...j->...", k, tensor, k)))

    def stable_step(self, grid: Grid, speed: float | int = 1.0, accuracy: Accuracy = 2) -> float:
        """dt = 1 / (sum_i |a_i|/h_i + 2 D_ii/h_i^2); inf where nothing moves.

        Within it SSPRK3 and RK4 are stable with central differences of order two, and forward Euler with
        upwind differences and no cross diffusion makes no new extremum. For other ``accuracy``
        ``Semilinear.stable_step``. The sharp limits of the named schemes are those of
        ``gridvit.physics.stability.stable_step``.
        """
        if accuracy != 2:
            return super().stable_step(grid, speed, accuracy)
        velocity, tensor = self.coefficients(grid.ndim)
        return crossing_time(np.abs(velocity), np.diagonal(tensor), plane_spacing(grid))


@dataclass(frozen=True)
class Advection(LinearEquation):
    """u_t + a . grad u = 0: the field is carried along unchanged.

    Good values: |a| dt / h between 0.2 and 0.9. Where the field is not resolved, central and Lax-Wendroff
    differences oscillate; upwind and Lax-Friedrichs ones smear.

    Args:
        velocity: a, length / time, one component for each axis; a number in one dimension.
    """

    good: ClassVar[Good] = Good(parameters={"velocity": CARRIED})
    velocity: Vector

    def __post_init__(self) -> None:
        object.__setattr__(self, "velocity", plain(self.velocity))

    def coefficients(self, ndim: int) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
        """(a, 0)."""
        return velocity_vector(self.velocity, ndim), np.zeros((ndim, ndim))


@dataclass(frozen=True)
class Diffusion(LinearEquation):
    """u_t = div(D grad u): differences even out.

    Good values: D dt / h^2 between 0.05 and 0.5. Explicit methods blow up beyond their limit, shortest wave
    first.

    Args:
        diffusivity: D, length^2 / time: a number (isotropic), one for each axis, or a symmetric d x d tensor.
    """

    good: ClassVar[Good] = Good(parameters={"diffusivity": 0.2})
    diffusivity: Matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "diffusivity", plain(self.diffusivity))

    def coefficients(self, ndim: int) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
        """(0, D)."""
        return np.zeros(ndim), diffusivity_tensor(self.diffusivity, ndim)


@dataclass(frozen=True)
class AdvectionDiffusion(LinearEquation):
    """u_t + a . grad u = div(D grad u): carried along while differences even out.

    Good values: |a| dt / h below 1 and D dt / h^2 below 0.5. Central differences oscillate where |a| h / D >
    2 and the field is not resolved.

    Args:
        velocity: a, length / time, one component for each axis; a number in one dimension.
        diffusivity: D, length^2 / time: a number (isotropic), one for each axis, or a symmetric d x d tensor.
    """

    good: ClassVar[Good] = Good(parameters={"velocity": CARRIED, "diffusivity": 0.05})
    velocity: Vector
    diffusivity: Matrix

    def __post_init__(self) -> None:
        object.__setattr__(self, "velocity", plain(self.velocity))
        object.__setattr__(self, "diffusivity", plain(self.diffusivity))

    def coefficients(self, ndim: int) -> tuple[Float[np.ndarray, "d"], Float[np.ndarray, "d d"]]:
        """(a, D)."""
        return velocity_vector(self.velocity, ndim), diffusivity_tensor(self.diffusivity, ndim)


EQUATIONS: dict[str, type] = {
    "advection": Advection,
    "diffusion": Diffusion,
    "advection-diffusion": AdvectionDiffusion,
    "burgers": Burgers,
    "forced-burgers": ForcedBurgers,
    "wave": Wave,
    "korteweg-de-vries": KortewegDeVries,
    "kuramoto-sivashinsky": KuramotoSivashinsky,
    "allen-cahn": AllenCahn,
    "gray-scott": GrayScott,
    "fitzhugh-nagumo": FitzHughNagumo,
    "vorticity": Vorticity,
    "shallow-water": ShallowWater,
    "dam-break": DamBreak,
    "sphere-advection": SphereAdvection,
    "sphere-diffusion": SphereDiffusion,
    "sphere-shallow-water": SphereShallowWater,
    "barotropic-vorticity": BarotropicVorticity,
}


def equation_from(name: str, parameters: Mapping[str, Any]) -> Any:
    """The equation of a name and of parameters as they stand in a config or in a file's attributes.

    Raises:
        InputError: an unknown equation, or parameters that are not its own.
    """
    kind = choose(EQUATIONS, name, "equations")
    own = {field.name: field for field in fields(kind)}
    for key in parameters:
        choose(own, key, f"{name} parameters")
    missing = [key for key, field in own.items() if field.default is MISSING and key not in parameters]
    if missing:
        raise InputError(
            f"the parameters {', '.join(missing)} of {name}", "none", "give each as a number or numbers"
        )
    return kind(**parameters)


def require_linear(equation: Equation) -> LinearEquation:
    """The equation itself, or a refusal of what the named schemes cannot solve."""
    if not isinstance(equation, LinearEquation):
        raise InputError(
            "a linear equation for a named scheme",
            type(equation).__name__,
            "solve it by a Runge-Kutta method (gridvit.physics.Solver)",
        )
    return equation
