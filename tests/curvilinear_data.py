"""A made field on a mesh with a rotated pole: a blob that drifts along the mesh, in the layout of a regional model."""

from __future__ import annotations

import numpy as np
import xarray as xr

NORTH = {"standard_name": "latitude", "units": "degrees_north"}
EAST = {"standard_name": "longitude", "units": "degrees_east"}


def rotated(rlat: np.ndarray, rlon: np.ndarray, pole: tuple[float, float] = (39.25, -162.0)) -> tuple:
    """(latitude, longitude) of rotated coordinates, the pole as in CORDEX Europe: CF conventions, appendix F."""
    north, turn = np.deg2rad(rlat), np.deg2rad(rlon)
    tilt, east = np.deg2rad(90 - pole[0]), pole[1] - 180
    x, y, z = np.cos(north) * np.cos(turn), np.cos(north) * np.sin(turn), np.sin(north)
    latitude = np.arcsin(np.cos(tilt) * z + np.sin(tilt) * x)
    longitude = np.arctan2(y, np.cos(tilt) * x - np.sin(tilt) * z)
    return np.rad2deg(latitude), np.mod(np.rad2deg(longitude) + east + 180, 360) - 180


def regional(n_lat: int = 12, n_lon: int = 16, times: int = 40, step: float = 2.0) -> xr.Dataset:
    """t(time, rlat, rlon) float32, six-hourly; lat and lon along both, rlat and rlon along one."""
    rlat, rlon = (np.arange(n_lat) - n_lat / 2) * step, (np.arange(n_lon) - n_lon / 2) * step
    lat, lon = rotated(*np.meshgrid(rlat, rlon, indexing="ij"))
    hours = np.arange(times)[:, None, None]
    center = np.cos(hours / 3), np.sin(hours / 3)
    ahead = ((rlat[:, None] / step / 4 - center[0]) ** 2 + (rlon / step / 5 - center[1]) ** 2) / 0.5
    noise = np.random.default_rng(0).standard_normal(ahead.shape)
    u = (280 + 10 * np.exp(-ahead) + 0.1 * noise).astype("f4")
    date = np.datetime64("2001-01-01", "ns") + 6 * np.arange(times) * np.timedelta64(1, "h")
    dims = ("rlat", "rlon")
    return xr.Dataset(
        {"t": (("time", *dims), u, {"units": "K", "long_name": "temperature"})},
        {
            "time": ("time", date),
            "rlat": ("rlat", rlat, {"standard_name": "grid_latitude", "units": "degrees"}),
            "rlon": ("rlon", rlon, {"standard_name": "grid_longitude", "units": "degrees"}),
            "lat": (dims, lat.astype("f4"), NORTH),
            "lon": (dims, lon.astype("f4"), EAST),
        },
    )
