"""Maps: forecasts beside truth, attention stencils, cell stencils, Jacobian rows. Dataset in, Figure out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure

from gridvit.errors import InputError
from gridvit.report.canvas import (
    COLOURS,
    DIVERGING,
    MINUS,
    SEQUENTIAL,
    WIDTH,
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
    pretty,
    symmetric,
    windowed,
)

CASES = ("init_time", "sample", "member")
LEADS = 4  # rows of a forecast figure; more would not fit a printed page


def _row_height(array: xr.DataArray, columns: int) -> float:
    """Inches that a row of equal-aspect maps needs; at most 2.2, so that four rows print on one page."""
    y, x = (np.ptp(coordinate(array, str(dim)).values.astype(float)) for dim in array.dims[-2:])
    return float(np.clip((WIDTH - 0.8) / columns * y / max(x, 1e-30) + 0.35, 1.0, 2.2))


@drawn
def forecast_panels(forecast: xr.Dataset, truth: xr.Dataset | None, variable: str) -> Figure:
    """Truth | forecast | forecast - truth of the first case at up to four leads.

    ``variable`` has dimensions (case, lead, *space) in any order, where case is init_time, sample or member
    and may be missing; one or two space dimensions. Without truth only the forecast is drawn.
    """
    predicted = _first_case(forecast[variable])
    known = None if truth is None else _first_case(truth[variable])
    if known is not None and known.shape != predicted.shape:
        raise InputError(
            f"truth of shape {predicted.shape}", f"{known.shape}", "pass truth at the forecast's times"
        )
    chosen = np.unique(np.linspace(0, predicted.sizes["lead"] - 1, LEADS).round().astype(int))
    predicted = predicted.isel(lead=chosen)
    known = None if known is None else known.isel(lead=chosen)
    figure = _forecast_lines(predicted, known) if predicted.ndim == 2 else _forecast_maps(predicted, known)
    figure.suptitle(_case_name(forecast[variable]), fontsize=9)
    figure.set_label(f"forecast_{variable}")
    return figure


def _first_case(array: xr.DataArray) -> xr.DataArray:
    """(lead, *space) of the first case; of a longitude and a latitude, the latitude is the row."""
    array = array.isel({dim: 0 for dim in CASES if dim in array.dims}).transpose("lead", ...)
    rows = [str(dim) for dim in array.dims[1:]]
    if len(rows) not in (1, 2):
        raise InputError(
            "one or two space dimensions", f"{tuple(rows)}", "select one entry of the others first"
        )
    eastward = re.fullmatch("degrees?_?e(ast)?", str(coordinate(array, rows[0]).attrs.get("units")), re.I)
    return array.transpose("lead", *(rows[::-1] if eastward else rows))


def _case_name(array: xr.DataArray) -> str:
    first = [(dim, coordinate(array, dim)[0]) for dim in CASES if dim in array.dims]
    return ", ".join(f"{dim.replace('_', ' ')} {_short(value)}" for dim, value in first)


def _short(value: xr.DataArray) -> str:
    return f"{value.values.item():g}" if value.dtype.kind in "fiu" else str(value.values)[:16]


def _lead_name(array: xr.DataArray, index: int) -> str:
    lead = coordinate(array, "lead")[index]
    if lead.dtype.kind == "m":
        return f"lead {lead.values / np.timedelta64(1, 'h'):g} h"
    units = pretty(str(lead.attrs.get("units", ""))).replace("dimensionless", "")
    return f"lead {lead.values.item():g} {units}".strip()


def _valid(array: xr.DataArray, index: int) -> str:
    """Such as " at 2001-03-01 06:00", the time that a lead is for; nothing where it is not told."""
    if "valid_time" not in array.coords:
        return ""
    time = array["valid_time"].values[index]
    if isinstance(time, float | int | np.number):
        return f" at time {time:.5g}"
    return f" at {str(time)[:16].replace('T', ' ')}"


def _field_scale(field: xr.DataArray) -> tuple[Normalize, str]:
    """About zero for a field of both signs, else from least to greatest finite value.

    Truth sets it where it is known: a forecast that grows without bound would hide the field.
    """
    values = field.values[np.isfinite(field.values)]
    if values.size and values.min() < 0 < values.max():
        return symmetric(values), DIVERGING
    return (Normalize(values.min(), values.max()) if values.size else Normalize(0, 1)), SEQUENTIAL


def _forecast_maps(predicted: xr.DataArray, known: xr.DataArray | None) -> Figure:
    fields = [predicted] if known is None else [known, predicted]
    columns = len(fields) + (known is not None)
    height = _row_height(predicted, columns)
    figure, axes = panels(predicted.sizes["lead"] * columns, columns, height, sharex=True, sharey=True)
    norm, palette = _field_scale(fields[0])
    for column, field in enumerate(fields):
        for lead, panel in enumerate(axes[column::columns]):
            mesh = coloured(panel, field[lead], norm, palette)
    colour_bar(
        figure, mesh, [panel for i, panel in enumerate(axes) if i % columns < len(fields)], label(predicted)
    )
    if known is not None:
        _error_column(figure, axes[2::columns], (predicted - known).values, predicted)
    _forecast_titles(axes, columns, predicted)
    y, x = (coordinate(predicted, str(dim)) for dim in predicted.dims[1:])
    label_outer(axes, columns, label(x), label(y))
    return figure


def _error_column(figure: Figure, axes: Sequence[Axes], errors: np.ndarray, like: xr.DataArray) -> None:
    norm = symmetric(errors)
    for lead, panel in enumerate(axes):
        mesh = coloured(panel, like[lead].copy(data=errors[lead]), norm, DIVERGING)
    colour_bar(figure, mesh, axes, f"error ({pretty(str(like.attrs.get('units', '1')))})")


def _forecast_titles(axes: Sequence[Axes], columns: int, array: xr.DataArray) -> None:
    kinds = ["forecast"] if columns == 1 else ["truth", "forecast", f"forecast {MINUS} truth"]
    for index, panel in enumerate(axes):
        kind, lead = kinds[index % columns], index // columns
        at = _valid(array, lead) if kind == "truth" else ""
        panel.set_title(f"{kind}{at}" if at else f"{kind}, {_lead_name(array, lead)}", fontsize=8)


def _forecast_lines(predicted: xr.DataArray, known: xr.DataArray | None) -> Figure:
    """One row per lead on a line of cells: the fields, and the error beside them."""
    columns = 1 if known is None else 2
    figure, axes = panels(predicted.sizes["lead"] * columns, columns, 1.9, sharex=True)
    x = coordinate(predicted, str(predicted.dims[1]))
    for lead, panel in enumerate(axes[::columns]):
        if known is not None:
            panel.plot(x.values, known[lead].values, color="#000000", linestyle=(0, (4, 2)), label="truth")
            _error_line(axes[columns * lead + 1], x.values, (predicted - known).values, lead)
            axes[columns * lead + 1].set_title(f"forecast {MINUS} truth, {_lead_name(predicted, lead)}")
        panel.plot(x.values, predicted[lead].values, color=COLOURS[0], label="forecast")
        panel.set_title(f"fields{_valid(predicted, lead)}, {_lead_name(predicted, lead)}")
        panel.set_ylim(*_span(predicted if known is None else known))
    label_outer(axes, columns, label(x), "")
    figure.supylabel(label(predicted), fontsize=9)
    legend(figure, axes[0])
    return figure


def _error_line(panel: Axes, x: np.ndarray, errors: np.ndarray, lead: int) -> None:
    """The error at one lead, on the scale of all, about zero."""
    peak = 1.05 * peak_of(errors)
    panel.plot(x, errors[lead], color=COLOURS[1])
    panel.axhline(0.0, color="#BBBBBB", linewidth=0.8, zorder=0)
    panel.set_ylim(-peak, peak)


def _span(field: xr.DataArray) -> tuple[float, float]:
    """The values of a field at all leads, and a fifth of their range beyond on either side."""
    values = field.values[np.isfinite(field.values)]
    low, high = (float(values.min()), float(values.max())) if values.size else (0.0, 1.0)
    margin = 0.2 * (high - low) or 1.0
    return low - margin, high + margin


@drawn
def attention_stencils(analysis: xr.Dataset) -> Figure:
    """s_h(dy, dx), attention by token offset, one panel per head (columns) and layer (rows).

    ``attention_stencil`` (layer, head, dy, dx), offsets in tokens. One logarithmic scale for all panels,
    from a thousandth of the greatest weight.
    """
    array = windowed(analysis, "attention_stencil", "layer", "head")
    heads, (y, x) = array.sizes["head"], (coordinate(array, str(dim)) for dim in array.dims[2:])
    height = 0.85 * _row_height(array, heads)  # the colour bar beside the panels takes its share
    figure, axes = panels(array.sizes["layer"] * heads, heads, height, sharex=True, sharey=True)
    peak = peak_of(array.values)
    for index, panel in enumerate(axes):
        cells = array[index // heads, index % heads]
        mesh = coloured(panel, cells.clip(min=peak * 1e-3), LogNorm(peak * 1e-3, peak), SEQUENTIAL)
        panel.set_title(named(array, "head", index) if index < heads else "", fontsize=8)
        if index % heads == 0:
            panel.set_ylabel(f"{named(array, 'layer', index // heads)}\n{label(y, 'tokens')}", fontsize=8)
    figure.supxlabel(label(x, "tokens"), fontsize=9)
    colour_bar(figure, mesh, axes, label(array), "right")
    return figure


def generating_scheme(analysis: xr.Dataset) -> str | None:
    """The scheme that made the data: attribute ``generating_scheme``, else the first beside the emulator."""
    schemes = [str(name) for name in analysis["scheme"].values if name != "emulator"]
    stated = str(analysis.attrs.get("generating_scheme", ""))
    return stated if stated in schemes else next(iter(schemes), None)


def _shown_schemes(analysis: xr.Dataset) -> list[str]:
    """Emulator, generating scheme, exact: those that are there, in this order, once each."""
    there = [str(name) for name in analysis["scheme"].values]
    wanted = dict.fromkeys(["emulator", generating_scheme(analysis), "exact"])
    return [name for name in wanted if name in there]


@drawn
def cell_stencils(analysis: xr.Dataset) -> Figure:
    """S(dy, dx) of emulator | generating scheme | exact | emulator - generating scheme, on one scale.

    ``stencil`` (scheme, dy, dx) or (scheme, dx), offsets in cells: (S u)(x) = sum_d S(d) u(x + d).
    """
    names = _shown_schemes(analysis)
    array = windowed(analysis, "stencil", "scheme")
    parts = {name: array.sel(scheme=name, drop=True) for name in names}
    if "emulator" in parts and len(names) > 1:
        parts[f"emulator {MINUS} {names[1]}"] = parts["emulator"] - parts[names[1]]
    return _stencil_lines(parts, array) if array.ndim == 2 else _stencil_maps(parts, array)


def _stencil_maps(parts: dict[str, xr.DataArray], array: xr.DataArray) -> Figure:
    height = _row_height(array, len(parts))
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
    height = _row_height(array, columns) + 0.2
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
