"""The wave equation as a system of first order in time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency
from gridvit.physics.constant import Accuracy, Operator, laplacian
from gridvit.physics.good import Good, at_rest
from gridvit.physics.pattern import Semilinear, check_coefficients


@dataclass(frozen=True)
class Wave(Semilinear):
    """u_t = v, v_t = c^2 lap u: everything travels at the speed ``c``, to all sides.

    The energy (v^2 + c^2 |grad u|^2) / 2 is constant; differences keep their own form of it, and RK4 loses of it
    in proportion to dt^5. "etdrk4" is exact in time. Walls: "dirichlet" turns a pulse over, "neumann" returns it.

    Good values: c dt / h below 1 in one dimension. Short waves lag behind in second-order differences (phase
    speed c sin(theta/2) / (theta/2)): ripples follow what is not resolved. Beyond the stable step the shortest
    waves grow.

    Args:
        speed: c, length / time, not negative.

    Raises:
        InputError: a negative speed.
    """

    good: ClassVar[Good] = Good(frame=2.0)
    speed: float | int = 1.0

    def __post_init__(self) -> None:
        check_coefficients(self, ("speed",))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """A displacement at rest."""
        return at_rest(noise, 1.0)

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u", "v"): displacement and its rate of change."""
        return ("u", "v")

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """[[0, 1], [c^2 lap, 0]]."""
        return Operator((({}, {(0,) * ndim: 1.0}), (laplacian(ndim, self.speed**2), {})))

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """0."""
        return torch.zeros_like

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """0."""
        return 0.0
