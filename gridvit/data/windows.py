"""Which part of the data trains, validates and tests, and the windows inside a part."""

from __future__ import annotations

import datetime
import re
from itertools import combinations, pairwise
from typing import Any

import numpy as np
from jaxtyping import Int

from gridvit.config import Bounds, Split
from gridvit.data.fields import Fields
from gridvit.errors import InputError

PARTS = ("train", "validate", "test")


def resolve(split: Split, fields: Fields, n_steps: int = 1) -> tuple[str, dict[str, slice]]:
    """The axis that is split and the slice of each part along it.

    Whole numbers are indices ``[first, last)`` of model steps (after the stride) or samples; where one of a
    pair is a fraction, both are: index = floor(share * n + 1/2), so parts that meet in a fraction meet in
    an index. "auto" splits by sample where there is more than one, else by time; members of an ensemble share
    their weather, so they are split by time alone.

    Dates and years bound a part as dates do in xarray: both ends are in it. Between parts along time ``split.gap``
    steps are left out, from the beginning of the later part.

    Args:
        split: the bounds of the three parts.
        fields: what is split.
        n_steps: steps of the longest window that each part must hold.

    Raises:
        InputError: a split by members, bounds outside the data, parts that overlap (the test would leak into
            training), a part too short for one window.
    """
    along = _along(split, fields)
    total = fields.n_samples if along == "sample" else fields.n_times
    dates = {name: _dated(name, getattr(split, name), fields, along) for name in PARTS}
    parts = {name: _bounds(name, dates[name], total, along) for name in PARTS}
    for first, second in combinations(PARTS, 2):
        _refuse_overlap(first, parts[first], second, parts[second], along)
    parts = _apart(parts, split.gap) if along == "time" else parts
    for name, part in parts.items():
        _refuse_short(name, part, along, fields.n_times, n_steps)
    return along, parts


def _along(split: Split, fields: Fields) -> str:
    members = fields.layout.members
    if members and split.along == "sample":
        raise InputError(
            f"split.along auto or time where members along {fields.layout.sample!r} are samples",
            "sample: they share their weather (leakage)",
            "set split.along to time",
        )
    if split.along != "auto":
        return split.along
    return "sample" if fields.n_samples > 1 and not members else "time"


def partition(split: Split, fields: Fields, n_steps: int = 1) -> dict[str, Fields]:
    """The fields of each part, "train", "validate" and "test"; raises as ``resolve`` does."""
    along, parts = resolve(split, fields, n_steps)
    return {name: fields.select(part, along) for name, part in parts.items()}


def windows(fields: Fields, n_steps: int = 1) -> Int[np.ndarray, "window 2"]:
    """All (sample, start) such that start, ..., start + n_steps lie inside ``fields`` (one part of the data).

    There are S (T - n_steps) of them, sample by sample. A window never straddles samples, nor parts,
    because a part holds no step of another.

    Raises:
        InputError: the part is shorter than one window.
    """
    starts = fields.n_times - n_steps
    if n_steps < 1 or starts < 1:
        raise InputError(
            f"from 1 to {fields.n_times - 1} steps in a window of {fields.n_times} times",
            str(n_steps),
            "take fewer steps or a longer part",
        )
    sample, start = np.divmod(np.arange(fields.n_samples * starts), starts)
    return np.stack([sample, start], axis=-1)


def _dated(name: str, bounds: Bounds, fields: Fields, along: str) -> tuple[int | float, int | float]:
    """Dates as indices: the first time in or after ``first``, and the one after the last time in ``last``."""
    first, last = bounds
    if not isinstance(first, str) and not isinstance(last, str):
        return _years(name, first, last, fields) if along == "time" and fields.step.dates else (first, last)
    if not isinstance(first, str) or not isinstance(last, str) or along != "time" or not fields.step.dates:
        raise InputError(
            f"two dates, or none, for the {name} part of a split along dated time",
            f"{first} to {last} along {along}",
            "give both as dates, or whole step numbers",
        )
    return _between(_prefix(name, first), _prefix(name, last), fields)


def _years(
    name: str, first: int | float, last: int | float, fields: Fields
) -> tuple[int | float, int | float]:
    """Whole numbers that are years of the data, and cannot be step numbers, as the steps of those years."""
    start, end = (_stamp(fields.times[n])[0] for n in (0, -1))
    if isinstance(first, float) or isinstance(last, float) or not start <= first <= last <= end:
        return first, last
    if last > fields.n_times or first == last:
        return _between((first,), (last,), fields)
    steps = ["{:04d}-{:02d}-{:02d}T{:02d}:{:02d}".format(*_stamp(fields.times[n])) for n in (first, last - 1)]
    raise InputError(
        f"years or step numbers of the {name} part that are not both",
        f"{first} to {last}, years of the data and among its {fields.n_times} steps",
        f'write "{first:04d}-01" to "{last:04d}-12" for the years, "{steps[0]}" to "{steps[1]}" for the steps',
    )


def _between(low: tuple[int, ...], high: tuple[int, ...], fields: Fields) -> tuple[int, int]:
    """Index of the first time in or after ``low``, and of the one after the last in ``high``, (year, month, ...)."""
    stamps = [_stamp(time) for time in fields.times]
    before = sum(stamp[: len(low)] < low for stamp in stamps)
    return before, sum(stamp[: len(high)] <= high for stamp in stamps)


def _prefix(name: str, text: str) -> tuple[int, ...]:
    """(year, month, ...) as far as the text goes; a bare year would be a step number in a YAML file."""
    found = re.fullmatch(r"(\d{4})-(\d\d?)(?:-(\d\d?)(?:[T ](\d\d)(?::(\d\d))?)?)?", text)
    if not found:
        raise InputError(
            f"a date of the {name} part like 1981-06, 1981-06-30 or 1981-06-30T12", repr(text), "correct it"
        )
    return tuple(int(part) for part in found.groups() if part is not None)


def _stamp(time: Any) -> tuple[int, ...]:
    if isinstance(time, np.datetime64):
        time = time.astype("datetime64[s]").astype(datetime.datetime)
    return time.year, time.month, time.day, time.hour, time.minute


def _apart(parts: dict[str, slice], gap: int) -> dict[str, slice]:
    """Each part begins at least ``gap`` steps after the end of the one before it in time."""
    ordered = sorted(parts, key=lambda name: parts[name].start)
    apart = {ordered[0]: parts[ordered[0]]}
    for before, name in pairwise(ordered):
        start = max(parts[name].start, parts[before].stop + gap)
        apart[name] = slice(min(start, parts[name].stop), parts[name].stop)
    return {name: apart[name] for name in parts}


def _bounds(name: str, bounds: tuple[int | float, int | float], total: int, along: str) -> slice:
    first, last = bounds
    shares = any(isinstance(b, float) for b in bounds) and max(bounds) <= 1
    if shares:
        first, last = (int(np.floor(b * total + 0.5)) for b in bounds)
    if not (float(first).is_integer() and float(last).is_integer() and 0 <= first < last <= total):
        raise InputError(
            f"two ascending bounds of the {name} part within the {total} steps along {along}",
            f"{bounds[0]} to {bounds[1]}" + (f", which is {first} to {last}" if shares else ""),
            "give whole step numbers, fractions from 0 to 1, dates like 1981-06 or years that leave it a step",
        )
    return slice(int(first), int(last))


def _refuse_overlap(first: str, a: slice, second: str, b: slice, along: str) -> None:
    shared = min(a.stop, b.stop) - max(a.start, b.start)
    if shared > 0:
        raise InputError(
            "parts that do not overlap",
            f"{shared} steps along {along} in both {first} and {second} (leakage)",
            f"let {second} begin where {first} ends",
        )


def _refuse_short(name: str, part: slice, along: str, times: int, n_steps: int) -> None:
    length = part.stop - part.start if along == "time" else times
    if length < n_steps + 1:
        raise InputError(
            f"at least {n_steps + 1} times in the {name} part for a window of {n_steps} steps",
            str(length),
            "make the part longer, or forecast fewer steps",
        )
