"""Names and units of what is measured of attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.analysis.pairs import Pairs
from gridvit.grid import Grid

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)
HEADS = ("layer", "head")
Entry = tuple[str, tuple[str, ...], np.ndarray, str, str]  # name, dimensions, values, long name, unit


def table_of(values: np.ndarray, long_name: str, units: str, dims: tuple[str, ...] = ()) -> xr.DataArray:
    """Values per layer and head with their name and unit."""
    attrs = {"long_name": long_name, "units": units}
    return xr.DataArray(values, dims=(*HEADS, *dims), attrs=attrs)


def distance_tables(found: dict[str, np.ndarray], pairs: Pairs) -> xr.Dataset:
    """What ``Looking`` found, with names and units.

    Args:
        found: as ``Looking.tables`` makes them.
        pairs: of the tokens.
    """
    grid = pairs.grid
    unit = grid.distance_units
    entries = [*_heads(found, unit), *_spreads(found, unit), *_maps(found, unit, place_dims(grid))]
    axis = (
        "axis",
        list(pairs.axes),
        {"long_name": "on a sphere the direction in which the shortest way begins"},
    )
    coords: dict[str, Any] = {
        "quantile": ("quantile", np.array(QUANTILES), {"long_name": "share of the attention", "units": "1"}),
        "axis": axis if grid.is_sphere else ("axis", list(pairs.axes), {"long_name": "axis"}),
        **place_coords(grid),
    }
    tables = {name: (dims, values, attributes(*about)) for name, dims, values, *about in entries}
    found_tables = xr.Dataset(tables, coords)
    return found_tables.assign(attention_radial=lift_table(found["lift"], pairs.edges, grid))


def attributes(long_name: str, units: str) -> dict[str, str]:
    """Those of a variable."""
    return {"long_name": long_name, "units": units}


def _heads(found: dict[str, np.ndarray], unit: str) -> list[Entry]:
    """One number for each layer and head."""
    mean, rms = found["distance"], found["rms"]
    uniform, uniform_rms = (
        np.full_like(mean, found[name].item()) for name in ("uniform_distance", "uniform_rms")
    )
    return [
        ("attention_distance", HEADS, mean, "mean attention distance", unit),
        ("attention_rms", HEADS, rms, "root mean square attention distance", unit),
        ("attention_uniform", HEADS, uniform, "mean distance under uniform attention", unit),
        (
            "attention_uniform_rms",
            HEADS,
            uniform_rms,
            "root mean square distance under uniform attention",
            unit,
        ),
        (
            "attention_ratio",
            HEADS,
            mean / uniform,
            "attention distance over its uniform baseline",
            "1",
        ),
        ("effective_area_fraction", HEADS, found["area"], "effective area fraction of attention", "1"),
        ("dropped_mass", HEADS, found["dropped"], "attention to tokens without a place", "1"),
        ("sink_tokens", HEADS, found["sinks"], "tokens that are sinks of attention", "1"),
        ("sink_mass", HEADS, found["sink_mass"], "attention that goes to sinks", "1"),
        (
            "attention_distance_without_sinks",
            HEADS,
            found["without_sinks"],
            "mean attention distance without the sinks",
            unit,
        ),
    ]


def _spreads(found: dict[str, np.ndarray], unit: str) -> list[Entry]:
    """Quantiles, and root mean squares along each axis."""
    along = "root mean square of the way along an axis"
    return [
        (
            "attention_quantile",
            (*HEADS, "quantile"),
            found["quantile"],
            "quantile of attention distance",
            unit,
        ),
        (
            "attention_uniform_quantile",
            ("quantile",),
            found["uniform_quantile"][0],
            "quantile of distance under uniform attention",
            unit,
        ),
        ("attention_rms_along", (*HEADS, "axis"), found["along"], along, unit),
        (
            "attention_uniform_rms_along",
            ("axis",),
            found["uniform_along"][0],
            f"{along} under uniform attention",
            unit,
        ),
    ]


def _maps(found: dict[str, np.ndarray], unit: str, space: tuple[str, ...]) -> list[Entry]:
    """One number for each token."""
    here = (*HEADS, *space)
    return [
        ("attention_distance_map", here, found["distance_map"], "mean attention distance of a token", unit),
        (
            "attention_uniform_map",
            space,
            found["uniform_map"],
            "mean distance of a token under uniform attention",
            unit,
        ),
        (
            "received_attention",
            here,
            found["received_map"],
            "attention that a token receives over that under uniform attention",
            "1",
        ),
    ]


def place_dims(grid: Grid) -> tuple[str, ...]:
    """Names of the axes of a map over tokens, beside those of the cells in one file."""
    return tuple(f"token_{name}" for name in grid.names)


def place_coords(grid: Grid) -> dict[str, Any]:
    """Where the tokens are, by the names of ``place_dims``."""
    inner = {name: c for name, c in grid.coords().items() if {*c[0]} <= {*grid.names}}
    renamed = {}
    for name, (dims, values, attrs) in inner.items():
        kept = {key: value for key, value in attrs.items() if key not in ("bounds", "axis")}
        renamed[f"token_{name}"] = (tuple(f"token_{d}" for d in dims), values, kept)
    return renamed


def lift_table(
    lift: Float[np.ndarray, "layer head bin"], edges: Float[np.ndarray, "edge"], grid: Grid
) -> xr.DataArray:
    """What ``radial_lift`` gives."""
    table = table_of(lift, "attention over uniform attention", "1", ("distance",))
    centers = (
        "distance",
        (edges[1:] + edges[:-1]) / 2,
        {"units": grid.distance_units, "long_name": "distance"},
    )
    return table.assign_coords(distance=centers).rename("attention_radial")


def zonal_table(aligned: Float[np.ndarray, "layer head latitude key dlon"], grid: Grid) -> xr.DataArray:
    """What ``zonal_stencil`` gives, of attention by latitudes and eastward offset modulo the circle."""
    n = grid.shape[1]
    offsets = np.fft.fftfreq(n, 1 / n).round()
    order = np.argsort(offsets)
    table = table_of(
        aligned[..., order], "zonally averaged attention", "1", ("latitude", "key_latitude", "dlon")
    )
    north, east = {"units": "degrees_north"}, {"units": "degrees_east", "long_name": "eastward to the key"}
    return table.assign_coords(
        latitude=("latitude", grid.centers[0], {**north, "long_name": "latitude of the query"}),
        key_latitude=("key_latitude", grid.centers[0], {**north, "long_name": "latitude of the key"}),
        dlon=("dlon", offsets[order] * grid.lengths[1] / n, east),
    ).rename("zonal_stencil")
