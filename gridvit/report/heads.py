"""What heads attend to, against distance: dots, bias kernels, radial profiles. Dataset in, Figure out."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gridvit.report.canvas import (
    COLOURS,
    DASHES,
    SEQUENTIAL,
    WIDTH,
    balanced,
    colour_bar,
    coloured,
    coordinate,
    drawn,
    head_styles,
    label,
    label_outer,
    legend,
    magnitude_axis,
    named,
    ordered,
    panels,
    peak_of,
    windowed,
    wrap,
)


@drawn
def attention_distance(analysis: xr.Dataset) -> Figure:
    """D = mean of sum_j A_ij d_ij, one dot per head by layer, with the baseline of uniform attention.

    ``attention_distance`` (layer, head); ``attention_rms``, ``attention_uniform`` and
    ``effective_area_fraction`` are drawn where they are there.
    """
    quantities = [name for name in ("attention_distance", "effective_area_fraction") if name in analysis]
    figure, axes = panels(len(quantities), 1, 2.7, sharex=True)
    for panel, quantity in zip(axes, quantities, strict=True):
        _dots(panel, ordered(analysis, quantity, "layer", "head"), color=COLOURS[0], s=22, label="mean")
        panel.set_ylabel(wrap(label(analysis[quantity])))
    _distance_references(axes[0], analysis)
    for panel in axes:
        panel.margins(y=0.12)  # marks at the rim stay whole
        panel.set_ylim(bottom=0)
    axes[-1].set_xlabel("layer (index); within a layer the heads stand in order, numbered")
    legend(figure, axes[0])
    return figure


def _distance_references(panel: Axes, analysis: xr.Dataset) -> None:
    """Open dots for the root mean square distance, dashes for uniform attention, numbers for the heads."""
    if "attention_rms" in analysis:
        rms = ordered(analysis, "attention_rms", "layer", "head")
        _dots(panel, rms, facecolors="none", edgecolors=COLOURS[0], s=22, label="root mean square")
    if "attention_uniform" in analysis:
        uniform = ordered(analysis, "attention_uniform", "layer", "head")
        _dots(panel, uniform, marker="_", color="#000000", s=60, label="uniform attention")
    mean = ordered(analysis, "attention_distance", "layer", "head")
    if mean.size > 48:  # the numbers would run into each other
        return
    for (layer, head), value in np.ndenumerate(mean.values):
        at = _places(mean)[layer, head]
        panel.annotate(
            str(head), (at, value), (0, -11), textcoords="offset points", ha="center", fontsize=6.5
        )


def _places(array: xr.DataArray) -> np.ndarray:
    """Abscissa (layer, head) of each dot: the layer, and the heads spread over 0.7 of its width."""
    layers, heads = array.sizes["layer"], array.sizes["head"]
    spread = 0.7 * (np.arange(heads) - (heads - 1) / 2) / heads
    return np.asarray(np.arange(layers)[:, None] + spread)


def _dots(panel: Axes, array: xr.DataArray, **style: Any) -> None:
    panel.scatter(_places(array), array.values, clip_on=False, zorder=3, **style)
    ticks = coordinate(array, "layer").values
    panel.set_xticks(np.arange(len(ticks)), [str(tick) for tick in ticks])


@drawn
def bias_kernels(analysis: xr.Dataset) -> Figure:
    """b_h(d), the logit that each head adds for distance d: ``bias_kernel`` (layer, head, distance)."""
    return _curves_by_layer(ordered(analysis, "bias_kernel", "layer", "head", "distance"), level=0.0)


@drawn
def radial_attention(analysis: xr.Dataset) -> Figure:
    """g(d), attention at distance d over the uniform one: ``attention_radial`` (layer, head, distance)."""
    return _curves_by_layer(ordered(analysis, "attention_radial", "layer", "head", "distance"), level=1.0)


@drawn
def attention_profiles(analysis: xr.Dataset) -> Figure:
    """Attention against token offset on a line of tokens: ``attention_stencil`` (layer, head, dx)."""
    return _curves_by_layer(windowed(analysis, "attention_stencil", "layer", "head"), units="tokens")


@drawn
def signed_profiles(analysis: xr.Dataset) -> Figure:
    """What a head moves with its sign, on a line of cells: ``signed_stencil`` (layer, head, dx)."""
    return _curves_by_layer(windowed(analysis, "signed_stencil", "layer", "head"), 0.0, "cells")


def _curves_by_layer(array: xr.DataArray, level: float | None = None, units: str = "1") -> Figure:
    """One panel per layer, one line per head, the reference level as a dotted line.

    Lines join the values that there are: on few tokens many bins of distance hold no pair.
    """
    columns = balanced(array.sizes["layer"])
    figure, axes = panels(array.sizes["layer"], columns, 2.3, sharex=True, sharey=True)
    axis = coordinate(array, str(array.dims[-1]))
    points = "." if array.shape[-1] <= 24 else ""
    for layer, panel in enumerate(axes):
        if level is not None:
            panel.axhline(level, color="#555555", linestyle=DASHES["persistence"])
        for head, style in enumerate(head_styles(array.sizes["head"])):
            there = np.isfinite(array.values[layer, head])
            x, y = axis.values[there], array.values[layer, head][there]
            panel.plot(x, y, marker=points, label=named(array, "head", head), **style)
        panel.set_title(named(array, "layer", layer))
    if level == 1.0:
        magnitude_axis(axes[0], array.values, floor=1e-3)
    axes[0].xaxis.set_major_locator(MaxNLocator(4))
    label_outer(axes, columns, label(axis, units), label(array))
    legend(figure, axes[0])
    return figure


@drawn
def attention_matrices(analysis: xr.Dataset) -> Figure:
    """A_ij / w_j of tokens on a line, j to the right and i upwards; heads side by side, layers below each other.

    ``attention_map`` (place, layer, head, token). One logarithmic scale, from a thousandth of the greatest value.
    """
    array = analysis["attention_map"].transpose("layer", "head", "place", ...)
    layers, heads = array.shape[:2]
    token = str(array.dims[-1])
    places = array.swap_dims(place=f"place_{token.removeprefix('attended_')}")
    figure, axes = panels(layers * heads, heads, min(2.6, WIDTH / heads), sharex=True, sharey=True)
    peak = peak_of(array.values)
    norm = LogNorm(peak * 1e-3, peak, clip=True)
    for index, panel in enumerate(axes):
        mesh = coloured(panel, places[index // heads, index % heads], norm, SEQUENTIAL)
        panel.set_title(f"{named(array, 'layer', index // heads)}, {named(array, 'head', index % heads)}")
    x = coordinate(array, token)
    label_outer(axes, heads, f"to {label(x)}", f"from {label(x)}")
    colour_bar(figure, mesh, axes, label(array), "right")
    return figure
