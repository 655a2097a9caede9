"""How the user's file was laid out, so that results go back in their names, units, order and longitudes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from gridvit.grid import SPHERE_NAMES
from gridvit.mesh import packed, unpacked

TRAJECTORIES = ("sample", "samples", "trajectory")


def independent(dim: str) -> bool:
    """Whether samples along a dimension of this name share nothing, as the members of one ensemble do their weather."""
    return dim.lower() in TRAJECTORIES


def plain(value: Any) -> Any:
    """An attribute as JSON keeps it: NumPy numbers become Python numbers, arrays become lists."""
    if isinstance(value, np.ndarray):
        return [plain(v) for v in value.tolist()]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)


@dataclass(frozen=True)
class Axis:
    """One space axis of the file: file cell j is internal cell ``source[j]``.

    name:       dimension in the file; ``inside`` is its name in the Grid.
    coordinate: the variable that holds its values; empty where the file has none.
    values:     as stored in the file (n), of NumPy type ``dtype``; a repeated end is among them.
    """

    name: str
    inside: str
    coordinate: str
    values: tuple[float, ...]
    dtype: str
    source: tuple[int, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, coordinate: xr.DataArray, inside: str, order: np.ndarray) -> Axis:
        """Internal cell i is file cell ``order[i]``; a file cell left out repeats the first."""
        values = coordinate.values
        source = np.full(values.size, -1)
        source[order] = np.arange(order.size)
        source[source < 0] = source[0]
        return cls(
            str(coordinate.dims[0]), inside, str(coordinate.name), tuple(values.astype(float).tolist()),
            str(values.dtype), tuple(source.tolist()), plain(coordinate.attrs),
        )  # fmt: skip

    @classmethod
    def bare(cls, name: str, size: int) -> Axis:
        """A dimension without coordinate."""
        return cls(name, name, "", (), "", tuple(range(size)))

    @property
    def order(self) -> np.ndarray:
        """Internal cell i is file cell ``order[i]``; a repeated end comes last and is left out."""
        return np.unique(self.source, return_index=True)[1]

    def coords(self) -> dict[Hashable, tuple[str, np.ndarray, dict[str, Any]]]:
        """The coordinate as it stood in the file."""
        if not self.coordinate:
            return {}
        return {self.coordinate: (self.name, np.array(self.values, dtype=self.dtype), dict(self.attrs))}


@dataclass(frozen=True)
class Position:
    """Latitude or longitude along both space dimensions, as it stood in the file; values as ``packed`` text."""

    name: str
    dims: tuple[str, ...]
    values: str
    dtype: str
    shape: tuple[int, ...]
    attrs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, array: xr.DataArray, dims: tuple[str, ...]) -> Position:
        """The coordinate along ``dims``; the first of those that the file repeats at each time."""
        held = array.isel({dim: 0 for dim in array.dims if dim not in dims})
        along = tuple(map(str, held.dims))
        values = packed(held.values)
        return cls(str(array.name), along, values, str(held.dtype), held.shape, plain(array.attrs))

    def variable(self) -> xr.Variable:
        """The inverse of ``of``."""
        return xr.Variable(self.dims, unpacked(self.values, self.dtype, self.shape), dict(self.attrs))


@dataclass(frozen=True)
class Squeezed:
    """A dimension of size one that was dropped (a single level), and its coordinate if it had one."""

    name: str
    value: Any = None
    dtype: str = ""
    attrs: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, ds: xr.Dataset, name: str) -> Squeezed:
        """The dimension ``name`` of ``ds``; its coordinate is kept where it is a number or a text."""
        if name not in ds.coords or ds[name].dtype.kind not in "iufUb":
            return cls(name)
        coordinate = ds[name]
        return cls(name, plain(coordinate.values[0]), str(coordinate.dtype), plain(coordinate.attrs))

    def restore(self, array: xr.DataArray) -> xr.DataArray:
        """``array`` with the dimension back, in front."""
        if not self.dtype:
            return array.expand_dims(self.name)
        value = xr.Variable(self.name, np.array([self.value], dtype=self.dtype), dict(self.attrs))
        return array.expand_dims(self.name).assign_coords({self.name: value})


def _renamed(ds: xr.Dataset, dim: str, name: str, coordinate: str) -> xr.Dataset:
    """``ds`` with the dimension ``dim``, if there, renamed and its values under the name ``coordinate``."""
    if dim not in ds.dims:
        return ds
    values = ds[dim].variable if dim in ds.coords else None
    ds = ds.drop_vars(dim, errors="ignore")
    ds = ds.rename_dims({dim: name}) if dim != name else ds
    if values is None:
        return ds
    return ds.assign_coords({coordinate: xr.Variable((name,), values.values, values.attrs, values.encoding)})


@dataclass(frozen=True)
class Layout:
    """What ``standardise`` changed; ``restore`` undoes it.

    axes:      the space axes, in the Grid's order.
    time:      the file's name of the time dimension; ``time_coordinate`` is the variable that holds the
        times.
    sample:    the file's name of the sample dimension, None where there is none.
    dims:      the file's order of dimensions of each variable.
    squeezed:  the dimensions of size one that were dropped.
    mesh:      latitude and longitude of a curvilinear mesh.
    """

    axes: tuple[Axis, ...]
    time: str
    time_coordinate: str
    sample: str | None
    dims: dict[str, tuple[str, ...]]
    squeezed: tuple[Squeezed, ...] = ()
    mesh: tuple[Position, ...] = ()

    @property
    def members(self) -> bool:
        """Whether the samples are members of an ensemble, which share their weather."""
        return self.sample is not None and not independent(self.sample)

    def restore(self, ds: xr.Dataset) -> xr.Dataset:
        """The dataset in the user's layout: the inverse of ``standardise``, exact to the last bit.

        ds: any dataset on the Grid; space (of numbers alone), time and sample may be missing, and dimensions
        that the file did not have (``init_time``, ``lead``) come before its own. Variables without
        space are kept.
        """
        axes = [axis for axis in self.axes if axis.inside in ds.dims]
        mesh = self.mesh if axes else ()
        picks = {axis.inside: list(axis.source) for axis in axes}
        grid_coords = [name for axis in axes for name in (axis.inside, f"{axis.inside}_bounds")]
        grid_coords += SPHERE_NAMES if mesh else ()
        ds = ds.drop_vars(grid_coords, errors="ignore").isel(picks)
        ds = ds.rename_dims({axis.inside: axis.name for axis in axes if axis.inside != axis.name})
        for inside, name, coordinate in self._leading():
            ds = _renamed(ds, inside, name, coordinate)
        ds = ds.assign_coords({name: entry for axis in axes for name, entry in axis.coords().items()})
        ds = ds.assign_coords({position.name: position.variable() for position in mesh})
        return ds.assign({name: self._ordered(ds[name]) for name in ds.data_vars})

    def _leading(self) -> list[tuple[str, str, str]]:
        sample = [("sample", self.sample, self.sample)] if self.sample else []
        return [("time", self.time, self.time_coordinate), *sample]

    def _ordered(self, array: xr.DataArray) -> xr.DataArray:
        """File order of dimensions, new ones first; a variable that the file lacks goes like its first."""
        if not {axis.name for axis in self.axes} <= set(array.dims):
            return array
        dims = self.dims.get(str(array.name), next(iter(self.dims.values())))
        for dropped in self.squeezed:
            if dropped.name in dims:
                array = dropped.restore(array)
        new = [d for d in array.dims if d not in dims]
        return array.transpose(*new, *(d for d in dims if d in array.dims))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able fields, exact."""
        return plain(asdict(self))

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Layout:
        """The inverse of ``to_dict``."""
        axes = (
            Axis(**{**axis, "values": tuple(axis["values"]), "source": tuple(axis["source"])})
            for axis in fields["axes"]
        )
        dims = {name: tuple(order) for name, order in fields["dims"].items()}
        squeezed = tuple(Squeezed(**entry) for entry in fields["squeezed"])
        mesh = tuple(
            Position(**{**entry, "dims": tuple(entry["dims"]), "shape": tuple(entry["shape"])})
            for entry in fields.get("mesh", ())
        )
        time, coordinate, sample = (fields[key] for key in ("time", "time_coordinate", "sample"))
        return cls(tuple(axes), time, coordinate, sample, dims, squeezed, mesh)
