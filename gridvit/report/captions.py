"""Which figure and table shows which variable, and the caption that tells how to read it."""

from __future__ import annotations

from collections.abc import Callable

import xarray as xr
from matplotlib.figure import Figure

from gridvit.report import costs, figures, heads, maps, scheme_tables, tables

Draw = Callable[[xr.Dataset], Figure]

SKILL: dict[str, tuple[Draw, str]] = {
    "ratio": (
        figures.ratio_to_persistence,
        "Error by lead as a share of the error of persistence, which forecasts no change. Below the "
        "dotted line at one a model knows more than the present state; shading is the 95 % bootstrap "
        "interval of the ratio.",
    ),
    "rmse": (
        figures.scores_by_lead,
        "Area-weighted root mean square error by lead. Lower is better; the thick line is the emulator, "
        "shading the 95 % bootstrap interval over cases. Cases are hard for all models alike, so the ratio "
        "tells models apart where these intervals overlap. The axis is logarithmic where errors differ by "
        "more than a factor of 30; errors far below the emulator's, as those of the scheme that made the "
        "data, are in the table only.",
    ),
    "nrmse": (
        figures.relative_error_by_lead,
        "Relative error by lead: root mean square error over root mean square of the truth, averaged over "
        "cases. At one, a forecast is as wrong as forecasting zero everywhere.",
    ),
    "acc": (
        figures.correlation_by_lead,
        "Anomaly correlation by lead: how alike the patterns of forecast and truth are, both as differences from the "
        "climatology. One is the truth; at 0.6 a weather map has just lost its use.",
    ),
    "zonal_spectrum": (
        costs.spectra,
        "Power by wavenumber at the last lead. A line that falls below the truth (grey) has smoothed these waves away, "
        "one above it has gained noise. Where the dotted error meets the truth, these waves are lost.",
    ),
    "quantity_mean": (
        costs.quantities,
        "What a flow may keep, by lead, averaged over cases. Where the truth (grey) is level the quantity is "
        "conserved, and a forecast that leaves it drifts.",
    ),
    "scaled_error": (
        costs.cost_error,
        "Error at the last lead against the cost of a forecast: processor time on this machine, and additions and "
        "multiplications, which NumPy's forecasts do not tell. Grey dots are the equation's own solver on fewer cells, "
        "by differences of every order and in the longest steps that work; the black line joins the best of them. An "
        "emulator pays where it lies below that line.",
    ),
}

ATTENTION: dict[str, tuple[Draw, str]] = {
    "attention_distance": (
        heads.attention_distance,
        "How far each head looks. Full dots: mean distance between a query and what it attends to; open "
        "dots: root mean square, which grows faster where part of the attention is far away; dashes: the "
        "distance that attention spread evenly over the area would have. Dots below the dashes are local "
        "heads, dots on them cannot be told from even attention by distance alone. Below, if shown: the "
        "share of the area that the attention fills.",
    ),
    "bias_kernel": (
        heads.bias_kernels,
        "What distance adds to the attention logit before any content is seen, a panel per layer, a line "
        "per head. A falling line prefers near tokens, a rising one far tokens; one logit more is a "
        "factor of 2.7 in weight. Only differences along a line matter.",
    ),
    "attention_radial": (
        heads.radial_attention,
        "Attention at a distance over what even attention would give there, a panel per layer, a line per "
        "head; a dot is a bin of distance that holds tokens. On the dotted line at one, distance does not "
        "matter; above it the head attends more than evenly.",
    ),
}

STENCILS: tuple[Draw, str] = (
    maps.attention_stencils,
    "Attention by token offset, averaged over queries and samples; rows are layers, columns heads, all on "
    "one logarithmic scale that ends at a thousandth of the greatest weight. A single bright cell off the "
    "centre is a shift, a round spot is smoothing, an even panel is global averaging.",
)
PROFILES: tuple[Draw, str] = (
    heads.attention_profiles,
    "Attention by token offset, averaged over queries and samples, a panel per layer, a line per head. A "
    "peak off the centre is a shift, a broad hump is smoothing, a level line is global averaging.",
)

SCHEME: dict[str, tuple[Draw, str]] = {
    "stencil": (
        maps.cell_stencils,
        "One time step as weights on neighbouring cells: what the emulator's Jacobian applies, beside the "
        "scheme that made the data and the exact solution operator; last, the emulator's difference from "
        "the scheme. Maps share one scale about zero, logarithmic beyond a thousandth of the peak. Weight "
        "lies upstream of the centre (cross): weight at offset d means that the new value draws on the "
        "old one at d.",
    ),
    "amplification": (
        figures.symbol,
        "The same operators wave by wave. Above, the factor by which one step scales a wave of phase "
        "angle θ per cell: below one damps, above one grows. Below, the speed at which it moves, relative "
        "to the true speed. Where the thick line follows a scheme, the emulator acts as that scheme does. "
        "Waves without energy in the data, mostly at large θ, were seen in training as noise (training.grid_noise) "
        "or not at all, and nothing else holds the emulator there.",
    ),
    "n_step_error": (
        figures.wave_errors,
        "What is wrong with a wave after n steps, against the exact solution. Where the thick line lies on that of a "
        "scheme, the emulator makes the errors of that scheme.",
    ),
}

SIGNED = (
    "What each head moves: its attention times the part of its values that one cell of a variable gives another, in "
    "cells. Red adds, blue takes away; a scheme of second order needs both signs."
)

SPHERE: dict[str, tuple[Draw, str]] = {
    "jacobian": (
        maps.jacobian_rows,
        "How the forecast at the cross responds to the present state around it, averaged along the "
        "latitude circle. Red: more there now means more at the cross at the next step; blue: less. The "
        "scale is logarithmic beyond a hundredth of the peak. A red patch west of the cross means that "
        "the emulator draws on what lies to the west, as eastward flow does.",
    ),
    "zonal_phase_speed": (
        figures.zonal_waves,
        "What these responses do to a wave with so many crests around the latitude circle. Left, the speed "
        "at which one step carries the crests: above the dotted line eastward, below it westward; a line at "
        "zero means persistence. In nature the waves of midlatitude weather, wavenumbers 5 to 9, move east "
        "at about 5 to 15 m s⁻¹. Right, the factor by which one step scales the wave: below the dotted line "
        "at one it is damped, above it grows; near zero, its speed on the left means nothing. Waves are "
        "taken as even over the latitudes of the maps above, on which the speed of the longest waves "
        "depends most.",
    ),
}

TABLES: dict[str, tuple[Callable[[xr.Dataset], tables.Table], str]] = {
    "velocity": (
        tables.recovered_table,
        "Velocity and diffusivity recovered from each operator's symbol. The emulator is to be read "
        "against the scheme that made its data first, and against the exact values second.",
    ),
    "distance_unweighted": (
        tables.distance_table,
        "Relative distance of the emulator's operator from each scheme: all waves counted alike, and "
        "weighted by the energy they have in the data (this one is the expected one-step error between "
        "the two).",
    ),
    "cumulant": (
        tables.cumulant_table,
        "Cumulants of the stencils, in cells: first order is minus the displacement per step, second "
        "twice the diffusion, third and fourth the dispersion and smoothing of the discretisation.",
    ),
    "modified_velocity": (
        scheme_tables.modified_table,
        "The equation that a step solves but for higher terms, from the cumulants of its lowest waves; in brackets the "
        "interval over states.",
    ),
    "one_step_expected": (
        scheme_tables.one_step_table,
        "The error of one step against each scheme on these data, relative mean square: what the linear parts let "
        "expect, its parts, and what is measured, with its standard error.",
    ),
    "mass_defect": (
        scheme_tables.defect_table,
        "What a step should keep and does not, relative to the field; odd share and anisotropy are properties rather "
        "than errors where the equation advects.",
    ),
    "spectral_radius": (
        tables.scalar_table,
        "The emulator's step as a whole, waves that its patches mix included. Repeated steps grow without "
        "bound where the largest eigenvalue passes one.",
    ),
}
