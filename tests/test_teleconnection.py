"""Maps towards a region and their scores, against definitions, counting, and the planted world."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from gridvit.analysis.map_scores import (
    average_precision,
    planted_scores,
)
from gridvit.analysis.significance import (
    correlate,
    correlation_p,
    effective_size_ar1,
    false_discovery,
    memory,
)
from gridvit.analysis.teleconnection import (
    anomalies,
    partial_correlation,
    region_mean,
    regression,
    teleconnections,
)
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted import Planted
from gridvit.physics.planted_data import dataset
from gridvit.physics.planted_truth import PlantedTruth

GRID = Grid.latlon(12, 24)
WORLD = Planted.linear(GRID, 0.2)
TRUTH = PlantedTruth(WORLD)


def arrays(values: np.ndarray, series: np.ndarray, grid: Grid = GRID) -> tuple[xr.DataArray, xr.DataArray]:
    return xr.DataArray(values, dims=("time", *grid.names)), xr.DataArray(series, dims="time")


def test_anomalies_have_no_cycle_and_no_line() -> None:
    times = np.datetime64("2001-01-01") + np.arange(400) * np.timedelta64(5, "D")
    days = (times - times.astype("datetime64[Y]")) / np.timedelta64(1, "D")
    season = np.cos(2 * np.pi * days / 365.2425)
    field = np.stack([3 + 2 * season, 5 * season + np.arange(400) * 0.1], axis=1)
    np.testing.assert_allclose(anomalies(field, times), 0, atol=1e-9)
    only_cycle = anomalies(field, times, trend=False)
    np.testing.assert_allclose(only_cycle[:, 0], 0, atol=1e-9)
    assert abs(only_cycle[:, 1]).max() > 10
    field[3, 0] = np.nan
    found = anomalies(field, times)
    assert np.isnan(found[3, 0])
    np.testing.assert_allclose(np.delete(found, 3, axis=0), 0, atol=1e-9)


def test_region_mean_is_by_area_over_what_is_there() -> None:
    grid = Grid.latlon(2, 4)  # rows of equal area
    field = np.arange(16.0).reshape(2, 2, 4)
    region = np.zeros((2, 4), dtype=bool)
    region[0, :2] = True
    field[1, 0, 0] = np.nan
    np.testing.assert_allclose(region_mean(field, region, grid), [0.5, 9])


def test_regression_both_ways(rng: np.random.Generator) -> None:
    x = rng.standard_normal((53, 2))
    y = np.concatenate([np.zeros(3), 2 * x[:-3, 0]])
    assert regression(x, y, "field", 3)[0] == pytest.approx(2)
    assert regression(x, y, "series", 3)[0] == pytest.approx(0.5)
    expected = np.polyfit(x[:-3, 1], y[3:], 1)[0]
    assert regression(x, y, "field", 3)[1] == pytest.approx(expected)


def test_partial_correlation_is_that_of_residuals(rng: np.random.Generator) -> None:
    # t = r sqrt(nu / (1 - r^2)) is the t of the coefficient in the joint regression
    target, field = rng.standard_normal(61).cumsum(), rng.standard_normal((61, 3))
    r, _ = partial_correlation(target, field, 2, own=2)
    now = np.arange(1, 59)
    design = np.stack([np.ones(58), target[now], target[now - 1], field[now, 1]], axis=1)
    slope, error, *_ = np.linalg.lstsq(design, target[now + 2], rcond=None)
    t = slope[3] / np.sqrt(error[0] / 54 * np.linalg.inv(design.T @ design)[3, 3])
    assert r[1] == pytest.approx(t / np.sqrt(54 + t**2))


def test_missing_values_stand_aside(rng: np.random.Generator) -> None:
    target, field = rng.standard_normal(47), rng.standard_normal((47, 3))
    holed = field.copy()
    holed[[4, 9], 1] = np.nan
    holed[:, 2] = np.nan
    kept = np.delete(np.arange(46), [4, 9])
    expected = np.corrcoef(field[kept, 1], target[kept + 1])[0, 1]
    found = correlate(target, holed, 1)
    np.testing.assert_allclose(found, [correlate(target, field, 1)[0], expected, np.nan])
    r, size = partial_correlation(target, holed, 1)
    design = np.stack([np.ones(44), target[kept]], axis=1)
    left = [
        v - design @ np.linalg.lstsq(design, v, rcond=None)[0] for v in (field[kept, 1], target[kept + 1])
    ]
    assert r[1] == pytest.approx(np.corrcoef(*left)[0, 1])
    assert np.isnan(r[2])
    assert np.isnan(size[2])


def test_measured_maps_are_those_of_the_truth() -> None:
    steps, target, lead = 4001, "late", 3
    x = WORLD.simulate(steps, seed=1)
    i = WORLD.index(target)
    series = region_mean(x, WORLD.caps[i].reshape(GRID.shape), GRID)
    np.testing.assert_allclose(series, x.reshape(steps, -1) @ WORLD.means[i])
    found = teleconnections(*arrays(x, series), GRID, (lead,)).isel(lead=0)
    correlation = TRUTH.correlation_maps(lead)[i].reshape(GRID.shape)
    size = steps * 0.2  # (1 - 0.8^2) / (1 + 0.8^2) of red noise
    np.testing.assert_allclose(found.correlation, correlation, atol=4.5 / np.sqrt(size))
    slope = TRUTH.covariance_maps(lead)[i] / TRUTH.variance
    error = TRUTH.index_covariance(0)[i, i] / TRUTH.variance.min()
    np.testing.assert_allclose(found.slope.values.ravel(), slope, atol=4.5 * np.sqrt(error / size))
    maps = {name: found[name].values for name in ("correlation", "partial", "eof_regression")}
    maps["effect"] = TRUTH.effects(lead)[0, i] / GRID.areas.ravel()
    scores = planted_scores(maps, TRUTH, target, lead)
    best = scores.sel(map="effect")
    assert [float(best[name]) for name in scores.data_vars] == pytest.approx([1, 1, 1, 1, 0])
    # correlation is confounded: "early" shows in it though it does nothing
    leaks = dict(zip(scores["map"].values.tolist(), scores.confounder_leak.values.tolist(), strict=True))
    assert leaks["correlation"] > 0.3
    assert leaks["partial"] > 0.2
    assert (scores.auroc.values > 0.8).all()
    assert scores.average_precision.sel(map="partial") > scores.average_precision.sel(map="correlation")
    assert (scores.sign_agreement.values > 0.9).all()
    early = found.significant.values & WORLD.caps[WORLD.index("early")].reshape(GRID.shape)
    assert early.any()  # significance says that the correlation is real, and no more


def test_a_link_is_found_through_season_trend_and_missing_values() -> None:
    world = Planted.nonlinear(GRID)
    ds = dataset(world, 1500, seed=2)
    raw, i = ds.x.values.astype(np.float64), world.index("cooled")
    region, land = world.caps[i].reshape(GRID.shape), np.isnan(raw).all(axis=0)
    shares = {}
    for name, field in (("raw", raw), ("anomalies", anomalies(raw, ds.time.values))):
        found = teleconnections(*arrays(field, region_mean(field, region, GRID)), GRID, (2,)).isel(lead=0)
        shares[name] = float(np.average(found.significant.values[~region], weights=GRID.areas[~region]))
        assert (np.isnan(found.partial) == land).all()  # the swath hides a cell now and then, land always
    assert shares["raw"] > 0.5  # the season, and the trend, are everywhere
    assert shares["anomalies"] < 0.2  # the surroundings of both regions
    r, kept = found.partial.values.ravel(), ~(region | land).ravel()
    acts = world.caps[world.index("cooler")]
    assert average_precision(-r[kept], acts[kept], GRID.areas.ravel()[kept]) > 0.9


def test_background_is_flagged_as_often_as_promised() -> None:
    # where the true correlation is below 0.02: naively 35 to 49 % of the area, 5 % with n*, next to none with the
    # false discovery rate
    i, lead, steps = WORLD.index("cooled"), 2, 1000
    quiet = abs(TRUTH.correlation_maps(lead)[i]) < 0.02
    areas = GRID.areas.ravel() * quiet / (GRID.areas.ravel() * quiet).sum()
    shares = []
    for seed in range(12):
        x = WORLD.simulate(steps, seed).reshape(steps, -1)
        series = x @ WORLD.means[i]
        r = correlate(series, x, lead)
        size = effective_size_ar1(memory(x), memory(series), steps)
        p = correlation_p(r, size)
        flagged = (
            correlation_p(r, np.array(1000.0)) < 0.05,
            p < 0.05,
            false_discovery(p, 0.05, GRID.areas.ravel()),
        )
        shares.append([areas @ f for f in flagged])
    naive, effective, discovered = np.mean(shares, axis=0)
    assert 0.3 < naive < 0.5
    assert 0.02 < effective < 0.08
    assert discovered < 0.03


FIELD = np.zeros((20, 12, 24))
REFUSALS: list[tuple[Callable[[], object], str]] = [
    (
        lambda: teleconnections(*arrays(FIELD, np.full(20, np.nan)), GRID, (1,)),
        "expected a field (time, 12, 24) and a whole series of the target along its times, got (20, 12, 24) and (20,) "
        "with 20 missing: align them and fill the gaps of the target",
    ),
    (
        lambda: partial_correlation(np.zeros(20), FIELD, 0),
        "expected a lag of at least one step and a short own past, got lag 0 and 1 values of 20: shorten them",
    ),
    (
        lambda: region_mean(FIELD, np.zeros((12, 24), dtype=bool), GRID),
        "expected a region with at least one cell, got none: check its bounds against the grid",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSALS, ids=[text[9:35] for _, text in REFUSALS])
def test_refusals_are_sentences(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        make()
