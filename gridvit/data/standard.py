"""One standard layout for any gridded dataset, lazily; ``Layout.restore`` is the way back."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import xarray as xr

from gridvit import curvilinear
from gridvit.axes import Axes, Stated, find_axes
from gridvit.data.layout import Axis, Layout, Position, Squeezed, independent
from gridvit.data.seam import repeated, warn_torn
from gridvit.errors import InputError
from gridvit.grid import Grid


def standardise(
    ds: xr.Dataset,
    variables: Sequence[str] | None = None,
    periodic: Stated | None = None,
    members: bool = False,
) -> tuple[xr.Dataset, Grid, Layout]:
    """The gridded variables as (sample?, time, *grid.names), latitude and longitude (in [0, 360)) ascending.

    A repeated seam column, the repeated end of a periodic axis and dimensions of size one are dropped; nothing but
    such columns is read, no value is changed, and ``layout.restore`` undoes it exactly.

    Args:
        ds: a dataset with CF attributes, or honest names, on its axes.
        variables: which to keep, in this order; all gridded ones that move in time where none are named.
        periodic: axes stated to be periodic (with which period, if known) or not, by the file's names or "latitude"
            and "longitude", where the file does not say.
        members: take the members of an ensemble as samples.

    Raises:
        InputError: no time axis, axes that cannot be told, an unknown variable, one that is not on the grid
            or does not move in time, one with a further dimension of more than one entry.
    """
    ds = narrowed(ds, tuple(variables or ()))
    stated = _by_dimension(periodic, find_axes(ds)) if periodic else None
    axes = find_axes(ds, stated)
    if axes.time is None:
        raise InputError(
            "a time axis", f"dimensions {_listed(ds.sizes)}", "give a file with times along one dimension"
        )
    if axes.time_coordinate is None:
        raise InputError(
            f"times along the dimension {axes.time!r}",
            "none",
            f"add a coordinate {axes.time!r}, dates or numbers",
        )
    names = _moving(ds, axes) if not variables else list(dict.fromkeys(variables))
    sample = _sample(ds, names, axes, members)
    for name in names:
        _refuse_unfit(name, ds[name], {axes.time, *axes.space}, {sample} if sample else set())
    warn_torn(ds, names, axes)
    ends = repeated(ds, names, axes)
    axes = replace(axes, seam=axes.seam + ends)
    grid = Grid.from_dataset(ds.isel(dict.fromkeys(ends, slice(0, -1))), stated)
    layout = _layout(ds, names, axes, grid, sample)
    return _arranged(ds, axes, grid, layout), grid, layout


def stated_periodicity(grid: Grid) -> dict[str, bool | float]:
    """Which axes of a file a model takes to be periodic, and their periods: those of its own grid."""
    axes = zip(grid.names, grid.periodic, grid.lengths, strict=True)
    return {name: wraps and length for name, wraps, length in axes}


def _by_dimension(periodic: Stated, axes: Axes) -> dict[str, bool | float]:
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


def narrowed(ds: xr.Dataset, variables: tuple[str, ...]) -> xr.Dataset:
    """The named variables with their positions and the bounds of these; axes of others cannot disturb."""
    if not variables:
        return ds
    offered = [str(n) for n, v in ds.data_vars.items() if v.ndim > 1 and v.dtype.kind in "fiu"]
    for name in variables:
        if name not in ds.data_vars:
            _refuse_unknown(name, offered)
    chosen = ds[list(dict.fromkeys(variables))]
    dims = [str(dim) for dim in chosen.dims]
    places = [n for role in curvilinear.NAMES for n in curvilinear.candidates(ds, role, dims, None)]
    chosen = chosen.assign({name: ds[name] for name in places if name not in chosen.variables})
    bounds = [v.attrs.get("bounds", v.encoding.get("bounds")) for v in chosen.variables.values()]
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


def _sample(ds: xr.Dataset, names: list[str], axes: Axes, members: bool) -> str | None:
    """The dimension of samples: trajectories, or ``members`` of an ensemble, who share their weather, where stated."""
    if axes.sample is None or not any(axes.sample in ds[name].dims for name in names):
        return None
    if independent(axes.sample):
        return axes.sample
    several = ds.sizes[axes.sample] > 1
    if several and not members:
        raise InputError(
            "variables along time and space alone",
            f"{ds.sizes[axes.sample]} members along {axes.sample!r}",
            f"choose one with select: {{{axes.sample}: {_first(ds, axes.sample)}}}, or take all as samples with "
            "members: samples",
        )
    return axes.sample if several else None


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
                f"choose one with select: {{{dim}: {_first(array, str(dim))}}}, take all as channels with "
                f"stack: [{dim}], or name other variables",
            )


def _layout(ds: xr.Dataset, names: list[str], axes: Axes, grid: Grid, sample: str | None) -> Layout:
    """What ``restore`` needs."""
    dims = {name: tuple(map(str, ds[name].dims)) for name in names}
    order = axes.order(ds)
    bent = axes.kind == "curvilinear"
    lines = [_line(ds, dim) for dim in axes.space] if bent else axes.coordinates
    found = (
        Axis.of(ds[line], name, order[dim]) if line else Axis.bare(dim, ds.sizes[dim])
        for dim, line, name in zip(axes.space, lines, grid.names, strict=True)
    )
    known = {axes.time, sample, *axes.space}
    extra = dict.fromkeys(d for each in dims.values() for d in each if d not in known)
    squeezed = tuple(Squeezed.of(ds, dim) for dim in extra)
    mesh = tuple(Position.of(ds[name], axes.space) for name in axes.coordinates if bent)
    return Layout(tuple(found), str(axes.time), str(axes.time_coordinate), sample, dims, squeezed, mesh)


def _line(ds: xr.Dataset, dim: str) -> str:
    """The numbers along a dimension of a curvilinear mesh, where the file has any."""
    return dim if dim in ds.coords and ds[dim].ndim == 1 and ds[dim].dtype.kind in "fiu" else ""


def _first(held: xr.Dataset | xr.DataArray, dim: str) -> str:
    """The first coordinate along ``dim`` as one would write it, its index where there is none."""
    return shown(held[dim].values[0]) if dim in held.coords else "0"


def shown(value: Any) -> str:
    """A coordinate value for a sentence."""
    return f"{value:.10g}" if isinstance(value, float | np.floating) else str(value)


def _listed(names: Any) -> str:
    return ", ".join(map(str, names)) or "none"
