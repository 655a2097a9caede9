"""Fields continued beyond their grid, against the fields themselves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.nn.inputs import Inputs
from gridvit.nn.padding import GridConv, Padding, poles


def rotation(latitude: np.ndarray, longitude: np.ndarray) -> torch.Tensor:
    """East and north components of w x r, w = (0.6, 0.8, 0), and z w.r, of degrees also beyond the poles.

    Beyond 90 degrees the same formulas go on along the meridian: they are those of the chart that a cell near the pole
    sees, in which a smooth vector keeps its direction.
    """
    lat, lon = np.radians(np.meshgrid(latitude, longitude, indexing="ij"))
    where = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    axis = np.array([0.6, 0.8, 0.0])
    wind = np.cross(axis, where)
    east = np.stack([-np.sin(lon), np.cos(lon), 0 * lon], -1)
    north = np.stack([-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)], -1)
    fields = (wind * east).sum(-1), (wind * north).sum(-1), where[..., 2] * (where @ axis)
    return torch.from_numpy(np.stack(fields))[None]


def beyond(centers: np.ndarray, low: int, high: int, pole_row: bool) -> np.ndarray:
    """Latitudes past the poles, as mirror images of those before."""
    skip = int(pole_row)
    south = -180 - centers[skip : skip + low][::-1]
    north = 180 - centers[len(centers) - skip - high : len(centers) - skip][::-1]
    return np.concatenate([south, centers, north])


GRIDS = {
    "cells": (Grid.latlon(7, 12), False),
    "rows on the poles": (Grid.latlon(7, 10, poles=True), True),
    "gaussian": (Grid.gaussian(6, 14), False),
}


@pytest.mark.parametrize(("grid", "pole_row"), GRIDS.values(), ids=GRIDS)
def test_a_rotation_about_an_equatorial_axis_goes_on_smoothly_over_the_poles(
    grid: Grid, pole_row: bool
) -> None:
    mean, std = torch.tensor([0.3, -0.2]), torch.tensor([2.0, 0.7])
    pad = Padding(grid, [(3, 2), (1, 4)], 3, Inputs((0, 1), tuple((-mean / std).tolist()))).double()
    field = rotation(*grid.centers)
    mu, sigma = (torch.cat([part, torch.tensor([n])]).reshape(3, 1, 1) for n, part in enumerate((mean, std)))
    found = pad((field - mu) / sigma) * sigma + mu
    longitude = grid.centers[1][0] + np.arange(-1, grid.shape[1] + 4) * 360 / grid.shape[1]
    expected = rotation(beyond(grid.centers[0], 3, 2, pole_row), longitude)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)
    assert float((Padding(grid, [(3, 2), (1, 4)])(field) - expected)[:, :2].abs().max()) > 0.5


def test_a_scalar_over_the_pole_of_an_odd_number_of_columns() -> None:
    grid = Grid.latlon(5, 9)
    found = Padding(grid, [(1, 1), (0, 0)])(rotation(*grid.centers))[0, 2]
    row = rotation(*grid.centers)[0, 2, -1]
    assert torch.equal(found[-1], (row.roll(4) + row.roll(5)) / 2)


def test_a_single_row_has_a_pole_at_either_end() -> None:
    row = torch.arange(4.0).reshape(1, 1, 1, 4)
    found = Padding(Grid.latlon(1, 4), [(1, 2), (0, 0)], 1, Inputs((0,), (1.0,)))(row)
    assert found[0, 0].tolist() == [[0, -1, 2, 1], [0, 1, 2, 3], [0, -1, 2, 1], [0, -1, 2, 1]]


def test_around_and_at_walls_by_hand() -> None:
    grid = Grid.regular((2, 3), periodic=(False, True))
    x = torch.arange(6.0).reshape(1, 1, 2, 3)
    found = Padding(grid, [(2, 1), (1, 2)])(x)
    assert found[0, 0, :, 0].tolist() == [2, 2, 2, 5, 5]
    assert found[0, 0, 3].tolist() == [5, 3, 4, 5, 3, 4]
    assert Padding(Grid.regular(2), [(3, 4)])(x[:, :, 0, :2])[0, 0].tolist() == [1, 0, 1, 0, 1, 0, 1, 0, 1]


def test_which_ends_are_poles() -> None:
    whole = Grid.latlon(6, 8)
    north = Grid.from_centers(
        (np.arange(25.0, 90, 10), np.arange(0.0, 360, 45)), names=whole.names, units=whole.units,
        periodic=(False, True), radius=whole.radius, bounds=(np.arange(20.0, 91, 10), None),
    )  # fmt: skip
    region = Grid.from_centers(
        (whole.centers[0], np.arange(0.0, 90, 10)), names=whole.names, units=whole.units, periodic=(False, False),
        radius=whole.radius,
    )  # fmt: skip
    assert (poles(whole), poles(north), poles(region), poles(Grid.regular((4, 6)))) == (
        (True, True), (False, True), (False, False), (False, False),
    )  # fmt: skip
    x = torch.randn(1, 1, *north.shape)
    found = Padding(north, [(1, 1), (0, 0)])(x)[0, 0]
    assert torch.equal(found[0], x[0, 0, 0])
    assert torch.equal(found[-1], x[0, 0, -1].roll(4))


@pytest.mark.parametrize("shape", [(5,), (5, 7), (3, 4, 5)])
def test_a_convolution_is_the_sum_over_a_wrapped_neighbourhood(shape: tuple[int, ...]) -> None:
    conv = GridConv(Grid.regular(shape), 2, 3).double()
    x = torch.randn(1, 2, *shape, dtype=torch.float64)
    expected = torch.zeros(1, 3, *shape, dtype=torch.float64) + conv.bias.reshape(-1, *[1] * len(shape))
    for offset in np.ndindex(*(3,) * len(shape)):
        moved = x.roll([1 - o for o in offset], tuple(range(2, x.ndim)))
        expected += torch.einsum("oi,bi...->bo...", conv.weight[(..., *offset)], moved)
    torch.testing.assert_close(conv(x), expected, atol=1e-12, rtol=0)


def test_a_model_knows_its_components_and_what_zero_is() -> None:
    grid = Grid.latlon(6, 8)
    channels = Channels(("t", "u"), forcing=("v",), vector=("u", "v"), history=2)
    mean, std = torch.tensor([280.0, 3.0, -4.0]), torch.tensor([20.0, 6.0, 2.0])
    config = ModelConfig(
        preset="mini", patch=(2, 2), width=24, depth=1, heads=2, embed="conv", decode="conv", channels=4
    )
    step = ModelStep(config, grid, channels, 1.0, mean, std, torch.ones(3))
    for module in (step.network.stem.first, step.network.skip):  # t u, t u a step earlier, v at both ends
        assert module.pad.sign.flatten().tolist() == [1, -1, 1, -1, -1, -1]
        assert module.pad.twice_zero.flatten().tolist() == [0, -1, 0, -1, 4, 4]
    assert "network.stem.first.pad.twice_zero" in step.state_dict()
