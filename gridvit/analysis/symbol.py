"""What a linear step does to one wave: symbols, what advection and diffusion they amount to.

``G(theta) = sum_d S(d) e^{i d.theta}`` with ``theta`` in radians per cell. Everything is read off at the
waves that the grid holds (``modes(shape)``): between them a kernel with a small floor at all offsets says
nothing about the step.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float

from gridvit import moments
from gridvit.errors import InputError
from gridvit.grid import PLANE_NAMES, Grid
from gridvit.moments import MultiIndex
from gridvit.stencil import Stencil, modes


def mode_energy(fields: Float[np.ndarray, "..."], ndim: int) -> Float[np.ndarray, "..."]:
    """``E(k) = mean |u_hat(k)|^2 / N^2`` over everything but the last ``ndim`` axes; ``sum_k E = mean u^2``.

    Returns:
        ``(*space)`` in FFT order, as ``modes(shape)``.
    """
    axes = tuple(range(-ndim, 0))
    shape = fields.shape[fields.ndim - ndim :]
    waves = np.fft.fftn(fields.astype(np.float64), axes=axes) / prod(shape)
    return (np.abs(waves) ** 2).reshape(-1, *shape).mean(axis=0)


def energy_modes(
    fields: Float[np.ndarray, "..."], ndim: int, share: float = 0.99
) -> tuple[Float[np.ndarray, "mode axis"], Float[np.ndarray, "mode"]]:
    """The fewest waves that hold ``share`` of the variance, ``k = 0`` apart; ``+k`` and ``-k`` come together.

    Args:
        fields: ``(..., *space)``, periodic along the last ``ndim`` axes.
        ndim: number of space axes.
        share: of ``sum_{k != 0} E(k)``, at most 1.

    Returns:
        ``theta (M, d)`` in radians per cell, and ``energy (M,)`` as fractions of the variance.
    """
    energy = mode_energy(fields, ndim).ravel()
    energy[0] = 0.0
    if not energy.any():
        raise InputError("fields that vary in space", "constant ones", "give other fields")
    energy /= energy.sum()
    ranked = np.sort(energy)[::-1]
    last = ranked[min(int(np.searchsorted(np.cumsum(ranked), share)), len(ranked) - 1)]
    # Rounding must not part a wave from its conjugate.
    chosen = (energy >= last * (1 - 1e-9)) & (energy > 0)
    theta = modes(fields.shape[fields.ndim - ndim :]).reshape(-1, ndim)
    return theta[chosen], energy[chosen]


def grid_symbol(stencil: Stencil, shape: Sequence[int]) -> Complex[np.ndarray, "..."]:
    """``G`` at ``modes(shape)`` by FFT; offsets wrap around the periodic grid.

    Returns:
        ``(*lead, *shape)``, or ``(*lead, C, C, *shape)`` for a system.
    """
    if len(shape) != stencil.ndim:
        raise InputError(f"{stencil.ndim} axes", f"{tuple(shape)}", "give the shape of the stencil's grid")
    place = np.ravel_multi_index(tuple((stencil.offsets % np.asarray(shape)).T), tuple(shape))
    folded = np.zeros((prod(shape), *stencil.weights.shape[:-1]))
    np.add.at(folded, place, np.moveaxis(stencil.weights, -1, 0))
    folded = np.moveaxis(folded, 0, -1)
    axes = tuple(range(-len(shape), 0))
    return np.fft.ifftn(folded.reshape(*folded.shape[:-1], *shape), axes=axes, norm="forward")


def unwrapped_phase(
    theta: Float[np.ndarray, "mode axis"], symbol: Complex[np.ndarray, "mode"]
) -> Float[np.ndarray, "mode"]:
    r"""``arg G + 2 pi m`` on the branch that is continuous with ``arg G(0) = 0``.

    Waves are taken up one by one, always the one nearest to those already known (``theta = 0`` to begin
    with), within ``pi`` of that neighbour. Right as long as the step moves no wave by half a period
    *relative to its neighbour*: on a full lattice of waves, displacements under half the domain.
    """
    phase = np.angle(symbol)
    gap, base = np.linalg.norm(theta, axis=-1), np.zeros(len(theta))
    waiting = np.ones(len(theta), dtype=bool)
    for _ in range(len(theta)):
        here = np.flatnonzero(waiting)[np.argmin(gap[waiting])]
        phase[here] += 2 * np.pi * np.round((base[here] - phase[here]) / (2 * np.pi))
        waiting[here] = False
        away = np.linalg.norm(theta - theta[here], axis=-1)
        nearer = waiting & (away < gap)
        gap[nearer], base[nearer] = away[nearer], phase[here]
    return phase


def fit_advection_diffusion(
    theta: Float[np.ndarray, "mode axis"],
    symbol: Complex[np.ndarray, "mode"],
    energy: Float[np.ndarray, "mode"],
    spacing: Sequence[float | int] | np.ndarray,
    dt: float | int = 1.0,
    *,
    reaction: bool = False,
    units: tuple[str, str] = ("1", "1"),
) -> xr.Dataset:
    r"""``min sum_k E_k |log G(theta_k) - (kappa_0 - i c.theta_k - theta_k^T R theta_k)|^2``.

    The step ``u_t + a.grad u = div(D grad u) + b u`` of which ``G`` is nearest on the data's own waves:
    ``a = c h / dt``, ``D_ij = R_ij h_i h_j / dt``, ``b = kappa_0 / dt``. Exact for the exact propagator; for
    a scheme it holds its dispersion and numerical diffusion at the waves fitted. Nyquist waves, where a real
    field shows only half of ``G``, and waves that the step wipes out are left aside.

    Args:
        theta: waves in radians per cell, from ``energy_modes``.
        symbol: ``G`` there.
        energy: weight ``E_k >= 0`` of each wave.
        spacing: cell width per axis.
        dt: length of the step.
        reaction: fit ``b`` too; else ``b = 0``, and all growth and decay of the waves is read as diffusion.
            One unknown more blurs ``D`` where the waves are few or ``G`` is noisy.
        units: of length and of time, for the attributes.

    Returns:
        ``velocity(axis)``, ``diffusivity(axis, axis_2)``, ``reaction()`` and ``misfit()``, the
        energy-weighted root mean square of what the fit leaves of ``log G``.

    Raises:
        InputError: too few waves to tell the unknowns apart.
    """
    used = (np.abs(theta) < np.pi * (1 - 1e-9)).all(axis=-1) & (np.abs(symbol) > 1e-12) & (energy > 0)
    theta, symbol, energy = theta[used], symbol[used], energy[used]
    ndim = theta.shape[1]
    pairs = [(i, j) for i in range(ndim) for j in range(i, ndim)]
    even = np.stack([-theta[:, i] * theta[:, j] * (2 - (i == j)) for i, j in pairs], axis=-1)
    if reaction:
        even = np.column_stack([even, np.ones(len(theta))])
    growth, phase = np.log(np.abs(symbol)), unwrapped_phase(theta, symbol)
    courant, numbers = _weighted(-theta, phase, energy), _weighted(even, growth, energy)
    left = (phase + theta @ courant) ** 2 + (growth - even @ numbers) ** 2
    tensor = np.zeros((ndim, ndim))
    for (i, j), value in zip(pairs, numbers, strict=False):
        tensor[i, j] = tensor[j, i] = value
    h, rate = np.asarray(spacing, dtype=np.float64), numbers[-1] / dt if reaction else 0.0
    misfit = np.sqrt(energy @ left / energy.sum())
    return _advection_diffusion(courant * h / dt, tensor * np.outer(h, h) / dt, rate, misfit, units)


def fit_cumulants(
    stencil: Stencil, shape: Sequence[int], max_order: int = 4, waves: int = 3
) -> dict[MultiIndex, np.ndarray]:
    r"""``kappa_n``, ``|n| <= max_order``, from ``log G`` at the lowest ``waves`` waves of every axis.

    A uniform floor ``eps`` on ``N`` cells adds about ``eps N^2 / 12`` to the raw variance, but only the
    factor ``1 - eps`` to ``G(k != 0)``; hence this, and ``Stencil.cumulants`` for short kernels only. The
    polynomial has order ``2 waves - 1``; noise ``e`` of ``G`` enters ``kappa_n`` as ``n! e / theta^n``.

    Returns:
        ``{multi-index: value}`` of a scalar stencil without leading axes.
    """
    if stencil.is_system or stencil.dims:
        raise InputError(
            "one scalar stencil", f"leading axes {stencil.dims}", "choose one with isel or component"
        )
    if min(shape) <= 2 * waves or max_order >= 2 * waves:
        got = f"{tuple(shape)} cells and {waves} waves"
        raise InputError(
            f"over {max_order} cells and {max_order / 2:g} waves per axis", got, "take fewer waves or orders"
        )
    lines = [np.arange(-waves, waves + 1)] * len(shape)
    index = np.stack(np.meshgrid(*lines, indexing="ij"), axis=-1).reshape(-1, len(shape))
    # The second half in lexicographic order: one wave of each pair, without k = 0.
    index = index[len(index) // 2 + 1 :]
    theta = 2 * np.pi * index / np.asarray(shape)
    symbol = grid_symbol(stencil, shape)[tuple(index.T)]
    drift = _weighted(theta, unwrapped_phase(theta, symbol), np.ones(len(theta)))
    found = moments.fit_cumulants(theta, symbol, 2 * waves - 1, drift=drift)
    return {n: value for n, value in found.items() if sum(n) <= max_order}


def symbol_table(
    schemes: Mapping[str, Stencil], grid: Grid, courant: Sequence[float] | None = None
) -> xr.Dataset:
    r"""``|G|`` and ``-arg G / (c theta)`` of each scheme along each axis.

    Args:
        schemes: scalar stencils without leading axes.
        grid: a periodic plane; ``theta`` are the waves of its longest axis below Nyquist. Along shorter axes
            values between the axis' own waves are read off linearly, and are NaN outside them.
        courant: ``c = a dt / h`` per axis; ``phase_speed`` is NaN where it is zero or not given.

    Returns:
        ``amplification`` and ``phase_speed`` of dims ``(scheme, direction, theta)``.
    """
    theta = line_waves(grid)
    lines = [
        [_line(grid_symbol(s, grid.shape), a, theta) for a in range(grid.ndim)] for s in schemes.values()
    ]
    modulus, phase = np.moveaxis(np.array(lines), 2, 0)
    shifts = np.full(grid.ndim, np.nan) if courant is None else np.asarray(courant, dtype=np.float64)
    shifts = np.where(shifts == 0, np.nan, shifts)[:, None]
    dims = ("scheme", "direction", "theta")
    table = {
        "amplification": (dims, modulus, {"long_name": "amplification |G|", "units": "1"}),
        "phase_speed": (
            dims,
            -phase / (shifts * theta),
            {"long_name": "phase speed over the exact", "units": "1"},
        ),
    }
    coords = {
        "scheme": ("scheme", list(schemes), {"long_name": "scheme"}),
        "direction": ("direction", list(grid.names), {"long_name": "direction of the wave"}),
        "theta": ("theta", theta, {"long_name": "wave number", "units": "radian per cell"}),
    }
    return xr.Dataset(table, coords)


def line_waves(grid: Grid) -> Float[np.ndarray, "theta"]:
    """The waves of a grid's longest axis below Nyquist, radians per cell."""
    return 2 * np.pi * np.arange(1, (max(grid.shape) + 1) // 2) / max(grid.shape)


def line_symbol(
    symbol: Complex[np.ndarray, "*space"], axis: int, theta: Float[np.ndarray, "theta"]
) -> Complex[np.ndarray, "theta"]:
    """``G`` of waves along one axis, modulus and phase read off between its own waves; NaN outside them."""
    modulus, phase = _line(symbol, axis, theta)
    return modulus * np.exp(1j * phase)


def axis_waves(symbol: Complex[np.ndarray, "*space"], axis: int) -> Complex[np.ndarray, "wave"]:
    """``G`` at the waves along one axis, from the longest to the last below Nyquist."""
    n = symbol.shape[axis]
    return symbol[tuple(slice(1, (n + 1) // 2) if a == axis else 0 for a in range(symbol.ndim))]


def _line(symbol: np.ndarray, axis: int, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``|G|`` and the unwrapped ``arg G`` of waves along one axis, at ``theta``."""
    n, values = symbol.shape[axis], axis_waves(symbol, axis)
    own = 2 * np.pi * np.arange(1, (n + 1) // 2) / n
    if not len(own):
        return np.full_like(theta, np.nan), np.full_like(theta, np.nan)
    inside = (theta >= own[0] - 1e-9) & (theta <= own[-1] + 1e-9)
    phase = np.unwrap(np.concatenate([[0.0], np.angle(values)]))[1:]
    modulus, phase = np.interp(theta, own, np.abs(values)), np.interp(theta, own, phase)
    return np.where(inside, modulus, np.nan), np.where(inside, phase, np.nan)


def _weighted(design: np.ndarray, target: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """``argmin_x sum_k weight_k (target_k - design_k.x)^2``, refused where it is not unique."""
    root = np.sqrt(weight)
    solution, _, rank, _ = np.linalg.lstsq(design * root[:, None], target * root, rcond=None)
    if rank < design.shape[1]:
        got = f"{len(target)} that determine {rank}"
        raise InputError(
            f"waves that determine {design.shape[1]} unknowns", got, "take a larger share of the variance"
        )
    return solution


def _advection_diffusion(
    velocity: np.ndarray, diffusivity: np.ndarray, rate: float, misfit: float, units: tuple[str, str]
) -> xr.Dataset:
    length, time = units
    axes = list(PLANE_NAMES[-len(velocity) :])
    table = {
        "velocity": (("axis",), velocity, "advection velocity", f"{length} / {time}"),
        "diffusivity": (("axis", "axis_2"), diffusivity, "diffusivity", f"{length}^2 / {time}"),
        "reaction": ((), rate, "growth rate of a uniform field", f"1 / {time}"),
        "misfit": ((), misfit, "misfit of log G", "1"),
    }
    data = {k: (dims, v, {"long_name": name, "units": unit}) for k, (dims, v, name, unit) in table.items()}
    return xr.Dataset(data, coords={"axis": axes, "axis_2": axes})
