"""Scores of forecasts whose errors are known, and the coverage of their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis import skill
from gridvit.errors import InputError
from gridvit.grid import Grid

SHAPE = (3, 2, 2)  # case, lead, variable


@pytest.fixture
def weights() -> np.ndarray:
    return skill.area_weights(Grid.latlon(5, 7))


def test_weights_are_areas_with_mean_one(weights: np.ndarray) -> None:
    assert weights.mean() == pytest.approx(1.0, rel=1e-14)
    cosine = np.cos(np.deg2rad([-72, -36, 0, 36, 72]))
    np.testing.assert_allclose(weights[:, 0] / weights[2, 0], cosine, rtol=1e-12)


def test_the_rmse_of_a_bias_is_the_bias(rng: np.random.Generator, weights: np.ndarray) -> None:
    truth = rng.normal(size=(*SHAPE, 5, 7)).astype(np.float32)
    errors = skill.square_errors(truth - 2.5, truth, weights)
    assert errors.shape == SHAPE
    assert errors.dtype == np.float64
    np.testing.assert_allclose(skill.rmse(errors), 2.5, rtol=1e-6)


def test_the_root_comes_after_the_mean_over_cases() -> None:
    np.testing.assert_allclose(skill.rmse(np.array([[1.0], [49.0]])), 5.0)


def test_errors_count_by_area() -> None:
    grid = Grid.latlon(5, 7)
    forecast = np.zeros((5, 7))
    forecast[0] = 1.0
    share = (1 - np.sin(np.deg2rad(54))) / 2
    assert float(skill.square_errors(forecast, np.zeros((5, 7)), skill.area_weights(grid))) == pytest.approx(
        share, rel=1e-12
    )


def test_shapes_must_agree(weights: np.ndarray) -> None:
    with pytest.raises(
        InputError, match=r"got \(2, 5, 7\), \(3, 5, 7\) and weights \(5, 7\): align them first"
    ):
        skill.square_errors(np.zeros((2, 5, 7)), np.zeros((3, 5, 7)), weights)


def test_zero_scores_one_relative_and_the_mean_scores_one_in_variance(
    rng: np.random.Generator, weights: np.ndarray
) -> None:
    truth = 4 + rng.normal(size=(*SHAPE, 5, 7))
    errors = skill.square_errors(0 * truth, truth, weights)
    np.testing.assert_allclose(skill.nrmse(errors, errors), 1.0, rtol=1e-14)
    mean = (truth * weights).mean(axis=(-2, -1), keepdims=True) + 0 * truth
    np.testing.assert_allclose(skill.vrmse(mean, truth, weights), 1.0, rtol=1e-11)
    assert skill.vrmse(mean, truth, weights).shape == SHAPE


def test_relative_errors_are_averaged_case_by_case() -> None:
    errors, power = np.array([[1.0], [4.0]]), np.array([[4.0], [1.0]])
    np.testing.assert_allclose(skill.nrmse(errors, power), (0.5 + 2.0) / 2)
    assert np.isnan(skill.nrmse(errors, np.array([[4.0], [0.0]]))).all()


def test_anomaly_correlation_of_truth_its_mirror_and_the_climatology(
    rng: np.random.Generator, weights: np.ndarray
) -> None:
    climatology = rng.normal(size=(5, 7))
    truth = climatology + rng.normal(size=(*SHAPE, 5, 7)) + 0.5
    mirror = 2 * climatology - truth
    np.testing.assert_allclose(skill.anomaly_correlation(truth, truth, climatology, weights), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        skill.anomaly_correlation(mirror, truth, climatology, weights), -1.0, rtol=1e-12
    )
    flat = np.broadcast_to(climatology, truth.shape)
    assert np.isnan(skill.anomaly_correlation(flat, truth, climatology, weights)).all()


def test_anomalies_are_not_centred() -> None:
    """f' = (1, 1), o' = (1, 3): uncentred 4 / sqrt(2 * 10), although a centred correlation has no value."""
    weights = np.ones(2)
    found = skill.anomaly_correlation(np.array([1.0, 1.0]), np.array([1.0, 3.0]), np.zeros(2), weights)
    assert float(found) == pytest.approx(4 / np.sqrt(20), rel=1e-14)


@pytest.mark.parametrize("n", [11, 12])
def test_the_spectrum_adds_up_to_the_mean_square(rng: np.random.Generator, n: int) -> None:
    values = rng.normal(size=(3, n))
    energy = skill.power_spectrum(values)
    assert energy.shape == (3, n // 2 + 1)
    np.testing.assert_allclose(energy.sum(axis=-1), (values**2).mean(axis=-1), rtol=1e-12)


def test_the_spectrum_counts_nyquist_once_and_other_waves_twice() -> None:
    x = np.arange(8)
    energy = skill.power_spectrum(1 + 2 * np.cos(np.pi * x / 4) + 3 * np.cos(np.pi * x))
    np.testing.assert_allclose(energy, [1, 2, 0, 0, 9], atol=1e-14)


@pytest.mark.parametrize(("phi", "block"), [(0.0, 1), (0.7, 12)])
def test_the_interval_covers_a_known_mean(phi: float, block: int) -> None:
    """Errors that follow an AR(1) process about a known mean of 9."""
    rng = np.random.default_rng(5)
    hits = []
    for seed in range(150):
        noise = rng.normal(size=260)
        for t in range(1, 260):
            noise[t] += phi * noise[t - 1]
        low, high = skill.block_bootstrap(9.0 + noise[60:, None], block=block, draws=400, seed=seed)
        hits.append(low[0] <= 3.0 <= high[0])
    assert 0.86 <= np.mean(hits) <= 0.99


def test_single_cases_are_too_sure_of_correlated_errors() -> None:
    errors = 9 + np.repeat(np.random.default_rng(1).normal(size=20), 10)[:, None]
    single, blocks = (np.subtract(*skill.block_bootstrap(errors, block=b)) for b in (1, 10))
    assert blocks[0] / single[0] > 2


def test_ratios_are_paired(rng: np.random.Generator) -> None:
    reference = rng.exponential(size=(40, 2))
    low, high = skill.block_bootstrap(0.25 * reference, reference, draws=100)
    np.testing.assert_allclose(low, 0.5, rtol=1e-12)
    np.testing.assert_allclose(high, 0.5, rtol=1e-12)


def test_the_seed_decides_and_one_case_says_nothing(rng: np.random.Generator) -> None:
    errors = rng.exponential(size=(23, 3))
    first, again, other = (skill.block_bootstrap(errors, draws=50, seed=s)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    assert np.isnan(skill.block_bootstrap(errors[:1])).all()


def test_blocks_are_runs_of_successive_cases() -> None:
    counts = skill.block_counts(7, 3, 200, 0) * 7
    np.testing.assert_allclose(counts.sum(axis=1), 7)
    # Runs of three meet an inner case from three starts, the first case from one.
    assert counts[:, 3].mean() > 1.5 * counts[:, 0].mean()


def test_the_table_has_ratios_intervals_and_units(rng: np.random.Generator) -> None:
    reference = rng.exponential(size=(30, 4, 2)) + 1
    errors = {"emulator": 0.49 * reference, "persistence": reference}
    found = skill.score_table(errors, [6, 12, 18, 24], {"msl": "Pa", "t2m": "K"}, power=4 * reference)
    assert found.rmse.dims == ("model", "variable", "lead")
    np.testing.assert_allclose(
        found.rmse.sel(model="persistence", variable="t2m"), np.sqrt(reference[..., 1].mean(axis=0))
    )
    np.testing.assert_allclose(found.ratio.sel(model="emulator"), 0.7, rtol=1e-12)
    np.testing.assert_allclose(found.ratio_low.sel(model="emulator"), 0.7, rtol=1e-12)
    np.testing.assert_allclose(found.nrmse.sel(model="emulator"), 0.35, rtol=1e-12)
    assert (found.rmse_low < found.rmse).all()
    assert (found.rmse < found.rmse_high).all()
    assert found.attrs["cases"] == 30
    assert found.variable_units.values.tolist() == ["Pa", "K"]
    assert found.lead.units == "h"
    assert found.ratio.units == "1"
    assert found.rmse_low.long_name == "root mean square error, lower 95 % bound"
    single = skill.score_table({"persistence": reference[..., :1]}, range(4), {"msl": "Pa"})
    assert single.rmse.units == "Pa"
    assert "nrmse" not in single


def test_ratios_need_persistence() -> None:
    with pytest.raises(
        InputError, match=r"expected scores of 'persistence', got \['emulator'\]: score it too"
    ):
        skill.score_table({"emulator": np.ones((2, 1, 1))}, [1], {"u": "1"})


def test_clustered_cases_are_redrawn_together(rng: np.random.Generator) -> None:
    # Five trajectories of seven windows that err alike within a trajectory: the interval is that of five numbers.
    level = rng.uniform(1, 9, size=(5, 1, 1, 1))
    errors = np.broadcast_to(level, (5, 7, 2, 1)).reshape(35, 2, 1)
    together = skill.score_table({"persistence": errors}, [1, 2], {"u": "1"}, block=1, cluster=7)
    few = skill.score_table({"persistence": level[:, 0].repeat(2, axis=1)}, [1, 2], {"u": "1"}, block=1)
    for name in ("rmse", "rmse_low", "rmse_high"):
        np.testing.assert_allclose(together[name], few[name])
    apart = skill.score_table({"persistence": errors}, [1, 2], {"u": "1"}, block=1)
    assert (apart["rmse_high"] < together["rmse_high"]).all()


def test_cells_without_truth_do_not_enter(rng: np.random.Generator, weights: np.ndarray) -> None:
    truth = rng.normal(size=(2, 5, 7))
    truth[0, :2] = np.nan
    forecast = np.where(np.isnan(truth), 1e6, truth + 3.0)
    forecast[1, 4, 6] += 1.0
    found = skill.square_errors(forecast, truth, weights)
    share = weights[4, 6] / weights.sum()
    np.testing.assert_allclose(found, [9.0, 9.0 + 7.0 * share], rtol=1e-12)
    mean = np.average(truth[0, 2:], weights=weights[2:])
    np.testing.assert_allclose(skill.vrmse(np.full_like(truth[0], mean), truth[0], weights), 1.0, rtol=1e-10)
    np.testing.assert_allclose(skill.anomaly_correlation(truth, truth, 0 * weights, weights), 1.0, rtol=1e-12)
    forecast[0, 3, 3] = np.nan  # a forecast that is missing where the truth is not cannot be scored
    assert np.isnan(skill.square_errors(forecast, truth, weights)).tolist() == [True, False]
