"""Which part of the data trains, validates and tests, and the windows inside a part."""

from __future__ import annotations

from itertools import combinations

import numpy as np
from jaxtyping import Int

from gridvit.config import Split
from gridvit.data.fields import Fields
from gridvit.errors import InputError

PARTS = ("train", "validate", "test")


def resolve(split: Split, fields: Fields, n_steps: int = 1) -> tuple[str, dict[str, slice]]:
    """The axis that is split and the slice of each part along it.

    Whole numbers are indices ``[first, last)`` of model steps (after the stride) or samples; where one of a
    pair is a fraction, both are: index = floor(share * n + 1/2), so parts that meet in a fraction meet in
    an index. "auto" splits by sample where there is more than one, else by time.

    Args:
        split: the bounds of the three parts.
        fields: what is split.
        n_steps: steps of the longest window that each part must hold.

    Raises:
        InputError: bounds outside the data, parts that overlap (the test would leak into training), a part
            too short for one window.
    """
    along = split.along if split.along != "auto" else ("sample" if fields.n_samples > 1 else "time")
    total = fields.n_samples if along == "sample" else fields.n_times
    parts = {name: _bounds(name, getattr(split, name), total, along) for name in PARTS}
    for first, second in combinations(PARTS, 2):
        _refuse_overlap(first, parts[first], second, parts[second], along)
    for name, part in parts.items():
        _refuse_short(name, part, along, fields.n_times, n_steps)
    return along, parts


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


def _bounds(name: str, bounds: tuple[int | float, int | float], total: int, along: str) -> slice:
    first, last = bounds
    shares = any(isinstance(b, float) for b in bounds) and max(bounds) <= 1
    if shares:
        first, last = (int(np.floor(b * total + 0.5)) for b in bounds)
    if not (float(first).is_integer() and float(last).is_integer() and 0 <= first < last <= total):
        raise InputError(
            f"two ascending bounds of the {name} part within the {total} steps along {along}",
            f"{bounds[0]} to {bounds[1]}" + (f", which is {first} to {last}" if shares else ""),
            "give whole step numbers, or fractions from 0 to 1, that leave it at least one step",
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
