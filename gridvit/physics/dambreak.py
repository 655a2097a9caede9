"""Shallow water with bores and dry beds: finite volumes with a limiter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, Normal, Tendency, padder
from gridvit.physics.constant import Accuracy
from gridvit.physics.good import Good, at_rest
from gridvit.physics.operators import choose, plane_spacing
from gridvit.physics.pattern import check_coefficients, check_dimensions, check_variables, check_walls

DRY = 1e-6
"""Depth below which a velocity is no longer momentum over depth, but tends to zero with the depth."""
TINY = 1e-30  # keeps 0 / 0 of two dry cells at 0


def _minmod(a: Tensor, b: Tensor) -> Tensor:
    """The smaller of two slopes of one sign, else 0."""
    return torch.where(a * b > 0, torch.where(a.abs() < b.abs(), a, b), torch.zeros_like(a))


def _van_leer(a: Tensor, b: Tensor) -> Tensor:
    """The harmonic mean of two slopes of one sign, else 0."""
    product = a * b
    safe = torch.where(product > 0, a + b, torch.ones_like(a))
    return torch.where(product > 0, 2 * product / safe, torch.zeros_like(a))


LIMITERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "minmod": _minmod,
    "van-leer": _van_leer,
    "none": lambda a, b: torch.zeros_like(a),
}
"""Slope within a cell from those to its neighbours; "none" is the first-order scheme."""


@dataclass(frozen=True)
class DamBreak:
    """h_t + (h u)_x = 0, (h u)_t + (h u^2 + g h^2 / 2)_x = 0, and in two dimensions the same with y and h v: bores,
    rarefactions and water running over a dry bed.

    Depth and velocity are taken linear in each cell with limited slopes; the flux between two cells is that of
    Harten, Lax and van Leer (the velocity along the face is carried by the flux of mass). Mass and, away from
    walls, momentum are kept; h >= 0 stays. Second order where the flow is smooth, first at bores.

    Good values: h and g near 1, 100 cells or more, "ssprk3" (or "heun") within ``stable_step``: beyond it depths
    become negative and the solution is lost. Walls: boundary "wall"; "open" lets waves out. The central
    differences' order ``accuracy`` is of no effect.

    Args:
        gravity: g, length / time^2, not negative.
        limiter: "minmod", "van-leer" (sharper) or "none" (first order).

    Raises:
        InputError: a negative gravity or an unknown limiter; at the call, a grid of three axes or a wall that is
            "dirichlet" or "neumann".

    Reference: A. Harten, P. D. Lax and B. van Leer, SIAM Rev. 25 (1983) 35-61, doi:10.1137/1025002; E. F. Toro,
    Shock-Capturing Methods for Free-Surface Shallow Flows (2001), chapters 6, 10 and 11.
    """

    good: ClassVar[Good] = Good(frame=0.25, largest=2.5, shape=(64, 64), lengths=(20.0, 20.0))
    gravity: float | int = 1.0
    limiter: str = "minmod"

    def __post_init__(self) -> None:
        check_coefficients(self, ("gravity",))
        choose(LIMITERS, self.limiter, "limiters")

    def states(
        self, noise: Float[Tensor, "n variable *space"], grid: Grid
    ) -> Float[Tensor, "n variable *space"]:
        """Depth 1 where a random field is positive, 0.3 elsewhere, all at rest."""
        return at_rest(0.3 + 0.7 * (noise > 0).to(noise), 1.0)

    def variables(self, ndim: int) -> tuple[str, ...]:
        """("h", "hu") or ("h", "hu", "hv"): depth and momentum along x, the last axis, and y, the first."""
        check_dimensions(self, ndim, (1, 2))
        return ("h", "hu", "hv")[: ndim + 1]

    def normal(self, ndim: int) -> Normal:
        """hu along the last axis, hv along the first."""
        return (None, 0) if ndim == 1 else (None, 1, 0)

    def rhs(self, grid: Grid, accuracy: Accuracy = 2, boundary: Boundary = "open") -> Tendency:
        """-sum over the axes of (flux out - flux in) / h.

        Raises:
            InputError: a grid that is no uniform plane of one or two axes, or a wall with a depth of its own; at
                the call, a state without the equation's variables.
        """
        check_dimensions(self, grid.ndim, (1, 2))
        check_walls(boundary, grid, ("wall", "open"), "water")
        spacing, normal = plane_spacing(grid).tolist(), self.normal(grid.ndim)
        pad = padder(grid, (2,) * grid.ndim, boundary, normal)

        def tendency(state: Tensor) -> Tensor:
            check_variables(self, state)
            water = _primitive(pad(state))
            total = torch.zeros_like(state)
            for axis in range(grid.ndim):
                flux = self._fluxes(_along(water, axis), axis + 2, normal.index(axis))
                total = total - flux.diff(dim=axis + 2) / spacing[axis]
            return total

        return tendency

    def stable_step(self, grid: Grid, speed: float | int = 1.0, accuracy: Accuracy = 2) -> float:
        """dt = 1 / (2 sum_i speed / h_i) where |u| + sqrt(g h) is at most ``speed``.

        Within it forward Euler keeps depths positive, and so do "heun" and "ssprk3".
        """
        rate = float(np.sum(2 * abs(speed) / plane_spacing(grid)))
        return 1 / rate if rate else float("inf")

    def _fluxes(self, water: Tensor, axis: int, across: int) -> Tensor:
        """Fluxes through the n + 1 faces along an axis from n + 4 cells; ``across`` is the velocity through them."""
        n = water.shape[axis]
        here = water.narrow(axis, 1, n - 2)
        slope = LIMITERS[self.limiter](
            here - water.narrow(axis, 0, n - 2), water.narrow(axis, 2, n - 2) - here
        )
        left = (here + slope / 2).narrow(axis, 0, n - 3)
        right = (here - slope / 2).narrow(axis, 1, n - 3)
        return hll(left, right, across, self.gravity)


def hll(left: Tensor, right: Tensor, across: int, gravity: float | int) -> Tensor:
    """Flux of depth and momenta between two states (h, u, ..) (batch, variable, *faces).

    F = (s_R F_L - s_L F_R + s_L s_R (U_R - U_L)) / (s_R - s_L) with s_L <= 0 <= s_R, bounds of the waves' speeds; a
    bore's, u +- 2 sqrt(g h), next to a dry cell.
    """
    (h_l, u_l), (h_r, u_r) = ((w[:, :1], w[:, across : across + 1]) for w in (left, right))
    c_l, c_r = _root(gravity * h_l), _root(gravity * h_r)
    slow = torch.where(
        h_l > DRY, torch.minimum(u_l - c_l, torch.where(h_r > DRY, u_r - c_r, u_l - c_l)), u_r - 2 * c_r
    )
    fast = torch.where(
        h_r > DRY, torch.maximum(u_r + c_r, torch.where(h_l > DRY, u_l + c_l, u_r + c_r)), u_l + 2 * c_l
    )
    slow, fast = slow.clamp(max=0), fast.clamp(min=0)
    span = (fast - slow).clamp(min=TINY)

    def between(flux_l: Tensor, flux_r: Tensor, state_l: Tensor, state_r: Tensor) -> Tensor:
        return (fast * flux_l - slow * flux_r + slow * fast * (state_r - state_l)) / span

    m_l, m_r = h_l * u_l, h_r * u_r
    mass = between(m_l, m_r, h_l, h_r)
    push = between(m_l * u_l + gravity * h_l**2 / 2, m_r * u_r + gravity * h_r**2 / 2, m_l, m_r)
    upwind = torch.where(mass > 0, left, right)
    carried = [push if i == across else mass * upwind[:, i : i + 1] for i in range(1, left.shape[1])]
    return torch.cat([mass, *carried], dim=1)


def _root(x: Tensor) -> Tensor:
    """sqrt(max(x, 0)), constant to derivatives where it is dry: they would grow without bound towards 0."""
    wet = x > DRY
    return torch.where(wet, torch.where(wet, x, torch.ones_like(x)).sqrt(), x.detach().clamp(min=0).sqrt())


def _primitive(state: Tensor) -> Tensor:
    """(h, u, ..) of (h, h u, ..): sqrt(2) h (h u) / sqrt(h^4 + max(h, dry)^4), which is u where it is not dry.

    Reference: A. Kurganov and G. Petrova, Commun. Math. Sci. 5 (2007) 133-160, doi:10.4310/CMS.2007.v5.n1.a6,
    equation 2.17.
    """
    h, momentum = state[:, :1], state[:, 1:]
    square = h**2
    inverse = 2**0.5 * h / torch.sqrt(square**2 + square.clamp(min=DRY**2) ** 2)
    return torch.cat([h, momentum * inverse], dim=1)


def _along(water: Tensor, axis: int) -> Tensor:
    """Ghost cells along one axis only."""
    other = [slice(None) if i == axis else slice(2, -2) for i in range(water.ndim - 2)]
    return water[(slice(None), slice(None), *other)]
