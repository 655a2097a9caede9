"""Curves: scores by lead, losses, the symbol, zonal waves. Dataset in, Figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, Locator, MaxNLocator

from gridvit.errors import InputError
from gridvit.report.canvas import (
    COLOURS,
    DASHES,
    NAMED,
    colour,
    drawn,
    label,
    legend,
    magnitude_axis,
    name_of,
    named,
    ordered,
    panels,
    pretty,
    wrap,
)

MARKERS = "osD^vPX"
LATITUDES = (COLOURS[5], COLOURS[0], "#000000", COLOURS[1], COLOURS[4])  # south pole to north pole


@drawn
def scores_by_lead(scores: xr.Dataset) -> Figure:
    """RMSE(lead) of every model with its interval; one panel per variable.

    ``rmse`` (model, variable, lead), ``rmse_low`` and ``rmse_high`` if there. Where variables differ in
    units, the coordinate ``variable_units`` (variable) names them. Logarithmic past a factor of 30.
    """
    return _by_lead(scores, "rmse")


@drawn
def ratio_to_persistence(scores: xr.Dataset) -> Figure:
    """RMSE(lead) / RMSE of persistence(lead), dimensionless, with its interval and the line at one.

    ``ratio`` (model, variable, lead), ``ratio_low`` and ``ratio_high`` if there.
    """
    figure = _by_lead(scores, "ratio", without="persistence")
    for panel in figure.axes:
        panel.axhline(1.0, color="#555555", linestyle=DASHES["persistence"], label="persistence = 1")
    figure.legends.clear()
    legend(figure, figure.axes[0])
    return figure


@drawn
def relative_error_by_lead(scores: xr.Dataset) -> Figure:
    """Mean over cases of RMSE / RMS(truth) by lead, dimensionless: ``nrmse`` (model, variable, lead)."""
    return _by_lead(scores, "nrmse")


@drawn
def correlation_by_lead(scores: xr.Dataset) -> Figure:
    """Mean over cases of the anomaly correlation by lead, dimensionless: ``acc`` (model, variable, lead)."""
    return _by_lead(scores, "acc")


def _by_lead(scores: xr.Dataset, quantity: str, without: str = "") -> Figure:
    """One panel per variable, one line per model, one shade per interval; side by side with bars at a single lead."""
    array = ordered(scores, quantity, "model", "variable", "lead")
    array = array.sel(model=[name for name in array["model"].values if name != without])
    figure, axes = panels(array.sizes["variable"], 3, 3.0)
    for panel, variable in zip(axes, array["variable"].values, strict=True):
        for model in array["model"].values:
            _interval(panel, scores, quantity, array.sel(variable=variable), str(model))
            _line(panel, array.sel(variable=variable), str(model))
        magnitude_axis(panel, array.sel(variable=variable).values, _floor(array.sel(variable=variable)))
        panel.set(
            title=str(variable), xlabel=label(array["lead"]), ylabel=wrap(_score_label(array, variable))
        )
        panel.xaxis.set_major_locator(_lead_ticks(array["lead"].values))
    legend(figure, axes[0])
    return figure


def _floor(array: xr.DataArray) -> float:
    """A hundredth of the emulator's least error: the rounding of an exact repeat would hide all else."""
    errors = array.sel(model=[name for name in array["model"].values if name == "emulator"]).values
    return 0.01 * float(np.min(errors, initial=np.inf, where=errors > 0)) if errors.size else 0.0


def _lead_ticks(leads: np.ndarray) -> Locator:
    """Each lead where they are few, else round numbers."""
    return FixedLocator(leads.tolist()) if len(leads) <= 8 else MaxNLocator(8, steps=[1, 2, 5, 10])


def _score_label(array: xr.DataArray, variable: object) -> str:
    """The label of a score, in the units of this variable where ``variable_units`` states them."""
    if "variable_units" not in array.coords or array.name != "rmse":
        return label(array)
    return f"{name_of(array)} ({pretty(str(array['variable_units'].sel(variable=variable).item()))})"


def _line(panel: Axes, array: xr.DataArray, model: str) -> None:
    names = list(array["model"].values)
    panel.plot(
        _places(array, model),
        array.sel(model=model).values,
        color=colour(model, names),
        linestyle=DASHES.get(model, "-"),
        marker=MARKERS[names.index(model) % len(MARKERS)] if array.sizes["lead"] <= 12 else "",
        linewidth=2.2 if model == "emulator" else 1.4,
        zorder=3 if model == "emulator" else 2,
        label=model,
    )


def _places(array: xr.DataArray, model: str) -> np.ndarray:
    """Where a model stands along the leads: on them, or beside the others at a single one."""
    leads, names = array["lead"].values, list(array["model"].values)
    beside = (names.index(model) - (len(names) - 1) / 2) * 0.02 if len(leads) == 1 else 0.0
    return np.asarray(leads * (1 + beside))


def _interval(panel: Axes, scores: xr.Dataset, quantity: str, array: xr.DataArray, model: str) -> None:
    if f"{quantity}_low" not in scores or f"{quantity}_high" not in scores:
        return
    at = {"model": model, "variable": array["variable"].item()}
    low, high = (scores[f"{quantity}_{end}"].sel(at).values for end in ("low", "high"))
    shade, places = colour(model, scores["model"].values), _places(array, model)
    if len(places) == 1:
        panel.vlines(places, low, high, color=shade, alpha=0.5)
    else:
        panel.fill_between(places, low, high, color=shade, alpha=0.18, linewidth=0)


@drawn
def loss_curves(metrics: Sequence[Mapping[str, Any]]) -> Figure:
    """Every column of ``metrics.csv`` with ``loss`` in its name, against ``step`` (or ``epoch``).

    Rows map column to number, text of a number, or nothing; a column is drawn where it has numbers.
    """
    names = losses(metrics)
    if not names:
        raise InputError("a column with loss in its name", "none with numbers", "train first")
    clock = "step" if any("step" in row for row in metrics) else "epoch"
    figure, (panel,) = panels(1, 1, 2.8)
    times = np.array([_number(row.get(clock)) for row in metrics])
    for name, shade in zip(names, COLOURS * len(names), strict=False):
        values = np.array([_number(row.get(name)) for row in metrics])
        there = np.isfinite(values)
        style: dict[str, Any] = {"color": shade, "marker": "o" if there.sum() <= 40 else ""}
        if name == "persistence_loss":
            style = {"color": NAMED["persistence"], "linestyle": DASHES["persistence"]}
        panel.plot(times[there], values[there], label=name.replace("_", " "), **style)
    unit = "optimiser steps" if clock == "step" else "epochs"
    panel.set(xlabel=f"training time ({unit})", ylabel="loss (dimensionless)", yscale="log")
    panel.legend()
    return figure


def losses(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """The columns that ``loss_curves`` draws, in their order."""
    names = dict.fromkeys(name for row in metrics for name in row if "loss" in name)
    return [name for name in names if any(np.isfinite(_number(row.get(name))) for row in metrics)]


def _number(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


@drawn
def symbol(analysis: xr.Dataset) -> Figure:
    """|G(theta)| above and phase speed -arg G / (c theta) below, per scheme; one column per direction.

    ``amplification`` and, if there, ``phase_speed`` (scheme, direction, theta); theta is k dx in radians.
    """
    names = [
        name
        for name in ("amplification", "phase_speed")
        if name in analysis and analysis[name].notnull().any()
    ]
    arrays = [ordered(analysis, name, "scheme", "direction", "theta") for name in names]
    columns = arrays[0].sizes["direction"]
    figure, axes = panels(len(names) * columns, columns, 2.5, sharex=True, sharey="row")
    for index, panel in enumerate(axes):
        array, direction = arrays[index // columns], index % columns
        _scheme_lines(panel, array.isel(direction=direction))
        panel.set_title(f"along {named(array, 'direction', direction)}" if index < columns else "")
        panel.set_ylabel(wrap(label(array)) if direction == 0 else "")
    for panel in axes[-columns:]:
        panel.set_xlabel(label(arrays[0]["theta"], "rad"))
    legend(figure, axes[0])
    return figure


def _scheme_lines(panel: Axes, array: xr.DataArray) -> None:
    """One line per scheme, the emulator's underneath and broad."""
    panel.axhline(1.0, color="#BBBBBB", linewidth=0.8)
    for scheme in map(str, array["scheme"].values):
        broad: dict[str, Any] = {"linewidth": 3.0, "alpha": 0.7} if scheme == "emulator" else {"zorder": 3}
        shade = colour(scheme, array["scheme"].values)
        values = array.sel(scheme=scheme).values
        panel.plot(
            array["theta"].values,
            values,
            label=scheme,
            color=shade,
            linestyle=DASHES.get(scheme, "-"),
            **broad,
        )


@drawn
def wave_errors(analysis: xr.Dataset) -> Figure:
    """|G^n - G_exact^n| against theta, logarithmic: a row per direction, a column per number of steps n.

    ``n_step_error`` (scheme, direction, theta, step).
    """
    array = ordered(analysis, "n_step_error", "direction", "step", "scheme", "theta")
    columns = array.sizes["step"]
    figure, axes = panels(array.sizes["direction"] * columns, columns, 2.2, sharex=True, sharey=True)
    for index, panel in enumerate(axes):
        _scheme_lines(panel, array[index // columns, index % columns])
        panel.set(yscale="log", title=f"n = {array['step'].values[index]}" if index < columns else "")
        panel.set_ylabel(
            f"along {named(array, 'direction', index // columns)}" if index % columns == 0 else ""
        )
    peak = float(array.max())
    axes[0].set_ylim(1e-6 * peak, 3 * peak)
    figure.supxlabel(label(array["theta"], "rad"), fontsize=9)
    figure.supylabel(label(array), fontsize=9)
    legend(figure, axes[0])
    return figure


@drawn
def zonal_waves(analysis: xr.Dataset) -> Figure:
    """Eastward phase speed and |G| against zonal wavenumber, a line per latitude.

    ``zonal_phase_speed`` in m/s and ``zonal_amplification`` (latitude, wavenumber); lines at zero and at one.
    """
    names = ("zonal_phase_speed", "zonal_amplification")
    figure, axes = panels(2, 2, 3.0)
    for panel, name, still in zip(axes, names, (0.0, 1.0), strict=True):
        array = ordered(analysis, name, "latitude", "wavenumber")
        panel.axhline(still, color=NAMED["persistence"], linestyle=DASHES["persistence"])
        _latitude_lines(panel, array)
        panel.xaxis.set_major_locator(FixedLocator(array["wavenumber"].values[1::2].tolist()))
        panel.set(xlabel=label(array["wavenumber"]), ylabel=label(array))
    legend(figure, axes[0])
    return figure


def _latitude_lines(panel: Axes, array: xr.DataArray) -> None:
    """Blues in the south, black at the equator, oranges in the north, paler towards the poles."""
    shades = LinearSegmentedColormap.from_list("latitude", LATITUDES)
    latitudes = array["latitude"].values
    places = 0.5 + 0.5 * latitudes / (np.abs(latitudes).max() or 1.0)
    for index, (place, marker) in enumerate(zip(places, cycle(MARKERS), strict=False)):
        name = named(array, "latitude", index).removeprefix("latitude ")
        panel.plot(
            array["wavenumber"].values, array.values[index], color=shades(place), marker=marker, label=name
        )
