"""The time axis: one regular step, fixed or by calendar months, over dates, cftime dates or plain numbers."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import cftime
import numpy as np

from gridvit.errors import InputError

EPOCH = "seconds since 1970-01-01"
HOUR = 3600.0
SHORTEST_MONTH = 28 * 86400.0  # seconds; a shorter step cannot be a calendar step
MONTH_TOLERANCE = 3  # days: month ends run from 28 to 31, and month middles from 14 to 16
_SAME_CALENDAR = {"gregorian": "standard", "proleptic_gregorian": "standard"}  # since 1582
TOLERANCE = 1e-3  # of a step; files that store hours as float32 are off by less


@dataclass(frozen=True)
class TimeStep:
    """t(n + 1) = t(n) + seconds, or the same day ``months`` calendar months later.

    seconds: length of the step; the mean length of a calendar step; on a plain-number axis, in its own
        ``unit``.
    months:  calendar months in a step, 0 for a step of fixed length.
    unit:    "s" on an axis of dates, else the unit of the plain numbers ("1" where the file names none).
    dates:   whether the axis holds dates.
    calendar: of the dates.
    """

    seconds: float
    months: int = 0
    unit: str = "s"
    dates: bool = True
    calendar: str = "standard"

    def after(self, time: Any, steps: int) -> Any:
        """The time ``steps`` steps after ``time``; a day that its month lacks becomes the last."""
        if not self.dates:
            return float(time) + steps * self.seconds
        if self.months:
            return add_months(time, steps * self.months)
        if isinstance(time, np.datetime64):
            return time + np.timedelta64(round(steps * self.seconds * 1e9), "ns")
        return time + datetime.timedelta(microseconds=round(steps * self.seconds * 1e6))

    def leads(self, steps: Sequence[int]) -> tuple[np.ndarray, str]:
        """Numbers of steps as lead times, float64, and their unit: hours, months, or that of the plain numbers."""
        numbers = np.array(steps, dtype=np.float64)
        if self.months:
            return numbers * self.months, "months"
        return (numbers * self.seconds / HOUR, "h") if self.dates else (numbers * self.seconds, self.unit)

    def refuse_other(self, times: np.ndarray, name: str) -> None:
        """Each of ``times``, as ``canonical`` gives them, must be a step after the one before it.

        Raises:
            InputError: the first that is not, along the axis ``name``.
        """
        seconds = epoch_seconds(times)
        steps = np.diff(seconds)
        largest = 0.0 if self.dates else float(np.abs(seconds).max(initial=0.0))
        good = np.abs(steps - self.seconds) <= _slack(self.seconds, largest)
        if self.months and len(steps) and steps.min() >= SHORTEST_MONTH:
            months = month_steps(times, seconds)
            good = np.zeros(len(steps), bool) if months is None else months == self.months
        if not good.all():
            bad = int(np.flatnonzero(~good)[0])
            raise InputError(
                f"times in steps of {self} along {name!r}",
                f"{_show(times[bad + 1])} after {_show(times[bad])}",
                "set data.stride, or select every so many times of the file",
            )

    def refuse_other_calendar(self, times: np.ndarray) -> None:
        """Seconds since 1970 mean the same date in one calendar alone.

        Raises:
            InputError: dates in another calendar.
        """
        ours, theirs = (_SAME_CALENDAR.get(c, c) for c in (self.calendar, calendar_of(times)))
        if self.dates and ours != theirs:
            raise InputError(
                f"dates in the calendar of the model, {self.calendar!r}",
                repr(calendar_of(times)),
                "convert them (xarray's convert_calendar), or train on this calendar",
            )

    def strided(self, stride: int) -> TimeStep:
        """The step that takes every ``stride``-th time."""
        return replace(self, seconds=self.seconds * stride, months=self.months * stride)

    def __str__(self) -> str:
        """``6 h``, ``1 month`` or ``0.05 s``, for people."""
        if self.months:
            return _months(self.months)
        if not self.dates:
            return f"{self.seconds:g}" if self.unit == "1" else f"{self.seconds:g} {self.unit}"
        return _readable(self.seconds)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> TimeStep:
        """The inverse of ``to_dict``."""
        return cls(**fields)


def calendar_of(times: np.ndarray) -> str:
    """Of dates; "standard" for those of NumPy and for plain numbers."""
    return str(times[0].calendar) if times.dtype == object and len(times) else "standard"


def _months(months: float | int) -> str:
    return f"{months:g} month{'s' if months != 1 else ''}"


def _readable(seconds: float | int) -> str:
    for length, unit, longest in ((86400.0, "d", np.inf), (3600.0, "h", 72.0), (60.0, "min", 90.0)):
        if (seconds / length).is_integer() and 1 <= seconds / length <= longest:
            return f"{seconds / length:g} {unit}"
    return f"{seconds / 86400:g} d" if seconds > 86400 else f"{seconds:g} s"


def canonical(times: np.ndarray, name: str = "time") -> np.ndarray:
    """Times as datetime64[ns], cftime objects or float64; `InputError` where one is missing."""
    if times.dtype.kind == "M":
        return _nanoseconds(times, name)
    if times.dtype.kind == "m":
        return np.asarray(times / np.timedelta64(1, "s"), dtype=np.float64)
    if times.dtype == object and all(isinstance(t, cftime.datetime) for t in times):
        return times
    if times.dtype.kind not in "fiu":
        raise InputError(
            f"dates or numbers on the time axis {name!r}", f"{times.dtype} values", "decode it to dates first"
        )
    numbers = times.astype(np.float64)
    if not np.isfinite(numbers).all():
        raise InputError(f"a number at every step of {name!r}", "missing values in it", "drop those steps")
    return numbers


def _nanoseconds(times: np.ndarray, name: str) -> np.ndarray:
    exact = times.astype("datetime64[ns]")
    if np.isnat(times).any():
        raise InputError(f"a date at every step of {name!r}", "missing dates in it", "drop those steps")
    if (exact.astype(times.dtype) != times).any():
        raise InputError(
            f"dates from 1678 to 2262 on the axis {name!r}",
            f"{times.min()} to {times.max()}",
            "decode the file with cftime dates (xr.coders.CFDatetimeCoder(use_cftime=True))",
        )
    return exact


def epoch_seconds(times: np.ndarray) -> np.ndarray:
    """Seconds since 1970-01-01 (float64) in the calendar of the dates; plain numbers as they are."""
    if times.dtype.kind == "M":
        return (times - np.datetime64(0, "s")) / np.timedelta64(1, "s")
    if times.dtype == object:
        return np.asarray(cftime.date2num(times, EPOCH, calendar=times[0].calendar), dtype=np.float64)
    return times.astype(np.float64)


def find_step(times: np.ndarray, unit: str = "1", name: str = "time") -> TimeStep:
    """The one step of a regular time axis, t(n + 1) - t(n) for all n, or so many calendar months.

    Args:
        times: (T,) as ``canonical`` gives them.
        unit: of plain numbers.
        name: of the axis, for the errors.

    Raises:
        InputError: one step only, times out of order, repeated, or unevenly spaced; the first bad time is
            named.
    """
    if len(times) < 2:
        raise InputError(
            f"at least two time steps along {name!r}",
            str(len(times)),
            "join several files, path: folder/*.nc, or give a longer one",
        )
    seconds = epoch_seconds(times)
    _refuse_unordered(times, np.diff(seconds), name)
    dates = times.dtype.kind not in "fiu"
    months = _calendar_months(times, seconds) if dates else 0
    if not months:
        _refuse_uneven(times, seconds, name)
    length = float(seconds[-1] - seconds[0]) / (len(times) - 1)
    return TimeStep(length, months, "s" if dates else unit, dates, calendar_of(times))


def _refuse_unordered(times: np.ndarray, steps: np.ndarray, name: str) -> None:
    bad = np.flatnonzero(steps <= 0)
    if bad.size:
        first = bad[0] + 1
        what = "is repeated" if steps[bad[0]] == 0 else "is earlier than the step before it"
        sort = "sort the file by time and drop repeated steps"
        raise InputError(
            f"times that ascend along {name!r}",
            f"{_show(times[first])} at index {first}, which {what}",
            sort if np.any(steps) else "choose irregular: frames, which counts them",
        )


def _refuse_uneven(times: np.ndarray, seconds: np.ndarray, name: str) -> None:
    steps = np.diff(seconds)
    usual = float(np.sort(steps)[len(steps) // 2])
    dates = times.dtype.kind not in "fiu"
    bad = np.flatnonzero(
        np.abs(steps - usual) > _slack(usual, 0.0 if dates else float(np.abs(seconds).max()))
    )
    if not bad.size:
        return
    months = month_steps(times, seconds) if dates else None
    if months is not None:
        typical = int(np.sort(months)[len(months) // 2])
        _refuse_step(int(np.flatnonzero(months != typical)[0]), months, typical, times, name)
    _refuse_step(int(bad[0]), steps, usual, times, name)


def _refuse_step(bad: int, steps: np.ndarray, usual: float | int, times: np.ndarray, name: str) -> None:
    """Say how long the ``bad``-th step is (whole numbers are months) and which time it leads to."""
    shown = "{:g}".format if times.dtype.kind in "fiu" else _months if steps.dtype.kind == "i" else _readable
    raise InputError(
        f"equal steps of {shown(usual)} along {name!r}",
        f"{shown(steps[bad].item())} before {_show(times[bad + 1])} (index {bad + 1})",
        "fill the gap, or choose irregular: longest (the longest even stretch) or irregular: frames "
        "(time counted in frames)",
    )


def _slack(usual: float, largest: float) -> float:
    """Numbers once stored as float32 far from zero are only as even as their rounding."""
    rounding = 4 * float(np.finfo(np.float32).eps) * largest
    return max(TOLERANCE * usual, min(rounding, 0.1 * usual))


def _show(time: Any) -> str:
    if isinstance(time, np.datetime64):
        return str(time.astype("datetime64[s]"))
    return f"{time:g}" if isinstance(time, float) else str(time)


def _calendar_months(times: np.ndarray, seconds: np.ndarray) -> int:
    """Months per step if every step advances equally many; else 0.

    The same day each month is always a calendar step (two of 31 days would pass for a fixed one); days that
    wander, as the middles and ends of months do, make one only where the fixed step fails.
    """
    steps = month_steps(times, seconds)
    if steps is None or steps.min() != steps.max():
        return 0
    fixed = np.ptp(np.diff(seconds)) <= TOLERANCE * np.diff(seconds).min()
    return 0 if fixed and np.ptp(_month_and_day(times)[1]) > 0 else int(steps[0])


def month_steps(times: np.ndarray, seconds: np.ndarray) -> np.ndarray | None:
    """Months from each time to the next, where days of the month agree to ``MONTH_TOLERANCE``; else None."""
    if np.diff(seconds).min() < SHORTEST_MONTH:
        return None
    month, day = _month_and_day(times)
    return np.diff(month) if np.ptp(day) <= MONTH_TOLERANCE and np.diff(month).min() > 0 else None


def _month_and_day(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Months since year 0, and the day of the month with its fraction."""
    if times.dtype == object:
        month = np.array([12 * t.year + t.month - 1 for t in times])
        day = np.array([t.day + (t.hour * 3600 + t.minute * 60 + t.second) / 86400 for t in times])
        return month, day
    start = times.astype("datetime64[M]")
    return start.astype(np.int64), 1 + (times - start.astype(times.dtype)) / np.timedelta64(1, "D")


def add_months(time: Any, months: int) -> Any:
    if isinstance(time, np.datetime64):
        return _add_months_datetime64(time, months)
    year, month = divmod(12 * time.year + time.month - 1 + months, 12)
    first = time.replace(year=year, month=month + 1, day=1)
    return first.replace(day=min(time.day, first.daysinmonth))


def _add_months_datetime64(time: np.datetime64, months: int) -> np.datetime64:
    start = time.astype("datetime64[M]")
    target = start + np.timedelta64(months, "M")
    day: Callable[[Any], Any] = lambda month: month.astype("datetime64[D]")  # noqa: E731
    length = day(target + np.timedelta64(1, "M")) - day(target)
    offset = min(day(time) - day(start), length - np.timedelta64(1, "D"))
    return day(target) + offset + (time - day(time))
