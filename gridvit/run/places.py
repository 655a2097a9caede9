"""Where attention from a place goes, for as many places as a page can hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int

from gridvit.grid import Grid
from gridvit.nn.looking import attention_from
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context

STATES = 4  # that a map is the mean of
VALUES = 2**20  # of all maps together


def attention_places(step: ModelStep, states: torch.Tensor, context: Context) -> xr.Dataset:
    """``attention_map (place, layer, head, *token)``: attention from a place over uniform attention, 1 where even.

    The places are all tokens, or tokens spread evenly over the grid where all maps would be more than ``VALUES``
    numbers. Of the states the first ``STATES`` are looked at.
    """
    tokens, network = step.token_grid, step.attending
    kept = slice(min(STATES, len(states)))
    with torch.no_grad():
        x = step.inputs(states[kept], context.take(kept))
        told = step.told(x, context.take(kept))
    heads = network.config.depth * network.config.heads
    chosen = spread(tokens, max(1, VALUES // (heads * tokens.size)))
    maps = attention_from(network, x, chosen, condition=told).movedim(2, 0).float().numpy()
    return place_table(maps, chosen, tokens, len(x))


def spread(grid: Grid, most: int) -> Int[np.ndarray, "place"]:
    """Flat numbers of at most ``most`` cells, evenly spread along each axis and away from its ends; all where few."""
    if grid.size <= most:
        return np.arange(grid.size)
    share = (most / grid.size) ** (1 / grid.ndim)
    counts = [max(1, int(share * n)) for n in grid.shape]
    lines = [((np.arange(m) + 0.5) * n / m).astype(int) for m, n in zip(counts, grid.shape, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*lines, indexing="ij"), grid.shape).ravel()


def place_table(maps: np.ndarray, chosen: Int[np.ndarray, "place"], tokens: Grid, states: int) -> xr.Dataset:
    """The maps with the coordinates of their tokens and of the places, in tokens on a curvilinear mesh."""
    straight, coords = tokens.mesh is None, dict[str, Any]()
    where = np.unravel_index(chosen, tokens.shape)
    for name, unit, centers, index in zip(tokens.names, tokens.units, tokens.centers, where, strict=True):
        line = centers if straight else np.arange(len(centers))
        about = {"long_name": name, "units": unit if straight else "tokens"}
        coords[f"attended_{name}"] = (f"attended_{name}", line, about)
        coords[f"place_{name}"] = ("place", line[index], about)
    found: dict[str, Any] = {
        "long_name": "attention from a place over uniform attention",
        "units": "1",
        "states": states,
    }
    dims = ("place", "layer", "head", *(f"attended_{name}" for name in tokens.names))
    return xr.Dataset({"attention_map": (dims, maps.reshape(*maps.shape[:3], *tokens.shape), found)}, coords)
