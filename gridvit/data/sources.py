"""Files in: opened by what they contain, and brought to one standard layout, both lazily."""

from __future__ import annotations

import difflib
import json
import os
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr
from scipy.io import netcdf_file

from gridvit.axes import Axes, find_axes
from gridvit.data.layout import Axis, Layout, Squeezed
from gridvit.errors import InputError
from gridvit.grid import Grid

ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
CLASSIC = (b"CDF\x01", b"CDF\x02")
MAGIC = {b"CDF": "netcdf4", b"\x89HDF\r\n\x1a\n": "netcdf4"}
KNOWN_OTHERS = {b"GRIB": "a GRIB file", b"PK\x03\x04": "a ZIP archive", b"MATLAB": "a MATLAB file"}
TRAJECTORIES = ("sample", "samples", "trajectory")
CONVERT = "convert it to NetCDF or Zarr first"


def open_dataset(path: str | os.PathLike[str]) -> xr.Dataset:
    """Open a NetCDF file or a Zarr store (v2 or v3) lazily; its content decides which it is, not its name.

    Dates are decoded (cftime where NumPy's range or calendar does not reach), time differences are left as
    numbers.

    Raises:
        InputError: nothing at ``path``, another format, a truncated or damaged file, times that no calendar
            explains.
    """
    path = Path(path).expanduser()
    options = _engine(path)
    try:
        with warnings.catch_warnings():
            # xarray announces that dates beyond NumPy's range become cftime dates: both are first class here.
            warnings.simplefilter("ignore", xr.SerializationWarning)
            return xr.open_dataset(path, chunks={}, decode_timedelta=False, **options)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise _explained(path, error) from error


def _explained(path: Path, error: Exception) -> InputError:
    units = re.search(r"time units '([^']*)'", str(error))
    if units:
        return InputError(
            "times that can be read as dates",
            f"units {units[1]!r} in {path}",
            "rewrite them as hours or days since a date of the file's calendar",
        )
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        "a readable NetCDF file or Zarr store",
        f"{path}, which fails with {reason!r}",
        "download or write it again",
    )


def _engine(path: Path) -> dict[str, Any]:
    """What xarray needs to know to open ``path``."""
    wanted = "a NetCDF file or a Zarr store"
    if path.is_dir():
        if not any((path / mark).exists() for mark in ZARR_MARKS):
            raise InputError(
                wanted, f"the folder {path} without zarr.json or .zgroup", "give the store itself"
            )
        return {"engine": "zarr", "consolidated": _consolidated(path)}
    if not path.is_file():
        raise InputError(wanted, f"{path}, where there is nothing", "check the path")
    with path.open("rb") as file:
        start = file.read(8)
    if start[:4] in CLASSIC:
        _refuse_truncated(path)
    for magic, engine in MAGIC.items():
        if start.startswith(magic):
            return {"engine": engine}
    raise InputError(wanted, f"{path}, which is {_other(start)}", CONVERT)


def _consolidated(store: Path) -> bool:
    """Whether the store keeps all metadata in one place; xarray warns where it is left to find out."""
    if not (store / "zarr.json").exists():
        return (store / ".zmetadata").exists()
    try:
        return json.loads((store / "zarr.json").read_text()).get("consolidated_metadata") is not None
    except (OSError, ValueError, AttributeError):
        return False


def _other(start: bytes) -> str:
    for magic, what in KNOWN_OTHERS.items():
        if start.startswith(magic):
            return what
    if not start:
        return "empty"
    return "a text file" if all(32 <= b < 127 or b in b"\t\r\n" for b in start) else "of another format"


def _refuse_truncated(path: Path) -> None:
    """The NetCDF library reads what a truncated classic file lacks as zeros; mapping it into memory fails."""
    try:
        netcdf_file(path, "r", mmap=True).close()
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise InputError(
            "a complete NetCDF file", f"{path}, which is truncated", "download or write it again"
        ) from error


def standardise(
    ds: xr.Dataset, variables: Sequence[str] | None = None, periodic: Mapping[str, bool] | None = None
) -> tuple[xr.Dataset, Grid, Layout]:
    """The gridded variables as (sample?, time, *grid.names), latitude and longitude (in [0, 360)) ascending.

    A repeated seam column and dimensions of size one are dropped; nothing is read and no value is changed,
    and ``layout.restore`` undoes it exactly.

    Args:
        ds: a dataset with CF attributes, or honest names, on its axes.
        variables: which to keep, in this order; all gridded ones that move in time where none are named.
        periodic: axes stated to be periodic or not, by the file's names or "latitude" and "longitude", where
            the file does not say.

    Raises:
        InputError: no time axis, axes that cannot be told, an unknown variable, one that is not on the grid
            or does not move in time, one with a further dimension of more than one entry.
    """
    ds = _selected(ds, tuple(variables or ()))
    stated = _by_dimension(periodic, find_axes(ds)) if periodic else None
    axes = find_axes(ds, stated)
    if axes.time is None:
        raise InputError(
            "a time axis", f"dimensions {_listed(ds.sizes)}", "give a file with times along one dimension"
        )
    names = _moving(ds, axes) if not variables else list(dict.fromkeys(variables))
    sample = _sample(ds, names, axes)
    for name in names:
        _refuse_unfit(name, ds[name], {axes.time, *axes.space}, {sample} if sample else set())
    grid = Grid.from_dataset(ds, stated)
    layout = _layout(ds, names, axes, grid, sample)
    return _arranged(ds, axes, grid, layout), grid, layout


def _by_dimension(periodic: Mapping[str, bool], axes: Axes) -> dict[str, bool]:
    inside = dict(zip(("latitude", "longitude"), axes.space, strict=True)) if axes.kind == "sphere" else {}
    return {name if name in axes.space else inside.get(name, name): wraps for name, wraps in periodic.items()}


def _arranged(ds: xr.Dataset, axes: Axes, grid: Grid, layout: Layout) -> xr.Dataset:
    """The data variables alone, in internal order, with the coordinates of grid, time and samples."""
    kept = ds[list(layout.dims)].squeeze([s.name for s in layout.squeezed], drop=True)
    kept = kept.isel(axes.order(ds)).reset_coords(drop=True)
    kept = kept.drop_vars(list(kept.coords))
    renamed = {layout.time: "time", **dict(zip(axes.space, grid.names, strict=True))}
    renamed |= {layout.sample: "sample"} if layout.sample else {}
    kept = kept.rename_dims({old: new for old, new in renamed.items() if old != new})
    coords: dict[str, Any] = {"time": _along(ds[layout.time_coordinate], "time")}
    if layout.sample in ds.coords:
        coords["sample"] = _along(ds[layout.sample], "sample")
    leading = ("sample", "time") if layout.sample else ("time",)
    return kept.transpose(*leading, *grid.names).assign_coords({**coords, **grid.coords()})


def _along(coordinate: xr.DataArray, dim: str) -> xr.Variable:
    """The coordinate as an index along ``dim``, with the encoding that writes its dates as the file did."""
    encoding = {key: coordinate.encoding[key] for key in ("units", "calendar") if key in coordinate.encoding}
    return xr.Variable((dim,), coordinate.values, coordinate.attrs, encoding)


def _selected(ds: xr.Dataset, variables: tuple[str, ...]) -> xr.Dataset:
    """The named variables with the cell bounds of their coordinates; axes of others cannot disturb."""
    if not variables:
        return ds
    offered = [str(n) for n, v in ds.data_vars.items() if v.ndim > 1 and v.dtype.kind in "fiu"]
    for name in variables:
        if name not in ds.data_vars:
            _refuse_unknown(name, offered)
    chosen = ds[list(dict.fromkeys(variables))]
    bounds = [c.attrs.get("bounds", c.encoding.get("bounds")) for c in chosen.coords.values()]
    return chosen.assign({b: ds[b] for b in bounds if b in ds.variables})


def _moving(ds: xr.Dataset, axes: Axes) -> list[str]:
    """All variables that are numbers on the grid and in time."""
    needed = {axes.time, *axes.space}
    names = [str(n) for n, v in ds.data_vars.items() if needed <= set(v.dims) and v.dtype.kind in "fiu"]
    if not names:
        shown = "; ".join(f"{n}({', '.join(map(str, v.dims))})" for n, v in ds.data_vars.items()) or "none"
        raise InputError(
            f"a variable along {_listed(sorted(map(str, needed)))}", shown, "check the file's dimensions"
        )
    return names


def _sample(ds: xr.Dataset, names: list[str], axes: Axes) -> str | None:
    """The dimension of independent trajectories; members of an ensemble share their weather and are none."""
    if axes.sample is None or not any(axes.sample in ds[name].dims for name in names):
        return None
    if axes.sample.lower() not in TRAJECTORIES and ds.sizes[axes.sample] > 1:
        raise InputError(
            "variables along time and space alone",
            f"{ds.sizes[axes.sample]} members along {axes.sample!r}",
            f"select one (ds.isel({axes.sample}=0)), or rename it to 'sample' if they are independent runs",
        )
    return axes.sample if axes.sample.lower() in TRAJECTORIES else None


def _refuse_unknown(name: str, offered: list[str]) -> None:
    lower = {known.lower(): known for known in offered}
    near = difflib.get_close_matches(name.lower(), lower, n=1, cutoff=0.5)
    advice = f"did you mean {lower[near[0]]!r}?" if near else "choose one of them"
    raise InputError(f"one of the variables {_listed(offered)}", repr(name), advice)


def _refuse_unfit(name: str, array: xr.DataArray, needed: set[Any], sample: set[str]) -> None:
    """Refuse what is no number, lacks a dimension, or has a further one of more than one entry."""
    lacking = sorted(str(dim) for dim in (needed | sample) - set(array.dims))
    if lacking or array.dtype.kind not in "fiu":
        got = f"{name!r} without {_listed(lacking)}" if lacking else f"{name!r} of type {array.dtype}"
        raise InputError("variables that are numbers on the grid at every time", got, "leave it out")
    for dim, size in array.sizes.items():
        if dim not in needed | sample and size > 1:
            raise InputError(
                "variables along time and space alone",
                f"{name!r} with {size} entries along {str(dim)!r}",
                f"select one of them first (ds.isel({dim}=0)), or name other variables",
            )


def _layout(ds: xr.Dataset, names: list[str], axes: Axes, grid: Grid, sample: str | None) -> Layout:
    """What ``restore`` needs."""
    dims = {name: tuple(map(str, ds[name].dims)) for name in names}
    order = axes.order(ds)
    found = (
        Axis.of(ds[coordinate], name, order[dim])
        for dim, coordinate, name in zip(axes.space, axes.coordinates, grid.names, strict=True)
    )
    known = {axes.time, sample, *axes.space}
    extra = dict.fromkeys(d for each in dims.values() for d in each if d not in known)
    squeezed = tuple(Squeezed.of(ds, dim) for dim in extra)
    return Layout(tuple(found), str(axes.time), str(axes.time_coordinate), sample, dims, squeezed)


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
