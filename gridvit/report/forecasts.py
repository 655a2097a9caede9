"""Forecasts beside truth: panels at a few leads, and space against time. Dataset in, Figure out."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from gridvit.errors import InputError
from gridvit.report.canvas import (
    COLOURS,
    DIVERGING,
    MINUS,
    SEQUENTIAL,
    colour_bar,
    coloured,
    coordinate,
    drawn,
    label,
    label_outer,
    legend,
    panels,
    peak_of,
    pretty,
    row_height,
    symmetric,
)
from gridvit.report.coast import Lines, draw_coast, on_globe

CASES = ("init_time", "sample", "member")
LEADS = 4  # rows of a forecast figure; more would not fit a printed page


@drawn
def forecast_panels(
    forecast: xr.Dataset, truth: xr.Dataset | None, variable: str, coast: Lines = ()
) -> Figure:
    """Truth | forecast | forecast - truth of the first case at up to four leads.

    ``variable`` has dimensions (case, lead, *space) in any order, where case is init_time, sample or member
    and may be missing; one or two space dimensions. Without truth only the forecast is drawn. ``coast`` is drawn over
    maps in latitude and longitude.
    """
    predicted, known = first_cases(forecast, truth, variable)
    chosen = np.unique(np.linspace(0, predicted.sizes["lead"] - 1, LEADS).round().astype(int))
    predicted = predicted.isel(lead=chosen)
    known = None if known is None else known.isel(lead=chosen)
    figure = _forecast_lines(predicted, known) if predicted.ndim == 2 else _forecast_maps(predicted, known)
    if predicted.ndim == 3 and on_globe(predicted):
        for panel in figure.axes[: len(chosen) * (1 if known is None else 3)]:
            draw_coast(panel, coast)
    figure.suptitle(case_name(forecast[variable]), fontsize=9)
    figure.set_label(f"forecast_{variable}")
    return figure


def first_cases(
    forecast: xr.Dataset, truth: xr.Dataset | None, variable: str
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """The first case of a forecast and its truth, (lead, *space) each.

    Raises:
        InputError: they differ in shape, or there are not one or two space dimensions.
    """
    predicted = first_case(forecast[variable])
    known = None if truth is None else first_case(truth[variable])
    if known is not None and known.shape != predicted.shape:
        raise InputError(
            f"truth of shape {predicted.shape}", f"{known.shape}", "pass truth at the forecast's times"
        )
    return predicted, known


def first_case(array: xr.DataArray) -> xr.DataArray:
    """(lead, *space) of the first case; of a longitude and a latitude, the latitude is the row."""
    array = array.isel({dim: 0 for dim in CASES if dim in array.dims}).transpose("lead", ...)
    rows = [str(dim) for dim in array.dims[1:]]
    if len(rows) not in (1, 2):
        raise InputError(
            "one or two space dimensions", f"{tuple(rows)}", "select one entry of the others first"
        )
    eastward = re.fullmatch("degrees?_?e(ast)?", str(coordinate(array, rows[0]).attrs.get("units")), re.I)
    return array.transpose("lead", *(rows[::-1] if eastward else rows))


def case_name(array: xr.DataArray) -> str:
    """Such as "init time 2001-03-01 00:00, sample 0"."""
    first = [(dim, coordinate(array, dim)[0]) for dim in CASES if dim in array.dims]
    return ", ".join(f"{dim.replace('_', ' ')} {_short(value)}" for dim, value in first)


def _short(value: xr.DataArray) -> str:
    return f"{value.values.item():g}" if value.dtype.kind in "fiu" else str(value.values)[:16]


def lead_name(array: xr.DataArray, index: int) -> str:
    """Such as "lead 6 h"."""
    lead = coordinate(array, "lead")[index]
    if lead.dtype.kind == "m":
        return f"lead {lead.values / np.timedelta64(1, 'h'):g} h"
    units = pretty(str(lead.attrs.get("units", ""))).replace("dimensionless", "")
    return f"lead {lead.values.item():g} {units}".strip()


def valid(array: xr.DataArray, index: int) -> str:
    """Such as " at 2001-03-01 06:00", the time that a lead is for; nothing where it is not told."""
    if "valid_time" not in array.coords:
        return ""
    time = array["valid_time"].values[index]
    if isinstance(time, float | int | np.number):
        return f" at time {time:.5g}"
    return f" at {str(time)[:16].replace('T', ' ')}"


def field_scale(field: xr.DataArray) -> tuple[Normalize, str]:
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
    height = row_height(predicted, columns)
    figure, axes = panels(predicted.sizes["lead"] * columns, columns, height, sharex=True, sharey=True)
    norm, palette = field_scale(fields[0])
    for column, field in enumerate(fields):
        for lead, panel in enumerate(axes[column::columns]):
            mesh = coloured(panel, field[lead], norm, palette)
    colour_bar(
        figure, mesh, [panel for i, panel in enumerate(axes) if i % columns < len(fields)], label(predicted)
    )
    if known is not None:
        error_column(figure, axes[2::columns], (predicted - known).values, predicted)
    _forecast_titles(axes, columns, predicted)
    y, x = (coordinate(predicted, str(dim)) for dim in predicted.dims[1:])
    label_outer(axes, columns, label(x), label(y))
    return figure


def error_column(figure: Figure, axes: Sequence[Axes], errors: np.ndarray, like: xr.DataArray) -> None:
    norm = symmetric(errors)
    for lead, panel in enumerate(axes):
        mesh = coloured(panel, like[lead].copy(data=errors[lead]), norm, DIVERGING)
    colour_bar(figure, mesh, axes, f"error ({pretty(str(like.attrs.get('units', '1')))})")


def _forecast_titles(axes: Sequence[Axes], columns: int, array: xr.DataArray) -> None:
    kinds = ["forecast"] if columns == 1 else ["truth", "forecast", f"forecast {MINUS} truth"]
    for index, panel in enumerate(axes):
        kind, lead = kinds[index % columns], index // columns
        at = valid(array, lead) if kind == "truth" else ""
        panel.set_title(f"{kind}{at}" if at else f"{kind}, {lead_name(array, lead)}", fontsize=8)


def _forecast_lines(predicted: xr.DataArray, known: xr.DataArray | None) -> Figure:
    """One row per lead on a line of cells: the fields, and the error beside them."""
    columns = 1 if known is None else 2
    figure, axes = panels(predicted.sizes["lead"] * columns, columns, 1.9, sharex=True)
    x = coordinate(predicted, str(predicted.dims[1]))
    for lead, panel in enumerate(axes[::columns]):
        if known is not None:
            panel.plot(x.values, known[lead].values, color="#000000", linestyle=(0, (4, 2)), label="truth")
            _error_line(axes[columns * lead + 1], x.values, (predicted - known).values, lead)
            axes[columns * lead + 1].set_title(f"forecast {MINUS} truth, {lead_name(predicted, lead)}")
        panel.plot(x.values, predicted[lead].values, color=COLOURS[0], label="forecast")
        panel.set_title(f"fields{valid(predicted, lead)}, {lead_name(predicted, lead)}")
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
def space_time(forecast: xr.Dataset, truth: xr.Dataset | None, variable: str) -> Figure:
    """u(x, t) of the first case: truth | forecast | forecast - truth, x to the right and lead upwards.

    ``variable`` as for ``forecast_panels``, with one space dimension.
    """
    predicted, known = first_cases(forecast, truth, variable)
    fields = [predicted] if known is None else [known, predicted]
    count = len(fields) + (known is not None)
    figure, axes = panels(count, count, 2.8, sharex=True, sharey=True)
    norm, palette = field_scale(fields[0])
    for panel, field in zip(axes, fields, strict=False):
        mesh = coloured(panel, field, norm, palette)
    colour_bar(figure, mesh, axes[: len(fields)], label(predicted))
    if known is not None:
        errors = (predicted - known).values
        mesh = coloured(axes[2], predicted.copy(data=errors), symmetric(errors), DIVERGING)
        colour_bar(figure, mesh, axes[2:], f"error ({pretty(str(predicted.attrs.get('units', '1')))})")
    for panel, title in zip(axes, panel_titles(known), strict=True):
        panel.set_title(title)
        panel.set_aspect("auto")
    label_outer(axes, count, label(coordinate(predicted, str(predicted.dims[1]))), label(predicted["lead"]))
    figure.set_label(f"space_time_{variable}")
    return figure


def panel_titles(known: xr.DataArray | None) -> list[str]:
    """What stands side by side, with and without truth."""
    return ["forecast"] if known is None else ["truth", "forecast", f"forecast {MINUS} truth"]
