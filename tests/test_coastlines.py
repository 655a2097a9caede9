"""Coastlines: read from a file or from cartopy's own, drawn wherever a field's longitudes begin."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from gridvit.errors import InputError
from gridvit.report.coast import draw_coast, on_globe, path_data, visible
from gridvit.run.coastlines import NATURAL_EARTH, coastlines

SHAPES = {
    "type": "FeatureCollection",
    "features": [
        {"type": "Feature", "geometry": {"type": "LineString", "coordinates": [[0, 1, 9], [2, 3, 9]]}},
        {"type": "Feature", "geometry": None},
        {
            "type": "Feature",
            "geometry": {"type": "MultiPolygon", "coordinates": [[[[5, 6], [7, 8], [5, 6]]]]},
        },
    ],
}


def test_lines_and_rings_of_geojson(tmp_path: Path) -> None:
    (tmp_path / "c.geojson").write_text(json.dumps(SHAPES))
    first, second = coastlines(str(tmp_path / "c.geojson"))
    assert first.tolist() == [[0, 1], [2, 3]]
    assert second.tolist() == [[5, 6], [7, 8], [5, 6]]


@pytest.mark.parametrize("missing", [False, True])
def test_the_coast_of_a_mask_runs_around_its_land(missing: bool, tmp_path: Path) -> None:
    """An island of 3 x 3 cells of 10 degrees about (0, 180): the line halfway to the sea, its corners cut."""
    latitude, longitude = np.arange(85.0, -90, -10), np.arange(-175.0, 180, 10)
    land = (np.abs(latitude)[:, None] < 20) & (np.abs(np.abs(longitude) - 180) < 20)
    values = np.where(land, np.nan, 290.0) if missing else land.astype(float)
    coords = {
        "lat": ("lat", latitude, {"units": "degrees_north"}),
        "lon": ("lon", longitude, {"units": "degrees_east"}),
    }
    mask = xr.Dataset({"number": ("n", [1.0]), "lsm": (("time", "lat", "lon"), values[None])}, coords)
    mask.to_netcdf(tmp_path / "m.nc")
    (line,) = coastlines(str(tmp_path / "m.nc"))
    assert np.array_equal(line[0], line[-1])
    assert (line.min(0).tolist(), line.max(0).tolist()) == ([160, -20], [200, 20])


@pytest.mark.parametrize(
    ("name", "text", "got"),
    [
        ("no.nc", None, "{}, which is not there"),
        ("a.json", "[1, 2", "{}, which is not read as one"),
        ("a.json", '{"type": "Point", "coordinates": [1, 2]}', "{}, which has none"),
    ],
)
def test_a_file_without_a_coast_is_refused(name: str, text: str | None, got: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if text:
        path.write_text(text)
    what = "a GeoJSON file" if "read" in got else "a file of coastlines"
    do = "give a GeoJSON file of coastlines, or a NetCDF file with a land mask"
    with pytest.raises(InputError, match=f"^{re.escape(f'expected {what}, got {got.format(path)}: {do}')}$"):
        coastlines(str(path))


def test_a_file_without_a_map_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "line.nc"
    xr.Dataset({"u": ("x", [1.0])}, {"x": [0.0]}).to_netcdf(path)
    sentence = (
        f"expected a NetCDF file with a land mask, got {path}: it has no field over latitude and longitude"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}: give"):
        coastlines(str(path))


def test_lines_that_cartopy_holds_are_taken_and_none_are_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / NATURAL_EARTH / "ne_110m_coastline.shp"
    shape = SimpleNamespace(__geo_interface__=SHAPES["features"][0]["geometry"])
    reader = ModuleType("cartopy.io.shapereader")
    reader.Reader = lambda path: SimpleNamespace(geometries=lambda: [shape] if path == file else [])
    parts = {"cartopy": ModuleType("cartopy"), "cartopy.io": ModuleType("cartopy.io")}
    parts["cartopy"].config = {"data_dir": str(tmp_path), "pre_existing_data_dir": ""}
    for name, module in {**parts, "cartopy.io.shapereader": reader}.items():
        monkeypatch.setitem(sys.modules, name, module)
    assert coastlines() == []  # the file is not there
    file.parent.mkdir(parents=True)
    file.touch()
    assert [line.tolist() for line in coastlines()] == [[[0, 1], [2, 3]]]


def test_without_cartopy_there_are_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cartopy", None)
    assert coastlines() == []


def test_lines_are_cut_where_a_map_ends_and_turned_to_where_it_begins() -> None:
    line = np.array([[-20.0, 0.0], [-10.0, 1.0], [10.0, 2.0], [20.0, 3.0]])
    west, east = visible([line], 0.0, 360.0)
    assert west.tolist() == [[10, 2], [20, 3]]
    assert east.tolist() == [[340, 0], [350, 1]]
    (whole,) = visible([line], -180.0, 180.0)
    assert whole.tolist() == line.tolist()
    over = np.array([[170.0, 0.0], [179.0, 0.0], [-179.0, 0.0], [-170.0, 0.0]])  # a jump across the date line
    assert [len(part) for part in visible([over], -180.0, 180.0)] == [2, 2]


def test_the_coast_is_drawn_in_the_map_and_does_not_stretch_it() -> None:
    panel = Figure().subplots()
    panel.set(xlim=(0, 90), ylim=(-30, 30))
    draw_coast(panel, [np.array([[370.0, -60.0], [380.0, 60.0]])])
    assert [line.get_xdata().tolist() for line in panel.lines] == [[10, 20]] * 2
    assert (panel.get_xlim(), panel.get_ylim()) == ((0, 90), (-30, 30))


def test_path_data_is_in_thousandths_from_the_upper_left() -> None:
    lines = [np.array([[0.0, -90.0], [90.0, 0.0], [90.0, 0.01], [180.0, 45.0]])]
    edges = (
        np.array([-90.0, 0.0, 30.0, 90.0]),
        np.linspace(0, 360, 5),
    )  # rows of 90, 30 and 60 degrees look alike
    assert path_data(lines, *edges) == "M0,1000 250,667 500,250"
    assert path_data([], *edges) == ""


@pytest.mark.parametrize(
    ("units", "globe"),
    [(("degrees_north", "degree_E"), True), (("m", "m"), False), (("degrees_east", "degrees_north"), False)],
)
def test_maps_are_on_the_globe_by_their_units(units: tuple[str, str], globe: bool) -> None:
    coords = {dim: (dim, [0.0, 1.0], {"units": unit}) for dim, unit in zip("yx", units, strict=True)}
    assert on_globe(xr.DataArray(np.zeros((2, 2)), coords, ("y", "x"))) is globe
    assert not on_globe(xr.DataArray(np.zeros((2, 2)), dims=("y", "x")))
    offsets = {"latitude": ("latitude", [0.0, 1.0], {"units": "degrees_north"}),
               "token_dlon": ("token_dlon", [0.0, 1.0], {"units": "degrees_east"})}  # fmt: skip
    assert not on_globe(xr.DataArray(np.zeros((2, 2)), offsets, ("latitude", "token_dlon")))
