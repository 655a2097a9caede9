"""Parts and windows, counted by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import cftime
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit.config import Split
from gridvit.data.fields import Fields, Variable
from gridvit.data.layout import Layout
from gridvit.data.times import TimeStep
from gridvit.data.windows import PARTS, partition, resolve, windows
from gridvit.errors import InputError
from gridvit.grid import Grid


def make(samples: int, times: int, cells: int = 3) -> Fields:
    """u[s, t] = 1000 s + t in every cell: a value tells where it came from."""
    u = 1000 * np.arange(samples)[:, None] + np.arange(times)
    values = np.broadcast_to(u[:, :, None, None], (samples, times, 1, cells)).astype(np.float32)
    layout = Layout((), "time", "time", "sample" if samples > 1 else None, {})
    step = TimeStep(1.0, unit="s", dates=False)
    grid = Grid.regular((cells,))
    return Fields(values, np.arange(float(times)), step, grid, (Variable("u"),), layout, {})


def test_default_shares_of_a_long_run() -> None:
    along, parts = resolve(Split(), make(1, 100))
    assert along == "time"
    assert parts == {"train": slice(0, 70), "validate": slice(70, 85), "test": slice(85, 100)}


def test_many_samples_are_split_by_sample() -> None:
    along, parts = resolve(Split(), make(11, 5))
    assert along == "sample"
    assert parts == {"train": slice(0, 8), "validate": slice(8, 9), "test": slice(9, 11)}


def test_whole_numbers_are_indices_and_may_leave_gaps() -> None:
    split = Split(train=(0, 270), validate=(275, 300), test=(300, 360))
    _, parts = resolve(split, make(1, 360), n_steps=4)
    assert parts == {"train": slice(0, 270), "validate": slice(275, 300), "test": slice(300, 360)}


def test_a_whole_end_of_a_fraction_is_a_fraction() -> None:
    _, parts = resolve(Split(train=(0, 0.5), validate=(0.5, 0.75), test=(0.75, 1)), make(1, 40))
    assert parts == {"train": slice(0, 20), "validate": slice(20, 30), "test": slice(30, 40)}


def test_samples_can_be_split_by_time() -> None:
    parts = partition(Split(along="time"), make(7, 20))
    assert [parts[name].values.shape for name in PARTS] == [(7, 14, 1, 3), (7, 3, 1, 3), (7, 3, 1, 3)]
    assert parts["test"].times.tolist() == [17.0, 18.0, 19.0]


@settings(deadline=None, max_examples=50)
@given(times=st.integers(14, 400))
def test_shares_that_meet_cover_the_axis_once(times: int) -> None:
    _, parts = resolve(Split(), make(1, times, cells=1))
    covered = np.concatenate([np.arange(times)[part] for part in parts.values()])
    assert covered.tolist() == list(range(times))


@pytest.mark.parametrize(
    ("samples", "split", "steps", "sentence"),
    [
        (
            1,
            Split(validate=(0.6, 0.85)),
            1,
            "expected parts that do not overlap, got 2 steps along time in both train",
        ),
        (
            1,
            Split(train=(0, 15), test=(14, 20)),
            1,
            "both train and validate .leakage.: let validate begin where train",
        ),
        (
            1,
            Split(test=(0.85, 1.2)),
            1,
            "bounds of the test part within the 20 steps along time, got 0.85 to 1.2: give",
        ),
        (
            1,
            Split(test=(17, 21)),
            1,
            "two ascending bounds of the test part within the 20 steps along time, got 17 to 21",
        ),
        (
            1,
            Split(train=(-3, 14)),
            1,
            "bounds of the train part within the 20 steps along time, got -3 to 14: give whole",
        ),
        (
            1,
            Split(train=(0.7, 0.0)),
            1,
            "bounds of the train part within the 20 steps along time, got 0.7 to 0.0, which",
        ),
        (
            1,
            Split(),
            3,
            "at least 4 times in the validate part for a window of 3 steps, got 3: make the part longer",
        ),
        (
            2,
            Split(),
            1,
            "the test part within the 2 steps along sample, got 0.85 to 1.0, which is 2 to 2: give whole",
        ),
        (9, Split(), 20, "at least 21 times in the train part for a window of 20 steps, got 20"),
    ],
)
def test_bad_splits_are_refused(samples: int, split: Split, steps: int, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolve(split, make(samples, 20), steps)


def test_windows_of_a_small_part_written_out() -> None:
    assert windows(make(2, 5), 3).tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]


@settings(deadline=None, max_examples=50)
@given(
    samples=st.integers(1, 5),
    times=st.integers(20, 60),
    steps=st.integers(1, 2),
    along=st.sampled_from(["time", "sample"]),
)
def test_no_window_straddles_parts_or_samples(samples: int, times: int, steps: int, along: str) -> None:
    if along == "sample":
        samples += 6
    seen: list[set[float]] = []
    for part in partition(Split(along=along), make(samples, times, cells=1), steps).values():
        index = windows(part, steps)
        assert len(index) == part.n_samples * (part.n_times - steps)
        frames = np.stack([part.values[s, t : t + steps + 1, 0, 0] for s, t in index])
        assert (np.diff(frames) == 1).all()  # consecutive times of one sample
        seen.append(set(frames.ravel().tolist()))
    assert all(a.isdisjoint(b) for a, b in combinations(seen, 2))


@pytest.mark.parametrize("steps", [0, 5, 6])
def test_windows_that_do_not_fit_are_refused(steps: int) -> None:
    with pytest.raises(
        InputError, match=f"from 1 to 4 steps in a window of 5 times, got {steps}: take fewer steps"
    ):
        windows(make(2, 5), steps)


def dated(start: str, times: int, hours: int = 24) -> Fields:
    """``make`` with dates."""
    days = np.datetime64(start, "ns") + np.arange(times) * np.timedelta64(hours, "h")
    return replace(make(1, times), times=days, step=TimeStep(3600.0 * hours))


def test_dates_bound_a_part_with_both_ends_in_it() -> None:
    split = Split(
        train=("2000-01", "2001-06"), validate=("2001-07-01", "2001-12-30"), test=("2002-01", "2002-12")
    )
    _, parts = resolve(split, dated("2000-01-01", 366 + 365 + 300))
    assert parts == {"train": slice(0, 547), "validate": slice(547, 730), "test": slice(731, 1031)}


def test_bare_years_are_years_with_both_ends_in() -> None:
    split = Split(train=(1950, 1979), validate=(1980, 1980), test=(1981, 1989))
    months = np.arange("1950-01", "1990-01", dtype="datetime64[M]").astype("datetime64[ns]")
    fields = replace(make(1, 480), times=months, step=TimeStep(2.63e6, months=1))
    assert resolve(split, fields)[1] == {
        "train": slice(0, 360), "validate": slice(360, 372), "test": slice(372, 480),
    }  # fmt: skip
    noleap = replace(
        fields, times=np.array([cftime.DatetimeNoLeap(1950 + n // 12, n % 12 + 1, 9) for n in range(480)])
    )
    assert resolve(split, noleap) == resolve(split, fields)


def test_numbers_that_are_years_and_steps_are_refused_with_both_spellings() -> None:
    fields = dated("1996-07-01", 2500, 12)  # to 1999-12
    with pytest.raises(InputError) as refusal:
        resolve(Split(train=(1997, 1999)), fields)
    assert str(refusal.value) == (
        "expected years or step numbers of the train part that are not both, got 1997 to 1999, years of the data and "
        'among its 2500 steps: write "1997-01" to "1999-12" for the years, "1999-03-26T12:00" to "1999-03-27T00:00" '
        "for the steps"
    )
    rest = {"validate": ("1999-04", "1999-06"), "test": ("1999-07", "1999-12")}
    years = Split(train=("1997-01", "1998-12"), **rest)
    assert resolve(years, fields)[1]["train"] == slice(368, 1828)
    steps = Split(train=("1999-03-26T12:00", "1999-03-27T00:00"), **rest)
    assert resolve(steps, fields)[1]["train"] == slice(1997, 1999)
    # numbers that are no years of the data are steps, as they are on a time axis without dates
    assert resolve(Split(train=(0, 1996), **rest), fields)[1]["train"] == slice(0, 1996)
    undated = Split(train=(0, 1997), validate=(1997, 1999), test=(1999, 2500))
    assert resolve(undated, make(1, 2500))[1]["validate"] == slice(1997, 1999)


def test_dates_of_any_calendar_and_hours() -> None:
    days = np.array([cftime.Datetime360Day(2001, 2, d) for d in range(1, 31)])
    fields = replace(make(1, 30), times=days, step=TimeStep(86400.0))
    split = Split(
        train=("2001-02-01", "2001-02-10"),
        validate=("2001-02-11", "2001-02-20"),
        test=("2001-02-21", "2001-12"),
    )
    assert resolve(split, fields)[1]["test"] == slice(20, 30)
    split = Split(
        train=("2001-01-01", "2001-01-02T05"), validate=("2001-01-02T06", "2001-01-02"), test=(8, 10)
    )
    assert resolve(split, dated("2001-01-01", 10, 6))[1]["train"] == slice(0, 5)


def test_a_gap_is_taken_from_the_later_part() -> None:
    _, parts = resolve(Split(gap=3), make(1, 100))
    assert parts == {"train": slice(0, 70), "validate": slice(73, 85), "test": slice(88, 100)}
    _, parts = resolve(Split(train=(0, 10), validate=(12, 20), test=(30, 40), gap=3), make(1, 40))
    assert parts == {"train": slice(0, 10), "validate": slice(13, 20), "test": slice(30, 40)}
    with pytest.raises(InputError, match="at least 2 times in the validate part"):
        resolve(Split(gap=15), make(1, 100))


@pytest.mark.parametrize(
    ("fields", "train", "sentence"),
    [
        (
            make(1, 20),
            ("2001", "2002"),
            "two dates, or none, for the train part .* got 2001 to 2002 along time",
        ),
        (dated("2001-01-01", 20), ("2001-01", 0.5), "two dates, or none, for the train part"),
        (
            dated("2001-01-01", 20),
            ("2001", "2002-01"),
            "like 1981-06, 1981-06-30 or 1981-06-30T12, got '2001'",
        ),
        (
            dated("2001-01-01", 20),
            ("1999-01", "2000-12"),
            "ascending bounds of the train part within the 20 steps",
        ),
    ],
)
def test_bad_dates_are_refused(fields: Fields, train: tuple, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        resolve(Split(train=train), fields)
