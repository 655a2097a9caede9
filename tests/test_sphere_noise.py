"""Noise on the sphere: closed forms, positive definiteness, and drawn covariances."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.sphere_noise import SphereNoise


def test_heat_noise_is_nil_far_away_only_with_its_mean() -> None:
    # e^{-angle^2 / 4 t} far away; without l = 0 the rest must make up for it: -1 / (sum - 1)
    cosine = np.cos(np.deg2rad([0, 24.9, 90, 180]))
    with_mean, without = (SphereNoise(mean_free=m).correlation(cosine) for m in (False, True))
    assert with_mean[0] == without[0] == pytest.approx(1)
    assert abs(with_mean[2:]).max() < 1e-5
    total = sum((2 * n + 1) * np.exp(-n * (n + 1) * 0.05) for n in range(60))
    np.testing.assert_allclose(without[2:], -1 / (total - 1), atol=1e-5)
    tail = SphereNoise("generating", 0.7).correlation(cosine)
    np.testing.assert_allclose(tail, 0.3 / np.sqrt(1.49 - 1.4 * cosine), rtol=1e-12)


@pytest.mark.parametrize(
    "noise", [SphereNoise("compact", 0.4, white=0), SphereNoise("generating", 0.6, mean_free=True)]
)
def test_noise_is_positive_definite_and_drawn_with_its_covariance(noise: SphereNoise) -> None:
    grid = Grid.latlon(7, 12)
    found = noise.on(grid)
    table = found.dense()
    assert np.linalg.eigvalsh(table).min() > -1e-12
    np.testing.assert_allclose(table, table.T, atol=1e-14)
    fields = np.random.default_rng(1).standard_normal((2, *grid.shape))
    np.testing.assert_allclose(found.times(fields).reshape(2, -1), fields.reshape(2, -1) @ table, atol=1e-12)
    drawn = found.draw(20000, np.random.default_rng(2)).reshape(20000, -1)
    np.testing.assert_allclose(drawn.T @ drawn / 20000, table, atol=6 * np.sqrt(2 / 20000))


def test_compact_noise_ends_where_it_says() -> None:
    # Gaspari and Cohn at z = 0, 1, 2: 1, 5/24, 0; chord 2 sin(angle / 2)
    angle = 2 * np.arcsin(np.array([0, 0.4, 0.8, 1.2]) / 2)
    found = SphereNoise("compact", 0.4).correlation(np.cos(angle))
    np.testing.assert_allclose(found, [1, 5 / 24, 0, 0], atol=1e-7)


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: SphereNoise("cosine"),
        "expected noise of a kind among heat, generating, compact, got 'cosine': choose one of them",
    ),
    (
        lambda: SphereNoise(scale=0.0),
        "expected a positive scale (below 1 unless of kind heat) and a white share of 0 to 1, got 0 and 0.02: "
        "correct them",
    ),
    (
        lambda: SphereNoise("compact", 0.4, mean_free=True),
        "expected a mean to leave out of a series, got noise of kind compact: leave it in",
    ),
    (
        lambda: SphereNoise().on(Grid.regular((4, 5))),
        f"expected latitudes by equal steps of longitude that close, got {Grid.regular((4, 5)).describe()}: "
        "make the grid with Grid.latlon or Grid.gaussian",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSALS, ids=[text[9:35] for _, text in REFUSALS])
def test_refusals_are_sentences(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        make()
