"""EOF, MCA and CCA by the identities that tie them."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.modes import cca, eof, eof_regression, mca
from gridvit.errors import InputError

N = 41


@pytest.fixture
def fields(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    x = rng.standard_normal((N, 7)) @ rng.standard_normal((7, 7))
    return x, x[:, :5] @ rng.standard_normal((5, 5)) + rng.standard_normal((N, 5))


def test_eofs_rebuild_the_field_and_their_variances_its_own(fields: tuple[np.ndarray, np.ndarray]) -> None:
    x, areas = fields[0], np.arange(1.0, 8)
    modes = eof(x, areas)
    np.testing.assert_allclose(modes.series @ modes.patterns, x - x.mean(axis=0), atol=1e-12)
    w = areas / areas.sum()
    np.testing.assert_allclose(modes.series.T @ modes.series / N, np.eye(7), atol=1e-12)
    np.testing.assert_allclose((modes.patterns * w) @ modes.patterns.T, np.diag(modes.variances), atol=1e-11)
    assert modes.variances.sum() == pytest.approx(w @ x.var(axis=0))
    np.testing.assert_allclose(eof(x, areas, 3).patterns, modes.patterns[:3])


def test_36_mca_of_a_field_with_itself_is_its_eofs(fields: tuple[np.ndarray, np.ndarray]) -> None:
    x, areas = fields[0], np.arange(1.0, 8)
    modes, found = eof(x, areas), mca(x, x, (areas, areas))
    np.testing.assert_allclose(found.strength, modes.variances, rtol=1e-10)
    unit = modes.patterns / np.sqrt(modes.variances)[:, None]
    np.testing.assert_allclose(abs((found.left * unit) @ (areas / areas.sum())), 1, atol=1e-10)


def test_mca_is_the_svd_of_the_weighted_covariance(fields: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = (f - f.mean(axis=0) for f in fields)
    wx, wy = np.arange(1.0, 8) / 28, np.arange(1.0, 6) / 15
    found = mca(x, y, (wx, wy), 3)
    cross = (x * np.sqrt(wx)).T @ (y * np.sqrt(wy)) / N
    np.testing.assert_allclose(found.strength, np.linalg.svd(cross)[1][:3], rtol=1e-10)
    np.testing.assert_allclose((found.left**2) @ wx, 1, rtol=1e-10)
    np.testing.assert_allclose(found.left_series, (x * wx) @ found.left.T, atol=1e-10)
    np.testing.assert_allclose(found.right_series, (y * wy) @ found.right.T, atol=1e-10)
    np.testing.assert_allclose(
        (found.left_series * found.right_series).mean(axis=0), found.strength, rtol=1e-9
    )


def test_36_cca_is_the_same_after_invertible_maps(
    fields: tuple[np.ndarray, np.ndarray], rng: np.random.Generator
) -> None:
    x, y = fields
    areas = np.ones(7), np.ones(5)
    found = cca(x, y, areas, (7, 5))
    other = cca(x @ rng.standard_normal((7, 7)), y @ rng.standard_normal((5, 5)), areas, (7, 5))
    np.testing.assert_allclose(other.strength, found.strength, atol=1e-9)
    pairs = [np.corrcoef(a, b)[0, 1] for a, b in zip(found.left_series.T, found.right_series.T, strict=True)]
    np.testing.assert_allclose(pairs, found.strength, atol=1e-10)


def test_36_splitting_a_cell_changes_no_spectrum(fields: tuple[np.ndarray, np.ndarray]) -> None:
    x, areas = fields[0], np.arange(1.0, 8)
    split = np.concatenate([x, x[:, :1]], axis=1)
    finer = np.concatenate([[0.3], areas[1:], [0.7]])
    found = eof(split, finer)
    np.testing.assert_allclose(found.variances[:7], eof(x, areas).variances, rtol=1e-10)
    assert found.variances[7] < 1e-20


def test_eof_regression_with_all_modes_is_least_squares(fields: tuple[np.ndarray, np.ndarray]) -> None:
    x, y = fields[0], fields[1][:, 0]
    areas = np.arange(1.0, 8)
    slope = np.linalg.lstsq(x - x.mean(axis=0), y - y.mean(), rcond=None)[0]
    np.testing.assert_allclose(eof_regression(x, y, areas, 7) * areas / 28, slope, atol=1e-10)


def test_a_missing_value_is_refused() -> None:
    x = np.zeros((5, 3))
    x[1, 1] = np.nan
    text = "expected a field without missing values, got some: leave those cells out or fill them"
    with pytest.raises(InputError, match=f"^{text}$"):
        eof(x, np.ones(3))
