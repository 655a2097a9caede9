"""Local regression against linear steps that it must find."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.baselines import companion
from gridvit.analysis.ridge import AnomalyRidge, LocalRidge
from gridvit.climatology import Climatology
from gridvit.errors import InputError
from gridvit.grid import Grid


def series(
    rng: np.random.Generator, step, shape: tuple[int, ...], times: int, variables: int = 1
) -> np.ndarray:
    """u(t + 1) = step(u(t)) + noise for three samples, so that every direction is excited."""
    u = np.empty((3, times, variables, *shape))
    u[:, 0] = rng.normal(size=u[:, 0].shape)
    for t in range(1, times):
        u[:, t] = step(u[:, t - 1]) + 0.5 * rng.normal(size=u[:, 0].shape)
    return u


def rotating(u: np.ndarray) -> np.ndarray:
    """Row r of 5 reads 0.1 r of its western neighbour and 0.2 of the row above, the last row of itself."""
    share = np.arange(5.0)[:, None] / 10
    above = np.concatenate([u[..., 1:, :], u[..., -1:, :]], axis=-2)
    return (0.7 - share) * u + share * np.roll(u, 1, -1) + 0.2 * above


def test_a_local_linear_step_of_each_row_is_found(rng: np.random.Generator) -> None:
    grid = Grid.regular((5, 11), periodic=(False, True))
    u = 100 + series(rng, rotating, (5, 11), 120)
    found = LocalRidge.fit(u[:, :90], u[:, 90:], grid, [1], penalties=(1e-3,))
    assert found.slope.shape == (1, 5, 25, 1)
    start = 100 + rng.normal(size=(13, 1, 5, 11))
    np.testing.assert_allclose(found(start)[:, 0], 100 + rotating(start - 100), atol=0.35)
    middle = found.slope[0, 2, :, 0].reshape(5, 5) / found.around.scale[0]
    want = np.zeros((5, 5))
    want[2, 1], want[2, 2], want[3, 2] = 0.2, -0.5, 0.2
    np.testing.assert_allclose(middle, want, atol=0.06)


def test_without_noise_in_the_truth_the_step_is_exact(rng: np.random.Generator) -> None:
    """Each time is drawn afresh and the next is its exact image, so least squares has no residual."""
    grid = Grid.regular((5, 11), periodic=(False, True))
    first = rng.normal(size=(60, 1, 5, 11))
    pairs = np.stack([first, rotating(first)], axis=1)
    found = LocalRidge.fit(pairs[:40], pairs[40:], grid, [1], penalties=(1e-12, 1.0))
    assert found.penalty[0] == 1e-12
    np.testing.assert_allclose(found(first[:3])[:, 0], rotating(first[:3]), atol=1e-7)


def test_leads_are_forecast_directly(rng: np.random.Generator) -> None:
    grid = Grid.regular((11,))

    def step(u: np.ndarray) -> np.ndarray:
        return 0.6 * np.roll(u, 1, -1) + 0.3 * u

    u = series(rng, step, (11,), 400)
    found = LocalRidge.fit(u[:, :300], u[:, 300:], grid, [1, 2])
    assert found.slope.shape == (2, 1, 5, 1)
    start = rng.normal(size=(7, 1, 11))
    forecast = found(start)
    np.testing.assert_allclose(forecast[:, 0], step(start), atol=0.15)
    np.testing.assert_allclose(forecast[:, 1], step(step(start)), atol=0.15)


def test_variables_may_drive_each_other(rng: np.random.Generator) -> None:
    grid = Grid.regular((7,))

    def step(u: np.ndarray) -> np.ndarray:
        return np.stack([0.5 * u[:, 0], 0.8 * np.roll(u[:, 0], -1, -1) + 0.1 * u[:, 1]], axis=1)

    u = series(rng, step, (7,), 500, variables=2) * np.array([1000.0, 0.01])[:, None]
    found = LocalRidge.fit(u[:, :400], u[:, 400:], grid, [1], radius=1)
    start = rng.normal(size=(9, 2, 7))
    scale = np.array([1000.0, 0.01])[:, None]
    np.testing.assert_allclose(found(start * scale)[:, 0] / scale, step(start), atol=0.15)


def test_the_validation_part_chooses_the_penalty(rng: np.random.Generator) -> None:
    """Increments of a random walk are unpredictable: any slope fitted to a few times is noise."""
    grid = Grid.regular((29,))
    noise = rng.normal(size=(1, 60, 1, 29))
    u = np.cumsum(noise, axis=1)
    found = LocalRidge.fit(u[:, :6], u[:, 6:], grid, [1], radius=5, penalties=(1e-9, 1e6))
    assert found.penalty[0] == 1e6
    start = u[0, -3:]
    np.testing.assert_allclose(found(start)[:, 0], start + found.intercept[0, 0, 0], atol=1e-3)


def test_the_hour_of_the_day_is_the_climatologys_part(rng: np.random.Generator) -> None:
    grid = Grid.regular((7,))
    times = np.datetime64("2026-01-01", "ns") + np.arange(400) * np.timedelta64(6, "h").astype(
        "timedelta64[ns]"
    )
    tide = 50 * rng.normal(size=(4, 1, 7))[np.arange(400) % 4]
    u = tide + series(rng, lambda x: 0.9 * np.roll(x, 1, -1), (7,), 400)
    climatology = Climatology.fit(u[:, :300], times[:300])
    found = AnomalyRidge.fit(climatology, u[:, :300], u[:, 300:], (times[:300], times[300:]), grid, [1, 2])
    cases = np.arange(300, 390)
    valid = times[cases[:, None] + np.array([1, 2])]
    truth = np.stack([u[0, cases + 1], u[0, cases + 2]], axis=1)
    error = found(u[0, cases], times[cases], valid) - truth
    noise = 0.5 * np.sqrt([1.0, 1 + 0.81])
    np.testing.assert_allclose(np.sqrt((error**2).mean(axis=(0, 2, 3))), noise, rtol=0.12)


def test_three_dimensions_and_constants_are_refused(rng: np.random.Generator) -> None:
    u = rng.normal(size=(1, 6, 1, 3, 3, 3))
    with pytest.raises(InputError, match="expected one or two axes and variables that vary, got 3 axes"):
        LocalRidge.fit(u, u, Grid.regular((3, 3, 3)), [1])
    with pytest.raises(
        InputError, match=r"got 1 axes and standard deviations \[0.0\]: leave out what is constant"
    ):
        LocalRidge.fit(np.ones((1, 6, 1, 5)), np.ones((1, 6, 1, 5)), Grid.regular((5,)), [1])


def test_two_frames_find_a_step_of_second_order(rng: np.random.Generator) -> None:
    """u(t + 1) = 1.2 u(t) - 0.5 u(t - 1) + 0.2 of the western neighbour's u(t - 1), from pairs drawn afresh."""
    grid = Grid.regular((5, 11), periodic=(False, True))
    pair = rng.normal(size=(60, 2, 1, 5, 11))

    def step(before: np.ndarray, now: np.ndarray) -> np.ndarray:
        return 1.2 * now - 0.5 * before + 0.2 * np.roll(before, 1, -1)

    u = np.concatenate([pair, step(pair[:, :1], pair[:, 1:])], axis=1)
    z = companion(u, 2)
    assert z.shape == (60, 2, 2, 5, 11)
    np.testing.assert_array_equal(z[:, 0, 0], pair[:, 1, 0])
    np.testing.assert_array_equal(z[:, 1, 1], pair[:, 1, 0])
    found = LocalRidge.fit(z[:40], z[40:], grid, [1], penalties=(1e-12,), targets=1)
    assert found.slope.shape == (1, 5, 50, 1)
    forecast = found(z[:3, 0])
    assert forecast.shape == (3, 1, 1, 5, 11)
    np.testing.assert_allclose(forecast[:, 0], u[:3, 2], atol=1e-7)
