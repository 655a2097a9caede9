"""Where the attention of a run looks: distances, profiles, bias curves, stencils of tokens."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from gridvit.analysis.looking import Areas, attention_by_blocks
from gridvit.grid import Grid
from gridvit.nn.hidden import present_areas
from gridvit.nn.looking import attention_by_offset, bias_maps
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.stencil import Stencil

BINS = 20  # of distance
HELD = 2**22  # weights held at once; their analysis in float64 takes some ten times as much, 0.3 GiB


def attention(step: ModelStep, states: torch.Tensor, context: Context) -> xr.Dataset:
    """Attention distance, radial profile, bias curves and (on a torus) attention stencils per layer and head.

    Beside it stands what the bias alone would make of attention. Blocks of queries are looked at one after another: no
    matrix of all pairs of tokens is held.
    """
    tokens, found = step.token_grid, looked(step, states, context)
    parts = [found]
    if not tokens.is_sphere and all(tokens.periodic):
        x, told = inputs(step, states, context)
        kernel = attention_by_offset(step.attending, x, held_queries(step, len(x)), told).numpy()
        parts.append(token_stencils(Stencil.from_array(kernel, tokens.spacing, ("layer", "head")), tokens))
    parts.append(bias_curves(step, found["distance"]))
    return xr.merge(parts, join="exact", combine_attrs="drop_conflicts")


def looked(step: ModelStep, states: torch.Tensor, context: Context) -> xr.Dataset:
    """``attention_distance`` and ``radial_lift`` of a step at some states, beside those of its bias alone."""
    network, areas = step.attending, token_areas(step, states)
    x, told = inputs(step, states, context)
    maps = network.attention_maps(x, held_queries(step, len(x)), told)
    found = attention_by_blocks(maps, step.token_grid, areas, network.config.registers, BINS)
    return found.merge(alone(step, states, found))


@torch.no_grad()
def inputs(
    step: ModelStep, states: torch.Tensor, context: Context
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """What the network is given and told of the states."""
    x = step.inputs(states, context)
    return x, step.told(x, context)


def held_queries(step: ModelStep, states: int) -> int:
    """How many queries are looked at together."""
    network = step.attending
    return max(1, min(256, HELD // (states * network.config.heads * network.groups * step.token_grid.size)))


def token_areas(step: ModelStep, states: torch.Tensor) -> Areas:
    """Areas of sum one: of the tokens (one row), or of what each state has of them."""
    return present_areas(step.token_grid, step.token_share(states)).numpy()


def alone(step: ModelStep, states: torch.Tensor, found: xr.Dataset) -> xr.Dataset:
    """Distance and effective area of the bias without content, beside what is ``found`` of both together."""
    network, share = step.attending, step.token_share(states)
    block = held_queries(step, 1 if share is None else len(states))
    maps = bias_maps(network, share, block)
    bias = attention_by_blocks(maps, step.token_grid, token_areas(step, states), network.config.registers)
    named = {
        "bias_distance": ("attention_distance", "mean distance of attention by the bias alone"),
        "bias_rms": ("attention_rms", "root mean square distance of attention by the bias alone"),
        "bias_effective_area_fraction": (
            "effective_area_fraction",
            "effective area fraction of the bias alone",
        ),
    }
    tables = {name: bias[of].assign_attrs(long_name=long_name) for name, (of, long_name) in named.items()}
    ratio = (found["attention_distance"] / bias["attention_distance"]).assign_attrs(
        long_name="attention distance over that of the bias alone", units="1"
    )
    return xr.Dataset({**tables, "attention_over_bias": ratio})


def token_stencils(stencil: Stencil, tokens: Grid) -> xr.Dataset:
    """An attention stencil as a map over token offsets."""
    lines = [np.unique(stencil.offsets[:, axis]) for axis in range(tokens.ndim)]
    full = np.zeros((*stencil.weights.shape[:-1], *(len(line) for line in lines)))
    place = tuple(
        np.searchsorted(line, column) for line, column in zip(lines, stencil.offsets.T, strict=True)
    )
    full[(..., *place)] = stencil.weights
    names = [f"token_d{name}" for name in tokens.names]
    coords = {
        name: (name, line, {"long_name": f"offset along {axis}", "units": "tokens"})
        for name, line, axis in zip(names, lines, tokens.names, strict=True)
    }
    attrs = {"long_name": "mean attention by offset", "units": "1"}
    return xr.Dataset({"attention_stencil": (("layer", "head", *names), full, attrs)}, coords)


def bias_curves(step: ModelStep, distance: xr.DataArray) -> xr.Dataset:
    """The learned bias against distance, its signed length scale, and the error of a series, per layer and head."""
    points = torch.tensor(distance.values, dtype=torch.float32)
    with torch.no_grad():
        biases = step.attending.biases
        curves = torch.stack([bias.kernel(points) for bias in biases]).numpy()
        lengths = torch.stack([bias.length() for bias in biases]).numpy()
        errors = torch.stack([bias.approximation_error() for bias in biases]).numpy()
    units = distance.attrs.get("units", "1")
    series = {
        "bias_error": (
            ("layer", "head"), errors, {"long_name": "error of the series of the distance bias", "units": "1"}
        )
    }  # fmt: skip
    return xr.Dataset(
        {
            "bias_kernel": (
                ("layer", "head", "distance"), curves, {"long_name": "distance bias of the logits", "units": "1"}
            ),
            "bias_length": (
                ("layer", "head"), lengths, {"long_name": "signed length of the distance bias", "units": units}
            ),
            **(series if errors.any() else {}),
        },
        coords={"distance": distance},
    )  # fmt: skip
