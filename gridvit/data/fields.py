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
from gridvit.data.parameters import sample_parameters
from gridvit.data.roles import Variable, index_weights, requested, static_fields, with_components
from gridvit.data.standard import standardise
from gridvit.data.stored import Stored, refuse_unusable
from gridvit.data.times import TimeStep, canonical, epoch_seconds, find_step
from gridvit.errors import InputError
from gridvit.grid import Grid


@dataclass(frozen=True, eq=False)
class Fields:
    """u[s, t, c, x]: fields of C variables at T regular times of S samples (1 without a sample axis).

    values:    (S, T, C, *space) float32, NaN where missing, in the units of the variables and the Grid's order;
               in memory, or ``Stored`` in the file.
    times:     (T,) datetime64[ns], cftime dates, or float64 numbers; the same for all samples.
    step:      the one step between times.
    grid:      where the cells are.
    variables: what the C variables are: prognostic, diagnostic, predictors, forcings, in this order.
    layout:    how the user's file was laid out.
    attrs:     attributes of the file.
    statics:   fields that do not move.
    static_values: (K, *space) float32, NaN where missing; None without statics.
    parameters: (S, P) float64, numbers of each sample's own; None without any.
    parameter_names: of the P columns.
    """

    values: Float[np.ndarray, "sample time variable *space"] | Stored
    times: Shaped[np.ndarray, " time"]
    step: TimeStep
    grid: Grid
    variables: tuple[Variable, ...]
    layout: Layout
    attrs: dict[str, Any]
    statics: tuple[Variable, ...] = ()
    static_values: Float[np.ndarray, "static *space"] | None = None
    parameters: Float[np.ndarray, "sample parameter"] | None = None
    parameter_names: tuple[str, ...] = ()

    @property
    def n_samples(self) -> int:
        """S."""
        return self.values.shape[0]

    @property
    def n_times(self) -> int:
        """T."""
        return self.values.shape[1]

    @property
    def array(self) -> Float[np.ndarray, "sample time variable *space"]:
        """The values in memory, read now where they are not."""
        return self.values.read() if isinstance(self.values, Stored) else self.values

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
            own = None if self.parameters is None else self.parameters[part]
            return replace(self, values=self.values[part], parameters=own)
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
        values = self.array if self.layout.sample else self.array[0]
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
    with open_chosen(data, source, direct=True) as ds:
        fields = stored(ds, data)
        return replace(fields, values=fields.array)


def stored(ds: xr.Dataset, data: DataConfig) -> Fields:
    """The fields of an open dataset, their values still in the file; raises as ``load`` where that needs no values."""
    wanted = requested(ds, data)
    sources, members = [v.source for v in wanted], data.members == "samples"
    standard, grid, layout = standardise(ds, sources, data.periodic or None, members)
    times = canonical(standard["time"].values, layout.time)
    step = find_step(times, str(standard["time"].attrs.get("units", "1")), layout.time)
    stride = data.stride
    if stride >= len(times):
        raise InputError(f"a stride from 1 to {len(times) - 1}", str(stride), "choose a smaller stride")
    described = [v.described(standard[v.source]) for v in wanted]
    means = {v.name: index_weights(grid, layout, v) for v in wanted if v.of}
    values = Stored.of(ds, layout, {v.name: v.source for v in wanted}, means, times, stride)
    variables = with_components(described, data.vectors)
    statics, static_values = static_fields(ds, data, grid)
    own = sample_parameters(ds, data.parameters, layout, values.shape[0]) if data.parameters else ((), None)
    return Fields(
        values, times[::stride], step.strided(stride), grid, variables, layout, plain(standard.attrs),
        statics, static_values if statics else None, own[1], own[0],
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
        refuse_unusable(str(name), values[:, :, c], ds["time"].values)
    return values
