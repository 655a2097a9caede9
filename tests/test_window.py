"""Windowed attention: every pair within reach, across the date line and the poles, and none beyond."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from curvilinear_data import rotated

from gridvit.errors import InputError
from gridvit.grid import EARTH_RADIUS, Grid
from gridvit.mesh import Mesh
from gridvit.nn.attention import Attention, folded_attention
from gridvit.nn.bias import make_bias
from gridvit.nn.window import Window

CASES = {
    "sphere": (Grid.latlon(12, 17), 3000.0),
    "poles": (Grid.latlon(13, 10, poles=True), 4100.0),
    "whole sphere": (Grid.latlon(6, 8), 30000.0),
    "torus": (Grid.regular((11, 13), (2.0, 3.0)), 0.5),
    "torus, reach beyond half": (Grid.regular((5, 9), (2.0, 3.0)), 1.2),
    "channel": (Grid.regular((11, 13), periodic=(False, True)), 2.0),
    "box": (Grid.regular((9, 11), (2.0, 3.0), periodic=False), 0.61),
    "ring": (Grid.regular(150), 3.0),
}


def haversine(grid: Grid) -> np.ndarray:
    """Distances from the coordinates, by formulas that the library does not use."""
    points = np.stack([m.ravel() for m in np.meshgrid(*grid.centers, indexing="ij")], -1)
    if grid.is_sphere:
        return great_circles(points)
    delta = np.abs(points[:, None] - points[None])
    for axis in range(grid.ndim):
        if grid.periodic[axis]:
            delta[..., axis] = np.minimum(delta[..., axis], grid.lengths[axis] - delta[..., axis])
    return np.sqrt((delta**2).sum(-1))


def great_circles(points: np.ndarray) -> np.ndarray:
    """The haversine formula for latitudes and longitudes in degrees."""
    delta = np.abs(points[:, None] - points[None])
    lat, half = np.radians(points[:, 0]), np.sin(np.radians(delta) / 2) ** 2
    half = half[..., 0] + np.cos(lat[:, None]) * np.cos(lat) * half[..., 1]
    return 2 * EARTH_RADIUS * np.arcsin(np.sqrt(half.clip(0, 1)))


def reached(grid: Grid, window: Window, registers: int = 0) -> np.ndarray:
    """Which values a query's output depends on, from the fused path: attention of one-hot values."""
    size = grid.size + registers
    flat = torch.zeros(1, 1, size, 1)
    fold = make_bias("none", grid, 1, 1, registers=registers).fold()
    out = folded_attention(flat, flat, torch.eye(size)[None, None], fold, window)
    return out[0, 0].numpy() > 0


@pytest.mark.parametrize(("grid", "reach"), CASES.values(), ids=CASES)
def test_all_within_reach_and_none_beyond(grid: Grid, reach: float) -> None:
    window = Window(grid, reach)
    np.testing.assert_array_equal(reached(grid, window), haversine(grid) <= reach * (1 + 1e-6))
    every = torch.arange(grid.size)
    np.testing.assert_array_equal(window.near(every).numpy(), haversine(grid) <= reach * (1 + 1e-6))


MESHES = {"date line": ((90.0, 0.0), 180.0), "pole": ((3.0, 20.0), 0.0), "Europe": ((39.25, -162.0), 0.0)}


@pytest.mark.parametrize(("pole", "turn"), MESHES.values(), ids=MESHES)
def test_on_a_mesh_within_reach_and_none_beyond(pole: tuple[float, float], turn: float) -> None:
    lat, lon = rotated(*np.meshgrid(3.0 * np.arange(-4, 5), 3.0 * np.arange(-5, 6), indexing="ij"), pole)
    lon = (lon + turn + 180) % 360 - 180
    grid = Grid.curvilinear(Mesh.from_centers(lat, lon))
    distance = great_circles(np.stack([lat.ravel(), lon.ravel()], -1))
    if pole[0] < 10:
        assert lat.max() > 87  # the pole is inside
    for reach in (400.0, 1000.0):
        np.testing.assert_array_equal(reached(grid, Window(grid, reach)), distance <= reach)


@pytest.mark.parametrize("name", ["sphere", "poles", "torus", "channel", "box"])
def test_gradients_of_a_layer_reach_as_far_and_no_farther(name: str) -> None:
    grid, reach = CASES[name]
    torch.manual_seed(0)
    layer = Attention(16, 2, make_bias("none", grid, 2, 2), Window(grid, reach))
    x = torch.randn(1, grid.size, 16)
    near = haversine(grid) <= reach * (1 + 1e-6)
    for query in range(0, grid.size, 5):
        x.requires_grad_().grad = None
        layer(x)[0, query].square().sum().backward()
        np.testing.assert_array_equal((x.grad[0].abs().amax(-1) > 0).numpy(), near[query])


def test_across_the_date_line_and_over_the_pole_by_hand() -> None:
    grid = Grid.latlon(18, 36)  # rows at -85, ..., 85; columns at 0, 10, ..., 350
    near = reached(grid, Window(grid, 1200.0)).reshape(18, 36, 18, 36)
    assert near[9, 35, 9, 0]
    assert near[9, 0, 9, 35]
    assert not near[9, 34, 9, 0]
    assert near[17, 0, 17, 18]  # at 85 N the other side of the pole is 10 degrees away
    assert near[17].reshape(36, 18, 36)[:, 17].all()
    assert not near[16, 0, 16, 18]
    assert not near[17, :, 0].any()


def test_walls_do_not_wrap() -> None:
    grid = Grid.regular((3, 40), periodic=(True, False))
    near = reached(grid, Window(grid, 2.0)).reshape(3, 40, 3, 40)
    assert near[0, 0, 2, 0]  # around the periodic axis
    assert not near[0, 0, :, 3:].any()


def test_registers_are_always_in_reach() -> None:
    grid = Grid.regular((11, 13))
    near = reached(grid, Window(grid, 2.0, registers=2), registers=2)
    assert near[:2].all()
    assert near[:, :2].all()
    np.testing.assert_array_equal(near[2:, 2:], haversine(grid) <= 2.0)


@pytest.mark.parametrize("kind", ["distance", "linear", "none"])
@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "masked"])
def test_blocks_are_the_masked_reference_with_its_gradients(kind: str, gaps: bool) -> None:
    for grid, reach in (CASES["poles"], CASES["torus"]):
        for registers in (0, 2):
            torch.manual_seed(3)
            bias = make_bias(kind, grid, 2, 2, gaps, registers=registers)
            layer = Attention(32, 2, bias, Window(grid, reach, registers), qk_norm=True)
            x = torch.randn(2, grid.size + registers, 32)
            share = (torch.rand(2, grid.size) * (torch.rand(2, grid.size) > 0.2)) if gaps else None
            found = []
            for replace in (None, lambda _layer, weights: weights):
                layer.zero_grad()
                out = layer(x, 0, replace, share)
                out.square().mean().backward()
                found.append([out.detach(), *(p.grad.clone() for p in layer.parameters())])
            for one, other in zip(*found, strict=True):
                torch.testing.assert_close(one, other, atol=2e-6, rtol=2e-4)


def test_memory_is_linear_in_the_tokens() -> None:
    pairs = [Window(Grid.regular((n, n)), 3.0).masks.numel() / n**2 for n in (32, 64, 128)]
    np.testing.assert_allclose(pairs, pairs[0])
    assert pairs[0] < 200  # (8 + 2 x 3)^2 keys at most of a block of 8 x 8


def test_a_window_smaller_than_a_token_is_refused() -> None:
    with pytest.raises(InputError) as error:
        Window(Grid.regular((4, 6), (4.0, 12.0)), 1.5)
    assert str(error.value) == (
        "expected model.window of at least the 2 between tokens, got 1.5: raise it, or lower model.patch"
    )
    with pytest.raises(InputError) as error:
        Window(Grid.latlon(18, 36), 1000)
    assert str(error.value) == (
        "expected model.window of at least the 1111.95 km between tokens, got 1000 km: raise it, or lower model.patch"
    )
