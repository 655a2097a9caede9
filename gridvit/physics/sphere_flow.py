"""Flow on the rotating sphere, by spherical harmonics; metres, seconds and degrees throughout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Tendency
from gridvit.physics.good import Good
from gridvit.physics.harmonics import Harmonics
from gridvit.physics.pattern import check_coefficients
from gridvit.physics.sphere import GOOD, Spherical, axis_sine, like

EARTH_ROTATION = 7.292e-5
"""1 / s, as in Williamson et al. 1992."""
EARTH_GRAVITY = 9.80616
"""m / s^2, as there."""
SPIN = 2e-5  # 1 / s, standard deviation of the vorticity of random states: winds of 30 to 50 m / s in degrees 4 to 2


@dataclass(frozen=True)
class BarotropicVorticity(Spherical):
    """zeta_t + div(v (zeta + f)) = -nu nabla^4 zeta, v = k x grad psi, nabla^2 psi = zeta, f = 2 Omega sin lat.

    Vorticity is carried by its own wind and planetary waves drift to the west. Without viscosity the mean is
    constant to rounding, energy and enstrophy to the order of the time step, and the waves of Rossby and
    Haurwitz turn unchanged.

    Good values: Omega = 7.292e-5 / s; vorticity of 2e-5 / s (winds of 30 to 50 m / s in degrees 4 to 2); nu =
    1e16 m^4 / s at T42, ten times that at T21. With too little viscosity vorticity piles up in the shortest
    waves after some days and the field turns to noise; nothing blows up.

    Args:
        rotation: Omega, 1 / s.
        hyperviscosity: nu, m^4 / s, not negative.

    Raises:
        InputError: a negative viscosity, or a rotation that is not finite.

    Reference: B. Haurwitz, J. Mar. Res. 3 (1940) 254-267; R. Sadourny, J. Atmos. Sci. 32 (1975) 680-689, for the
    invariants.
    """

    good: ClassVar[Good] = replace(GOOD, units=("s-1",))
    rotation: float | int = EARTH_ROTATION
    hyperviscosity: float | int = 1e16

    def __post_init__(self) -> None:
        check_coefficients(self, positive=("hyperviscosity",), signed=("rotation",))

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("vorticity",), 1 / s."""
        return ("vorticity",)

    def tendency(self, transform: Harmonics) -> Tendency:
        """-div(v (zeta + f)) - nu nabla^4 zeta."""
        spin = coriolis(transform.grid, self.rotation)

        def tendency(state: Tensor) -> Tensor:
            zeta = transform.analyse(state)
            u, v = transform.wind(zeta)
            total = transform.synthesise(zeta) + like(u, spin)
            damped = self.hyperviscosity * transform.laplacian(zeta, 2)
            return -transform.synthesise(transform.divergence(u * total, v * total) + damped)

        return tendency

    def rate(self, k: float | int, speed: float | int) -> float:
        """|v| k + |Omega| + nu k^4."""
        return float(speed * k + abs(self.rotation) + self.hyperviscosity * k**4)

    def states(
        self, noise: Float[Tensor, "n variable lat lon"], grid: Grid
    ) -> Float[Tensor, "n variable lat lon"]:
        """Vorticity of standard deviation 2e-5 / s."""
        return SPIN * noise


@dataclass(frozen=True)
class SphereShallowWater(Spherical):
    """v_t = -(zeta + f) k x v - grad(g h + |v|^2 / 2) - nu nabla^4 v, h_t + div(v h) = -nu nabla^4 h.

    A layer of water of height ``h`` on the rotating sphere, f = 2 Omega sin(latitude from the axis of rotation).
    Mass is constant to rounding; without viscosity energy is so to the order of the time step and of the
    truncation.

    Good values: a mean height of 8000 m (gravity waves of 280 m / s, which set the step); nu = 1e16 m^4 / s at
    T42, ten times that at T21. Random states are in balance, so that the slow motion is seen; unbalanced ones
    slosh at the speed of gravity waves. Too little viscosity lets short waves grow after days; a height that
    falls to zero ends the solution.

    Args:
        rotation: Omega, 1 / s.
        gravity: g, m / s^2, not negative.
        height: mean of h of random states, m, not negative; it also bounds the speed of gravity waves.
        hyperviscosity: nu, m^4 / s, not negative.
        tilt: angle between the axis of rotation and the poles of the grid, degrees.

    Raises:
        InputError: a negative or infinite coefficient.

    Reference: D. L. Williamson et al., J. Comput. Phys. 102 (1992) 211-224, doi:10.1016/S0021-9991(05)80016-6,
    equations 6-10, cases 2 and 6.
    """

    # Where random states stand highest, gravity waves are 70 m / s faster than at the mean height.
    good: ClassVar[Good] = replace(GOOD, largest=220.0, units=("m s-1", "m s-1", "m"))
    rotation: float | int = EARTH_ROTATION
    gravity: float | int = EARTH_GRAVITY
    height: float | int = 8000.0
    hyperviscosity: float | int = 1e16
    tilt: float | int = 0.0

    def __post_init__(self) -> None:
        check_coefficients(self, ("gravity", "height", "hyperviscosity"), ("rotation", "tilt"))

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u", "v", "height"): wind to the east and to the north, m / s, and height, m."""
        return ("u", "v", "height")

    def tendency(self, transform: Harmonics) -> Tendency:
        """The tendencies of vorticity, divergence and height; the first two as a wind."""
        spin = coriolis(transform.grid, self.rotation, self.tilt)

        def damped(spectrum: Tensor) -> Tensor:
            return self.hyperviscosity * transform.laplacian(spectrum, 2)

        def tendency(state: Tensor) -> Tensor:
            zeta, delta = transform.curl(state[:, :1], state[:, 1:2]), transform.divergence(*wind_of(state))
            height = transform.analyse(state[:, 2:])
            u, v = transform.wind(zeta, delta)
            depth, total = transform.synthesise(height), transform.synthesise(zeta) + like(u, spin)
            bernoulli = transform.analyse(self.gravity * depth + (u**2 + v**2) / 2)
            d_zeta = -transform.divergence(u * total, v * total) - damped(zeta)
            d_delta = transform.curl(u * total, v * total) - transform.laplacian(bernoulli) - damped(delta)
            d_height = -transform.divergence(u * depth, v * depth) - damped(height)
            return torch.cat([*transform.wind(d_zeta, d_delta), transform.synthesise(d_height)], dim=1)

        return tendency

    def rate(self, k: float | int, speed: float | int) -> float:
        """(|v| + sqrt(g h)) k + 2 |Omega| + nu k^4."""
        waves = float(np.sqrt(self.gravity * self.height))
        return float((speed + waves) * k + 2 * abs(self.rotation) + self.hyperviscosity * k**4)

    def states(
        self, noise: Float[Tensor, "n variable lat lon"], grid: Grid
    ) -> Float[Tensor, "n variable lat lon"]:
        """Winds without divergence, of vorticity 2e-5 / s, and the height that balances them: delta_t = 0.

        g nabla^2 h = curl(v (zeta + f)) - nabla^2 |v|^2 / 2.
        """
        transform = Harmonics(grid)
        zeta = transform.analyse(SPIN * noise[:, :1])
        u, v = transform.wind(zeta)
        total = transform.synthesise(zeta) + like(u, coriolis(grid, self.rotation, self.tilt))
        turned = transform.laplacian(transform.curl(u * total, v * total), -1)
        balanced = turned - transform.analyse((u**2 + v**2) / 2)
        balanced[..., 0, 0] = 0
        height = self.height + transform.synthesise(balanced) / self.gravity
        return torch.cat([u, v, height], dim=1)


def wind_of(state: Float[Tensor, "batch variable lat lon"]) -> tuple[Tensor, Tensor]:
    """(u, v), each with a variable axis of one."""
    return state[:, :1], state[:, 1:2]


def coriolis(grid: Grid, rotation: float | int, tilt: float | int = 0.0) -> Float[np.ndarray, "lat lon"]:
    """f = 2 Omega sin(latitude from the axis), 1 / s."""
    return 2 * rotation * axis_sine(grid, tilt)
