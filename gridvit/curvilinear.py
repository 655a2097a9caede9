"""Latitude and longitude along two dimensions: which variables of a Dataset hold them, and their numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from gridvit.errors import InputError

if TYPE_CHECKING:
    from xarray import Dataset
else:  # xarray takes half a second to import, and is here by the time a Dataset is
    Dataset = Any

NAMES = {  # where no CF attribute speaks; case is ignored
    "latitude": r"(nav_|x)?lat(itude)?s?|.*_lat",
    "longitude": r"(nav_|x)?lon(g|gitude)?s?|.*_lon",
}
UNITS = {"latitude": r"degrees?_?n(orth)?", "longitude": r"degrees?_?e(ast)?"}
Corners = tuple[np.ndarray, np.ndarray] | None
FILL = 1e30  # the usual fill values are 9.97e36 and 1e36


def find_pair(ds: Dataset, dims: Sequence[str], time: str | None) -> tuple[str, str] | None:
    """(latitude, longitude) along the same two of `dims`, None where there are none.

    Along time too where the file repeats them (WRF). Of several, those that the data's `coordinates` attribute
    names; `InputError` where that leaves more than one, and for one without the other.
    """
    found = {role: candidates(ds, role, dims, time) for role in NAMES}
    if not any(found.values()):
        return None
    stated = mentioned(ds)
    latitude, longitude = (
        _one(role, [n for n in found[role] if n in stated] or found[role]) for role in NAMES
    )
    if set(space_dims(ds, latitude, time)) != set(space_dims(ds, longitude, time)):
        got = " and ".join(f"'{n}' along {', '.join(map(str, ds[n].dims))}" for n in (latitude, longitude))
        raise InputError("latitude and longitude along the same dimensions", got, "correct the coordinates")
    return latitude, longitude


def _one(role: str, names: Sequence[str]) -> str:
    if len(names) > 1:
        got = " and ".join(f"'{name}'" for name in names)
        do = "name the variables of one grid with data.variables"
        raise InputError(f"one {role} along two dimensions", got, do)
    if not names:
        raise InputError("latitude and longitude along two dimensions", f"no {role}", "add it to the file")
    return names[0]


def candidates(ds: Dataset, role: str, dims: Sequence[str], time: str | None) -> list[str]:
    """Variables along two of `dims` (and time) that are the role by standard_name or units, else by name alone."""
    bounds = {v.attrs.get("bounds", v.encoding.get("bounds")) for v in ds.variables.values()}
    flat = {str(n): v for n, v in ds.variables.items() if v.dtype.kind == "f" and n not in bounds}
    flat = {n: v for n, v in flat.items() if len({*v.dims} - {time}) == 2 and {*v.dims} <= {*dims, time}}
    by_units = [n for n, v in flat.items() if _fits(UNITS[role], v.attrs.get("units", ""))]
    by_name = [n for n, v in flat.items() if _fits(NAMES[role], n) and time not in v.dims]
    return [n for n, v in flat.items() if v.attrs.get("standard_name") == role] or by_units or by_name


def _fits(pattern: str, text: object) -> bool:
    return re.fullmatch(pattern, str(text), re.IGNORECASE) is not None


def mentioned(ds: Dataset) -> set[str]:
    """The names in the `coordinates` attribute of any variable."""
    texts = (v.attrs.get("coordinates", v.encoding.get("coordinates")) for v in ds.data_vars.values())
    return {name for text in texts for name in str(text or "").split()}


def space_dims(ds: Dataset, name: str, time: str | None) -> tuple[str, ...]:
    """The dimensions of a variable but time."""
    return tuple(str(d) for d in ds[name].dims if d != time)


def read(
    ds: Dataset, pair: Sequence[str], dims: Sequence[str], time: str | None
) -> tuple[np.ndarray, np.ndarray, Corners]:
    """(latitude, longitude, corners) along `dims`, as `Mesh.from_centers` takes them."""
    latitude, longitude = (degrees(ds, name, dims, time) for name in pair)
    return latitude, longitude, corners(ds, pair, dims)


def degrees(ds: Dataset, name: str, dims: Sequence[str], time: str | None) -> Float[np.ndarray, "y x"]:
    """Degrees along `dims`; `InputError` for missing ones, radians, and places that change in time."""
    array = ds[name]
    if str(array.attrs.get("units", "")).startswith("rad"):
        raise InputError(f"'{name}' in degrees", array.attrs["units"], "convert it with numpy.rad2deg")
    if time in array.dims:
        moves = bool((array != array.isel({time: 0})).any())
        if moves:
            raise InputError(f"'{name}' the same at all times", "one that moves", "regrid it to a fixed grid")
        array = array.isel({time: 0})
    values = np.asarray(array.transpose(*dims).values, dtype=np.float64)
    missing = ~(np.abs(values) < FILL)
    if missing.any():
        got = f"none in {int(missing.sum())} of {missing.size}"
        raise InputError(f"'{name}' of each cell", got, "fill them: land has a place too")
    return values


def corners(ds: Dataset, pair: Sequence[str], dims: Sequence[str]) -> Corners:
    """CF bounds (y, x, corner) of both coordinates, None where the file has none or not of each cell."""
    found = []
    for name in pair:
        bounds = ds[name].attrs.get("bounds", ds[name].encoding.get("bounds"))
        if bounds not in ds.variables or not {*dims} < {*ds[bounds].dims} or ds[bounds].ndim != 3:
            return None
        found.append(np.asarray(ds[bounds].transpose(*dims, ...).values, dtype=np.float64))
    whole = found[0].shape == found[1].shape and all((np.abs(v) < FILL).all() for v in found)
    return (found[0], found[1]) if whole and found[0].shape[-1] > 2 else None
