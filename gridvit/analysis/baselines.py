"""Forecasts that a model must beat: damped persistence and climatology.

Each is fitted on the train part alone, ``(sample, time, variable, *space)`` in the variables' own units, and
then forecasts ``(case, lead, variable, *space)``. Persistence itself is a ``Step``. Missing values (NaN) do not
enter; a cell that the train part never has is NaN in the forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from gridvit.analysis.skill import area_weights, mean_present
from gridvit.errors import InputError
from gridvit.grid import Grid

_DAYS_PER_YEAR = 365.2425
_HARMONICS = 2

Fields = Float[np.ndarray, "sample time variable *space"]


@dataclass(frozen=True, eq=False)
class DampedPersistence:
    r"""``u(t + L) = m + a_L (u(t) - m)``: one factor per lead and variable about the mean of each cell.

    On an AR(1) process ``x' = phi x + noise`` the factor is ``phi^L``.

    Args:
        mean: ``m (variable, *space)``, the train part's mean.
        factor: ``a (lead, variable)``.
    """

    mean: Float[np.ndarray, "variable *space"]
    factor: Float[np.ndarray, "lead variable"]

    @classmethod
    def fit(cls, train: Fields, leads: Sequence[int], grid: Grid) -> DampedPersistence:
        """``a_L = sum w x'(t) x'(t + L) / sum w x'(t)^2``, areas ``w`` as weights; leads in time steps."""
        check_leads(train, leads)
        mean = mean_present(train, (0, 1))
        anomaly = train - mean
        weighted = anomaly * area_weights(grid)
        return cls(mean, np.stack([_regression(weighted, anomaly, lead) for lead in leads]))

    def filled(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case variable *space"]:
        """``start`` with the mean of the cell where it is missing; the same array where nothing is."""
        return (
            np.where(np.isnan(start), self.mean, start).astype(start.dtype)
            if np.isnan(start).any()
            else start
        )

    def __call__(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """Forecasts from each start, one per fitted lead."""
        factor = self.factor.reshape(*self.factor.shape, *(1,) * (self.mean.ndim - 1))
        return self.mean + factor * (self.filled(start) - self.mean)[:, None]


@dataclass(frozen=True, eq=False)
class Climatology:
    r"""``u(t) = b_hour(t) + sum_n (p_n cos n y(t) + q_n sin n y(t))`` in each cell, ``y`` the year's phase.

    The mean of each hour of the day; the annual cycle (two harmonics: a mean for every day would remember
    one year's weather) only where the train part spans a year. Times without a calendar have one mean.
    ``name`` says which.

    Args:
        coefficients: ``(term, variable, *space)``.
        hours: hours of the day that were seen; empty without a calendar.
        annual: whether there is an annual cycle.
    """

    coefficients: Float[np.ndarray, "term variable *space"]
    hours: Float[np.ndarray, "hour"]
    annual: bool

    @classmethod
    def fit(cls, train: Fields, times: Shaped[np.ndarray, "time"]) -> Climatology:
        """Least squares in each cell over the times that it has; datetime64, cftime dates or plain numbers."""
        hours, days = _calendar(times)
        annual = bool(len(days)) and _span_days(times) >= 365.0
        seen, counts = np.unique(hours, return_counts=True)
        if (
            len(counts) and counts.min() < 2
        ):  # not a whole day of hours, or one day of them: no mean of an hour
            seen = seen[:0]
        design = _terms(hours, days, seen, annual, len(times))
        if np.isnan(train).any():
            return cls(_gappy_fit(design, train), seen, annual)
        mean = train.mean(axis=0, dtype=np.float64)
        solution = np.linalg.lstsq(design, mean.reshape(len(mean), -1), rcond=None)[0]
        return cls(solution.reshape(-1, *mean.shape[1:]), seen, annual)

    @property
    def name(self) -> str:
        """What it resolves, for tables: ``"climatology (hour of day)"``."""
        parts = ["day of year"] * self.annual + ["hour of day"] * (len(self.hours) > 1)
        return f"climatology ({' and '.join(parts) or 'time mean'})"

    def at(self, times: Shaped[np.ndarray, "time"]) -> Float[np.ndarray, "time variable *space"]:
        """The climatology at each time; an hour of the day that was never seen is refused."""
        hours, days = _calendar(times)
        unseen = np.setdiff1d(hours, self.hours)
        if len(self.hours) and len(unseen):
            expected = f"one of the hours {self.hours.tolist()} of the train part"
            raise InputError(expected, f"{unseen[0]:g} h", "train on every hour that is forecast")
        design = _terms(hours, days, self.hours, self.annual, len(times))
        return np.tensordot(design, self.coefficients, axes=1)

    def __call__(
        self, valid: Shaped[np.ndarray, "case lead"]
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """The forecasts that it makes for each valid time."""
        flat = self.at(valid.ravel())
        return flat.reshape(*valid.shape, *flat.shape[1:])


def _gappy_fit(
    design: Float[np.ndarray, "time term"], train: Float[np.ndarray, "sample time *cells"]
) -> Float[np.ndarray, "term *cells"]:
    """Normal equations of each cell, of least norm; NaN in a cell that has no values."""
    count = (~np.isnan(train)).sum(axis=0).reshape(len(design), -1).astype(np.float64)
    total = np.nansum(train, axis=0, dtype=np.float64).reshape(len(design), -1)
    squares = np.einsum("tc,tk,tl->ckl", count, design, design, optimize=True)
    products = np.einsum("tc,tk->ck", total, design)
    solution = np.einsum("ckl,cl->kc", np.linalg.pinv(squares, rcond=1e-10, hermitian=True), products)
    solution[:, ~count.any(axis=0)] = np.nan
    return solution.reshape(-1, *train.shape[2:])


def _regression(weighted: np.ndarray, anomaly: np.ndarray, lead: int) -> np.ndarray:
    """``sum w x(t) x(t + lead) / sum w x(t)^2`` per variable."""
    early, late = weighted[:, : anomaly.shape[1] - lead], anomaly[:, lead:]
    axes = (0, 1, *range(3, anomaly.ndim))
    product, square = early * late, early * anomaly[:, : anomaly.shape[1] - lead]
    missing = np.isnan(product)
    if missing.any():
        product, square = np.where(missing, 0.0, product), np.where(missing, 0.0, square)
    power = square.sum(axis=axes)
    if not power.all():
        raise InputError("variables that change in time", "a constant one", "leave it out")
    return product.sum(axis=axes) / power


def check_leads(fields: np.ndarray, leads: Sequence[int]) -> None:
    """Refuse leads that reach beyond ``(sample, time, ...)`` fields."""
    if not len(leads) or min(leads) < 1 or max(leads) >= fields.shape[1]:
        got = f"{list(leads)}"
        raise InputError(
            f"leads of 1 to {fields.shape[1] - 1} steps", got, "shorten the leads or lengthen the part"
        )


def _terms(hours: np.ndarray, days: np.ndarray, seen: np.ndarray, annual: bool, n: int) -> np.ndarray:
    """The columns ``(n, term)`` of the climatology at ``n`` times."""
    table = (hours[:, None] == seen).astype(float) if len(seen) else np.ones((n, 1))
    if not annual:
        return table
    phase = 2 * np.pi * days[:, None] / _DAYS_PER_YEAR * np.arange(1, _HARMONICS + 1)
    return np.concatenate([table, np.cos(phase), np.sin(phase)], axis=1)


def _calendar(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Hour of the day and days since new year; empty for plain numbers."""
    if times.dtype.kind == "M":
        hour = (times - times.astype("datetime64[D]")) / np.timedelta64(1, "h")
        return hour, (times - times.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    if times.dtype.kind != "O":
        return np.empty(0), np.empty(0)
    hour = np.array([t.hour + t.minute / 60 + t.second / 3600 for t in times])
    return hour, np.array([t.dayofyr - 1 for t in times]) + hour / 24


def _span_days(times: np.ndarray) -> float:
    """From the first to the last time and one step more."""
    step, span = times[-1] - times[-2], times[-1] - times[0]
    return (
        float((span + step) / np.timedelta64(1, "D"))
        if times.dtype.kind == "M"
        else (span + step).total_seconds() / 86400
    )
