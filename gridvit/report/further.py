"""What no section knows by name, shown by its shape: numbers as tables, curves as lines, fields as maps."""

from __future__ import annotations

from itertools import product
from textwrap import fill

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from gridvit.report.canvas import (
    balanced,
    colour_bar,
    coloured,
    coordinate,
    drawn,
    head_styles,
    label,
    label_outer,
    legend,
    name_of,
    named,
    panels,
    row_height,
)
from gridvit.report.captions import ATTENTION, SCHEME, SPHERE, TABLES
from gridvit.report.coast import Lines, draw_coast, on_globe
from gridvit.report.forecasts import field_scale
from gridvit.report.scheme_tables import COEFFICIENTS, DEFECTS, ONE_STEP
from gridvit.report.tables import COLUMNS, Table, is_end, number, units_of

KNOWN = {*ATTENTION, *SCHEME, *SPHERE, *TABLES, *ONE_STEP, *DEFECTS, *COEFFICIENTS, "attention_stencil",
         "attention_map", "signed_stencil", "phase_speed", "diffusivity", "reaction", "misfit", "distance_weighted",
         "zonal_amplification"}  # fmt: skip
APART = ("towards_", "hypothesis_")  # of the section on what precedes a region
FEW = 6  # whole numbers along a dimension that are names rather than an axis
PANELS, LINES, ROWS = 12, 8, 48  # that a page shows of one variable


def left(analysis: xr.Dataset) -> list[str]:
    """The variables that no section shows; numbers of layers and heads, and of the whole step, have their tables."""
    return [
        str(name)
        for name, array in analysis.data_vars.items()
        if name not in KNOWN
        and set(array.dims) != {"layer", "head"}
        and not (array.ndim == 0 and "spectral_radius" in analysis)
        and not is_end(analysis, str(name))
        and not str(name).endswith("_spread")
        and not str(name).startswith(APART)
    ]


def drawn_by_shape(
    dataset: xr.Dataset, names: list[str], coast: Lines = ()
) -> tuple[dict[str, Figure], dict[str, Table]]:
    """Figures and tables by caption; the attribute ``comment`` of a variable says how to read it.

    What has two axes of numbers last is a map for each entry of the others, at most ``PANELS``, with its coast on the
    globe; what has one is drawn along it; all else is listed, variables of the same dimensions side by side.
    """
    figures: dict[str, Figure] = {}
    listed: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        array = dataset[name]
        numeric = array.dtype.kind in "fiub" and array.size
        if numeric and array.ndim >= 2 and all(is_axis(array, str(dim)) for dim in array.dims[-2:]):
            figures[caption(array)] = maps(array, coast)
        elif numeric and array.ndim and is_axis(array, str(array.dims[-1])):
            figures[caption(array)] = curves(dataset, name)
        else:
            listed.setdefault(tuple(map(str, array.dims)), []).append(name)
    return figures, _tables(dataset, listed)


def caption(array: xr.DataArray) -> str:
    """The long name, and the attribute ``comment``."""
    name = name_of(array)
    return " ".join(filter(None, [f"{name[:1].upper()}{name[1:]}.", str(array.attrs.get("comment", ""))]))


def is_axis(array: xr.DataArray, dim: str) -> bool:
    """Are the values along the dimension places on an axis rather than names?"""
    line = coordinate(array, dim)
    return line.dtype.kind == "f" or (line.dtype.kind in "iu" and line.size > FEW and dim in array.coords)


@drawn
def maps(array: xr.DataArray, coast: Lines = ()) -> Figure:
    """A panel for each entry of the leading dimensions, the first ``PANELS``, on one scale."""
    parts = list(product(*(range(n) for n in array.shape[:-2])))[:PANELS]
    columns = balanced(len(parts))
    figure, axes = panels(len(parts), columns, row_height(array, columns) + 0.15, sharex=True, sharey=True)
    norm, palette = field_scale(array)
    for index, panel in zip(parts, axes, strict=True):
        mesh = coloured(panel, array[index], norm, palette)
        panel.set_title(fill(", ".join(_names(array, index)), 26), fontsize=7)
        draw_coast(panel, coast if on_globe(array) else ())
    y, x = (coordinate(array, str(dim)) for dim in array.dims[-2:])
    label_outer(axes, columns, label(x), "")
    figure.supylabel(label(y), fontsize=9)
    colour_bar(figure, mesh, axes, label(array))
    figure.set_label(str(array.name))
    return figure


@drawn
def curves(dataset: xr.Dataset, name: str) -> Figure:
    """A line for each scheme, or each entry of the dimension before the axis; a panel for each of the others.

    ``<name>_low`` and ``<name>_high`` are shaded where they are there.
    """
    array = lined(dataset[name])
    ends = [lined(dataset[end]).values for end in ends_of(dataset, dataset[name])]
    parts = list(product(*(range(n) for n in array.shape[:-2])))[:PANELS]
    figure, axes = panels(len(parts), balanced(len(parts)), 2.4, sharex=True, sharey=True)
    x = coordinate(array, str(array.dims[-1]))
    dots = "." if x.size <= 24 else ""
    for index, panel in zip(parts, axes, strict=True):
        for line, style in enumerate(head_styles(min(LINES, array.shape[-2]))):
            text = named(array, str(array.dims[-2]), line) if dataset[name].ndim > 1 else ""
            panel.plot(x.values, array.values[(*index, line)], label=text, marker=dots, **style)
            if ends:
                low, high = (end[(*index, line)] for end in ends)
                panel.fill_between(x.values, low, high, color=style["color"], alpha=0.18, linewidth=0)
        panel.set_title(", ".join(_names(array, index)))
    label_outer(axes, balanced(len(parts)), label(x), label(array))
    if dataset[name].ndim > 1:
        legend(figure, axes[0])
    figure.set_label(name)
    return figure


def lined(array: xr.DataArray) -> xr.DataArray:
    """Lines before the axis: schemes where there are some; of a single line a dimension of one."""
    axis = str(array.dims[-1])
    if array.ndim == 1:
        return array.expand_dims("line")
    return array.transpose(..., "scheme", axis) if "scheme" in array.dims else array


def ends_of(dataset: xr.Dataset, array: xr.DataArray) -> list[str]:
    """The names of both ends of the interval, where they are there and shaped as the variable is."""
    names = [f"{array.name}_{end}" for end in ("low", "high")]
    there = [name for name in names if name in dataset and set(dataset[name].dims) == set(array.dims)]
    return there if len(there) == 2 else []


def _names(array: xr.DataArray, index: tuple[int, ...]) -> list[str]:
    return [named(array, str(dim), i) for dim, i in zip(array.dims, index, strict=False)]


def _tables(dataset: xr.Dataset, listed: dict[tuple[str, ...], list[str]]) -> dict[str, Table]:
    """A table for variables of the same dimensions, ``COLUMNS`` of them in each.

    One alone has the entries of its last dimension side by side, where they fit.
    """
    tables: dict[str, Table] = {}
    for dims, names in listed.items():
        for first in range(0, len(names), COLUMNS):
            some = names[first : first + COLUMNS]
            if len(some) == 1 and len(dims) > 1 and dataset.sizes[dims[-1]] <= COLUMNS:
                tables[_title(dataset, dims[:-1], some)] = spread_table(dataset, some[0])
            else:
                tables[_title(dataset, dims, some)] = table(dataset, dims, some)
    return tables


def spread_table(dataset: xr.Dataset, name: str) -> Table:
    """A row for each entry of the leading dimensions, a column for each of the last."""
    array = dataset[name]
    *dims, last = map(str, array.dims)
    rows = [
        [
            ", ".join(_names(array, index)),
            *(_cell(dataset, array, (*index, i)) for i in range(array.shape[-1])),
        ]
        for index in list(np.ndindex(*array.shape[:-1]))[:ROWS]
    ]
    columns = [f"{named(array, last, i)} ({units_of(array)})" for i in range(array.shape[-1])]
    return [", ".join(dim.replace("_", " ") for dim in dims), *columns], rows


def _title(dataset: xr.Dataset, dims: tuple[str, ...], names: list[str]) -> str:
    what = f"By {', '.join(dim.replace('_', ' ') for dim in dims)}" if dims else "Single numbers"
    size = int(np.prod([dataset.sizes[dim] for dim in dims]))
    cut = f" The first {ROWS} of {size:,} rows." if size > ROWS else ""
    notes = [str(dataset[name].attrs["comment"]) for name in names if "comment" in dataset[name].attrs]
    return " ".join([f"{what}: {', '.join(name_of(dataset[name]) for name in names)}.{cut}", *notes])


def table(dataset: xr.Dataset, dims: tuple[str, ...], names: list[str]) -> Table:
    """A row for each entry of the dimensions, a column for each variable, its interval in brackets."""
    arrays = [dataset[name].transpose(*dims) for name in names]
    places = list(np.ndindex(*(dataset.sizes[dim] for dim in dims)))[:ROWS]
    rows = [
        [", ".join(_names(arrays[0], index)) or "value", *(_cell(dataset, array, index) for array in arrays)]
        for index in places
    ]
    return [", ".join(dim.replace("_", " ") for dim in dims) or "number", *map(label, arrays)], rows


def _cell(dataset: xr.Dataset, array: xr.DataArray, index: tuple[int, ...]) -> str:
    value = array.values[index]
    if array.dtype.kind not in "fiub":
        return str(value)
    ends = [dataset[end].transpose(*array.dims).values[index] for end in ends_of(dataset, array)]
    low_high = [number(float(end), 3) for end in ends]
    return number(float(value)) + (f"\n[{', '.join(low_high)}]" if low_high else "")
