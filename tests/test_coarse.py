"""Coarse solvers as steps of a finer grid, against functions that are known at every point."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Burgers, Coarse, Diffusion, ShallowWater, Solver
from gridvit.physics.coarse import resampled
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
