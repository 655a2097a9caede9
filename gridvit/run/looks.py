"""Where the attention of a run looks: distances, profiles, bias curves, stencils of tokens."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from gridvit.analysis.attention_tables import distance_tables, lift_table
from gridvit.grid import Grid
from gridvit.nn.looking import attention_by_offset, attention_statistics
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.stencil import Stencil

BINS = 20  # of distance
HELD = 2**22  # weights held at once; their analysis in float64 takes some ten times as much, 0.3 GiB


def attention(step: ModelStep, states: torch.Tensor, context: Context) -> xr.Dataset:
    """Attention distance, radial profile, bias curves and (on a torus) attention stencils per layer and head.

    Blocks of queries are looked at one after another: no matrix of all pairs of tokens is held.
    """
    network, tokens = step.attending, step.token_grid
    with torch.no_grad():
        x = step.inputs(states, context)
        told = step.told(x, context)
    block = max(1, min(256, HELD // (len(x) * network.config.heads * tokens.size)))
    statistics = attention_statistics(network, x, BINS, block, told)
    found = {name: value.numpy() for name, value in statistics.items()}
    lift = lift_table(found["lift"], found["edges"], tokens)
    parts = [distance_tables(found, tokens), lift.to_dataset(name="attention_radial")]
    if not tokens.is_sphere and all(tokens.periodic):
        kernel = attention_by_offset(network, x, block, told).numpy()
        parts.append(token_stencils(Stencil.from_array(kernel, tokens.spacing, ("layer", "head")), tokens))
    parts.append(bias_curves(step, parts[1]["distance"]))
    return xr.merge(parts, join="exact", combine_attrs="drop_conflicts")


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
