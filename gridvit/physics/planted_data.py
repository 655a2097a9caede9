"""A planted world as a CF Dataset that carries its truth."""

from __future__ import annotations

import numpy as np
import xarray as xr
from jaxtyping import Float, Shaped

from gridvit.errors import InputError
from gridvit.physics.planted import Planted, Region, caps

START = np.datetime64("2001-01-01", "D")
YEAR = 365.2425
"""Days in a mean year."""


def dataset(world: Planted, steps: int, seed: int = 0) -> xr.Dataset:
    """x(time, latitude, longitude), float32: what is seen of a planted world from 1 January 2001 on.

    What is not observed is NaN. ``region`` says by number where the caps are (0: nowhere), and the attribute
    ``gridvit_planted`` holds the whole world: ``Planted.from_attrs(ds.attrs, grid)`` gives it back.

    Raises:
        InputError: fewer than two steps.
    """
    if steps < 2:
        raise InputError("at least 2 steps", f"{steps}", "ask for more: a file needs a time step")
    grid, times = world.grid, START + np.arange(steps) * np.timedelta64(world.days, "D")
    seen = observed(world, world.simulate(steps, seed, _months(times)), times)
    labels = {
        "flag_values": np.arange(len(world.names) + 1),
        "flag_meanings": " ".join(("none", *world.names)),
    }
    number = (world.caps * np.arange(1, len(world.names) + 1)[:, None]).max(axis=0).astype(np.int32)
    data = {
        "x": (("time", *grid.names), seen.astype(np.float32), {"long_name": "planted field", "units": "1"}),
        "region": (grid.names, number.reshape(grid.shape), {"long_name": "region", "units": "1", **labels}),
    }
    coords = {"time": ("time", times.astype("datetime64[ns]"), {"axis": "T", "long_name": "time"})}
    form = "linear" if world.is_linear else "nonlinear"
    attrs = {"Conventions": "CF-1.11", "title": f"planted world, {form}", "gridvit_planted": world.to_json()}
    found = xr.Dataset(data, {**coords, **grid.coords()}, {**attrs, "gridvit_seed": int(seed)})
    return found.set_coords("region")


def observed(
    world: Planted, states: Float[np.ndarray, "time lat lon"], times: Shaped[np.ndarray, "time"]
) -> Float[np.ndarray, "time lat lon"]:
    """x of z by the climate of a world; NaN where nothing is observed."""
    climate, grid = world.climate, world.grid
    days = (times - times[:1]) / np.timedelta64(1, "D")
    years = (times - times.astype("datetime64[Y]")) / np.timedelta64(1, "D") / YEAR
    season = np.cos(2 * np.pi * years)[:, None, None] * np.sin(np.deg2rad(grid.centers[0]))[:, None]
    seen = climate.mean * season + (1 + climate.spread * season) * states
    seen += (climate.trend * days / YEAR)[:, None, None]
    seen[_hidden(world, len(times))] = np.nan
    return seen


def graph(world: Planted) -> xr.Dataset:
    """The links as a table along ``link``: what a nonlinear world is scored by."""
    columns = {
        "source": ("region that acts", [link.source for link in world.links]),
        "target": ("region that is acted on", [link.target for link in world.links]),
        "lag": ("steps from cause to effect", [link.lag for link in world.links]),
        "strength": ("strength with its sign", [link.strength for link in world.links]),
        "rectified": ("whether positive values alone act", [link.rectified for link in world.links]),
        "gated": ("whether the link acts in some months alone", [bool(link.months) for link in world.links]),
    }
    return xr.Dataset(
        {
            name: ("link", values, {"long_name": text, "units": "1"})
            for name, (text, values) in columns.items()
        }
    )


def _hidden(world: Planted, steps: int) -> np.ndarray:
    """(time, lat, lon) without observations: land always, the swath where it is."""
    climate, grid = world.climate, world.grid
    hidden = np.zeros((steps, grid.size), dtype=bool)
    hidden |= caps(climate.land, grid).any(axis=0)
    if climate.swath:
        east = (np.arange(steps) * climate.swath_speed) % 360
        hidden |= caps([Region("", 0.0, float(x), climate.swath) for x in east], grid)
    return hidden.reshape(steps, *grid.shape)


def _months(times: np.ndarray) -> np.ndarray:
    return times.astype("datetime64[M]").astype(int) % 12 + 1
