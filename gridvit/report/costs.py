"""Error against cost, spectra and what drifts: further figures of scores. Dataset in, Figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from gridvit.report.canvas import (
    DASHES,
    balanced,
    colour,
    drawn,
    label,
    legend,
    named,
    ordered,
    panels,
    pretty,
    wrap,
)

TRUTH = "truth"
BELOW = 1e-3
"""Of the emulator's error, down to which errors are shown: the rounding of an exact repeat would hide all else."""
COSTS = ("seconds", "operations")


@drawn
def cost_error(scores: xr.Dataset) -> Figure:
    """Error at the last lead against processor time and against operations, both logarithmic.

    ``scaled_error`` (model, lead), ``seconds`` and ``operations`` (model); of solvers ``solver_error`` (solver, lead),
    ``solver_seconds``, ``solver_operations`` and ``solver_best_*`` (solver), if there: those that no other beats are
    joined.
    """
    figure, axes = panels(len(COSTS), 2, 3.6, sharey=True)
    error = ordered(scores, "scaled_error", "model", "lead").isel(lead=-1)
    for panel, cost in zip(axes, COSTS, strict=True):
        if "solver_error" in scores:
            _solvers(panel, scores, cost)
        for model in map(str, scores["model"].values):
            broad: dict[str, Any] = {"s": 60, "zorder": 4} if model == "emulator" else {"s": 30, "zorder": 3}
            shade = colour(model, scores["model"].values)
            panel.scatter(
                scores[cost].sel(model=model), error.sel(model=model), color=shade, label=model, **broad
            )
        panel.set(xlabel=wrap(label(scores[cost])), xscale="log", yscale="log")
    axes[0].set_ylabel(wrap(f"{label(error)}, {named(scores['scaled_error'], 'lead', -1)}"))
    _floor(axes[0], error)
    legend(figure, axes[0])
    return figure


def _solvers(panel: Axes, scores: xr.Dataset, cost: str) -> None:
    costs, errors = (
        scores[f"solver_{cost}"].values,
        ordered(scores, "solver_error", "solver", "lead").values[:, -1],
    )
    best = np.flatnonzero(scores[f"solver_best_{cost}"].values)
    joined = best[np.argsort(costs[best])]
    panel.scatter(
        costs, errors, s=8, color="#BBBBBB", label="solver on fewer cells or in longer steps", zorder=1
    )
    panel.plot(costs[joined], errors[joined], color="#000000", marker=".", label="the best of them", zorder=2)


def _floor(panel: Axes, error: xr.DataArray) -> None:
    """A thousandth of the emulator's error, where less than that is there."""
    if "emulator" in error["model"].values and (least := BELOW * float(error.sel(model="emulator"))) > 0:
        panel.set_ylim(bottom=max(panel.get_ylim()[0], least))


@drawn
def spectra(scores: xr.Dataset) -> Figure:
    """Power by wavenumber at the last lead, logarithmic: a row per kind of spectrum, a column per variable.

    ``zonal_spectrum`` and ``isotropic_spectrum`` (source, lead, variable, wavenumber), whichever is there; the truth
    thick. Of the emulator the power of its error too, dotted.
    """
    kinds = [kind for kind in ("zonal", "isotropic") if f"{kind}_spectrum" in scores]
    variables = list(map(str, scores["variable"].values))
    figure, axes = panels(len(kinds) * len(variables), len(variables), 2.6)
    for place, panel in enumerate(axes):
        kind, variable = kinds[place // len(variables)], variables[place % len(variables)]
        _power(panel, scores.sel(variable=variable).isel(lead=-1), kind)
        panel.set_title(variable if place < len(variables) else "")
    legend(figure, axes[0])
    return figure


def _style(source: str, array: xr.DataArray) -> dict[str, Any]:
    """The truth broad and grey under the colours of forecasts."""
    if source == TRUTH:
        return {"linewidth": 3.0, "color": "#999999"}
    forecasts = [name for name in array["source"].values if name != TRUTH]
    return {"color": colour(source, forecasts), "linestyle": DASHES.get(source, "-")}


def _power(panel: Axes, scores: xr.Dataset, kind: str) -> None:
    waves = f"{kind}_wavenumber"
    power = ordered(scores, f"{kind}_spectrum", "source", waves)
    for source in map(str, power["source"].values):
        style = _style(source, power)
        panel.plot(scores[waves].values[1:], power.sel(source=source).values[1:], label=source, **style)
    if "emulator" in power["source"].values:
        error = scores[f"{kind}_error"].sel(source="emulator").values[1:]
        style = {**_style("emulator", power), "linestyle": ":"}
        panel.plot(scores[waves].values[1:], error, label="error of the emulator", **style)
    panel.set(xlabel=wrap(label(scores[waves])), ylabel=wrap(label(power)), xscale="log", yscale="log")
    panel.xaxis.set_minor_formatter(NullFormatter())
    largest = float(power.sel(source=TRUTH).max())
    panel.set_ylim(bottom=max(panel.get_ylim()[0], 1e-12 * largest))


@drawn
def quantities(scores: xr.Dataset) -> Figure:
    """Means, energies and enstrophy by lead: a panel per quantity, the truth thick, intervals shaded.

    ``quantity_mean`` (source, lead, quantity) with ``_low`` and ``_high``; the coordinate ``quantity_units`` names
    units.
    """
    array = ordered(scores, "quantity_mean", "source", "lead", "quantity")
    figure, axes = panels(array.sizes["quantity"], balanced(array.sizes["quantity"]), 2.4)
    for place, panel in enumerate(axes):
        one = array.isel(quantity=place)
        for source in map(str, array["source"].values):
            style = _style(source, array)
            panel.plot(one["lead"].values, one.sel(source=source).values, label=source, **style)
            low, high = (
                scores[f"quantity_mean_{end}"].sel(source=source).isel(quantity=place).values
                for end in ("low", "high")
            )
            panel.fill_between(one["lead"].values, low, high, color=style["color"], alpha=0.15, linewidth=0)
        units = pretty(str(one["quantity_units"].item()))
        panel.set(title=str(one["quantity"].item()), xlabel=label(array["lead"]), ylabel=units)
    legend(figure, axes[0])
    return figure
