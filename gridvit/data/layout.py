"""How the user's file was laid out, so that results go back in their names, units, order and longitudes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import xarray as xr


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
    coordinate: the variable that holds its values; None where the file has none.
    values:     as stored in the file (n), of NumPy type ``dtype``; a repeated seam column is among them.
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
        """Internal cell i is file cell ``order[i]``; a file cell left out repeats another's longitude."""
        values = coordinate.values
        source = np.full(values.size, -1)
        source[order] = np.arange(order.size)
        for left_out in np.flatnonzero(source < 0):
            turns = np.abs((values[order] - values[left_out] + 180.0) % 360.0 - 180.0)
            source[left_out] = np.argmin(turns)
        return cls(
            str(coordinate.dims[0]), inside, str(coordinate.name), tuple(values.astype(float).tolist()),
            str(values.dtype), tuple(source.tolist()), plain(coordinate.attrs),
        )  # fmt: skip

    @property
    def order(self) -> np.ndarray:
        """Internal cell i is file cell ``order[i]``; a repeated seam column comes last and is left out."""
        return np.unique(self.source, return_index=True)[1]

    def coords(self) -> dict[Hashable, tuple[str, np.ndarray, dict[str, Any]]]:
        """The coordinate as it stood in the file."""
        return {self.coordinate: (self.name, np.array(self.values, dtype=self.dtype), dict(self.attrs))}


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
    """

    axes: tuple[Axis, ...]
    time: str
    time_coordinate: str
    sample: str | None
    dims: dict[str, tuple[str, ...]]
    squeezed: tuple[Squeezed, ...] = ()

    def restore(self, ds: xr.Dataset) -> xr.Dataset:
        """The dataset in the user's layout: the inverse of ``standardise``, exact to the last bit.

        ds: any dataset with the Grid's space dimensions; time and sample may be missing, and dimensions
        that the file did not have (``init_time``, ``lead``) come before its own. Variables without
        space are kept.
        """
        picks = {axis.inside: list(axis.source) for axis in self.axes}
        grid_coords = [name for axis in self.axes for name in (axis.inside, f"{axis.inside}_bounds")]
        ds = ds.drop_vars(grid_coords, errors="ignore").isel(picks)
        ds = ds.rename_dims({axis.inside: axis.name for axis in self.axes if axis.inside != axis.name})
        for inside, name, coordinate in self._leading():
            ds = _renamed(ds, inside, name, coordinate)
        ds = ds.assign_coords({name: entry for axis in self.axes for name, entry in axis.coords().items()})
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
        return cls(tuple(axes), fields["time"], fields["time_coordinate"], fields["sample"], dims, squeezed)
