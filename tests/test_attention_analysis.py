"""Attention distances, spreads and rollouts against means that can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from attention_data import random_rows, uniform
from scipy.special import i0, spherical_in

from gridvit.analysis import attention
from gridvit.errors import InputError
from gridvit.grid import Grid


def area_rows(grid: Grid) -> np.ndarray:
    w = grid.areas.ravel() / grid.areas.sum()
    return np.broadcast_to(w, (1, 1, grid.size, grid.size)).copy()


def fisher(grid: Grid, kappa: float) -> np.ndarray:
    """Area-weighted von Mises-Fisher attention, exp(kappa cos gamma) w_j."""
    cosine = grid.positions @ grid.positions.T
    weights = np.exp(kappa * (cosine - 1)) * grid.areas.ravel()
    return (weights / weights.sum(axis=-1, keepdims=True))[None, None]


@pytest.mark.parametrize("n", [11, 12])
def test_27_a_uniform_periodic_line_has_the_textbook_distance(n: int) -> None:
    found = attention.attention_distance(uniform(Grid.regular((n,))), Grid.regular((n,)))
    want = n / 4 if n % 2 == 0 else (n**2 - 1) / (4 * n)
    np.testing.assert_allclose(found.attention_distance, want, rtol=1e-13)
    np.testing.assert_allclose(found.attention_uniform, want, rtol=1e-13)
    np.testing.assert_allclose(found.attention_ratio, 1.0, rtol=1e-13)
    assert found.attention_distance.dims == ("layer", "head")
    assert found.attention_distance.shape == (2, 3)


@pytest.mark.parametrize("n", [7, 10])
def test_27_a_uniform_open_line_has_the_textbook_distance(n: int) -> None:
    grid = Grid.regular((n,), periodic=False)
    found = attention.attention_distance(uniform(grid), grid)
    np.testing.assert_allclose(found.attention_distance, (n**2 - 1) / (3 * n), rtol=1e-13)
    np.testing.assert_allclose(found.attention_rms**2, (n**2 - 1) / 6, rtol=1e-13)


@pytest.mark.parametrize(
    ("periodic", "want"),
    [(True, (np.sqrt(2) + np.arcsinh(1)) / 6), (False, (2 + np.sqrt(2) + 5 * np.arcsinh(1)) / 15)],
)
def test_27_the_unit_square_and_torus_converge_to_their_integrals(periodic: bool, want: float) -> None:
    errors = []
    for n in (12, 24):
        grid = Grid.regular((n, n), (1.0, 1.0), periodic=periodic)
        errors.append(
            abs(
                float(attention.attention_distance(uniform(grid, 1, 1), grid).attention_distance[0, 0]) - want
            )
        )
    assert errors[1] < 2e-3
    assert errors[0] / errors[1] > 3.5


@pytest.mark.parametrize(("n_lat", "n_lon"), [(7, 10), (8, 14)])
@pytest.mark.parametrize("rows", [uniform, area_rows])
def test_24_uniform_attention_on_the_sphere_looks_a_quarter_around_it(n_lat: int, n_lon: int, rows) -> None:
    grid = Grid.latlon(n_lat, n_lon, radius=1.0)
    found = attention.attention_distance(rows(grid), grid)
    np.testing.assert_allclose(found.attention_distance, np.pi / 2, rtol=1e-12)
    np.testing.assert_allclose(found.attention_uniform, np.pi / 2, rtol=1e-12)
    assert found.attention_distance.units == "km"


def test_queries_count_by_area() -> None:
    """Polar queries look at themselves, the others a quarter around the sphere."""
    grid = Grid.latlon(6, 10, radius=1.0)
    rows = np.eye(60)
    rows[10:50] = area_rows(grid)[0, 0, 10:50]
    found = attention.attention_distance(rows[None, None], grid)
    middle = np.sin(np.deg2rad(60))
    assert float(found.attention_distance[0, 0]) == pytest.approx(middle * np.pi / 2, rel=1e-12)
    share = grid.areas.ravel() / grid.areas.sum()
    want = middle + 2 * 10 * share[0] ** 2
    assert float(found.effective_area_fraction[0, 0]) == pytest.approx(want, rel=1e-12)


def test_25_the_mean_square_distance_on_the_sphere() -> None:
    grid = Grid.latlon(16, 32, radius=1.0)
    found = attention.attention_distance(area_rows(grid), grid)
    assert float(found.attention_rms[0, 0]) ** 2 == pytest.approx((np.pi**2 - 4) / 2, rel=5e-3)
    assert float(found.attention_uniform_rms[0, 0]) ** 2 == pytest.approx((np.pi**2 - 4) / 2, rel=5e-3)


def test_the_effective_area_sees_a_missing_area_weight() -> None:
    """KL(1/N || w) is the mean of -log(cos(phi) pi / 2) over even latitudes, log(4 / pi)."""
    errors = []
    for n in (24, 48):
        grid = Grid.latlon(n, 3)
        found = attention.attention_distance(uniform(grid, 1, 1), grid).effective_area_fraction
        errors.append(abs(float(found[0, 0]) - np.pi / 4))
    assert errors[0] < 0.03
    assert errors[0] / errors[1] == pytest.approx(2.0, rel=0.1)


@pytest.mark.parametrize("kappa", [0.7, 4.0])
def test_26_a_von_mises_fisher_head_has_its_closed_forms(kappa: float) -> None:
    grid = Grid.latlon(16, 32, radius=1.0)
    weights = fisher(grid, kappa)
    found = attention.attention_distance(weights, grid)
    mean = np.pi * (i0(kappa) - np.exp(-kappa)) / (2 * np.sinh(kappa))
    assert float(found.attention_distance[0, 0]) == pytest.approx(mean, abs=3e-3)
    divergence = np.log(kappa / np.sinh(kappa)) + kappa / np.tanh(kappa) - 1
    assert float(found.effective_area_fraction[0, 0]) == pytest.approx(np.exp(-divergence), rel=1e-2)
    lift = attention.radial_lift(weights, grid, np.linspace(0, np.pi, 8))[0, 0]
    middle = np.array(
        [
            _fisher_bin(kappa, a, b)
            for a, b in zip(lift.distance - np.pi / 14, lift.distance + np.pi / 14, strict=True)
        ]
    )
    np.testing.assert_allclose(lift, middle, rtol=0.06)


@pytest.mark.parametrize("kappa", [0.7, 4.0])
def test_26_a_von_mises_fisher_head_scales_spherical_harmonics(kappa: float) -> None:
    grid = Grid.gaussian(20, 41, radius=1.0)
    rows, (x, y, z) = fisher(grid, kappa)[0, 0], grid.positions.T
    for degree, harmonic in (
        (0, 1 + 0 * z),
        (1, z),
        (1, x),
        (2, x * y),
        (2, 3 * z**2 - 1),
        (3, 5 * z**3 - 3 * z),
    ):
        ratio = spherical_in(degree, kappa) / spherical_in(0, kappa)
        np.testing.assert_allclose(rows @ harmonic, ratio * harmonic, atol=1e-14)


def _fisher_bin(kappa: float, low: float, high: float) -> float:
    """Mean of kappa e^(kappa cos) / sinh(kappa) over a ring, area-weighted."""
    gain = (np.exp(kappa * np.cos(low)) - np.exp(kappa * np.cos(high))) / np.sinh(kappa)
    return float(gain / (np.cos(low) - np.cos(high)))


@pytest.mark.parametrize(
    "grid", [Grid.regular((5, 6)), Grid.regular((7, 4), periodic=False), Grid.latlon(6, 9)]
)
def test_uniform_attention_lifts_nothing_and_fills_the_area(grid: Grid) -> None:
    rows = area_rows(grid)
    lift = attention.radial_lift(rows, grid, 7)
    np.testing.assert_allclose(lift.values[np.isfinite(lift)], 1.0, rtol=1e-12)
    assert np.isfinite(lift).sum() >= 5
    found = attention.attention_distance(rows, grid)
    np.testing.assert_allclose(found.effective_area_fraction, 1.0, rtol=1e-12)
    np.testing.assert_allclose(found.received_attention, 1.0, rtol=1e-12)


def test_28_an_even_cap_fills_its_own_share_of_the_area() -> None:
    grid = Grid.latlon(18, 36)
    areas = grid.areas.ravel() / grid.areas.sum()
    cap = areas * (grid.positions[:, 2] > np.sin(np.deg2rad(50)))
    rows = np.broadcast_to(cap / cap.sum(), (1, 1, grid.size, grid.size)).copy()
    found = attention.attention_distance(rows, grid).effective_area_fraction
    np.testing.assert_allclose(found, (1 - np.sin(np.deg2rad(50))) / 2, rtol=1e-12)


def test_lift_is_nan_where_no_pair_falls_and_ignores_pairs_outside() -> None:
    grid = Grid.regular((6,))
    lift = attention.radial_lift(uniform(grid), grid, np.array([0.5, 1.5, 1.7, 2.5]))
    np.testing.assert_allclose(lift[0, 0], [1.0, np.nan, 1.0])


def test_tokens_without_a_place_are_left_out_and_reported(rng: np.random.Generator) -> None:
    grid = Grid.regular((5, 3))
    inner = random_rows(rng, 2, 2, 15, 15)
    whole = np.zeros((2, 2, 17, 17))
    whole[..., 0] = 1.0
    whole[..., 2:, 0], whole[..., 2:, 1], whole[..., 2:, 2:] = 0.25, 0.05, 0.7 * inner
    found = attention.attention_distance(whole, grid, extra=2)
    np.testing.assert_allclose(found.dropped_mass, 0.3, rtol=1e-12)
    want = attention.attention_distance(inner, grid).attention_distance
    np.testing.assert_allclose(found.attention_distance, want, rtol=1e-12)


def test_samples_are_averaged(rng: np.random.Generator) -> None:
    grid = Grid.regular((7,))
    weights = random_rows(rng, 3, 2, 2, 7, 7)
    single = [attention.attention_distance(w, grid) for w in weights]
    found = attention.attention_distance(weights, grid)
    for name in ("attention_distance", "effective_area_fraction"):
        np.testing.assert_allclose(found[name], np.mean([s[name] for s in single], axis=0), rtol=1e-12)


def test_rows_that_are_no_distributions_are_refused() -> None:
    grid = Grid.regular((5,))
    with pytest.raises(
        InputError, match=r"expected attention rows that are distributions, got a smallest weight of"
    ):
        attention.attention_distance(uniform(grid) * 0.9, grid)
    with pytest.raises(
        InputError, match=r"expected attention weights \(\[sample,\] layer, head, 5, 5\) on 5 x "
    ):
        attention.attention_distance(uniform(Grid.regular((6,))), grid)
    only_extra = np.zeros((1, 1, 6, 6))
    only_extra[..., 0] = 1.0
    with pytest.raises(InputError, match="got a row without any: look at that head by itself"):
        attention.attention_distance(only_extra, grid, extra=1)


def test_a_sink_receives_what_it_takes_from_the_rest() -> None:
    grid = Grid.regular((5,))
    rows = np.full((1, 1, 5, 5), 0.1)
    rows[..., 2] = 0.6
    found = attention.attention_distance(rows, grid, sink=2.9)
    np.testing.assert_allclose(found.received_attention[0, 0], [0.5, 0.5, 3.0, 0.5, 0.5], rtol=1e-12)
    assert found.received_attention.dims == ("layer", "head", "token_x")
    assert (found.sink_tokens.item(), attention.attention_distance(rows, grid).sink_tokens.item()) == (1, 0)
    assert found.sink_mass.item() == pytest.approx(0.6, rel=1e-12)
    # without the sink each query has four keys alike, itself among them unless it is the sink: the pairs are 0, 1, 1, 2
    # and so on from each place of the ring of five, 2 at most
    ways = [min(abs(i - j), 5 - abs(i - j)) for i in range(5) for j in (0, 1, 3, 4)]
    assert found.attention_distance_without_sinks.item() == pytest.approx(np.mean(ways), rel=1e-12)


def test_29_rollout_of_identity_and_of_uniform_layers(rng: np.random.Generator) -> None:
    n, layers = 7, 3
    identity = np.broadcast_to(np.eye(n), (layers, 2, n, n)).copy()
    np.testing.assert_allclose(attention.attention_rollout(identity), np.eye(n), atol=1e-15)
    even = np.full((layers, 2, n, n), 1 / n)
    want = 2.0**-layers * np.eye(n) + (1 - 2.0**-layers) / n
    np.testing.assert_allclose(attention.attention_rollout(even), want, rtol=1e-13)
    mixed = attention.attention_rollout(random_rows(rng, 4, layers, 2, n, n))
    assert mixed.shape == (4, n, n)
    np.testing.assert_allclose(mixed.sum(axis=-1), 1.0, rtol=1e-13)


def test_rollout_puts_the_last_layer_leftmost(rng: np.random.Generator) -> None:
    first, last = random_rows(rng, 2, 1, 5, 5)
    want = (np.eye(5) + last[0]) @ (np.eye(5) + first[0]) / 4
    np.testing.assert_allclose(attention.attention_rollout(np.stack([first, last])), want, rtol=1e-13)


def test_uniform_attention_over_valid_tokens_scores_one() -> None:
    grid = Grid.latlon(5, 8)
    share = np.random.default_rng(2).random((3, 40)) * (np.arange(40) % 3 > 0)
    areas = grid.areas.ravel() * share
    areas /= areas.sum(axis=1, keepdims=True)
    weights = np.broadcast_to(areas[:, None, None, None], (3, 2, 1, 40, 40))
    found = attention.attention_distance(weights, grid, share=share)
    np.testing.assert_allclose(found["attention_ratio"], 1.0, rtol=1e-12)
    np.testing.assert_allclose(found["effective_area_fraction"], 1.0, rtol=1e-12)
    expected = np.einsum("si,ij,sj->s", areas, grid.distances(), areas).mean()
    np.testing.assert_allclose(found["attention_distance"], expected, rtol=1e-12)
    lift = attention.radial_lift(weights, grid, 7, share=share)
    np.testing.assert_allclose(lift, 1.0, rtol=1e-10)
