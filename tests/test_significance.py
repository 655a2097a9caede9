"""Effective numbers, p-values, false discovery and surrogates, against closed forms, counting and seeded noise."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from scipy.stats import pearsonr

from gridvit.analysis.significance import (
    autocorrelation,
    bootstrap_correlation,
    correlate,
    correlation_p,
    effective_size,
    effective_size_ar1,
    false_discovery,
    leave_years_out,
    memory,
    phase_surrogates,
    surrogate_p,
)
from gridvit.errors import InputError


def red(n: int, r: float, count: int, seed: int) -> np.ndarray:
    """Stationary AR(1) series of unit variance, (time, series)."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, count)) * np.sqrt(1 - r**2)
    x[0] /= np.sqrt(1 - r**2)
    for t in range(1, n):
        x[t] += r * x[t - 1]
    return x


def test_37_effective_size_of_white_series_is_their_length() -> None:
    zero, other = np.zeros(199), 0.8 ** np.arange(1, 200)
    assert effective_size(zero, other, 200) == 200
    assert effective_size_ar1(np.array(0.0), np.array(0.8), 200) == 200
    assert effective_size_ar1(np.array(-0.8), np.array(0.8), 200) == 200  # never more than there are


@pytest.mark.parametrize(("r_x", "r_y"), [(0.8, 0.7), (0.9, 0.9), (0.3, 0.5)])
def test_37_finite_sum_of_ar1_against_its_closed_form(r_x: float, r_y: float) -> None:
    # 1 + 2 sum (1 - k/n) a^k = (1 + a) / (1 - a) - 2 a (1 - a^n) / (n (1 - a)^2)
    n, a, k = 200, r_x * r_y, np.arange(1, 200)
    expected = n / ((1 + a) / (1 - a) - 2 * a * (1 - a**n) / (n * (1 - a) ** 2))
    found = effective_size(r_x**k, r_y**k, n)
    assert found == pytest.approx(expected, rel=1e-12)
    endless = effective_size_ar1(np.array(r_x), np.array(r_y), n)
    assert 0 < found - endless < 0.05 * endless if a < 0.8 else found > endless
    if r_x == 0.8:
        assert endless == pytest.approx(56.41, abs=0.01)


def test_37_effective_size_is_the_spread_of_correlations() -> None:
    # 1 / Var r of 4000 pairs of independent AR(1) series of 200 steps: 58.1 where the formula says 56.4
    x, y = red(200, 0.8, 4000, 1), red(200, 0.7, 4000, 2)
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)
    r = (x * y).sum(axis=0) / np.sqrt((x**2).sum(axis=0) * (y**2).sum(axis=0))
    assert 1 / (r**2).mean() == pytest.approx(57.2, abs=4 * 57.2 * np.sqrt(2 / 4000))


def test_naive_test_of_slow_series_rejects_half_and_the_effective_one_few() -> None:
    # two independent AR(1) series of r = 0.9, 200 steps: 51 % and 2.7 %
    x, y = red(200, 0.9, 3000, 3), red(200, 0.9, 3000, 4)
    r = np.array([np.corrcoef(x[:, i], y[:, i])[0, 1] for i in range(3000)])
    naive = (correlation_p(r, np.array(200.0)) < 0.05).mean()
    size = effective_size_ar1(memory(x), memory(y), 200)
    assert naive == pytest.approx(0.51, abs=0.03)
    assert 0.015 < (correlation_p(r, size) < 0.05).mean() < 0.05


def test_p_of_independent_pairs_is_pearsons(rng: np.random.Generator) -> None:
    x, y = rng.standard_normal((2, 23))
    expected = pearsonr(x, y)
    assert correlate(y, x[:, None], 0) == pytest.approx(expected.statistic)
    assert correlation_p(np.array(expected.statistic), np.array(23.0)) == pytest.approx(
        expected.pvalue, rel=1e-10
    )
    edges = correlation_p(np.array([1.0, 0.5, np.nan]), np.array([23.0, 2.0, 23.0]))
    np.testing.assert_array_equal(edges, [0.0, 1.0, np.nan])


def test_correlation_at_a_lag_by_slices(rng: np.random.Generator) -> None:
    driver, field = rng.standard_normal(31), rng.standard_normal((31, 2, 3))
    for lag, early, late in ((4, slice(0, 27), slice(4, 31)), (-3, slice(3, 31), slice(0, 28))):
        expected = np.corrcoef(field[early, 1, 2], driver[late])[0, 1]
        assert correlate(driver, field, lag)[1, 2] == pytest.approx(expected)


@pytest.mark.parametrize("tests", [2, 3])
def test_38_simes_rejects_exactly_alpha_of_independent_nulls(tests: int) -> None:
    # thresholds alpha i / N fall between the midpoints of a lattice of 10 steps: the count is the volume itself
    alpha, middles = tests / 10, (np.arange(10) + 0.5) / 10
    found = [false_discovery(np.array(p), alpha).any() for p in product(middles, repeat=tests)]
    assert np.mean(found) == pytest.approx(alpha, abs=1e-12)


def test_false_discovery_by_hand() -> None:
    p = np.array([0.01, 0.04, np.nan, 0.03, 0.5])
    # 0.0125, 0.025, 0.0375, 0.05: 0.01 passes, 0.03 fails at rank 2, 0.04 fails at rank 3
    assert false_discovery(p, 0.05).tolist() == [True, False, False, False, False]
    # 0.015, 0.03, 0.045: 0.04 passes at rank 3 and takes 0.03 with it
    assert false_discovery(p, 0.06).tolist() == [True, True, False, True, False]
    # weights 1, 6, -, 1, 2: 0.005 fails, 0.01 fails, 0.04 = 0.05 * 8 / 10 passes
    assert false_discovery(p, 0.05, np.array([1.0, 6, 9, 1, 2])).tolist() == [True, True, False, True, False]
    assert not false_discovery(np.full(3, np.nan)).any()


@pytest.mark.parametrize("n", [24, 31])
def test_39_surrogates_keep_spectra_and_all_circular_covariances(n: int, rng: np.random.Generator) -> None:
    field = rng.standard_normal((n, 2, 3)).cumsum(axis=0)
    flat = field.reshape(n, -1)
    (found,) = phase_surrogates(field, 1, seed=4)
    other = found.reshape(n, -1)
    before, after = np.fft.rfft(flat, axis=0), np.fft.rfft(other, axis=0)
    np.testing.assert_allclose(abs(after), abs(before), atol=1e-10)
    np.testing.assert_allclose(other.mean(axis=0), flat.mean(axis=0), atol=1e-12)
    if n % 2 == 0:
        np.testing.assert_allclose(after[-1], before[-1], atol=1e-10)
    for lag in range(n):
        covariance = np.roll(flat, lag, axis=0).T @ flat
        np.testing.assert_allclose(
            np.roll(other, lag, axis=0).T @ other, covariance, atol=1e-9 * abs(covariance).max()
        )
    assert abs(other - flat).max() > 0.1
    one, two = phase_surrogates(field, 2, seed=4)
    np.testing.assert_array_equal(one, found)
    assert abs(two - one).max() > 0.1


def test_surrogates_find_a_coupling_and_no_other() -> None:
    n = 301
    source, noise = red(n, 0.8, 1, 5)[:, 0], red(n, 0.8, 40, 6)
    field = noise.copy()
    field[:, 0] += source
    driver = np.concatenate([np.zeros(2), source[:-2]])
    p = surrogate_p(driver, field, lag=2, draws=99, seed=7)
    assert p[0] == 0.01
    assert (p[1:] <= 0.05).mean() < 0.16  # 3.1 standard deviations of 39 tests of 5 %


def test_bootstrap_interval_of_independent_pairs_is_fishers() -> None:
    rng = np.random.default_rng(8)
    x = rng.standard_normal(2003)
    y = 0.6 * x + 0.8 * rng.standard_normal(2003)
    low, high = bootstrap_correlation(y, x[:, None], 0, block=1, draws=400, seed=9)
    r = np.corrcoef(x, y)[0, 1]
    expected = np.tanh(np.arctanh(r) + np.array([-1.96, 1.96]) / np.sqrt(2000))
    np.testing.assert_allclose([low[0], high[0]], expected, atol=0.008)
    slow_low, slow_high = bootstrap_correlation(
        red(2003, 0.9, 1, 1)[:, 0], red(2003, 0.9, 3, 2), 0, block=50, draws=400
    )
    # n* = 2003 0.19 / 1.81 = 210: a width of 2 1.96 / sqrt(210) = 0.27, four times what 2003 pairs would say
    np.testing.assert_allclose(slow_high - slow_low, 0.27, atol=0.08)


def test_years_are_left_out_whole_with_a_gap() -> None:
    years = np.repeat([2001, 2002, 2003, 2004, 2005], 4)
    parts = list(leave_years_out(years, 5, gap=1))
    assert sum(test.astype(int) for _, test in parts).tolist() == [1] * 20
    train, test = parts[1]
    assert test.nonzero()[0].tolist() == [4, 5, 6, 7]
    assert (~train).nonzero()[0].tolist() == [3, 4, 5, 6, 7, 8]


REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: autocorrelation(np.zeros(5), 5),
        "expected 1 to 4 lags, got 5: give a longer series or fewer lags",
    ),
    (
        lambda: correlate(np.zeros(5), np.zeros((6, 2)), 0),
        "expected two series of one length and a lag that leaves 3 pairs, got lengths 5 and 6 and lag 0: "
        "align them or shorten the lag",
    ),
    (
        lambda: list(leave_years_out(np.array([1, 1, 2]), 3)),
        "expected 2 to 2 folds of whole years, got 3: give more years or fewer folds",
    ),
    (
        lambda: list(leave_years_out(np.array([1, 1, 2]), 2, gap=2)),
        "expected years left to train on, got none with a gap of 2 times: shorten the gap",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSALS, ids=[text[9:35] for _, text in REFUSALS])
def test_refusals_are_sentences(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        make()
