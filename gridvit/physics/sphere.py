"""Equations on the sphere, by spherical harmonics; metres, seconds and degrees throughout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency
from gridvit.physics.good import Good
from gridvit.physics.harmonics import Harmonics

DAY = 86400.0
EARTH_ROTATION = 7.292e-5
"""1 / s, as in Williamson et al. 1992."""
EARTH_GRAVITY = 9.80616
"""m / s^2, as there."""
TURN_IN_12_DAYS = 2 * np.pi * 6371008.8 / (12 * DAY)  # m / s
REACH = 1.7  # |dt lambda| up to which SSPRK3 and RK4 are stable, whatever the phase of lambda
GOOD = Good(frame=DAY / 4, largest=100.0, method="rk4", shape=(32, 64))  # six hours; winds below 100 m / s
SPIN = 2e-5  # 1 / s, standard deviation of the vorticity of random states: winds of some 20 m / s


class Spherical(ABC):
    """u_t = F(u) on the sphere, F analysed, multiplied on the grid and analysed again: Galerkin's method.

    Abstract: an equation says its tendency in terms of `Harmonics`, and the rate of its fastest wave. What of a
    state lies beyond the truncation (see ``Harmonics.truncated``) is neither moved nor damped.
    """

    good: ClassVar[Good] = GOOD

    @abstractmethod
    def tendency(self, transform: Harmonics) -> Tendency:
        """F."""

    @abstractmethod
    def rate(self, k: float | int, speed: float | int) -> float:
        """Bound of |lambda| for waves of at most ``k`` radians per metre in winds of at most ``speed``."""

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("u",)."""
        return ("u",)

    def rhs(self, grid: Grid, accuracy: Any = 2, boundary: Boundary = "open") -> Tendency:
        """F on a grid; the harmonics have their own accuracy, and the sphere has no boundary.

        Raises:
            InputError: a grid that `Harmonics` refuses; at the call, a state without the equation's variables.
        """
        tendency, names = self.tendency(Harmonics(grid)), self.variables(grid.ndim)

        def checked(state: Tensor) -> Tensor:
            if state.shape[1] != len(names):
                raise InputError(
                    f"the variables {', '.join(names)} of {type(self).__name__}",
                    f"{state.shape[1]}",
                    "give them as channels, in this order",
                )
            return tendency(state)

        return checked

    def stable_step(self, grid: Grid, speed: float | int = 100.0) -> float:
        """dt = 1.7 / max |lambda| in winds of at most ``speed``, for SSPRK3 and RK4; inf where nothing moves."""
        rate = self.rate(np.sqrt(-Harmonics(grid).eigenvalues[-1]), speed)
        return REACH / rate if rate else float("inf")


@dataclass(frozen=True)
class SphereAdvection(Spherical):
    """u_t + div(v u) = 0 with v of solid-body rotation about an axis tilted by ``alpha`` from the pole.

    v = (s (cos lat cos alpha + sin lat cos lon sin alpha), -s sin lon sin alpha): the field turns as a whole,
    over both poles where alpha is 90 degrees, and is back after 2 pi a / s.

    Good values: s = 38.61 m / s is a turn of the Earth in 12 days; alpha from 0 to 90. A field that the
    truncation does not hold is surrounded by ripples from the start; nothing damps them.

    Args:
        speed: s at the rotation's equator, m / s.
        tilt: alpha, degrees.

    Raises:
        InputError: a speed or tilt that is not finite.

    Reference: D. L. Williamson et al., J. Comput. Phys. 102 (1992) 211-224, doi:10.1016/S0021-9991(05)80016-6,
    case 1.
    """

    speed: float | int = TURN_IN_12_DAYS
    tilt: float | int = 45.0

    def __post_init__(self) -> None:
        check_numbers(self, signed=("speed", "tilt"))

    def tendency(self, transform: Harmonics) -> Tendency:
        """-div(v u)."""
        latitude, longitude, alpha = angles(transform.grid, self.tilt)
        east = np.cos(latitude) * np.cos(alpha) + np.sin(latitude) * np.cos(longitude) * np.sin(alpha)
        north = -np.sin(longitude) * np.sin(alpha) * np.ones_like(latitude)

        def tendency(u: Tensor) -> Tensor:
            u = transform.truncated(u)
            carried = (u * (self.speed * like(u, east)), u * (self.speed * like(u, north)))
            return -transform.synthesise(transform.divergence(*carried))

        return tendency

    def rate(self, k: float | int, speed: float | int) -> float:
        """|s| k."""
        return abs(float(self.speed)) * float(k)


@dataclass(frozen=True)
class SphereDiffusion(Spherical):
    """u_t = D nabla^2 u: a harmonic of degree n decays as exp(-D n (n + 1) t / a^2).

    Good values: D = 1e6 m^2 / s evens out continents in weeks. Beyond the stable step, 1.7 a^2 / (D T (T + 1)),
    the shortest waves grow.

    Args:
        diffusivity: D, m^2 / s, not negative.

    Raises:
        InputError: a negative diffusivity.
    """

    diffusivity: float | int = 1e6

    def __post_init__(self) -> None:
        check_numbers(self, positive=("diffusivity",))

    def tendency(self, transform: Harmonics) -> Tendency:
        """D nabla^2 u."""
        return lambda u: transform.synthesise(self.diffusivity * transform.laplacian(transform.analyse(u)))

    def rate(self, k: float | int, speed: float | int) -> float:
        """D k^2."""
        return float(self.diffusivity * k**2)


@dataclass(frozen=True)
class BarotropicVorticity(Spherical):
    """zeta_t + div(v (zeta + f)) = -nu nabla^4 zeta, v = k x grad psi, nabla^2 psi = zeta, f = 2 Omega sin lat.

    Vorticity is carried by its own wind and planetary waves drift to the west. Without viscosity the mean is
    constant to rounding, energy and enstrophy to the order of the time step, and the waves of Rossby and
    Haurwitz turn unchanged.

    Good values: Omega = 7.292e-5 / s; vorticity of 2e-5 / s (winds of some 20 m / s) in degrees up to 10; nu =
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
        check_numbers(self, positive=("hyperviscosity",), signed=("rotation",))

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

    good: ClassVar[Good] = replace(GOOD, units=("m s-1", "m s-1", "m"))
    rotation: float | int = EARTH_ROTATION
    gravity: float | int = EARTH_GRAVITY
    height: float | int = 8000.0
    hyperviscosity: float | int = 1e16
    tilt: float | int = 0.0

    def __post_init__(self) -> None:
        check_numbers(self, ("gravity", "height", "hyperviscosity"), ("rotation", "tilt"))

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


def angles(
    grid: Grid, tilt: float | int = 0.0
) -> tuple[Float[np.ndarray, "lat 1"], Float[np.ndarray, " lon"], float]:
    """Latitude, longitude and a tilt, radians."""
    latitude, longitude = (np.deg2rad(c) for c in grid.centers)
    return latitude[:, None], longitude, float(np.deg2rad(tilt))


def axis_sine(grid: Grid, tilt: float | int = 0.0) -> Float[np.ndarray, "lat lon"]:
    """Sine of the latitude from an axis tilted towards 180 degrees of longitude (Williamson et al., equation 96)."""
    latitude, longitude, alpha = angles(grid, tilt)
    return np.sin(latitude) * np.cos(alpha) - np.cos(longitude) * np.cos(latitude) * np.sin(alpha)


def coriolis(grid: Grid, rotation: float | int, tilt: float | int = 0.0) -> Float[np.ndarray, "lat lon"]:
    """f = 2 Omega sin(latitude from the axis), 1 / s."""
    return 2 * rotation * axis_sine(grid, tilt)


def like(tensor: Tensor, array: np.ndarray) -> Tensor:
    """An array in the precision and on the device of a tensor."""
    return torch.as_tensor(array, dtype=tensor.dtype, device=tensor.device)


def check_numbers(equation: Any, positive: tuple[str, ...] = (), signed: tuple[str, ...] = ()) -> None:
    """Make the named coefficients floats; refuse one that is not finite, or negative where it must not be."""
    for name in (*positive, *signed):
        value = float(getattr(equation, name))
        if not abs(value) < float("inf") or (name in positive and value < 0):
            kind = "of zero or more" if name in positive else "that is finite"
            raise InputError(f"a {name} {kind}", f"{value}", "correct its sign or size")
        object.__setattr__(equation, name, value)
