"""A measured stencil beside the schemes of numerical analysis: cumulant by cumulant and wave by wave."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from gridvit.analysis.symbol import fit_advection_diffusion, fit_cumulants, grid_symbol, symbol_table
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil, modes

MEASURED = "emulator"
WINDOW = 6  # cells either side


def compare(
    measured: Stencil,
    references: Mapping[str, Stencil],
    grid: Grid,
    dt: float | int = 1.0,
    *,
    energy: Float[np.ndarray, "*space"] | None = None,
    courant: Sequence[float] | None = None,
    window: int = WINDOW,
    time_units: str = "1",
) -> xr.Dataset:
    r"""The measured stencil ``S`` and each reference ``S'``, in one table of dims ``scheme``.

    - ``stencil``: weights within ``window`` cells;
    - ``cumulant(scheme, order)``: ``kappa_n``, ``|n| <= 4`` (less under 7 cells), from ``fit_cumulants``;
    - ``distance_unweighted = |S - S'| / |S'|`` (by Parseval the same over waves);
    - ``distance_weighted``: ``d_E^2 = sum E |G - G'|^2 / sum E |G'|^2``, the expected relative square error
      of one step between the two on data of energy ``E``; waves without energy do not count;
    - ``velocity``, ``diffusivity``, ``misfit``: ``fit_advection_diffusion`` on ``energy``;
    - ``amplification`` and ``phase_speed`` along the axes (``symbol_table``).

    Args:
        measured: a scalar stencil, the scheme named "emulator"; leading axes (states, cells) are averaged.
        references: scalar stencils by name.
        grid: a plane that is periodic along every axis.
        dt: length of the step.
        energy: ``E(k)`` at ``modes(grid.shape)`` (``mode_energy``, with zeros where waves are to be left
            out). Without it the rows that need it are absent.
        courant: ``c = a dt / h`` per axis of the true equation, for ``phase_speed``.
        window: half width of ``stencil`` in cells, cut to half the grid.
        time_units: of ``dt``.

    Raises:
        InputError: a system, or a grid that is bounded or a sphere.
    """
    if grid.is_sphere or not all(grid.periodic):
        raise InputError(
            "a plane that is periodic along every axis", grid.describe(), "use sphere_rows or the probe"
        )
    schemes = {MEASURED: _averaged(measured)} | {name: _averaged(s) for name, s in references.items()}
    symbols = np.stack([grid_symbol(s, grid.shape) for s in schemes.values()])
    parts = [_weights_table(symbols, schemes, grid, window), symbol_table(schemes, grid, courant)]
    parts += [_cumulant_table(schemes, grid)]
    if energy is not None:
        weighted = symbol_distance(symbols[0], symbols, energy)
        parts[0]["distance_weighted"] = _labelled(
            ("scheme",), weighted, "expected one-step error against the scheme"
        )
        parts += [_coefficients(dict(zip(schemes, symbols, strict=True)), grid, dt, energy, time_units)]
    return xr.merge(parts, join="exact")


def symbol_distance(
    symbol: Complex[np.ndarray, "*space"],
    references: Complex[np.ndarray, "reference *space"],
    energy: Float[np.ndarray, "*space"] | None = None,
) -> Float[np.ndarray, "reference"]:
    r"""``sqrt(sum E |G - G'|^2 / sum E |G'|^2)`` over waves, of one ``G`` against each; ``E = 1`` if absent.

    Args:
        symbol: ``(*space)``.
        references: ``(reference, *space)``.
        energy: ``(*space)``, ``>= 0``.

    Returns:
        ``(reference,)``.
    """
    weight = np.ones(symbol.shape) if energy is None else energy
    axes = tuple(range(1, references.ndim))
    error = (weight * np.abs(symbol - references) ** 2).sum(axis=axes)
    return np.sqrt(error / (weight * np.abs(references) ** 2).sum(axis=axes))


def window(
    stencil: Stencil, grid: Grid, half_width: int = WINDOW
) -> tuple[tuple[str, ...], dict[str, tuple], Float[np.ndarray, "..."]]:
    """A stencil as a map over offsets: names of their dimensions, coordinates, weights after the leading axes."""
    kernels = np.fft.fftn(grid_symbol(stencil, grid.shape), axes=tuple(range(-grid.ndim, 0))).real / grid.size
    flat = kernels.reshape(-1, *grid.shape)[
        np.ix_(np.arange(stencil.weights[..., 0].size), *_offsets(grid, half_width))
    ]
    weights = flat.reshape(*stencil.weights.shape[:-1], *flat.shape[1:])
    return _offset_names(grid), _offset_coords(grid, half_width), weights


def _averaged(stencil: Stencil) -> Stencil:
    if stencil.is_system:
        got = f"a system of {stencil.components}"
        raise InputError("stencils of one variable", got, "compare component(out, into) by component")
    for dim in stencil.dims:
        stencil = stencil.mean(dim)
    return stencil


def _offset_names(grid: Grid) -> tuple[str, ...]:
    return tuple(f"d{name}" for name in grid.names)


def _offsets(grid: Grid, window: int) -> list[np.ndarray]:
    """Cells from ``-window`` to ``window`` along each axis, each cell of the grid at most once."""
    return [np.arange(-min(window, n // 2), min(window, (n - 1) // 2) + 1) for n in grid.shape]


def _offset_coords(grid: Grid, window: int) -> dict[str, tuple]:
    return {
        name: (name, cells, {"long_name": f"offset along {axis}", "units": "cells"})
        for name, axis, cells in zip(_offset_names(grid), grid.names, _offsets(grid, window), strict=True)
    }


def _windows(symbols: np.ndarray, grid: Grid, window: int) -> np.ndarray:
    """Weights ``(scheme, *window)`` on the periodic grid, back from the symbols."""
    axes = tuple(range(1, symbols.ndim))
    kernels = np.fft.fftn(symbols, axes=axes).real / grid.size
    # Negative offsets index from the end, where the FFT keeps them.
    return kernels[np.ix_(np.arange(len(kernels)), *_offsets(grid, window))]


def _weights_table(
    symbols: np.ndarray, schemes: Mapping[str, Stencil], grid: Grid, window: int
) -> xr.Dataset:
    distance = symbol_distance(symbols[0], symbols)
    data = {
        "stencil": _labelled(("scheme", *_offset_names(grid)), _windows(symbols, grid, window), "weight"),
        "distance_unweighted": _labelled(("scheme",), distance, "distance from the scheme"),
    }
    return xr.Dataset(data, {"scheme": _names(schemes), **_offset_coords(grid, window)})


def _cumulant_table(schemes: Mapping[str, Stencil], grid: Grid) -> xr.Dataset:
    """Up to the order that the lowest three waves, or all of a small grid, determine."""
    waves = min(3, (min(grid.shape) - 1) // 2)
    found = [fit_cumulants(s, grid.shape, min(4, 2 * waves - 1), waves) for s in schemes.values()]
    values = np.array([list(cumulants.values()) for cumulants in found])
    labels = [",".join(map(str, n)) for n in found[0]]
    order = ("order", labels, {"long_name": "order of the cumulant along " + ", ".join(grid.names)})
    data = {"cumulant": _labelled(("scheme", "order"), values, "cumulant of the stencil (powers of a cell)")}
    return xr.Dataset(data, {"scheme": _names(schemes), "order": order})


def _labelled(dims: tuple[str, ...], values: np.ndarray, long_name: str) -> tuple:
    return dims, values, {"long_name": long_name, "units": "1"}


def _names(schemes: Mapping[str, object]) -> tuple:
    return "scheme", list(schemes), {"long_name": "scheme"}


def _coefficients(
    symbols: Mapping[str, np.ndarray], grid: Grid, dt: float | int, energy: np.ndarray, time_units: str
) -> xr.Dataset:
    """``fit_advection_diffusion`` of each scheme on the waves that have energy, ``k = 0`` apart."""
    weight = energy.ravel().copy()
    weight[0] = 0.0
    used, theta = weight > 0, modes(grid.shape).reshape(-1, grid.ndim)
    units = (grid.distance_units, time_units)
    fits = [
        fit_advection_diffusion(
            theta[used], symbol.ravel()[used], weight[used], grid.spacing, dt, units=units
        )
        for symbol in symbols.values()
    ]
    names = xr.DataArray(list(symbols), dims="scheme", name="scheme", attrs=_names(symbols)[2])
    return xr.concat(fits, names).assign_coords(axis=list(grid.names), axis_2=list(grid.names))
