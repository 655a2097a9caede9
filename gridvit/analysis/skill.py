"""How good forecasts are: area-weighted scores by lead time, their uncertainty, and their table.

Forecasts and truths are arrays ``(case, lead, variable, *space)``; a case is one initial time or one sample.
Scores are made from ``square_errors``, one number per case, so that fields need not all be in memory at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.errors import InputError
from gridvit.grid import Grid

PERSISTENCE = "persistence"
Interval = Callable[..., tuple[np.ndarray, np.ndarray]]


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
    return _area_mean((forecast.astype(np.float64) - truth) ** 2, weights, ~np.isnan(truth))


def rmse(errors: Float[np.ndarray, "case *rest"]) -> Float[np.ndarray, "*rest"]:
    """``sqrt(mean over cases of e)``: the root after the mean, so cases may be pooled."""
    return np.asarray(np.sqrt(errors.mean(axis=0)))


def nrmse(
    errors: Float[np.ndarray, "case *rest"], power: Float[np.ndarray, "case *rest"]
) -> Float[np.ndarray, "*rest"]:
    """``mean over cases of sqrt(e / mean_x w o^2)``: zero scores one. NaN where the truth is zero.

    Args:
        errors: ``square_errors(forecast, truth, weights)``.
        power: ``square_errors(0 * truth, truth, weights)``.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.where(power > 0, np.sqrt(errors / power), np.nan).mean(axis=0))


def vrmse(forecast: np.ndarray, truth: np.ndarray, weights: Float[np.ndarray, "*space"]) -> np.ndarray:
    """``sqrt(mean_x w (f - o)^2 / Var_x o)`` with the biased variance: the mean scores one."""
    there = ~np.isnan(truth)
    spread = (
        _area_mean(truth.astype(np.float64) ** 2, weights, there) - _area_mean(truth, weights, there) ** 2
    )
    return np.asarray(np.sqrt(square_errors(forecast, truth, weights) / spread))


def anomaly_correlation(
    forecast: np.ndarray, truth: np.ndarray, climatology: np.ndarray, weights: Float[np.ndarray, "*space"]
) -> np.ndarray:
    r"""``ACC = <f' o'> / sqrt(<f'^2> <o'^2>)``, ``<.>`` the area mean, anomalies ``f' = f - c`` not centred.

    One number per case; NaN where forecast or truth is the climatology itself.
    """
    f, o = forecast.astype(np.float64) - climatology, truth.astype(np.float64) - climatology
    there = ~np.isnan(o)
    power = _area_mean(f**2, weights, there) * _area_mean(o**2, weights, there)
    product = _area_mean(f * o, weights, there)
    return np.divide(product, np.sqrt(power), out=np.full_like(product, np.nan), where=power > 0)


def power_spectrum(values: Float[np.ndarray, "*rest n"]) -> Float[np.ndarray, "*rest m"]:
    """One-sided ``E_k``, ``k = 0 .. n // 2``, along the last axis, with ``sum_k E_k = mean u^2``.

    Each wave stands for its conjugate too, but for the mean and, of an even ``n``, the Nyquist wave.
    """
    n = values.shape[-1]
    energy = np.abs(np.fft.rfft(values.astype(np.float64), axis=-1) / n) ** 2
    energy[..., 1 : (n + 1) // 2] *= 2
    return energy


def block_bootstrap(
    errors: Float[np.ndarray, "case *rest"],
    reference: Float[np.ndarray, "case *rest"] | None = None,
    *,
    block: int | None = None,
    draws: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Float[np.ndarray, "*rest"], Float[np.ndarray, "*rest"]]:
    r"""Percentile interval of ``sqrt(mean e)``, or of ``sqrt(mean e / mean e_ref)``, over redrawn cases.

    Moving blocks: runs of ``block`` successive cases are drawn with replacement, as many as fill the sample,
    because forecasts from neighbouring initial times err alike. Errors and reference are drawn together
    (paired).

    Args:
        errors: square errors of successive cases.
        reference: square errors of the reference in the same cases.
        block: length of a block, ``ceil(cases^(1/3))`` if absent; 1 for independent samples. Good value: at
            least the longest lead in cases.
        draws: number of redrawn samples.
        level: share of the draws inside the interval.
        seed: same seed, same interval.

    Returns:
        Lower and upper end. NaN for no more cases than a block holds, which say nothing about spread.

    Reference: Künsch (1989), Ann. Statist. 17, 1217-1241, doi:10.1214/aos/1176347265.
    """
    cases = len(errors)
    block = block or ceil(cases ** (1 / 3))
    if cases < 2 or cases <= block:
        return np.full(errors.shape[1:], np.nan), np.full(errors.shape[1:], np.nan)
    counts = block_counts(cases, block, draws, seed)
    means = np.tensordot(counts, errors, axes=1)
    if reference is not None:
        below = np.tensordot(counts, reference, axes=1)
        means = np.divide(means, below, out=np.full_like(means, np.nan), where=below > 0)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.quantile(np.sqrt(means), tails, axis=0)
    return low, high


def score_table(
    errors: Mapping[str, Float[np.ndarray, "case lead variable"]],
    leads: Sequence[float | int] | np.ndarray,
    variables: Mapping[str, str],
    *,
    lead_units: str = "h",
    power: Float[np.ndarray, "case lead variable"] | None = None,
    block: int | None = None,
    cluster: int = 1,
    seed: int = 0,
) -> xr.Dataset:
    """Scores of every model by variable and lead, with 95 % intervals by ``block_bootstrap``.

    Args:
        errors: ``square_errors`` by the model's name, in the same cases; one of them is "persistence".
        leads: lead times in ``lead_units``.
        variables: units by name, in the order of the arrays.
        lead_units: of ``leads``.
        power: ``mean_x w o^2`` of the same cases, for ``nrmse``; left out where zero means nothing
            (pressure).
        block: of the bootstrap.
        cluster: successive cases that are redrawn together, as those of one trajectory are; divides their number.
        seed: of the bootstrap.

    Returns:
        Dataset of dims ``(model, variable, lead)``: ``rmse``, ``ratio`` to persistence, both with ``_low``
        and ``_high``, and ``nrmse``; attribute ``cases``.
    """
    if PERSISTENCE not in errors:
        raise InputError(
            f"scores of {PERSISTENCE!r}", f"{sorted(errors)}", "score it too: ratios refer to it"
        )
    reference = errors[PERSISTENCE]

    def interval(*cases: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return block_bootstrap(*(_clusters(e, cluster) for e in cases), block=block, seed=seed)

    rows = [_score_row(e, reference, power, interval) for e in errors.values()]
    units = dict.fromkeys(variables.values())
    common = next(iter(units)) if len(units) == 1 else "units of the variable"
    labels = {"rmse": ("root mean square error", common), "ratio": ("RMSE over that of persistence", "1"),
              "nrmse": ("relative error", "1")}  # fmt: skip
    data = {}
    for key in rows[0]:
        long_name, unit = labels[key.split("_")[0]]
        bound = {"low": ", lower 95 % bound", "high": ", upper 95 % bound"}.get(key.partition("_")[2], "")
        stacked = np.stack([row[key] for row in rows]).swapaxes(1, 2)
        data[key] = (("model", "variable", "lead"), stacked, {"long_name": long_name + bound, "units": unit})
    coords = {
        "model": ("model", list(errors), {"long_name": "forecast"}),
        "variable": ("variable", list(variables), {"long_name": "variable"}),
        "variable_units": ("variable", list(variables.values()), {"long_name": "units of the variable"}),
        "lead": (
            "lead",
            np.asarray(leads, dtype=np.float64),
            {"long_name": "lead time", "units": lead_units},
        ),
    }
    return xr.Dataset(data, coords, attrs={"cases": len(reference)})


def _score_row(
    errors: np.ndarray, reference: np.ndarray, power: np.ndarray | None, interval: Interval
) -> dict[str, np.ndarray]:
    low, high = interval(errors)
    ratio_low, ratio_high = interval(errors, reference)
    below = rmse(reference)
    ratio = np.divide(rmse(errors), below, out=np.full_like(below, np.nan), where=below > 0)
    row = {"rmse": rmse(errors), "rmse_low": low, "rmse_high": high,
           "ratio": ratio, "ratio_low": ratio_low, "ratio_high": ratio_high}  # fmt: skip
    return row if power is None else row | {"nrmse": nrmse(errors, power)}


def _clusters(errors: np.ndarray, size: int) -> np.ndarray:
    """Means over runs of ``size`` successive cases; errors by root of the mean may be pooled so."""
    return errors.reshape(-1, size, *errors.shape[1:]).mean(axis=1)


def block_counts(cases: int, block: int, draws: int, seed: int) -> Float[np.ndarray, "draw case"]:
    """How often each case is in each redrawn sample, over the number of cases."""
    starts = np.random.default_rng(seed).integers(0, cases - block + 1, size=(draws, ceil(cases / block)))
    chosen = (starts[..., None] + np.arange(block)).reshape(draws, -1)[:, :cases]
    flat = chosen + cases * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * cases).reshape(draws, cases) / cases


def mean_present(values: np.ndarray, axis: tuple[int, ...]) -> np.ndarray:
    """Mean in float64 over what is not NaN; NaN where nothing is."""
    there = ~np.isnan(values)
    if there.all():
        return np.asarray(values.mean(axis=axis, dtype=np.float64))
    total, count = np.nansum(values, axis=axis, dtype=np.float64), there.sum(axis=axis)
    return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0)


def _area_mean(values: np.ndarray, weights: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Mean over the cells that are ``there``; NaN where none is. A NaN among them makes the mean one."""
    axes = tuple(range(-weights.ndim, 0))
    if there.all():
        return np.asarray((values * weights).mean(axis=axes) / weights.mean())
    total, area = np.where(there, values * weights, 0.0).sum(axis=axes), (there * weights).sum(axis=axes)
    return np.divide(total, area, out=np.full_like(total, np.nan), where=area > 0)
