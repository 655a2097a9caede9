"""Grid: areas, distances, tokens and ghost cells against answers worked out by hand (SCIENCE.md B, E)."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit.errors import InputError
from gridvit.grid import EARTH_RADIUS, Grid

SPHERES = {
    "cells": Grid.latlon(7, 10),
    "even": Grid.latlon(16, 32),
    "poles": Grid.latlon(17, 6, poles=True),
    "gaussian": Grid.gaussian(11, 14),
    "unit": Grid.latlon(5, 8, radius=1),
}


def sphere_area(grid: Grid) -> float:
    assert grid.radius is not None
    return 4 * np.pi * grid.radius**2


def refusal(text: str):
    return pytest.raises(InputError, match=f"^{re.escape(text)}$")


@pytest.mark.parametrize("grid", SPHERES.values(), ids=SPHERES)
def test_areas_of_a_sphere_sum_to_four_pi_r_squared(grid):
    """SCIENCE 43."""
    assert grid.areas.shape == grid.shape
    assert grid.areas.min() > 0
    assert grid.areas.sum() == pytest.approx(sphere_area(grid), rel=1e-14)


def test_cell_centred_rows_have_areas_proportional_to_the_cosine():
    """SCIENCE 43."""
    rows = Grid.latlon(13, 5)
    ratio = rows.areas[:, 0] / np.cos(np.deg2rad(rows.centers[0]))
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-13)


def test_pole_rows_have_an_eighth_of_their_neighbour_where_the_cosine_has_nothing():
    areas = Grid.latlon(17, 6, poles=True).areas[:, 0]
    h = np.pi / 16
    exact = (1 - np.cos(h / 2)) / (np.cos(h / 2) - np.cos(3 * h / 2))
    assert areas[0] / areas[1] == pytest.approx(exact, rel=1e-12)
    assert areas[0] / areas[1] == pytest.approx(0.126, abs=1e-3)


def test_gaussian_rows_integrate_polynomials_exactly():
    grid = Grid.gaussian(7, 4, radius=1)
    sines = np.sin(np.deg2rad(grid.centers[0]))
    # the mean of sin^2k over the sphere is 1 / (2k + 1); exact up to degree 2 * 7 - 1
    for k in range(7):
        assert (grid.areas[:, 0] * 4 * sines ** (2 * k)).sum() == pytest.approx(4 * np.pi / (2 * k + 1))


def test_areas_of_a_plane_are_products_of_widths():
    grid = Grid.from_centers(
        ([1.0, 3.0], [0.0, 1.0, 4.0]),
        names=("y", "x"),
        units=("m", "m"),
        periodic=(False, False),
    )
    # bounds 0, 2, 4 and -0.5, 0.5, 2.5, 5.5
    np.testing.assert_array_equal(grid.areas, [[2.0, 4.0, 6.0], [2.0, 4.0, 6.0]])


@pytest.mark.parametrize("grid", [SPHERES[k] for k in ("cells", "even", "poles", "gaussian")])
@pytest.mark.parametrize("by_area", [True, False])
def test_mean_distance_is_a_quarter_turn_for_every_query(grid, by_area):
    """SCIENCE 24."""
    weights = grid.areas.ravel() if by_area else np.ones(grid.size)
    mean = grid.distances() @ weights / weights.sum()
    np.testing.assert_allclose(mean, np.pi / 2 * EARTH_RADIUS, rtol=1e-13)


def test_mean_square_angle_sees_the_area_weight_that_the_mean_does_not():
    """SCIENCE 25."""
    grid = Grid.latlon(16, 32, radius=1)
    square = grid.distances() ** 2
    plain = square.mean(axis=1).reshape(grid.shape)[:, 0]
    assert plain[0] == pytest.approx(3.277, abs=5e-4)
    assert plain[8] == pytest.approx(2.813, abs=5e-4)
    by_area = square @ grid.areas.ravel() / (4 * np.pi)
    np.testing.assert_allclose(by_area, (np.pi**2 - 4) / 2, rtol=5e-3)


def test_angles_keep_their_digits_when_tiny_and_when_antipodal():
    tiny = 1e-7
    grid = Grid.from_centers(
        ([0.0, tiny], [0.0, 180.0]),
        names=("latitude", "longitude"),
        units=("degrees_north", "degrees_east"),
        periodic=(False, True),
        radius=1.0,
    )
    angle = np.deg2rad(tiny)
    d = grid.distances(0, [2, 3])
    assert d[0, 0] == pytest.approx(angle, rel=1e-9)
    assert np.pi - d[0, 1] == pytest.approx(angle, rel=1e-6)


@pytest.mark.parametrize("n", [8, 13])
def test_mean_distance_on_a_circle_and_on_an_interval(n):
    """SCIENCE 27."""
    circle, interval = Grid.regular(n), Grid.regular(n, periodic=False)
    exact = n / 4 if n % 2 == 0 else (n**2 - 1) / (4 * n)
    np.testing.assert_allclose(circle.distances().mean(axis=1), exact, rtol=1e-14)
    assert interval.distances().mean() == pytest.approx((n**2 - 1) / (3 * n), rel=1e-14)


@pytest.mark.parametrize(
    ("periodic", "exact"),
    [
        (True, (np.sqrt(2) + np.arcsinh(1)) / 6),
        (False, (2 + np.sqrt(2) + 5 * np.arcsinh(1)) / 15),
    ],
)
def test_mean_distance_on_the_unit_torus_and_in_the_unit_square(periodic, exact):
    """SCIENCE 27."""
    means = [Grid.regular((n, n), 1.0, periodic=periodic).distances().mean() for n in (12, 24)]
    errors = [abs(m - exact) for m in means]
    assert errors[1] < 1e-3
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.15)


def test_displacements_point_from_row_to_column_and_wrap_only_where_periodic():
    grid = Grid.regular((3, 5), (3.0, 10.0), periodic=(False, True))
    last = grid.size - 1
    np.testing.assert_allclose(grid.displacements(0, last), [[[2.0, -2.0]]])
    np.testing.assert_allclose(grid.displacements(last, 0), [[[-2.0, 2.0]]])
    assert grid.distances(0, last)[0, 0] == pytest.approx(np.sqrt(8))


def test_blocks_are_parts_of_the_whole():
    grid = Grid.latlon(5, 6)
    whole = grid.distances()
    np.testing.assert_array_equal(grid.distances(slice(3, 11), [0, 29]), whole[3:11][:, [0, 29]])
    np.testing.assert_allclose(whole, whole.T, atol=1e-9)


def test_plane_axes_with_different_units_have_no_distance():
    grid = Grid.regular((2, 3), units=("m", "km"))
    with refusal("expected one unit for all axes, got m and km: convert the coordinates"):
        grid.distances()
    assert Grid.regular((2, 3), units="m").distance_units == "m"
    assert SPHERES["cells"].distance_units == "km"


def test_regular_axes_and_their_derived_values():
    grid = Grid.regular((2, 5), (1.0, 2.5), origin=(10.0, -1.0), periodic=(True, False), units="m")
    assert grid.names == ("y", "x")
    np.testing.assert_allclose(grid.centers[0], [10.25, 10.75])
    np.testing.assert_allclose(grid.bounds[1], [-1, -0.5, 0, 0.5, 1, 1.5])
    assert (grid.ndim, grid.shape, grid.size) == (2, (2, 5), 10)
    assert grid.lengths == pytest.approx((1.0, 2.5))
    assert grid.spacing == pytest.approx((0.5, 0.5))
    np.testing.assert_allclose(grid.positions[[1, 5]], [[10.25, -0.25], [10.75, -0.75]])


def test_spacing_is_refused_where_it_varies():
    assert Grid.latlon(73, 144, poles=True).spacing == pytest.approx((2.5, 2.5))
    with pytest.raises(
        InputError, match=r"expected equal steps along 'latitude', got .* to .*: interpolate it"
    ):
        _ = Grid.gaussian(8, 16).spacing
    with pytest.raises(InputError, match="expected equal steps along 'x'"):
        _ = Grid.regular(7, periodic=False).coarsen((2,)).spacing


def test_positions_on_a_sphere_are_unit_vectors():
    grid = Grid.latlon(3, 4, poles=True)
    x = grid.positions.reshape(3, 4, 3)
    np.testing.assert_allclose(x[1], [[1, 0, 0], [0, 1, 0], [-1, 0, 0], [0, -1, 0]], atol=1e-15)
    np.testing.assert_allclose(x[2], [[0, 0, 1]] * 4, atol=1e-15)


def narrowed(grid: Grid) -> Grid:
    d = grid.to_dict()
    single = [np.asarray(c, dtype=np.float32) for c in d["centers"]]
    how = {key: d[key] for key in ("names", "units", "periodic", "radius")}
    return Grid.from_centers(single, **how)


@pytest.mark.parametrize(
    "grid", [Grid.latlon(181, 359), Grid.latlon(7, 4320), Grid.regular((7, 11), (0.7, 1.1))]
)
def test_float32_and_float64_files_of_one_grid_agree(grid):
    single = narrowed(grid)
    assert any((a != b).any() for a, b in zip(single.centers, grid.centers, strict=True))
    assert single == grid
    assert hash(single) == hash(grid)
    assert {grid: "found"}[single] == "found"


def test_grids_that_differ_are_not_equal():
    grid = Grid.regular((5, 7), (5.0, 7.0))
    others = [
        Grid.regular((7, 5), (7.0, 5.0)),
        Grid.regular((5, 7), (5.0, 7.0), periodic=False),
        Grid.regular((5, 7), (5.0, 7.0), units="m"),
        Grid.regular((5, 7), (5.0, 7.0), names=("a", "b")),
        Grid.regular((5, 7), (5.0, 7.0), origin=0.001),
        Grid.regular((5, 7), (5.0, 7.01)),
    ]
    assert all(grid != other for other in others)
    assert Grid.latlon(5, 8) != Grid.latlon(5, 8, radius=1.0)
    assert grid != "grid"
    # float32 could not tell these apart, and no file of these coordinates would be in float32
    assert Grid.regular(5, 0.05, origin=1e6) != Grid.regular(5, 0.05, origin=1e6 + 0.005)


def test_a_grid_does_not_change():
    values = np.array([0.0, 1.0, 2.0])
    grid = Grid.from_centers((values,), names=("x",), units=("1",), periodic=(False,))
    values[0] = 9
    assert grid.centers[0][0] == 0
    with pytest.raises(ValueError, match="read-only"):
        grid.centers[0][0] = 9


def test_shapes_that_are_none_are_refused():
    with pytest.raises(InputError, match=r"^expected at least one axis of at least one cell, got \(3, 0\)"):
        Grid.regular((3, 0))
    with pytest.raises(
        InputError, match=r"^expected one length for all axes or 2, got 3: give one per axis$"
    ):
        Grid.regular((3, 5), (1.0, 2.0, 3.0))
    with pytest.raises(InputError, match=r"^expected 1 to 3 axes"):
        Grid.regular((2, 2, 2, 2), names=("a", "b", "c", "d"))


def test_three_space_dimensions():
    grid = Grid.regular((2, 3, 5), (2.0, 6.0, 20.0))
    assert grid.names == ("z", "y", "x")
    np.testing.assert_array_equal(grid.areas, np.full((2, 3, 5), 8.0))
    assert grid.coarsen((2, 3, 5)).areas.item() == pytest.approx(240)


def test_describe_is_one_line():
    assert Grid.latlon(3, 4).describe() == (
        "3 latitude x 4 longitude (-90..90 degrees_north, -45..315 degrees_east), periodic in longitude,"
        " sphere of radius 6371.01 km"
    )
    assert Grid.regular(5, periodic=False, units="m").describe() == "5 x (0..5 m), bounded, plane"


sizes = st.integers(1, 12)
spans = st.floats(1e-3, 1e6)


@settings(deadline=None)
@given(
    shape=st.tuples(sizes, sizes),
    lengths=st.tuples(spans, spans),
    wraps=st.tuples(st.booleans(), st.booleans()),
    origin=st.floats(-1e3, 1e3),
)
def test_a_plane_comes_back_from_json(shape, lengths, wraps, origin):
    grid = Grid.regular(shape, lengths, periodic=wraps, origin=origin, units=("m", "m"))
    back = Grid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert all(
        (a == b).all() for a, b in zip(back.bounds + back.centers, grid.bounds + grid.centers, strict=True)
    )
    assert back == grid
    assert back.to_dict() == grid.to_dict()


@settings(deadline=None, max_examples=30)
@given(
    rows=st.integers(2, 23), columns=st.integers(3, 24), kind=st.sampled_from(["latlon", "poles", "gaussian"])
)
def test_a_sphere_comes_back_from_json(rows, columns, kind):
    poles = {"poles": True} if kind == "poles" else {}
    grid = getattr(Grid, "gaussian" if kind == "gaussian" else "latlon")(rows, columns, **poles)
    back = Grid.from_dict(json.loads(json.dumps(grid.to_dict())))
    assert back.to_dict() == grid.to_dict()
    assert back == grid
    assert hash(back) == hash(grid)
