"""Optimal fingerprints and shrunk covariances against what can be worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest

from gridvit.analysis.fingerprint import Fingerprints, fingerprint, shrunk_covariance
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted import Planted


def test_weights_by_hand() -> None:
    # Q = [[1, c], [c, 1]], the region the first cell: Q^-1 g ~ (1, -c), so p = (1, -c) and the variance 1 - c^2
    covariance = np.array([[1.0, 0.6], [0.6, 1.0]])
    weights = fingerprint(covariance, np.array([True, False]))
    np.testing.assert_allclose(weights, [1, -0.6], rtol=1e-14)
    assert weights @ covariance @ weights == pytest.approx(1 - 0.36, rel=1e-14)


def test_white_noise_leaves_the_mean() -> None:
    pattern = np.array([True, False, True, True, False])
    np.testing.assert_allclose(fingerprint(2.5 * np.eye(5), pattern), pattern / 3, rtol=1e-14)


def test_no_series_of_a_uniform_rise_varies_less(rng: np.random.Generator) -> None:
    root = rng.standard_normal((7, 7))
    covariance, pattern = root @ root.T + np.eye(7), np.arange(7) < 3
    best = fingerprint(covariance, pattern)
    least = 1 / (pattern @ np.linalg.solve(covariance, pattern.astype(float)))
    assert best @ covariance @ best == pytest.approx(least, rel=1e-12)
    for other in rng.standard_normal((50, 7)):
        other = other / other[pattern].sum()  # moves by as much with the region
        assert other @ covariance @ other > least


def test_shrinkage_of_two_samples_by_hand() -> None:
    # S = diag(2, 2) / 2 + off-diagonal 0 of (1, 1) and (1, -1) is the identity: nothing to keep of it
    found, share = shrunk_covariance(np.array([[1.0, 1.0], [1.0, -1.0]]))
    np.testing.assert_allclose(found, np.eye(2))
    assert share == 1
    # (2, 0) and (0, 1): S = diag(2, 1/2), m = 5/4, |S - m|^2 = 9/8; sum |x x^T - S|^2 = 2 (4 + 1/4), / n^2 = 17/8
    found, share = shrunk_covariance(np.array([[2.0, 0.0], [0.0, 1.0]]))
    assert share == 1  # 17/8 > 9/8
    np.testing.assert_allclose(found, 1.25 * np.eye(2))
    # four of each: the error is a quarter of that, 17/32, and 17/32 / (9/8) = 17/36
    samples = np.repeat(np.array([[2.0, 0.0], [0.0, 1.0]]), 4, axis=0)
    found, share = shrunk_covariance(samples)
    assert share == pytest.approx(17 / 36, rel=1e-14)
    np.testing.assert_allclose(np.diag(found), [2 - 0.75 * 17 / 36, 0.5 + 0.75 * 17 / 36], rtol=1e-14)


def test_it_nears_the_truth_where_samples_are_fewer_than_cells(rng: np.random.Generator) -> None:
    truth = np.diag(np.linspace(0.5, 2, 31))
    samples = rng.standard_normal((17, 31)) * np.sqrt(np.diag(truth))
    found, _ = shrunk_covariance(samples)
    plain = samples.T @ samples / 17
    assert np.linalg.norm(found - truth) < 0.5 * np.linalg.norm(plain - truth)
    assert np.linalg.eigvalsh(found).min() > 0


def test_what_acts_from_afar_stands_out_of_the_weather() -> None:
    world = Planted.linear(Grid.latlon(12, 24), 0.2)
    x = world.simulate(800, seed=3).reshape(800, -1)
    prints = Fingerprints.fit(x, world.caps)
    np.testing.assert_allclose((prints.weights * world.caps).sum(axis=1), 1, rtol=1e-12)
    source, target = world.index("cooler"), world.index("cooled")
    cause = (x @ world.means[source])[:-2]
    amplitude = prints.series(x)[2:, target]
    own = (x @ world.means[target])[2:]
    assert np.corrcoef(cause, amplitude)[0, 1] < -0.6
    assert np.corrcoef(cause, own)[0, 1] > -0.4
    assert (prints.series(x)[0] == 0).all()


@pytest.mark.parametrize(
    ("field", "regions", "text"),
    [
        (np.ones((2, 3)), np.eye(3, dtype=bool), "2 times, 0 values missing, 0 empty regions"),
        (np.full((5, 3), np.nan), np.eye(3, dtype=bool), "5 times, 15 values missing, 0 empty regions"),
        (np.ones((5, 3)), np.zeros((2, 3), dtype=bool), "5 times, 0 values missing, 2 empty regions"),
    ],
)
def test_what_it_refuses(field: np.ndarray, regions: np.ndarray, text: str) -> None:
    sentence = (
        f"expected anomalies of three times or more without gaps, and a cell in every region, got {text}: "
        "leave out the cells that have gaps, and the regions without cells"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        Fingerprints.fit(field, regions)
