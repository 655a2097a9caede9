"""Cells whose places no axes give: centres and solid angles on the unit sphere, in NumPy alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit import cells
from gridvit.coordinates import Coordinate
from gridvit.errors import InputError

KEYS = ("latitude", "longitude", "solid_angle")
EMPTY = (
    1e-9  # of the mean area: the fold of a global ocean grid goes down to 1e-5, cells upon cells to rounding
)
WIDEST_GAP = 10.0  # degrees between neighbouring longitudes of what is called a whole circle
WAYS = {"latitude": "north", "longitude": "east"}


@dataclass(frozen=True, eq=False)
class Mesh:
    """Omega_i and the direction of cell i of a curvilinear grid: centres (y, x) in degrees, areas in steradians.

    Longitudes may follow any convention. Raises `InputError` for centres off the sphere and cells without area.
    """

    latitude: Float[np.ndarray, "y x"]
    longitude: Float[np.ndarray, "y x"]
    solid_angle: Float[np.ndarray, "y x"]

    def __post_init__(self) -> None:
        for key, array in zip(KEYS, cells.frozen([getattr(self, key) for key in KEYS]), strict=True):
            object.__setattr__(self, key, array)
        check_centers(self.latitude, self.longitude)
        empty = ~(self.solid_angle > EMPTY * self.solid_angle.mean())
        if empty.any():
            y, x = np.argwhere(empty)[0]
            raise InputError(
                "cells with an area",
                f"{int(empty.sum())} of {empty.size} without, the first in row {y}, column {x}",
                "cut off rows and columns whose cells lie on one another, or correct the coordinates",
            )

    @classmethod
    def from_centers(
        cls, latitude: Any, longitude: Any, corners: Any = None, periodic: Sequence[bool] = (False, False)
    ) -> Mesh:
        """Omega_i is the spherical polygon of the corners; without them these lie between four centres.

        Args:
            latitude: of the centres (y, x), in degrees.
            longitude: of the centres, in degrees of any convention.
            corners: (latitude, longitude) of each cell's corners, each (y, x, corner), in order around the cell.
                They are not used where they do not give each cell an area, for then they are no cells.
            periodic: along which axes the last cells touch the first.
        """
        lat, lon = np.asarray(latitude, dtype=np.float64), np.asarray(longitude, dtype=np.float64)
        check_centers(lat, lon)
        stated = None if corners is None else solid_angles(directions(*corners))
        if stated is None or not (stated > 0).all():
            stated = solid_angles(between(directions(lat, lon), periodic))
        return cls(lat, lon, stated)

    @property
    def shape(self) -> tuple[int, ...]:
        """Cells along each axis."""
        return self.latitude.shape

    @cached_property
    def points(self) -> Float[np.ndarray, "cell 3"]:
        """Unit vectors of the centres, row-major."""
        return directions(self.latitude, self.longitude).reshape(-1, 3)

    def coarsen(self, patch: Sequence[int]) -> Mesh:
        """Omega = sum Omega_i, direction sum Omega_i p_i / |sum Omega_i p_i| over patches; the last hold the rest."""
        whole = blocks(self.solid_angle, patch)
        weighted = self.solid_angle[..., None] * self.points.reshape(*self.shape, 3)
        x, y, z = np.moveaxis(blocks(weighted, patch), -1, 0)
        latitude = np.rad2deg(np.arctan2(z, np.hypot(x, y)))
        return Mesh(latitude, np.rad2deg(np.arctan2(y, x)), whole)

    def agrees(self, other: Mesh) -> bool:
        """Whether the centres are the same within 1e-4 of the smallest cell, or what float32 can say of degrees.

        The areas are not asked: two files of one mesh, with and without corners, are on one grid.
        """
        cell = float(np.sqrt(self.solid_angle.min()))
        single = float(np.finfo(np.float32).eps * 2 * np.pi)
        near = max(1e-4 * cell, min(1e-2 * cell, single))
        return self.shape == other.shape and bool(np.abs(self.points - other.points).max() <= near)

    def spans(self) -> str:
        """The latitudes and the shortest arc of longitudes that the centres cover."""
        _, around = cells.cut_open(np.unique(np.mod(self.longitude, 360)), False)
        low, high = self.latitude.min(), self.latitude.max()
        if around[-1] - around[0] > 360 - WIDEST_GAP:
            return f"centres {low:.6g}..{high:.6g} degrees_north, at all longitudes"
        return f"centres {low:.6g}..{high:.6g} degrees_north, {around[0]:.6g}..{around[-1]:.6g} degrees_east"

    def coords(self, names: tuple[str, ...]) -> dict[str, Coordinate]:
        """latitude and longitude along the two dimensions, with CF attributes."""
        north, east = ({"standard_name": k, "units": f"degrees_{way}"} for k, way in WAYS.items())
        return {"latitude": (names, self.latitude, north), "longitude": (names, self.longitude, east)}

    def to_dict(self) -> dict[str, str]:
        """The three arrays as text, exact."""
        return {key: packed(getattr(self, key)) for key in KEYS}

    @classmethod
    def from_dict(cls, d: Mapping[str, str], shape: Sequence[int]) -> Mesh:
        """The inverse of `to_dict`."""
        return cls(*(unpacked(d[key], "<f8", shape) for key in KEYS))


def packed(values: np.ndarray) -> str:
    """The little-endian bytes of an array in base 64, a quarter of the length of its numbers in decimal."""
    return base64.b64encode(values.astype(values.dtype.newbyteorder("<")).tobytes()).decode("ascii")


def unpacked(text: str, dtype: str, shape: Sequence[int]) -> np.ndarray:
    """The inverse of `packed`, in the machine's order of bytes."""
    stored = np.frombuffer(base64.b64decode(text), np.dtype(dtype).newbyteorder("<"))
    return stored.astype(np.dtype(dtype)).reshape(tuple(shape))


def check_centers(latitude: np.ndarray, longitude: np.ndarray) -> None:
    """Two arrays (y, x) of one shape, finite, latitudes from -90 to 90; `InputError` otherwise."""
    if latitude.ndim != 2 or latitude.shape != longitude.shape or not latitude.size:
        got = f"{latitude.shape} and {longitude.shape}"
        raise InputError("latitude and longitude (y, x)", got, "give one of each per cell")
    if not (np.isfinite(latitude).all() and np.isfinite(longitude).all()):
        raise InputError(
            "latitude and longitude of each cell", "NaN or infinity", "fill them: land has a place too"
        )
    if np.abs(latitude).max() > 90 + 1e-9:
        span = f"{latitude.min():g} to {latitude.max():g}"
        raise InputError("latitudes from -90 to 90", span, "correct the coordinate")


def directions(latitude: Any, longitude: Any) -> Float[np.ndarray, "*cells 3"]:
    """Unit vectors of degrees."""
    degrees = np.stack([np.asarray(latitude, dtype=float), np.asarray(longitude, dtype=float)], axis=-1)
    return cells.unit_vectors(degrees.reshape(-1, 2)).reshape(*degrees.shape[:-1], 3)


def between(
    points: Float[np.ndarray, "y x 3"], periodic: Sequence[bool] = (False, False)
) -> Float[np.ndarray, "y x 4 3"]:
    """Corners of each cell, counter-clockwise from low y and low x: the mean direction of the four centres around.

    Beyond a bounded end lies p_{-1} = 2 (p_0 . p_1) p_0 - p_1, the continuation of the great circle of two centres.
    """
    for axis in (0, 1):
        points = np.moveaxis(_continued(np.moveaxis(points, axis, 0), periodic[axis]), 0, axis)
    corners = points[:-1, :-1] + points[1:, :-1] + points[:-1, 1:] + points[1:, 1:]
    corners = corners / np.linalg.norm(corners, axis=-1, keepdims=True)
    return np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, 1:], corners[1:, :-1]], axis=-2)


def _continued(points: np.ndarray, periodic: bool) -> np.ndarray:
    """One more row of points at each end."""
    if periodic:
        return np.concatenate([points[-1:], points, points[:1]])
    if len(points) < 2:
        raise InputError("two cells along each axis", "one", "give the corners of the cells")

    def beyond(end: np.ndarray, inner: np.ndarray) -> np.ndarray:
        return (2 * (end * inner).sum(-1, keepdims=True) * end - inner)[None]

    return np.concatenate([beyond(points[0], points[1]), points, beyond(points[-1], points[-2])])


def solid_angles(corners: Float[np.ndarray, "*cells corner 3"]) -> Float[np.ndarray, "*cells"]:
    """Area on the unit sphere of polygons of great circles, at most a hemisphere: the sum of signed triangles.

    tan(E / 2) = a . (b x c) / (1 + a . b + b . c + c . a), with b - a and c - a in the numerator, which keeps the
    digits of small cells. Either sense of rotation, repeated corners, any number of them.
    Reference: Van Oosterom and Strackee (1983), IEEE Trans. Biomed. Eng. 30, 125-126, doi:10.1109/TBME.1983.325207.
    """
    a = corners[..., :1, :]
    b, c = corners[..., 1:-1, :], corners[..., 2:, :]
    triple = (a * np.cross(b - a, c - a)).sum(-1)
    dots = 1 + (a * b).sum(-1) + (b * c).sum(-1) + (c * a).sum(-1)
    return np.abs(2 * np.arctan2(triple, dots).sum(-1))


def blocks(values: Float[np.ndarray, "y x *rest"], patch: Sequence[int]) -> Float[np.ndarray, "ny nx *rest"]:
    """Sums over patches of cells, those at the high ends over what is left."""
    for axis, size in enumerate(patch):
        values = np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
    return values
