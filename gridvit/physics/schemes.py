"""Named schemes of linear advection-diffusion, each a `Step` that knows its stencil, symbol and stable step.

A step is L u(t + dt) = R u(t) with stencils L and R; explicit schemes have L = 1. Below, c_i = a_i dt / h_i
is the Courant number along an axis and r_i = D_ii dt / h_i^2 its diffusion number.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, apply, check_space
from gridvit.physics.equations import Equation, LinearEquation, require_linear
from gridvit.physics.operators import advection, choose, diffusion, plane_spacing
from gridvit.rollout import Context
from gridvit.stencil import Stencil, modes


@dataclass(frozen=True, eq=False)
class LinearScheme:
    """L u(t + dt) = R u(t): a `Step` on tensors (batch, variable, *space), every variable alike.

    Args:
        grid: a plane grid of uniform spacing.
        dt: time step.
        equation: what is solved.
        name: its key in `SCHEMES`.
        explicit: R; none for the exact propagator.
        implicit: L; none for explicit schemes.
        boundary: condition at the walls of bounded axes, for explicit schemes.
    """

    grid: Grid
    dt: float | int
    equation: LinearEquation
    name: str
    explicit: Stencil | None
    implicit: Stencil | None = None
    boundary: Boundary = "open"

    def __post_init__(self) -> None:
        if not self.dt > 0:
            raise InputError("a positive time step", f"dt={self.dt}", "steps go forward in time")

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the equation's variables."""
        return self.equation.variables(self.grid.ndim)

    def __call__(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch variable *space"]:
        """u(t + dt): explicit schemes by their stencil, the others by their symbol in Fourier space.

        Raises:
            InputError: the state is not on the grid, or a bounded axis under an implicit or exact scheme.
        """
        if self.explicit is not None and self.implicit is None:
            return apply(self.explicit, state, self.grid, self.boundary)
        check_space(state, self.grid)
        axes = tuple(range(2, state.ndim))
        factor = torch.from_numpy(self._on_modes).to(state.device, state.dtype.to_complex())
        # Of an even axis' shortest wave the real part keeps the average of its two aliases.
        return torch.fft.ifftn(factor * torch.fft.fftn(state, dim=axes), dim=axes).real

    def symbol(self, theta: Float[np.ndarray, "*modes d"]) -> Complex[np.ndarray, "*modes"]:
        """G(theta), the factor by which one step multiplies the wave e^{i theta.x/h}; theta in radians."""
        if self.explicit is None:
            return self.equation.exact_symbol(theta, plane_spacing(self.grid), self.dt)
        numerator = self.explicit.symbol(theta)
        return numerator if self.implicit is None else numerator / self.implicit.symbol(theta)

    def stencil(self) -> Stencil:
        """S with u(t + dt) = S u(t): R of an explicit scheme, as wide as the periodic grid for the others.

        Raises:
            InputError: a bounded axis under an implicit or exact scheme.
        """
        if self.explicit is not None and self.implicit is None:
            return self.explicit
        return Stencil.from_symbol(self._on_modes, plane_spacing(self.grid))

    @cached_property
    def _on_modes(self) -> Complex[np.ndarray, "*space"]:
        if not all(self.grid.periodic):
            raise InputError(
                f"periodic axes for the scheme {self.name}",
                self.grid.describe(),
                "take an explicit scheme or a Runge-Kutta solver on bounded axes",
            )
        return self.symbol(modes(self.grid.shape))


SchemeFunction = Callable[..., LinearScheme]
"""(equation, grid, dt, boundary="open") -> LinearScheme."""


def ftcs(equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open") -> LinearScheme:
    """u' = u + dt (-a.grad + div D grad) u by central differences: forward in time, centred in space.

    1-D: G = 1 - i c sin(theta) - 4 r sin^2(theta/2); stable for c^2 <= 2 r <= 1, never without diffusion.
    """
    one, operator = _parts(equation, grid)
    return LinearScheme(grid, dt, equation, "ftcs", one + dt * operator, boundary=boundary)


def upwind(
    equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open"
) -> LinearScheme:
    """u' = u + dt (...) u with first derivatives from the side that the flow comes from, diffusion centred.

    1-D, a > 0: G = 1 - c (1 - e^{-i theta}) - 4 r sin^2(theta/2); stable for c + 2 r <= 1. Its own diffusion
    is a h (1 - c) / 2.
    """
    one, operator = _parts(equation, grid, upwind=True)
    return LinearScheme(grid, dt, equation, "upwind", one + dt * operator, boundary=boundary)


def lax_friedrichs(
    equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open"
) -> LinearScheme:
    """u' = mean of the 2 d neighbours + dt (...) u by central differences.

    1-D: G = cos(theta) - i c sin(theta) - 4 r sin^2(theta/2); stable for sum_i c_i^2 <= 1/d, and never with
    diffusion, which the average already exaggerates to h^2 / (2 dt).
    """
    spacing = plane_spacing(grid)
    _, operator = _parts(equation, grid)
    units = np.concatenate([np.eye(grid.ndim, dtype=int), -np.eye(grid.ndim, dtype=int)])
    average = Stencil(units, np.full(len(units), 1 / len(units)), spacing)
    return LinearScheme(grid, dt, equation, "lax-friedrichs", average + dt * operator, boundary=boundary)


def lax_wendroff(
    equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open"
) -> LinearScheme:
    """u' = u + dt (...) u + dt^2/2 (a.grad)^2 u by central differences, cross terms included.

    1-D: G = 1 - i c sin(theta) - c^2 (1 - cos(theta)) - 4 r sin^2(theta/2); without diffusion of second order
    in time and space, stable for |c| <= 1 (2-D: |c_x|^{2/3} + |c_y|^{2/3} <= 1). Diffusion enters to first
    order in dt.

    Reference: P. D. Lax and B. Wendroff, Comm. Pure Appl. Math. 13 (1960) 217-237,
    doi:10.1002/cpa.3160130205.
    """
    velocity, _ = equation.coefficients(grid.ndim)
    one, operator = _parts(equation, grid)
    curvature = diffusion(np.outer(velocity, velocity) / 2, plane_spacing(grid))
    step = one + dt * operator + dt**2 * curvature
    return LinearScheme(grid, dt, equation, "lax-wendroff", step, boundary=boundary)


def beam_warming(
    equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open"
) -> LinearScheme:
    """u' = u - dt a.grad u + dt^2/2 (a.grad)^2 u from the upwind side to second order, diffusion centred.

    1-D, a > 0: u' = u - c (3 u - 4 u_{-1} + u_{-2}) / 2 + c^2 (u - 2 u_{-1} + u_{-2}) / 2 + r (u_{-1} - 2 u +
    u_{+1}); without diffusion of second order and stable for |c| <= 2 (2-D, cross terms by first-order
    differences: |c_x| + |c_y| <= 2).

    Reference: R. F. Warming and R. M. Beam, AIAA J. 14 (1976) 1241-1249, doi:10.2514/3.61457.
    """
    velocity, tensor = equation.coefficients(grid.ndim)
    spacing = plane_spacing(grid)
    first, second = (advection(velocity, spacing, accuracy, upwind=True) for accuracy in (1, 2))
    step = Stencil.identity(grid.ndim, spacing) + dt * (second + diffusion(tensor, spacing))
    step = step + dt**2 / 2 * (first @ first)
    return LinearScheme(grid, dt, equation, "beam-warming", step, boundary=boundary)


def crank_nicolson(
    equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open"
) -> LinearScheme:
    """(1 - dt/2 A) u' = (1 + dt/2 A) u with the central operator A.

    1-D diffusion: G = (1 - 2 r s^2) / (1 + 2 r s^2), s = sin(theta/2); advection: |G| = 1. Second order;
    always stable, but at large r short waves alternate in sign.
    """
    one, operator = _parts(equation, grid)
    half = dt / 2 * operator
    return LinearScheme(grid, dt, equation, "crank-nicolson", one + half, one - half, boundary)


def btcs(equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open") -> LinearScheme:
    """(1 - dt A) u' = u with the central operator A: backward in time, centred in space.

    1-D diffusion: G = 1 / (1 + 4 r sin^2(theta/2)). First order in time; always stable, and diffusion alone
    makes no new extremum.
    """
    one, operator = _parts(equation, grid)
    return LinearScheme(grid, dt, equation, "btcs", one, one - dt * operator, boundary)


def exact(equation: LinearEquation, grid: Grid, dt: float | int, boundary: Boundary = "open") -> LinearScheme:
    """G = exp(dt (-i a.k - k.D k)): the equation itself on every wave that the grid holds.

    On a coarse grid its stencil has negative lobes where D dt / h^2 is small: it makes new extrema.
    """
    return LinearScheme(grid, dt, equation, "exact", None, boundary=boundary)


SCHEMES: dict[str, SchemeFunction] = {
    "ftcs": ftcs,
    "upwind": upwind,
    "lax-friedrichs": lax_friedrichs,
    "lax-wendroff": lax_wendroff,
    "beam-warming": beam_warming,
    "crank-nicolson": crank_nicolson,
    "btcs": btcs,
    "exact": exact,
}


def linear_scheme(
    name: str, equation: Equation, grid: Grid, dt: float | int, boundary: Boundary = "open"
) -> LinearScheme:
    """The scheme of a name, as in `SCHEMES`.

    Raises:
        InputError: an unknown scheme, or an equation that is not linear.
    """
    return choose(SCHEMES, name, "schemes")(require_linear(equation), grid, dt, boundary)


def _parts(equation: LinearEquation, grid: Grid, upwind: bool = False) -> tuple[Stencil, Stencil]:
    return Stencil.identity(grid.ndim, plane_spacing(grid)), equation.operator(grid, upwind=upwind)
