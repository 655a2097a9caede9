"""Inputs made from place and time alone: solar time, season, insolation, coordinates."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid

COUNTS = {"local_time": 4, "day_of_year": 4, "insolation": 1, "latitude": 1, "longitude": 2}
"""Channels of each feature."""
TIMED = ("local_time", "day_of_year", "insolation")
DAY = 86400.0
TROPICAL_YEAR = 365.2422  # days
J2000 = 10957.5  # days from 1970-01-01T00 to 2000-01-01T12
YEARS = {"noleap": 365.0, "365_day": 365.0, "all_leap": 366.0, "366_day": 366.0, "360_day": 360.0}
"""Days of the year in calendars that do not follow the Sun."""


def count(names: Sequence[str]) -> int:
    """Channels of the features together."""
    return sum(COUNTS[name] for name in names)


def check_place(names: Sequence[str], grid: Grid) -> None:
    """Refuse features where there is no latitude and longitude."""
    if names and not grid.is_sphere:
        raise InputError("latitude and longitude for model.features", "a plane", "leave model.features out")


def features(
    names: Sequence[str], grid: Grid, seconds: Float[Tensor, "batch"], dt: float, calendar: str = "standard"
) -> Float[Tensor, "batch feature *space"]:
    """The named features, one after another, of order one.

    Args:
        names: of ``COUNTS``.
        grid: on a sphere.
        seconds: since 1970-01-01T00 UTC in ``calendar``, float64.
        dt: seconds in a step; insolation is the daily mean where that is a day or longer.
        calendar: of the times.
    """
    latitude, longitude = (c.to(seconds) for c in coordinates(grid))
    times = seconds.reshape(-1, *[1] * grid.ndim)
    days = sun_days(times, calendar)
    made = {
        "local_time": lambda: local_time(longitude, times),
        "day_of_year": lambda: _waves(2 * math.pi * days / TROPICAL_YEAR),
        "insolation": lambda: insolation(latitude, longitude, times, days, daily=dt >= DAY)[:, None],
        "latitude": lambda: latitude.sin()[None, None],
        "longitude": lambda: (latitude.cos() * torch.stack([longitude.cos(), longitude.sin()]))[None],
    }
    shape = (seconds.shape[0], -1, *grid.shape)
    return torch.cat([made[name]().expand(shape) for name in names], 1)


def coordinates(grid: Grid) -> tuple[Float[Tensor, "*space"], Float[Tensor, "*space"]]:
    """Latitude and longitude of every cell in radians, from its position on the sphere."""
    x, y, z = np.moveaxis(grid.positions.reshape(*grid.shape, 3), -1, 0)
    return torch.from_numpy(np.arctan2(z, np.hypot(x, y))), torch.from_numpy(np.arctan2(y, x))


def local_time(
    longitude: Float[Tensor, "*space"], seconds: Float[Tensor, "batch *column"]
) -> Float[Tensor, "batch 4 *space"]:
    """cos p, sin p, cos 2p, sin 2p of local solar time p = 2 pi (t / day + longitude / 360).

    The two harmonics are those of the diurnal and the semidiurnal tide.
    """
    return _waves(2 * math.pi * (seconds / DAY % 1.0) + longitude)


def sun_days(seconds: Float[Tensor, "*times"], calendar: str) -> Float[Tensor, "*times"]:
    """Days since 2000-01-01T12; the year of a calendar that does not follow the Sun counts as a tropical one."""
    year = YEARS.get(calendar)
    pace = TROPICAL_YEAR / year if year else 1.0
    epoch = J2000 if year is None else 30 * year + 0.5
    return (seconds / DAY - epoch) * pace


def insolation(
    latitude: Float[Tensor, "*space"],
    longitude: Float[Tensor, "*space"],
    seconds: Float[Tensor, "batch *column"],
    days: Float[Tensor, "batch *column"],
    daily: bool,
) -> Float[Tensor, "batch *space"]:
    """max(0, sin p sin d + cos p cos d cos h) / R^2, or its mean over a day: insolation over the solar constant.

    Latitude p, declination d and hour angle h of the Sun, distance R in astronomical units, by the low-precision
    formulas of the Astronomical Almanac (about 0.01 degrees within two centuries of 2000).
    """
    anomaly = torch.deg2rad(357.529 + 0.98560028 * days)
    mean_longitude = 280.459 + 0.98564736 * days
    ecliptic = torch.deg2rad(mean_longitude + 1.915 * anomaly.sin() + 0.020 * (2 * anomaly).sin())
    tilt = torch.deg2rad(23.439 - 0.00000036 * days)
    distance = 1.00014 - 0.01671 * anomaly.cos() - 0.00014 * (2 * anomaly).cos()
    declination, strength = torch.asin(tilt.sin() * ecliptic.sin()), distance**-2
    up, across = latitude.sin() * declination.sin(), latitude.cos() * declination.cos()
    if daily:
        half = torch.acos((-up / across.clamp(min=1e-12)).clamp(-1, 1))  # of the day, from noon to sunset
        return strength * (half * up + half.sin() * across) / math.pi
    ascension = torch.atan2(tilt.cos() * ecliptic.sin(), ecliptic.cos())
    ahead = torch.deg2rad(mean_longitude) - ascension  # equation of time, as an angle
    hour = 2 * math.pi * (seconds / DAY % 1.0) - math.pi + ahead + longitude
    return strength * (up + across * hour.cos()).clamp(min=0)


def _waves(phase: Float[Tensor, "batch *space"]) -> Float[Tensor, "batch 4 *space"]:
    """Cosine and sine of the phase and of its double."""
    return torch.stack([phase.cos(), phase.sin(), (2 * phase).cos(), (2 * phase).sin()], 1)
