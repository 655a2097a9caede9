"""What only the user can decide about a file: a level, a member, levels as channels, irregular times."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr

from gridvit.axes import find_axes
from gridvit.config import DataConfig
from gridvit.data.calendars import month_starts, regular_stretch
from gridvit.data.sources import open_dataset
from gridvit.data.standard import narrowed, shown
from gridvit.data.times import canonical, epoch_seconds
from gridvit.errors import InputError

SAME = 1e-6  # of a coordinate's value: float32 and float64 levels are one


def open_chosen(
    data: DataConfig, source: xr.Dataset | str | os.PathLike[str] | None = None, direct: bool = False
) -> xr.Dataset:
    """The dataset that ``data`` names, or ``source`` in its place, with the choices of ``data`` applied.

    ``direct`` as of ``open_dataset``.

    Raises:
        InputError: what ``open_dataset`` refuses; a choice that does not fit the file, saying what there is.
    """
    if isinstance(source, xr.Dataset):
        return chosen(source.copy(), data)
    first: list[Any] = [data.path if source is None else source]
    ds = open_dataset([*first, *(data.files if source is None else ())], data.group, data.calendar, direct)
    try:
        found = chosen(ds.copy(), data)
    except InputError:
        ds.close()
        raise
    found.set_close(ds.close)
    return found


def chosen(ds: xr.Dataset, data: DataConfig) -> xr.Dataset:
    """``select``, then ``stack``, then ``irregular``."""
    if data.irregular != "refuse":
        ds = _timed(ds, data)
    return stacked(selected(ds, data.select), data.stack)


def selected(ds: xr.Dataset, select: Mapping[str, float | int | str]) -> xr.Dataset:
    """The entry of each named dimension whose coordinate has the given value; the dimension stays, of size one.

    A dimension without coordinate is indexed from 0.
    """
    for dim, value in select.items():
        if dim not in ds.dims:
            raise InputError(f"select along one of {_dims(ds)}", repr(dim), "correct it")
        held = ds[dim].values if dim in ds.coords else np.arange(ds.sizes[dim])
        ds = ds.isel({dim: [_place(dim, held, value)]})
    return ds


def _place(dim: str, held: np.ndarray, value: float | int | str) -> int:
    if held.dtype.kind in "fiu" and not isinstance(value, str):
        fits = np.isclose(held.astype(np.float64), float(value), rtol=SAME, atol=0)
    else:
        fits = held.astype(str) == str(value)
    if not fits.any():
        some = ", ".join(shown(v) for v in held[:8]) + (", ..." if len(held) > 8 else "")
        raise InputError(f"one of {some} along {dim!r}", shown(value), "choose one of them")
    return int(np.flatnonzero(fits)[0])


def _dims(ds: xr.Dataset) -> str:
    return ", ".join(f"{name} ({size})" for name, size in ds.sizes.items()) or "no dimension"


def stacked(ds: xr.Dataset, stack: Sequence[str]) -> xr.Dataset:
    """Each entry along the named dimensions as a variable of its own: ``t`` at 500 becomes ``t_500``."""
    for dim in stack:
        if dim not in ds.dims:
            raise InputError(f"stack along one of {_dims(ds)}", repr(dim), "correct it")
        held = ds[dim].values if dim in ds.coords else np.arange(ds.sizes[dim])
        layers: dict[str, xr.DataArray] = {}
        for name, array in ds.data_vars.items():
            if dim not in array.dims or array.ndim < 2:
                layers |= {} if dim in array.dims else {str(name): array}
                continue
            base = array.attrs.get("stacked_from", str(name))
            for i, value in enumerate(held):
                layer = array.isel({dim: i}, drop=True).assign_attrs(stacked_from=base)
                layers[f"{name}_{shown(value)}"] = layer
        encoding = ds.encoding
        ds = xr.Dataset(layers, {n: c for n, c in ds.coords.items() if dim not in c.dims}, ds.attrs)
        ds.encoding = encoding
    return ds


def named(ds: xr.Dataset, variables: Sequence[str]) -> tuple[str, ...]:
    """The variables, a stacked one standing for all its levels."""
    found: list[str] = []
    for name in variables:
        levels = [str(n) for n, v in ds.data_vars.items() if v.attrs.get("stacked_from") == name]
        found += levels if levels and name not in ds.data_vars else [name]
    return tuple(found)


def _timed(ds: xr.Dataset, data: DataConfig) -> xr.Dataset:
    """Uneven times made even in the way that ``data.irregular`` states."""
    axes = find_axes(narrowed(ds, tuple(n for n in data.variables if n in ds.data_vars)))
    if axes.time is None or axes.time_coordinate is None:
        return ds
    name, dim = axes.time_coordinate, axes.time
    times = canonical(ds[name].values, name)
    if data.irregular == "longest":
        return ds.isel({dim: regular_stretch(times)})
    attrs = {key: v for key, v in ds[name].attrs.items() if key not in ("units", "calendar", "bounds")}
    if data.irregular == "frames":
        return ds.assign_coords(
            {name: (dim, np.arange(len(times), dtype=np.float64), {**attrs, "units": "frame"})}
        )
    order = np.argsort(epoch_seconds(times), kind="stable")
    return ds.isel({dim: order}).assign_coords({name: (dim, month_starts(times[order], name), attrs)})
