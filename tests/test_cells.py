"""The cells of one axis: tokens, bounds, ghosts, minimal images and refusals, worked out by hand."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit.axes import find_axes
from gridvit.errors import InputError
from gridvit.grid import EARTH_RADIUS, Grid


def refusal(text: str):
    return pytest.raises(InputError, match=f"^{re.escape(text)}$")


def test_gaussian_latitudes_are_those_of_the_tables():
    # 32 rows (T21), to the four decimals that are usually tabulated
    np.testing.assert_allclose(Grid.gaussian(32, 64).centers[0][[16, 31]], [2.7689, 85.7606], atol=5e-5)


@pytest.mark.parametrize("n", [6, 7])
@pytest.mark.parametrize("h", [1.0, 0.1, 1 / 3])
def test_minimal_image_is_the_fft_convention(n, h):
    grid = Grid.regular(n, n * h, origin=-2.3)
    expected = np.fft.fftfreq(n, 1 / n) * h
    np.testing.assert_allclose(grid.displacements(0)[0, :, 0], expected, atol=1e-14)
    rolled = np.stack([np.roll(expected, i) for i in range(n)])
    np.testing.assert_allclose(grid.displacements()[..., 0], rolled, atol=1e-14)


@pytest.mark.parametrize(
    ("condition", "index", "sign"),
    [
        ("dirichlet", [1, 0, 0, 1, 2, 2, 1], [-1, -1, 1, 1, 1, -1, -1]),
        ("neumann", [1, 0, 0, 1, 2, 2, 1], [1, 1, 1, 1, 1, 1, 1]),
        ("open", [0, 0, 0, 1, 2, 2, 2], [1, 1, 1, 1, 1, 1, 1]),
    ],
)
def test_ghost_cells_of_a_bounded_axis(condition, index, sign):
    found = Grid.regular((2, 3), periodic=(True, False)).ghost(1, 2, condition)
    np.testing.assert_array_equal(found[0], index)
    np.testing.assert_array_equal(found[1], sign)


def test_ghost_cells_of_a_periodic_axis_wrap_as_often_as_needed():
    index, sign = Grid.regular((3, 2), periodic=(True, False)).ghost(0, 4, "dirichlet")
    np.testing.assert_array_equal(index, [2, 0, 1, 2, 0, 1, 2, 0, 1, 2, 0])
    np.testing.assert_array_equal(sign, np.ones(11))


def test_ghost_cells_refuse_what_is_not_there():
    grid = Grid.regular(3, periodic=False)
    with refusal("expected a boundary condition out of dirichlet, neumann, open, got 'robin': choose one"):
        grid.ghost(0, 1, "robin")
    with refusal("expected at most 3 ghost cells beyond 3 cells, got 4: use a narrower stencil"):
        grid.ghost(0, 4, "neumann")


@pytest.mark.parametrize(
    ("centers", "bounds", "text"),
    [
        (
            [0.0, 2.0, 1.0],
            [0, 1, 2, 3],
            "ascending coordinates along 'x', got repeated or falling ones: sort",
        ),
        (
            [0.0, 0.0, 1.0],
            [0, 1, 2, 3],
            "ascending coordinates along 'x', got repeated or falling ones: sort",
        ),
        ([0.0, np.nan, 1.0], [0, 1, 2, 3], "finite coordinates along 'x', got NaN or infinity: drop"),
        ([0.5, 1.5, 3.5], [0, 1, 2, 3], "centres between their bounds along 'x', got one outside: correct"),
        (
            [0.5, 1.5],
            [0, 1, 2, 3],
            r"n > 0 cells and n \+ 1 bounds along 'x', got 2 centres and 4 bounds: give",
        ),
    ],
)
def test_cells_that_are_none_are_refused(centers, bounds, text):
    with pytest.raises(InputError, match=f"^expected {text}"):
        Grid(("x",), (np.array(centers),), (np.array(bounds),), (False,), ("1",))


@pytest.mark.parametrize(
    ("latitude", "longitude", "periodic", "text"),
    [
        ([-95.0, 95.0], [0.0, 360.0], (False, False), "latitudes from -90 to 90, got -95 to 95: correct"),
        ([-90.0, 90.0], [0.0, 375.0], (False, False), "at most 360 degrees of longitude, got 375: drop"),
        ([-90.0, 90.0], [0.0, 300.0], (False, True), "360 degrees of periodic longitude, got 300: say"),
        ([-90.0, 90.0], [0.0, 360.0], (True, True), r"\(latitude, longitude\), latitude bounded, got 2 axes"),
    ],
)
def test_cells_off_the_sphere_are_refused(latitude, longitude, periodic, text):
    bounds = (np.array(latitude), np.array(longitude))
    middle = tuple(b.mean(keepdims=True) for b in bounds)
    with pytest.raises(InputError, match=f"^expected {text}"):
        Grid(("latitude", "longitude"), middle, bounds, periodic, ("degrees_north", "degrees_east"), 1.0)


def test_a_single_cell_needs_bounds_unless_it_goes_all_around():
    with pytest.raises(
        InputError, match=r"^expected two cells along 'x', got 1: give the bounds of the cell$"
    ):
        Grid.from_centers(([1.0],), names=("x",), units=("1",), periodic=(False,))
    assert Grid.latlon(3, 1).lengths == pytest.approx((180, 360))


@pytest.mark.parametrize("patch", [(4, 4), (5, 9), (73, 144), (1, 1)])
def test_tokens_of_the_73_row_grid_conserve_area(patch):
    grid = Grid.latlon(73, 144, poles=True)
    tokens = grid.coarsen(patch)
    assert tokens.shape == (-(-73 // patch[0]), 144 // patch[1])
    assert tokens.areas.sum() == pytest.approx(4 * np.pi * EARTH_RADIUS**2, rel=1e-14)
    assert grid.padding(patch) == (-73 % patch[0], 0)


def test_the_last_token_has_the_bounds_of_what_is_left():
    tokens = Grid.latlon(73, 144, poles=True).coarsen((4, 4))
    np.testing.assert_allclose(tokens.bounds[0][[0, 1, -2, -1]], [-90, -81.25, 88.75, 90])
    assert tokens.centers[0][-1] == 90
    np.testing.assert_allclose(tokens.centers[1][:2], [3.75, 13.75])
    # a polar cap of 1.25 degrees: 2 pi R^2 (1 - cos)
    cap = 2 * np.pi * EARTH_RADIUS**2 * (1 - np.cos(np.deg2rad(1.25)))
    assert tokens.areas[-1].sum() == pytest.approx(cap, rel=1e-10)


def test_coarsening_by_two_and_three_is_coarsening_by_six():
    grid = Grid.gaussian(12, 18)
    assert grid.coarsen((2, 3)).coarsen((3, 2)) == grid.coarsen((6, 6))
    assert grid.coarsen((1, 1)) == grid


def test_a_patch_that_does_not_divide_a_periodic_axis_is_told_which_do():
    fits = "use one of 1, 2, 3, 4, 6, 12"
    with refusal(f"expected a patch that divides the 12 cells of the periodic axis 'x', got 5: {fits}"):
        Grid.regular((7, 12)).coarsen((7, 5))
    with refusal("expected a patch of 1 to 7 cells along 'y', got 8: choose a smaller patch"):
        Grid.regular((7, 12), periodic=False).coarsen((8, 5))
    with refusal("expected one patch size for all axes or 2, got 1: give one per axis"):
        Grid.regular((7, 12)).coarsen((7,))


@settings(deadline=None)
@given(n=st.integers(1, 40), patch=st.integers(1, 40))
def test_tokens_tile_a_bounded_axis(n, patch):
    patch = min(n, patch)
    grid = Grid.regular(n, float(n), periodic=False)
    tokens = grid.coarsen((patch,))
    assert tokens.areas.sum() == pytest.approx(n)
    assert (tokens.size * patch) - grid.padding((patch,))[0] == n
    np.testing.assert_allclose(tokens.centers[0], (tokens.bounds[0][1:] + tokens.bounds[0][:-1]) / 2)


@pytest.mark.parametrize(
    "grid",
    [
        Grid.latlon(7, 10),
        Grid.latlon(17, 6, poles=True),
        Grid.gaussian(11, 14),
        Grid.latlon(17, 12, poles=True).coarsen((3, 4)),
        Grid.gaussian(12, 6).coarsen((2, 3)),
        Grid.regular((5, 7), (1.0, 3.0), periodic=(True, False), units="m", origin=-0.5),
        Grid.regular(11, 2 * np.pi),
        Grid.regular((2, 3, 5), periodic=(False, True, False)),
        Grid.regular(1, 2.0, periodic=False),
    ],
)
def test_a_grid_comes_back_from_its_own_coordinates(grid, tmp_path):
    ds = xr.Dataset({"u": (("time", *grid.names), np.zeros((2, *grid.shape)))}, coords=grid.coords())
    assert Grid.from_dataset(ds) == grid
    ds.to_netcdf(tmp_path / "grid.nc")
    with xr.open_dataset(tmp_path / "grid.nc") as back:
        assert Grid.from_dataset(back) == grid
        assert find_axes(back).other == ()


def test_bounds_are_written_only_where_they_are_needed():
    assert set(Grid.latlon(17, 6, poles=True).coords()) == {"latitude", "longitude"}
    tokens = Grid.regular(7, periodic=False).coarsen((2,))
    assert tokens.coords()["x_bounds"][1].tolist() == [[0, 2], [2, 4], [4, 6], [6, 7]]
