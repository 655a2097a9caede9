"""Stencils of attention heads, and their share of the variance, against heads planted by hand."""

from __future__ import annotations

import numpy as np
import pytest
from attention_data import random_rows, uniform

from gridvit.analysis import attention
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import modes


@pytest.mark.parametrize("shape", [(5, 6), (7,), (4,)])
def test_a_circulant_head_is_its_own_stencil(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    grid = Grid.regular(shape, tuple(3.0 * n for n in shape))
    kernel = random_rows(rng, grid.size).reshape(shape)
    axes = tuple(range(len(shape)))
    cells = np.stack(np.unravel_index(np.arange(grid.size), shape), axis=-1)
    rows = np.stack([np.roll(kernel, cell, axes).ravel() for cell in cells])
    found = attention.attention_stencil(rows[None, None], grid)
    assert found.dims == ("layer", "head")
    np.testing.assert_allclose(found.spacing, 3.0)
    back = np.zeros(shape)
    back[tuple((found.offsets % shape).T)] = found.weights[0, 0]
    np.testing.assert_allclose(back, kernel, rtol=1e-12)
    np.testing.assert_allclose(found.isel(layer=0, head=0).matrix(grid).toarray(), rows, rtol=1e-12)


def test_a_softmax_head_keeps_bounds_and_constants(rng: np.random.Generator) -> None:
    """SCIENCE 13."""
    grid = Grid.regular((5, 7))
    stencil = attention.attention_stencil(random_rows(rng, 2, 1, 1, 35, 35), grid).isel(layer=0, head=0)
    u = rng.normal(size=35)
    after = stencil.matrix(grid) @ u
    assert u.min() <= after.min() <= after.max() <= u.max()
    np.testing.assert_allclose(stencil.matrix(grid) @ np.ones(35), 1.0, rtol=1e-13)


def test_a_uniform_floor_scales_waves_and_adds_variance() -> None:
    """SCIENCE 20."""
    n, floor, c = 64, 0.01, 0.4
    grid = Grid.regular((n,))
    upwind = (1 - c) * np.eye(n) + c * np.roll(np.eye(n), -1, axis=1)
    rows = (1 - floor) * upwind + floor / n
    clean, mixed = (
        attention.attention_stencil(r[None, None], grid).isel(layer=0, head=0) for r in (upwind, rows)
    )
    waves = modes((n,))[1:]
    np.testing.assert_allclose(mixed.symbol(waves), (1 - floor) * clean.symbol(waves), atol=1e-13)
    assert float(clean.cumulant(2)) == pytest.approx(c * (1 - c), rel=1e-12)
    assert float(mixed.cumulant(2) - clean.cumulant(2)) == pytest.approx(floor * n**2 / 12, rel=0.01)


def test_stencils_are_for_periodic_planes_and_zonal_ones_for_the_sphere(rng: np.random.Generator) -> None:
    with pytest.raises(
        InputError, match=r"expected a plane that is periodic along every axis, .*: use zonal_stencil"
    ):
        attention.attention_stencil(uniform(Grid.latlon(3, 4)), Grid.latlon(3, 4))
    with pytest.raises(
        InputError,
        match=r"expected latitudes and longitudes that close, .*: use radial_lift, which needs no axes",
    ):
        attention.zonal_stencil(uniform(Grid.regular((3, 4))), Grid.regular((3, 4)))


@pytest.mark.parametrize("n_lon", [5, 6])
def test_the_zonal_stencil_follows_each_longitude(rng: np.random.Generator, n_lon: int) -> None:
    grid = Grid.latlon(3, n_lon)
    kernel = random_rows(rng, 3, 3 * n_lon).reshape(3, 3, n_lon)
    rows = np.zeros((3, n_lon, 3, n_lon))
    for lon in range(n_lon):
        rows[:, lon] = np.roll(kernel, lon, axis=-1)
    found = attention.zonal_stencil(rows.reshape(1, 1, grid.size, grid.size), grid)
    assert found.dims == ("layer", "head", "latitude", "key_latitude", "dlon")
    np.testing.assert_allclose(found.sum(("key_latitude", "dlon")), 1.0, rtol=1e-12)
    for offset in range(n_lon):
        degrees = ((offset + n_lon // 2) % n_lon - n_lon // 2) * 360 / n_lon
        np.testing.assert_allclose(
            found.sel(dlon=degrees, method="nearest")[0, 0], kernel[..., offset], rtol=1e-12
        )


def test_the_split_separates_planted_parts(rng: np.random.Generator) -> None:
    """SCIENCE 23."""
    n = 12
    grid = Grid.regular((n,))
    kernel = np.arange(1.0, n + 1) / (n * (n + 1) / 2)
    static = np.stack([np.roll(kernel, i) for i in range(n)])
    place = 0.001 * rng.normal(size=(n, n))
    place -= place.mean(axis=1, keepdims=True)
    content = 0.0005 * rng.normal(size=(2, n, n))
    content -= content.mean(axis=-1, keepdims=True)
    content -= content.mean(axis=0)
    aligned = np.stack([np.roll(row, -i) for i, row in enumerate(place)])
    place -= np.stack([np.roll(aligned.mean(axis=0), i) for i in range(n)])
    found = attention.attention_split((static + place + content)[:, None, None], grid)
    power = np.array([((static - 1 / n) ** 2).mean(), (place**2).mean(), (content**2).mean()])
    np.testing.assert_allclose(
        [float(found[k][0, 0]) for k in ("static", "position", "content")], power / power.sum(), rtol=1e-10
    )


def test_the_split_adds_up_and_needs_two_samples(rng: np.random.Generator) -> None:
    """SCIENCE 23."""
    grid = Grid.regular((3, 5))
    weights = random_rows(rng, 3, 2, 2, 15, 15)
    found = attention.attention_split(weights, grid)
    np.testing.assert_allclose(found.static + found.position + found.content, 1.0, rtol=1e-12)
    assert (found.content > 0.3).all()
    with pytest.raises(InputError, match=r"got \(1, 2, 2, 15, 15\): give more samples"):
        attention.attention_split(weights[:1], grid)
