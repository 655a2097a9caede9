"""Does attention reach as far as the signal travels in a step? The condition of Courant, Friedrichs and Lewy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.attention_tables import table_of
from gridvit.analysis.symbol import grid_symbol
from gridvit.grid import Grid
from gridvit.stencil import Stencil

SPREADS = 3.0
"""Standard deviations of the exact kernel that count as the signal."""
SHARE = 0.99
"""Of a head's attention, within its reach."""


def attention_reach(
    attention: Stencil,
    patch: Sequence[int],
    courant: Sequence[float],
    diffusion: Sequence[float],
    beside: int = 0,
) -> xr.Dataset:
    r"""What share of each head's attention goes to tokens that the signal comes from, and whether layers reach them.

    In a step the signal comes from ``x - c`` cells, within ``3 sqrt(2 r)`` (``c = a dt / h``, ``r = D dt / h^2``), so
    from tokens whose distance ``D`` meets ``|P D + c| < P + 3 sqrt(2 r)`` along each axis. A token's own cells
    are always at hand: a network on patches wider than the signal's way needs little of its neighbours.

    Args:
        attention: stencil between tokens, dims ``("layer", "head")``.
        patch: ``P`` cells along each axis.
        courant: ``c`` along each axis, of the equation or of what was measured.
        diffusion: ``r`` along each axis.
        beside: tokens along each axis that all convolutions between tokens reach together, beside the heads.

    Returns:
        ``attention_to_signal(layer, head)``; ``attention_to_signal_ratio``, the same over that of uniform attention;
        ``reach(layer, head, axis)``, tokens of one head within which 99 % of its attention lies;
        ``signal_reach(axis)``, the farthest token that the signal comes from; ``cfl_reach(axis)``: reach of the
        layers together, of the farthest head each and of what is ``beside`` them, less ``signal_reach``: below 0
        tokens cannot see where the signal comes from, but for the cells that convolutions at the cells add to each.

    Reference: Courant, Friedrichs & Lewy (1928), doi:10.1007/BF01448839.
    """
    cells, c = np.asarray(patch, dtype=float), np.asarray(courant, dtype=float)
    around = SPREADS * np.sqrt(2 * np.asarray(diffusion, dtype=float))
    near = (np.abs(attention.offsets * cells + c) < cells + around).all(axis=-1)
    share = attention.weights[..., near].sum(axis=-1)
    reach = np.stack([_reach(attention, axis) for axis in range(attention.ndim)], axis=-1)
    wanted = np.ceil((np.abs(c) + around) / cells - 1e-12)
    axes = ("axis",)
    ratio = share / near.mean()
    data = {
        "attention_to_signal": table_of(share, "attention to tokens that the signal comes from", "1"),
        "attention_to_signal_ratio": table_of(
            ratio, "attention to the signal's tokens over uniform attention", "1"
        ),
        "reach": table_of(reach, "tokens within which 99 % of the attention lies", "tokens", axes),
        "signal_reach": (
            axes,
            wanted,
            {"long_name": "farthest token that the signal comes from", "units": "tokens"},
        ),
        "cfl_reach": (
            axes,
            reach.max(axis=1).sum(axis=0) + beside - wanted,
            {"long_name": "reach of all layers beyond the signal's", "units": "tokens"},
        ),
    }
    return xr.Dataset(data)


def _reach(attention: Stencil, axis: int) -> Float[np.ndarray, "layer head"]:
    """The least ``n`` with ``SHARE`` of the attention at ``|D| <= n`` along an axis."""
    far = np.abs(attention.offsets[:, axis])
    within = np.stack([attention.weights[..., far <= n].sum(axis=-1) for n in range(far.max() + 1)], axis=-1)
    return (within < SHARE * within[..., -1:]).sum(axis=-1).astype(float)


def outside_dependence(
    schemes: Mapping[str, Stencil], grid: Grid, courant: Sequence[float], diffusion: Sequence[float]
) -> xr.DataArray:
    r"""The share of ``sum |S|`` that the signal does not come from: ``|d + c| > 3 sqrt(2 r) + 1`` on some axis.

    Args:
        schemes: scalar stencils by name; the exact one shows what a band-limited kernel has there.
        grid: a periodic plane.
        courant: ``c`` along each axis.
        diffusion: ``r`` along each axis.
    """
    c, lines = np.asarray(courant, dtype=float), [np.fft.fftfreq(n, 1 / n) for n in grid.shape]
    offsets = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1)
    away = np.abs((offsets + c + np.array(grid.shape) / 2) % grid.shape - np.array(grid.shape) / 2)
    far = (away > SPREADS * np.sqrt(2 * np.asarray(diffusion, dtype=float)) + 1 + 1e-9).any(axis=-1)
    axes = tuple(range(grid.ndim))
    shares = []
    for stencil in schemes.values():
        kernel = np.abs(np.fft.fftn(grid_symbol(stencil, grid.shape), axes=axes).real)
        shares.append(kernel[far].sum() / kernel.sum())
    return xr.DataArray(
        shares,
        {"scheme": ("scheme", list(schemes), {"long_name": "scheme"})},
        attrs={"long_name": "weight outside the domain of dependence", "units": "1"},
        name="outside_dependence",
    )
