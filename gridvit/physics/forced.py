"""Equations that are driven by a force which is told from outside, step by step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, fit
from gridvit.physics.burgers import Burgers
from gridvit.physics.constant import Accuracy, Operator
from gridvit.physics.good import Good
from gridvit.physics.pattern import Semilinear, check_coefficients, check_dimensions, check_variables
from gridvit.rollout import Context

Force = Callable[[float], np.ndarray]
"""t -> f(t), (variable, *space)."""


class Forced(Semilinear):
    """u_t = L u + N(u) + f(x, t): a force f for each variable, which the context of a step tells at both its ends.

    Between the ends f goes in a straight line, whatever it does in truth, so that a solver and an emulator that is
    told the same are told the same. Right-hand side, linear part and stable step are those without f: a solver adds it
    through ``Carried``.

    Abstract: an equation says its parts, the names of its ``forces``, one for each variable, and how they are drawn.
    """

    forces: ClassVar[tuple[str, ...]]

    @abstractmethod
    def draw(self, grid: Grid, generator: np.random.Generator) -> Force:
        """A force of the equation's own kind."""


@dataclass(frozen=True)
class ForcedBurgers(Forced):
    """u_t + (u^2/2)_x = nu u_xx + f(x, t), f = sum_i A_i sin(omega_i t + 2 pi l_i x / L + phi_i): Burgers' equation
    in one dimension, stirred at random, so that fronts form, run into each other and form again.

    Each trajectory has its own A_i in [-``amplitude``, ``amplitude``), omega_i in [-``frequency``, ``frequency``),
    phi_i in [0, 2 pi) and whole numbers l_i of waves from ``longest`` to ``shortest``, all uniform. f has no mean, and
    the mean of u stays what it is. A step is told f at both its ends and takes it to go in a straight line between
    them, which is off by up to (omega dt)^2 / 8 of it.

    Good values: the usual ones on a length of 2 pi (Bar-Sinai et al. with nu = 0.01 and 512 cells), where |u| comes to
    be near 1 within 10 units of time; frames 0.5 apart. Two trajectories of one force and one mean draw together, for
    Burgers' equation is no chaos: what keeps u busy is f. With wide cells the Engquist-Osher flux has a viscosity of
    its own, |u| h / 2.

    Args:
        viscosity: nu, length^2 / time, not negative.
        flux: "engquist-osher" or "central".
        amplitude: largest |A_i|, length / time^2.
        frequency: largest |omega_i|, 1 / time.
        longest: fewest waves in the domain, at least one.
        shortest: most waves in the domain.
        terms: how many A_i there are.

    Raises:
        InputError: what ``Burgers`` refuses; a negative amplitude or frequency; no terms, or waves that are no range.

    Reference: Y. Bar-Sinai, S. Hoyer, J. Hickey and M. P. Brenner, PNAS 116 (2019) 15344-15349,
    doi:10.1073/pnas.1814058116.
    """

    forces: ClassVar[tuple[str, ...]] = ("force",)
    good: ClassVar[Good] = Good(frame=0.5, shape=(128,), lengths=(2 * np.pi,))
    viscosity: float | int = 0.02
    flux: str = "engquist-osher"
    amplitude: float | int = 0.5
    frequency: float | int = 0.4
    longest: int = 3
    shortest: int = 6
    terms: int = 20

    def __post_init__(self) -> None:
        check_coefficients(self, ("viscosity", "amplitude", "frequency"))
        self.free  # noqa: B018 (refuses another flux)
        whole = all(float(n).is_integer() for n in (self.longest, self.shortest, self.terms))
        if not whole or not 1 <= self.longest <= self.shortest or self.terms < 1:
            raise InputError(
                "at least one term, of whole waves from longest to shortest",
                f"{self.terms} of {self.longest} to {self.shortest} waves",
                "correct them",
            )

    @property
    def free(self) -> Burgers:
        """The equation without its force."""
        return Burgers(self.viscosity, self.flux)

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",)."""
        check_dimensions(self, ndim, (1,))
        return ("u",)

    def draw(self, grid: Grid, generator: np.random.Generator) -> Force:
        """f of a generator's next numbers."""
        terms = int(self.terms)
        amplitude = generator.uniform(-self.amplitude, self.amplitude, terms)
        frequency = generator.uniform(-self.frequency, self.frequency, terms)
        waves = generator.integers(int(self.longest), int(self.shortest), terms, endpoint=True)
        phase = generator.uniform(0, 2 * np.pi, terms)
        x = grid.centers[0] - grid.bounds[0][0]
        at = 2 * np.pi / grid.lengths[0] * np.outer(x, waves) + phase
        return lambda t: (np.sin(frequency * t + at) @ amplitude)[None]

    def normal(self, ndim: int) -> Normal:
        """u along the axis."""
        return self.free.normal(ndim)

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return self.free.local(ndim)

    def linear(self, ndim: int) -> Operator:
        """nu d^2."""
        check_dimensions(self, ndim, (1,))
        return self.free.linear(ndim)

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """-(u^2/2)_x by the chosen flux."""
        check_dimensions(self, grid.ndim, (1,))
        return self.free.nonlinear(grid, accuracy, boundary)

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """speed / h."""
        return self.free.nonlinear_rate(grid, speed)

    def stable_step(self, grid: Grid, speed: float | int = 1.0, accuracy: Accuracy = 2) -> float:
        """dt = 1 / (speed / h + 2 nu / h^2) where |u| is at most ``speed``; see ``Burgers``."""
        return self.free.stable_step(grid, speed, accuracy)


@dataclass(frozen=True)
class Carried(Semilinear):
    """u_t = L u + N(u) + f, f_t = g, g_t = 0: a force that goes in a straight line, as part of the state.

    So any method steps a forced equation as it steps every other, and has f right at each of its stages.
    """

    equation: Forced

    def variables(self, ndim: int) -> tuple[str, ...]:
        """u, then f, then g."""
        names = self.equation.forces
        return (*self.equation.variables(ndim), *names, *(f"rate of {name}" for name in names))

    def normal(self, ndim: int) -> Normal:
        """A force is along what it drives."""
        return self.equation.normal(ndim) * 3

    def local(self, ndim: int) -> bool:
        """As without a force."""
        return self.equation.local(ndim)

    def linear(self, ndim: int) -> Operator:
        """L on u alone."""
        rows, count = self.equation.linear(ndim).rows, len(self.variables(ndim))
        wide = [(*row, *({},) * (count - len(row))) for row in rows]
        return Operator((*wide, *((({},) * count,) * (count - len(wide)))))

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """N(u) + f, g and 0."""
        own = self.equation.nonlinear(grid, accuracy, boundary)

        def tendency(whole: Tensor) -> Tensor:
            u, force, rate = whole.chunk(3, dim=1)
            change = own(u)
            force, rate = fit(force, change.shape[2:]), fit(rate, change.shape[2:])
            return torch.cat([change + force, rate, torch.zeros_like(rate)], dim=1)

        return tendency

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """As without a force."""
        return self.equation.nonlinear_rate(grid, speed)

    def start(
        self, u: Float[Tensor, "batch variable *space"], context: Context | None, dt: float | int
    ) -> Float[Tensor, "batch all *space"]:
        """u, f and g at the beginning of a step of ``dt``.

        Raises:
            InputError: another number of variables; no context, or one that does not know the force, and it alone, at
                both ends of the step.
        """
        check_variables(self.equation, u)
        names = self.equation.forces
        known = None if context is None else context.known
        wanted = (len(u), 2, len(names), *u.shape[2:])
        if known is None or known.shape[1] < 2 or known[:, :2].shape != wanted:
            raise InputError(
                f"{', '.join(names)} at both ends of a step of {type(self.equation).__name__}, {wanted} in all",
                "none" if known is None else f"known fields of shape {tuple(known.shape)}",
                "give them as the known fields of the context",
            )
        before, after = known[:, 0].to(u), known[:, 1].to(u)
        return torch.cat([u, before, (after - before) / dt], dim=1)
