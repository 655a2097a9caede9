"""The mean of each time of day and year, in each cell: a forecast to beat, and what anomalies are from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from gridvit.errors import InputError

_DAYS_PER_YEAR = 365.2425
_HARMONICS = 2

Fields = Float[np.ndarray, "sample time variable *space"]


@dataclass(frozen=True, eq=False)
class Design:
    """x_k(t): one column of ones, or one for each hour of the day; then cos n y, sin n y, ``y`` the year's phase.

    Args:
        hours: hours of the day that were seen; empty without a calendar.
        annual: whether there is an annual cycle.
    """

    hours: Float[np.ndarray, "hour"]
    annual: bool

    @classmethod
    def of(cls, times: Shaped[np.ndarray, "time"]) -> Design:
        """What the times can tell: an annual cycle only where they span a year."""
        hours, days = _calendar(times)
        seen, counts = np.unique(hours, return_counts=True)
        if (
            len(counts) and counts.min() < 2
        ):  # not a whole day of hours, or one day of them: no mean of an hour
            seen = seen[:0]
        return cls(seen, bool(len(days)) and _span_days(times) >= 365.0)

    def __call__(self, times: Shaped[np.ndarray, "time"]) -> Float[np.ndarray, "time term"]:
        """The columns at those times."""
        return _terms(*_calendar(times), self.hours, self.annual, len(times))

    def solved(
        self, squares: Float[np.ndarray, "*cell term term"], products: Float[np.ndarray, "term cell"]
    ) -> Float[np.ndarray, "term cell"]:
        """Least squares by the normal equations, of least norm; NaN in a cell whose squares are zero.

        Args:
            squares: sum_t x_k x_l over the times with a value; the same in every cell, or of each.
            products: sum_t x_k u.
        """
        inverse = np.linalg.pinv(squares, rcond=1e-10, hermitian=True)
        if squares.ndim == 2:
            return inverse @ products
        solution = np.einsum("ckl,lc->kc", inverse, products)
        solution[:, ~squares.any(axis=(1, 2))] = np.nan
        return solution


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
        design = Design.of(times)
        x = design(times)
        count = (~np.isnan(train)).sum(axis=0).reshape(len(x), -1).astype(np.float64)
        products = x.T @ np.nansum(train, axis=0, dtype=np.float64).reshape(len(x), -1)
        complete = bool((count == len(train)).all())
        squares = len(train) * x.T @ x if complete else np.einsum("tc,tk,tl->ckl", count, x, x, optimize=True)
        solution = design.solved(squares, products)
        return cls(solution.reshape(-1, *train.shape[2:]), design.hours, design.annual)

    @property
    def name(self) -> str:
        """What it resolves, for tables: ``"climatology (hour of day)"``."""
        parts = ["day of year"] * self.annual + ["hour of day"] * (len(self.hours) > 1)
        return f"climatology ({' and '.join(parts) or 'time mean'})"

    def first(self, count: int) -> Climatology:
        """That of the first variables."""
        return Climatology(self.coefficients[:, :count], self.hours, self.annual)

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
