"""Energy and times of forgetting, against waves whose answers are known."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.stationary import curl, decorrelation_time, energy, flow
from gridvit.errors import InputError
from gridvit.grid import Grid


@pytest.mark.parametrize("shape", [(11, 13), (10, 14), (12, 7)])
def test_taylor_green_has_a_quarter_of_energy_and_half_of_enstrophy(shape: tuple[int, int]) -> None:
    """SCIENCE 45; the decay is in test_quantities."""
    grid = Grid.regular(shape, (2 * np.pi, 2 * np.pi))
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    w = (2 * np.cos(x) * np.cos(y))[None]
    u, v = flow(w, grid)  # psi = -cos(x) cos(y)
    np.testing.assert_allclose(u, -np.cos(x) * np.sin(y), atol=1e-14)
    np.testing.assert_allclose(v, np.sin(x) * np.cos(y), atol=1e-14)
    assert energy(np.stack([u, v]), 2) == pytest.approx(0.25)
    assert energy(w, 2) == pytest.approx(0.5)
    np.testing.assert_allclose(curl(np.stack([u, v]), grid), w, atol=1e-13)


def test_a_wave_on_an_oblong_plane() -> None:
    """w = cos(k x + l y): the speed is 1 / |k|, E = 1 / (4 (k^2 + l^2)); the mean moves nothing."""
    grid = Grid.regular((9, 16), (3.0, 5.0))
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    k, m = 2 * np.pi * 2 / 5, 2 * np.pi / 3
    w = 7 + np.cos(k * x + m * y)
    assert energy(flow(np.stack([w[None], 2 * w[None]]), grid), 2) == pytest.approx(
        np.array([1.0, 4.0]) / (4 * (k**2 + m**2))
    )


def test_the_shortest_wave_moves_nothing() -> None:
    grid = Grid.regular((8, 6), (2 * np.pi, 2 * np.pi))
    w = np.tile([1.0, -1.0], (8, 3))[None]
    assert np.abs(flow(w, grid)[0]).max() < 1e-15
    assert np.isfinite(flow(w, grid)).all()


def test_waves_that_run_past_forget_as_their_cosine() -> None:
    """u = cos(t - x): r(l) = cos(l) when the cells hold whole waves and the times whole periods, 1/2 at pi / 3."""
    dt = 2 * np.pi / 40
    t, x = dt * np.arange(400)[:, None], 2 * np.pi * np.arange(7) / 7
    u = np.stack([5 + np.cos(t - x), 5 + np.cos(t - 2 * x + 1)])
    assert decorrelation_time(u, dt) == pytest.approx(np.pi / 3, rel=2e-3)  # of the chord
    assert decorrelation_time(u, dt, level=np.cos(3 * dt) - 1e-9) == pytest.approx(3 * dt)
    assert decorrelation_time(np.stack([0 * t + x, 1 + 0 * t + x]), dt) == float("inf")


def test_a_random_walk_that_is_drawn_back_forgets_by_its_power(rng: np.random.Generator) -> None:
    """x_t = a x_(t-1) + e: r(l) = a^l."""
    x, steps = np.zeros((3, 1500, 40)), rng.standard_normal((3, 1500, 40))
    for t in range(1, 1500):
        x[:, t] = 0.9 * x[:, t - 1] + steps[:, t]
    assert decorrelation_time(x[:, 50:], 0.5) == pytest.approx(0.5 * np.log(0.5) / np.log(0.9), rel=0.05)


def test_refusals() -> None:
    sentence = "expected a periodic plane of two axes, got .*: take the energy of velocities"
    for grid in (Grid.regular(5), Grid.regular((5, 6), periodic=(True, False)), Grid.gaussian(4, 8)):
        with pytest.raises(InputError, match=sentence):
            curl(np.zeros((2, *(grid.shape if grid.ndim == 2 else (5, 6)))), grid)
        with pytest.raises(InputError, match=sentence):
            flow(np.zeros((1, *(grid.shape if grid.ndim == 2 else (5, 6)))), grid)
