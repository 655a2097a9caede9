"""Korteweg-de Vries and Kuramoto-Sivashinsky: the flow u u_x against dispersion and against growth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency, fit
from gridvit.physics.constant import Accuracy, Operator, bilaplacian, laplacian
from gridvit.physics.derivatives import Derivatives
from gridvit.physics.good import Good
from gridvit.physics.operators import choose, plane_spacing
from gridvit.physics.pattern import Semilinear, check_coefficients, check_dimensions

FORMS: dict[str, tuple[int, ...]] = {"height": (1, 2), "slope": (1,)}
"""Forms of the Kuramoto-Sivashinsky equation and the dimensions in which they are written."""


@dataclass(frozen=True)
class KortewegDeVries(Semilinear):
    """u_t + (u^2/2)_x + beta u_xxx = nu u_xx: fronts break up into solitons, which pass through each other.

    A soliton is u = 3 c sech^2(sqrt(c / beta) (x - c t) / 2). The flow is written ((u^2)_x + u u_x) / 3, which
    keeps int u and, without viscosity, int u^2 / 2 on a periodic axis. Without dispersion it is Burgers'.

    Good values: |u| near 1 on a length of 2 with beta = 0.022^2 (Zabusky and Kruskal) and 100 cells or more;
    solitons are sqrt(beta / u) wide and want five cells. "etdrk4" with a step below h / (3 |u|); explicit steps
    go as h^3 / beta. Too coarse a grid sheds ripples that run to lower x.

    Args:
        dispersion: beta, length^3 / time, of either sign.
        viscosity: nu, length^2 / time, not negative.

    Raises:
        InputError: a negative viscosity, or at the call a grid of more than one axis.

    Reference: N. J. Zabusky and M. D. Kruskal, Phys. Rev. Lett. 15 (1965) 240-243,
    doi:10.1103/PhysRevLett.15.240.
    """

    good: ClassVar[Good] = Good(frame=0.02, largest=3.0, method="etdrk4", shape=(256,), lengths=(2.0,))
    dispersion: float | int = 0.022**2
    viscosity: float | int = 0.0

    def __post_init__(self) -> None:
        check_coefficients(self, ("viscosity",), ("dispersion",))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Smooth fields of standard deviation 0.7."""
        return 0.7 * noise

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",)."""
        check_dimensions(self, ndim, (1,))
        return ("u",)

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """nu d^2 - beta d^3."""
        check_dimensions(self, ndim, (1,))
        return Operator.diagonal({(2,): self.viscosity, (3,): -self.dispersion})

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """-((u^2)_x + u u_x) / 3."""
        return self_advection(grid, accuracy, boundary)

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """2 |u| / h."""
        return advection_rate(grid, speed)


@dataclass(frozen=True)
class KuramotoSivashinsky(Semilinear):
    """u_t + (|grad u|^2 - <|grad u|^2>) / 2 + a lap u + b lap^2 u = 0 ("height"), or u_t + u u_x + a u_xx +
    b u_xxxx = 0 ("slope", one dimension): long waves grow, steepen and feed short ones, which are damped.

    The slope form is the derivative of the height form, and keeps int u and, but for a and b, int u^2. The height
    form's mean, which would only fall and is felt by nothing, is held where it is.

    Good values: a = b = 1 and lengths of 32 to 200 (the fastest growing wave has length 2 pi sqrt(2 b / a) = 8.9:
    it wants eight cells or more), dt near 0.25 by "etdrk4". Chaotic: a small difference grows tenfold in some 25
    units of time. Explicit steps go as h^4 / b. Cells much
    wider than sqrt(b / a) miss the damping of the shortest waves and the solution grows far too large or blows up:
    with second differences from 1.6 of it on (1.3 in two dimensions), and beyond 2 no wave along an axis is damped
    (``gridvit.physics.damping_cells``).

    Args:
        growth: a, length^2 / time.
        damping: b, length^4 / time.
        form: "height" or "slope".

    Raises:
        InputError: a negative coefficient or an unknown form; at the call, a form that is not of the grid's axes.

    Reference: Y. Kuramoto, Prog. Theor. Phys. Suppl. 64 (1978) 346-367, doi:10.1143/PTPS.64.346; G. I. Sivashinsky,
    Acta Astronaut. 4 (1977) 1177-1206, doi:10.1016/0094-5765(77)90096-0.
    """

    good: ClassVar[Good] = Good(frame=1.0, largest=3.0, method="etdrk4", shape=(128,), lengths=(100.0,))
    growth: float | int = 1.0
    damping: float | int = 1.0
    form: str = "height"

    def __post_init__(self) -> None:
        check_coefficients(self, ("growth", "damping"))
        choose(FORMS, self.form, "forms")

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Fields of standard deviation 0.5, which grow to the size of the attractor."""
        return 0.5 * noise

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",)."""
        check_dimensions(self, ndim, FORMS[self.form])
        return ("u",)

    def local(self, ndim: int) -> bool:
        """The slope form; the other one's mean is everywhere's."""
        return self.form == "slope"

    def linear(self, ndim: int) -> Operator:
        """-a lap - b lap^2."""
        check_dimensions(self, ndim, FORMS[self.form])
        return Operator.diagonal({**laplacian(ndim, -self.growth), **bilaplacian(ndim, -self.damping)})

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """-(|grad u|^2 - <|grad u|^2>) / 2, or -u u_x."""
        if self.form == "slope":
            return self_advection(grid, accuracy, boundary)
        gradient = Derivatives.gradient(grid, accuracy, boundary)

        def tendency(u: Tensor) -> Tensor:
            padded = gradient.pad(u)
            squares = sum(
                (gradient(axis, padded).square() for axis in range(1, grid.ndim)), gradient(0, padded) ** 2
            )
            steepness = gradient.inside(squares)
            return (steepness.mean(dim=tuple(range(2, u.ndim)), keepdim=True) - steepness) / 2

        return tendency

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """2 speed / h summed over the axes; the speed is |grad u| of the height form."""
        return advection_rate(grid, speed)


def self_advection(grid: Grid, accuracy: Accuracy, boundary: Boundary) -> Tendency:
    """-((u^2)_x + u u_x) / 3 on one axis: both sums over the cells, of u_t and of u u_t, vanish."""
    slope = Derivatives.gradient(grid, accuracy, boundary)

    def tendency(u: Tensor) -> Tensor:
        padded = slope.pad(u)
        across = slope(0, padded)
        return slope.inside(slope(0, padded**2) + fit(padded, across.shape[2:]) * across) / -3

    return tendency


def advection_rate(grid: Grid, speed: float | int) -> float:
    """2 |u| / h, summed over the axes: what central differences of order up to six and dt |lambda| < 1 allow."""
    return float(np.sum(2 * abs(speed) / plane_spacing(grid)))
