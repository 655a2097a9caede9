"""Von Neumann stability: the largest step of a named scheme, and steps of a solver that no wave survives."""

from __future__ import annotations

from bisect import bisect_left
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit.grid import Grid
from gridvit.physics.constant import Accuracy
from gridvit.physics.equations import Equation, require_linear
from gridvit.physics.fourier import Waves, walls
from gridvit.physics.good import good_of
from gridvit.physics.operators import choose
from gridvit.physics.pattern import Semilinear
from gridvit.physics.schemes import SCHEMES
from gridvit.physics.solve import METHODS, TABLEAUX, Solver, require_split
from gridvit.physics.splitting import breaks_images

FINEST = 2**16
"""Cells along an axis beyond which none are asked for."""
BEYOND = 0.9  # of a step: the rest of an equation moves the limit of its linear part by a few hundredths
GROWN = 1e3
ROUNDING = 1e-12


def diverges(solver: Solver, steps: int) -> bool:
    """Whether |P(z)|^n > 1000 max(1, |e^z|)^n for a wave of the linear part, z = 0.9 dt lambda, n ``steps`` of them.

    P is an explicit method's; lambda are the eigenvalues of L in u_t = L u + N(u). False is no promise: where there is
    no linear part or no such method, at open walls, and of what N does, nothing is known.
    """
    equation, grid, boundary = solver.equation, solver.grid, solver.boundary
    if solver.tableau not in TABLEAUX or not isinstance(equation, Semilinear):
        return False
    if "open" in walls(boundary, grid) or breaks_images(equation, grid, boundary):
        return False
    theta = Waves(grid, boundary, equation.normal(grid.ndim)).theta
    rates = np.linalg.eigvals(equation.linear(grid.ndim).symbol(theta, grid, solver.accuracy))
    z = BEYOND * float(solver.dt) / solver.substeps * rates
    size = np.abs(TABLEAUX[solver.tableau].amplification(z))
    growth = np.log(np.maximum(size, 1)) - np.maximum(z.real, 0)
    return bool(steps * growth.max() > np.log(GROWN))


def damping_cells(equation: Semilinear, grid: Grid, accuracy: Accuracy = 2) -> tuple[int, ...]:
    """The fewest cells along each axis, not fewer than there are, with Re lambda(pi) <= 0 for the shortest wave of L.

    Where Kuramoto-Sivashinsky's shortest waves grow, nothing takes out what the longer ones feed them: second
    differences of cells wider than 2 sqrt(b / a) damp no wave along an axis. `FINEST` where no number helps.
    """

    def damped(axis: int, cells: int) -> bool:
        shape = [cells if i == axis else n for i, n in enumerate(grid.shape)]
        theta = np.outer([np.pi, np.pi / 2], np.eye(grid.ndim)[axis])
        rates = np.linalg.eigvals(linear.symbol(theta, Grid.regular(shape, grid.lengths), accuracy))
        return bool(rates[0].real.max() <= ROUNDING * np.abs(rates).max())

    linear = equation.linear(grid.ndim)
    return tuple(
        n + bisect_left(range(n, FINEST), True, key=partial(damped, axis))
        for axis, n in enumerate(grid.shape)
    )


def stable_step(name: str, equation: Equation, grid: Grid) -> float:
    """Largest dt with |G(theta)| <= 1 for every theta, to about 1e-4; 0.0 if never stable, inf if always.

    It is found by bisection over a sample of waves between theta = 0.001 and pi, those of no grid in
    particular, so that the answer does not change with the number of cells.

    Raises:
        InputError: an unknown scheme, an equation that is not linear, or coefficients that do not fit the
            grid.
    """
    scheme, linear, waves = choose(SCHEMES, name, "schemes"), require_linear(equation), _waves(grid.ndim)
    scale = linear.stable_step(grid)

    def stable(dt: float) -> bool:
        return bool(np.abs(scheme(linear, grid, dt).symbol(waves)).max() <= 1 + 1e-12)

    low, high = 1e-5 * scale, 100 * scale
    if np.isinf(scale) or stable(high):
        return float("inf")
    if not stable(low):
        return 0.0
    while high > low * (1 + 1e-6):
        middle = float(np.sqrt(low * high))
        low, high = (middle, high) if stable(middle) else (low, middle)
    return low


def largest_step(name: str, equation: Any, grid: Grid, accuracy: Accuracy = 2) -> float:
    """A step up to which a scheme or method is known to be stable; 0 if never, inf if always.

    Of an equation that is not linear in the states of its good values (``Good.largest``).
    """
    if name not in METHODS:
        return stable_step(name, equation, grid)
    largest = good_of(equation).largest
    if name in TABLEAUX:
        return float(equation.stable_step(grid, largest, accuracy))
    rate = require_split(equation).nonlinear_rate(grid, largest)
    return 1 / rate if rate else float("inf")


def _waves(ndim: int) -> Float[np.ndarray, "wave d"]:
    """Rays from theta = 0 to the edge of the cube [-pi, pi]^d, dense in direction since the first wave to
    grow may be
    long and oblique; half of them suffice, for G(-theta) is the conjugate of G(theta)."""
    line = np.linspace(-1, 1, 49)
    faces = [
        np.meshgrid(*[[1.0] if i == axis else line for i in range(ndim)], indexing="ij")
        for axis in range(ndim)
    ]
    rays = np.concatenate([np.stack(face, axis=-1).reshape(-1, ndim) for face in faces])
    lengths = np.concatenate([[0.0], np.geomspace(1e-3, 0.05, 6), np.linspace(0.1, np.pi, 24)])
    return (lengths[:, None, None] * rays).reshape(-1, ndim)
