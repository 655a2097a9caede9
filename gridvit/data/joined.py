"""Several files as one dataset along time; what does not fit together is refused by the file's name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from gridvit.axes import find_axes
from gridvit.data.calendars import in_calendar
from gridvit.data.times import canonical, epoch_seconds
from gridvit.errors import InputError


def join(parts: Sequence[xr.Dataset], names: Sequence[str], calendar: str = "") -> xr.Dataset:
    """The datasets one after another in the order of their times.

    Args:
        parts: datasets with the same variables on the same grid.
        names: of their files, for the errors.
        calendar: in which to read all dates, by year, month, day and hour, where the files state different ones.

    Raises:
        InputError: a file without time, with other variables, another grid, or another calendar and none chosen.
    """
    clocks = [_clock(part, name) for part, name in zip(parts, names, strict=True)]
    time = clocks[0]
    parts = [_along(part, clock, time) for part, clock in zip(parts, clocks, strict=True)]
    for part, name in zip(parts[1:], names[1:], strict=True):
        _refuse_other(parts[0], names[0], part, name, time)
    times = [canonical(part[time].values, time) for part in parts]
    if calendar:
        times = [in_calendar(each, calendar) for each in times]
    _refuse_calendars(times, names)
    moving = [str(n) for n, v in parts[0].data_vars.items() if time in v.dims]
    stamped = [str(n) for n, c in parts[0].coords.items() if time in c.dims]
    with xr.set_options(keep_attrs=True):
        whole = xr.concat(
            [part.drop_vars(time) for part in parts], time, data_vars=moving,
            coords=[n for n in stamped if n != time], compat="override", join="override",
            combine_attrs="override",
        )  # fmt: skip
    every = np.concatenate(times)
    order = np.argsort(epoch_seconds(every), kind="stable")
    whole = whole.assign_coords({time: (time, every, parts[0][time].attrs)})
    whole = whole if (np.diff(order) == 1).all() else whole.isel({time: order})
    return whole


def _clock(ds: xr.Dataset, name: str) -> str:
    """The coordinate that tells time, along its dimension or of the one state in the file."""
    axes = find_axes(ds)
    if axes.time_coordinate:
        return axes.time_coordinate
    single = [str(n) for n in ("valid_time", "time") if n in ds.coords and ds[n].ndim == 0]
    if not single:
        raise InputError("a time in each file", f"none in {name}", "leave it out")
    return single[0]


def _along(ds: xr.Dataset, clock: str, time: str) -> xr.Dataset:
    """The times as the index of a dimension with the name of the first file's."""
    if ds[clock].ndim == 0:
        ds = ds.drop_vars("time") if clock == "valid_time" and "time" in ds.coords else ds
        ds = ds.expand_dims(clock)
    dim = str(ds[clock].dims[0])
    if dim == clock == time:
        return ds
    ds = ds.swap_dims({dim: clock}).drop_vars(dim, errors="ignore") if dim != clock else ds
    return ds.rename({clock: time}) if clock != time else ds


def _refuse_other(first: xr.Dataset, base: str, ds: xr.Dataset, name: str, time: str) -> None:
    """Refuse a file whose variables or coordinates differ from those of the first."""
    if set(first.data_vars) != set(ds.data_vars):
        odd = sorted(map(str, set(first.data_vars) ^ set(ds.data_vars)))
        raise InputError(
            f"the variables of {base} in each file",
            f"{name}, which differs in {', '.join(odd)}",
            "leave it out",
        )
    for dim in first.dims:
        if dim == time:
            continue
        same = dim in ds.dims and ds.sizes[dim] == first.sizes[dim]
        if same and dim in first.coords and dim in ds.coords and first[dim].dtype.kind in "fiu":
            same = bool(np.allclose(first[dim].values, ds[dim].values, rtol=1e-6, atol=1e-6))
        if not same:
            _refuse_grid(base, name, f"along {str(dim)!r}")
    axes = find_axes(first)
    for place in axes.coordinates if axes.kind == "curvilinear" else ():
        if place not in ds.variables:
            _refuse_grid(base, name, f"in {place!r}")
        mine, other = (each[place].isel({time: 0}, missing_dims="ignore").values for each in (first, ds))
        if mine.shape != other.shape or not np.allclose(mine, other, rtol=1e-6, atol=1e-6):
            _refuse_grid(base, name, f"in {place!r}")


def _refuse_grid(base: str, name: str, where: str) -> NoReturn:
    raise InputError(f"the grid of {base} in each file", f"{name}, which differs {where}", "leave it out")


def _calendar(times: np.ndarray) -> str:
    if times.dtype == object:
        return str(times[0].calendar)
    return "numbers" if times.dtype.kind in "fiu" else "standard"


def _refuse_calendars(times: Sequence[np.ndarray], names: Sequence[str]) -> None:
    kinds: dict[str, Any] = {}
    for each, name in zip(times, names, strict=True):
        kinds.setdefault(_calendar(each), name)
    if len(kinds) > 1:
        (one, first), (two, second) = list(kinds.items())[:2]
        raise InputError(
            "one calendar in all files",
            f"{one!r} in {first} and {two!r} in {second}",
            "choose the one to read all dates in with calendar: standard",
        )
