"""Waves against d'Alembert, their energy and their walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Solver, Wave
from gridvit.rollout import repeat


def state(*fields: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(fields))[None]


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4), (6, 6)])
def test_travelling_wave(accuracy, order):
    """u = exp(sin(x - c t)) and u_t = -c u_x."""
    errors = []
    for n in (24, 48):
        grid = Grid.regular(n, 2 * np.pi)
        x, c, t = grid.centers[0], 1.5, 0.4
        start = state(np.exp(np.sin(x)), -c * np.cos(x) * np.exp(np.sin(x)))
        after = Solver(Wave(c), grid, t, "etdrk4", accuracy=accuracy)(start)[0, 0].numpy()
        errors.append(np.abs(after - np.exp(np.sin(x - c * t))).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_spectral_wave_is_exact_in_one_step():
    grid = Grid.regular((8, 9), (2 * np.pi, 4 * np.pi))
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    k, t = np.hypot(2, 0.5), 7.3
    shape = np.cos(2 * y + x / 2)
    found = Solver(Wave(1.2), grid, t, "etdrk4", accuracy="spectral")(state(shape, 0 * shape))[0].numpy()
    np.testing.assert_allclose(found[0], np.cos(1.2 * k * t) * shape, atol=1e-12)
    np.testing.assert_allclose(found[1], -1.2 * k * np.sin(1.2 * k * t) * shape, atol=1e-12)


def energy(u: torch.Tensor, c: float) -> float:
    """sum of (v^2 + c^2 (difference to the next cell)^2) / 2 on cells of width one."""
    slopes = (u[:, :1].roll(-1, 2) - u[:, :1]) ** 2 + (u[:, :1].roll(-1, 3) - u[:, :1]) ** 2
    return float((u[:, 1:] ** 2 + c**2 * slopes).sum() / 2)


def test_energy_is_kept_by_the_differences_and_to_its_order_by_runge_kutta(rng):
    grid, u = Grid.regular((7, 8)), torch.from_numpy(rng.standard_normal((1, 2, 7, 8)))
    before = energy(u, 1.3)
    exact = Solver(Wave(1.3), grid, 2.0, "etdrk4")(u)
    assert energy(exact, 1.3) == pytest.approx(before, rel=1e-12)
    losses = [energy(Solver(Wave(1.3), grid, 2.0, "rk4", n)(u), 1.3) / before - 1 for n in (24, 48)]
    assert losses[0] < 0
    assert np.log2(losses[0] / losses[1]) == pytest.approx(5, abs=0.1)


def test_walls_turn_or_return_a_pulse():
    """Two crossings of the domain: a fixed wall turns the pulse over, a free one returns it."""
    grid = Grid.regular(80, 20.0, periodic=False)
    x = grid.centers[0]
    pulse = np.exp(-((x - 7) ** 2))
    start = state(pulse, 2 * (x - 7) * pulse)  # runs to higher x
    for boundary, sign in (("dirichlet", -1), ("neumann", 1)):
        after = Solver(Wave(), grid, 20.0, "etdrk4", accuracy=6, boundary=boundary)(start)[0, 0].numpy()
        np.testing.assert_allclose(after, sign * np.exp(-((x - 13) ** 2)), atol=2e-3)
        twice = repeat(Solver(Wave(), grid, 20.0, "etdrk4", accuracy=6, boundary=boundary), start, 2)
        np.testing.assert_allclose(twice[0, 0].numpy(), pulse, atol=4e-3)


def test_stable_step_is_stable_and_not_much_too_small(rng):
    grid, u = Grid.regular((6, 8)), torch.from_numpy(rng.standard_normal((1, 2, 6, 8)))
    limit = Wave(2.0).stable_step(grid)
    calm = repeat(Solver(Wave(2.0), grid, limit, "ssprk3"), u, 200)
    assert energy(calm, 2.0) <= energy(u, 2.0)
    wild = repeat(Solver(Wave(2.0), grid, 1.1 * limit, "ssprk3"), u, 200)
    assert energy(wild, 2.0) > 1e3 * energy(u, 2.0)


def test_refusals():
    with pytest.raises(
        InputError, match=r"expected a speed of zero or more, got -1\.0: correct its sign or size"
    ):
        Wave(-1)
    with pytest.raises(InputError, match="expected the variables u, v of Wave in 1 dimensions, got 1"):
        Wave().rhs(Grid.regular(5))(torch.zeros(1, 1, 5))
