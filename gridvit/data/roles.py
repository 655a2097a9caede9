"""Which variables of a file a model predicts, sees, is given, or reads once; indices and vector components."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.axes import find_axes
from gridvit.channels import ROLES, Channels
from gridvit.config import DataConfig
from gridvit.data.choices import named, open_chosen
from gridvit.data.layout import Layout
from gridvit.data.standard import narrowed, standardise, stated_periodicity
from gridvit.errors import InputError
from gridvit.grid import Grid

log = logging.getLogger("gridvit")
ROUNDING = 1e-7  # of the largest value: float32 cannot hold a smaller spread
NEAR = 1e-4  # of a cell: coordinates stored as float32 are the numbers that people write
TAKEN = ("sample", "time", "init_time", "lead", "valid_time")  # names of a forecast's own coordinates
SWAPPED = {"eastward": "northward", "x": "y"}


@dataclass(frozen=True)
class Variable:
    """A variable of the file by its name and attributes; without units it is dimensionless (CF 3.1).

    role:      one of ``ROLES``, or "static".
    component: "x" or "y" of a vector, towards the last axis of the grid and towards the one before it; else empty.
    partner:   the other component.
    of:        the variable whose mean over ``region`` an index is; else empty.
    region:    (axis, first, last) of the box of an index.
    """

    name: str
    units: str = "1"
    long_name: str = ""
    standard_name: str = ""
    role: str = "prognostic"
    component: str = ""
    partner: str = ""
    of: str = ""
    region: tuple[tuple[str, float | int, float | int], ...] = ()

    @classmethod
    def of_array(cls, array: xr.DataArray) -> Variable:
        """The variable that ``array`` holds."""
        keys = ("units", "long_name", "standard_name")
        known: dict[str, Any] = {key: str(array.attrs[key]) for key in keys if key in array.attrs}
        return cls(str(array.name), **known)

    def described(self, array: xr.DataArray) -> Variable:
        """The same variable with the attributes of ``array``, of which an index is the mean."""
        found = Variable.of_array(array)
        name = f"mean of {found.long_name or self.of} over {_shown(self)}" if self.of else found.long_name
        return replace(self, units=found.units, long_name=name, standard_name=found.standard_name)

    @property
    def source(self) -> str:
        """The name in the file."""
        return self.of or self.name

    def attrs(self) -> dict[str, str]:
        """The CF attributes that are known."""
        stated = {"units": self.units, "long_name": self.long_name, "standard_name": self.standard_name}
        return {key: text for key, text in stated.items() if text}

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able fields."""
        return asdict(self)

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Variable:
        """The inverse of ``to_dict``."""
        return cls(**{**fields, "region": tuple(tuple(side) for side in fields["region"])})


def channels(variables: Sequence[Variable], statics: Sequence[Variable], data: DataConfig) -> Channels:
    """The channels of a model of these variables, with the history, leads and boundary of ``data``."""
    names: dict[str, Any] = {role: tuple(v.name for v in variables if v.role == role) for role in ROLES}
    index = tuple(v.name for v in variables if v.of)
    static = tuple(v.name for v in statics)
    vector = tuple(v.name for v in variables if v.component)
    frames: dict[str, Any] = {"history": data.history, "leads": data.leads, "boundary": data.boundary}
    return Channels(**names, static=static, index=index, vector=vector, **frames)


def requested(ds: xr.Dataset, data: DataConfig) -> tuple[Variable, ...]:
    """The moving variables that ``data`` names, in the order of a frame; all of the file where it names none.

    Raises:
        InputError: a name in two roles, two indices or an index and a variable of one name.
    """
    roles = {
        "prognostic": named(ds, data.variables),
        "diagnostic": named(ds, data.diagnostics),
        "predictor": named(ds, data.predictors),
        "forcing": named(ds, data.forcings),
    }
    taken = {name for names in roles.values() for name in names} | set(named(ds, data.statics))
    if not (roles["prognostic"] or roles["diagnostic"] or roles["predictor"] or data.indices):
        rest = ds.drop_vars([n for n in taken if n in ds])
        found = standardise(rest, None, data.periodic or None, data.members == "samples")[0]
        roles["prognostic"] = tuple(map(str, found.data_vars))
    indices = [
        Variable(
            name, role="diagnostic", of=index.variable, region=tuple((a, *s) for a, s in index.region.items())
        )
        for name, index in data.indices.items()
    ]
    plain = {role: [Variable(name, role=role) for name in dict.fromkeys(roles[role])] for role in ROLES}
    plain["diagnostic"] += indices
    every = [variable for role in ROLES for variable in plain[role]]
    _refuse_twice([*(v.name for v in every), *named(ds, data.statics)])
    for name in data.indices:
        if name in ds.variables or name in ds.dims or name in TAKEN:
            raise InputError("an index of a new name", f"{name!r}, which is taken", "name it otherwise")
    return tuple(every)


def _refuse_twice(names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InputError(
            "each name in one role", f"{twice[0]!r} in two", "name it once among the options of data"
        )


def index_weights(grid: Grid, layout: Layout, index: Variable) -> Float[np.ndarray, "*space"]:
    """A in the cells whose centres lie in the box of an index, else 0."""
    return grid.areas * _box(grid, layout, index)


def _box(grid: Grid, layout: Layout, index: Variable) -> Float[np.ndarray, "*space"]:
    inside = np.ones(grid.shape)
    places = _places(grid)
    inner = {axis.name: axis.inside for axis in layout.axes}
    near = NEAR * _narrowest(grid)
    for name, first, last in index.region:
        axis = inner.get(name, name)
        if axis not in places:
            raise InputError(
                f"a region along {', '.join(places)} for the index {index.name!r}", repr(name), "correct it"
            )
        if axis == "longitude":
            span = 360 if last - first == 360 else (last - first) % 360
            inside = inside * ((places[axis] - first + near) % 360.0 <= span + 2 * near)
        else:
            inside = inside * ((first - near <= places[axis]) & (places[axis] <= last + near))
    if not inside.any():
        raise InputError(
            f"cells inside the region of the index {index.name!r}",
            f"none in {_shown(index)}",
            "make it larger",
        )
    return inside


def _narrowest(grid: Grid) -> float:
    """Width of the narrowest cell, in the units of its axis, or in degrees on a mesh."""
    if grid.mesh is not None:
        return float(np.rad2deg(np.sqrt(grid.mesh.solid_angle.min())))
    return min(float(np.diff(bounds).min()) for bounds in grid.bounds)


def _places(grid: Grid) -> dict[str, np.ndarray]:
    """The coordinates of the cells along each axis, or latitude and longitude of a mesh, to broadcast over space."""
    lines = np.meshgrid(*grid.centers, indexing="ij", sparse=True)
    places = dict(zip(grid.names, lines, strict=True))
    mesh = grid.mesh
    return places if mesh is None else places | {"latitude": mesh.latitude, "longitude": mesh.longitude}


def _shown(index: Variable) -> str:
    return ", ".join(f"{axis} {first:g} to {last:g}" for axis, first, last in index.region) or "the domain"


def static_fields(
    ds: xr.Dataset, data: DataConfig, grid: Grid
) -> tuple[tuple[Variable, ...], Float[np.ndarray, "static *space"]]:
    """The fields that do not move, NaN where missing; one that the file repeats in time is taken at its first.

    Raises:
        InputError: no such variable, another grid, a field that is constant in space.
    """
    if not data.statics:
        return (), np.zeros((0, *grid.shape), np.float32)
    if data.static_file:
        with open_chosen(replace(data, irregular="refuse"), data.static_file) as held:
            return _static(held, named(held, data.statics), grid)
    return _static(ds, named(ds, data.statics), grid)


def _static(
    ds: xr.Dataset, names: Sequence[str], grid: Grid
) -> tuple[tuple[Variable, ...], Float[np.ndarray, "static *space"]]:
    variables, values = [], []
    for name in names:
        if name not in ds.data_vars:
            offered = ", ".join(map(str, ds.data_vars))
            raise InputError(f"a static field among {offered}", repr(name), "correct data.statics")
        still = _at_one_time(narrowed(ds, (name,)), name)
        standard, found, _ = standardise(still, [name], stated_periodicity(grid), True)
        if found != grid:
            raise InputError(
                f"static fields on the grid of the data ({grid.describe()})",
                f"{name!r} on {found.describe()}",
                "interpolate it to that grid",
            )
        values.append(_still(name, standard[name].isel(time=0).values, grid))
        variables.append(replace(Variable.of_array(ds[name]), role="static"))
    return tuple(variables), np.stack(values)


def _still(name: str, values: np.ndarray, grid: Grid) -> Float[np.ndarray, "*space"]:
    """The one field of ``values``, which must be finite and vary."""
    field = (values[0] if values.ndim > grid.ndim else values).astype(np.float64)
    if np.isinf(field).any() or np.isnan(field).all():
        what = "infinite values" if np.isinf(field).any() else "nothing"
        raise InputError(
            "static fields with values", f"{what} in {name!r}", "repair the file or leave it out"
        )
    if np.nanstd(field) <= ROUNDING * np.nanmax(np.abs(field)):
        raise InputError("static fields that vary in space", f"{name!r}, which is constant", "leave it out")
    return field.astype(np.float32)


def _at_one_time(ds: xr.Dataset, name: str) -> xr.Dataset:
    time = find_axes(ds).time
    if time is None:
        return ds.drop_vars("time", errors="ignore").expand_dims(time=[np.datetime64("2000-01-01", "ns")])
    if ds.sizes[time] > 1 and time in ds[name].dims:
        log.info("the static field %s has %d times: the first is taken", name, ds.sizes[time])
    return ds.isel({time: slice(0, 1)})


def with_components(variables: Sequence[Variable], stated: Sequence[tuple[str, str]]) -> tuple[Variable, ...]:
    """The variables with the components of vectors known as such: as stated, or by their standard names.

    Raises:
        InputError: a stated component that is not among the variables.
    """
    names = {v.name for v in variables}
    partner = {one: (component, other) for pair in stated
               for component, one, other in (("x", *pair), ("y", *pair[::-1]))}  # fmt: skip
    for name in partner:
        if name not in names:
            raise InputError(
                f"components among {', '.join(sorted(names))}", f"{name!r} in data.vectors", "correct it"
            )
    by_standard = {v.standard_name: v.name for v in variables if v.standard_name}
    for v in variables:
        other = by_standard.get(_northward(v.standard_name))
        if other and not {v.name, other} & set(partner):
            partner |= {v.name: ("x", other), other: ("y", v.name)}
    found = ((v, partner.get(v.name, ("", ""))) for v in variables)
    return tuple(replace(v, component=component, partner=other) for v, (component, other) in found)


def _northward(standard_name: str) -> str:
    """The standard name of the other component; a name that nothing has where this is no first component."""
    words = standard_name.split("_")
    return "_".join(SWAPPED.get(w, w) for w in words) if set(words) & set(SWAPPED) else "\0"
