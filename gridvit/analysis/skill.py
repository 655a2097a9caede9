r"""How good forecasts are: scores of each case, and how they are averaged.

With ``<.>`` the area mean over the cells that have a truth, ``e = <(f - o)^2>`` and ``mean`` the one over cases:

====== ============================================= ============ =================== ====================
score  definition                                    perfect      scores one          not defined where
====== ============================================= ============ =================== ====================
RMSE   ``sqrt(mean e)``, in the variable's units     0
nRMSE  ``mean sqrt(e / <o^2>)``                      0            f = 0               o = 0
VRMSE  ``mean sqrt(e / <(o - <o>)^2>)``              0            f = <o>             o is the same everywhere
ACC    ``mean <f' o'> / sqrt(<f'^2> <o'^2>)``        1            f = o               f or o is the climatology
====== ============================================= ============ =================== ====================

Anomalies ``f' = f - c`` are from the climatology at the valid time and are not centred. The root of RMSE is taken after
the mean, so that cases may be pooled; the others are means of one number for each case. nRMSE is that of PDEBench;
VRMSE has the biased variance and no constant beside it (The Well takes the unbiased one, under which the mean scores
``sqrt((N - 1) / N)`` of N cells).

Forecasts and truths are arrays ``(case, lead, variable, *space)``; a case is one initial time or one sample.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float

from gridvit.errors import InputError
from gridvit.grid import Grid

PERSISTENCE = "persistence"


def area_weights(grid: Grid) -> Float[np.ndarray, "*space"]:
    """``w_i = A_i / mean A``: cell areas with mean one."""
    return grid.areas / grid.areas.mean()


def square_errors(
    forecast: np.ndarray,
    truth: np.ndarray,
    weights: Float[np.ndarray, "*space"],
) -> np.ndarray:
    """``e = mean_x w (f - o)^2`` of each case, lead and variable, float64; ``x`` the cells whose truth is no NaN.

    Args:
        forecast: ``(..., *space)``.
        truth: the same shape.
        weights: ``(*space)``, from ``area_weights``.

    Returns:
        ``(...)``.
    """
    if forecast.shape != truth.shape or forecast.shape[-weights.ndim :] != weights.shape:
        got = f"{forecast.shape}, {truth.shape} and weights {weights.shape}"
        raise InputError(
            "forecast and truth of one shape that ends in that of the weights", got, "align them first"
        )
    return area_mean((forecast.astype(np.float64) - truth) ** 2, weights, ~np.isnan(truth))


def mean_square(truth: np.ndarray, weights: Float[np.ndarray, "*space"]) -> np.ndarray:
    """``<o^2>``: what nRMSE is relative to."""
    return area_mean(truth.astype(np.float64) ** 2, weights, ~np.isnan(truth))


def variance(truth: np.ndarray, weights: Float[np.ndarray, "*space"]) -> np.ndarray:
    """``<(o - <o>)^2>``, biased: what VRMSE is relative to."""
    there = ~np.isnan(truth)
    mean = area_mean(truth.astype(np.float64), weights, there)
    centred = truth - mean.reshape(*mean.shape, *(1,) * weights.ndim)
    return area_mean(centred**2, weights, there)


def rmse(errors: Float[np.ndarray, "case *rest"]) -> Float[np.ndarray, "*rest"]:
    """``sqrt(mean over cases of e)``: the root after the mean, so cases may be pooled."""
    return np.asarray(np.sqrt(errors.mean(axis=0)))


def relative_errors(
    errors: Float[np.ndarray, "*cases"], scale: Float[np.ndarray, "*cases"]
) -> Float[np.ndarray, "*cases"]:
    """``sqrt(e / scale)`` of each case: nRMSE by ``mean_square``, VRMSE by ``variance``. NaN where that is zero."""
    ratio = np.divide(errors, scale, out=np.full(errors.shape, np.nan), where=scale > 0)
    return np.asarray(np.sqrt(ratio))


def anomaly_correlation(
    forecast: np.ndarray, truth: np.ndarray, climatology: np.ndarray, weights: Float[np.ndarray, "*space"]
) -> np.ndarray:
    r"""``ACC = <f' o'> / sqrt(<f'^2> <o'^2>)``, ``<.>`` the area mean, anomalies ``f' = f - c`` not centred.

    One number per case; NaN where forecast or truth is the climatology itself.
    """
    f, o = forecast.astype(np.float64) - climatology, truth.astype(np.float64) - climatology
    there = ~np.isnan(o)
    power = area_mean(f**2, weights, there) * area_mean(o**2, weights, there)
    product = area_mean(f * o, weights, there)
    return np.divide(product, np.sqrt(power), out=np.full_like(product, np.nan), where=power > 0)


def valid_time(
    good: Bool[np.ndarray, "case lead *rest"], leads: Float[np.ndarray, "lead"]
) -> Float[np.ndarray, "case *rest"]:
    """The last lead up to which a forecast is good without a break; 0 if it is not at the first.

    One that stays good has the last lead, so that a mean over cases is then a lower bound.
    """
    unbroken = np.logical_and.accumulate(good, axis=1).sum(axis=1)
    return np.concatenate([[0.0], leads])[unbroken]


def mean_present(values: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """Mean in float64 over what is not NaN; NaN where nothing is."""
    there = ~np.isnan(values)
    if there.all():
        return np.asarray(values.mean(axis=axis, dtype=np.float64))
    total, count = np.nansum(values, axis=axis, dtype=np.float64), there.sum(axis=axis)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def area_mean(values: np.ndarray, weights: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Mean over the cells that are ``there``; NaN where none is. A NaN among them makes the mean one."""
    axes = tuple(range(-weights.ndim, 0))
    if there.all():
        return np.asarray((values * weights).mean(axis=axes) / weights.mean())
    total, area = np.where(there, values * weights, 0.0).sum(axis=axes), (there * weights).sum(axis=axes)
    return np.divide(total, area, out=np.full_like(total, np.nan), where=area > 0)
