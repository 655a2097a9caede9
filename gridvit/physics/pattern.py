"""What all equations have in common: u_t = F(u), and u_t = L u + N(u) where the stiff part is linear."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Protocol, runtime_checkable

from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, conditions, fit
from gridvit.physics.constant import Accuracy, Operator
from gridvit.physics.operators import number

REACH = 1.7
"""|dt lambda| up to which SSPRK3 and RK4 are stable, whatever the phase of a lambda that does not grow."""


@runtime_checkable
class Equation(Protocol):
    """What a solver needs of an equation: its variables, its right-hand side and the step that is stable."""

    def variables(self, ndim: int) -> tuple[str, ...]:
        """Names of the variables in ``ndim`` dimensions, in channel order."""
        ...

    def rhs(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """F of u_t = F(u), discretised on the grid."""
        ...

    def stable_step(self, grid: Grid, speed: float | int = 1.0, accuracy: Accuracy = 2) -> float:
        """The largest dt of an explicit step where the state is at most ``speed``, in the equation's own sense."""
        ...


class Semilinear(ABC):
    """u_t = L u + N(u) with a linear operator ``L`` of constant coefficients.

    Abstract: an equation says its variables and its two parts; right-hand side, implicit and exponential steps
    and the stable step follow from them.
    """

    @abstractmethod
    def variables(self, ndim: int) -> tuple[str, ...]:
        """Names of the variables in ``ndim`` dimensions, in channel order."""

    @abstractmethod
    def linear(self, ndim: int) -> Operator:
        """L."""

    @abstractmethod
    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """N, discretised on the grid."""

    @abstractmethod
    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """Bound of the rates of N, 1 / time, where |u| is at most ``speed``.

        A step of 1 over it is stable where L is implicit or exponential.
        """

    def normal(self, ndim: int) -> Normal:
        """The velocities among the variables, for slip walls."""
        return ()

    def rhs(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """F(u) = L u + N(u).

        Args:
            grid: a plane of equal cells.
            accuracy: even order of the central differences, or "spectral".
            boundary: condition at the walls of bounded axes.

        Raises:
            InputError: a grid that does not fit the equation; at the call, a state without its variables.
        """
        linear = self.linear(grid.ndim).tendency(grid, accuracy, boundary, self.normal(grid.ndim))
        nonlinear = self.nonlinear(grid, accuracy, boundary)

        def tendency(u: Tensor) -> Tensor:
            check_variables(self, u)
            return common(linear(u), nonlinear(u))

        return tendency

    def local(self, ndim: int) -> bool:
        """Whether F at a cell is a function of the cells near it alone, the same at every cell."""
        return False

    def stable_step(self, grid: Grid, speed: float | int = 1.0, accuracy: Accuracy = 2) -> float:
        """dt = 1 / (max |lambda| / 1.7 + rate of N where |u| is at most ``speed``); inf where nothing moves.

        For SSPRK3 and RK4; the fastest rate lambda of L is found over its waves and rises with ``accuracy``: a
        fourth derivative of order six has twice that of order two, the exact one six times.
        """
        rate = self.linear(grid.ndim).radius(grid, accuracy) / REACH + self.nonlinear_rate(grid, speed)
        return 1 / rate if rate else float("inf")


def common(a: Tensor, b: Tensor) -> Tensor:
    """a + b on the cells that both have."""
    shape = [min(pair) for pair in zip(a.shape[2:], b.shape[2:], strict=True)]
    return fit(a, shape) + fit(b, shape)


def check_variables(equation: Equation, u: Tensor) -> None:
    """Refuse a state that has not the equation's variables."""
    names = equation.variables(u.ndim - 2)
    if u.shape[1] != len(names):
        raise InputError(
            f"the variables {', '.join(names)} of {type(equation).__name__} in {u.ndim - 2} dimensions",
            f"{u.shape[1]}",
            "give them as channels, in this order",
        )


def check_dimensions(equation: Equation, ndim: int, allowed: tuple[int, ...]) -> None:
    """Refuse a number of axes for which the equation is not written."""
    if ndim not in allowed:
        words = " or ".join({1: "one", 2: "two", 3: "three"}[n] for n in allowed)
        plural = "s" if allowed[-1] > 1 else ""
        raise InputError(
            f"{words} dimension{plural} for {type(equation).__name__}",
            f"{ndim}",
            f"give a grid with {words} ax{'es' if plural else 'is'}",
        )


def check_walls(boundary: Boundary, grid: Grid, allowed: tuple[str, ...], what: str) -> None:
    """Refuse a wall of another kind than those that make sense."""
    for wraps, condition in zip(grid.periodic, conditions(boundary, grid), strict=True):
        if not wraps and condition not in allowed:
            names = " or ".join(f'"{name}"' for name in allowed)
            do = "choose one of them" if len(allowed) > 1 else "choose it"
            raise InputError(f"the boundary {names} for {what}", f"'{condition}'", do)


def check_coefficients(
    equation: Equation, positive: tuple[str, ...] = (), signed: tuple[str, ...] = ()
) -> None:
    """Make the named coefficients floats; refuse one that is not finite, or negative where it must not be."""
    for name in (*positive, *signed):
        value = number(getattr(equation, name), f"the {name}")
        if not abs(value) < float("inf") or (name in positive and value < 0):
            sign = "of zero or more" if name in positive else "that is finite"
            article = "an" if name[0] in "aeiou" else "a"
            raise InputError(f"{article} {name} {sign}", f"{value}", "correct its sign or size")
        object.__setattr__(equation, name, value)
