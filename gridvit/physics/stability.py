"""Von Neumann stability: the largest step of a named scheme that lets no wave grow."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from gridvit.grid import Grid
from gridvit.physics.equations import Equation, require_linear
from gridvit.physics.operators import choose
from gridvit.physics.schemes import SCHEMES


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
