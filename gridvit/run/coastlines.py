"""Coastlines: of a file that the user names, or those that cartopy has on this machine. Nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from contourpy import contour_generator
from jaxtyping import Bool, Float

from gridvit.axes import find_axes
from gridvit.errors import InputError
from gridvit.grid import Grid

NATURAL_EARTH = "shapefiles/natural_earth/physical"
FILES = ("ne_110m_coastline.shp", "ne_50m_coastline.shp")
GEOJSON = (".json", ".geojson")
DO = "give a GeoJSON file of coastlines, or a NetCDF file with a land mask"
Line = Float[np.ndarray, "point 2"]


def coastlines(file: str = "") -> list[Line]:
    """Lines of (longitude, latitude) in degrees.

    Args:
        file: GeoJSON, whose lines and rings are taken, or NetCDF: the coast runs where its first field over latitude
            and longitude passes 0.5, or where its missing values begin. In its absence the Natural Earth lines that
            cartopy has on this machine, if any.

    Raises:
        InputError: a file that is not there, or that has no coast.
    """
    if not file:
        return list(_of_cartopy())
    path = Path(file).expanduser()
    if not path.is_file():
        raise InputError("a file of coastlines", f"{file}, which is not there", DO)
    found = list(_of_geojson(path) if path.suffix.lower() in GEOJSON else _of_mask(path))
    if not found:
        raise InputError("a file of coastlines", f"{file}, which has none", DO)
    return found


def _of_cartopy() -> Iterator[Line]:
    try:
        import cartopy
        from cartopy.io.shapereader import Reader
    except ImportError:
        return
    folders = (cartopy.config.get(name) for name in ("data_dir", "pre_existing_data_dir", "repo_data_dir"))
    held = [Path(folder) / NATURAL_EARTH / name for folder in folders if folder for name in FILES]
    for path in [path for path in held if path.is_file()][:1]:
        for shape in Reader(path).geometries():
            yield from _of_shape(shape.__geo_interface__)


def _of_geojson(path: Path) -> Iterator[Line]:
    try:
        yield from _of_shape(json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise InputError("a GeoJSON file", f"{path}, which is not read as one", DO) from None


def _of_shape(shape: dict[str, Any]) -> Iterator[Line]:
    """Lines and rings of a geometry, a feature or a collection of either."""
    for part in shape.get("features", shape.get("geometries", [])):
        yield from _of_shape(part)
    if shape.get("geometry"):
        yield from _of_shape(shape["geometry"])
    depth = {"LineString": 1, "MultiLineString": 2, "Polygon": 2, "MultiPolygon": 3}.get(shape["type"], 0)
    if depth:
        yield from _flattened(shape["coordinates"], depth)


def _flattened(parts: Any, depth: int) -> Iterator[Line]:
    if depth == 1:
        yield np.array([point[:2] for point in parts], dtype=float)
        return
    for part in parts:
        yield from _flattened(part, depth - 1)


def _of_mask(path: Path) -> Iterator[Line]:
    """The edge of the land of the first field over latitude and longitude."""
    try:
        with xr.open_dataset(path, decode_times=False) as ds:
            grid, land = land_of(ds)
    except (OSError, ValueError) as error:
        raise InputError("a NetCDF file with a land mask", f"{path}: {error}", DO) from None
    latitude, longitude = grid.centers
    if grid.periodic[1]:  # lines go on across the seam
        longitude, land = np.append(longitude, longitude[0] + 360), np.append(land, land[:, :1], axis=1)
    for line in contour_generator(longitude, latitude, land.astype(float)).lines(0.5):
        yield np.asarray(line)


def land_of(ds: xr.Dataset) -> tuple[Grid, Bool[np.ndarray, "latitude longitude"]]:
    """The grid of the first field over latitude and longitude, and where it is land: missing, or above 0.5.

    Raises:
        ValueError: there is no such field.
    """
    for name in ds.data_vars:
        with suppress(InputError):
            axes = find_axes(ds[[name]])
            if axes.kind == "sphere":
                field = ds[name].isel(axes.order(ds)).transpose(..., *axes.space)
                values = field.isel(dict.fromkeys(field.dims[:-2], 0)).values
                return Grid.from_dataset(ds[[name]]), np.isnan(values) if np.isnan(
                    values
                ).any() else values > 0.5
    raise ValueError("it has no field over latitude and longitude")
