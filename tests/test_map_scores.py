"""Scores of maps by counting, with ties and areas."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gridvit.analysis.map_scores import (
    auroc,
    average_precision,
    confounder_leak,
    pattern_correlation,
    planted_scores,
    sign_agreement,
)
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted import Planted
from gridvit.physics.planted_truth import PlantedTruth


def test_41_scores_of_constant_and_perfect_maps(rng: np.random.Generator) -> None:
    truth, areas = rng.random(101) < 0.2, rng.random(101)
    constant, perfect = np.full(101, 3.0), truth + 0.1 * rng.random(101)
    prevalence = areas[truth].sum() / areas.sum()
    assert auroc(constant, truth, areas) == pytest.approx(0.5)
    assert average_precision(constant, truth, areas) == pytest.approx(prevalence)
    for score in (auroc, average_precision):
        assert score(perfect, truth, areas) == pytest.approx(1)
    assert auroc(-perfect, truth, areas) == pytest.approx(0, abs=1e-12)
    assert np.isnan(auroc(constant, truth | True, areas))
    assert np.isnan(average_precision(constant, truth & False, areas))


def test_41_scores_with_ties_by_hand() -> None:
    score, truth = np.array([3.0, 2, 2, 1, 1]), np.array([True, True, False, False, True])
    areas = np.array([1.0, 2, 1, 2, 1])
    # pairs of areas: 3 beats all 3 false; 2 ties with 1 and beats 2; 1 ties with 2 of the false
    assert auroc(score, truth, areas) == pytest.approx((1 * 3 + 2 * (2 + 0.5) + 1 * (0 + 1)) / (4 * 3))
    # recall 1/4, 3/4, 1 with precision 1, 3/4, 4/7
    assert average_precision(score, truth, areas) == pytest.approx(1 / 4 + 2 / 4 * 3 / 4 + 1 / 4 * 4 / 7)
    # a cell that is split in two scores the same
    split = [np.concatenate([a, a[:1]]) for a in (score, truth, areas)]
    split[2][[0, -1]] = 0.4, 0.6
    assert average_precision(split[0], split[1], split[2]) == pytest.approx(
        average_precision(score, truth, areas)
    )


def test_scores_of_random_maps_are_chance(rng: np.random.Generator) -> None:
    truth, areas = np.arange(500) < 25, np.ones(500)
    found = [[f(rng.random(500), truth, areas) for f in (auroc, average_precision)] for _ in range(200)]
    np.testing.assert_allclose(
        np.mean(found, axis=0), [0.5, 0.06], atol=0.015
    )  # 0.05 and a little for chance at the top


def test_sign_pattern_and_leak_by_hand() -> None:
    areas = np.array([1.0, 2, 3, 4])
    effect, values = np.array([0.5, -1, 0, 2]), np.array([1.0, 1, -9, 2])
    assert sign_agreement(values, effect, areas) == pytest.approx(5 / 7)
    assert pattern_correlation(2 * effect + 3, effect, areas) == pytest.approx(1)
    assert pattern_correlation(-effect, effect, areas) == pytest.approx(-1)
    x, z = np.array([True, True, False, False]), np.array([False, False, True, True])
    assert confounder_leak(values, x, z, areas) == pytest.approx(3 / 19)


def test_a_region_that_nothing_acts_on_has_no_score() -> None:
    truth = PlantedTruth(Planted.linear(Grid.latlon(12, 24)))
    text = "expected a region on which others act, got nothing that acts on chain_1 within 2 steps: "
    text += "choose another target or a longer lead"
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        planted_scores({}, truth, "chain_1", 2)
