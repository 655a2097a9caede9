"""Steps of u_t = L u + N(u) with the linear part implicit or exact, wave by wave.

For stiff equations: the step is limited by N alone. Each method takes dt Lambda, the matrices of L at every wave
times the step, and gives back how to advance the waves U of a state.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Complex
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.apply import Boundary, conditions
from gridvit.physics.constant import Accuracy
from gridvit.physics.fourier import Waves, mixer
from gridvit.physics.pattern import Semilinear, check_variables

Matrices = Complex[np.ndarray, "*modes variable variable"]
Advance = Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]
"""(dt N of the waves, U(t)) -> U(t + dt)."""
MATRICES = 2**11  # exponentials at once: each takes some twenty times its own memory on the way


def phi_functions(z: Matrices, count: int) -> list[np.ndarray]:
    """phi_0 = e^z and phi_j(z) = (phi_{j-1}(z) - 1 / (j-1)!) / z, j to ``count``, for matrices z.

    From one exponential of a matrix of blocks, [[z, 1, 0], [0, 0, 1], [0, 0, 0]] for two: the quotients lose all
    digits where z is small.

    Reference: Y. Saad, SIAM J. Numer. Anal. 29 (1992) 209-228, doi:10.1137/0729014; R. B. Sidje, ACM Trans. Math.
    Softw. 24 (1998) 130-156, doi:10.1145/285861.285868.
    """
    n = z.shape[-1]
    found = np.empty((count + 1, *z.shape), dtype=np.complex128)
    flat, each = z.reshape(-1, n, n), found.reshape(count + 1, -1, n, n)
    for start in range(0, len(flat), MATRICES):
        part = flat[start : start + MATRICES]
        blocks = np.zeros((len(part), (count + 1) * n, (count + 1) * n), dtype=np.complex128)
        blocks[:, :n, :n] = part
        for j in range(count):
            blocks[:, j * n : (j + 1) * n, (j + 1) * n : (j + 2) * n] = np.eye(n)
        first = torch.linalg.matrix_exp(torch.from_numpy(blocks)).numpy()[:, :n]
        for j in range(count + 1):
            each[j, start : start + MATRICES] = first[:, :, j * n : (j + 1) * n]
    return list(found)


def etdrk4(z: Matrices) -> Advance:
    """Exponential time differencing of fourth order: exact where N = 0.

    Reference: S. M. Cox and P. C. Matthews, J. Comput. Phys. 176 (2002) 430-455, doi:10.1006/jcph.2002.6995,
    equations 26-29; A.-K. Kassam and L. N. Trefethen, SIAM J. Sci. Comput. 26 (2005) 1214-1233,
    doi:10.1137/S1064827502410633, who saw that the coefficients need care.
    """
    whole, one, two, three = phi_functions(z, 3)
    half, first = (mixer(phi) for phi in phi_functions(z / 2, 1))
    full = mixer(whole)
    weights = [mixer(w) for w in (one - 3 * two + 4 * three, 2 * two - 4 * three, 4 * three - two)]

    def advance(forcing: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
        still, begin = half(u), forcing(u)
        a = still + first(begin) / 2
        at_a = forcing(a)
        at_b = forcing(still + first(at_a) / 2)
        at_c = forcing(half(a) + first(2 * at_b - begin) / 2)
        return full(u) + weights[0](begin) + weights[1](at_a + at_b) + weights[2](at_c)

    return advance


@dataclass(frozen=True)
class Pair:
    """U_i = U + sum_{j<i} a_ij dt N(U_j) + sum_{1<=j<=i} b_ij dt L U_j, the last stage the new state.

    Args:
        explicit: the rows a of the stages after the first.
        implicit: the rows b of the stages after the first, without the first stage's column, which is zero.
        order: of the error in dt.
    """

    explicit: tuple[tuple[float, ...], ...]
    implicit: tuple[tuple[float, ...], ...]
    order: int


def implicit_explicit(pair: Pair, z: Matrices) -> Advance:
    """L implicit and N explicit, each stage a division of waves; short waves are damped, whatever dt."""
    apart = mixer(z)
    one = np.eye(z.shape[-1])
    solves = [mixer(np.linalg.inv(one - row[-1] * z)) for row in pair.implicit]

    def advance(forcing: Callable[[Tensor], Tensor], u: Tensor) -> Tensor:
        pushes: list[Tensor] = []
        rates: list[Tensor] = []
        stage = u
        for a, b, solve in zip(pair.explicit, pair.implicit, solves, strict=True):
            pushes.append(forcing(stage))
            known = u + sum(w * push for w, push in zip(a, pushes, strict=True))
            known = known + sum(w * rate for w, rate in zip(b, rates, strict=False))
            stage = solve(known)
            rates.append(apart(stage))
        return stage if len(pair.explicit[-1]) == len(pushes) else known

    return advance


G = 1 - 1 / np.sqrt(2)
D = 1 - 1 / (2 * G)
ARS222 = Pair(((G,), (D, 1 - D)), ((G,), (1 - G, G)), 2)
"""L-stable, two stages. U. M. Ascher, S. J. Ruuth and R. J. Spiteri, Appl. Numer. Math. 25 (1997) 151-167,
doi:10.1016/S0168-9274(97)00056-1, section 2.6."""
ARS443 = Pair(
    ((1 / 2,), (11 / 18, 1 / 18), (5 / 6, -5 / 6, 1 / 2), (1 / 4, 7 / 4, 3 / 4, -7 / 4)),
    ((1 / 2,), (1 / 6, 1 / 2), (-1 / 2, 1 / 2, 1 / 2), (3 / 2, -3 / 2, 1 / 2, 1 / 2)),
    3,
)
"""L-stable, four stages; the same, section 2.8."""

SPLITTINGS: dict[str, Callable[[Matrices], Advance]] = {
    "etdrk4": etdrk4,
    "ars222": partial(implicit_explicit, ARS222),
    "ars443": partial(implicit_explicit, ARS443),
}
"""Methods that treat the linear part by itself."""


def split_step(
    name: str, equation: Semilinear, grid: Grid, dt: float, accuracy: Accuracy, boundary: Boundary
) -> Callable[[Tensor], Tensor]:
    """u(t) -> u(t + dt) by a method of `SPLITTINGS`, on periodic axes and between reflecting walls.

    Raises:
        InputError: an open wall, or a wall across which the equation has derivatives of odd order.
    """
    linear, waves = equation.linear(grid.ndim), Waves(grid, boundary, equation.normal(grid.ndim))
    _refuse_odd_walls(equation, waves)
    advance = SPLITTINGS[name](dt * linear.symbol(waves.theta, grid, accuracy))
    nonlinear = equation.nonlinear(grid, accuracy, boundary)

    def forcing(spectrum: Tensor) -> Tensor:
        return waves.forward(dt * nonlinear(waves.back(spectrum)))

    def step(u: Tensor) -> Tensor:
        check_variables(equation, u)
        return waves.back(advance(forcing, waves.forward(u)))

    return step


def split_factor(name: str, z: Complex[np.ndarray, "*modes"]) -> Complex[np.ndarray, "*modes"]:
    """P(z) with u(t + dt) = P(dt lambda) u for u_t = lambda u, nothing being nonlinear."""
    advance = SPLITTINGS[name](z.astype(np.complex128)[..., None, None])
    return advance(torch.zeros_like, torch.ones((1, 1, *z.shape), dtype=torch.complex128))[0, 0].numpy()


def _refuse_odd_walls(equation: Semilinear, waves: Waves) -> None:
    """Between walls the waves of L u must be those of u."""
    for axis in breaks_images(equation, waves.grid, waves.boundary):
        raise InputError(
            f"a periodic axis {waves.grid.names[axis]}: {type(equation).__name__} has odd derivatives along it",
            f"the boundary {conditions(waves.boundary, waves.grid)[axis]!r}",
            "make the axis periodic or take an explicit tableau",
        )


def breaks_images(equation: Semilinear, grid: Grid, boundary: Boundary) -> list[int]:
    """Bounded axes along which L u of a field with its mirror image is not one with its own."""
    normal, linear = equation.normal(grid.ndim), equation.linear(grid.ndim)
    found = []
    for axis, condition in enumerate(conditions(boundary, grid)):
        odd = tuple(along == axis for along in normal) if condition == "wall" else ()
        if not grid.periodic[axis] and not linear.keeps_images(axis, odd):
            found.append(axis)
    return found
