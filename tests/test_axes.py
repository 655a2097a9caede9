"""find_axes and Grid.from_dataset: coordinates as files have them, and as the inside wants them."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit.axes import find_axes
from gridvit.errors import InputError
from gridvit.grid import Grid

LATITUDE = {"standard_name": "latitude", "units": "degrees_north"}
LONGITUDE = {"standard_name": "longitude", "units": "degrees_east"}


def refusal(text: str):
    return pytest.raises(InputError, match=f"^{re.escape(text)}")


def lonlat(latitude, longitude, names=("lat", "lon"), attrs=(LATITUDE, LONGITUDE)) -> xr.Dataset:
    """t2m(time, lat, lon) whose value is 1000 latitude + (longitude mod 360)."""
    y, x = np.asarray(latitude), np.asarray(longitude)
    times = np.arange("2020-01-01", "2020-01-03", dtype="datetime64[D]").astype("datetime64[ns]")
    values = np.broadcast_to(1000 * y[:, None] + np.mod(x, 360), (2, len(y), len(x)))
    coords = {"time": times, names[0]: (names[0], y, attrs[0]), names[1]: (names[1], x, attrs[1])}
    return xr.Dataset({"t2m": (("time", *names), values)}, coords=coords)


def plane(**axes) -> xr.Dataset:
    """u(time, *axes) on the coordinates given as name=values or name=(values, attributes)."""
    pairs = {k: v if isinstance(v, tuple) else (v, {}) for k, v in axes.items()}
    coords = {k: (k, np.asarray(v), attrs) for k, (v, attrs) in pairs.items()}
    shape = [len(v) for v, _ in pairs.values()]
    return xr.Dataset(
        {"u": (("time", *axes), np.zeros((3, *shape)))}, coords={"time": [0.0, 0.1, 0.2], **coords}
    )


def inside(ds: xr.Dataset) -> np.ndarray:
    """The first field in internal order."""
    axes = find_axes(ds)
    return ds["t2m"].isel(axes.order(ds)).transpose("time", *axes.space).values[0]


def test_roles_of_a_cf_file():
    axes = find_axes(lonlat([60.0, 0.0, -60.0], np.arange(0, 360, 72.0)))
    assert (axes.time, axes.time_coordinate, axes.sample) == ("time", "time", None)
    assert (axes.space, axes.kind, axes.units) == (
        ("lat", "lon"),
        "sphere",
        ("degrees_north", "degrees_east"),
    )
    assert (axes.periodic, axes.seam, axes.other) == ((False, True), (), ())


@pytest.mark.parametrize("names", [("latitude", "longitude"), ("LAT", "LON"), ("nav_lat", "nav_lon")])
def test_names_speak_where_attributes_do_not(names):
    ds = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0), names, ({}, {}))
    assert find_axes(ds).space == names
    assert Grid.from_dataset(ds) == Grid.latlon(2, 6)


def test_odd_names_with_attributes_speak():
    ds = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0), ("COADSY", "custom_x"))
    assert Grid.from_dataset(ds) == Grid.latlon(2, 6)


def test_space_comes_as_latitude_longitude_whatever_the_order_of_the_file():
    ds = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0)).transpose("lon", "time", "lat")
    assert find_axes(ds).space == ("lat", "lon")
    assert inside(ds).shape == (2, 6)


@pytest.mark.parametrize("start", [-180.0, 0.0, 20.0, -360.0])
@pytest.mark.parametrize("falling", [True, False])
def test_any_longitude_convention_and_latitude_order_gives_one_grid(start, falling):
    latitude = Grid.latlon(7, 36).centers[0]
    ds = lonlat(latitude[::-1] if falling else latitude, start + np.arange(36) * 10.0)
    assert Grid.from_dataset(ds) == Grid.latlon(7, 36)
    # 1000 latitude + longitude: the data come along
    np.testing.assert_allclose(inside(ds), 1000 * latitude[:, None] + np.arange(36) * 10.0)


@settings(deadline=None, max_examples=40)
@given(n=st.integers(3, 31), roll=st.integers(0, 30), turn=st.integers(-2, 2), single=st.booleans())
def test_rolling_the_longitudes_changes_nothing(n, roll, turn, single):
    longitude = np.roll(np.arange(n) * (360 / n), roll) + 360 * turn
    ds = lonlat([-45.0, 45.0], longitude.astype(np.float32 if single else np.float64))
    assert Grid.from_dataset(ds) == Grid.latlon(2, n)
    assert find_axes(ds).periodic == (False, True)


def test_poles_keep_half_cells():
    ds = lonlat(np.linspace(90, -90, 73), np.arange(144) * 2.5)
    grid = Grid.from_dataset(ds)
    assert grid == Grid.latlon(73, 144, poles=True)
    np.testing.assert_allclose(grid.bounds[0][[0, 1, -1]], [-90, -88.75, 90])


def test_gaussian_latitudes_as_files_round_them_get_exact_bounds():
    exact = Grid.gaussian(94, 192)
    ds = lonlat(np.round(exact.centers[0][::-1], 4).astype(np.float32), np.arange(192) * 1.875)
    assert Grid.from_dataset(ds) == exact
    assert Grid.from_dataset(ds).areas.sum() == pytest.approx(exact.areas.sum(), rel=1e-14)


def test_latitudes_that_are_not_gaussian_have_bounds_halfway():
    rows = Grid.gaussian(11, 4).centers[0].copy()
    rows[3] += 1
    grid = Grid.from_dataset(lonlat(rows, np.arange(4) * 90.0))
    np.testing.assert_allclose(grid.bounds[0][1:-1], (rows[1:] + rows[:-1]) / 2)


def test_a_region_is_bounded_and_stays_in_one_piece_across_greenwich():
    ds = lonlat(np.arange(58, 49.9, -0.25), np.arange(-10, 2.01, 0.25))
    grid = Grid.from_dataset(ds)
    assert grid.shape == (33, 49)
    assert grid.periodic == (False, False)
    np.testing.assert_allclose(grid.bounds[1][[0, -1]], [349.875, 362.125])
    np.testing.assert_allclose(grid.bounds[0][[0, -1]], [49.875, 58.125])
    np.testing.assert_allclose(inside(ds)[0, [0, 40, -1]], 50000 + np.array([350, 0, 2]))
    wrapped = lonlat(np.arange(58, 49.9, -0.25), np.sort(np.mod(np.arange(-10, 2.01, 0.25), 360)))
    assert Grid.from_dataset(wrapped) == grid
    np.testing.assert_allclose(inside(wrapped), inside(ds))


@pytest.mark.parametrize(
    "longitude", [np.linspace(0, 360, 13), np.linspace(-180, 180, 13), np.linspace(-0.5, 359.5, 13)]
)
def test_a_repeated_seam_column_is_dropped_and_reported(longitude):
    ds = lonlat([-45.0, 45.0], longitude)
    axes = find_axes(ds)
    assert axes.seam == ("lon",)
    assert len(axes.order(ds)["lon"]) == 12
    grid = Grid.from_dataset(ds)
    assert grid.shape == (2, 12)
    assert grid.areas.sum() == pytest.approx(4 * np.pi * grid.radius**2)
    np.testing.assert_allclose(inside(ds)[1], 45000 + np.mod(grid.centers[1], 360))


def test_noise_below_zero_rolls_nothing():
    longitude = np.arange(0, 360, 60.0)
    longitude[0] = -1e-9
    grid = Grid.from_dataset(lonlat([-45.0, 45.0], longitude))
    np.testing.assert_allclose(grid.centers[1], np.arange(0, 360, 60.0), atol=1e-8)


def test_cf_bounds_are_used_where_they_tile():
    ds = lonlat([10.0, 20.0, 40.0], np.arange(0, 360, 90.0))
    ds["lat"].attrs["bounds"] = "lat_bnds"
    ds["lat_bnds"] = (("lat", "nv"), [[5.0, 16.0], [16.0, 31.0], [31.0, 49.0]])
    np.testing.assert_array_equal(Grid.from_dataset(ds).bounds[0], [5, 16, 31, 49])
    np.testing.assert_array_equal(
        Grid.from_dataset(ds.isel(lat=slice(None, None, -1))).bounds[0], [5, 16, 31, 49]
    )
    ds["lat_bnds"] = (("lat", "nv"), [[9.0, 11.0], [19.0, 21.0], [39.0, 41.0]])
    np.testing.assert_array_equal(Grid.from_dataset(ds).bounds[0], [5, 15, 30, 50])
    assert find_axes(ds).other == ()


def test_bounds_in_float32_close_the_turn():
    edges = np.linspace(0, 360, 4321).astype(np.float32) - np.float32(1 / 24)
    ds = lonlat([-45.0, 45.0], (edges[1:] + edges[:-1]) / 2)
    ds["lon"].attrs["bounds"] = "lon_bnds"
    ds["lon_bnds"] = (("lon", "nv"), np.stack([edges[:-1], edges[1:]], axis=-1))
    assert ds["lon"].dtype == np.float32
    assert Grid.from_dataset(ds) == Grid.from_dataset(ds.drop_vars("lon_bnds"))


def test_gaussian_rows_with_bounds_that_tile_nothing_still_are_gaussian():
    rows = Grid.gaussian(11, 4)
    ds = lonlat(rows.centers[0], rows.centers[1])
    ds["lat"].attrs["bounds"] = "lat_bnds"
    ds["lat_bnds"] = (("lat", "nv"), np.zeros((11, 2)))
    assert Grid.from_dataset(ds) == rows


def test_cf_bounds_of_longitudes_follow_their_centres_around():
    ds = lonlat([-45.0, 45.0], [-90.0, 0.0, 90.0, 180.0])
    ds["lon"].attrs["bounds"] = "lon_bnds"
    ds["lon_bnds"] = (("lon", "nv"), [[225.0, 305.0], [305.0, 55.0], [55.0, 135.0], [135.0, 225.0]])
    np.testing.assert_allclose(Grid.from_dataset(ds).bounds[1], [-55, 55, 135, 225, 305])


def test_a_plane_by_names_by_attributes_and_by_nothing():
    assert find_axes(plane(y=np.arange(3.0), x=np.arange(5.0))).space == ("y", "x")
    assert find_axes(plane(x=np.arange(3.0), y=np.arange(5.0))).space == ("y", "x")
    east = (np.arange(5.0), {"axis": "X", "units": "m"})
    north = (np.arange(3.0), {"axis": "Y", "units": "m"})
    axes = find_axes(plane(easting=east, northing=north))
    assert (axes.space, axes.units) == (("northing", "easting"), ("m", "m"))
    assert find_axes(plane(b=np.arange(3.0), a=np.arange(5.0))).space == ("b", "a")


def test_a_plane_axis_is_periodic_only_where_it_is_said():
    x = np.arange(5.0)
    assert Grid.from_dataset(plane(x=x)).periodic == (False,)
    assert Grid.from_dataset(plane(x=(x, {"periodic": "true"}))).periodic == (True,)
    assert Grid.from_dataset(plane(x=(x, {"periodic": 1}))).periodic == (True,)
    assert Grid.from_dataset(plane(x=(x, {"periodic": "true"})), periodic=False).periodic == (False,)
    both = plane(y=x, x=x)
    assert Grid.from_dataset(both, periodic=True).periodic == (True, True)
    assert Grid.from_dataset(both, periodic=(False, True)).periodic == (False, True)
    assert Grid.from_dataset(both, periodic={"y": True}).periodic == (True, False)
    with refusal("expected periodicity of y, x, got {'z': True}: give one bool, one for each, or by name"):
        find_axes(both, {"z": True})
    with refusal("expected periodicity of y, x, got (True,): give one bool, one for each, or by name"):
        find_axes(both, (True,))


def test_what_is_stated_of_longitude_must_be_possible():
    ring = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0))
    assert Grid.from_dataset(ring, periodic=True).periodic == (False, True)
    assert Grid.from_dataset(ring, periodic=False).periodic == (False, False)
    region = lonlat([-45.0, 45.0], np.arange(0, 180, 60.0))
    with refusal("expected a periodic 'lon' in equal steps around 360 degrees, got 0 to 120: leave periodic"):
        Grid.from_dataset(region, periodic=True)


def test_a_ring_of_longitudes_alone_is_a_periodic_plane_axis():
    ds = lonlat([0.0], np.arange(0, 360, 60.0)).isel(lat=0, drop=True)
    grid = Grid.from_dataset(ds)
    assert (grid.names, grid.shape, grid.periodic, grid.is_sphere) == (("lon",), (6,), (True,), False)


def test_samples_and_levels_are_not_space():
    ds = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0)).expand_dims(number=3, isobaricInhPa=[850.0, 500.0])
    axes = find_axes(ds)
    assert (axes.sample, axes.other, axes.space) == ("number", ("isobaricInhPa",), ("lat", "lon"))
    trajectories = plane(x=np.arange(5.0)).expand_dims(sample=2)
    assert find_axes(trajectories).sample == "sample"


def test_time_by_type_by_name_and_not_at_all():
    ds = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0))
    assert find_axes(ds.rename(time="when")).time == "when"
    assert find_axes(ds.isel(time=0)).time is None
    axis = find_axes(ds.rename_dims(time="step").reset_index("time"))
    assert (axis.time, axis.time_coordinate) == ("step", "time")
    axis = find_axes(plane(x=np.arange(5.0)).drop_vars("time"))
    assert (axis.time, axis.time_coordinate, axis.other) == ("time", None, ())


def test_two_latitudes_are_refused_by_name():
    ds = lonlat([-45.0, 45.0], np.arange(0, 360, 60.0))
    ds["v"] = (("latv", "lon"), np.zeros((3, 6)))
    ds = ds.assign_coords(latv=("latv", [-60.0, 0.0, 60.0], LATITUDE))
    with refusal(
        "expected one latitude axis, got 'lat' and 'latv': select the variables of one grid, ds[[...]]"
    ):
        find_axes(ds)
    assert find_axes(ds[["t2m"]]).space == ("lat", "lon")


def test_a_dataset_without_coordinates_is_told_to_add_them():
    ds = xr.Dataset({"u": (("time", "x"), np.zeros((3, 5)))})
    nothing = "expected a coordinate along at least one space dimension, got"
    with refusal(f"{nothing} none along 'x': add one"):
        find_axes(ds)
    series = xr.Dataset({"soi": ("time", np.zeros(3))}, coords={"time": [0, 1, 2]})
    with refusal(f"{nothing} no dimension but time: add one"):
        find_axes(series)


def test_grids_that_come_later_are_refused_by_their_name():
    cells = {name: ("cell", np.zeros(5)) for name in ("t", "lat", "lon")}
    with refusal(
        "expected latitude and longitude along two dimensions, got both along 'cell': regrid it to latitude x"
        " longitude; unstructured grids are not supported yet"
    ):
        find_axes(xr.Dataset(cells))
    tilted = ({"standard_name": "grid_latitude"}, {"standard_name": "grid_longitude"})
    with refusal(
        "expected true latitude and longitude, got 'rlat' of a rotated pole: add them as coordinates along both"
        " dimensions, with standard_name latitude and longitude"
    ):
        find_axes(lonlat([0.0, 1.0], [0.0, 1.0], ("rlat", "rlon"), tilted))


def test_coordinates_that_are_no_numbers_or_no_degrees_are_refused():
    with refusal("expected a number at each point of 'lat', got 9.96921e+36: repair the coordinate"):
        Grid.from_dataset(lonlat([0.0, 9.96921e36], np.arange(0, 360, 60.0)))
    radians = ({**LATITUDE, "units": "radians"}, LONGITUDE)
    with refusal("expected latitude 'lat' in degrees, got radians: convert it with numpy.rad2deg"):
        find_axes(lonlat([-0.7, 0.7], np.arange(0, 360, 60.0), attrs=radians))
    with refusal("expected latitudes from -90 to 90, got -50 to 130: correct the coordinate"):
        Grid.from_dataset(lonlat([0.0, 100.0, 130.0], np.arange(0, 360, 60.0), attrs=(LATITUDE, LONGITUDE)))


def test_an_axis_that_says_another_role_than_its_name_is_one_axis() -> None:
    ds = xr.Dataset(
        {"u": (("time", "z", "x"), np.zeros((3, 5, 7)))},
        {
            "z": ("z", np.arange(5.0), {"axis": "Y"}),
            "x": ("x", np.arange(7.0), {"axis": "X"}),
            "time": np.arange(3.0),
        },
    )
    axes = find_axes(ds)
    assert (axes.space, axes.time) == (("z", "x"), "time")
