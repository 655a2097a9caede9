"""Forecasts that a model must beat: damped persistence and climatology.

Each is fitted on the train part alone, ``(sample, time, variable, *space)`` in the variables' own units, and
then forecasts ``(case, lead, variable, *space)``. Persistence itself is a ``Step``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from gridvit.analysis.skill import area_weights
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
        mean = train.mean(axis=(0, 1), dtype=np.float64)
        anomaly = train - mean
        weighted = anomaly * area_weights(grid)
        return cls(mean, np.stack([_regression(weighted, anomaly, lead) for lead in leads]))

    def __call__(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """Forecasts from each start, one per fitted lead."""
        factor = self.factor.reshape(*self.factor.shape, *(1,) * (self.mean.ndim - 1))
        return self.mean + factor * (start - self.mean)[:, None]


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
        """Least squares in each cell; ``times`` are datetime64, cftime dates or plain numbers."""
        hours, days = _calendar(times)
        annual = bool(len(days)) and _span_days(times) >= 365.0
        seen, counts = np.unique(hours, return_counts=True)
        if (
            len(counts) and counts.min() < 2
        ):  # not a whole day of hours, or one day of them: no mean of an hour
            seen = seen[:0]
        design = _terms(hours, days, seen, annual, len(times))
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


def _regression(weighted: np.ndarray, anomaly: np.ndarray, lead: int) -> np.ndarray:
    """``sum w x(t) x(t + lead) / sum w x(t)^2`` per variable."""
    early, late = weighted[:, : anomaly.shape[1] - lead], anomaly[:, lead:]
    axes = (0, 1, *range(3, anomaly.ndim))
    power = (early * anomaly[:, : anomaly.shape[1] - lead]).sum(axis=axes)
    if not power.all():
        raise InputError("variables that change in time", "a constant one", "leave it out")
    return (early * late).sum(axis=axes) / power


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
