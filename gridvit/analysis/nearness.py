"""Which scheme a step is nearest to: the best linear predictor, the nearest theta scheme, the nearest named one."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Complex, Float
from scipy.optimize import least_squares

from gridvit.errors import InputError


def best_linear(
    before: Float[np.ndarray, "pair *space"], after: Float[np.ndarray, "_pair *space"], share: float = 1e-10
) -> Complex[np.ndarray, "*space"]:
    r"""``G*(k) = E[v_hat conj(u_hat)] / E|u_hat|^2``: the best linear predictor of ``v`` that commutes with shifts.

    Args:
        before: ``u``, fields on a plane that is periodic along every axis.
        after: ``v``, the same a step later.
        share: waves with less than this part of the largest energy are left at 0: nothing is known of them.

    Returns:
        ``G*`` in FFT order. Of a linear scheme's own data it is that scheme's symbol.
    """
    axes = tuple(range(1, before.ndim))
    one, two = (np.fft.fftn(fields.astype(np.float64), axes=axes) for fields in (before, after))
    energy = (np.abs(one) ** 2).mean(axis=0)
    cross = (two * one.conj()).mean(axis=0)
    return np.divide(cross, energy, out=np.zeros_like(cross), where=energy > share * energy.max())


def nearest(distances: xr.DataArray, left_out: tuple[str, ...] = ()) -> str:
    """The name along ``scheme`` of the smallest distance.

    Args:
        distances: ``(scheme,)``.
        left_out: names that do not count, such as that of what was measured.

    Raises:
        InputError: none is left.
    """
    kept = distances.sel(scheme=[name for name in distances["scheme"].values if name not in left_out]).dropna(
        "scheme"
    )
    if not kept.sizes["scheme"]:
        raise InputError("a distance from some scheme", "none", "give schemes to compare with")
    return str(kept["scheme"].values[kept.values.argmin()])


def theta_symbol(
    theta: Float[np.ndarray, "*wave axis"],
    courant: Float[np.ndarray, "axis"],
    numbers: Float[np.ndarray, "axis axis"],
    implicitness: float | int,
) -> Complex[np.ndarray, "*wave"]:
    r"""``G = (1 + (1 - w) z) / (1 - w z)``, ``z = -i c.sin(theta) - sum_ij r_ij s_ij`` by central differences.

    ``s_ii = 4 sin^2(theta_i / 2)``, ``s_ij = sin(theta_i) sin(theta_j)``; ``w`` 0 is forward Euler (FTCS), 1/2
    Crank-Nicolson, 1 backward Euler (BTCS).
    """
    sine, half = np.sin(theta), 4 * np.sin(theta / 2) ** 2
    mixed = sine[..., :, None] * sine[..., None, :]
    unit = np.arange(theta.shape[-1])
    mixed[..., unit, unit] = half
    z = -1j * (sine @ courant) - np.einsum("...ij,ij->...", mixed, numbers)
    return np.asarray((1 + (1 - implicitness) * z) / (1 - implicitness * z))


def nearest_theta_scheme(
    theta: Float[np.ndarray, "wave axis"],
    symbol: Complex[np.ndarray, "wave"],
    energy: Float[np.ndarray, "wave"],
) -> xr.Dataset:
    r"""``(c, r, w)`` of the theta scheme with ``min sum_k E_k |G - G_w(c, r)|^2``.

    Args:
        theta: waves in radians per cell.
        symbol: ``G`` there.
        energy: weight of each.

    Returns:
        ``theta_courant(axis)``, ``theta_diffusion(axis, axis_2)``, ``theta_implicitness`` and ``theta_distance``, the
        energy-weighted distance that is left, as in ``symbol_distance``. A local search from the symbol's own
        slope and curvature: of a step that moves waves by over a period it may stop elsewhere. ``w`` is blurred
        where ``z`` is small, as all such schemes are alike there.
    """
    ndim = theta.shape[1]
    upper = np.triu_indices(ndim)

    def parts(x: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
        numbers = np.zeros((ndim, ndim))
        numbers[upper] = x[ndim:-1]
        return x[:ndim], (numbers + numbers.T) / 2, float(x[-1])

    root = np.sqrt(energy / (energy * np.abs(symbol) ** 2).sum())

    def gap(x: np.ndarray) -> np.ndarray:
        left = root * (theta_symbol(theta, *parts(x)) - symbol)
        return np.concatenate([left.real, left.imag])

    log = np.log(np.where(np.abs(symbol) > 1e-12, symbol, 1.0))
    slope = np.linalg.lstsq(root[:, None] * theta, -root * log.imag, rcond=None)[0]
    square = root[:, None] * theta[:, upper[0]] * theta[:, upper[1]]
    start = np.concatenate([slope, np.linalg.lstsq(square, -root * log.real, rcond=None)[0], [0.5]])
    found = least_squares(gap, start, xtol=1e-14, ftol=1e-14, gtol=1e-14)
    courant, numbers, implicitness = parts(found.x)
    table = {
        "theta_courant": (("axis",), courant, "Courant number of the nearest theta scheme"),
        "theta_diffusion": (("axis", "axis_2"), numbers, "diffusion number of the nearest theta scheme"),
        "theta_implicitness": ((), implicitness, "implicit share of the nearest theta scheme"),
        "theta_distance": ((), float(np.linalg.norm(gap(found.x))), "distance from the nearest theta scheme"),
    }
    return xr.Dataset({k: (d, v, {"long_name": name, "units": "1"}) for k, (d, v, name) in table.items()})
