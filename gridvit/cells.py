"""The cells of one axis, and angles on a sphere: what `Grid` and `Axes` compute with, in NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from gridvit.errors import InputError

SINGLE = 1e-4  # degrees by which float32 bounds may miss a whole turn
GHOSTS = ("dirichlet", "neumann", "open")
FIRST_BESSEL_ROOT = 2.404825557695773
Number = float | int
Rows = int | slice | np.ndarray | Sequence[int] | None
Ghosts = tuple[Int[np.ndarray, " padded"], Float[np.ndarray, " padded"]]


def per_axis(value: Any, ndim: int, what: str) -> tuple:
    """One value for every axis, or the given ones where there is one per axis."""
    values = (value,) * ndim if np.isscalar(value) else tuple(value)
    if len(values) != ndim:
        raise InputError(f"one {what} for all axes or {ndim}", str(len(values)), "give one per axis")
    return values


def frozen(arrays: Sequence[Any]) -> tuple[np.ndarray, ...]:
    """Copies in float64 that cannot be written to."""
    copies = tuple(np.array(a, dtype=np.float64) for a in arrays)
    for copy in copies:
        copy.flags.writeable = False
    return copies


def pick(values: np.ndarray, rows: Rows) -> np.ndarray:
    """The chosen rows, None for all, always as rows."""
    return values if rows is None else values[rows if isinstance(rows, slice) else np.atleast_1d(rows)]


def tolerance(bounds: Float[np.ndarray, " edges"]) -> float:
    """How far two files of one grid may differ: 1e-4 of the smallest cell, more where float32 cannot say it.

    float32 keeps 360 degrees to 3e-5, more than 1e-4 of a cell of 1/12 degree; never over 1e-2 of a cell.
    """
    cell = float(np.diff(bounds).min())
    single = float(np.finfo(np.float32).eps * np.abs(bounds).max())
    return max(1e-4 * cell, min(1e-2 * cell, single))


def check(name: str, centers: Float[np.ndarray, " n"], bounds: Float[np.ndarray, " edges"]) -> None:
    """b_0 <= c_0 <= b_1 <= ... <= c_{n-1} <= b_n, finite and strictly ascending; `InputError` otherwise."""
    where = f"along '{name}'"
    if len(centers) == 0 or len(bounds) != len(centers) + 1:
        got = f"{len(centers)} centres and {len(bounds)} bounds"
        raise InputError(f"n > 0 cells and n + 1 bounds {where}", got, "give each cell its centre and bounds")
    if not (np.isfinite(bounds).all() and np.isfinite(centers).all()):
        raise InputError(f"finite coordinates {where}", "NaN or infinity", "drop or repair those points")
    if not ((np.diff(centers) > 0).all() and (np.diff(bounds) > 0).all()):
        raise InputError(
            f"ascending coordinates {where}", "repeated or falling ones", "sort, drop duplicates"
        )
    if (centers < bounds[:-1]).any() or (centers > bounds[1:]).any():
        raise InputError(f"centres between their bounds {where}", "one outside", "correct the cell bounds")


def check_sphere(bounds: Sequence[np.ndarray], periodic: Sequence[bool]) -> None:
    """Axes (latitude in [-90, 90], at most 360 degrees of longitude), latitude bounded; else `InputError`."""
    if len(bounds) != 2 or periodic[0]:
        got = f"{len(bounds)} axes, periodic {tuple(periodic)}"
        raise InputError("(latitude, longitude), latitude bounded", got, "leave out the radius for a plane")
    low, high, turn = bounds[0][0], bounds[0][-1], bounds[1][-1] - bounds[1][0]
    if low < -90 - 1e-9 or high > 90 + 1e-9:
        raise InputError("latitudes from -90 to 90", f"{low:g} to {high:g}", "correct the coordinate")
    if turn > 360 + SINGLE:
        raise InputError("at most 360 degrees of longitude", f"{turn:g}", "drop columns or give the bounds")
    if periodic[1] and turn < 360 - SINGLE:
        raise InputError("360 degrees of periodic longitude", f"{turn:g}", "say that it is not periodic")


def spacing(
    name: str, centers: Float[np.ndarray, " n"], bounds: Float[np.ndarray, " edges"], periodic: bool
) -> float:
    """h = c_{i+1} - c_i, across the seam too; `InputError` where it varies by more than 0.2 %."""
    length = float(bounds[-1] - bounds[0])
    steps = np.diff(centers, append=centers[0] + length)
    steps = steps if periodic or len(steps) == 1 else steps[:-1]
    if np.abs(steps - steps.mean()).max() > 2e-3 * steps.mean():
        got = f"{steps.min():.6g} to {steps.max():.6g}"
        raise InputError(f"equal steps along '{name}'", got, "interpolate it to a regular axis")
    return float(steps.mean())


def padding(
    name: str,
    centers: Float[np.ndarray, " n"],
    bounds: Float[np.ndarray, " edges"],
    periodic: bool,
    patch: int,
) -> int:
    """-n mod p cells to add at the high end; `InputError` for p > n, and for any on a periodic axis."""
    n = len(centers)
    if not 1 <= patch <= n:
        raise InputError(f"a patch of 1 to {n} cells along '{name}'", str(patch), "choose a smaller patch")
    if periodic and n % patch:
        fits = ", ".join(str(p) for p in range(1, n + 1) if n % p == 0)
        expected = f"a patch that divides the {n} cells of the periodic axis '{name}'"
        raise InputError(expected, str(patch), f"use one of {fits}")
    return -n % patch


def merge(
    centers: Float[np.ndarray, " n"], bounds: Float[np.ndarray, " edges"], patch: int
) -> tuple[Float[np.ndarray, " tokens"], Float[np.ndarray, " token_edges"]]:
    """(centres, bounds) of runs of p cells, the last what is left; centres are width-weighted means.

    Weighted means of weighted means are weighted means: merging by 2 and by 3 is merging by 6.
    """
    starts = np.arange(0, len(centers), patch)
    edges = np.append(bounds[starts], bounds[-1])
    mean = np.add.reduceat(np.diff(bounds) * centers, starts) / np.diff(edges)
    return np.clip(mean, edges[:-1], edges[1:]), edges


def unit_vectors(degrees: Float[np.ndarray, "cell 2"]) -> Float[np.ndarray, "cell 3"]:
    """(cos p cos l, cos p sin l, sin p) of latitudes p and longitudes l in degrees."""
    lat, lon = np.deg2rad(degrees).T
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], axis=-1)


def angles(p: Float[np.ndarray, "row 3"], q: Float[np.ndarray, "col 3"]) -> Float[np.ndarray, "row col"]:
    """atan2(|p x q|, p.q) in radians between unit vectors.

    Near 0 and pi it keeps the digits that arccos(p.q) loses.
    """
    a, b = p.T[:, :, None], q.T[:, None, :]
    cross = sum((a[i] * b[i - 2] - a[i - 2] * b[i]) ** 2 for i in range(3))
    return np.arctan2(np.sqrt(cross), a[0] * b[0] + a[1] * b[1] + a[2] * b[2])


def halfway(
    name: str, centers: Float[np.ndarray, " n"], period: float | None = None, given: Any = None
) -> Float[np.ndarray, " edges"]:
    """b_i = (c_{i-1} + c_i) / 2; the outermost half a cell out, or closing after `period`; or `given`."""
    if given is not None:
        return np.asarray(given, dtype=np.float64)
    middle = (centers[1:] + centers[:-1]) / 2
    if period is not None:
        first = (centers[0] + centers[-1] - period) / 2
        return np.concatenate([[first], middle, [first + period]])
    if len(centers) < 2:
        raise InputError(f"two cells along '{name}'", f"{len(centers)}", "give the bounds of the cell")
    return np.concatenate([[2 * centers[0] - middle[0]], middle, [2 * centers[-1] - middle[-1]]])


def edges(
    names: Sequence[str], centers: Sequence[np.ndarray], periodic: Sequence[bool], given: Any, sphere: bool
) -> list[np.ndarray]:
    """`halfway` bounds of each axis; on a sphere latitude stops at +-90, a periodic longitude closes at 360."""
    turns = [360.0 if sphere and i and wraps else None for i, wraps in enumerate(periodic)]
    stated = given if given is not None else [None] * len(centers)
    found = [halfway(*axis) for axis in zip(names, centers, turns, stated, strict=True)]
    return [within_poles(centers[0], found[0]), *found[1:]] if sphere else found


def box_areas(bounds: Sequence[np.ndarray], radius: float | None) -> Float[np.ndarray, "*space"]:
    """Product of widths; R^2 dlon (sin b_{i+1} - sin b_i) on a sphere."""
    widths = [np.diff(b) for b in bounds]
    if radius is not None:
        widths = [radius**2 * np.diff(np.sin(np.deg2rad(bounds[0]))), np.deg2rad(widths[1])]
    return reduce(np.multiply.outer, widths)


def within_poles(
    latitude: Float[np.ndarray, " n"], edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, " edges"]:
    """Bounds cut at +-90; not at centres beyond, which are left for `check_sphere` to refuse."""
    return np.clip(edges, min(-90, latitude[0]), max(90, latitude[-1]))


def regular(
    shape: int | Sequence[int],
    lengths: Number | Sequence[Number] | None,
    origin: Number | Sequence[Number],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """(centres, bounds) of each axis: o + (i + 1/2) h and o + i h, h = length / n, or 1 without lengths."""
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if min(sizes, default=0) < 1:
        raise InputError("at least one axis of at least one cell", str(sizes), "correct the shape")
    extents = per_axis(sizes if lengths is None else lengths, len(sizes), "length")
    starts = per_axis(origin, len(sizes), "origin")
    steps = [(o, np.arange(n + 1), L / n) for o, n, L in zip(starts, sizes, extents, strict=True)]
    return [(o + (i[:-1] + 0.5) * h, o + i * h) for o, i, h in steps]


def nearest_image(
    delta: Float[np.ndarray, "row col axis"], period: Float[np.ndarray, " axis"]
) -> Float[np.ndarray, "row col axis"]:
    """delta - L floor(delta / L + 1/2), in [-L/2, L/2); infinite L leaves it.

    The 1e-9 is there so that rounding does not decide on which side half a period lies.
    """
    turns = np.floor(delta / period + 0.5 + 1e-9)
    return delta - np.where(np.isfinite(period), period, 0) * turns


def equal_latitudes(n: int, poles: bool) -> tuple[Float[np.ndarray, " n"], np.ndarray | None]:
    """n rows of one height and their bounds; with `poles` the first and last are centred there, without bounds."""
    if poles:
        return np.linspace(-90, 90, n), None
    edges = np.linspace(-90, 90, n + 1)
    return (edges[1:] + edges[:-1]) / 2, edges


def gaussian_latitudes(n: int) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " edges"]]:
    """Degrees: P_n(sin c_i) = 0, and bounds with sin b_{i+1} - sin b_i = w_i, the Gauss-Legendre weights."""
    nodes, weights = np.polynomial.legendre.leggauss(n)
    edges = np.clip(np.concatenate([[-1.0], np.cumsum(weights) - 1]), -1, 1)
    edges[-1] = 1.0
    return np.degrees(np.arcsin(nodes)), np.degrees(np.arcsin(edges))


def gaussian_bounds(latitude: Float[np.ndarray, " n"]) -> Float[np.ndarray, " edges"] | None:
    """Exact bounds of ascending latitudes that are all Gaussian within 1e-3 of a cell, None of any others.

    The asymptotic first latitude, pi/2 - j_0 / (n + 1/2), is asked first: the roots cost O(n^3).
    """
    n = len(latitude)
    cell = 180 / n
    if n < 2 or abs(90 - np.degrees(FIRST_BESSEL_ROOT / (n + 0.5)) - latitude[-1]) > 0.02 * cell:
        return None
    centers, edges = gaussian_latitudes(n)
    return edges if np.abs(centers - latitude).max() < 1e-3 * cell else None


def repeats_seam(points: Float[np.ndarray, " n"], period: Number = 360.0) -> bool:
    """Whether the last point is the first again, one period later."""
    turn = abs(points[-1] - points[0])
    return len(points) > 2 and bool(abs(turn - period) <= 0.01 * turn / (len(points) - 1))


def closes(longitude: Float[np.ndarray, " n"]) -> bool:
    """Whether span + one mean cell = 360 degrees, in any order and convention, seam column apart."""
    around = np.sort(np.mod(longitude[:-1] if repeats_seam(longitude) else longitude, 360))
    gaps = np.diff(around, append=around[0] + 360)
    return len(around) > 1 and bool(np.abs(gaps - 360 / len(around)).max() <= 0.02 * 360 / len(around))


def cut_open(
    longitude: Float[np.ndarray, " n"], whole: bool
) -> tuple[Int[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """(order, values): ascending from [0, 360); a region across 0 stays in one piece and goes on past 360.

    It is cut at its largest gap. A hair below zero counts as zero, so that noise rolls nothing.
    """
    hair = 1e-4 * 360 / len(longitude)
    wrapped = np.mod(longitude + hair, 360) - hair
    order = np.argsort(wrapped, kind="stable")
    values = wrapped[order]
    if whole:
        return order, values
    start = (int(np.argmax(np.diff(values, append=values[0] + 360))) + 1) % len(values)
    return np.roll(order, -start), np.concatenate([values[start:], values[:start] + 360])


def ghost(n: int, width: int, periodic: bool, condition: str) -> Ghosts:
    """Source cell and sign of each of the n + 2 width padded cells; conditions as in `Grid.ghost`."""
    cells = np.arange(-width, n + width)
    same = np.ones(len(cells))
    if periodic:
        return cells % n, same
    if condition not in GHOSTS:
        raise InputError(f"a boundary condition out of {', '.join(GHOSTS)}", f"'{condition}'", "choose one")
    if condition == "open":
        return np.clip(cells, 0, n - 1), same
    if width > n:
        raise InputError(f"at most {n} ghost cells beyond {n} cells", str(width), "use a narrower stencil")
    folded = np.where(cells < 0, -1 - cells, np.where(cells >= n, 2 * n - 1 - cells, cells))
    return folded, np.where((folded != cells) & (condition == "dirichlet"), -1.0, same)
