"""Files whose latitude and longitude are two-dimensional: found, brought to the standard layout and back, and used."""

from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from curvilinear_data import EAST, NORTH, regional

from gridvit import checkpoint
from gridvit.axes import find_axes
from gridvit.cli import main
from gridvit.config import DataConfig, ModelConfig, RunConfig, TrainingConfig
from gridvit.data.fields import load
from gridvit.data.joined import join
from gridvit.data.layout import Layout
from gridvit.data.sources import standardise
from gridvit.errors import InputError
from gridvit.grid import EARTH_RADIUS, Grid
from gridvit.run.check import check
from gridvit.training.plan import plan


def nemo(n: int = 5, m: int = 7) -> xr.Dataset:
    """Dimensions without coordinates, positions by units and corners by `bounds`, as ocean models write them."""
    lat, lon = np.meshgrid(np.arange(n) * 2.0 - 50, np.arange(m) * 3.0 + 170, indexing="ij")
    lat, lon = lat + 0.1 * lon / 170, np.mod(lon + 180, 360) - 180
    around = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]])
    bounds = {f"bounds_{k}": (("y", "x", "nvertex"), a[..., None] + around[:, i] * h)
              for i, (k, a, h) in enumerate((("lat", lat, 1.0), ("lon", lon, 1.5)))}  # fmt: skip
    tos = np.random.default_rng(1).standard_normal((4, n, m)).astype("f4")
    return xr.Dataset(
        {"tos": (("time", "y", "x"), tos, {"units": "degC"}), **bounds},
        {
            "time": ("time", np.arange(4.0)),
            "nav_lat": (("y", "x"), lat.astype("f4"), {"units": "degrees_north", "bounds": "bounds_lat"}),
            "nav_lon": (("y", "x"), lon.astype("f4"), {"units": "degrees_east", "bounds": "bounds_lon"}),
        },
    )


def wrf() -> xr.Dataset:
    """XLAT and XLONG at every time, the coordinate of the dates along a dimension of another name."""
    ds = regional(5, 7, 6)
    lat, lon = (np.broadcast_to(ds[n].values, (6, 5, 7)) for n in ("lat", "lon"))
    dims = ("Time", "south_north", "west_east")
    return xr.Dataset(
        {"T2": (dims, ds["t"].values, {"units": "K"})},
        {
            "XLAT": (dims, lat, {"units": "degree_north"}),
            "XLONG": (dims, lon, {"units": "degree_east"}),
            "XTIME": ("Time", ds["time"].values),
        },
    )


@pytest.mark.parametrize(
    ("ds", "space", "names"),
    [
        (regional(5, 7), ("rlat", "rlon"), ("lat", "lon")),
        (nemo(), ("y", "x"), ("nav_lat", "nav_lon")),
        (wrf(), ("south_north", "west_east"), ("XLAT", "XLONG")),
        (regional(5, 7).reset_coords(["lat", "lon"]), ("rlat", "rlon"), ("lat", "lon")),
        (regional(5, 7).transpose("rlon", ...), ("rlon", "rlat"), ("lat", "lon")),
    ],
    ids=["rotated pole", "ocean", "weather", "plain variables", "transposed"],
)
def test_axes_are_found(ds: xr.Dataset, space: tuple, names: tuple) -> None:
    axes, grid = find_axes(ds), Grid.from_dataset(ds)
    assert (axes.kind, axes.space, axes.coordinates, axes.periodic) == (
        "curvilinear",
        space,
        names,
        (False,) * 2,
    )
    assert (grid.names, grid.shape) == (space, tuple(ds.sizes[d] for d in space))
    assert grid.mesh is not None
    first = ds[names[0]].isel({axes.time: 0}, missing_dims="ignore")
    np.testing.assert_array_equal(grid.mesh.latitude, first)


@pytest.mark.parametrize("make", [regional, nemo, wrf])
def test_the_layout_comes_back_exactly(make) -> None:
    ds = make()
    name = next(iter(ds.data_vars))
    standard, grid, layout = standardise(ds)
    assert standard[name].dims == ("time", *grid.names)
    assert Grid.from_dataset(standard) == grid
    layout = Layout.from_dict(json.loads(json.dumps(layout.to_dict())))
    back = layout.restore(standard)
    wanted = ds[[name]]
    if make is wrf:  # positions that each time repeats come back once
        wanted = wanted.assign_coords({n: ds[n].variable.isel(Time=0) for n in ("XLAT", "XLONG")})
    xr.testing.assert_identical(back, wanted)
    for coordinate in back.coords:
        assert back[coordinate].dtype == ds[coordinate].dtype


def test_positions_that_are_plain_variables_go_along_with_the_chosen_ones() -> None:
    ds = nemo().reset_coords(["nav_lat", "nav_lon"])
    for variables in (("tos",), None):
        standard, grid, layout = standardise(ds, variables)
        assert list(standard.data_vars) == ["tos"]
        assert grid == Grid.from_dataset(nemo())
        np.testing.assert_array_equal(layout.restore(standard)["nav_lon"], ds["nav_lon"])


def test_corners_of_the_file_give_the_areas() -> None:
    ds = nemo()
    south, north = (np.deg2rad(ds["bounds_lat"].isel(nvertex=k).values.astype(float)) for k in (0, 2))
    parallels = EARTH_RADIUS**2 * np.deg2rad(3.0) * (np.sin(north) - np.sin(south))
    stated = Grid.from_dataset(ds).areas
    # a great circle between two corners at 50 degrees, 3 degrees of longitude apart, lies 0.02 degrees poleward
    np.testing.assert_allclose(stated, parallels, rtol=1e-3)
    double = ds.assign(bounds_lon=ds["nav_lon"] + 2 * (ds["bounds_lon"] - ds["nav_lon"]))
    np.testing.assert_allclose(Grid.from_dataset(double).areas / stated, 2, rtol=1e-2)
    assert Grid.from_dataset(double) == Grid.from_dataset(ds)


def test_periodicity_is_stated_never_guessed() -> None:
    lat, lon = np.meshgrid(np.linspace(-60, 60, 9), np.arange(0, 360, 15.0), indexing="ij")
    ds = regional(9, 24).assign_coords(lat=(("rlat", "rlon"), lat, NORTH), lon=(("rlat", "rlon"), lon, EAST))
    assert Grid.from_dataset(ds).periodic == (False, False)
    _, grid, _ = standardise(ds, None, {"rlon": True})
    assert grid.periodic == (False, True)
    # at the seam cells are as large as elsewhere in their row
    np.testing.assert_allclose(grid.areas / grid.areas[:, :1], 1, rtol=1e-12)
    twice = xr.concat([ds, ds.isel(rlon=slice(2))], "rlon")  # with two columns that repeat the first
    with pytest.raises(
        InputError, match="expected cells with an area, got 18 of 234 without, the first in row 0"
    ):
        Grid.from_dataset(twice, {"rlon": True})
    with pytest.raises(
        InputError, match="a patch that divides the 24 cells of the periodic axis 'rlon', got 5"
    ):
        grid.coarsen((2, 5))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda ds: ds.drop_vars("lon"),
            "expected latitude and longitude along two dimensions, got no longitude: add it",
        ),
        (
            lambda ds: ds.assign_coords(lat2=ds["lat"]),
            "expected one latitude along two dimensions, got 'lat' and 'lat2': name the variables of one grid",
        ),
        (
            lambda ds: ds.assign_coords(lat=ds["lat"].where(ds["lat"] > 50)),
            "expected 'lat' of each cell, got none in",
        ),
        (
            lambda ds: ds.assign_coords(lat=ds["lat"].assign_attrs(units="radians")),
            "expected 'lat' in degrees, got radians: convert it with numpy.rad2deg",
        ),
    ],
)
def test_positions_that_do_not_say_where_cells_are(change, says: str) -> None:
    with pytest.raises(InputError, match=says):
        Grid.from_dataset(change(regional(5, 7)))


def test_grids_that_move_and_files_of_other_meshes_are_refused() -> None:
    moving = wrf()
    moving = moving.assign_coords(XLAT=moving["XLAT"] + xr.DataArray(np.arange(6.0), dims="Time"))
    with pytest.raises(
        InputError, match="expected 'XLAT' the same at all times, got one that moves: regrid it"
    ):
        Grid.from_dataset(moving)
    first, other = nemo(), nemo()
    later = first.assign_coords(time=first["time"] + 4)
    assert join([first, later], ["a.nc", "b.nc"])["tos"].sizes["time"] == 8
    other = later.assign_coords(nav_lat=other["nav_lat"] + 0.1)
    with pytest.raises(
        InputError, match="the grid of a.nc in each file, got b.nc, which differs in 'nav_lat'"
    ):
        join([first, other], ["a.nc", "b.nc"])


def test_the_coordinates_attribute_chooses_among_several() -> None:
    ds = regional(5, 7).assign_coords(lat_u=(("rlat", "rlon"), np.zeros((5, 7)), NORTH))
    ds["t"].attrs["coordinates"] = "lat lon"
    assert find_axes(ds).coordinates == ("lat", "lon")


def test_a_mesh_too_large_for_a_model_file_is_refused_before_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(checkpoint, "LARGEST_MESH", 47)
    says = "expected a curvilinear grid of at most 47 cells, got 48: take a region of it"
    with pytest.raises(InputError, match=says):
        plan(RunConfig(model=ModelConfig(preset="mini", patch=(2, 2))), load(regional(6, 8)))


def test_shifts_are_no_symmetry_of_a_mesh() -> None:
    fields = load(regional(6, 8), DataConfig(periodic={"rlon": True}))
    config = RunConfig(
        model=ModelConfig(preset="mini", patch=(2, 2)), training=TrainingConfig(shift=("rlon",))
    )
    says = r"expected training.shift along straight periodic axes \(none here\), got 'rlon': leave it out"
    with pytest.raises(InputError, match=says):
        plan(config, fields)


def test_check_says_what_the_axes_are(tmp_path: Path) -> None:
    regional().to_netcdf(tmp_path / "d.nc")
    found = check(str(tmp_path / "d.nc"))
    assert found["grid"]["kind"] == "curvilinear"
    axis = {"name": "rlon", "in_file": "rlon", "cells": 16, "from": 0.5, "to": 15.5, "units": "cells",
            "periodic": False, "patches": list(range(1, 17))}  # fmt: skip
    assert found["grid"]["axes"][1] == axis


TINY = ["--model.preset", "mini",
        "--model.width", "32", "--model.depth", "1", "--model.heads", "2", "--training.epochs", "2",
        "--training.batch_size", "8", "--training.accelerator", "cpu", "--evaluation.leads", "3"]  # fmt: skip


@pytest.mark.parametrize("variable", ["t", "tos"])
def test_the_whole_river_on_a_mesh(
    variable: str,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A patch that divides neither axis; local time; with and without coordinates along the dimensions."""

    def call(*arguments: str) -> str:
        status = main(arguments)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    monkeypatch.chdir(tmp_path)
    ds = regional()
    if variable == "tos":
        ds = ds.drop_vars(["rlat", "rlon"]).rename(t="tos", rlat="y", rlon="x", lat="nav_lat", lon="nav_lon")
    ds.to_netcdf("d.nc")
    call("train", "--data.path", "d.nc", "--model.patch", "[5,3]", "--model.features", "[local_time]", *TINY)
    call("forecast", "runs/run", "d.nc", "--steps", "2", "--init", "first", "--out", "f.nc")
    with xr.open_dataset("f.nc", decode_timedelta=False) as f:
        assert f[variable].dims == ("init_time", "lead", *ds[variable].dims[1:])
        for name, coordinate in ds.drop_vars("time").coords.items():
            xr.testing.assert_identical(f[name].variable, coordinate.variable)
        # an untrained step is persistence; a few epochs move it, and not far
        first = ds[variable].isel(time=0).values
        change = np.abs(f[variable].isel(init_time=0, lead=0).values - first)
        assert 0 < change.max() < 5
    scores = json.loads(call("evaluate", "runs/run", "--json"))
    assert scores["coords"]["model"]["data"][:2] == ["emulator", "persistence"]
    assert "distance (km)" in call("analyse", "runs/run")
    why = "on a curvilinear mesh an offset in cells has no one direction and length"
    assert f"left out the Jacobian: {why}" in caplog.messages
    with xr.open_dataset("runs/run/analysis.nc") as a:
        assert a["attention_distance"].attrs["units"] == "km"
        assert 100 < a["attention_distance"].min() < a["attention_uniform"].max() < 4000
        assert "stencil" not in a
    page = Path(call("report", "runs/run").strip()).read_text()
    assert "Skill by lead time" in page


@pytest.mark.real
def test_the_areas_of_an_ocean_grid_by_its_corners_and_by_its_centres() -> None:
    root = os.environ.get("GRIDVIT_REAL_DATA")
    if not root:
        pytest.skip("GRIDVIT_REAL_DATA names no folder of real files")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = xr.open_dataset(Path(root) / "awkward/nemo_1m_2015-01_grid-T.nc", decode_times=False)
    stated = Grid.from_dataset(ds)
    found = Grid.from_dataset(ds.drop_vars(["bounds_lat", "bounds_lon"]), {"x": True})
    assert stated.shape == (330, 360)
    # all of the Earth but the south of Antarctica: 2 pi R^2 (1 + sin 85.9 degrees), the northern fold twice
    assert stated.areas.sum() == pytest.approx(
        2 * np.pi * EARTH_RADIUS**2 * (1 + np.sin(np.deg2rad(85.9))), rel=3e-3
    )
    assert found.areas.sum() == pytest.approx(stated.areas.sum(), rel=1e-4)
    ratio = found.areas / stated.areas
    assert np.median(np.abs(ratio - 1)) < 1e-4
