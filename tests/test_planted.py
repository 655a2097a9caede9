"""The planted world: its covariances against the dense system and a long run, its causal rows, its Dataset."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.autoregression import Autoregression
from gridvit.physics.planted import Climate, Link, Planted, Region, links
from gridvit.physics.planted_data import dataset, graph, observed
from gridvit.physics.planted_truth import PlantedTruth
from gridvit.physics.sphere_noise import SphereNoise

SMALL = Grid.latlon(5, 7)
WIDE = tuple(
    Region(name, north, east, 40.0)
    for name, north, east in [("a", 40, 0), ("b", -40, 90), ("c", 40, 180), ("d", -40, 270)]
)
LINKS = (Link("a", "b", 1, 0.3), Link("b", "c", 3, -0.4), Link("a", "d", 2, 0.25), Link("d", "d", 1, 0.1))
TOY = Planted(SMALL, WIDE, LINKS, memory=0.6)


def dense(world: Planted) -> Autoregression:
    """The same world without its structure: one matrix per lag between all cells."""
    matrices = np.zeros((world.longest_lag, world.grid.size, world.grid.size))
    matrices[0] = world.memory * np.eye(world.grid.size)
    for link in world.links:
        target, source = world.names.index(link.target), world.names.index(link.source)
        matrices[link.lag - 1] += link.strength * np.outer(world.caps[target], world.means[source])
    return Autoregression(matrices, world.noise.on(world.grid).dense())


@pytest.mark.parametrize("noise", [SphereNoise(), SphereNoise("generating", 0.6, mean_free=True)])
def test_the_reduced_world_is_the_dense_one(noise: SphereNoise) -> None:
    world = Planted(SMALL, WIDE, LINKS, memory=0.6, noise=noise)
    truth, whole = PlantedTruth(world), dense(world)
    m = world.means
    np.testing.assert_allclose(truth.variance, np.diag(whole.covariance(0)), rtol=1e-10)
    for lag in (0, 1, 4):
        np.testing.assert_allclose(truth.field_covariance(lag), whole.covariance(lag), atol=1e-10)
        np.testing.assert_allclose(truth.covariance_maps(lag), m @ whole.covariance(lag), atol=1e-10)
        np.testing.assert_allclose(truth.covariance_maps(-lag), m @ whole.covariance(lag).T, atol=1e-10)
        np.testing.assert_allclose(truth.index_covariance(lag), m @ whole.covariance(lag) @ m.T, atol=1e-10)
        np.testing.assert_allclose(truth.effects(lag), m @ whole.response(lag), atol=1e-12)


def test_the_best_forecast_is_causal_only_with_the_whole_history() -> None:
    truth = PlantedTruth(TOY)
    for lead in (1, 3):
        np.testing.assert_allclose(truth.predictor(lead, 3), truth.effects(lead), atol=1e-8)
    short = truth.predictor(1)[0, TOY.index("c")]
    assert (
        abs(short[TOY.caps[TOY.index("b")]].sum()) > 0.01
    )  # the link of lag 3 cannot act yet: this is confounded
    assert not truth.sources(1)[TOY.index("c")].any()


def test_effects_of_a_chain_add_up_its_paths() -> None:
    # a -> b (1), b -> c (3): an impulse in a reaches c after 4 steps as the product, after 5 by memory on three ways
    world = Planted(SMALL, WIDE, LINKS[:2], memory=0.6)
    for lead, expected in ((3, 0.0), (4, 0.3 * -0.4), (5, 3 * 0.6 * 0.3 * -0.4)):
        found = PlantedTruth(world).effects(lead)[0, world.index("c")]
        assert found[world.caps[world.index("a")]].sum() == pytest.approx(expected, abs=1e-15)


def test_a_long_run_has_the_covariances_of_the_truth() -> None:
    truth, states = PlantedTruth(TOY), TOY.simulate(8009, seed=3).reshape(8009, -1)
    index = states @ TOY.means.T
    for lag in (0, 2):
        early, late = states[: len(states) - lag], index[lag:]
        found = late.T @ early / len(early) / np.sqrt(np.outer(index.var(axis=0), states.var(axis=0)))
        # 6 standard deviations of a correlation from about 8000 (1 - 0.36) / (1 + 0.36) independent pairs
        np.testing.assert_allclose(found, truth.correlation_maps(lag), atol=6 / np.sqrt(3760))


def test_the_default_world_keeps_the_weather_of_regions_apart() -> None:
    world = Planted.linear(Grid.latlon(16, 32))
    assert world.is_linear
    assert world.longest_lag == 3
    share = (world.caps @ world.grid.areas.ravel()) / world.grid.areas.sum()
    expected = (1 - np.cos(np.deg2rad(18))) / 2  # 0.0245; cells at the poles are narrow, and make 0.038
    assert share == pytest.approx(expected, rel=0.6)
    idle = Planted(world.grid, links=())
    off = PlantedTruth(idle).index_covariance(0)
    off = off / np.sqrt(np.outer(np.diag(off), np.diag(off)))
    assert abs(off - np.eye(10)).max() < 0.03


def test_a_rectified_link_feels_one_sign_and_a_gate_its_months() -> None:
    one = Planted(SMALL, WIDE, (Link("a", "b", 1, 0.5, rectified=True),), memory=0.0, noise=SphereNoise())
    two = Planted(SMALL, WIDE, (Link("a", "b", 1, 0.5, months=(1,)),), memory=0.0, noise=SphereNoise())
    none = Planted(SMALL, WIDE, (), memory=0.0, noise=SphereNoise())
    months = np.arange(101) % 12 + 1
    quiet = none.simulate(101, 5).reshape(101, -1)
    index = quiet @ none.means.T
    for world, felt in (
        (one, np.maximum(index[:-1, 0], 0)),
        (two, np.where(months[1:] == 1, index[:-1, 0], 0)),
    ):
        added = world.simulate(101, 5, months).reshape(101, -1)[1:] - quiet[1:]
        np.testing.assert_allclose(added, 0.5 * felt[:, None] * one.caps[1], atol=1e-12)
        assert not world.is_linear
    with pytest.raises(
        InputError, match="^expected a linear world, got gated or rectified links: score its graph"
    ):
        PlantedTruth(one)
    with pytest.raises(
        InputError, match="^expected the month of each step for gated links, got none: use planted"
    ):
        two.simulate(5)


def test_the_dataset_is_read_back_with_its_world() -> None:
    world = Planted.nonlinear(Grid.latlon(12, 24))
    ds = dataset(world, 150, seed=2)
    assert ds.x.dims == ("time", "latitude", "longitude")
    assert Grid.from_dataset(ds) == world.grid
    again = Planted.from_attrs(ds.attrs, Grid.from_dataset(ds))
    assert again.links == world.links
    assert again.climate == world.climate
    assert again.noise == world.noise
    xr.testing.assert_identical(dataset(again, 150, seed=2), ds)
    land = np.isnan(ds.x).all("time").values
    assert land.any()
    assert not (land.ravel() & world.caps.any(axis=0)).any()
    moving = np.isnan(ds.x).values & ~land
    assert 0 < moving.mean() < 0.05
    assert graph(world).source.values.tolist()[:2] == ["chain_1", "chain_2"]
    assert (ds.region.values == 1).ravel().tolist() == world.caps[0].tolist()


def test_the_climate_is_the_stated_one() -> None:
    grid = Grid.latlon(6, 8)
    world = Planted(grid, (), (), climate=Climate(mean=2.0, spread=0.5, trend=0.1))
    times = np.array(["2001-01-01", "2002-01-01"], dtype="datetime64[D]")
    seen = observed(world, np.ones((2, 6, 8)), times)
    sine = np.sin(np.deg2rad(grid.centers[0]))[:, None] * np.ones(8)
    np.testing.assert_allclose(seen[0], 2 * sine + 1 + 0.5 * sine)
    np.testing.assert_allclose(seen[1] - seen[0], 0.1 * 365 / 365.2425)


def test_truth_maps_are_a_dataset_of_the_world() -> None:
    found = PlantedTruth(TOY).maps((1, 2))
    assert found.effect.dims == ("region", "lead", "latitude", "longitude")
    assert all({"units", "long_name"} <= set(found[name].attrs) for name in found.data_vars)
    effect = found.effect.sel(region="d", lead=2).values.ravel()
    assert effect[TOY.caps[0]].sum() == pytest.approx(0.25)
    assert (found.source.sel(region="d", lead=2).values.ravel() == TOY.caps[0]).all()


REFUSALS = [
    (
        lambda: Planted(SMALL, WIDE, (Link("a", "e"),)),
        "expected links between the regions a, b, c, d, got 'e': name one of them",
    ),
    (
        lambda: Planted(SMALL, WIDE, (Link("a", "b", 0),)),
        "expected a lag of at least one step and months of 1 to 12, got lag 0 and months (): correct the link",
    ),
    (
        lambda: Planted(SMALL, (Region("speck", 3, 4, 0.1),), ()),
        "expected a cell in every region, got none in speck: take a finer grid or a wider cap",
    ),
    (
        lambda: Planted(SMALL, WIDE[:1] * 2, ()),
        "expected regions of different names, got a, a: rename one",
    ),
    (lambda: TOY.index("z"), "expected a region among a, b, c, d, got 'z': choose one of them"),
    (
        lambda: Planted.from_attrs({}, SMALL),
        "expected a Dataset of a planted world, got no attribute gridvit_planted: make one",
    ),
    (lambda: dataset(TOY, 1), "expected at least 2 steps, got 1: ask for more: a file needs a time step"),
    (
        lambda: PlantedTruth(Planted(Grid.latlon(12, 24), noise=SphereNoise(white=0.0, scale=0.3))).predictor(
            1
        ),
        "expected a covariance of cells that has an inverse, got a singular one: give the noise a white share",
    ),
    (
        lambda: PlantedTruth(Planted(SMALL, WIDE, links=(Link("a", "a", 1, 0.5),))),
        "expected a system that forgets, got one that grows by 1.3 a step: weaken its links or memory",
    ),
]


@pytest.mark.parametrize(("make", "text"), REFUSALS, ids=[text[9:35] for _, text in REFUSALS])
def test_refusals_are_sentences(make: Callable[[], object], text: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        make()


def test_the_planted_links_are_those_named() -> None:
    table = {(link.source, link.target): (link.lag, link.strength) for link in links(0.2)}
    assert table["common", "late"] == (3, 0.2)
    assert table["cooler", "cooled"] == (2, -0.2)
