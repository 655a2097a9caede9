"""What a stencil follows: Burgers' equation against its Jacobian by hand, and linear steps, which follow nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from test_probe import Handmade, noise

from gridvit.analysis.dependence import local_regression, state_share, upwind_index
from gridvit.analysis.probe import patch_cells, probe
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.equations import Burgers
from gridvit.physics.solve import Solver
from gridvit.stencil import Stencil


def test_a_linear_step_does_not_depend_on_the_state() -> None:
    grid = Grid.regular(7)
    rows = probe(Handmade(grid, lambda u: 2 * u - u.roll(1, -1)), noise(grid, 3), patch_cells((7,)))
    share, offsets = state_share(rows)
    assert share < 1e-28
    assert np.abs(offsets.weights).max() < 1e-28


def test_the_share_of_a_planted_dependence() -> None:
    """J(0) = 2 + u and J(-1) = 1: the variance of u over that and 2^2, from two states u = +-0.5 everywhere."""
    grid = Grid.regular(5)
    states = torch.full((2, 1, 5), 0.5, dtype=torch.float64)
    states[1] *= -1
    rows = probe(Handmade(grid, lambda u: 2 * u + u.square() / 2 + u.roll(1, -1)), states, patch_cells((5,)))
    share, offsets = state_share(rows)
    # The unbiased variance of +-0.5 is 0.5, and what is left of the mean square 4.25 is 3.75.
    np.testing.assert_allclose(offsets.weights[offsets.offsets[:, 0] == 0], 0.5 / 4.25)
    np.testing.assert_allclose(offsets.weights[offsets.offsets[:, 0] == -1], 0)
    assert share == pytest.approx(0.5 / 5.25)
    with pytest.raises(InputError, match="expected rows at two states or more, got dims"):
        state_share(rows.isel(state=0))


@pytest.mark.parametrize("n", [23, 30])
def test_burgers_takes_from_upwind_and_moves_with_the_state(n: int) -> None:
    """SCIENCE 19: J(i, i - 1) = r max(u_{i-1}, 0), J(i, i + 1) = -r min(u_{i+1}, 0), its mean by hand."""
    grid, dt = Grid.regular(n, 2.0), 0.03
    step = Solver(Burgers(viscosity=0.0, flux="engquist-osher"), grid, dt, tableau="euler")
    state = torch.sin(2 * torch.pi * (torch.arange(n, dtype=torch.float64) + 0.3) / n)[None, None]
    cells = patch_cells((n,))
    rows = probe(step, state, cells)
    u, ratio = state[:, 0].numpy(), dt * n / 2.0
    low, high = np.maximum(np.roll(u, 1), 0), np.maximum(-np.roll(u, -1), 0)
    counts = low + high > 0
    want = (np.sign(u) * (low - high))[counts] / (low + high)[counts]
    assert upwind_index(rows, u) == pytest.approx(want.mean(), rel=1e-12)
    assert want.mean() > 0.9
    found = local_regression(rows, u, cells)
    # -m_1 = r (max(u_-, 0) + min(u_+, 0)): fitted here by hand on the same four columns
    design = np.stack([np.ones(n), u[0], np.sign(u[0]), (np.roll(u, -1) - np.roll(u, 1))[0] / 2], -1)
    by_hand = np.linalg.lstsq(design, ratio * (low - high)[0], rcond=None)[0]
    np.testing.assert_allclose(found.displacement_slope, by_hand, rtol=1e-9, atol=1e-12)
    assert float(found.displacement_slope.sel(term="u")) == pytest.approx(ratio, rel=0.1)
    moved = ratio * (low - high)[0]
    left = ((moved - design @ by_hand) ** 2).mean() / moved.var()
    assert float(found.displacement_explained) == pytest.approx(1 - left, rel=1e-10)
    assert left < 0.1


def test_a_central_scheme_has_no_side() -> None:
    grid = Grid.regular(11)
    step = Handmade(grid, lambda u: u - 0.2 * u * (u.roll(-1, -1) - u.roll(1, -1)))
    state = noise(grid)
    rows = probe(step, state, patch_cells((11,)))
    assert upwind_index(rows, state[:, 0].numpy()) == pytest.approx(0.0, abs=1e-14)
    with_upwind = probe(Handmade(grid, lambda u: u - 0.2 * (u - u.roll(1, -1))), state, patch_cells((11,)))
    assert upwind_index(with_upwind, np.ones((2, 11))) == 1.0
    assert upwind_index(with_upwind, -np.ones((2, 11))) == -1.0


def test_cells_that_take_from_neither_side_do_not_count() -> None:
    rows = Stencil(np.array([[0], [-1]]), np.array([[[1.0, 0.0], [0.5, 0.5]]]), np.ones(1), ("state", "cell"))
    assert upwind_index(rows, np.array([[1.0, 2.0]])) == 1.0
    assert np.isnan(upwind_index(rows, np.zeros((1, 2))))
