"""Two-dimensional flow: Taylor-Green, Kolmogorov, Arakawa's invariants, orders."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import AdvectionDiffusion, Diffusion, Solver, Vorticity
from gridvit.physics.vorticity import streamfunction
from gridvit.rollout import repeat

SIDE = 2 * np.pi


def batch(u: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(u)[None, None]


def mesh(grid: Grid) -> list[np.ndarray]:
    return np.meshgrid(*grid.centers, indexing="ij")


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4), ("spectral", None)])
def test_taylor_green_decays_in_place(accuracy, order):
    """w = 2 cos x cos y exp(-2 nu t)."""
    errors = []
    for n in (12, 24):
        grid = Grid.regular((n, n), (SIDE, SIDE))
        y, x = mesh(grid)
        start = 2 * np.cos(x) * np.cos(y)
        after = Solver(Vorticity(0.3), grid, 1.0, "etdrk4", 10, accuracy)(batch(start))[0, 0].numpy()
        errors.append(np.abs(after - start * np.exp(-0.6)).max())
    if order is None:
        assert max(errors) < 1e-12
    else:
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4)])
def test_right_hand_side_converges(accuracy, order):
    """psi = sin(x) cos(2 y) + cos(3 x): w = -5 sin(x) cos(2 y) - 9 cos(3 x), J = psi_x w_y - psi_y w_x."""
    errors = []
    for n in (32, 64):
        grid = Grid.regular((n, n + 1), (SIDE, SIDE))
        y, x = mesh(grid)
        w = -5 * np.sin(x) * np.cos(2 * y) - 9 * np.cos(3 * x)
        psi_x, psi_y = np.cos(x) * np.cos(2 * y) - 3 * np.sin(3 * x), -2 * np.sin(x) * np.sin(2 * y)
        w_x, w_y = -5 * np.cos(x) * np.cos(2 * y) + 27 * np.sin(3 * x), 10 * np.sin(x) * np.sin(2 * y)
        diffused = 0.1 * (25 * np.sin(x) * np.cos(2 * y) + 81 * np.cos(3 * x))
        found = Vorticity(0.1).rhs(grid, accuracy)(batch(w))[0, 0].numpy()
        errors.append(np.abs(found - diffused + psi_x * w_y - psi_y * w_x).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("accuracy", [2, 4])
@pytest.mark.parametrize("shape", [(8, 7), (6, 10)])
def test_arakawa_keeps_vorticity_enstrophy_and_energy(accuracy, shape, rng):
    grid = Grid.regular(shape, (5.0, 6.0))
    w = torch.from_numpy(rng.standard_normal((2, 1, *shape)))
    w = w - w.mean((2, 3), keepdim=True)
    change = Vorticity(0.0).rhs(grid, accuracy)(w)
    psi = streamfunction(grid, accuracy)(w)
    for weight in (torch.ones_like(w), w, psi):
        assert (weight * change).sum((2, 3)).abs().max() < 1e-12
    assert change.abs().max() > 0.1


def test_arakawa_by_its_nine_points(rng):
    """Arakawa 1966, equations 36 to 38 and 44, on cells of width d."""
    grid, d = Grid.regular((5, 6), (2.5, 3.0)), 0.5
    w = rng.standard_normal((5, 6))
    w -= w.mean()
    p = streamfunction(grid)(batch(w))[0, 0].numpy()

    def at(field: np.ndarray, i: int, j: int) -> np.ndarray:
        return np.roll(field, (-j, -i), (0, 1))  # i along x, j along y

    def pair(a: np.ndarray, i: int, j: int, k: int, m: int) -> np.ndarray:
        return at(a, i, j) - at(a, k, m)

    plus = pair(w, 1, 0, -1, 0) * pair(p, 0, 1, 0, -1) - pair(w, 0, 1, 0, -1) * pair(p, 1, 0, -1, 0)
    cross = at(w, 1, 0) * pair(p, 1, 1, 1, -1) - at(w, -1, 0) * pair(p, -1, 1, -1, -1)
    cross -= at(w, 0, 1) * pair(p, 1, 1, -1, 1) - at(w, 0, -1) * pair(p, 1, -1, -1, -1)
    other = at(p, 0, 1) * pair(w, 1, 1, -1, 1) - at(p, 0, -1) * pair(w, 1, -1, -1, -1)
    other -= at(p, 1, 0) * pair(w, 1, 1, 1, -1) - at(p, -1, 0) * pair(w, -1, 1, -1, -1)
    # His J(w, psi) is what carries w: minus our J(psi, w) in w_t = -J(psi, w).
    expected = (plus + cross + other) / (12 * d**2)
    found = Vorticity(0.0).rhs(grid)(batch(w))[0, 0].numpy()
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_invariants_drift_as_the_order_of_time():
    grid = Grid.regular((16, 16), (SIDE, SIDE))
    y, x = mesh(grid)
    w = batch(np.cos(2 * x + y) + 0.7 * np.sin(x - 2 * y) + 0.5 * np.cos(y) + np.sin(3 * x))
    drifts = []
    for n in (40, 80):
        after = Solver(Vorticity(0.0), grid, 8.0, "rk4", n)(w)
        drifts.append(abs(float((after**2).sum() / (w**2).sum()) - 1))
    assert (after - w).abs().max() > 1
    assert np.log2(drifts[0] / drifts[1]) == pytest.approx(5, abs=0.5)


def test_kolmogorov_flow_comes_to_rest():
    """w = f / (nu K^2 + mu) where the flow is parallel; f = -A K cos(K y)."""
    grid = Grid.regular((12, 8), (SIDE, SIDE))
    y, _ = mesh(grid)
    equation = Vorticity(0.5, 0.2, 0.3, 2)
    exact = -0.3 * 2 * np.cos(2 * y) / (0.5 * 4 + 0.2)
    assert equation.rhs(grid, "spectral")(batch(exact)).abs().max() < 1e-13
    after = Solver(equation, grid, 40.0, "etdrk4", 40, "spectral")(
        torch.zeros(1, 1, 12, 8, dtype=torch.float64)
    )
    np.testing.assert_allclose(after[0, 0].numpy(), exact, atol=1e-12)


def test_streamfunction_of_waves():
    grid = Grid.regular((8, 9), (SIDE, SIDE))
    y, x = mesh(grid)
    found = streamfunction(grid, "spectral")(batch(np.cos(2 * x - y) + 3))
    np.testing.assert_allclose(found[0, 0].numpy(), -np.cos(2 * x - y) / 5, atol=1e-14)


def test_a_slip_wall_mirrors_the_flow():
    """Between walls where psi = w = 0 the flow is the half of a periodic one whose other half is its image."""
    grid, whole = Grid.regular((6, 8), periodic=(False, True)), Grid.regular((12, 8))
    y, x = np.pi * grid.centers[0][:, None] / 6, 2 * np.pi * grid.centers[1] / 8
    w = np.sin(y) * np.cos(x) + 0.6 * np.sin(2 * y) * np.sin(2 * x + 1)
    both = np.concatenate([w, -w[::-1]])
    for name in ("rk4", "etdrk4"):
        walls = Solver(Vorticity(0.02), grid, 3.0, name, 20, boundary="dirichlet")(batch(w))
        image = Solver(Vorticity(0.02), whole, 3.0, name, 20)(batch(both))
        torch.testing.assert_close(walls, image[:, :, :6])


def test_a_small_eddy_is_carried_by_a_large_one():
    """Without eddies' own flow J is advection: a wave along y in the parallel flow u = sin(y) at its middle."""
    grid = Grid.regular((24, 24), (SIDE, SIDE))
    y, x = mesh(grid)
    shear, eddy = -np.cos(y), 1e-7 * np.sin(12 * y / 2 + x)
    change = Vorticity(0.0).rhs(grid, "spectral")(batch(shear + eddy))[0, 0].numpy()
    # u = -psi_y with psi = cos(y): u = sin(y); the eddy's own flow carries the shear's vorticity, w_y = sin(y).
    own = 1e-7 * np.cos(6 * y + x) * (-1 / 37)  # v = psi_x of the eddy
    np.testing.assert_allclose(
        change / 1e-7, -np.sin(y) * np.cos(6 * y + x) - own / 1e-7 * np.sin(y), atol=1e-6
    )


def test_slow_flow_is_diffusion(rng):
    grid, w = Grid.regular((5, 8)), torch.from_numpy(rng.standard_normal((1, 1, 5, 8)))
    slow = Vorticity(0.3).rhs(grid)(1e-9 * w) / 1e-9
    torch.testing.assert_close(slow, Diffusion(0.3).rhs(grid)(w), atol=1e-7, rtol=0)
    assert AdvectionDiffusion((0, 0), 0.3).linear(2) == Vorticity(0.3).linear(2).diagonal(
        {(2, 0): 0.3, (0, 2): 0.3}
    )


def test_stable_step_holds(rng):
    grid = Grid.regular((12, 12), (SIDE, SIDE))
    y, x = mesh(grid)
    w = batch(2 * np.cos(2 * x) + np.cos(x + 3 * y))
    equation = Vorticity(0.05)
    after = repeat(Solver(equation, grid, equation.stable_step(grid, 1.5), "ssprk3"), w, 100)
    assert (after**2).sum() < (w**2).sum()


def test_refusals():
    with pytest.raises(
        InputError, match="expected two dimensions for Vorticity, got 1: give a grid with two axes"
    ):
        Solver(Vorticity(), Grid.regular(5), 0.1)(torch.zeros(1, 1, 5))
    with pytest.raises(InputError, match=r"expected a viscosity of zero or more, got -1\.0"):
        Vorticity(-1)
    with pytest.raises(InputError, match="expected a forcing that is finite, got inf"):
        Vorticity(forcing=float("inf"))
    with pytest.raises(InputError, match="expected periodic axes or reflecting walls for Fourier space"):
        Solver(Vorticity(), Grid.regular((5, 6), periodic=False), 0.1)(torch.zeros(1, 1, 5, 6))
