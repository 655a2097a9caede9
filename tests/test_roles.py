"""Roles of variables: what is read for each, indices worked out by hand, components of vectors, refusals."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.channels import Channels
from gridvit.config import DataConfig, Index
from gridvit.data.fields import load
from gridvit.data.roles import Variable, channels, with_components
from gridvit.errors import InputError
from gridvit.parsing import parse

RNG = np.random.default_rng(4)
LAT, LON = np.linspace(75, -75, 6), np.arange(-180, 180, 45.0)


def dataset(times: int = 9) -> xr.Dataset:
    days = np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(1, "D")
    dims, shape = ("time", "lat", "lon"), (times, 6, 8)
    moving = {name: (dims, RNG.normal(size=shape).astype(np.float32)) for name in ("sst", "u", "v", "rain")}
    still = {
        "orography": (("lat", "lon"), RNG.normal(size=(6, 8))),
        "mask": (dims, np.repeat(RNG.integers(0, 2, (1, 6, 8)), times, 0).astype(np.float32)),
        "flat": (("lat", "lon"), np.ones((6, 8))),
    }
    coords = {
        "time": days,
        "lat": ("lat", LAT, {"units": "degrees_north"}),
        "lon": ("lon", LON, {"units": "degrees_east"}),
    }
    ds = xr.Dataset(moving | still, coords)
    ds["u"].attrs["standard_name"], ds["v"].attrs["standard_name"] = "eastward_wind", "northward_wind"
    return ds


def test_a_frame_is_in_the_order_of_roles() -> None:
    data = DataConfig(
        variables=("u",),
        predictors=("sst",),
        diagnostics=("rain",),
        forcings=("v",),
        statics=("orography", "mask"),
    )
    ds = dataset()
    fields = load(ds, data)
    assert fields.names == ("u", "rain", "sst", "v")
    assert [v.role for v in fields.variables] == ["prognostic", "diagnostic", "predictor", "forcing"]
    np.testing.assert_array_equal(fields.values[0, :, 1], np.roll(ds["rain"].values[:, ::-1], 4, axis=2))
    assert (fields.targets.names, fields.targets.values.shape[2]) == (("u", "rain"), 2)
    assert [v.name for v in fields.statics] == ["orography", "mask"]
    for k, name in enumerate(("orography", "mask")):
        first = ds[name].isel(time=0).values if "time" in ds[name].dims else ds[name].values
        np.testing.assert_array_equal(
            fields.static_values[k], np.roll(first[::-1], 4, axis=1).astype(np.float32)
        )


def test_no_role_named_means_all_that_moves_but_what_is_named_elsewhere() -> None:
    assert load(dataset()).names == ("sst", "u", "v", "rain", "mask")
    assert load(dataset(), DataConfig(forcings=("sst",), statics=("mask",))).names == (
        "u",
        "v",
        "rain",
        "sst",
    )


def test_static_fields_of_another_file(tmp_path: Path) -> None:
    ds = dataset()
    ds[["orography"]].to_netcdf(tmp_path / "still.nc")
    ds[["orography"]].isel(lat=slice(0, 4)).to_netcdf(tmp_path / "small.nc")
    data = {"variables": ("u",), "statics": ("orography",)}
    found = load(ds, DataConfig(**data, static_file=str(tmp_path / "still.nc")))
    np.testing.assert_array_equal(found.static_values, load(ds, DataConfig(**data)).static_values)
    with pytest.raises(InputError, match="expected static fields on the grid of the data"):
        load(ds, DataConfig(**data, static_file=str(tmp_path / "small.nc")))


@pytest.mark.parametrize(
    ("region", "rows", "columns"),
    [
        ({"latitude": (0, 80), "longitude": (80, 140)}, (0, 1, 2), (6, 7)),
        ({"lat": (-20, 20), "lon": (-100, -40)}, (2, 3), (2, 3)),
        ({"longitude": (300, 50)}, range(6), (3, 4, 5)),
        ({"longitude": (0, 360)}, range(6), range(8)),
        ({}, range(6), range(8)),
    ],
)
def test_an_index_is_the_area_mean_of_its_box(
    region: dict[str, tuple[float | int, float | int]], rows: list[int], columns: list[int]
) -> None:
    ds = dataset()
    fields = load(ds, DataConfig(predictors=("sst",), indices={"nino": Index("sst", region)}))
    assert fields.names == ("nino", "sst")
    edges = np.radians(np.clip([90, 60, 30, 0, -30, -60, -90], -90, 90))
    band = -np.diff(np.sin(edges))
    picked = ds["sst"].values.astype(np.float64)[:, list(rows)][:, :, list(columns)]
    expected = (picked.mean(2) * band[list(rows)]).sum(1) / band[list(rows)].sum()
    np.testing.assert_allclose(fields.values[0, :, 0, 3, 5], expected, rtol=1e-6)
    assert np.ptp(fields.values[0, :, 0], axis=(1, 2)).max() == 0


def test_an_index_leaves_out_what_is_missing() -> None:
    ds = dataset()
    ds["sst"] = ds["sst"].where((ds["lat"] > 0) | (ds["lon"] > 0))
    fields = load(ds, DataConfig(predictors=("sst",), indices={"south": Index("sst", {"lat": (-80, 0)})}))
    band = -np.diff(np.sin(np.radians([0, -30, -60, -90])))
    east = ds["sst"].values[:, 3:][:, :, 5:].astype(np.float64).mean(2)
    np.testing.assert_allclose(fields.values[0, :, 0, 0, 0], (east * band).sum(1) / band.sum(), rtol=1e-6)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (DataConfig(variables=("u",), forcings=("u",)),
         "expected each name in one role, got 'u' in two: name it once among the options of data"),
        (DataConfig(variables=("u",), statics=("height",)),
         "expected a static field among .*, got 'height': correct data.statics"),
        (DataConfig(variables=("u",), statics=("flat",)),
         "expected static fields that vary in space, got 'flat', which is constant: leave it out"),
        (DataConfig(variables=("u",), indices={"i": Index("sst", {"depth": (0, 1)})}),
         "expected a region along latitude, longitude for the index 'i', got 'depth': correct it"),
        (DataConfig(variables=("u",), indices={"i": Index("sst", {"lat": (1, 2)})}),
         "expected cells inside the region of the index 'i', got none in lat 1 to 2: make it larger"),
        (DataConfig(variables=("u",), vectors=(("u", "w"),)),
         "expected components among u, got 'w' in data.vectors: correct it"),
    ],
)  # fmt: skip
def test_roles_that_do_not_fit_are_refused(data: DataConfig, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        load(dataset(), data)


def test_components_by_standard_name_or_as_stated() -> None:
    assert [(v.name, v.component, v.partner) for v in load(dataset()).variables[1:3]] == [
        ("u", "x", "v"), ("v", "y", "u"),
    ]  # fmt: skip
    a, b, c = (Variable(name) for name in "abc")
    found = with_components((a, b, c), (("c", "a"),))
    assert [(v.component, v.partner) for v in found] == [("y", "c"), ("", ""), ("x", "a")]
    stress = Variable("t", standard_name="surface_downward_eastward_stress")
    assert with_components((stress, b), ())[0].component == ""
    other = Variable("s", standard_name="surface_downward_northward_stress")
    assert [v.component for v in with_components((stress, other), ())] == ["x", "y"]


def test_channels_of_a_state_with_history() -> None:
    variables = [Variable(n, role=r) for n, r in
                 [("u", "prognostic"), ("y", "diagnostic"), ("p", "predictor"), ("f", "forcing")]]  # fmt: skip
    found = channels(variables, (), DataConfig(history=3, leads=(2,)))
    assert found.state == ("u", "y", "p", "u@-1", "p@-1", "u@-2", "p@-2")
    assert found.state_places == [0, 1, 2, 0, 2, 0, 2]
    assert (found.offsets, found.pace, found.known_places) == ((-2, -1, 0, 2), 2, [3])
    assert Channels(("u",), forcing=("f",), boundary=1).known_places == [1, 0]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({}, "expected something to predict, got neither data.variables nor data.diagnostics nor data.indices: name "),
        ({"diagnostic": ("y",)},
         "expected something to predict from, got neither data.variables nor data.predictors: name some"),
        ({"prognostic": ("u",), "leads": (2, 3)},
         "expected data.leads in ascending multiples of the first, got [2, 3]: correct them, or train one model for "),
        ({"prognostic": ("u",), "forcing": ("f",), "leads": (1, 2)},
         "expected one lead where forcings or a boundary are given at its end, got data.leads [1, 2]: train one model"),
        ({"diagnostic": ("y",), "predictor": ("p",), "boundary": 1},
         "expected variables whose boundary is given, got none in data.variables: set data.boundary to 0"),
    ],
)  # fmt: skip
def test_channels_that_make_no_model_are_refused(given: dict[str, tuple[str, ...]], sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        Channels(**given)


def test_roles_are_options() -> None:
    text = [
        "--indices",
        "{n: {variable: sst, region: {lat: [-5, 5]}}}",
        "--vectors",
        "[[u, v]]",
        "--leads",
        "[1, 2]",
    ]
    data = parse(DataConfig, text)
    assert (data.indices, data.vectors, data.leads) == (
        {"n": Index("sst", {"lat": (-5, 5)})}, (("u", "v"),), (1, 2),
    )  # fmt: skip
    with pytest.raises(InputError, match="expected data.history of at least 1, got 0: correct it"):
        parse(DataConfig, ["--history", "0"])


def test_an_index_on_a_curvilinear_grid_is_boxed_by_true_positions() -> None:
    rows, columns = np.meshgrid(np.arange(5.0), np.arange(7.0), indexing="ij")
    lat, lon = 40 + rows + 0.3 * columns, (355 + columns + 0.2 * rows) % 360
    u = RNG.normal(size=(4, 5, 7)).astype(np.float32)
    ds = xr.Dataset(
        {"u": (("time", "y", "x"), u)},
        {"time": np.arange(4.0), "lat": (("y", "x"), lat, {"units": "degrees_north"}),
         "lon": (("y", "x"), lon, {"units": "degrees_east"})},
    )  # fmt: skip
    region = {"latitude": (42, 44), "longitude": (-3, 2)}
    fields = load(ds, DataConfig(indices={"i": Index("u", region)}, predictors=("u",)))
    inside = (lat >= 42) & (lat <= 44) & ((lon >= 357) | (lon <= 2))
    areas = fields.grid.areas * inside
    assert 0 < inside.sum() < 35
    np.testing.assert_allclose(fields.values[0, :, 0, 0, 0], (u * areas).sum((1, 2)) / areas.sum(), rtol=1e-5)


def test_the_edges_of_a_box_are_in_it_whatever_the_precision() -> None:
    axis = np.round(np.arange(40.1, 41.0, 0.1), 1).astype(np.float32)
    u = RNG.normal(size=(3, 9, 9)).astype(np.float32)
    coords = {"time": np.arange(3.0), "lat": ("lat", axis, {"units": "degrees_north"}),
              "lon": ("lon", (axis - 30).astype(np.float32), {"units": "degrees_east"})}  # fmt: skip
    ds = xr.Dataset({"u": (("time", "lat", "lon"), u)}, coords)
    region = {"lat": (40.3, 40.7), "lon": (10.3, 10.7)}
    fields = load(ds, DataConfig(predictors=("u",), indices={"i": Index("u", region)}))
    areas = fields.grid.areas[2:7, 2:7]
    expected = (u[:, 2:7, 2:7] * areas).sum((1, 2)) / areas.sum()
    np.testing.assert_allclose(fields.values[0, :, 0, 0, 0], expected, rtol=1e-5)


def test_static_fields_of_a_plane_whose_end_is_repeated() -> None:
    x = np.linspace(0, 1, 9)
    u = np.sin(2 * np.pi * (x + np.arange(5)[:, None] / 7))[:, None] * np.arange(1.0, 4)[:, None]
    u[:, :, -1] = u[:, :, 0]
    ds = xr.Dataset(
        {"u": (("time", "y", "x"), u), "depth": (("y", "x"), np.repeat(np.arange(3.0)[:, None], 9, 1))},
        {"time": np.arange(5.0), "y": np.arange(3.0), "x": x},
    )
    fields = load(ds, DataConfig(variables=("u",), statics=("depth",), periodic={"x": True}))
    assert fields.grid.shape == (3, 8)
    np.testing.assert_array_equal(fields.static_values[0], np.repeat(np.arange(3.0)[:, None], 8, 1))


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.full((6, 8), 0.1, np.float32), "got 'flat', which is constant: leave it out"),
        (
            np.where(np.eye(6, 8), np.inf, 1.0),
            "expected static fields with values, got infinite values in 'flat'",
        ),
        (np.full((6, 8), np.nan), "expected static fields with values, got nothing in 'flat'"),
    ],
)
def test_static_fields_that_say_nothing_are_refused(values: np.ndarray, sentence: str) -> None:
    ds = dataset().assign(flat=(("lat", "lon"), values))
    with pytest.raises(InputError, match=sentence):
        load(ds, DataConfig(variables=("u",), statics=("flat",)))
