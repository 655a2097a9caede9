"""What is seen of attention beside its mean: quantiles, directions, baselines, and what stays in a block."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from attention_data import looked, random_rows, uniform
from test_blocks import SMALL, SPHERE, TORUS, fields, network

from gridvit.analysis import attention
from gridvit.analysis.looking import attention_by_blocks
from gridvit.analysis.pairs import Pairs, tangents
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.looking import bias_maps, residual_shares


def towards(grid: Grid, *keys: int) -> np.ndarray:
    """Every query looks evenly at these keys."""
    rows = np.zeros((1, 1, grid.size, grid.size))
    rows[..., list(keys)] = 1 / len(keys)
    return rows


def test_quantiles_of_a_line_are_those_counted_by_hand() -> None:
    # the first of seven looks .1, .2, .3, .4 at distances 0, 2, 4, 6; the others at themselves count too: 6/7 at 0
    grid = Grid.regular((7,), periodic=False)
    rows = np.eye(7)
    rows[0] = [0.1, 0, 0.2, 0, 0.3, 0, 0.4]
    found = attention.attention_distance(rows[None, None], grid)
    assert found.attention_quantile["quantile"].values.tolist() == [0.1, 0.25, 0.5, 0.75, 0.9]
    # shares up to 0, 2, 4, 6: .871, .9, .943, 1
    np.testing.assert_allclose(found.attention_quantile[0, 0], [0, 0, 0, 0, 2], atol=1e-12)
    everyone = attention.attention_distance(uniform(grid), grid)
    ways = np.sort([abs(i - j) for i in range(7) for j in range(7)])
    by_hand = [ways[int(np.ceil(q * 49)) - 1] for q in (0.1, 0.25, 0.5, 0.75, 0.9)]
    np.testing.assert_allclose(everyone.attention_quantile[1, 2], by_hand, atol=1e-12)
    np.testing.assert_allclose(everyone.attention_uniform_quantile, by_hand, atol=1e-12)


def test_quantiles_on_the_sphere_are_those_of_the_sine() -> None:
    # uniform attention reaches a share q within the angle whose cap has that area, cos r = 1 - 2 q
    grid = Grid.latlon(30, 60, radius=1.0)
    areas = grid.areas.ravel() / grid.areas.sum()
    rows = np.broadcast_to(areas, (1, 1, grid.size, grid.size))
    found = attention.attention_distance(rows, grid)
    angles = np.arccos(1 - 2 * found["quantile"].values)
    np.testing.assert_allclose(found.attention_quantile[0, 0], angles, atol=0.03)
    np.testing.assert_allclose(found.attention_uniform_quantile, found.attention_quantile[0, 0], rtol=1e-9)


def test_the_parts_along_axes_of_a_plane() -> None:
    grid = Grid.regular((5, 6), (5.0, 12.0))
    found = attention.attention_distance(uniform(grid), grid)
    # offsets of a ring of five: 0, 1, 2, -2, -1; of six, two apart: 0, 2, 4, -6, -4, -2
    want = np.sqrt([(1 + 4) * 2 / 5, (4 + 16 + 36 + 16 + 4) / 6])
    np.testing.assert_allclose(found.attention_rms_along[1, 2], want, rtol=1e-12)
    np.testing.assert_allclose(found.attention_uniform_rms_along, want, rtol=1e-12)
    assert found["axis"].values.tolist() == ["y", "x"]
    np.testing.assert_allclose((found.attention_rms_along**2).sum("axis"), found.attention_rms**2)


def test_the_parts_along_axes_of_the_sphere() -> None:
    # looking along the equator is zonal, at the pole meridional, and everywhere alike is half of each
    grid = Grid.latlon(7, 9, radius=1.0)
    equator = attention.attention_distance(
        np.where(np.arange(63)[:, None] // 9 == 3, towards(grid, 3 * 9), np.eye(63)), grid
    )
    assert equator["axis"].values.tolist() == ["latitude", "longitude"]
    share = np.sin(np.pi / 14)  # of the sphere within the row about the equator
    ways = np.array([0, 1, 2, 3, 4, 4, 3, 2, 1]) * 2 * np.pi / 9
    np.testing.assert_allclose(
        equator.attention_rms_along[0, 0], [0, np.sqrt(share * (ways**2).mean())], atol=1e-12
    )
    polar = Grid.latlon(9, 8, poles=True, radius=1.0)
    rows = np.where(
        np.arange(72)[:, None] // 8 == 0, np.eye(72), towards(polar, 8 * 8)
    )  # not from the other pole
    found = attention.attention_distance(rows, polar)
    assert found.attention_rms_along.sel(axis="longitude").item() == pytest.approx(0, abs=1e-12)
    assert found.attention_rms_along.sel(axis="latitude").item() == pytest.approx(found.attention_rms.item())
    fine = Grid.latlon(24, 48)
    areas = fine.areas.ravel() / fine.areas.sum()
    even = attention.attention_distance(np.broadcast_to(areas, (1, 1, fine.size, fine.size)), fine)
    parts = (even.attention_rms_along[0, 0] / even.attention_rms[0, 0]) ** 2
    np.testing.assert_allclose(parts, 0.5, atol=2e-3)


def test_directions_at_a_point() -> None:
    north, east = tangents(np.array([[1.0, 0, 0], [0, 0, 1]]))
    np.testing.assert_allclose(north[0], [0, 0, 1], atol=1e-15)
    np.testing.assert_allclose(east[0], [0, 1, 0], atol=1e-15)
    np.testing.assert_allclose((north * east).sum(-1), 0, atol=1e-15)


@pytest.mark.parametrize("poles", [False, True])
def test_24_25_uniform_attention_of_each_query(poles: bool) -> None:
    # SCIENCE B: a point and its antipode are pi away together, from every query; the square sees missing areas
    grid = Grid.latlon(16 + poles, 32, poles=poles, radius=1.0)
    found = attention.attention_distance(uniform(grid, 1, 1), grid)
    np.testing.assert_allclose(found.attention_distance_map, np.pi / 2, rtol=1e-12)
    np.testing.assert_allclose(found.attention_uniform_map, np.pi / 2, rtol=1e-12)
    if not poles:
        squares = (Pairs(grid).of(slice(None)).distances ** 2).mean(axis=1).reshape(16, 32)
        assert squares[-1, 0] == pytest.approx(3.277, abs=6e-3)
        assert squares[8, 0] == pytest.approx(2.813, abs=6e-3)


def test_the_map_is_each_querys_own_mean(rng: np.random.Generator) -> None:
    grid = Grid.regular((5, 4), periodic=(True, False))
    weights = random_rows(rng, 2, 3, 2, 20, 20)
    found = attention.attention_distance(weights, grid)
    want = (weights.mean(axis=0) * grid.distances()).sum(axis=-1).reshape(3, 2, 5, 4)
    np.testing.assert_allclose(found.attention_distance_map, want, rtol=1e-12)
    assert found.attention_distance_map.dims == ("layer", "head", "token_y", "token_x")
    assert found["token_x"].values.tolist() == [0.5, 1.5, 2.5, 3.5]


@pytest.mark.parametrize("registers", [0, 2])
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_the_bias_alone_is_attention_without_content(grid: Grid, registers: int) -> None:
    made, x = network(replace(SMALL, registers=registers), grid), fields(grid)
    for block in made.blocks:
        block.attention.query_key.weight.data.zero_()
        block.attention.query_key.bias.data.zero_()
    seen = looked(made, x, block=11)
    tokens = made.patches.tokens
    areas = (tokens.areas / tokens.areas.sum()).reshape(1, -1)
    alone = attention_by_blocks(bias_maps(made, block=5), tokens, areas, registers)
    for name in ("attention_distance", "dropped_mass", "effective_area_fraction"):
        np.testing.assert_allclose(alone[name], seen[name], rtol=2e-5, atol=1e-7)


def test_the_bias_alone_leaves_out_what_has_no_values() -> None:
    share = torch.ones(2, TORUS.coarsen(SMALL.patch).size)
    share[1, 3] = 0
    torch.manual_seed(3)
    made = ViT(SMALL, TORUS, 2, 1, slice(1, 2))
    for _, _, weights in bias_maps(made, share, 7):
        assert weights.shape[0] == 2
        assert weights[0, :, :, 3].min() > 0
        assert weights[1, :, :, 3].max() == 0


@pytest.mark.parametrize("local", [0, 3])
def test_what_stays_in_a_block(local: int) -> None:
    made, x = network(replace(SMALL, local=local), TORUS), fields(TORUS)
    for name, parameter in made.named_parameters():
        if ".local." in name:
            torch.nn.init.normal_(parameter, std=0.5)
    found = residual_shares(made, x)
    assert found.shape == (len(x), len(made.blocks), made.patches.tokens.size)
    first = made.blocks[0]
    given = made.features(x, [0])[0].patches
    h = first.local(given)  # what attention is beside
    assert torch.equal(h, given) != bool(local)
    added = first.attention(first.norm_1(h))
    torch.testing.assert_close(found[:, 0], h.norm(dim=-1) / (h.norm(dim=-1) + added.norm(dim=-1)))
    for block in made.blocks:
        block.attention.out.weight.data.zero_()
        block.attention.out.bias.data.zero_()
    torch.testing.assert_close(residual_shares(made, x), torch.ones_like(found))
