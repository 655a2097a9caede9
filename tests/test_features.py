"""Solar time, season and insolation against figures of the almanac and of textbooks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gridvit.grid import Grid
from gridvit.nn.features import COUNTS, TROPICAL_YEAR, count, features, sun_days

GLOBE = Grid.latlon(37, 72, poles=True)
HOUR = 3600.0


def seconds(*dates: str) -> torch.Tensor:
    times = np.array(dates, dtype="datetime64[s]")
    return torch.tensor((times - np.datetime64(0, "s")) / np.timedelta64(1, "s"))


def insolation(dates: torch.Tensor, dt: float, calendar: str = "standard") -> np.ndarray:
    return features(("insolation",), GLOBE, dates, dt, calendar)[:, 0].numpy()


def test_shapes_and_counts() -> None:
    names = tuple(COUNTS)
    found = features(names, GLOBE, seconds("2001-01-01", "2001-07-01", "2002-01-01"), HOUR)
    assert found.shape == (3, count(names), 37, 72) == (3, 12, 37, 72)
    assert found.abs().max() < 1.05


def test_the_noon_sun_stands_where_the_almanac_has_it() -> None:
    # equinox of March 2000 at 07:35 UTC, solstices of June 2000 at 01:48 and December 2000 at 13:37 (Meeus, table 27.E)
    for date, declination in (
        ("2000-03-20T07:35", 0.0), ("2000-06-21T01:48", 23.44), ("2000-12-21T13:37", -23.44)
    ):  # fmt: skip
        day = insolation(seconds(date), HOUR)[0]
        overhead = np.unravel_index(day.argmax(), day.shape)
        assert abs(GLOBE.centers[0][overhead[0]] - declination) <= 2.5
        # at the poles the Sun is as high as its declination
        height = (day[-1] - day[0]).mean() / day.max()
        assert height == pytest.approx(math.sin(math.radians(declination)), abs=2e-3)


def test_perihelion_is_in_january_and_strengthens_by_seven_per_cent() -> None:
    days = seconds(*[str(d) for d in np.arange("2001-01-01", "2002-01-01", dtype="datetime64[D]")])
    weights = GLOBE.areas / GLOBE.areas.sum()
    mean = (insolation(days, 86400.0) * weights).sum((1, 2))
    assert mean.argmax() in (2, 3, 4)
    assert abs(int(mean.argmin()) - 184) <= 2
    assert mean.max() / mean.min() == pytest.approx(((1 + 0.01671) / (1 - 0.01671)) ** 2, rel=2e-3)
    # a quarter of the solar constant over the sphere, over a year <1 / R^2> = 1 / sqrt(1 - e^2)
    assert mean.mean() == pytest.approx(0.25 / math.sqrt(1 - 0.01671**2), rel=2e-3)


def test_the_daily_mean_is_the_mean_of_the_day() -> None:
    start = seconds("2003-05-05")
    hours = start + torch.arange(0, 24, 0.25, dtype=torch.float64) * HOUR
    mean = insolation(hours, HOUR).mean(0)
    daily = insolation(start + 12 * HOUR, 86400.0)[0]
    np.testing.assert_allclose(daily, mean, atol=2e-3)


def test_the_equator_at_equinox_and_the_polar_night() -> None:
    equinox, december = insolation(seconds("2000-03-20T07:35", "2000-12-21T13:37"), 86400.0)
    assert equinox[18].mean() == pytest.approx(1 / math.pi / 0.99590**2, rel=2e-3)  # R on that day
    assert december[-4:].max() == 0
    # at the south pole the Sun is up all day: sin(declination) / R^2
    assert december[0].mean() == pytest.approx(math.sin(math.radians(23.44)) / 0.98374**2, rel=2e-3)


@pytest.mark.parametrize(("calendar", "year"), [("noleap", 365.0), ("360_day", 360.0), ("all_leap", 366.0)])
def test_a_year_of_any_calendar_is_one_of_the_sun(calendar: str, year: float) -> None:
    times = torch.tensor([0.0, 30 * year, 31 * year], dtype=torch.float64) * 86400
    days = sun_days(times, calendar)
    assert float(days[2] - days[1]) == pytest.approx(TROPICAL_YEAR)
    assert float(days[1]) == pytest.approx(-0.5, abs=0.01)  # midnight of 2000-01-01
    season = features(("day_of_year",), GLOBE, times, 86400.0, calendar)
    torch.testing.assert_close(season[1], season[2], atol=1e-9, rtol=0)


def test_latitude_and_longitude_are_the_unit_vector() -> None:
    z, x, y = features(("latitude", "longitude"), GLOBE, seconds("2001-01-01"), HOUR)[0]
    torch.testing.assert_close(x**2 + y**2 + z**2, torch.ones_like(x))
    assert (float(x[18, 0]), float(y[18, 18]), float(z[-1, 5])) == pytest.approx((1, 1, 1))
