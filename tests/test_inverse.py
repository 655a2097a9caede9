"""Linear inverse models of linear systems, which they must be, and of noise, which they must not learn."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.baselines import companion
from gridvit.analysis.inverse import LinearInverse
from gridvit.errors import InputError
from gridvit.grid import Grid


def mirrored(x: np.ndarray) -> np.ndarray:
    """With every sample its negative, so that the mean is zero to the last bit."""
    return np.concatenate([x, -x])


def test_of_a_linear_system_it_is_the_system(rng: np.random.Generator) -> None:
    """x(t + 1) = A x(t) of two variables on seven cells: forecasts are A^L x, to rounding."""
    a = rng.normal(size=(14, 14)) / 5
    frames = [rng.normal(size=(23, 14))]
    for _ in range(3):
        frames.append(frames[-1] @ a.T)
    u = mirrored(np.stack(frames, axis=1)).reshape(46, 4, 2, 7)
    found = LinearInverse.fit(u, u, Grid.regular((7,)), [3, 1], counts=(5, 14))
    assert found.propagator.shape == (14, 14)
    start = rng.normal(size=(11, 14))
    forecast = found(start.reshape(11, 2, 7)).reshape(11, 2, 14)
    np.testing.assert_allclose(forecast[:, 1], start @ a.T, atol=1e-10)
    np.testing.assert_allclose(forecast[:, 0], start @ np.linalg.matrix_power(a, 3).T, atol=1e-10)


def test_two_frames_are_a_system_of_second_order(rng: np.random.Generator) -> None:
    """x(t + 1) = A x(t) + B x(t - 1) on rows of unequal areas."""
    a, b = rng.normal(size=(2, 15, 15)) / 5
    frames = list(rng.normal(size=(2, 37, 15)))
    for _ in range(3):
        frames.append(frames[-1] @ a.T + frames[-2] @ b.T)
    u = mirrored(np.stack(frames, axis=1)).reshape(74, 5, 1, 3, 5)
    found = LinearInverse.fit(u, u, Grid.latlon(3, 5), [1, 2], history=2, counts=(15,))
    assert (found.history, found.propagator.shape) == (2, (15, 30))
    forecast = found(companion(u, 2)[:, 0]).reshape(74, 2, 15)
    np.testing.assert_allclose(forecast[:37, 0], frames[2], atol=1e-10)
    np.testing.assert_allclose(forecast[:37, 1], frames[3], atol=1e-10)


def test_what_the_modes_do_not_hold_persists() -> None:
    """Two large patterns turn by 40 degrees in a step, a small one, uncorrelated with them, stays as it is."""
    angle = np.deg2rad(40) * np.arange(5)
    states = []
    for sign in (1, -1):
        for small in (0.1, -0.1):
            turning = sign * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
            states.append(np.concatenate([turning, np.full((5, 1), small)], axis=-1))
    u = 7 + np.array(states)[:, :, None]
    found = LinearInverse.fit(u, u, Grid.regular((3,)), [1, 3], counts=(2,))
    start = 7 + np.array([[[1.0, 0.0, 0.3]]])
    turned = [[np.cos(a), np.sin(a), 0.3] for a in np.deg2rad([40, 120])]
    np.testing.assert_allclose(found(start)[0, :, 0], 7 + np.array(turned), atol=1e-12)


def test_the_validation_part_chooses_the_number_of_modes(rng: np.random.Generator) -> None:
    """A random walk persists: what more modes add to that is noise."""
    u = rng.normal(size=(1, 83, 1, 29)).cumsum(axis=1)
    found = LinearInverse.fit(u[:, :40], u[:, 40:], Grid.regular((29,)), [1, 2], counts=(19, 1, 11))
    assert len(found.propagator) == 1


def test_fewer_times_than_modes_are_refused(rng: np.random.Generator) -> None:
    u = rng.normal(size=(1, 8, 1, 29))
    with pytest.raises(InputError, match=r"expected numbers of modes up to 2, got \[3, 5\]: take fewer"):
        LinearInverse.fit(u, u, Grid.regular((29,)), [1], history=2, counts=(3, 5))
    with pytest.raises(InputError, match=r"expected leads of 1 to 6 steps, got \[7\]"):
        LinearInverse.fit(u, u, Grid.regular((29,)), [7], history=2)
