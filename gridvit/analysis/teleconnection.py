"""Where a region's future shows before: maps of lagged correlation, regression and partial correlation towards it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Shaped

from gridvit.analysis.modes import eof_regression
from gridvit.analysis.significance import (
    correlate,
    correlation_p,
    effective_size_ar1,
    false_discovery,
    memory,
    moments,
    paired,
)
from gridvit.analysis.skill import area_weights, mean_present
from gridvit.climatology import Climatology
from gridvit.errors import InputError
from gridvit.grid import Grid


def anomalies(
    field: Float[np.ndarray, "time *cell"], times: Shaped[np.ndarray, "time"], trend: bool = True
) -> Float[np.ndarray, "time *cell"]:
    r"""``x'(t) = x(t) - c(day of year) - a t``: without the annual cycle and a straight line in each cell.

    Both by one least-squares fit to what is there. What two places share of season and warming correlates without
    either acting on the other. Missing values stay.

    Args:
        field: series in each cell.
        times: datetime64, cftime dates, or plain numbers (then a mean in place of the cycle).
        trend: whether to take the line off.
    """
    left = _without_cycle(field, times)
    if not trend:
        return left
    # Frisch and Waugh: the line is fitted jointly with the cycle where both sides are without it
    clock = np.linspace(-1.0, 1.0, len(field)).reshape(-1, *(1,) * (field.ndim - 1))
    line = _without_cycle(np.where(np.isnan(field), np.nan, clock), times)
    power = mean_present(line**2, (0,))
    slope = np.divide(mean_present(left * line, (0,)), power, out=np.zeros_like(power), where=power > 0)
    return left - slope * line


def region_mean(
    field: Float[np.ndarray, "time *cell"], region: Bool[np.ndarray, "*cell"], grid: Grid
) -> Float[np.ndarray, "time"]:
    r"""``I(t) = sum_{s in region} w x / sum_{s in region} w`` over the cells that are there; NaN where none is.

    Raises:
        InputError: a region without a cell.
    """
    if not region.any():
        raise InputError("a region with at least one cell", "none", "check its bounds against the grid")
    inside, w = field[:, region], grid.areas[region]
    area = (~np.isnan(inside) * w).sum(axis=1)
    return np.divide(np.nansum(inside * w, axis=1), area, out=np.full(len(field), np.nan), where=area > 0)


def regression(
    field: Float[np.ndarray, "time *cell"],
    series: Float[np.ndarray, "time"],
    axis: str = "field",
    lag: int = 0,
) -> Float[np.ndarray, "*cell"]:
    r"""``b = cov(series_{t+lag}, field_t) / var``, the variance of the regressor: of "field", or of "series".

    With "field" it says how much the series moves per unit of the field before it, with "series" what the field is
    like per unit of the series.
    """
    covariance, of_field, of_series = moments(*paired(series, field, lag))
    below = {"field": of_field, "series": of_series}[axis]
    return np.divide(covariance, below, out=np.full_like(below, np.nan), where=below > 0)


def partial_correlation(
    target: Float[np.ndarray, "time"], field: Float[np.ndarray, "time *cell"], lag: int, own: int = 1
) -> tuple[Float[np.ndarray, "*cell"], Float[np.ndarray, "*cell"]]:
    r"""``corr(I_{t+lag}, x_t | I_t, .., I_{t-own+1})`` and its effective number: what the target's own past leaves.

    Both sides are regressed on the own past, over the times that the cell has, and what remains is correlated. It
    removes the target's memory, not a common cause: a confounder still leaks.

    Args:
        target: ``I``, without missing values.
        field: ``x``.
        lag: steps from the field to the target, at least one.
        own: past values of the target.
    """
    n = len(target)
    if lag < 1 or own < 0 or n - lag - own < own + 4:
        raise InputError(
            "a lag of at least one step and a short own past",
            f"lag {lag} and {own} values of {n}",
            "shorten them",
        )
    now = np.arange(max(own - 1, 0), n - lag)
    past = np.stack([np.ones(len(now)), *(target[now - k] for k in range(own))], axis=1)
    flat = field[now].reshape(len(now), -1)
    r, size = np.full(flat.shape[1], np.nan), np.full(flat.shape[1], np.nan)
    whole = ~np.isnan(flat).any(axis=0)
    groups = [(slice(None), np.flatnonzero(whole))]
    groups += [(~np.isnan(flat[:, c]), np.array([c])) for c in np.flatnonzero(~whole)]
    for times, cells in groups:
        late, given = target[now + lag][times], past[times]
        if len(cells) and len(late) > own + 4:
            x, y = _left(flat[times][:, cells], given), _left(late, given)
            r[cells] = correlate(y, x, 0)
            size[cells] = effective_size_ar1(memory(x), memory(y), len(y))
    return r.reshape(field.shape[1:]), size.reshape(field.shape[1:])


def teleconnections(
    field: xr.DataArray,
    target: xr.DataArray,
    grid: Grid,
    leads: Sequence[int],
    *,
    own: int = 1,
    modes: int = 60,
    alpha: float = 0.05,
) -> xr.Dataset:
    r"""Maps of what precedes a region by each lead: the baselines that a trained model's maps must beat.

    Args:
        field: anomalies ``(time, *space)``; a cell that is never there (land) is NaN in every map.
        target: anomalies of the region, along the same time, without missing values.
        grid: of the field.
        leads: steps from the field to the target.
        own: past values of the target that the partial correlation takes off.
        modes: of the EOF regression; cells that are sometimes missing are filled by their mean
            there; 0 for no such map.
        alpha: of the false discovery rate, within each map, weighted by area.

    Returns:
        Along ``(lead, *space)``: ``correlation``, ``slope`` (units of the target per unit of the field),
        ``effective_size``, ``p`` and ``significant``; ``partial``, ``partial_p`` and ``partial_significant``;
        ``eof_regression``, per share of the total area.

    Raises:
        InputError: a field on another grid, or a target with missing values or of other times.
    """
    values, series = field.values.astype(np.float64), target.values.astype(np.float64)
    if values.shape[1:] != grid.shape or len(series) != len(values) or np.isnan(series).any():
        raise InputError(
            f"a field (time, {', '.join(map(str, grid.shape))}) and a whole series of the target along its times",
            f"{values.shape} and {series.shape} with {int(np.isnan(series).sum())} missing",
            "align them and fill the gaps of the target",
        )
    rows = [_maps(values, series, grid, lead, own, modes, alpha) for lead in leads]
    units = str(target.attrs.get("units", "1")), str(field.attrs.get("units", "1"))
    per = "1" if units[0] == units[1] else f"{units[0]} ({units[1]})-1"
    data = {
        name: (("lead", *grid.names), np.stack([row[name] for row in rows]), _LABELS[name] | {"units": unit})
        for name, unit in ((name, per if name in ("slope", "eof_regression") else "1") for name in rows[0])
    }
    lead = ("lead", np.array(leads), {"long_name": "steps from the field to the target", "units": "1"})
    return xr.Dataset(
        data, {"lead": lead, **grid.coords()}, {"alpha": alpha, "own_past": own, "modes": modes}
    )


_LABELS = {
    name: {"long_name": text}
    for name, text in {
        "correlation": "correlation with the target later",
        "slope": "regression of the target on the field before",
        "effective_size": "effective number of independent pairs",
        "p": "p-value of the correlation with the effective number",
        "significant": "whether the correlation passes the false discovery rate",
        "partial": "correlation with the target later given its own past",
        "partial_p": "p-value of the partial correlation with the effective number",
        "partial_significant": "whether the partial correlation passes the false discovery rate",
        "eof_regression": "gradient of the linear forecast in EOFs, per share of the area",
    }.items()
}


def _maps(
    values: np.ndarray, series: np.ndarray, grid: Grid, lead: int, own: int, modes: int, alpha: float
) -> dict[str, np.ndarray]:
    weights = area_weights(grid)
    early, late = paired(series, values, lead)
    r = correlate(series, values, lead)
    pairs = (~np.isnan(early)).sum(axis=0)
    size = effective_size_ar1(memory(early), memory(late), pairs)
    partial, partial_size = partial_correlation(series, values, lead, own)
    p, partial_p = correlation_p(r, size), correlation_p(partial, partial_size, own)
    found = {
        "correlation": r,
        "slope": regression(values, series, "field", lead),
        "effective_size": size,
        "p": p,
        "significant": false_discovery(p, alpha, weights),
        "partial": partial,
        "partial_p": partial_p,
        "partial_significant": false_discovery(partial_p, alpha, weights),
    }
    return found | ({"eof_regression": _eof_map(early, late, weights, modes)} if modes else {})


def _eof_map(early: np.ndarray, late: np.ndarray, weights: np.ndarray, modes: int) -> np.ndarray:
    """The regression over the cells that are ever there."""
    there = ~np.isnan(early).all(axis=0)
    inside = early[:, there]
    filled = np.where(np.isnan(inside), np.nanmean(inside, axis=0), inside)
    found = np.full(there.shape, np.nan)
    found[there] = eof_regression(filled, late, weights[there], min(modes, *(m - 1 for m in filled.shape)))
    return found


def _left(values: np.ndarray, given: np.ndarray) -> np.ndarray:
    """What least squares on ``given`` leaves."""
    return values - given @ np.linalg.lstsq(given, values, rcond=None)[0]


def _without_cycle(field: np.ndarray, times: np.ndarray) -> np.ndarray:
    flat = field.reshape(1, len(field), 1, -1)
    return (flat - Climatology.fit(flat, times).at(times))[0, :, 0].reshape(field.shape)
