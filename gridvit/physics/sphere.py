"""Equations on the sphere, by spherical harmonics; metres, seconds and degrees throughout."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Tendency
from gridvit.physics.good import Good
from gridvit.physics.harmonics import Harmonics
from gridvit.physics.pattern import check_coefficients
from gridvit.rollout import Context

DAY = 86400.0
TURN_IN_12_DAYS = 2 * np.pi * 6371008.8 / (12 * DAY)  # m / s
REACH = 1.7  # |dt lambda| up to which SSPRK3 and RK4 are stable, whatever the phase of lambda
GOOD = Good(frame=DAY / 4, largest=150.0, method="rk4", shape=(32, 64))  # six hours; winds below 150 m / s


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

    def rates(self, transform: Harmonics) -> Complex[np.ndarray, "order degree"] | None:
        """lambda of c_nm' = lambda c_nm; None where the harmonics mix."""
        return None

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

    def stable_step(self, grid: Grid, speed: float | int = 100.0, accuracy: Any = 2) -> float:
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
        check_coefficients(self, signed=("speed", "tilt"))

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

    def rates(self, transform: Harmonics) -> Complex[np.ndarray, "order degree"] | None:
        """-i m s / a about the pole."""
        m = np.arange(transform.truncation + 1)
        turning = -1j * m[:, None] * float(self.speed) / transform.radius
        return None if self.tilt else np.broadcast_to(turning, (len(m), len(m)))

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
        check_coefficients(self, positive=("diffusivity",))

    def tendency(self, transform: Harmonics) -> Tendency:
        """D nabla^2 u."""
        return lambda u: transform.synthesise(self.diffusivity * transform.laplacian(transform.analyse(u)))

    def rates(self, transform: Harmonics) -> Complex[np.ndarray, "order degree"] | None:
        """-D n (n + 1) / a^2."""
        decay = self.diffusivity * transform.eigenvalues + 0j
        return np.broadcast_to(decay, (len(decay), len(decay)))

    def rate(self, k: float | int, speed: float | int) -> float:
        """D k^2."""
        return float(self.diffusivity * k**2)


@dataclass(frozen=True, eq=False)
class HarmonicStep:
    """c_nm(t + dt) = e^{lambda_nm dt} c_nm: the exact `Step` where each harmonic goes by itself.

    What lies beyond the truncation stays, as in the equations.
    """

    grid: Grid
    dt: float | int
    variables: tuple[str, ...]
    rates: Complex[np.ndarray, "order degree"]

    def __call__(
        self, state: Float[Tensor, "batch variable lat lon"], context: Context | None = None
    ) -> Float[Tensor, "batch variable lat lon"]:
        """u(t + dt)."""
        transform = Harmonics(self.grid)
        spectrum = transform.analyse(state)
        change = torch.from_numpy(np.expm1(self.dt * self.rates)).to(spectrum)
        return state + transform.synthesise(change * spectrum)


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


def like(tensor: Tensor, array: np.ndarray) -> Tensor:
    """An array in the precision and on the device of a tensor."""
    return torch.as_tensor(array, dtype=tensor.dtype, device=tensor.device)
