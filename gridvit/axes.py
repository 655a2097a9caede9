"""Which dimensions of a Dataset are time, sample and space, and its coordinates as those of a Grid."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int

from gridvit import curvilinear
from gridvit.cells import closes, cut_open, gaussian_bounds, repeats_seam, tolerance
from gridvit.curvilinear import FILL
from gridvit.errors import InputError

if TYPE_CHECKING:
    from xarray import Dataset
else:  # xarray takes half a second to import, and is here by the time a Dataset is
    Dataset = Any

Stated = Mapping[str, bool | float]
Periodic = bool | Sequence[bool] | Stated | None
NAMES = {  # where no CF attribute speaks; case is ignored
    "time": r"(valid_)?time(_counter)?|t",
    "sample": r"samples?|number|reali[sz]ation|(ensemble_?)?member|ensemble|trajectory",
    **curvilinear.NAMES,
    "Z": "z",
    "Y": "y",
    "X": "x",
}
CF_KEYS = {"time": ("T", "time"), "Z": ("Z",), "Y": ("Y",), "X": ("X",)}


@dataclass(frozen=True)
class Axes:
    """The dimensions of a Dataset by their role; `space` is in the order (latitude, longitude) or (z, y, x).

    `kind` is "sphere", "plane" or "curvilinear". `coordinates` are the variables that hold the positions along
    `space`, one each, or of a curvilinear mesh latitude and longitude, each along both; `space` is then in the
    file's order. `seam` are the dimensions whose last point repeats the first (and is left out; `find_axes` knows
    those whose period is known), `other` dimensions of the data without a role, such as levels.
    """

    time: str | None
    time_coordinate: str | None
    sample: str | None
    space: tuple[str, ...]
    kind: str
    coordinates: tuple[str, ...]
    units: tuple[str, ...]
    periodic: tuple[bool, ...]
    seam: tuple[str, ...]
    other: tuple[str, ...]

    def order(self, ds: Dataset) -> dict[str, Int[np.ndarray, " n"]]:
        """`ds.isel(axes.order(ds))` has space ascending, longitude from [0, 360), and no seam; a mesh as it is."""
        if self.kind == "curvilinear":
            return {dim: np.arange(ds.sizes[dim]) for dim in self.space}
        return {dim: self._axis(ds, i)[0] for i, dim in enumerate(self.space)}

    def centers(self, ds: Dataset) -> tuple[Float[np.ndarray, " n"], ...]:
        """Cell centres of each space axis in that order, float64."""
        return tuple(self._axis(ds, i)[1] for i in range(len(self.space)))

    def bounds(self, ds: Dataset) -> tuple[Float[np.ndarray, " edges"] | None, ...]:
        """CF cell bounds where they join without gaps, Gaussian ones for Gaussian latitudes, else None."""
        return tuple(self._bounds(ds, i) for i in range(len(self.space)))

    def mesh(self, ds: Dataset) -> tuple[np.ndarray, np.ndarray, curvilinear.Corners]:
        """(latitude, longitude, corners) of each cell of a curvilinear mesh; corners where the file has them."""
        return curvilinear.read(ds, self.coordinates, self.space, self.time)

    def _turns(self, i: int) -> bool:
        return self.units[i] == "degrees_east"

    def _axis(self, ds: Dataset, i: int) -> tuple[np.ndarray, np.ndarray]:
        values = _values(ds, self.coordinates[i])
        values = values[:-1] if self.space[i] in self.seam else values
        if self._turns(i):
            return cut_open(values, self.periodic[i])
        order = np.argsort(values, kind="stable")
        return order, values[order]

    def _bounds(self, ds: Dataset, i: int) -> np.ndarray | None:
        order, centers = self._axis(ds, i)
        pairs = _cf_pairs(ds, self.coordinates[i])
        edges = None
        if pairs is not None:
            gap = pairs[order] - _values(ds, self.coordinates[i])[order, None]
            gap = np.mod(gap + 180, 360) - 180 if self._turns(i) else gap
            edges = _joined(centers, np.sort(centers[:, None] + gap, axis=-1))
        if edges is None and self.units[i] == "degrees_north":
            return gaussian_bounds(centers)
        return edges


def find_axes(ds: Dataset, periodic: Periodic = None) -> Axes:
    """Roles by CF attributes (cf_xarray), then by names, then numeric coordinates in order of dimensions.

    A longitude that closes at 360 degrees is periodic; a plane axis only where its coordinate has the
    attribute `periodic` = "true" or the caller states it (one bool, one per space axis, or by dimension; a number
    is the period, and a last point one period after the first repeats it).
    Latitude and longitude along two dimensions are preferred to numbers along one that are neither. Raises
    `InputError` for two candidates of one role, for rotated grids without true positions, for unstructured
    ones, and where no space axis has coordinates.
    """
    dims = _data_dims(ds)
    clock = _one(ds, "time", dims)
    time = str(ds[clock].dims[0]) if clock else _named(dims, "time")
    sample = _named(dims, "sample")
    left = [d for d in dims if d not in (time, sample)]
    space = _sphere(ds, left)
    pair = curvilinear.find_pair(ds, left, time) if len(space) < 2 else None
    if pair:
        both = curvilinear.space_dims(ds, pair[0], time)
        said = _stated(both, ("1", "1"), periodic)
        turns = tuple(bool(said.get(dim, False)) for dim in both)  # no file says how its cells go on
        other = tuple(d for d in left if d not in both)
        return Axes(time, clock, sample, both, "curvilinear", pair, ("1", "1"), turns, (), other)
    _refuse_single(ds, left, space)
    space = space or _plane(ds, left)
    roles = {str(ds[name].dims[0]): name for name in space.values()}
    sphere = {"latitude", "longitude"} <= set(space)
    units = tuple(_units(ds, role, name) for role, name in space.items())
    stated = _stated(tuple(roles), units, periodic)
    wraps = _periodic(ds, roles, units, stated)
    periods = {d: 360.0 if u == "degrees_east" else stated.get(d) for d, u in zip(roles, units, strict=True)}
    seam = [
        d
        for (d, period), w in zip(periods.items(), wraps, strict=True)
        if w and isinstance(period, float) and repeats_seam(_values(ds, roles[d]), period)
    ]
    return Axes(
        time=time,
        time_coordinate=clock,
        sample=sample,
        space=tuple(roles),
        kind="sphere" if sphere else "plane",
        coordinates=tuple(roles.values()),
        units=units,
        periodic=wraps,
        seam=tuple(seam),
        other=tuple(d for d in left if d not in roles),
    )


def _named(dims: Sequence[str], role: str) -> str | None:
    return next((d for d in dims if re.fullmatch(NAMES[role], d, re.IGNORECASE)), None)


def _values(ds: Dataset, name: str) -> Float[np.ndarray, " n"]:
    values = np.asarray(ds[name].values, dtype=np.float64)
    if not (np.abs(values) < FILL).all():
        bad = values[~(np.abs(values) < FILL)][0]
        raise InputError(f"a number at each point of '{name}'", f"{bad:g}", "repair the coordinate")
    return values


def _data_dims(ds: Dataset) -> list[str]:
    """Dimensions of the numeric data variables, those of the largest variable first; bounds are no data."""
    bounds = {v.attrs.get("bounds", v.encoding.get("bounds")) for v in ds.variables.values()}
    bounds |= {n for n in ds.data_vars if re.search(r"_(bnds|bounds)$", str(n))}
    fields = [v for name, v in ds.data_vars.items() if name not in bounds and v.dtype.kind in "fiub"]
    fields.sort(key=lambda v: -v.ndim)
    return [str(d) for d in dict.fromkeys(d for v in fields for d in v.dims)]


def _candidates(ds: Dataset, role: str) -> list[str]:
    """Variables that CF attributes give the role; those with a fitting name where there are none."""
    import cf_xarray  # noqa: F401  registers `.cf`

    found = {**ds.cf.axes, **ds.cf.coordinates}
    names = [n for key in CF_KEYS.get(role, (role,)) for n in found.get(key, [])]
    if role == "time":
        names += [n for n, v in ds.coords.items() if v.dtype.kind == "M"]
    if not names:
        # positions along a list of cells are often plain variables; a time never is
        among = ds.variables if role in ("latitude", "longitude") else ds.coords
        names = [n for n in among if re.fullmatch(NAMES[role], str(n), re.IGNORECASE)]
    return [str(n) for n in dict.fromkeys(names)]


def _one(ds: Dataset, role: str, dims: Sequence[str]) -> str | None:
    """The 1-D candidate along one of `dims`, that named like its dimension first; two axes are refused."""
    along: dict[str, str] = {}
    for name in _candidates(ds, role):
        if ds[name].ndim == 1 and ds[name].dims[0] in dims:
            dim = str(ds[name].dims[0])
            along[dim] = dim if dim == name else along.get(dim, name)
    if len(along) > 1:
        got = " and ".join(f"'{n}'" for n in along.values())
        raise InputError(f"one {role} axis", got, "select the variables of one grid, ds[[...]]")
    return next(iter(along.values()), None)


def _sphere(ds: Dataset, dims: Sequence[str]) -> dict[str, str]:
    """{"latitude": name, "longitude": name} along one dimension each, as far as they are there."""
    found = {role: _one(ds, role, dims) for role in ("latitude", "longitude")}
    return {role: name for role, name in found.items() if name}


def _refuse_single(ds: Dataset, dims: Sequence[str], space: Mapping[str, str]) -> None:
    """Refuse rotated poles without true positions, and latitude and longitude along one list of cells."""
    for dim in dims:
        if dim in ds.coords and ds[dim].attrs.get("standard_name") in ("grid_latitude", "grid_longitude"):
            raise InputError(
                "true latitude and longitude",
                f"'{dim}' of a rotated pole",
                "add them as coordinates along both dimensions, with standard_name latitude and longitude",
            )
    if len({ds[n].dims for n in space.values()}) < len(space):
        raise InputError(
            "latitude and longitude along two dimensions",
            f"both along '{ds[space['latitude']].dims[0]}'",
            "regrid it to latitude x longitude; unstructured grids are not supported yet",
        )


def _plane(ds: Dataset, dims: Sequence[str]) -> dict[str, str]:
    """Z, Y and X by attribute or name, else the numeric coordinates in the order of the dimensions."""
    found = {role: _one(ds, role, dims) for role in ("Z", "Y", "X")}
    # An axis may be named z and say that it is Y: what it says counts, and it is one axis only.
    space = {role: name for role, name in found.items() if name and ds[name].attrs.get("axis", role) == role}
    if not space:
        space = {d: d for d in dims if d in ds.coords and ds[d].dtype.kind in "fiu"}
    if not space:
        got = " and ".join(f"'{d}'" for d in dims) or "no dimension but time"
        raise InputError(
            "a coordinate along at least one space dimension",
            f"none along {got}" if dims else got,
            "add one, ds.assign_coords(x=...), with its units",
        )
    return space


def _units(ds: Dataset, role: str, name: str) -> str:
    units = str(ds[name].attrs.get("units", "1"))
    if role not in ("latitude", "longitude"):
        return units
    if units.startswith("rad"):
        raise InputError(f"{role} '{name}' in degrees", units, "convert it with numpy.rad2deg")
    return "degrees_north" if role == "latitude" else "degrees_east"


def _periodic(
    ds: Dataset, roles: Mapping[str, str], units: Sequence[str], stated: Stated
) -> tuple[bool, ...]:
    """What the caller states of each space axis, else what its coordinate shows."""
    shown = {}
    for (dim, name), unit in zip(roles.items(), units, strict=True):
        flag = str(ds[name].attrs.get("periodic", "false")).lower() in ("true", "1")
        shown[dim] = closes(_values(ds, name)) if unit == "degrees_east" else flag
    said = {**shown, **{dim: bool(wraps) for dim, wraps in stated.items()}}
    for (dim, name), unit in zip(roles.items(), units, strict=True):
        if said[dim] and unit == "degrees_east" and not shown[dim]:
            first, last = _values(ds, name)[[0, -1]]
            raise InputError(
                f"a periodic '{name}' in equal steps around 360 degrees",
                f"{first:g} to {last:g}",
                "leave periodic unstated, or correct the coordinate",
            )
    return tuple(said.values())


def _stated(dims: tuple[str, ...], units: Sequence[str], stated: Periodic) -> Stated:
    """{dimension: periodic, or its period} as far as stated; one bool speaks of all axes but latitude."""
    if stated is None:
        return {}
    if isinstance(stated, bool):
        return {d: stated for d, unit in zip(dims, units, strict=True) if unit != "degrees_north"}
    named = isinstance(stated, Mapping)
    if not (set(stated) <= set(dims) if named else len(stated) == len(dims)):
        do = "give one bool, one for each, or by name"
        raise InputError(f"periodicity of {', '.join(dims)}", str(stated), do)
    return stated if isinstance(stated, Mapping) else dict(zip(dims, stated, strict=True))


def _cf_pairs(ds: Dataset, name: str) -> Float[np.ndarray, "n 2"] | None:
    """The (n, 2) variable that the coordinate's `bounds` attribute names, where there is one."""
    bounds = ds[name].attrs.get("bounds", ds[name].encoding.get("bounds"))
    if bounds not in ds.variables or ds[bounds].shape != (ds[name].size, 2):
        return None
    return np.asarray(ds[bounds].values, dtype=np.float64)


def _joined(centers: np.ndarray, pairs: np.ndarray) -> np.ndarray | None:
    """n + 1 edges of cells that touch and hold their centres, None of others: such bounds are no tiling."""
    edges = np.append(pairs[:, 0], pairs[-1, 1])
    if not (np.diff(edges) > 0).all():
        return None
    slack = tolerance(edges)
    touch = np.abs(pairs[1:, 0] - pairs[:-1, 1]).max(initial=0) <= slack
    return edges if touch and ((edges[:-1] <= centers) & (centers <= edges[1:])).all() else None
