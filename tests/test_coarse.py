"""Coarse solvers as steps of a finer grid, against functions that are known at every point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Burgers, Coarse, Diffusion, ShallowWater, Solver, SphereAdvection
from gridvit.physics.coarse import block_transfers, harmonic_transfers, resampled
from gridvit.physics.fourier import Waves
from gridvit.rollout import Step, rollout


def on(grid: Grid, function) -> torch.Tensor:
    mesh = np.meshgrid(*grid.centers, indexing="ij")
    return torch.from_numpy(np.asarray(function(*mesh)))[None, None]


def ripples(y, x):
    return 1 + np.sin(2 * y + 0.3) * np.cos(x) + np.cos(3 * x - y)


@pytest.mark.parametrize(("shape", "other"), [((16, 21), (8, 9)), ((11, 8), (23, 20)), ((8, 8), (8, 8))])
def test_long_waves_are_the_same_function_on_every_grid(shape, other):
    here, there = (Grid.regular(n, (2 * np.pi,) * 2) for n in (shape, other))
    found = resampled(on(here, ripples), Waves(here), Waves(there))
    torch.testing.assert_close(found, on(there, ripples), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("condition", "function"),
    [
        ("neumann", lambda x: 2 + np.cos(np.pi * x / 3) - np.cos(np.pi * x)),
        ("dirichlet", lambda x: np.sin(np.pi * x / 3) + np.sin(2 * np.pi * x / 3)),
    ],
)
def test_between_walls_by_sines_and_cosines(condition, function):
    here, there = (Grid.regular(n, 3.0, periodic=False) for n in (20, 7))
    waves = Waves(here, condition), Waves(there, condition)
    torch.testing.assert_close(resampled(on(here, function), *waves), on(there, function), atol=1e-12, rtol=0)


def test_a_coarse_spectral_step_is_exact_on_the_waves_that_it_resolves():
    fine, coarse = (Grid.regular((n, n), (2 * np.pi,) * 2) for n in (24, 9))
    step = Coarse(Solver(Diffusion(0.3), coarse, 0.5, "etdrk4", accuracy="spectral"), fine)
    assert isinstance(step, Step)
    (found,) = rollout(step, on(fine, lambda y, x: np.cos(2 * y) * np.sin(x) + np.cos(7 * x)), 3)[:, -1]
    exact = np.exp(-0.3 * 5 * 1.5) * on(fine, lambda y, x: np.cos(2 * y) * np.sin(x))[0]
    torch.testing.assert_close(found, exact, atol=1e-12, rtol=0)


def test_error_falls_with_the_order_of_the_coarse_differences():
    fine, equation, errors = Grid.regular(128, 2 * np.pi), Burgers(0.2, "central"), []
    start = on(fine, lambda x: 0.5 + 0.4 * np.sin(x))
    truth = Solver(equation, fine, 1.0, "rk4", 400, accuracy=6)(start)
    for n in (16, 32):
        solver = Solver(equation, Grid.regular(n, 2 * np.pi), 1.0, "rk4", 100)
        errors.append(float((Coarse(solver, fine)(start) - truth).abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.2)


def test_velocities_are_odd_at_slip_walls():
    """A standing wave between walls: eta even, u odd; the coarse grid holds both."""
    fine, coarse = (Grid.regular((n, n), (1.0, 1.0), periodic=False) for n in (16, 8))
    step = Coarse(Solver(ShallowWater(), coarse, 1e-9, "rk4", boundary="wall"), fine)
    eta, u = (on(fine, f) for f in (lambda y, x: np.cos(np.pi * x), lambda y, x: np.sin(np.pi * x)))
    state = 1e-3 * torch.cat([eta, u, torch.zeros_like(u)], 1)
    torch.testing.assert_close(step(state), state, atol=1e-10, rtol=0)


@pytest.mark.parametrize(("shape", "other"), [((15,), (5,)), ((12, 14), (4, 7)), ((6, 10), (6, 5))])
def test_means_of_blocks_come_back_and_a_plane_is_a_plane(shape, other):
    """R P = 1; inside, a field of constant slope is its own reconstruction."""
    fine, coarse = (Grid.regular(n, (3.0,) * len(n), periodic=False) for n in (shape, other))
    down, up = block_transfers(fine, coarse)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 3, *other)))
    torch.testing.assert_close(down(up(noise)), noise, atol=1e-14, rtol=0)
    plane = on(fine, lambda *x: 1 + sum((2 + i) * c for i, c in enumerate(x)))
    inner = (
        slice(None),
        slice(None),
        *(slice(n // m, n - n // m) for n, m in zip(shape, other, strict=True)),
    )
    torch.testing.assert_close(up(down(plane))[inner], plane[inner], atol=1e-13, rtol=0)


def test_blocks_make_no_new_extremum():
    """Of the blocks 0 0 1 1 0 0: slopes vanish at extrema, so a front keeps its heights; by waves it rings."""
    fine, coarse = Grid.regular(24, 1.0), Grid.regular(6, 1.0)
    front = torch.zeros(1, 1, 24, dtype=torch.float64)
    front[..., 8:16] = 1
    down, up = block_transfers(fine, coarse)
    torch.testing.assert_close(down(front)[0, 0], torch.tensor([0, 0, 1, 1, 0, 0], dtype=torch.float64))
    torch.testing.assert_close(up(down(front)), front)
    assert (
        float(resampled(resampled(front, Waves(fine), Waves(coarse)), Waves(coarse), Waves(fine)).max()) > 1.1
    )
    # The middle of 0, 1, 4: the limits are 2 and 6, the mean of both differences 2.
    steps = torch.tensor([0, 1, 4, 4, 4, 0], dtype=torch.float64).repeat_interleave(4)[None, None]
    torch.testing.assert_close(up(down(steps))[0, 0, 4:8], 1 + 2 * torch.tensor([-3, -1, 1, 3]).double() / 8)


def test_a_coarse_finite_volume_step_is_the_step_of_the_means():
    """Burgers by Engquist-Osher: P S R u has the means S R u, and one step from a front keeps its bounds."""
    fine, coarse, equation = Grid.regular(36, 1.0), Grid.regular(12, 1.0), Burgers(0.0)
    solver = Solver(equation, coarse, 0.02, "ssprk3")
    state = on(fine, lambda x: np.where(x < 0.4, 1.0, 0.2))
    step = Coarse(solver, fine, "means")
    means = state.unflatten(2, (12, 3)).mean(3)
    torch.testing.assert_close(step(state).unflatten(2, (12, 3)).mean(3), solver(means), atol=1e-14, rtol=0)
    found = rollout(step, state, 5)
    assert float(found.min()) >= 0.2 - 1e-14
    assert float(found.max()) <= 1 + 1e-14


def test_the_sphere_by_its_harmonics():
    """Two degrees of the harmonics fit on both; the sixth is lost on rows for four."""
    fine, coarse = Grid.gaussian(10, 20), Grid.gaussian(7, 13)
    long = on(fine, lambda lat, lon: np.cos(np.deg2rad(lat)) * np.sin(np.deg2rad(lon)))
    short = on(fine, lambda lat, lon: np.cos(np.deg2rad(lat)) ** 6 * np.cos(6 * np.deg2rad(lon)))
    down, up = harmonic_transfers(fine, coarse)
    wanted = on(coarse, lambda lat, lon: np.cos(np.deg2rad(lat)) * np.sin(np.deg2rad(lon)))
    torch.testing.assert_close(down(long + short), wanted, atol=1e-12, rtol=0)
    torch.testing.assert_close(up(down(long + short)), long, atol=1e-12, rtol=0)
    speed = 40.0
    solver = Solver(SphereAdvection(speed, 0.0), coarse, 6 * 3600.0, "rk4", 8)
    turned = 6 * 3600 * speed / (1000 * fine.radius)
    moved = on(fine, lambda lat, lon: np.cos(np.deg2rad(lat)) * np.sin(np.deg2rad(lon) - turned))
    torch.testing.assert_close(Coarse(solver, fine)(long), moved, atol=1e-8, rtol=0)


def test_refusals():
    fine = Grid.regular(16, 2.0)

    def solver(n, length, **how):
        return Solver(Diffusion(0.1), Grid.regular(n, length, **how), 0.1)

    with pytest.raises(InputError, match="expected a grid of the solver's domain .*: solve on that domain"):
        Coarse(solver(8, 3.0), fine)
    with pytest.raises(
        InputError, match=r"expected at most \[16\] cells of a coarse solver, got \[32\]: take fewer"
    ):
        Coarse(solver(32, 2.0), fine)
    with pytest.raises(InputError, match="expected periodic axes or reflecting walls for Fourier space"):
        Coarse(solver(8, 2.0, periodic=False), Grid.regular(16, 2.0, periodic=False))
    with pytest.raises(
        InputError, match=r"expected a plane grid that \[5\] cells divide, got .*: transfer by waves"
    ):
        Coarse(solver(5, 2.0), fine, "means")
    with pytest.raises(InputError, match="expected one of the ways to a coarser grid"):
        Coarse(solver(8, 2.0), fine, "luck")
