"""HDF5 files that are no NetCDF, by their layout: PDEBench, The Well, pyro2 and py-pde; read lazily.

Written from the published descriptions of the formats:
PDEBench (Takamoto et al. 2022, doi:10.18419/darus-2986), The Well (the_well/docs/data_format.md), pyro2
(Simulation.write) and py-pde (storage.FileStorage).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr

from gridvit.errors import InputError

AXES = ("x", "y", "z")
SIGNATURE = b"\x89HDF\r\n\x1a\n"
LAYOUTS = "PDEBench, The Well, pyro2, py-pde or NetCDF"
DO = "rewrite it as NetCDF with named dimensions"


def is_netcdf(path: Path) -> bool:
    """Whether an HDF5 file keeps dimension scales, as every NetCDF-4 file with dimensions does."""
    try:
        import h5py
    except ImportError:  # the NetCDF library can tell as well: it invents names for missing dimensions
        with netCDF4.Dataset(path) as file:
            return not any(name.startswith("phony_dim") for name in _dimensions(file))
    with h5py.File(path, "r") as file:
        if "_NCProperties" in file.attrs or "_nc3_strict" in file.attrs:
            return True
        return bool(file.visititems(lambda _, item: True if _is_scale(item) else None))


def _dimensions(group: Any) -> list[str]:
    return [*group.dimensions, *(name for g in group.groups.values() for name in _dimensions(g))]


def _is_scale(item: Any) -> bool:
    return "CLASS" in item.attrs and as_text(item.attrs["CLASS"]) == "DIMENSION_SCALE"


def library(path: Path) -> Any:
    """The package h5py; `InputError` where it is not installed."""
    try:
        import h5py
    except ImportError:
        raise InputError(
            "the package h5py to tell HDF5 layouts", f"{path} without it", "pip install 'gridvit[hdf5]'"
        ) from None
    return h5py


def open_hdf5(path: Path) -> xr.Dataset:
    """The fields of one of the known layouts along (sample?, time, *space), each array still on disk.

    Raises:
        InputError: another layout, a polar or spherical grid, samples on different grids or times.
    """
    file = library(path).File(path, "r")
    try:
        for known, read in READERS:
            if known(file):
                ds = read(file, path)
                ds.set_close(file.close)
                return ds
        names = ", ".join(sorted(file)[:5]) or "nothing"
        raise InputError(f"an HDF5 file in the layout of {LAYOUTS}", f"{path}, which holds {names}", DO)
    except BaseException:
        file.close()
        raise


def as_text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def lazy(item: Any) -> Any:
    """A dask array of a dataset in an open file; HDF5 reads one at a time."""
    from dask.array import from_array

    return from_array(item, chunks=item.chunks or "auto", lock=True)


def _axis(name: str, values: Any, periodic: bool = False) -> tuple[str, np.ndarray, dict[str, str]]:
    attrs = {"axis": name.upper()} if name in AXES else {}
    return name, np.asarray(values), {**attrs, **({"periodic": "true"} if periodic else {})}


def _split(name: str, array: Any, dims: Sequence[str], suffixes: Sequence[str]) -> dict[str, Any]:
    """One variable for each entry along a last axis of components."""
    return {f"{name}_{s}": (tuple(dims), array[..., i]) for i, s in enumerate(suffixes)}


def _is_pdebench(file: Any) -> bool:
    return any(f"{axis}-coordinate" in file for axis in AXES)


def _pdebench(file: Any, path: Path) -> xr.Dataset:
    """``tensor`` or named fields (sample, t, x, ...); ``t-coordinate`` may have one entry (an edge) too many."""
    space = [axis for axis in AXES if f"{axis}-coordinate" in file]
    dims = ("sample", "time", *space)
    fields = {n: lazy(item) for n, item in file.items() if getattr(item, "ndim", 0) == len(dims)}
    if not fields or "t-coordinate" not in file:
        what = "t-coordinate" if fields else f"fields along {', '.join(dims)}"
        raise InputError("fields that move in time", f"{path} without {what}", "give a file of trajectories")
    steps = next(iter(fields.values())).shape[1]
    coords = {"time": _axis("time", file["t-coordinate"][:steps])}
    coords |= {axis: _axis(axis, file[f"{axis}-coordinate"][:]) for axis in space}
    return _dataset({n: (dims, array) for n, array in fields.items()}, coords, path)


def _is_grouped(file: Any) -> bool:
    return bool(len(file)) and all(
        getattr(file[n], "keys", None) and {"data", "grid"} <= set(file[n]) for n in file
    )


def _grouped(file: Any, path: Path) -> xr.Dataset:
    """One group a sample: ``0000/data`` (t, x, ..., channel) on ``0000/grid/x``, ``y``, ``t``."""
    from dask.array import stack

    names = sorted(file)
    first = file[names[0]]
    space = [axis for axis in AXES if axis in first["grid"]]
    if not space or "t" not in first["grid"] or first["data"].ndim - 1 - len(space) not in (0, 1):
        raise InputError(
            "data (t, x, ..., channel) with grid/x and grid/t", f"{path} {first['data'].shape}", DO
        )
    for name in names:
        same = file[name]["data"].shape == first["data"].shape
        if not same or any(
            not np.array_equal(file[name]["grid"][a], first["grid"][a]) for a in (*space, "t")
        ):
            raise InputError("samples on one grid at one set of times", f"another in group {name!r}", DO)
    array = stack([lazy(file[name]["data"]) for name in names])
    dims = ("sample", "time", *space)
    fields = {"data": (dims, array)}
    if array.ndim > len(dims):
        count = array.shape[-1]
        named = _split("data", array, dims, [str(c) for c in range(count)])
        fields = named if count > 1 else {"data": named["data_0"]}
    coords = {"time": _axis("time", first["grid"]["t"][:])}
    return _dataset(fields, coords | {a: _axis(a, first["grid"][a][:]) for a in space}, path)


def _is_well(file: Any) -> bool:
    return "dimensions" in file and any(f"t{order}_fields" in file for order in range(3))


def _well(file: Any, path: Path) -> xr.Dataset:
    """Scalars t0, vectors t1 and tensors t2, their components as variables ``velocity_x``, ``stress_xy``."""
    space = [as_text(name) for name in file["dimensions"].attrs["spatial_dims"]]
    kind = as_text(file.attrs.get("grid_type", "cartesian"))
    if kind != "cartesian":
        raise InputError("a Cartesian grid", f"the {kind} grid of {path}", "interpolate it to x, y")
    clock = file["dimensions"]["time"]
    if clock.ndim != 1:
        raise InputError("one set of times for all samples", f"times {clock.shape} in {path}", DO)
    turning = _turning(file)
    coords = {"time": _axis("time", clock[:])}
    coords |= {name: _axis(name, file["dimensions"][name][:], name in turning) for name in space}
    fields: dict[str, Any] = {}
    for order in range(3):
        suffixes = [""] if not order else space if order == 1 else [a + b for a in space for b in space]
        for name, item in file.get(f"t{order}_fields", {}).items():
            fields |= _well_field(name, item, space, suffixes if order else [])
    return _dataset(fields, coords, path)


def _turning(file: Any) -> set[str]:
    groups = [g.attrs for g in file.get("boundary_conditions", {}).values()]
    closed = [g for g in groups if as_text(g.get("bc_type", "")).lower() == "periodic"]
    return {as_text(name) for g in closed for name in g.get("associated_dims", [])}


def _well_field(name: str, item: Any, space: Sequence[str], suffixes: Sequence[str]) -> dict[str, Any]:
    varying = item.attrs.get("dim_varying", [True] * len(space))
    dims = ["sample"] * bool(item.attrs.get("sample_varying", True))
    dims += ["time"] * bool(item.attrs.get("time_varying", True))
    dims += [axis for axis, moves in zip(space, varying, strict=True) if moves]
    array = lazy(item)
    if not suffixes:
        return {name: (tuple(dims), array)}
    return _split(name, array.reshape(*array.shape[: len(dims)], -1), dims, suffixes)


def _is_pyro(file: Any) -> bool:
    return "state" in file and "grid" in file and "xmin" in file["grid"].attrs


def _pyro(file: Any, path: Path) -> xr.Dataset:
    """One snapshot: ``state/NAME/data`` (x, y) in cells between ``xmin`` and ``xmax``, at attribute ``time``."""
    grid = file["grid"].attrs
    state = {name: group for name, group in file["state"].items() if "data" in group}
    coords = {"time": _axis("time", [float(file.attrs["time"])])}
    for axis in ("x", "y"):
        count, low, high = int(grid[f"n{axis}"]), float(grid[f"{axis}min"]), float(grid[f"{axis}max"])
        wraps = all(as_text(g.attrs.get(f"{axis}lb", "")) == "periodic" for g in state.values())
        coords[axis] = _axis(axis, low + (np.arange(count) + 0.5) * (high - low) / count, wraps)
    fields = {name: (("time", "x", "y"), lazy(group["data"])[None]) for name, group in state.items()}
    return _dataset(fields, coords, path)


def _is_pypde(file: Any) -> bool:
    return "times" in file and "data" in file and "field_attributes" in file.attrs


def _pypde(file: Any, path: Path) -> xr.Dataset:
    """``data`` (t, component?, *space) at ``times``; the grid stands as JSON in the attributes."""
    about = _decoded(json.loads(file.attrs["field_attributes"]))
    parts = about.get("fields", [about])
    grid = about.get("grid") or parts[0]["grid"]
    if grid["class"] not in ("CartesianGrid", "UnitGrid"):
        raise InputError("a Cartesian grid", f"a {grid['class']} in {path}", "interpolate it to x, y")
    shape = grid["shape"]
    space = AXES[: len(shape)]
    walls = grid.get("bounds", [[0, n] for n in shape])
    turns = grid["periodic"] if isinstance(grid["periodic"], list) else [grid["periodic"]] * len(shape)
    coords = {"time": _axis("time", file["times"][:])}
    for axis, n, (low, high), wraps in zip(space, shape, walls, turns, strict=True):
        coords[axis] = _axis(axis, low + (np.arange(n) + 0.5) * (high - low) / n, bool(wraps))
    names = [name for i, part in enumerate(parts) for name in _components(part, i, space)]
    array = lazy(file["data"])
    array = array.reshape(array.shape[0], len(names), *shape)
    return _dataset({n: (("time", *space), array[:, i]) for i, n in enumerate(names)}, coords, path)


def _decoded(value: Any) -> Any:
    """JSON kept as text inside JSON, undone to the last level."""
    if isinstance(value, Mapping):
        return {key: _decoded(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_decoded(v) for v in value]
    if isinstance(value, str):
        try:
            return _decoded(json.loads(value))
        except ValueError:
            return value
    return value


def _components(part: Mapping[str, Any], index: int, space: Sequence[str]) -> list[str]:
    name = part.get("label") or f"field_{index}"
    if part["class"] == "ScalarField":
        return [name]
    pairs = [a + b for a in space for b in space]
    return [f"{name}_{s}" for s in (space if part["class"] == "VectorField" else pairs)]


def _dataset(fields: Mapping[str, Any], coords: Mapping[str, Any], path: Path) -> xr.Dataset:
    try:
        return xr.Dataset(fields, coords)
    except ValueError as error:
        raise InputError(
            "fields as long as their coordinates", f"{path}: {str(error).splitlines()[0]}", DO
        ) from None


READERS: tuple[tuple[Callable[[Any], bool], Callable[[Any, Path], xr.Dataset]], ...] = (
    (_is_well, _well),
    (_is_pdebench, _pdebench),
    (_is_pyro, _pyro),
    (_is_pypde, _pypde),
    (_is_grouped, _grouped),
)
