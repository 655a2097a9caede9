"""The right-hand side of Burgers' equation: fluxes by hand, exact derivatives and special cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Burgers, Diffusion


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(4).standard_normal(shape))


@pytest.mark.parametrize("n", [11, 12])
def test_engquist_osher_flux_by_hand(n):
    grid = Grid.regular(n, 2.2)
    u = noise(2, 1, n).numpy()
    right = np.roll(u, -1, axis=-1)
    flux = (np.maximum(u, 0) ** 2 + np.minimum(right, 0) ** 2) / 2
    expected = -(flux - np.roll(flux, 1, axis=-1)) / grid.spacing[0]
    found = Burgers(0.0).rhs(grid)(torch.from_numpy(u))
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-13)


def test_central_flux_by_hand():
    grid = Grid.regular(11, 2.2)
    u = noise(2, 1, 11)
    expected = -(torch.roll(u, -1, 2) ** 2 - torch.roll(u, 1, 2) ** 2) / (4 * 0.2)
    torch.testing.assert_close(Burgers(0.0, "central").rhs(grid)(u), expected)


@pytest.mark.parametrize("flux", ["engquist-osher", "central"])
def test_burgers_conserves_mass(flux):
    change = Burgers(0.05, flux).rhs(Grid.regular(13, 2.0))(noise(3, 1, 13))
    assert change.sum(-1).abs().max() < 1e-12


@pytest.mark.parametrize("flux", ["engquist-osher", "central"])
@pytest.mark.parametrize("along", ["x", "y"])
def test_burgers_without_cross_flow_is_one_dimensional(flux, along):
    line, plane = Grid.regular(7, 2.0), Grid.regular((7, 7), (2.0, 2.0))
    u = noise(1, 1, 7)
    alone = Burgers(0.05, flux).rhs(line)(u)[0, 0]
    state = torch.zeros(1, 2, 7, 7, dtype=torch.float64)
    component = 0 if along == "x" else 1
    state[0, component] = u[0, 0].expand(7, 7) if along == "x" else u[0, 0, :, None].expand(7, 7)
    change = Burgers(0.05, flux).rhs(plane)(state)
    expected = torch.zeros_like(state)
    expected[0, component] = alone.expand(7, 7) if along == "x" else alone[:, None].expand(7, 7)
    torch.testing.assert_close(change, expected)


@pytest.mark.parametrize(("flux", "order"), [("engquist-osher", 1), ("central", 2), ("central", 4)])
def test_two_dimensional_burgers_converges_to_the_derivatives(flux, order):
    errors = []
    for n in (64, 128):
        grid = Grid.regular((n, n), (2 * np.pi, 2 * np.pi))
        y, x = np.meshgrid(*grid.centers, indexing="ij")
        u, v = 1.5 + np.sin(x + 2 * y), 0.3 * np.cos(x - y)
        ux, vx = np.cos(x + 2 * y), -0.3 * np.sin(x - y)
        exact = [
            -u * ux - v * 2 * ux - 0.1 * 5 * np.sin(x + 2 * y),
            -u * vx + v * vx - 0.1 * 2 * v,
        ]
        found = Burgers(0.1, flux).rhs(grid, max(order, 2))(torch.from_numpy(np.stack([u, v]))[None])
        errors.append(np.abs(found[0].numpy() - np.stack(exact)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


def test_diffusion_is_what_is_left_of_slow_burgers():
    grid = Grid.regular((5, 7))
    u = noise(1, 2, 5, 7)
    rate = Burgers(0.3).rhs(grid)(1e-9 * u) / 1e-9
    torch.testing.assert_close(rate, Diffusion(0.3).rhs(grid)(u), atol=1e-7, rtol=0)


def test_flow_into_a_wall_is_padded_before_it_is_squared():
    grid = Grid.regular(3, periodic=False)
    u = torch.tensor([[[-1.0, -1.0, -1.0]]])
    # The ghost beyond the right wall is +1: no leftward flux enters there, and 1/2 leaves the last cell.
    found = Burgers(0.0).rhs(grid, boundary="dirichlet")(u).flatten().tolist()
    assert found == pytest.approx([0.5 - 0.5 + 0.5, 0.0, -(0.0 - 0.5)])


def test_burgers_stable_step():
    grid = Grid.regular((4, 4), (2.0, 4.0))
    assert Burgers(0.25).stable_step(grid, speed=3) == pytest.approx(1 / (6 + 3 + 2 + 0.5))


def test_burgers_refusals():
    with pytest.raises(InputError, match="got 'godunov': use"):
        Burgers(0.1, "godunov")
    with pytest.raises(
        InputError, match=r"expected a viscosity of zero or more, got -1\.0: correct its sign"
    ):
        Burgers(-1.0)
    with pytest.raises(
        InputError,
        match="expected one or two dimensions for Burgers, got 3: give a grid with one or two axes",
    ):
        Burgers(0.1).variables(3)
    with pytest.raises(InputError, match="expected the variables u, v of Burgers in 2 dimensions, got 1"):
        Burgers(0.1).rhs(Grid.regular((5, 7)))(torch.zeros(1, 1, 5, 7))
    assert Burgers(0.1).variables(1) == ("u",)
    assert Burgers(0.1).variables(2) == ("u", "v")
