"""Reaction and diffusion: Allen-Cahn, Gray-Scott and FitzHugh-Nagumo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency
from gridvit.physics.constant import Accuracy, Operator, laplacian
from gridvit.physics.good import Good
from gridvit.physics.pattern import Semilinear, check_coefficients


@dataclass(frozen=True)
class AllenCahn(Semilinear):
    """u_t = D lap u + r (u - u^3): phases -1 and +1 separate and their fronts straighten.

    Fronts at rest are tanh(x sqrt(r / (2 D))); the phase 1 invades u = 0 as (1 - tanh((x - s t) sqrt(r / (8 D))))
    / 2 with s = 3 sqrt(r D / 2). The energy int D |grad u|^2 / 2 + r (1 - u^2)^2 / 4 falls, and |u| <= 1 stays.

    Good values: D = 1 and r = 0.5 on cells of width one: fronts, sqrt(2 D / r) wide to each side, want two cells
    or more, or they stick to the grid. Steps beyond 1 / r overshoot the phases.

    Args:
        diffusivity: D, length^2 / time, not negative.
        rate: r, 1 / time, not negative.

    Raises:
        InputError: a negative coefficient.

    Reference: S. M. Allen and J. W. Cahn, Acta Metall. 27 (1979) 1085-1095, doi:10.1016/0001-6160(79)90196-2.
    """

    good: ClassVar[Good] = Good(frame=2.0, largest=1.5, method="etdrk4", shape=(64, 64))
    diffusivity: float | int = 1.0
    rate: float | int = 0.5

    def __post_init__(self) -> None:
        check_coefficients(self, ("diffusivity", "rate"))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Fields of standard deviation 0.5, mostly between the two phases."""
        return 0.5 * noise

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",)."""
        return ("u",)

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """D lap."""
        return Operator.diagonal(laplacian(ndim, self.diffusivity))

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """r (u - u^3)."""
        return lambda u: self.rate * (u - u**3)

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """r (3 max(1, |u|)^2 - 1), the slope of r (u - u^3) at the phases, or at larger values."""
        return self.rate * (3 * max(1.0, float(speed)) ** 2 - 1)


@dataclass(frozen=True)
class GrayScott(Semilinear):
    """u_t = D_u lap u - u v^2 + F (1 - u), v_t = D_v lap v + u v^2 - (F + k) v: v feeds on u, both leak away.

    (1, 0) is always at rest and stable; patches of v beyond some size divide, spread and form spots or stripes.

    Good values: D_u = 0.16, D_v = 0.08 on cells of width one, dt = 1; F and k choose the pattern: (0.035, 0.065)
    spots that divide, (0.04, 0.06) stripes, (0.014, 0.054) moving spots. Too small a patch, or k above
    sqrt(F) / 2 - F, dies out. Beyond the stable step the diffusion of u blows up first.

    Args:
        diffusivity_u: D_u, length^2 / time, not negative.
        diffusivity_v: D_v, length^2 / time, not negative.
        feed: F, 1 / time, not negative.
        kill: k, 1 / time, not negative.

    Raises:
        InputError: a negative coefficient.

    Reference: J. E. Pearson, Science 261 (1993) 189-192, doi:10.1126/science.261.5118.189.
    """

    good: ClassVar[Good] = Good(frame=20.0, largest=1.0, method="etdrk4", shape=(64, 64))
    diffusivity_u: float | int = 0.16
    diffusivity_v: float | int = 0.08
    feed: float | int = 0.035
    kill: float | int = 0.06

    def __post_init__(self) -> None:
        check_coefficients(self, ("diffusivity_u", "diffusivity_v", "feed", "kill"))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """u = 1 and v = 0 but in the highest parts of a random field, where u = 1/2 and v = 1/4."""
        inside = torch.sigmoid(20 * (noise[:, :1] - 1.5))
        return torch.cat([1 - inside / 2, inside / 4], dim=1)

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u", "v"): what is fed and what feeds on it."""
        return ("u", "v")

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """D_u lap - F and D_v lap - F - k."""
        still = (0,) * ndim
        return Operator.diagonal(
            {**laplacian(ndim, self.diffusivity_u), still: -self.feed},
            {**laplacian(ndim, self.diffusivity_v), still: -self.feed - self.kill},
        )

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """F - u v^2 and u v^2."""

        def tendency(state: Tensor) -> Tensor:
            u, v = state[:, :1], state[:, 1:]
            eaten = u * v**2
            return torch.cat([self.feed - eaten, eaten], dim=1)

        return tendency

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """|v|^2 + 2 |u v| with |u| and |v| at most ``speed``."""
        return 3.0 * float(speed) ** 2


@dataclass(frozen=True)
class FitzHughNagumo(Semilinear):
    """u_t = D_u lap u + u - u^3 - v + k, v_t = D_v lap v + e (u - g v): u is excited, v recovers.

    Pulses travel and annihilate where they meet, and curl into spirals around broken ends; where D_v / D_u is
    large enough, patterns stand. Without recovery and stimulus (e = k = 0, v = 0) u is Allen-Cahn's with r = 1.

    Good values: D_u = 1, D_v = 0 on cells of width one with e = 0.05, g = 0.5 and k = 0 (spirals), dt = 0.1 to
    0.2. Coarser cells than sqrt(2 D_u) stop the pulses; at e above 0.2 they die.

    Args:
        diffusivity_u: D_u, length^2 / time, not negative.
        diffusivity_v: D_v, length^2 / time, not negative.
        recovery: e, 1 / time, not negative.
        decay: g, not negative.
        stimulus: k, of either sign.

    Raises:
        InputError: a negative coefficient.

    Reference: R. FitzHugh, Biophys. J. 1 (1961) 445-466, doi:10.1016/S0006-3495(61)86902-6; J. Nagumo, S. Arimoto
    and S. Yoshizawa, Proc. IRE 50 (1962) 2061-2070, doi:10.1109/JRPROC.1962.288235.
    """

    good: ClassVar[Good] = Good(frame=2.0, largest=2.0, method="etdrk4", shape=(64, 64))
    diffusivity_u: float | int = 1.0
    diffusivity_v: float | int = 0.0
    recovery: float | int = 0.05
    decay: float | int = 0.5
    stimulus: float | int = 0.0

    def __post_init__(self) -> None:
        check_coefficients(self, ("diffusivity_u", "diffusivity_v", "recovery", "decay"), ("stimulus",))

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Independent fields of standard deviation 0.7."""
        return 0.7 * noise

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u", "v"): excitation and recovery."""
        return ("u", "v")

    def local(self, ndim: int) -> bool:
        """Of what is near, alike everywhere."""
        return True

    def linear(self, ndim: int) -> Operator:
        """[[D_u lap, -1], [e, D_v lap - e g]]."""
        still = (0,) * ndim
        own = {**laplacian(ndim, self.diffusivity_v), still: -self.recovery * self.decay}
        return Operator(((laplacian(ndim, self.diffusivity_u), {still: -1.0}), ({still: self.recovery}, own)))

    def nonlinear(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """u - u^3 + k and 0."""

        def tendency(state: Tensor) -> Tensor:
            u = state[:, :1]
            return torch.cat([u - u**3 + self.stimulus, torch.zeros_like(u)], dim=1)

        return tendency

    def nonlinear_rate(self, grid: Grid, speed: float | int = 1.0) -> float:
        """3 max(1, |u|)^2 - 1."""
        return 3 * max(1.0, float(speed)) ** 2 - 1
