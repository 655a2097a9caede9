"""Dates that xarray cannot decode, dates in another calendar, and even stretches of uneven times."""

from __future__ import annotations

import datetime
import re
from typing import Any

import cftime
import numpy as np
import xarray as xr

from gridvit.data.times import TOLERANCE, add_months, epoch_seconds, month_steps
from gridvit.errors import InputError

UNITS = re.compile(r"\s*(\w+?)s?\s+since\s+(-?\d+)-(\d+)-(\d+)(?:[T ]+(\d+):(\d+)(?::(\d+(?:\.\d*)?))?)?")
MONTHS = {"month": 1, "mon": 1, "common_year": 12, "year": 12, "yr": 12}


def in_calendar(times: np.ndarray, calendar: str) -> np.ndarray:
    """The same year, month, day and hour in another calendar; dates that it lacks are refused."""
    if times.dtype.kind in "fiu":
        return times
    stamps = times.astype("datetime64[us]").astype(datetime.datetime) if times.dtype.kind == "M" else times
    try:
        read = [cftime.datetime(*_stamp(t), calendar=calendar) for t in stamps]
    except ValueError as error:
        raise InputError(
            f"dates that the calendar {calendar!r} has", str(error), "choose another calendar"
        ) from None
    if calendar in ("standard", "gregorian", "proleptic_gregorian") and all(
        1678 < t.year < 2262 for t in stamps
    ):
        return np.array([t.isoformat() for t in read], dtype="datetime64[ns]")
    return np.array(read, dtype=object)


def _stamp(time: Any) -> tuple[int, ...]:
    return time.year, time.month, time.day, time.hour, time.minute, time.second, time.microsecond


def decoded(ds: xr.Dataset, source: str) -> xr.Dataset:
    """A dataset opened without decoding, its dates read as xarray does or, where it cannot, by ``decode``.

    Raises:
        InputError: fractions of months, units that are no time, a calendar that is none.
    """
    for name, variable in list(ds.variables.items()):
        units = str(variable.attrs.get("units", ""))
        if " since " not in units:
            continue
        calendar = str(variable.attrs.get("calendar", "standard"))
        attrs = {key: v for key, v in variable.attrs.items() if key not in ("units", "calendar")}
        times = decode(np.asarray(variable.values, dtype=np.float64).ravel(), units, calendar, source)
        shaped = np.empty(times.shape, dtype=times.dtype)
        shaped[:] = times
        new = xr.Variable(variable.dims, shaped.reshape(variable.shape), attrs)
        ds = ds.assign_coords({name: new}) if name in ds.coords else ds.assign({name: new})
    return ds


def decode(
    numbers: np.ndarray, units: str, calendar: str = "standard", source: str = "the file"
) -> np.ndarray:
    """Dates of ``numbers`` in ``units`` since a date; whole months and years go by the calendar.

    Dates in or before the year 0, as of a climatology, are read in the proleptic Gregorian calendar with a year 0
    where no other calendar is stated. Parts of a month have no fixed length and are refused.
    """
    found = UNITS.match(units)
    if not found:
        raise _undated(units, source)
    year, month, day = (int(found[i]) for i in (2, 3, 4))
    at = {"hour": int(found[5] or 0), "minute": int(found[6] or 0), "second": int(float(found[7] or 0))}
    standard = calendar.lower() in ("standard", "gregorian", "none", "")
    kind = "proleptic_gregorian" if standard and year <= 0 else calendar.lower()
    try:
        start = cftime.datetime(year, month, day, **at, calendar=kind, has_year_zero=True)
        if found[1].lower() in MONTHS:
            if not np.array_equal(numbers, np.round(numbers)):
                raise _undated(units, source)
            length = MONTHS[found[1].lower()]
            dates = np.array([add_months(start, int(n) * length) for n in numbers], dtype=object)
        else:
            rest = units.partition("since")
            text = f"{rest[0]}since {start.isoformat().replace('T', ' ')}"
            dates = np.asarray(cftime.num2date(numbers, text, calendar=kind, has_year_zero=True))
    except (ValueError, OverflowError):
        raise _undated(units, source) from None
    if standard and all(1678 < t.year < 2262 for t in dates):
        return np.array([t.isoformat() for t in dates], dtype="datetime64[ns]")
    return dates


def _undated(units: str, source: str) -> InputError:
    return InputError(
        "times that can be read as dates",
        f"units {units!r} in {source}",
        "rewrite them as hours or days since a date of the file's calendar",
    )


def regular_stretch(times: np.ndarray) -> slice:
    """The longest run of times in equal steps (fixed, or of calendar months); the first where two are as long."""
    if len(times) < 2:
        return slice(0, len(times))
    seconds = epoch_seconds(times)
    steps = np.diff(seconds)
    longest = _longest_run(np.round(steps / (TOLERANCE * max(np.abs(steps).max(), 1e-30)), 0), steps > 0)
    if times.dtype.kind not in "fiu" and (steps > 0).all():
        months = month_steps(times, seconds)
        if months is not None:
            by_month = _longest_run(months.astype(np.float64), steps > 0)
            longest = max(longest, by_month, key=lambda run: run.stop - run.start)
    return longest


def _longest_run(steps: np.ndarray, ascends: np.ndarray) -> slice:
    """Times whose steps, one fewer, are equal and ascend."""
    best, first = slice(0, 1), 0
    for i in range(len(steps)):
        if not ascends[i]:
            first = i + 1
        elif i > first and steps[i] != steps[i - 1]:
            first = i
        if ascends[i] and i + 2 - first > best.stop - best.start:
            best = slice(first, i + 2)
    return best


def month_starts(times: np.ndarray, name: str = "time") -> np.ndarray:
    """The first of the month of each date; `InputError` where the axis holds no dates."""
    if times.dtype.kind == "M":
        return times.astype("datetime64[M]").astype("datetime64[ns]")
    if times.dtype != object:
        raise InputError(f"dates along {name!r} for irregular: months", "numbers", "choose irregular: frames")
    start = {"day": 1, "hour": 0, "minute": 0, "second": 0, "microsecond": 0}
    return np.array([t.replace(**start) for t in times], dtype=object)
