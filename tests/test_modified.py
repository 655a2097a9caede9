"""The modified equation of schemes against Warming and Hyett's, and intervals against Student's."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from gridvit.analysis.modified import across_runs, interval, modified_equation
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil


def test_the_modified_equation_of_upwind() -> None:
    """SCIENCE 1, 21: -kappa_1 = c, kappa_2 = c (1 - c), kappa_3 = -c (1 - c) (1 - 2 c); h = 2, dt = 0.5."""
    c, h, dt, grid = 0.4, 2.0, 0.5, Grid.regular((127,), 254.0, units="m")
    found = modified_equation(
        Stencil(np.array([[-1], [0]]), np.array([c, 1 - c]), np.ones(1)), grid, dt, time_units="s"
    )
    assert float(found.modified_reaction) == pytest.approx(0, abs=1e-8)
    assert float(found.modified_velocity[0]) == pytest.approx(c * h / dt, abs=1e-8)
    assert float(found.modified_diffusivity[0, 0]) == pytest.approx(c * (1 - c) * h**2 / (2 * dt), rel=1e-5)
    dispersion = -c * (1 - c) * (1 - 2 * c) * h**3 / (6 * dt)
    assert float(found.modified_dispersion[0, 0, 0]) == pytest.approx(dispersion, rel=1e-3)
    assert found.modified_dispersion.units == "m^3 / s"
    assert found.modified_reaction.units == "1 / s"


def test_tensors_of_an_exact_propagator_with_growth() -> None:
    """log G = 0.05 - i c.theta - theta.R theta, whose tensors are read off, the mixed ones too."""
    grid, dt = Grid.regular((17, 24), (17.0, 48.0)), 0.25
    theta = np.stack(np.meshgrid(*(2 * np.pi * np.fft.fftfreq(n) for n in grid.shape), indexing="ij"), -1)
    c, r = np.array([0.7, -1.3]), np.array([[0.2, 0.05], [0.05, 0.1]])
    symbol = np.exp(0.05 - 1j * theta @ c - np.einsum("...i,ij,...j", theta, r, theta))
    found = modified_equation(Stencil.from_symbol(symbol, np.ones(2)), grid, dt)
    h = np.array([1.0, 2.0])
    assert float(found.modified_reaction) == pytest.approx(0.05 / dt, rel=1e-9)
    np.testing.assert_allclose(found.modified_velocity, c * h / dt, rtol=1e-9)
    np.testing.assert_allclose(found.modified_diffusivity, r * np.outer(h, h) / dt, rtol=1e-9)
    np.testing.assert_allclose(found.modified_dispersion, 0, atol=1e-7)


def test_the_mixed_dispersion_of_a_sheared_scheme() -> None:
    """Upwind along the diagonal: kappa_ijk is the same for every i, j, k, and so is the tensor with cells of one."""
    c, grid = 0.3, Grid.regular((32, 37))
    found = modified_equation(Stencil(np.array([[-1, -1], [0, 0]]), np.array([c, 1 - c]), np.ones(2)), grid)
    want = -c * (1 - c) * (1 - 2 * c) / 6
    np.testing.assert_allclose(found.modified_dispersion, np.full((2, 2, 2), want), rtol=0.05)
    np.testing.assert_allclose(found.modified_diffusivity, np.full((2, 2), c * (1 - c) / 2), rtol=0.01)


def test_leading_axes_stay_and_give_an_interval() -> None:
    grid, courant = Grid.regular((31,)), np.array([0.1, 0.2, 0.6])
    stencils = Stencil(np.array([[-1], [0]]), np.stack([courant, 1 - courant], -1), np.ones(1), ("state",))
    found = interval(modified_equation(stencils, grid), "state")
    # t of 97.5 % with two degrees of freedom is 4.30265.
    half = 4.30265 * np.std(courant, ddof=1) / np.sqrt(3)
    assert float(found.modified_velocity[0]) == pytest.approx(0.3, abs=1e-6)
    assert float(found.modified_velocity_low[0]) == pytest.approx(0.3 - half, abs=1e-5)
    assert float(found.modified_velocity_high[0]) == pytest.approx(0.3 + half, abs=1e-5)
    assert float(found.modified_velocity_spread[0]) == pytest.approx(np.std(courant, ddof=1), abs=1e-6)
    assert found.modified_velocity_low.long_name == "velocity of the modified equation, low end"


def test_seeds_make_an_interval_and_one_does_not() -> None:
    runs = [xr.Dataset({"velocity": ("axis", [v, 2 * v]), "name": "a"}) for v in (1.0, 2.0, 4.0, 5.0)]
    found = across_runs(runs)
    np.testing.assert_allclose(found.velocity, [3.0, 6.0])
    half = 3.18245 * np.sqrt(10 / 3) / 2
    np.testing.assert_allclose(found.velocity_high - found.velocity, [half, 2 * half], rtol=1e-5)
    assert set(found.data_vars) == {"velocity", "velocity_low", "velocity_high", "velocity_spread"}
    alone = interval(xr.Dataset({"a": ("run", [7.0])}), "run")
    assert float(alone.a) == 7.0
    assert np.isnan(alone.a_low)
    with pytest.raises(
        InputError, match="expected the Datasets of at least two runs, got 1: give one of each seed"
    ):
        across_runs(runs[:1])


def test_systems_and_small_grids_are_refused() -> None:
    with pytest.raises(
        InputError,
        match=r"expected one variable on at least 5 cells per axis, got 1 variables on \(4,\) cells",
    ):
        modified_equation(Stencil.identity(1), Grid.regular((4,)))
