"""Every convention of a file: the standard layout holds a known table, and restoring gives the file back."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit.data.layout import Layout, Squeezed, plain
from gridvit.data.sources import standardise

TIMES = np.datetime64("2001-01-01", "ns") + np.arange(3) * np.timedelta64(6, "h")
SPHERE = {"lat": {"units": "degrees_north"}, "lon": {"units": "degrees_east"}}


def table(n_lat: int, n_lon: int) -> np.ndarray:
    """u[t, i, j] = 10000 t + 100 i + j in the standard layout: i from the south, j from longitude 0."""
    t, i, j = np.ogrid[:3, :n_lat, :n_lon]
    return 10000 * t + 100 * i + j


LONGITUDES = {
    "0..360": lambda lon: lon,
    "-180..180": lambda lon: np.sort((lon + 180) % 360 - 180),
    "rolled": lambda lon: (lon + 180) % 360 - 180,  # 0 .. 180 and then -180 .. 0
    "21..381": lambda lon: np.sort((lon - 21) % 360 + 21),
    "descending": lambda lon: lon[::-1],
    "-360..0": lambda lon: lon - 360,
}


def make(
    n_lat: int, n_lon: int, convention: str, *, south: bool = True, seam: bool = False, dtype: str = "f8",
    order: tuple[str, ...] = ("time", "lat", "lon"),
) -> xr.Dataset:  # fmt: skip
    """A file of the table in some convention."""
    lat = (np.arange(n_lat) + 0.5) * (180 / n_lat) - 90
    lon = LONGITUDES[convention](np.arange(n_lon) * (360 / n_lon))
    j = np.rint(lon % 360 * n_lon / 360).astype(int) % n_lon
    if seam:
        lon, j = np.append(lon, lon[0] + np.sign(lon[1] - lon[0]) * 360), np.append(j, j[0])
    i = np.arange(n_lat) if south else np.arange(n_lat)[::-1]
    values = table(n_lat, n_lon)[:, i][:, :, j].astype(dtype)
    arrays = {"u": (("time", "lat", "lon"), values, {"units": "m s-1", "long_name": "wind"})}
    coords = {"time": TIMES, "lat": ("lat", lat[i].astype(dtype), SPHERE["lat"]),
              "lon": ("lon", lon.astype(dtype), SPHERE["lon"])}  # fmt: skip
    return xr.Dataset(arrays, coords, {"title": "table"}).transpose(*order)


@settings(max_examples=40, deadline=None)
@given(
    n_lat=st.sampled_from([5, 6]),
    n_lon=st.sampled_from([7, 8]),
    convention=st.sampled_from(sorted(set(LONGITUDES) - {"rolled", "descending"})),
    south=st.booleans(),
    seam=st.booleans(),
    dtype=st.sampled_from(["f4", "f8"]),
    order=st.permutations(["time", "lat", "lon"]),
)
def test_any_convention_becomes_the_table_and_comes_back(n_lat, n_lon, convention, **made) -> None:  # type: ignore[no-untyped-def]
    ds = make(n_lat, n_lon, convention, **made)
    standard, grid, layout = standardise(ds)
    assert standard["u"].dims == ("time", "latitude", "longitude")
    np.testing.assert_array_equal(standard["u"], table(n_lat, n_lon))
    assert standard["u"].dtype == ds["u"].dtype
    assert grid.shape == (n_lat, n_lon)
    np.testing.assert_allclose(standard["longitude"], np.arange(n_lon) * (360 / n_lon), atol=1e-4)
    again = Layout.from_dict(json.loads(json.dumps(layout.to_dict())))
    assert again == layout
    xr.testing.assert_identical(again.restore(standard), ds)


@pytest.mark.parametrize("convention", ["rolled", "descending"])
def test_longitudes_out_of_order_come_back(convention: str) -> None:
    ds = make(5, 7, convention)
    standard, _, layout = standardise(ds)
    np.testing.assert_array_equal(standard["u"], table(5, 7))
    xr.testing.assert_identical(layout.restore(standard), ds)


@settings(max_examples=15, deadline=None)
@given(
    order=st.permutations(["run", "valid_time", "y", "x"]), south=st.booleans(), size=st.sampled_from([3, 4]),
)  # fmt: skip
def test_planes_with_samples_and_other_names_come_back(order: list[str], south: bool, size: int) -> None:
    t = np.arange(5) * 0.25
    y = np.arange(size, dtype=float) * (1 if south else -1)
    values = np.arange(2 * 5 * size * 7, dtype=np.float32).reshape(2, 5, size, 7)
    coords = {
        "run": ("run", ["a", "b"]),
        "valid_time": ("valid_time", t, {"axis": "T", "units": "h"}),
        "y": ("y", y, {"axis": "Y", "units": "m"}),
        "x": ("x", np.arange(7) + 0.5, {"axis": "X", "units": "m", "periodic": "true"}),
    }
    ds = xr.Dataset({"u": (("run", "valid_time", "y", "x"), values)}, coords).rename(run="sample")
    ds = ds.transpose(*("sample" if d == "run" else d for d in order))
    standard, grid, layout = standardise(ds)
    assert standard["u"].dims == ("sample", "time", "y", "x")
    np.testing.assert_array_equal(standard["u"], values if south else values[:, :, ::-1])
    assert grid.periodic == (False, True)
    xr.testing.assert_identical(layout.restore(standard), ds)


def test_time_under_another_name_than_its_dimension() -> None:
    ds = make(5, 7, "0..360").rename_dims(time="step").reset_index("time")
    ds["time"].attrs["standard_name"] = "time"
    standard, _, layout = standardise(ds)
    np.testing.assert_array_equal(standard["time"], TIMES)
    xr.testing.assert_identical(layout.restore(standard).reset_coords(), ds.reset_coords())


def test_a_single_level_is_dropped_and_comes_back() -> None:
    ds = make(5, 7, "-180..180").expand_dims(plev=[50000.0], axis=1)
    ds["plev"].attrs = {"units": "Pa", "axis": "Z"}
    standard, _, layout = standardise(ds)
    assert standard["u"].dims == ("time", "latitude", "longitude")
    again = Layout.from_dict(json.loads(json.dumps(layout.to_dict())))
    xr.testing.assert_identical(again.restore(standard), ds)


def test_a_dropped_dimension_without_coordinate_comes_back() -> None:
    ds = make(5, 7, "0..360").expand_dims("height", axis=3)
    standard, _, layout = standardise(ds)
    assert layout.squeezed == (Squeezed("height"),)
    xr.testing.assert_identical(layout.restore(standard), ds)


def test_new_dimensions_come_before_the_users_own() -> None:
    ds = make(5, 7, "-180..180", south=False, order=("lon", "time", "lat"))
    standard, _, layout = standardise(ds)
    forecast = standard.isel(time=0, drop=True).expand_dims(init_time=TIMES[:2], lead=[6.0, 12.0, 18.0, 24.0])
    restored = layout.restore(forecast.assign(score=("lead", np.zeros(4))))
    assert restored["u"].dims == ("init_time", "lead", "lon", "lat")
    xr.testing.assert_equal(
        restored["u"].isel(init_time=1, lead=3, drop=True), ds["u"].isel(time=0, drop=True)
    )
    assert restored["score"].dims == ("lead",)


def test_attributes_become_plain() -> None:
    attrs = {
        "a": np.int16(2),
        "b": np.array([1.5, 2.5]),
        "c": np.str_("t"),
        "d": np.datetime64("2001-01-01"),
        "e": None,
    }
    assert json.loads(json.dumps(plain(attrs))) == {
        "a": 2,
        "b": [1.5, 2.5],
        "c": "t",
        "d": "2001-01-01",
        "e": None,
    }


def test_nothing_of_the_grid_is_left_behind() -> None:
    """Cell bounds that are not halfway go along inside; a result has none, as they are no field."""
    ds = make(5, 7, "0..360", south=False)
    ds["lat"].attrs = {**SPHERE["lat"], "bounds": "lat_bnds"}
    edges = np.array([90.0, 50, 10, -20, -60, -90])
    standard, _, layout = standardise(
        ds.assign(lat_bnds=(("lat", "n"), np.stack([edges[1:], edges[:-1]], -1)))
    )
    assert "latitude_bounds" in standard.coords
    xr.testing.assert_identical(layout.restore(standard), ds)
