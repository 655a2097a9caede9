"""The time axis against dates and steps written out by hand."""

from __future__ import annotations

import json

import cftime
import numpy as np
import pytest

from gridvit.data.times import TimeStep, canonical, epoch_seconds, find_step
from gridvit.errors import InputError

HOUR = 3600.0
DAY = 86400.0


def dates(*texts: str) -> np.ndarray:
    return np.array(texts, dtype="datetime64[ns]")


def test_six_hours_are_a_fixed_step() -> None:
    step = find_step(np.datetime64("2025-12-01", "ns") + np.arange(7) * np.timedelta64(6, "h"))
    assert step == TimeStep(6 * HOUR)
    assert str(step) == "6 h"


@pytest.mark.parametrize(
    ("start", "months", "count"),
    [("2001-01", 1, 13), ("1999-11", 3, 5), ("1999-02", 12, 5), ("2001-01", 1, 2)],
)
def test_the_same_day_of_each_month_is_a_calendar_step(start: str, months: int, count: int) -> None:
    times = (np.datetime64(start, "M") + months * np.arange(count)).astype("datetime64[ns]")
    step = find_step(times)
    assert step.months == months
    assert step.seconds == pytest.approx((times[-1] - times[0]) / np.timedelta64(1, "s") / (count - 1))
    assert [step.after(times[0], n) for n in range(count)] == list(times)


def test_middles_and_ends_of_months_are_calendar_steps() -> None:
    assert find_step(dates("1979-01-16", "1979-02-15", "1979-03-16", "1979-04-16")).months == 1
    assert find_step(dates("2001-01-31", "2001-02-28", "2001-03-31", "2001-04-30")).months == 1


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (DAY, "1 d"),
        (30 * HOUR, "30 h"),
        (708 * HOUR, "29.5 d"),
        (90.0, "90 s"),
        (1800.0, "30 min"),
        (1.5, "1.5 s"),
    ],
)
def test_steps_read_as_people_say_them(seconds: float, text: str) -> None:
    assert str(TimeStep(seconds)) == text


def test_thirty_days_are_no_month() -> None:
    step = find_step(np.datetime64("2001-03-01", "ns") + np.arange(5) * np.timedelta64(30, "D"))
    assert step == TimeStep(30 * DAY)
    assert str(step) == "30 d"


@pytest.mark.parametrize("calendar", ["360_day", "noleap", "standard", "proleptic_gregorian", "julian"])
def test_cftime_calendars_step_in_their_own_days(calendar: str) -> None:
    days = [cftime.datetime(2000, 2, 27, calendar=calendar), cftime.datetime(2000, 2, 28, calendar=calendar)]
    step = find_step(np.array(days, dtype=object))
    assert step == TimeStep(DAY, calendar=calendar)
    expected = {"360_day": (2, 29), "noleap": (3, 1)}.get(calendar, (2, 29))
    after = step.after(days[1], 1)
    assert (after.month, after.day, after.calendar) == (*expected, calendar)


def test_months_of_cftime_dates() -> None:
    days = np.array([cftime.DatetimeNoLeap(4, m, 17) for m in range(1, 13)], dtype=object)
    step = find_step(days)
    assert (step.months, step.after(days[-1], 2)) == (1, cftime.DatetimeNoLeap(5, 2, 17))


def test_a_day_that_the_month_lacks_becomes_its_last() -> None:
    step = TimeStep(30 * DAY, months=1)
    assert step.after(np.datetime64("2000-01-31T06:00", "ns"), 1) == np.datetime64("2000-02-29T06:00", "ns")
    assert step.after(np.datetime64("2000-01-31", "ns"), 2) == np.datetime64("2000-03-31", "ns")
    assert step.after(cftime.DatetimeNoLeap(2000, 1, 31), 13) == cftime.DatetimeNoLeap(2001, 2, 28)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plain_numbers_keep_their_unit(dtype: type) -> None:
    times = canonical((1000 + 0.02 * np.arange(301)).astype(dtype))
    step = find_step(times, "s")
    assert (step.unit, step.dates, step.months) == ("s", False, 0)
    assert step.seconds == pytest.approx(0.02, rel=1e-4)
    assert step.after(3.0, 5) == pytest.approx(3.1, rel=1e-4)


def test_a_stride_multiplies_the_step() -> None:
    assert TimeStep(6 * HOUR).strided(4) == TimeStep(DAY)
    assert TimeStep(30 * DAY, months=1).strided(3).months == 3


@pytest.mark.parametrize(
    "step", [TimeStep(6 * HOUR), TimeStep(0.05, unit="1", dates=False), TimeStep(9.1, 1)]
)
def test_steps_survive_json(step: TimeStep) -> None:
    assert TimeStep.from_dict(json.loads(json.dumps(step.to_dict()))) == step


def test_epoch_seconds_by_hand() -> None:
    assert epoch_seconds(dates("1970-01-02", "1969-12-31T23:00")).tolist() == [DAY, -HOUR]
    assert epoch_seconds(np.array([cftime.Datetime360Day(1971, 1, 1)], dtype=object)).tolist() == [360 * DAY]
    assert epoch_seconds(np.array([0.5, 2.0])).tolist() == [0.5, 2.0]


@pytest.mark.parametrize(
    ("times", "sentence"),
    [
        (
            dates("2001-01-01"),
            "at least two time steps along 'time', got 1: join several files",
        ),
        (
            dates("2001-01-01", "2001-01-02", "2001-01-02"),
            "times that ascend along 'time', got 2001-01-02T00:00:00 at index 2, which is repeated: sort",
        ),
        (np.zeros(3), "got 0 at index 1, which is repeated: choose irregular: frames, which counts them"),
        (
            dates("2001-01-02", "2001-01-01", "2001-01-03"),
            "got 2001-01-01T00:00:00 at index 1, which is earlier than the step before it: sort the file",
        ),
        (
            dates("2001-01-01", "2001-01-02", "2001-01-04", "2001-01-05"),
            "equal steps of 1 d along 'time', got 2 d before 2001-01-04T00:00:00 .index 2.: fill the gap",
        ),
        (
            np.array([0.0, 0.1, 0.2, 0.4]),
            "equal steps of 0.1 along 'time', got 0.2 before 0.4 .index 3.: fill",
        ),
        (np.array([20010130, 20010131, 20010201, 20010202]), "got 70 before 20010201 .index 2.: fill"),
        (dates("2001-01-01", "2001-02-28", "2001-03-01"), "equal steps of 58 d along 'time', got 1 d before"),
        (
            dates("1979-01-16", "1979-02-14T12", "1979-12-16", "1980-01-16", "1980-02-15"),
            "equal steps of 1 month along 'time', got 10 months before 1979-12-16T00:00:00 .index 2.: fill",
        ),
        (
            dates("2001-01-16", "2001-02-15", "2001-07-16"),
            "of 5 months along 'time', got 1 month before 2001-02-15",
        ),
    ],
)
def test_bad_time_axes_are_refused(times: np.ndarray, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        find_step(times)


def test_dates_are_brought_to_nanoseconds_or_refused() -> None:
    days = np.array(["2001-01-01", "2001-01-02"], dtype="datetime64[D]")
    assert canonical(days).dtype == np.dtype("datetime64[ns]")
    with pytest.raises(
        InputError, match="expected dates from 1678 to 2262 on the axis 'time', got 3001-01-01T00:00:00 to"
    ):
        canonical(np.array(["3001-01-01", "3001-01-02"], dtype="datetime64[s]"))
    with pytest.raises(InputError, match="a date at every step of 'time', got missing dates in it"):
        canonical(dates("2001-01-01", "NaT"))
    with pytest.raises(InputError, match="a number at every step of 'time', got missing values in it"):
        canonical(np.array([0.0, np.nan]))
    with pytest.raises(InputError, match="dates or numbers on the time axis 't', got <U1 values: decode it"):
        canonical(np.array(["a", "b"]), "t")


def test_time_differences_become_seconds() -> None:
    assert canonical(np.array([0, 1500], dtype="timedelta64[ms]")).tolist() == [0.0, 1.5]


def test_leads_in_hours_months_or_own_units() -> None:
    for step, values, unit in (
        (TimeStep(21600.0), [6.0, 12.0, 18.0], "h"),
        (TimeStep(30.4 * 86400, months=3), [3.0, 6.0, 9.0], "months"),
        (TimeStep(0.5, unit="1", dates=False), [0.5, 1.0, 1.5], "1"),
    ):
        leads, found = step.leads(range(1, 4))
        assert (leads.tolist(), found) == (values, unit)
