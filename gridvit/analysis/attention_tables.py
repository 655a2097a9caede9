"""Names and units of what is measured of attention."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.grid import Grid


def table_of(values: np.ndarray, long_name: str, units: str, dims: tuple[str, ...] = ()) -> xr.DataArray:
    """Values per layer and head with their name and unit."""
    attrs = {"long_name": long_name, "units": units}
    return xr.DataArray(values, dims=("layer", "head", *dims), attrs=attrs)


def distance_tables(found: dict[str, np.ndarray], grid: Grid) -> xr.Dataset:
    """What ``attention_distance`` gives, of numbers that were found elsewhere, block by block.

    Args:
        found: ``distance, rms, uniform, uniform_rms, area, dropped``.
        grid: the token grid.
    """
    unit, mean, uniform = grid.distance_units, found["distance"], found["uniform"]
    tables = {
        "attention_distance": (mean, "mean attention distance", unit),
        "attention_rms": (found["rms"], "root mean square attention distance", unit),
        "attention_uniform": (uniform, "mean distance under uniform attention", unit),
        "attention_uniform_rms": (
            found["uniform_rms"],
            "root mean square distance under uniform attention",
            unit,
        ),
        "attention_ratio": (mean / uniform, "attention distance over its uniform baseline", "1"),
        "effective_area_fraction": (found["area"], "effective area fraction of attention", "1"),
        "dropped_mass": (found["dropped"], "attention to tokens without a place", "1"),
    }
    return xr.Dataset({name: table_of(*table) for name, table in tables.items()})


def lift_table(
    lift: Float[np.ndarray, "layer head bin"], edges: Float[np.ndarray, "edge"], grid: Grid
) -> xr.DataArray:
    """What ``radial_lift`` gives, of numbers that were found elsewhere, block by block."""
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
