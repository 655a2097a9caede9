"""What all figures share: page width, colours that colour-blind readers can tell apart, labels with units."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import wraps
from itertools import cycle, islice, product
from textwrap import fill
from typing import Any, ParamSpec

import matplotlib
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import QuadMesh
from matplotlib.colors import Normalize, SymLogNorm
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gridvit.errors import InputError

WIDTH = 8.0  # inches; the page shows a figure at about 110 pixels per inch

# Any: the stubs list every key of rcParams as a literal, which no dict of ours could state.
STYLE: Any = {
    "font.family": "DejaVu Sans",  # ships with matplotlib, so a page looks the same on every machine
    "font.size": 9,
    "axes.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": False,
    "axes.formatter.useoffset": False,
    "legend.frameon": False,
    "lines.linewidth": 1.4,
    "lines.markersize": 4,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "figure.facecolor": "white",
    "savefig.dpi": 150,
}

# The Okabe-Ito set without its yellow, which is lost on white paper.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#555555")
NAMED = {"emulator": "#0072B2", "persistence": "#555555", "exact": "#000000"}
DASHES: dict[str, Any] = {"persistence": (0, (1, 1.5)), "exact": (0, (4, 2))}
MINUS = "\N{MINUS SIGN}"
BELOW = " (below the axis)"
SEQUENTIAL = "viridis"
DIVERGING = "RdBu_r"

Parameters = ParamSpec("Parameters")


def drawn(draw: Callable[Parameters, Figure]) -> Callable[Parameters, Figure]:
    """Draw in our style whatever the user's matplotlibrc says, and name the figure after the function."""

    @wraps(draw)
    def inner(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Figure:
        with matplotlib.rc_context(STYLE):
            figure = draw(*args, **kwargs)
        figure.set_label(figure.get_label() or draw.__name__)
        return figure

    return inner


def pretty(units: str) -> str:
    """CF units as one writes them: ``m2 s-1`` gives m² s⁻¹, ``degrees_north`` °N, ``1`` dimensionless."""
    known = {"1": "dimensionless", "degrees_north": "°N", "degrees_east": "°E", "degrees": "°", "degree": "°"}
    if re.fullmatch(r"1(\^\d)? / 1", units):  # of a quotient of numbers without units
        return "dimensionless"
    if units in known or "since" in units:
        return known.get(units, units)
    superscript = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")
    return re.sub(
        r"(?<=[A-Za-z])(?:\*\*|\^)?(-?\d+)(?![\d.])", lambda power: power[1].translate(superscript), units
    )


def name_of(array: xr.DataArray) -> str:
    """The long name, or the variable's own name with spaces."""
    return str(array.attrs.get("long_name") or str(array.name).replace("_", " "))


def label(array: xr.DataArray, units: str = "1") -> str:
    """``long name (units)`` from the attributes; ``units`` stands in where the array states none."""
    return f"{name_of(array)} ({pretty(str(array.attrs.get('units') or units))})"


def ordered(dataset: xr.Dataset, name: str, *dims: str) -> xr.DataArray:
    """The variable with its dimensions in this order; an ``InputError`` where it has others."""
    array = dataset[name]
    if set(array.dims) != set(dims):
        got = f"({', '.join(map(str, array.dims))})"
        raise InputError(
            f"{name} over ({', '.join(dims)})", got, "write it again with gridvit of this version"
        )
    return array.transpose(*dims)


def windowed(dataset: xr.Dataset, name: str, *leading: str) -> xr.DataArray:
    """The variable with these dimensions first, its offset dimensions after."""
    offsets = [str(dim) for dim in dataset[name].dims if dim not in leading]
    return ordered(dataset, name, *leading, *offsets)


def colour(name: str, names: Iterable[object]) -> str:
    """One colour per name: fixed for emulator, persistence and exact, the others in their order."""
    others = [str(other) for other in names if str(other) not in NAMED]
    free = [shade for shade in COLOURS if shade not in NAMED.values()]
    return NAMED[name] if name in NAMED else free[others.index(name) % len(free)]


def head_styles(count: int) -> list[dict[str, Any]]:
    """Line styles of the heads: seven colours, then the same seven with other dashes."""
    dashes = ["-", (0, (4, 2)), (0, (1, 1.5)), (0, (6, 2, 1, 2))]
    pairs = islice(cycle(product(dashes, COLOURS)), count)
    return [{"linestyle": dash, "color": shade} for dash, shade in pairs]


def panels(count: int, columns: int, height: float, **share: Any) -> tuple[Figure, list[Axes]]:
    """``count`` axes in rows of ``columns``, each row ``height`` inches high, at page width."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = Figure(figsize=(WIDTH, rows * height + 0.4), layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False, **share).flat)
    for spare in axes[count:]:
        spare.remove()
    for above in axes[max(count - columns, 0) : count]:
        above.tick_params(labelbottom=True)
    return figure, axes[:count]


def balanced(count: int) -> int:
    """At most four columns, such that the last row is as full as it can be."""
    rows = -(-count // 4)
    return -(-count // rows)


def wrap(text: str) -> str:
    """An ordinate's label in lines short enough for a panel."""
    return fill(text, 30)


def label_outer(axes: Sequence[Axes], columns: int, x: str, y: str) -> None:
    """Label the lowest panel of each column and the leftmost of each row."""
    columns = min(columns, len(axes))
    for panel in axes[max(len(axes) - columns, 0) :]:
        panel.set_xlabel(x)
    for panel in axes[::columns]:
        panel.set_ylabel(wrap(y))


def legend(figure: Figure, panel: Axes) -> None:
    """One legend for the whole figure, under it, in as many columns as the longest name allows."""
    handles, found = panel.get_legend_handles_labels()
    names = [
        name + (BELOW if _below(handle, panel) else "") for handle, name in zip(handles, found, strict=True)
    ]
    columns = 110 // (max(map(len, names), default=0) + 8)
    figure.legend(handles, names, loc="outside lower center", ncols=max(1, min(columns, len(names))))


def _below(handle: Any, panel: Axes) -> bool:
    """Whether a line has no value that the panel shows, all of them being too small."""
    values = np.asarray(handle.get_ydata(), dtype=float) if isinstance(handle, Line2D) else np.zeros(0)
    return bool(np.isfinite(values).any() and np.nanmax(values) < panel.get_ylim()[0])


def magnitude_axis(panel: Axes, values: np.ndarray, floor: float = 0.0) -> None:
    """A logarithmic axis, from the floor up, where positive values span more than a factor of 30."""
    positive = values[(values > 0) & np.isfinite(values)]
    if positive.size and positive.max() > 30 * positive.min():
        panel.set_yscale("log")
        if positive.min() < floor < positive.max():
            panel.set_ylim(floor, 2 * positive.max())


def peak_of(values: np.ndarray) -> float:
    """The largest finite magnitude; 1 where there is none, so that a scale can be made of it."""
    return float(np.max(np.abs(values), initial=0.0, where=np.isfinite(values))) or 1.0


def diverging(values: Sequence[np.ndarray], decades: int = 3) -> SymLogNorm:
    """A scale about zero, logarithmic over ``decades`` on either side, so small weights keep a colour."""
    peak = max(peak_of(part) for part in values)
    return SymLogNorm(linthresh=peak * 10.0**-decades, linscale=0.5, vmin=-peak, vmax=peak, base=10)


def symmetric(values: np.ndarray) -> Normalize:
    """A linear scale about zero that holds all values."""
    peak = peak_of(values)
    return Normalize(-peak, peak)


def colour_bar(
    figure: Figure, shades: ScalarMappable, axes: Sequence[Axes], text: str, location: str = "bottom"
) -> None:
    """A colour bar under or beside its panels, labelled, with few enough ticks to read."""
    place: Any = {"location": location, "shrink": 0.6, "aspect": 40, "pad": 0.03}
    bar = figure.colorbar(shades, ax=list(axes), label=text, **place)
    if type(shades.norm) is Normalize:
        bar.locator = MaxNLocator(4)
        bar.update_ticks()
    bar.minorticks_off()
    if isinstance(shades.norm, SymLogNorm):
        top, inner = float(shades.norm.vmax or 1.0), float(shades.norm.linthresh)
        bar.set_ticks([-top, -np.sqrt(top * inner), 0, np.sqrt(top * inner), top])
        bar.long_axis.set_major_formatter(lambda value, _: f"{value:.2g}".replace("-", MINUS))


def coordinate(array: xr.DataArray, dim: str) -> xr.DataArray:
    """The coordinate of a dimension, or the count 0, 1, 2 ... where it has none."""
    return (
        array[dim] if dim in array.coords else xr.DataArray(np.arange(array.sizes[dim]), dims=dim, name=dim)
    )


def named(array: xr.DataArray, dim: str, index: int) -> str:
    """The name of one entry along a dimension: ``layer 2``, ``latitude 30 °N``, or the string label."""
    entry = coordinate(array, dim)[index]
    value = entry.values.item()
    if isinstance(value, str):
        return value
    units = pretty(str(entry.attrs.get("units", ""))).replace("dimensionless", "")
    if units == "°N" and value < 0:
        value, units = -value, "°S"
    return f"{dim} {value:g} {units}".strip()


def coloured(panel: Axes, array: xr.DataArray, norm: Normalize, palette: str) -> QuadMesh:
    """The last two dimensions of a field as coloured cells about their coordinates."""
    y, x = (coordinate(array, str(dim)).values for dim in array.dims)
    cells = panel.pcolormesh(x, y, array.values, norm=norm, cmap=palette, shading="nearest", rasterized=True)
    panel.set_aspect("equal")
    for axis, dim in zip((panel.yaxis, panel.xaxis), array.dims, strict=True):
        axis.set_major_locator(_ticks(coordinate(array, str(dim))))
    return cells


def _ticks(axis: xr.DataArray) -> MaxNLocator:
    """Degrees in parts of a right angle, offsets in whole cells, anything else in decimal steps."""
    if str(axis.attrs.get("units", "")).startswith("degree"):
        return MaxNLocator(4, steps=[1, 1.5, 3, 6, 9, 10])
    return MaxNLocator(4, integer=axis.dtype.kind == "i")


def row_height(array: xr.DataArray, columns: int) -> float:
    """Inches that a row of equal-aspect maps needs; at most 2.2, so that four rows print on one page."""
    y, x = (np.ptp(coordinate(array, str(dim)).values.astype(float)) for dim in array.dims[-2:])
    return float(np.clip((WIDTH - 0.8) / columns * y / max(x, 1e-30) + 0.35, 1.0, 2.2))
