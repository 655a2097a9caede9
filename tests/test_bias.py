"""The folded bias is the explicit bias, and the explicit bias is the formula."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gridvit.grid import Grid
from gridvit.nn.bias import AreaWeighted, Chordal, NoBias, Plane, make_bias, nearest_distance

GRIDS = {
    "sphere with poles": Grid.latlon(7, 10, poles=True),
    "sphere": Grid.latlon(6, 11),
    "torus": Grid.regular((5, 7), (2.0, 3.0)),
    "ring, even": Grid.regular(8, 4.0),
    "channel": Grid.regular((5, 7), (2.0, 3.0), periodic=(False, True)),
    "box": Grid.regular((3, 5), (2.0, 3.0), periodic=False),
    "interval": Grid.regular(7, 4.0, periodic=False),
}


def shaken(bias: torch.nn.Module) -> torch.nn.Module:
    generator = torch.Generator().manual_seed(3)
    for parameter in bias.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)
    return bias.double()


@pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)
def test_fold_equals_explicit_bias_up_to_a_constant_per_query(grid: Grid) -> None:
    """SCIENCE 11."""
    bias = shaken(make_bias("distance", grid, 4, 3))
    query, key = bias.fold()
    difference = query @ key.T - bias.logits()
    assert query.shape == (4, grid.size, bias.dims)
    torch.testing.assert_close(difference, difference[:, :, :1].expand_as(difference), atol=2e-5, rtol=0)


def test_chordal_logits_are_the_squared_chord() -> None:
    """SCIENCE 31."""
    grid = Grid.latlon(5, 6)
    bias = Chordal(grid, 3)
    bias.strength.data = torch.tensor([2.0, -1.0, 0.0])
    # |p - q|^2 = 4 sin^2(angle / 2), from great-circle angles
    angle = torch.from_numpy(grid.distances()) / grid.radius
    scale = torch.tensor([2.0, -1.0, 0.0]) * (grid.radius / bias.lengths) ** 2
    expected = -0.5 * scale[:, None, None] * 4 * torch.sin(angle / 2) ** 2
    torch.testing.assert_close(bias.logits().double(), expected.double(), atol=1e-4, rtol=1e-5)
    torch.testing.assert_close(
        bias.kernel(torch.tensor(grid.distances()[0])).float(), expected[:, 0].float(), atol=1e-4, rtol=1e-5
    )


def test_first_head_starts_as_a_gaussian_of_one_token() -> None:
    # On a long ring, kappa (cos t - 1) with kappa = (L / 2 pi l)^2 is -x^2 / 2 l^2 near zero.
    grid = Grid.regular(64, 64.0)
    bias = Plane(grid, 4, 2)
    near = torch.tensor([0.0, 0.5, 1.0])
    curve = bias.kernel(near)[0]
    torch.testing.assert_close(curve - curve[0], -near.square() / 2, atol=2e-3, rtol=0)
    assert float(bias.length()[0].detach()) == pytest.approx(1.0, rel=1e-5)
    assert math.isinf(float(bias.length()[3].detach()))


@pytest.mark.parametrize("kind", ["plane", "sphere"])
def test_sign_of_strength_is_sign_of_length(kind: str) -> None:
    if kind == "sphere":
        bias = Chordal(Grid.latlon(6, 12), 4)
        bias.strength.data *= -1
    else:
        bias = Plane(Grid.regular((5, 7)), 4, 2)
        bias.table.data *= -1
    assert (bias.length()[:3] < 0).all()
    far = bias.kernel(torch.tensor([0.0, 0.5]))
    assert (far[:3, 1] > far[:3, 0]).all()


def test_sine_part_looks_in_one_direction() -> None:
    bias = Plane(Grid.regular(12, 12.0), 1, 1)
    bias.table.data = torch.tensor([0.0, 1.0]).reshape(1, 1, 1, 2)
    row = bias.logits()[0, 0]
    # sin(2 pi d / 12) is greatest three cells ahead and least three cells behind
    assert int(row.argmax()) == 3
    assert int(row.argmin()) == 9


def test_drift_moves_the_centre_of_the_gaussian() -> None:
    bias = Plane(Grid.regular(11, 11.0, periodic=False), 1, 1)
    assert bias.drift is not None
    bias.drift.data = torch.tensor([[2.0 / float(bias.lengths[0])]])
    assert int(bias.logits()[0, 4].argmax()) == 6


def test_area_weights_make_flat_attention_the_area_mean() -> None:
    """SCIENCE 34."""
    grid = Grid.latlon(7, 8, poles=True)
    bias = AreaWeighted(NoBias(grid, 2), grid)
    query, key = bias.fold()
    weights = torch.softmax(query @ key.T, -1)
    areas = torch.from_numpy(grid.areas).flatten()
    expected = (areas / areas.sum()).expand(2, grid.size, -1)
    torch.testing.assert_close(weights.double(), expected, atol=1e-7, rtol=1e-5)
    torch.testing.assert_close(torch.softmax(bias.logits(), -1).double(), expected, atol=1e-7, rtol=1e-5)


def test_even_areas_cost_no_dimension() -> None:
    assert make_bias("distance", Grid.regular((5, 7)), 4, 2).dims == 8
    assert make_bias("none", Grid.regular((5, 7)), 4, 2).dims == 0
    assert make_bias("distance", Grid.latlon(5, 8), 4, 2).dims == 4
    assert make_bias("distance", Grid.regular((5, 7), periodic=(False, True)), 4, 2).dims == 6


def test_nearest_distance_on_the_sphere_is_that_at_the_equator() -> None:
    grid = Grid.latlon(18, 36)
    assert nearest_distance(grid) == pytest.approx(2 * np.pi * grid.radius / 36)
