"""Damped persistence and climatology on series whose factors and cycles are known."""

from __future__ import annotations

import cftime
import numpy as np
import pytest

from gridvit.analysis.baselines import DampedPersistence
from gridvit.climatology import Climatology
from gridvit.errors import InputError
from gridvit.grid import Grid


def ar1(rng: np.random.Generator, phi: float, samples: int, times: int, shape: tuple[int, ...]) -> np.ndarray:
    """Unit variance, stationary from the start: (sample, time, variable, *space)."""
    u = np.empty((samples, times, 1, *shape))
    u[:, 0] = rng.normal(size=(samples, 1, *shape))
    for t in range(1, times):
        u[:, t] = phi * u[:, t - 1] + np.sqrt(1 - phi**2) * rng.normal(size=(samples, 1, *shape))
    return u


def hours(start: str, n: int, step: int) -> np.ndarray:
    return np.datetime64(start, "ns") + np.arange(n) * np.timedelta64(step, "h").astype("timedelta64[ns]")


def test_an_ar1_process_is_damped_by_the_power_of_its_factor(rng: np.random.Generator) -> None:
    phi, level = 0.8, 5.0
    u = level + ar1(rng, phi, 20, 200, (7, 5))
    found = DampedPersistence.fit(u.astype(np.float32), [1, 3], Grid.regular((7, 5)))
    np.testing.assert_allclose(found.factor[:, 0], [phi, phi**3], atol=0.01)
    np.testing.assert_allclose(found.mean, level, atol=0.2)
    forecast = found(u[0, :40])
    assert forecast.shape == (40, 2, 1, 7, 5)
    np.testing.assert_allclose(
        forecast[:, 1] - found.mean, found.factor[1, 0] * (u[0, :40] - found.mean), atol=1e-12
    )


def test_damping_weighs_cells_by_area() -> None:
    """Rows that alternate (factor -1) and rows that stay (factor 1), weighed by the areas of the sphere."""
    grid = Grid.latlon(3, 4)
    signs = np.where(np.arange(8) % 2, -1.0, 1.0)
    slow = np.where(np.arange(8) % 4 < 2, -1.0, 1.0)
    u = np.zeros((1, 8, 1, 3, 4))
    u[0, :, 0, 0], u[0, :, 0, 1:] = signs[:, None], slow[:, None, None]
    found = DampedPersistence.fit(u, [2], grid)
    polar = (1 - np.sin(np.deg2rad(30))) / 2
    assert found.factor[0, 0] == pytest.approx(polar - (1 - polar), rel=1e-12)


def test_damping_refuses_leads_beyond_the_part_and_constants() -> None:
    grid = Grid.regular((4,))
    with pytest.raises(InputError, match=r"expected leads of 1 to 4 steps, got \[1, 5\]: shorten the leads"):
        DampedPersistence.fit(np.ones((1, 5, 1, 4)), [1, 5], grid)
    with pytest.raises(
        InputError, match="expected variables that change in time, got a constant one: leave it out"
    ):
        DampedPersistence.fit(np.ones((1, 5, 1, 4)), [1], grid)


def test_hours_of_the_day_have_their_own_means(rng: np.random.Generator) -> None:
    times = hours("2026-01-03", 10, 6)
    daily = rng.normal(size=(4, 1, 3))
    u = daily[np.arange(10) % 4][None].astype(np.float32)
    found = Climatology.fit(u, times)
    assert found.name == "climatology (hour of day)"
    valid = np.stack([times[:5] + np.timedelta64(6 * lead, "h") for lead in (1, 2)], axis=1)
    forecast = found(valid)
    assert forecast.shape == (5, 2, 1, 3)
    np.testing.assert_allclose(forecast[:, 1], daily[(np.arange(5) + 2) % 4], atol=1e-6)
    with pytest.raises(
        InputError, match=r"expected one of the hours \[0.0, 6.0, 12.0, 18.0\] of the train part, got 3 h"
    ):
        found(valid + np.timedelta64(3, "h"))


def test_a_year_gives_an_annual_cycle_and_less_does_not() -> None:
    times = hours("2021-03-01", 800, 12)
    days = (times - np.datetime64("2021-01-01", "ns")) / np.timedelta64(1, "D")
    cycle = 10 + 3 * np.cos(2 * np.pi * (days - 20) / 365.2425) + np.where(np.arange(800) % 2, 1.0, -1.0)
    u = np.broadcast_to(cycle[None, :, None, None], (2, 800, 1, 5))
    found = Climatology.fit(u, times)
    assert found.name == "climatology (day of year and hour of day)"
    np.testing.assert_allclose(found.at(times)[:, 0, 0], cycle, atol=0.01)
    summer = found.at(np.array(["2030-07-20T00"], dtype="datetime64[ns]"))[0, 0, 0]
    assert summer == pytest.approx(10 - 3 - 1, abs=0.03)
    assert Climatology.fit(u[:, :720], times[:720]).annual is False


def test_cftime_calendars_have_hours_and_years() -> None:
    times = cftime.num2date(np.arange(730) * 12, "hours since 2001-01-01", calendar="noleap")
    days = np.arange(730) / 2
    cycle = np.cos(2 * np.pi * days / 365.2425) + np.where(np.arange(730) % 2, 0.5, -0.5)
    found = Climatology.fit(np.broadcast_to(cycle[None, :, None, None], (1, 730, 1, 2)), times)
    assert found.name == "climatology (day of year and hour of day)"
    later = cftime.num2date(np.array([[0, 12]]) + 24 * 365 * 9, "hours since 2001-01-01", calendar="noleap")
    np.testing.assert_allclose(found(later)[0, :, 0, 0], [0.5, 1.5], atol=0.01)


@pytest.mark.parametrize("times", [np.arange(6.0), hours("2026-01-01", 6, 24)])
def test_without_hours_there_is_one_mean(times: np.ndarray) -> None:
    u = np.arange(6.0)[None, :, None, None] * np.ones((1, 6, 1, 3))
    found = Climatology.fit(u, times)
    assert found.name == "climatology (time mean)"
    np.testing.assert_allclose(found(times[:4].reshape(2, 2)), 2.5, rtol=1e-12)


def test_gaps_enter_no_baseline(rng: np.random.Generator) -> None:
    """With values of a cell missing, the fit is that of the times that it has; a cell without any stays missing."""
    times = np.datetime64("2001-01-01", "h") + 6 * np.arange(80) * np.timedelta64(1, "h")
    train = rng.normal(size=(1, 80, 1, 5)).cumsum(axis=1)
    train[:, ::3, :, 1] = np.nan
    train[..., 3] = np.nan
    found = Climatology.fit(train, times.astype("datetime64[ns]"))
    kept = np.arange(80) % 3 > 0
    for hour, row in zip(range(4), found.coefficients[:, 0], strict=True):
        at = np.arange(80) % 4 == hour
        assert row[1] == pytest.approx(train[0, at & kept, 0, 1].mean())
        assert row[0] == pytest.approx(train[0, at, 0, 0].mean())
    assert np.isnan(found.coefficients[..., 3]).all()
    grid = Grid.regular((5,))
    damped = DampedPersistence.fit(train, [1, 2], grid)
    x = train[0, :, 0] - np.nanmean(train[0, :, 0, [0, 1, 2, 4]].T, axis=0)[[0, 1, 2, 0, 3]]
    pairs = x[:-2] * x[2:]
    power = np.where(np.isnan(pairs), 0, x[:-2] ** 2).sum()
    assert damped.factor[1, 0] == pytest.approx(np.nansum(pairs) / power)
    start = np.array([[[1.0, np.nan, 2.0, np.nan, 3.0]]])
    filled = damped.filled(start)[0, 0]
    assert filled[[0, 2, 4]].tolist() == [1, 2, 3]
    assert filled[1] == pytest.approx(np.nanmean(train[0, :, 0, 1]))
    assert np.isnan(damped(start)[0, :, 0]).tolist() == [[False, False, False, True, False]] * 2
