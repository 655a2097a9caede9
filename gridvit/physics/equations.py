"""Equations u_t = F(u) whose right-hand sides are made of stencils.

Vectors and tensors have one component for each axis of the grid, *in the grid's axis order*: on ("y", "x") a
velocity is (along y, along x).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Complex, Float

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency, apply
from gridvit.physics.burgers import Burgers
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
from gridvit.physics.sphere import SphereAdvection, SphereDiffusion
from gridvit.physics.sphere_flow import BarotropicVorticity, SphereShallowWater
from gridvit.stencil import Stencil


@runtime_checkable
class Equation(Protocol):
    """What a solver needs of an equation: the names of its variables and its right-hand side."""

    def variables(self, ndim: int) -> tuple[str, ...]:
        """Names of the variables in ``ndim`` dimensions, in channel order."""
        ...

    def rhs(self, grid: Grid, accuracy: int = 2, boundary: Boundary = "open") -> Tendency:
        """F of u_t = F(u), discretised on the grid."""
        ...


class LinearEquation(ABC):
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
        spacing = plane_spacing(grid)
        velocity, tensor = self.coefficients(grid.ndim)
        carried = advection(velocity, spacing, 1 if upwind else accuracy, upwind)
        return carried + diffusion(tensor, spacing, accuracy)

    def rhs(
        self, grid: Grid, accuracy: int = 2, boundary: Boundary = "open", upwind: bool = False
    ) -> Tendency:
        """F(u) = S u with the stencil of ``operator``."""
        stencil = self.operator(grid, accuracy, upwind)
        return lambda u: apply(stencil, u, grid, boundary)

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

    def stable_step(self, grid: Grid) -> float:
        """dt = 1 / (sum_i |a_i|/h_i + 2 D_ii/h_i^2); inf where nothing moves.

        Within it SSPRK3 and RK4 are stable with central differences of order two, and forward Euler with
        upwind differences and no cross diffusion makes no new extremum. The sharp limits of the named schemes
        are those of ``gridvit.physics.stability.stable_step``.
        """
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
    try:
        return kind(**parameters)
    except TypeError as error:
        raise InputError(
            f"the parameters {', '.join(field.name for field in fields(kind))} of {name}",
            ", ".join(f"{key}={value!r}" for key, value in parameters.items()) or "none",
            "name each once, as a number, a list of numbers or a table of numbers",
        ) from error


def require_linear(equation: Equation) -> LinearEquation:
    """The equation itself, or a refusal of what the named schemes cannot solve."""
    if not isinstance(equation, LinearEquation):
        raise InputError(
            "a linear equation for a named scheme",
            type(equation).__name__,
            "solve it by a Runge-Kutta method (gridvit.physics.Solver)",
        )
    return equation
