"""Runge-Kutta methods as tables of numbers, and the solver that steps an equation by one of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import GIVEN, Boundary, Tendency, check_space, fit, padder
from gridvit.physics.constant import SPECTRAL, Accuracy
from gridvit.physics.equations import LinearEquation
from gridvit.physics.forced import Carried, Forced
from gridvit.physics.operators import choose
from gridvit.physics.pattern import Equation, Semilinear
from gridvit.physics.splitting import SPLITTINGS, split_factor, split_step
from gridvit.rollout import Context


@dataclass(frozen=True)
class Tableau:
    """k_i = F(u + dt sum_j a_ij k_j), u(t + dt) = u + dt sum_i b_i k_i: an explicit Runge-Kutta method.

    Args:
        a: the rows below the diagonal, () first.
        b: weights of the stages.
        order: of the error in dt.
    """

    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    order: int

    def advance(self, tendency: Tendency, u: Tensor, dt: float | int) -> Tensor:
        """u(t + dt) of u_t = F(u)."""
        stages: list[Tensor] = []
        for row in self.a:
            stages.append(tendency(_increase(u, row, stages, dt)))
        return _increase(u, self.b, stages, dt)

    def amplification(self, z: Complex[np.ndarray, "*modes"]) -> Complex[np.ndarray, "*modes"]:
        """P(z) with u(t + dt) = P(dt lambda) u for u_t = lambda u; the method is stable where |P| <= 1."""
        stages: list[np.ndarray] = []
        for row in self.a:
            stages.append(z * (1 + sum((w * k for w, k in zip(row, stages, strict=True)), np.zeros_like(z))))
        return 1 + sum((w * k for w, k in zip(self.b, stages, strict=True)), np.zeros_like(z))


def _increase(u: Tensor, weights: tuple[float, ...], stages: list[Tensor], dt: float | int) -> Tensor:
    if not stages:
        return u
    shape = stages[-1].shape[2:]  # the smallest, where ghost cells are used up
    u = fit(u, shape)
    for weight, stage in zip(weights, stages, strict=True):
        u = torch.add(u, fit(stage, shape), alpha=dt * weight) if weight else u
    return u


EULER = Tableau(((),), (1.0,), 1)
"""u + dt F(u)."""
HEUN = Tableau(((), (1.0,)), (1 / 2, 1 / 2), 2)
"""The trapezoidal rule with an Euler predictor; strong-stability-preserving."""
SSPRK3 = Tableau(((), (1.0,), (1 / 4, 1 / 4)), (1 / 6, 1 / 6, 2 / 3), 3)
"""No new extremum where Euler makes none. C.-W. Shu and S. Osher, J. Comput. Phys. 77 (1988) 439-471,
doi:10.1016/0021-9991(88)90177-5."""
RK4 = Tableau(((), (1 / 2,), (0.0, 1 / 2), (0.0, 0.0, 1.0)), (1 / 6, 1 / 3, 1 / 3, 1 / 6), 4)
"""The classical method; for waves, stable to |dt omega| = 2 sqrt(2)."""
TABLEAUX: dict[str, Tableau] = {"euler": EULER, "heun": HEUN, "ssprk3": SSPRK3, "rk4": RK4}


METHODS = (*TABLEAUX, *SPLITTINGS)
"""All that a solver can step by: explicit, and with the linear part exact or implicit."""


BLOCK = 2**16
"""Numbers that a CPU's cache holds beside the stages of a step: more of a batch than these wait for their turn."""
TOGETHER = 8
"""Steps at most that are compiled into one call, which costs as much as one step of some thousand numbers."""
CALL = 2**15
"""Numbers that are stepped in one call at least, where so few steps suffice: each makes the code longer."""


@dataclass(frozen=True, eq=False)
class Solver:
    """u(t + dt) of u_t = F(u) by ``substeps`` steps of a Runge-Kutta method: a `Step`.

    Good values: "rk4" for smooth fields, "ssprk3" for fronts, dt / substeps within the equation's
    ``stable_step``. Beyond the stable step the result grows without bound, shortest waves first. For stiff
    equations "etdrk4" (linear part exact) or "ars222" and "ars443" (implicit), within 1 / ``nonlinear_rate``.

    Args:
        equation: what is solved.
        grid: a plane grid of uniform spacing.
        dt: time step, in the unit of the equation's coefficients.
        tableau: a name in `TABLEAUX` or `SPLITTINGS`.
        substeps: steps of the method within dt, at least one.
        accuracy: even order of the central differences, or "spectral" for derivatives that are exact on the
            waves of the grid.
        boundary: condition at the walls of bounded axes.
        fused: compiles up to eight steps of an explicit tableau into one call by ``torch.compile``, several times
            faster on a CPU; it needs a C++ compiler and, for each new shape of the state, ten seconds to a minute.
            After eight shapes in one process torch compiles no more, warns, and steps are plain.

    Raises:
        InputError: an unknown tableau, no substep, a dt that is not positive; at the call, an equation that
            does not fit the grid or, for a splitting, has no linear part.
    """

    equation: Equation
    grid: Grid
    dt: float | int
    tableau: str = "rk4"
    substeps: int = 1
    accuracy: Accuracy = 2
    boundary: Boundary = "open"
    fused: bool = False

    def __post_init__(self) -> None:
        choose(dict.fromkeys(METHODS), self.tableau, "tableaux")
        if self.substeps < 1 or not self.dt > 0:
            raise InputError(
                "a positive dt and at least one substep",
                f"dt={self.dt}, substeps={self.substeps}",
                "correct them",
            )
        if self.fused and self.tableau not in TABLEAUX:
            raise InputError(
                "an explicit tableau to fuse", self.tableau, f"take one of {', '.join(TABLEAUX)}"
            )

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the equation's variables."""
        return self.equation.variables(self.grid.ndim)

    @property
    def forces(self) -> tuple[str, ...]:
        """Names of the fields that a step must be told at both its ends; none where nothing drives the equation."""
        return self.equation.forces if isinstance(self.equation, Forced) else ()

    @property
    def _whole(self) -> Any:
        """The equation of all that is stepped."""
        return Carried(self.equation) if isinstance(self.equation, Forced) else self.equation

    def __call__(
        self, state: Float[Tensor, "batch variable *space"], context: Context | None = None
    ) -> Float[Tensor, "batch variable *space"]:
        """u(t + dt); of an equation with a force, which the context knows at t and t + dt, see ``Carried``."""
        check_space(state, self.grid)
        if self.forces:
            return self._blocks(self._whole.start(state, context, self.dt))[:, : state.shape[1]]
        return self._blocks(state)

    def _blocks(self, state: Tensor) -> Tensor:
        block = max(1, BLOCK // max(1, state[0:1].numel())) if state.device.type == "cpu" else len(state)
        if len(state) <= block:
            return self._steps(state)
        return torch.cat([self._steps(part) for part in state.split(block)])

    def _steps(self, state: Tensor) -> Tensor:
        if self.fused:
            together = max(1, min(TOGETHER, CALL // state.numel()))
            for done in range(0, self.substeps, together):
                state = self._fused(state, min(together, self.substeps - done))
            return state
        for _ in range(self.substeps):
            state = self._advance(state)
        return state

    def symbol(self, theta: Float[np.ndarray, "*modes d"]) -> Complex[np.ndarray, "*modes"]:
        """P(dt/n lambda(theta))^n: what n substeps do to the wave e^{i theta.x/h} of a linear equation.

        Raises:
            InputError: the equation is not linear.
        """
        if not isinstance(self.equation, LinearEquation):
            raise InputError("a linear equation", type(self.equation).__name__, "probe the solver at a state")
        rates = self.equation.linear(self.grid.ndim).symbol(theta, self.grid, self.accuracy)
        z = self.dt / self.substeps * rates[..., 0, 0]
        explicit = self.tableau in TABLEAUX
        factor = TABLEAUX[self.tableau].amplification(z) if explicit else split_factor(self.tableau, z)
        return factor**self.substeps

    @cached_property
    def _advance(self) -> Callable[[Tensor], Tensor]:
        dt = float(self.dt) / self.substeps
        if self.tableau in SPLITTINGS:
            return split_step(
                self.tableau, require_split(self._whole), self.grid, dt, self.accuracy, self.boundary
            )
        method, tendency = TABLEAUX[self.tableau], self._whole.rhs(self.grid, self.accuracy, self.boundary)
        return lambda u: method.advance(tendency, u, dt)

    @cached_property
    def _fused(self) -> Callable[[Tensor, int], Tensor]:
        advance = self._padded_once if self._wraps_locally else self._advance
        # A plain step first: what an equation works out once must not be worked out inside the compiler.
        advance(torch.zeros((1, len(self._whole.variables(self.grid.ndim)), *self.grid.shape)))

        def several(u: Tensor, count: int) -> Tensor:
            for _ in range(count):
                u = advance(u)
            return u

        # What is read at several offsets is stored, and not worked out at each: by half faster for systems.
        return torch.compile(several, dynamic=False, options={"realize_reads_threshold": 1})

    @property
    def _wraps_locally(self) -> bool:
        equation, grid = self._whole, self.grid
        local = isinstance(equation, Semilinear) and equation.local(grid.ndim)
        return local and all(grid.periodic) and self.accuracy != SPECTRAL

    @cached_property
    def _padded_once(self) -> Callable[[Tensor], Tensor]:
        """A step on ghost cells for all its stages: they cost less than to be renewed at each of them."""
        method, dt = TABLEAUX[self.tableau], float(self.dt) / self.substeps
        tendency = self._whole.rhs(self.grid, self.accuracy, GIVEN)
        block = torch.zeros((1, len(self._whole.variables(self.grid.ndim)), *(64,) * self.grid.ndim))
        width = [len(method.a) * (64 - left) // 2 for left in tendency(block).shape[2:]]
        pad = padder(self.grid, width)
        return lambda u: method.advance(tendency, pad(u), dt)


def require_split(equation: Equation) -> Semilinear:
    """The equation itself, or a refusal of one that has no linear part to treat by itself."""
    if not isinstance(equation, Semilinear):
        raise InputError(
            f"an equation with a linear part for {', '.join(SPLITTINGS)}",
            type(equation).__name__,
            f"take an explicit tableau ({', '.join(TABLEAUX)})",
        )
    return equation
