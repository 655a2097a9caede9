"""What training reads: the fields of a file in memory, standardised, with their times, grid and layout."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit.data.layout import Layout, plain
from gridvit.data.sources import open_dataset, standardise
from gridvit.data.times import TimeStep, canonical, epoch_seconds, find_step
from gridvit.errors import InputError
from gridvit.grid import Grid

PERCENT = 100.0


@dataclass(frozen=True)
class Variable:
    """A variable of the file by its name and attributes; without units it is dimensionless (CF 3.1)."""

    name: str
    units: str = "1"
    long_name: str = ""
    standard_name: str = ""

    @classmethod
    def of(cls, array: xr.DataArray) -> Variable:
        """The variable that ``array`` holds."""
        keys = ("units", "long_name", "standard_name")
        return cls(str(array.name), **{key: str(array.attrs[key]) for key in keys if key in array.attrs})

    def attrs(self) -> dict[str, str]:
        """The CF attributes that are known."""
        stated = {"units": self.units, "long_name": self.long_name, "standard_name": self.standard_name}
        return {key: text for key, text in stated.items() if text}


@dataclass(frozen=True, eq=False)
class Fields:
    """u[s, t, c, x]: fields of C variables at T regular times of S samples (1 without a sample axis).

    values:    (S, T, C, *space) float32, NaN where missing, in the units of the variables and the Grid's order.
    times:     (T,) datetime64[ns], cftime dates, or float64 numbers; the same for all samples.
    step:      the one step between times.
    grid:      where the cells are.
    variables: what the C variables are.
    layout:    how the user's file was laid out.
    attrs:     attributes of the file.
    """

    values: Float[np.ndarray, "sample time variable *space"]
    times: Shaped[np.ndarray, " time"]
    step: TimeStep
    grid: Grid
    variables: tuple[Variable, ...]
    layout: Layout
    attrs: dict[str, Any]

    @property
    def n_samples(self) -> int:
        """S."""
        return self.values.shape[0]

    @property
    def n_times(self) -> int:
        """T."""
        return self.values.shape[1]

    @property
    def names(self) -> tuple[str, ...]:
        """The C names."""
        return tuple(variable.name for variable in self.variables)

    @property
    def dt_seconds(self) -> float:
        """Length of a step in seconds (of calendar steps the mean); plain-number time in its own unit."""
        return self.step.seconds

    @property
    def seconds(self) -> Float[np.ndarray, " time"]:
        """The times as seconds since 1970-01-01; plain numbers as they are."""
        return epoch_seconds(self.times)

    def select(self, part: slice, along: str) -> Fields:
        """The fields of a part of the times (``along="time"``) or samples (``"sample"``), without copying."""
        if along == "time":
            return replace(self, values=self.values[:, part], times=self.times[part])
        if along == "sample":
            return replace(self, values=self.values[part])
        raise InputError("an axis 'time' or 'sample'", repr(along), "choose one of them")

    def to_dataset(self) -> xr.Dataset:
        """The fields in internal layout, (sample?, time, *space); ``layout.restore`` gives the user's."""
        leading = ("sample", "time") if self.layout.sample else ("time",)
        values = self.values if self.layout.sample else self.values[0]
        by_variable = np.moveaxis(values, len(leading), 0)
        arrays = {
            v.name: ((*leading, *self.grid.names), u, v.attrs())
            for v, u in zip(self.variables, by_variable, strict=True)
        }
        units = {} if self.step.dates else {"units": self.step.unit}
        return xr.Dataset(arrays, {"time": ("time", self.times, units), **self.grid.coords()}, self.attrs)


def load(
    source: str | os.PathLike[str] | xr.Dataset,
    variables: tuple[str, ...] | None = None,
    periodic: dict[str, bool] | None = None,
    stride: int = 1,
    members: bool = False,
) -> Fields:
    """Read a file or a dataset into memory, one step of the model being ``stride`` steps of the file.

    Args:
        source: path of a NetCDF file or Zarr store, or an open dataset.
        variables: which to read; all gridded ones that move in time where none are named.
        periodic: axes stated to be periodic or not, by name.
        stride: take every ``stride``-th time.
        members: take the members of an ensemble as samples.

    Raises:
        InputError: what ``open_dataset``, ``standardise`` and ``find_step`` refuse; infinite values; a
            variable that is wholly missing at some time.
    """
    if isinstance(source, xr.Dataset):
        return _read(source, variables, periodic, stride, members)
    with open_dataset(source) as ds:
        return _read(ds, variables, periodic, stride, members)


def _read(
    ds: xr.Dataset,
    variables: tuple[str, ...] | None,
    periodic: dict[str, bool] | None,
    stride: int,
    members: bool,
) -> Fields:
    ds, grid, layout = standardise(ds, variables, periodic, members)
    times = canonical(ds["time"].values, layout.time)
    step = find_step(times, str(ds["time"].attrs.get("units", "1")), layout.time)
    if not 1 <= stride < len(times):
        raise InputError(f"a stride from 1 to {len(times) - 1}", str(stride), "choose a smaller stride")
    values = stack(ds.isel(time=slice(None, None, stride)), grid)
    described = tuple(Variable.of(array) for array in ds.data_vars.values())
    return Fields(values, times[::stride], step.strided(stride), grid, described, layout, plain(ds.attrs))


def stack(ds: xr.Dataset, grid: Grid) -> Float[np.ndarray, "sample time variable *space"]:
    """All variables of a standardised dataset in one float32 array (S, T, C, *space), read one at a time.

    Missing values stay NaN.

    Raises:
        InputError: infinite values in float32; a variable without any value at some time, which is named.
    """
    samples = ds.sizes.get("sample", 1)
    values = np.empty((samples, ds.sizes["time"], len(ds.data_vars), *grid.shape), dtype=np.float32)
    for c, (name, array) in enumerate(ds.data_vars.items()):
        with np.errstate(over="ignore"):  # beyond float32 becomes infinite, which is refused by name
            values[:, :, c] = array.values.reshape(samples, -1, *grid.shape)
        _refuse_infinite(str(name), values[:, :, c])
        _refuse_empty(str(name), values[:, :, c], ds["time"].values)
    return values


def _refuse_infinite(name: str, values: Float[np.ndarray, "sample time *space"]) -> None:
    infinite = np.isinf(values)
    if infinite.any():
        raise InputError(
            "finite values in the range of float32",
            f"{PERCENT * infinite.mean():.3g} % infinite in {name!r}",
            "repair the file or rescale the variable",
        )


def _refuse_empty(
    name: str, values: Float[np.ndarray, "sample time *space"], times: Shaped[np.ndarray, " time"]
) -> None:
    empty = np.isnan(values).all(axis=tuple(range(2, values.ndim))).any(axis=0)
    if empty.all() and len(empty):
        raise InputError(
            f"values of {name!r}", "none at any time", "repair the file or leave the variable out"
        )
    if empty.any():
        first = times[empty][0]
        when = np.datetime_as_string(first, "s") if isinstance(first, np.datetime64) else str(first)
        raise InputError(
            f"values of {name!r} at every time",
            f"none at {when} ({int(empty.sum())} of {len(empty)} times)",
            "select times that have it, or leave the variable out",
        )
