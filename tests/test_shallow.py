"""Shallow water on a rotating plane: balance, waves, walls, invariants and special cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import ShallowWater, Solver, Wave
from gridvit.rollout import repeat

SIDE = 2 * np.pi


def batch(*fields: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(fields))[None]


def mesh(grid: Grid) -> list[np.ndarray]:
    return np.meshgrid(*grid.centers, indexing="ij")


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4)])
def test_right_hand_side_converges(accuracy, order):
    errors = []
    for n in (32, 64):
        grid = Grid.regular((n, n + 1), (SIDE, SIDE))
        y, x = mesh(grid)
        eta, u, v = 0.3 * np.sin(x + y), np.cos(x - 2 * y), 0.5 * np.sin(2 * x)
        eta_x = eta_y = 0.3 * np.cos(x + y)
        u_x, u_y, v_x = -np.sin(x - 2 * y), 2 * np.sin(x - 2 * y), np.cos(2 * x)
        f = 0.7 + 0.2 * (y - np.pi)
        spin = f + v_x - u_y
        expected = [
            -(2 + eta) * u_x - eta_x * u - eta_y * v,
            spin * v - 9 * eta_x - u * u_x - v * v_x - 0.1 * 5 * u - 0.3 * u,
            -spin * u - 9 * eta_y - u * u_y - 0.1 * 4 * v - 0.3 * v,
        ]
        equation = ShallowWater(9.0, 2.0, 0.7, 0.2, 0.1, 0.3)
        found = equation.rhs(grid, accuracy)(batch(eta, u, v))[0].numpy()
        errors.append(np.abs(found - np.stack(expected)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("walls", [(True, True), (False, True), (False, False)])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_mass_and_energy_are_kept(walls, accuracy, rng):
    grid = Grid.regular((7, 8), (3.5, 8.0), periodic=walls)
    state = 0.2 * torch.from_numpy(rng.standard_normal((2, 3, 7, 8)))
    equation = ShallowWater(2.0, 1.5, 0.8, 0.3)
    change = equation.rhs(grid, accuracy, "wall")(state)
    eta, u, v = state.unbind(1)
    eta_t, u_t, v_t = change.unbind(1)
    assert eta_t.sum((1, 2)).abs().max() < 1e-13
    power = (2.0 * eta + (u**2 + v**2) / 2) * eta_t + (1.5 + eta) * (u * u_t + v * v_t)
    assert power.sum((1, 2)).abs().max() < 1e-12
    assert change.abs().max() > 0.1


def test_energy_drifts_as_the_order_of_time(rng):
    grid = Grid.regular((7, 8), periodic=(False, True))
    state = 0.1 * torch.from_numpy(rng.standard_normal((1, 3, 7, 8)))

    def energy(s: torch.Tensor) -> float:
        return float(((1 + s[:, 0]) * (s[:, 1] ** 2 + s[:, 2] ** 2) + s[:, 0] ** 2).sum() / 2)

    drifts = []
    for n in (30, 60):
        after = Solver(ShallowWater(coriolis=0.5), grid, 6.0, "rk4", n, boundary="wall")(state)
        drifts.append(energy(after) / energy(state) - 1)
    assert drifts[0] < 0
    assert np.log2(drifts[0] / drifts[1]) == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("boundary", ["periodic", "wall"])
def test_a_jet_in_geostrophic_balance_stays(boundary):
    """f u = -g eta_y with v = 0 is an exact solution of the nonlinear equations.

    Here eta_y = u = u_y = 0 at the walls, where the mirror image is then smooth.
    """
    errors = []
    for n in (32, 64):
        grid = Grid.regular((n, 5), (SIDE, 5.0), periodic=(boundary == "periodic", True))
        y, _ = mesh(grid)
        state = batch(0.2 * (np.cos(y) - np.cos(3 * y) / 9), 0.5 * (np.sin(y) - np.sin(3 * y) / 3), 0 * y)
        change = ShallowWater(1.5, 1.0, 0.6).rhs(grid, boundary="wall")(state)
        errors.append(float(change.abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.1)
    if boundary == "periodic":
        assert ShallowWater(1.5, 1.0, 0.6).rhs(grid, "spectral")(state).abs().max() < 1e-13


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4)])
def test_poincare_waves(accuracy, order):
    """eta = e cos(k x - w t), u = e w / (H k) cos, v = e f / (H k) sin with w^2 = f^2 + g H k^2."""
    g, depth, f, k, e, t = 2.0, 0.5, 0.8, 2, 1e-7, 1.3
    w = np.sqrt(f**2 + g * depth * k**2)
    errors = []
    for n in (24, 48):
        grid = Grid.regular((5, n), (5.0, SIDE))
        _, x = mesh(grid)

        def wave(time: float) -> np.ndarray:
            phase = k * x - w * time  # noqa: B023
            return np.stack([np.cos(phase), w / (depth * k) * np.cos(phase), f / (depth * k) * np.sin(phase)])

        solver = Solver(ShallowWater(g, depth, f), grid, t, "etdrk4", 60, accuracy)
        errors.append(np.abs(solver(batch(*(e * wave(0.0))))[0].numpy() / e - wave(t)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_kelvin_wave_runs_along_its_wall():
    """eta = u = e exp(-y) cos(x - t), v = 0 (g = H = f = 1). eta_y is not zero at the wall, so that the mirror image
    has a kink there and the error falls as h."""
    errors = []
    for n in (20, 40):
        grid = Grid.regular((2 * n, 12), (12.0, SIDE), periodic=(False, True))
        y, x = mesh(grid)
        start, end = np.exp(-y) * np.cos(x), np.exp(-y) * np.cos(x - 1.5)
        solver = Solver(ShallowWater(coriolis=1.0), grid, 1.5, "rk4", n, 4, "wall")
        after = solver(1e-7 * batch(start, start, 0 * x))[0].numpy() / 1e-7
        errors.append(np.abs(after - np.stack([end, end, 0 * x])).max())
    assert np.abs(start - end).max() > 1
    assert errors[1] < 0.15
    assert np.log2(errors[0] / errors[1]) == pytest.approx(1, abs=0.3)


def test_small_and_at_rest_it_is_the_wave_equation(rng):
    """eta_tt = g H lap eta, differences of twice the width being those of first differences applied twice."""
    grid = Grid.regular((8, 9), (SIDE, SIDE))
    y, x = mesh(grid)
    eta = np.cos(2 * x - y)
    water = Solver(ShallowWater(3.0, 0.5), grid, 0.9, "etdrk4", 4, "spectral")
    waves = Solver(Wave(np.sqrt(1.5)), grid, 0.9, "etdrk4", 1, "spectral")
    small = 1e-8 * batch(eta, 0 * eta, 0 * eta)
    torch.testing.assert_close(
        water(small)[:, :1] / 1e-8, waves(batch(eta, 0 * eta))[:, :1], atol=1e-6, rtol=0
    )


def test_stable_step_holds_between_walls(rng):
    grid = Grid.regular((6, 7), periodic=False)
    state = 0.05 * torch.from_numpy(rng.standard_normal((1, 3, 6, 7)))
    equation = ShallowWater(viscosity=0.1, coriolis=0.3)
    after = repeat(
        Solver(equation, grid, equation.stable_step(grid, 0.3), "ssprk3", boundary="wall"), state, 300
    )
    assert (after**2).sum() < (state**2).sum()
    torch.testing.assert_close(after[:, 0].sum(), state[:, 0].sum())


def test_refusals():
    with pytest.raises(InputError, match="expected two dimensions for ShallowWater, got 1"):
        ShallowWater().variables(1)
    with pytest.raises(
        InputError, match=r"expected a depth of zero or more, got -2\.0: correct its sign or size"
    ):
        ShallowWater(depth=-2)
    with pytest.raises(
        InputError, match="expected the variables eta, u, v of ShallowWater in 2 dimensions, got 2"
    ):
        ShallowWater().rhs(Grid.regular((5, 7)))(torch.zeros(1, 2, 5, 7))
