"""Coastlines over maps in longitude and latitude, wherever a field's longitudes begin."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

Lines = Sequence[Float[np.ndarray, "point 2"]]
"""Lines of (longitude, latitude) in degrees; longitudes of any convention."""


def on_globe(array: xr.DataArray) -> bool:
    """Are the last two dimensions latitude and longitude? Offsets along them, such as ``dlon``, are not."""
    if any(re.search("(^|_)d(lat|lon)", str(dim)) for dim in array.dims[-2:]):
        return False
    found = [str(array[dim].attrs.get("units", "")) for dim in array.dims[-2:] if dim in array.coords]
    patterns = ("degrees?_?n(orth)?", "degrees?_?e(ast)?")
    return len(found) == 2 and all(
        re.fullmatch(pattern, unit, re.I) for pattern, unit in zip(patterns, found, strict=True)
    )


def visible(lines: Lines, west: float, east: float) -> Iterator[Float[np.ndarray, "point 2"]]:
    """The lines, and those a turn away, cut where they leave the longitudes from ``west`` to ``east``."""
    for line in lines:
        for turn in (-360.0, 0.0, 360.0):
            moved = line + np.array([turn, 0.0])
            inside = (moved[:, 0] >= west) & (moved[:, 0] <= east)
            jumps = np.abs(np.diff(moved[:, 0], prepend=moved[:1, 0])) > 180
            breaks = np.flatnonzero((inside[1:] != inside[:-1]) | jumps[1:]) + 1
            starts = np.concatenate([[0], breaks])
            yield from (
                part
                for start, part in zip(starts, np.split(moved, breaks), strict=True)
                if inside[start] and len(part) > 1
            )


def draw_coast(panel: Axes, lines: Lines) -> None:
    """The coast over a map, black on a white rim so that it shows on any colour; the map keeps its limits."""
    (west, east), (south, north) = panel.get_xlim(), panel.get_ylim()
    for part in visible(lines, west, east):
        for colour, width in (("#ffffff", 1.3), ("#000000", 0.5)):
            panel.plot(part[:, 0], part[:, 1], color=colour, linewidth=width, zorder=4, label="_coast")
    panel.set(xlim=(west, east), ylim=(south, north))


def path_data(
    lines: Lines, latitudes: Float[np.ndarray, "y_edge"], longitudes: Float[np.ndarray, "x_edge"]
) -> str:
    """The lines as SVG path data in a square of 1,000 by 1,000 whose cells are all of one size."""
    parts = []
    for part in visible(lines, longitudes[0], longitudes[-1]):
        x, y = (
            np.interp(values, edges, np.linspace(0, 1000, len(edges)))
            for values, edges in zip(part.T, (longitudes, latitudes), strict=True)
        )
        points = np.round(np.stack([x, 1000 - y], axis=1)).astype(int)
        kept = points[np.append(True, np.any(np.diff(points, axis=0) != 0, axis=1))]
        if len(kept) > 1:
            parts.append("M" + " ".join(f"{a},{b}" for a, b in kept.tolist()))
    return "".join(parts)
