"""Hypotheses with a sign, on planted links and on numbers that are known."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from gridvit.analysis.hypotheses import Hypothesis, check_hypotheses, held_out_skill, propose
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted import Planted

WORLD = Planted.linear(Grid.latlon(12, 24), 0.2)


def test_hypotheses_are_told_apart_on_data_they_have_not_seen() -> None:
    steps = 1500
    x = WORLD.simulate(steps, seed=7).reshape(steps, -1)
    indices = xr.DataArray(x @ WORLD.means.T, dims=("time", "region"), coords={"region": list(WORLD.names)})
    stated = [
        Hypothesis("chain_1", "chain_2", 1, 1),
        Hypothesis("cooler", "cooled", 2, -1),
        Hypothesis("common", "late", 3, -1),  # the wrong sign
        Hypothesis("decoy_north", "chain_3", 2, 1),
        Hypothesis("cooler", "chain_2", 1, 1),
    ]
    years = np.arange(steps) // 73
    found = check_hypotheses(indices, stated, years)
    assert found.supported.values.tolist() == [True, True, False, False, False]
    assert (found.skill.values[:3] > 0.01).all()
    assert (found.skill.values[3:] < 0.003).all()  # what says nothing costs a little
    assert found.p.values[2] > 0.99
    assert all({"units", "long_name"} <= set(found[name].attrs) for name in found.data_vars)


def test_held_out_skill_of_what_is_left_over(rng: np.random.Generator) -> None:
    # y = x(t - 1) + 2 e: the source takes off one fifth of the variance
    x, e = rng.standard_normal((2, 4000))
    y = np.concatenate([[0], x[:-1]]) + 2 * e
    years = np.arange(4000) // 50
    assert held_out_skill(x, y, 1, years) == pytest.approx(0.2, abs=4 * np.sqrt(2 * 0.2 / 4000))
    assert held_out_skill(rng.standard_normal(4000), y, 1, years) == pytest.approx(0, abs=0.003)


def test_proposals_are_the_greatest_sums_with_their_signs() -> None:
    areas, density = np.array([1.0, 2, 1, 1]), np.array([3.0, -1, -4, np.nan])
    regions = {name: np.arange(4) == k for k, name in enumerate(["a", "b", "c", "d"])}
    found = propose(density, regions, areas, "a", 2, 5)
    assert found == [Hypothesis("c", "a", 2, -1), Hypothesis("b", "a", 2, -1)]


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: Hypothesis("a", "a", 1, 1),
        "expected two regions, a lag of at least one step and a sign of 1 or -1, got a -> a, lag 1, sign 1: "
        "state it so that it can be wrong",
    ),
    (
        lambda: check_hypotheses(
            xr.DataArray(np.zeros((9, 1)), dims=("time", "region"), coords={"region": ["a"]}),
            [Hypothesis("a", "b", 1, 1)],
            np.arange(9),
        ),
        "expected at least one hypothesis about regions whose indices are whole, got 1 hypotheses, ['b'] absent and 0 "
        "values missing: give the index of each region without gaps",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSALS, ids=[text[9:35] for _, text in REFUSALS])
def test_refusals_are_sentences(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        make()
