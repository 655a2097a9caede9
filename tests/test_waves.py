"""Dissipation, errors after n steps and orders against closed forms of the schemes."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.waves import error_slope, wave_errors
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.equations import AdvectionDiffusion
from gridvit.physics.schemes import SCHEMES
from gridvit.stencil import Stencil


@pytest.mark.parametrize(
    ("weights", "c", "r", "slope"),
    [
        ([0.4, 0.6, 0.0], 0.4, 0.0, 2),  # upwind
        ([0.28, 0.84, -0.12], 0.4, 0.0, 3),  # Lax-Wendroff: c (1 + c) / 2, 1 - c^2, -c (1 - c) / 2
        ([0.3, 0.4, 0.3], 0.0, 0.3, 4),  # FTCS
        ([1 / 6, 2 / 3, 1 / 6], 0.0, 1 / 6, 6),  # FTCS at r = 1/6
    ],
)
def test_slopes_of_the_error_of_long_waves(weights: list[float], c: float, r: float, slope: int) -> None:
    """SCIENCE 5: the slopes of log|G - G_exact| are 2, 3, 4 and 6 as theta goes to 0."""
    stencil, theta = (
        Stencil(np.array([[-1], [0], [1]]), np.array(weights), np.ones(1)),
        np.array([0.06, 0.12]),
    )
    exact = np.exp(-1j * c * theta - r * theta**2)
    assert error_slope(theta, stencil.symbol(theta[:, None]), exact) == pytest.approx(slope, abs=0.02)


def test_the_table_of_a_grid_is_that_of_closed_forms() -> None:
    """SCIENCE 5: |G|^2 = 1 - 4 c (1 - c) sin^2(theta / 2) of upwind; the errors of n steps by powers."""
    n, c, steps = 37, 0.3, (1, 5)
    grid = Grid.regular((n,))
    equation = AdvectionDiffusion(velocity=(c,), diffusivity=0.0)
    schemes = {
        name: SCHEMES[name](equation, grid, 1.0).stencil() for name in ("upwind", "lax-wendroff", "exact")
    }
    found = wave_errors(schemes, grid, courant=(c,), steps=steps)
    theta = 2 * np.pi * np.arange(1, 19) / n
    np.testing.assert_allclose(found.theta, theta)
    upwind = found.sel(scheme="upwind", direction="x")
    np.testing.assert_allclose(
        upwind.dissipation, np.sqrt(1 - 4 * c * (1 - c) * np.sin(theta / 2) ** 2) - 1, atol=1e-12
    )
    g = 1 - c * (1 - np.exp(-1j * theta))
    for step in steps:
        want = np.abs(g**step - np.exp(-1j * c * theta * step))
        np.testing.assert_allclose(upwind.n_step_error.sel(step=step), want, atol=1e-10)
    np.testing.assert_allclose(found.formal_order.sel(direction="x")[:2], [1, 2], atol=0.05)
    assert np.isnan(found.formal_order.sel(scheme="exact")).all()
    np.testing.assert_allclose(found.dissipation.sel(scheme="exact"), 0, atol=1e-13)


def test_an_axis_that_only_diffuses_has_its_order_of_two() -> None:
    grid = Grid.regular((41, 4))
    equation = AdvectionDiffusion(velocity=(0.0, 0.2), diffusivity=0.1)
    schemes = {name: SCHEMES[name](equation, grid, 1.0).stencil() for name in ("ftcs", "exact")}
    order = wave_errors(schemes, grid, courant=(0.0, 0.2)).formal_order.sel(scheme="ftcs")
    assert float(order.sel(direction="y")) == pytest.approx(2, abs=0.05)
    assert np.isnan(order.sel(direction="x"))  # four cells have one wave below Nyquist


def test_the_scheme_to_hold_against_must_be_there() -> None:
    with pytest.raises(
        InputError, match="expected one of a, got 'exact': name the scheme to hold the others against"
    ):
        wave_errors({"a": Stencil.identity(1)}, Grid.regular((9,)))
