"""Maps: attention stencils, cell stencils, Jacobian rows. Dataset in, Figure out."""

from __future__ import annotations

import xarray as xr
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from gridvit.report.canvas import (
    COLOURS,
    DIVERGING,
    MINUS,
    SEQUENTIAL,
    balanced,
    colour,
    colour_bar,
    coloured,
    coordinate,
    diverging,
    drawn,
    label,
    label_outer,
    legend,
    named,
    ordered,
    panels,
    peak_of,
    row_height,
    windowed,
)


@drawn
def attention_stencils(analysis: xr.Dataset) -> Figure:
    """s_h(dy, dx), attention by token offset, one panel per head (columns) and layer (rows).

    ``attention_stencil`` (layer, head, dy, dx), offsets in tokens. One logarithmic scale for all panels,
    from a thousandth of the greatest weight.
    """
    array = windowed(analysis, "attention_stencil", "layer", "head")
    peak = peak_of(array.values)
    return _by_head(array.clip(min=peak * 1e-3), LogNorm(peak * 1e-3, peak), SEQUENTIAL, "tokens")


@drawn
def signed_stencils(analysis: xr.Dataset) -> Figure:
    """S_h(dy, dx), what a head moves with its sign, one panel per head (columns) and layer (rows).

    ``signed_stencil`` (layer, head, dy, dx), offsets in cells. One scale about zero.
    """
    array = windowed(analysis, "signed_stencil", "layer", "head")
    return _by_head(array, diverging([array.values]), DIVERGING, "cells")


def _by_head(array: xr.DataArray, norm: Normalize, palette: str, units: str) -> Figure:
    """(layer, head, y, x) as rows and columns of maps."""
    heads, (y, x) = array.sizes["head"], (coordinate(array, str(dim)) for dim in array.dims[2:])
    height = 0.85 * row_height(array, heads)  # the colour bar beside the panels takes its share
    figure, axes = panels(array.sizes["layer"] * heads, heads, height, sharex=True, sharey=True)
    for index, panel in enumerate(axes):
        mesh = coloured(panel, array[index // heads, index % heads], norm, palette)
        panel.set_title(named(array, "head", index) if index < heads else "", fontsize=8)
        if index % heads == 0:
            panel.set_ylabel(f"{named(array, 'layer', index // heads)}\n{label(y, units)}", fontsize=8)
    figure.supxlabel(label(x, units), fontsize=9)
    colour_bar(figure, mesh, axes, label(array), "right")
    return figure


def generating_scheme(analysis: xr.Dataset) -> str | None:
    """The scheme that made the data: attribute ``generating_scheme``, else the first beside the emulator."""
    schemes = [str(name) for name in analysis["scheme"].values if name != "emulator"]
    stated = str(analysis.attrs.get("generating_scheme", ""))
    return stated if stated in schemes else next(iter(schemes), None)


def shown_schemes(analysis: xr.Dataset) -> list[str]:
    """Emulator, generating scheme, exact: those that are there, in this order, once each."""
    there = [str(name) for name in analysis["scheme"].values]
    wanted = dict.fromkeys(["emulator", generating_scheme(analysis), "exact"])
    return [name for name in wanted if name in there]


@drawn
def cell_stencils(analysis: xr.Dataset) -> Figure:
    """S(dy, dx) of emulator | generating scheme | exact | emulator - generating scheme, on one scale.

    ``stencil`` (scheme, dy, dx) or (scheme, dx), offsets in cells: (S u)(x) = sum_d S(d) u(x + d).
    """
    names = shown_schemes(analysis)
    array = windowed(analysis, "stencil", "scheme")
    parts = {name: array.sel(scheme=name, drop=True) for name in names}
    if "emulator" in parts and len(names) > 1:
        parts[f"emulator {MINUS} {names[1]}"] = parts["emulator"] - parts[names[1]]
    return _stencil_lines(parts, array) if array.ndim == 2 else _stencil_maps(parts, array)


def _stencil_maps(parts: dict[str, xr.DataArray], array: xr.DataArray) -> Figure:
    height = row_height(array, len(parts))
    figure, axes = panels(len(parts), len(parts), height, sharex=True, sharey=True)
    norm = diverging([part.values for part in parts.values()])
    for panel, (name, part) in zip(axes, parts.items(), strict=True):
        mesh = coloured(panel, part, norm, DIVERGING)
        panel.set_title(f"{name}\nlargest weight {peak_of(part.values):.2g}", fontsize=8)
        panel.plot(0, 0, marker="+", color="#000000", markersize=7, markeredgewidth=0.7)
    y, x = (coordinate(array, str(dim)) for dim in array.dims[1:])
    label_outer(axes, len(parts), label(x, "cells"), label(y, "cells"))
    colour_bar(figure, mesh, axes, label(array))
    return figure


def _stencil_lines(parts: dict[str, xr.DataArray], array: xr.DataArray) -> Figure:
    """Weights of all schemes above, the difference below, each with its own ordinate."""
    figure, axes = panels(2 if any(MINUS in name for name in parts) else 1, 1, 2.4, sharex=True)
    x = coordinate(array, str(array.dims[1]))
    for marker, (name, part) in zip("os^D", parts.items(), strict=False):
        difference = MINUS in name
        shade = COLOURS[3] if difference else colour(name, array["scheme"].values)
        panel = axes[-1] if difference else axes[0]
        panel.plot(x.values, part.values, marker=marker, color=shade, label=name, linewidth=0.8)
        panel.set_title(name if difference else "")
    for panel in axes:
        panel.axhline(0.0, color="#BBBBBB", linewidth=0.8)
    label_outer(axes, 1, label(x, "cells"), label(array))
    legend(figure, axes[0])
    return figure


@drawn
def jacobian_rows(analysis: xr.Dataset) -> Figure:
    """dF(u)(phi, .) / du(phi + dlat, . + dlon), zonally averaged, a panel per latitude.

    ``jacobian`` (latitude, dlat, dlon) in degrees. One scale.
    """
    array = ordered(analysis, "jacobian", "latitude", "dlat", "dlon")
    columns = balanced(array.sizes["latitude"])
    height = row_height(array, columns) + 0.2
    figure, axes = panels(array.sizes["latitude"], columns, height, sharex=True, sharey=True)
    norm = diverging([array.values], decades=2)
    for index, panel in enumerate(axes):
        mesh = coloured(panel, array[index], norm, DIVERGING)
        panel.plot(0, 0, marker="+", color="#000000", markersize=7, markeredgewidth=0.7)
        panel.set_title(named(array, "latitude", index), fontsize=8)
    label_outer(axes, columns, label(array["dlon"], "degrees"), "")
    figure.supylabel(label(array["dlat"], "degrees"), fontsize=9)
    colour_bar(figure, mesh, axes, label(array))
    return figure
