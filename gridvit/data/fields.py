"""What training reads: the fields of a file in memory, standardised, with their times, grid and layout."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit.config import DataConfig
from gridvit.data.choices import open_chosen
from gridvit.data.layout import Layout, plain
from gridvit.data.roles import Variable, gathered, requested, static_fields, with_components
from gridvit.data.times import TimeStep, canonical, epoch_seconds, find_step
from gridvit.errors import InputError
from gridvit.grid import Grid

PERCENT = 100.0


@dataclass(frozen=True, eq=False)
class Fields:
    """u[s, t, c, x]: fields of C variables at T regular times of S samples (1 without a sample axis).

    values:    (S, T, C, *space) float32, NaN where missing, in the units of the variables and the Grid's order.
    times:     (T,) datetime64[ns], cftime dates, or float64 numbers; the same for all samples.
    step:      the one step between times.
    grid:      where the cells are.
    variables: what the C variables are: prognostic, diagnostic, predictors, forcings, in this order.
    layout:    how the user's file was laid out.
    attrs:     attributes of the file.
    statics:   fields that do not move.
    static_values: (K, *space) float32, NaN where missing; None without statics.
    """

    values: Float[np.ndarray, "sample time variable *space"]
    times: Shaped[np.ndarray, " time"]
    step: TimeStep
    grid: Grid
    variables: tuple[Variable, ...]
    layout: Layout
    attrs: dict[str, Any]
    statics: tuple[Variable, ...] = ()
    static_values: Float[np.ndarray, "static *space"] | None = None

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

    @property
    def targets(self) -> Fields:
        """The fields of what is predicted alone, prognostic and diagnostic."""
        count = sum(v.role in ("prognostic", "diagnostic") for v in self.variables)
        if count == len(self.variables):
            return self
        return replace(self, values=self.values[:, :, :count], variables=self.variables[:count])

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


def load(source: str | os.PathLike[str] | xr.Dataset | None = None, data: DataConfig | None = None) -> Fields:
    """Read a file or a dataset into memory, with the choices of ``data``.

    Args:
        source: path of a file or store, or an open dataset; what ``data.path`` names where there is none.
        data: variables and their roles, choices, and the stride, the steps of the file in a step of the data.

    Raises:
        InputError: what ``open_chosen``, ``standardise`` and ``find_step`` refuse; roles that do not fit; infinite
            values; a variable that is wholly missing at some time.
    """
    data = data or DataConfig()
    with open_chosen(data, source) as ds:
        return _read(ds, data)


def _read(ds: xr.Dataset, data: DataConfig) -> Fields:
    wanted = requested(ds, data)
    standard, grid, layout = gathered(ds, wanted, data.periodic or None, data.members == "samples")
    times = canonical(standard["time"].values, layout.time)
    step = find_step(times, str(standard["time"].attrs.get("units", "1")), layout.time)
    stride = data.stride
    if stride >= len(times):
        raise InputError(f"a stride from 1 to {len(times) - 1}", str(stride), "choose a smaller stride")
    values = stack(standard.isel(time=slice(None, None, stride)), grid)
    described = [v.described(standard[v.name]) for v in wanted]
    variables = with_components(described, data.vectors)
    statics, static_values = static_fields(ds, data, grid)
    return Fields(
        values, times[::stride], step.strided(stride), grid, variables, layout, plain(standard.attrs),
        statics, static_values if statics else None,
    )  # fmt: skip


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
