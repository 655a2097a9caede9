"""Whether heads look where the signal comes from: heads by hand against counts by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.reach import attention_reach, outside_dependence
from gridvit.grid import Grid
from gridvit.physics.equations import AdvectionDiffusion
from gridvit.physics.schemes import SCHEMES
from gridvit.stencil import Stencil

OFFSETS = np.arange(-5, 6)[:, None]


def head(**weights: float) -> np.ndarray:
    """A row over offsets -5 to 5: ``m2=0.5`` is at -2, ``p1`` at +1."""
    row = np.zeros(11)
    for name, value in weights.items():
        row[5 + int(name[1:]) * (1 if name[0] == "p" else -1)] = value
    return row


def test_attention_to_where_the_signal_comes_from() -> None:
    """Patches of 2 cells, c = 5 cells from the left: the source x - 5 lies in tokens -3 and -2 at |2 D + 5| < 2."""
    heads = np.array([[head(m3=0.25, m2=0.25, p3=0.5), head(p0=1.0)], [head(m1=1.0), np.full(11, 1 / 11)]])
    found = attention_reach(Stencil(OFFSETS, heads, np.ones(1), ("layer", "head")), (2,), (5.0,), (0.0,))
    np.testing.assert_allclose(found.attention_to_signal, [[0.5, 0], [0, 2 / 11]])
    np.testing.assert_allclose(found.attention_to_signal_ratio, [[2.75, 0], [0, 1]])
    assert found.reach.values[..., 0].tolist() == [[3, 0], [1, 5]]
    assert found.signal_reach.values.tolist() == [3]
    assert found.cfl_reach.values.tolist() == [3 + 5 - 3]
    assert found.reach.dims == ("layer", "head", "axis")


def test_a_network_that_cannot_see_the_source_is_found_out() -> None:
    """Three layers that look one token away, patches of 4 cells and 17.2 cells in a step: 5 tokens are needed."""
    heads = np.tile(head(m1=0.5, p0=0.5), (3, 1, 1))
    found = attention_reach(Stencil(OFFSETS, heads, np.ones(1), ("layer", "head")), (4,), (17.2,), (0.0,))
    assert found.cfl_reach.values.tolist() == [3 - 5]
    spread = attention_reach(Stencil(OFFSETS, heads, np.ones(1), ("layer", "head")), (4,), (0.0,), (0.5,))
    assert spread.signal_reach.values.tolist() == [1]  # 3 sqrt(2 r) = 3 cells


def test_the_axes_count_each_by_itself() -> None:
    offsets = np.array([[0, 0], [0, -1], [1, 0]])
    heads = np.array([[[0.2, 0.5, 0.3]]])
    found = attention_reach(
        Stencil(offsets, heads, np.ones(2), ("layer", "head")), (4, 4), (0.0, 1.0), (0.0, 0.0)
    )
    assert found.attention_to_signal.values.tolist() == [[0.7]]
    assert found.reach.values.tolist() == [[[1, 1]]]


@pytest.mark.parametrize("n", [23, 24])
def test_a_scheme_of_neighbours_lies_within_its_domain(n: int) -> None:
    grid, c, r = Grid.regular((n,)), 0.4, 0.05
    equation = AdvectionDiffusion(velocity=(c,), diffusivity=r)
    schemes = {name: SCHEMES[name](equation, grid, 1.0).stencil() for name in ("upwind", "btcs")}
    schemes["half"] = Stencil(np.array([[0], [7]]), np.array([0.5, -0.5]), np.ones(1))
    found = outside_dependence(schemes, grid, (c,), (r,))
    assert float(found.sel(scheme="upwind")) < 1e-15
    assert float(found.sel(scheme="half")) == pytest.approx(0.5)
    kernel = SCHEMES["btcs"](equation, grid, 1.0).stencil()
    away = np.abs((kernel.offsets[:, 0] + c + n / 2) % n - n / 2) > 3 * np.sqrt(2 * r) + 1
    want = np.abs(kernel.weights[away]).sum() / np.abs(kernel.weights).sum()
    assert float(found.sel(scheme="btcs")) == pytest.approx(want, rel=1e-10)
