"""The best linear predictor of waves: what it gives back, and what no linear map can."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.linear import LinearPredictor, best_symbol
from gridvit.errors import InputError

Pair = tuple[int, ...]


def rolled(u: np.ndarray, cells: Pair, times: int) -> np.ndarray:
    """(sample, time, *given): shifted by some cells along each axis of space from time to time."""
    axes = tuple(range(-len(cells), 0))
    return np.stack([np.roll(u, [c * t for c in cells], axes) for t in range(times)], axis=1)


@pytest.mark.parametrize(
    ("shape", "cells"), [((12,), (5,)), ((13,), (-2,)), ((6, 7), (1, 3)), ((7, 8), (2, -3))]
)
def test_a_shift_however_far_is_given_back(shape: Pair, cells: Pair, rng: np.random.Generator) -> None:
    """Of two variables, the second of which is the first's next mean about 40."""
    u = 40 + rng.standard_normal((11, 2, *shape))
    found = LinearPredictor.fit(rolled(u, cells, 5), [1, 3])
    new = 40 + rng.standard_normal((3, 2, *shape))
    expected = rolled(new, cells, 4)[:, [1, 3]]
    np.testing.assert_allclose(found(new), expected, atol=1e-9)


def test_variables_that_feed_each_other(rng: np.random.Generator) -> None:
    """u' = v from the left, v' = u / 2: a matrix at every wave, applied twice at lead two."""
    u = rng.standard_normal((9, 2, 10))
    u -= u.mean(axis=-1, keepdims=True)  # so that the mean is nothing to be told

    def step(s: np.ndarray) -> np.ndarray:
        return np.stack([np.roll(s[:, 1], 1, -1), s[:, 0] / 2], axis=1)

    train = np.stack([u, step(u), step(step(u))], axis=1)
    found = LinearPredictor.fit(train, [1, 2])
    np.testing.assert_allclose(found(u)[:, 0], step(u), atol=1e-9)
    np.testing.assert_allclose(found(u)[:, 1], step(step(u)), atol=1e-9)
    theta = 2 * np.pi * np.arange(6) / 10
    expected = np.zeros((6, 2, 2), complex)
    expected[1:, 0, 1], expected[1:, 1, 0] = np.exp(-1j * theta[1:]), 0.5
    np.testing.assert_allclose(found.symbol[0], expected, atol=1e-9)


def test_noise_damps_by_the_regression_factor() -> None:
    """U' = a U + noise: G = a to the sampling error 1 / sqrt(n) of a wave."""
    rng = np.random.default_rng(3)
    early = rng.standard_normal((4000, 1, 8)) + 1j * rng.standard_normal((4000, 1, 8))
    noise = rng.standard_normal((4000, 1, 8)) + 1j * rng.standard_normal((4000, 1, 8))
    a = np.exp(1j * np.arange(8.0)) * 0.7
    np.testing.assert_allclose(best_symbol(early, a * early + noise)[:, 0, 0], a, atol=4 / np.sqrt(4000))


def test_waves_without_energy_are_forecast_as_none(rng: np.random.Generator) -> None:
    x = 2 * np.pi * np.arange(9) / 9
    phases = rng.uniform(0, 7, (5, 1, 1, 1))
    train = np.stack([np.cos(x - t + phases[:, 0]) for t in range(4)], axis=1)
    found = LinearPredictor.fit(train, [1])
    other = np.cos(3 * x)[None, None]
    np.testing.assert_allclose(found(other + np.cos(x)), (np.cos(x - 1) + 0 * other)[:, None], atol=1e-9)


def test_leads_beyond_the_part() -> None:
    with pytest.raises(InputError, match=r"expected leads of 1 to 2 steps, got \[3\]: shorten the leads"):
        LinearPredictor.fit(np.ones((1, 3, 1, 4)), [3])
