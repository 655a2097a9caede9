"""What separates a scheme from the exact solution wave by wave: dissipation, error after n steps, formal order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from gridvit.analysis.symbol import axis_waves, grid_symbol, line_symbol, line_waves
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil

STEPS = (1, 4, 16, 64)
ROUNDING = 1e-12


def error_slope(
    theta: Float[np.ndarray, "wave"],
    symbol: Complex[np.ndarray, "*lead wave"],
    exact: Complex[np.ndarray, "wave"],
) -> Float[np.ndarray, "*lead"]:
    r"""``d log|G - G_exact| / d log theta`` at the two longest waves.

    For a scheme of order ``p`` it tends to ``p + 1`` as theta goes to 0 where it advects, to ``p + 2`` at a fixed
    diffusion number where it only diffuses. NaN where the two symbols agree to rounding.

    Args:
        theta: ascending.
        symbol: ``G`` there.
        exact: ``G_exact`` there.
    """
    gap = np.abs(symbol[..., :2] - exact[:2])
    gap = np.where(gap > ROUNDING, gap, np.nan)
    return np.asarray(np.log(gap[..., 1] / gap[..., 0]) / np.log(theta[1] / theta[0]))


def wave_errors(
    schemes: Mapping[str, Stencil],
    grid: Grid,
    exact: str = "exact",
    courant: Sequence[float] | None = None,
    steps: Sequence[int] = STEPS,
) -> xr.Dataset:
    r"""``|G| / |G_exact| - 1``, ``|G^n - G_exact^n|`` and the formal order along each axis.

    Args:
        schemes: scalar stencils without leading axes, as for ``symbol_table``, whose waves these are.
        grid: a periodic plane.
        exact: name of the scheme that the others are held against.
        courant: ``c = a dt / h`` per axis; an axis without any, or all if absent, is taken to diffuse.
        steps: ``n``.

    Returns:
        ``dissipation(scheme, direction, theta)``, ``n_step_error(scheme, direction, theta, step)``,
        ``formal_order(scheme, direction)``: of the error at the two longest waves of an axis, a whole number only as
        they get long; NaN of the exact scheme itself and of axes under 5 cells.

    Raises:
        InputError: ``exact`` is none of the schemes.
    """
    if exact not in schemes:
        raise InputError(
            f"one of {', '.join(schemes)}", repr(exact), "name the scheme to hold the others against"
        )
    symbols = {name: grid_symbol(stencil, grid.shape) for name, stencil in schemes.items()}
    theta = line_waves(grid)
    lines = np.array([[line_symbol(s, axis, theta) for axis in range(grid.ndim)] for s in symbols.values()])
    one = lines[list(symbols).index(exact)]
    size = np.abs(one)
    dissipation = np.abs(lines) / np.where(size > ROUNDING, size, np.nan) - 1
    growth = np.stack([np.abs(lines**n - one**n) for n in steps], axis=-1)
    dims = ("scheme", "direction")
    data = {
        "dissipation": (
            (*dims, "theta"),
            dissipation,
            {"long_name": "amplification over the exact, less one", "units": "1"},
        ),
        "n_step_error": (
            (*dims, "theta", "step"),
            growth,
            {"long_name": "error of a wave after so many steps", "units": "1"},
        ),
        "formal_order": (
            dims,
            _orders(symbols, grid, exact, courant),
            {"long_name": "order of accuracy", "units": "1"},
        ),
    }
    coords = {
        "scheme": ("scheme", list(schemes), {"long_name": "scheme"}),
        "direction": ("direction", list(grid.names), {"long_name": "direction of the wave"}),
        "theta": ("theta", theta, {"long_name": "wave number", "units": "radian per cell"}),
        "step": ("step", list(steps), {"long_name": "steps", "units": "1"}),
    }
    return xr.Dataset(data, coords)


def _orders(
    symbols: Mapping[str, np.ndarray], grid: Grid, exact: str, courant: Sequence[float] | None
) -> Float[np.ndarray, "scheme direction"]:
    """``error_slope`` less one along axes that advect, less two along those that diffuse only."""
    moved = np.zeros(grid.ndim) if courant is None else np.asarray(courant, dtype=np.float64)
    found = np.full((len(symbols), grid.ndim), np.nan)
    for axis, n in enumerate(grid.shape):
        if n < 5:
            continue
        lines = np.array([axis_waves(symbol, axis)[:2] for symbol in symbols.values()])
        slope = error_slope(2 * np.pi * np.arange(1, 3) / n, lines, lines[list(symbols).index(exact)])
        found[:, axis] = slope - (1 if moved[axis] else 2)
    return found
