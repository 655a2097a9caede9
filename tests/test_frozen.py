"""Attention frozen to its mean stencil, against heads that are one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from attention_data import random_rows

from gridvit.analysis import attention
from gridvit.analysis.frozen import MeanStencil, RadialMean, put
from gridvit.analysis.pairs import Pairs
from gridvit.grid import Grid


def areas_of(grid: Grid) -> np.ndarray:
    return (grid.areas / grid.areas.sum()).reshape(1, -1)


def in_blocks(weights: np.ndarray, size: int):
    for layer in range(weights.shape[1]):
        for start in range(0, weights.shape[-1], size):
            rows = slice(start, min(start + size, weights.shape[-1]))
            yield layer, rows, torch.from_numpy(weights[:, layer, :, rows])


@pytest.mark.parametrize("shape", [(5, 6), (7,)])
def test_on_a_torus_it_is_the_attention_stencil(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    grid = Grid.regular(shape)
    weights = random_rows(rng, 3, 2, 2, grid.size, grid.size)
    frozen = MeanStencil.of(in_blocks(weights, 4), grid, areas_of(grid))
    stencil = attention.attention_stencil(weights, grid)
    for layer in range(2):
        found = frozen(layer, torch.from_numpy(weights[:1, layer]))
        for head in range(2):
            want = stencil.isel(layer=layer, head=head).matrix(grid).toarray()
            np.testing.assert_allclose(found[0, head], want, atol=1e-7)


@pytest.mark.parametrize("n_lon", [5, 6])
def test_on_a_globe_it_is_the_zonal_stencil(rng: np.random.Generator, n_lon: int) -> None:
    grid = Grid.latlon(3, n_lon)
    weights = random_rows(rng, 2, 1, 2, grid.size, grid.size)
    frozen = MeanStencil.of(in_blocks(weights, 7), grid, areas_of(grid))
    found = frozen(0, torch.from_numpy(weights[:1, 0])).reshape(2, 3, n_lon, 3, n_lon)
    zonal = attention.zonal_stencil(weights, grid)
    for offset in range(n_lon):
        degrees = ((offset + n_lon // 2) % n_lon - n_lon // 2) * 360 / n_lon
        want = zonal.sel(dlon=degrees, method="nearest")[0]
        for lon in range(n_lon):
            np.testing.assert_allclose(found[:, :, lon, :, (lon + offset) % n_lon], want, atol=1e-7)


def test_a_head_that_is_a_stencil_stays_as_it_is(rng: np.random.Generator) -> None:
    grid = Grid.regular((4, 5), periodic=(False, True))
    kernel = random_rows(rng, 4, 20).reshape(4, 4, 5)
    rows = np.stack([np.roll(kernel, lon, -1) for lon in range(5)], 1).reshape(1, 1, 1, 20, 20)
    frozen = MeanStencil.of(in_blocks(rows, 3), grid, areas_of(grid))
    np.testing.assert_allclose(frozen(0, torch.from_numpy(rows[:, 0])), rows[:, 0], atol=1e-7)


def test_tokens_without_a_place_keep_their_mass(rng: np.random.Generator) -> None:
    grid = Grid.regular((5,))
    weights = random_rows(rng, 2, 1, 1, 7, 7)
    frozen = MeanStencil.of(in_blocks(weights, 3), grid, areas_of(grid), 2)
    one = torch.from_numpy(weights[:1, 0])
    found = frozen(0, one)
    torch.testing.assert_close(found[:, :, :2], one[:, :, :2])
    torch.testing.assert_close(found[..., :2], one[..., :2])
    torch.testing.assert_close(found.sum(-1), torch.ones(1, 1, 7).double())
    inner = weights[..., 2:, 2:] / weights[..., 2:, 2:].sum(-1, keepdims=True)
    want = attention.attention_stencil(inner, grid).isel(layer=0, head=0).matrix(grid).toarray()
    shares = found[0, 0, 2:, 2:] / found[0, 0, 2:, 2:].sum(-1, keepdim=True)
    np.testing.assert_allclose(shares, want, atol=1e-7)


def test_a_key_that_nothing_sees_stays_unseen() -> None:
    weights = torch.tensor([[[[0.5, 0, 0.5], [0.2, 0, 0.8], [1.0, 0, 0]]]])
    found = put(weights, torch.full((1, 3, 3), 1 / 3), 0)
    torch.testing.assert_close(found, torch.tensor([0.5, 0, 0.5]).expand(1, 1, 3, 3))


def test_a_radial_head_is_its_own_profile() -> None:
    # one ring of equal distances in each bin: offsets 0 to 3 of seven
    grid = Grid.regular((7,))
    pairs = Pairs(grid, np.array([-0.5, 0.5, 1.5, 2.5, 3.5]))
    kernel = np.array([0.4, 0.15, 0.1, 0.05, 0.05, 0.1, 0.15])
    rows = np.stack([np.roll(kernel, i) for i in range(7)])[None, None]
    lift = attention.radial_lift(rows, grid, pairs.edges).values
    found = RadialMean(lift, pairs)(0, torch.from_numpy(rows[0])[None])
    np.testing.assert_allclose(found[0], rows[0], rtol=1e-12)
