"""Scores of forecasts whose errors are known, and the coverage of their intervals."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis import skill
from gridvit.analysis.bootstrap import Bootstrap, block_counts
from gridvit.analysis.score_table import CRITERIA, Labels, Scales, score_table
from gridvit.errors import InputError
from gridvit.grid import Grid

SHAPE = (3, 2, 2)  # case, lead, variable


@pytest.fixture
def weights() -> np.ndarray:
    return skill.area_weights(Grid.latlon(5, 7))


def test_weights_are_areas_with_mean_one(weights: np.ndarray) -> None:
    """SCIENCE 43."""
    assert weights.mean() == pytest.approx(1.0, rel=1e-14)
    cosine = np.cos(np.deg2rad([-72, -36, 0, 36, 72]))
    np.testing.assert_allclose(weights[:, 0] / weights[2, 0], cosine, rtol=1e-12)


def test_the_rmse_of_a_bias_is_the_bias(rng: np.random.Generator, weights: np.ndarray) -> None:
    """SCIENCE 42."""
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
    """SCIENCE 46."""
    truth = 4 + rng.normal(size=(*SHAPE, 5, 7))
    errors = skill.square_errors(0 * truth, truth, weights)
    np.testing.assert_allclose(
        skill.relative_errors(errors, skill.mean_square(truth, weights)), 1.0, rtol=1e-14
    )
    mean = np.average(truth, axis=(-2, -1), weights=np.broadcast_to(weights, truth.shape))
    flat = np.broadcast_to(mean[..., None, None], truth.shape)
    found = skill.relative_errors(skill.square_errors(flat, truth, weights), skill.variance(truth, weights))
    np.testing.assert_allclose(found, 1.0, rtol=1e-12)
    assert found.shape == SHAPE


def test_the_variance_keeps_its_digits_on_top_of_a_large_mean() -> None:
    """1e5 +- 1e-3: squares of 1e10 leave no digit of 1e-6 in their difference."""
    truth = 1e5 + 1e-3 * np.array([[1.0, -1.0, 1.0, -1.0]])
    assert float(skill.variance(truth, np.ones((1, 4)))) == pytest.approx(1e-6, rel=1e-6)


def test_relative_errors_are_made_case_by_case() -> None:
    errors, power = np.array([[1.0], [4.0]]), np.array([[4.0], [1.0]])
    np.testing.assert_allclose(skill.relative_errors(errors, power), [[0.5], [2.0]])
    assert np.isnan(skill.relative_errors(errors, np.array([[4.0], [0.0]]))).tolist() == [[False], [True]]


def test_anomaly_correlation_of_truth_its_mirror_and_the_climatology(
    rng: np.random.Generator, weights: np.ndarray
) -> None:
    """SCIENCE 42, the bias of RMSE above."""
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


@pytest.mark.parametrize(("phi", "block"), [(0.0, 1), (0.7, 12)])
def test_the_interval_covers_a_known_mean(phi: float, block: int) -> None:
    """Errors that follow an AR(1) process about a known mean of 9."""
    rng = np.random.default_rng(5)
    hits = []
    for seed in range(150):
        noise = rng.normal(size=260)
        for t in range(1, 260):
            noise[t] += phi * noise[t - 1]
        low, high = Bootstrap(block=block, draws=400, seed=seed)(9.0 + noise[60:, None], of=np.sqrt)
        hits.append(low[0] <= 3.0 <= high[0])
    assert 0.86 <= np.mean(hits) <= 0.99


def test_single_cases_are_too_sure_of_correlated_errors() -> None:
    errors = 9 + np.repeat(np.random.default_rng(1).normal(size=20), 10)[:, None]
    single, blocks = (np.subtract(*Bootstrap(block=b)(errors)) for b in (1, 10))
    assert blocks[0] / single[0] > 2


def test_ratios_are_paired(rng: np.random.Generator) -> None:
    reference = rng.exponential(size=(40, 2))
    low, high = Bootstrap(draws=100)(0.25 * reference, reference, of=lambda e, r: np.sqrt(e / r))
    np.testing.assert_allclose(low, 0.5, rtol=1e-12)
    np.testing.assert_allclose(high, 0.5, rtol=1e-12)


def test_the_seed_decides_and_one_case_says_nothing(rng: np.random.Generator) -> None:
    errors = rng.exponential(size=(23, 3))
    first, again, other = (Bootstrap(draws=50, seed=s)(errors)[0] for s in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert (first != other).all()
    assert np.isnan(Bootstrap()(errors[:1])).all()


def test_blocks_are_runs_of_successive_cases() -> None:
    counts = block_counts(7, 3, 200, 0) * 7
    np.testing.assert_allclose(counts.sum(axis=1), 7)
    # Runs of three meet an inner case from three starts, the first case from one.
    assert counts[:, 3].mean() > 1.5 * counts[:, 0].mean()


def table(errors: dict[str, np.ndarray], labels: Labels, power: float | None = None, **how: int):
    """Scores of errors alone: correlations of one, a climate of variance one."""
    one = next(iter(errors.values()))
    scales = Scales(np.ones_like(one), np.ones(one.shape[-1]), None if power is None else power * one)
    return score_table(errors, {name: np.ones_like(one) for name in errors}, scales, labels, Bootstrap(**how))


def test_the_table_has_ratios_intervals_and_units(rng: np.random.Generator) -> None:
    reference = rng.exponential(size=(30, 4, 2)) + 1
    errors = {"persistence": reference, "emulator": 0.49 * reference}
    found = table(errors, Labels([6, 12, 18, 24], {"msl": "Pa", "t2m": "K"}), power=4)
    assert found.rmse.dims == ("model", "variable", "lead")
    np.testing.assert_allclose(
        found.rmse.sel(model="persistence", variable="t2m"), np.sqrt(reference[..., 1].mean(axis=0))
    )
    np.testing.assert_allclose(found.ratio.sel(model="emulator"), 0.7, rtol=1e-12)
    np.testing.assert_allclose(found.ratio_low.sel(model="emulator"), 0.7, rtol=1e-12)
    np.testing.assert_allclose(found.nrmse.sel(model="emulator"), 0.35, rtol=1e-12)
    vrmse = np.sqrt(reference).mean(axis=0).T
    np.testing.assert_allclose(found.vrmse.sel(model="persistence"), vrmse, rtol=1e-12)
    for name in ("rmse", "vrmse"):
        assert (found[f"{name}_low"] < found[name]).all()
        assert (found[name] < found[f"{name}_high"]).all()
    assert found.attrs["cases"] == 30
    assert found.variable_units.values.tolist() == ["Pa", "K"]
    assert found.lead.units == "h"
    assert found.ratio.units == "1"
    assert found.rmse_low.long_name == "root mean square error, lower bound of 95 %"
    assert found.nrmse.definition == "mean sqrt(e / <o^2>): 1 for zero"
    single = table({"persistence": reference[..., :1]}, Labels(range(4), {"msl": "Pa"}))
    assert single.rmse.units == "Pa"
    assert "nrmse" not in single


def test_ratios_need_persistence() -> None:
    with pytest.raises(
        InputError, match=r"expected scores of 'persistence', got \['emulator'\]: score it too"
    ):
        table({"emulator": np.ones((2, 1, 1))}, Labels([1], {"u": "1"}))


def test_clustered_cases_are_redrawn_together(rng: np.random.Generator) -> None:
    # Five trajectories of seven windows that err alike within a trajectory: the interval is that of five numbers.
    level = rng.uniform(1, 9, size=(5, 1, 1, 1))
    errors, labels = np.broadcast_to(level, (5, 7, 2, 1)).reshape(35, 2, 1), Labels([1, 2], {"u": "1"})
    together = table({"persistence": errors}, labels, block=1, cluster=7)
    few = table({"persistence": level[:, 0].repeat(2, axis=1)}, labels, block=1)
    for name in ("rmse", "rmse_low", "rmse_high"):
        np.testing.assert_allclose(together[name], few[name])
    apart = table({"persistence": errors}, labels, block=1)
    assert (apart["rmse_high"] < together["rmse_high"]).all()


def test_cases_are_put_in_order_before_they_are_drawn(rng: np.random.Generator) -> None:
    # Three members of eleven times, member by member: in order of time they are drawn with all their members.
    weather = rng.uniform(1, 9, size=11)
    by_time = np.arange(33).reshape(3, 11).T.ravel()
    members = Bootstrap(block=1, cluster=3, order=by_time)(np.tile(weather, 3)[:, None])
    np.testing.assert_allclose(members, Bootstrap(block=1)(weather[:, None]))


def test_a_forecast_is_valid_until_it_first_fails() -> None:
    """Errors at leads 2, 4, 8 against a variance of 4: the bound is a half of its root, squared."""
    errors = np.array([[0.9, 1.1, 0.2], [0.9, 1.0, 0.9], [1.1, 0.0, 0.0]])[..., None]
    agreed = np.array([[0.9, 0.9, 0.7], [0.8, 0.79, 0.9], [np.nan, 1.0, 1.0]])[..., None]
    scales, labels = Scales(np.ones_like(errors), np.array([4.0])), Labels([2, 4, 8], {"u": "m"}, "h")
    never = np.full_like(errors, np.nan)
    found = score_table({"persistence": errors, "direct": never}, {"persistence": agreed, "direct": never}, scales,
                        labels, Bootstrap(block=1))  # fmt: skip
    valid = found.valid_time.sel(model="persistence", variable="u")
    np.testing.assert_allclose(valid, [(2 + 8 + 0) / 3, (4 + 2 + 0) / 3])
    np.testing.assert_allclose(found.valid_share.sel(model="persistence", variable="u"), [1 / 3, 0])
    assert found.criterion.values.tolist() == list(CRITERIA)
    assert found.criterion.values[0] == "error below 0.5 of the spread"
    assert found.valid_time.units == "h"
    assert np.isnan(found.valid_time.sel(model="direct")).all()
    low, high = (found[f"valid_time_{end}"].sel(model="persistence").values for end in ("low", "high"))
    assert (low <= valid.values[:, None]).all()
    assert (high >= valid.values[:, None]).all()


def test_valid_times_of_a_persistent_and_a_damped_autoregression() -> None:
    """MSE = 2 sigma^2 (1 - phi^t) and sigma^2 (1 - phi^2t): below sigma^2 / 4 up to log(7/8) and half of log(3/4)."""
    phi, leads = 0.98, np.arange(1.0, 41.0)
    for mse, last in (
        (2 * (1 - phi**leads), np.floor(np.log(7 / 8) / np.log(phi))),
        (1 - phi ** (2 * leads), np.floor(np.log(3 / 4) / (2 * np.log(phi)))),
    ):
        assert skill.valid_time((mse <= 0.25)[None], leads).item() == last


def test_cells_without_truth_do_not_enter(rng: np.random.Generator, weights: np.ndarray) -> None:
    truth = rng.normal(size=(2, 5, 7))
    truth[0, :2] = np.nan
    forecast = np.where(np.isnan(truth), 1e6, truth + 3.0)
    forecast[1, 4, 6] += 1.0
    found = skill.square_errors(forecast, truth, weights)
    share = weights[4, 6] / weights.sum()
    np.testing.assert_allclose(found, [9.0, 9.0 + 7.0 * share], rtol=1e-12)
    mean = np.average(truth[0, 2:], weights=weights[2:])
    flat = skill.square_errors(np.full_like(truth[0], mean), truth[0], weights)
    np.testing.assert_allclose(
        skill.relative_errors(flat, skill.variance(truth[0], weights)), 1.0, rtol=1e-10
    )
    np.testing.assert_allclose(skill.anomaly_correlation(truth, truth, 0 * weights, weights), 1.0, rtol=1e-12)
    forecast[0, 3, 3] = np.nan  # a forecast that is missing where the truth is not cannot be scored
    assert np.isnan(skill.square_errors(forecast, truth, weights)).tolist() == [True, False]
