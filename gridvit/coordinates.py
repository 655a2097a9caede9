"""The cells of a grid in words and as CF coordinates: what `Grid` says of its axes to people and to files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from gridvit.cells import gaussian_bounds, halfway, tolerance, within_poles

Axis = tuple[str, np.ndarray, np.ndarray, bool]
Coordinate = tuple[tuple[str, ...], np.ndarray, dict[str, str]]


def coords(axes: Sequence[Axis], units: Sequence[str], sphere: bool) -> dict[str, Coordinate]:
    """{name: centres with CF attributes} of each axis, with `{name}_bounds` where no reader could know them.

    CF has no word for a periodic plane axis: the attribute `periodic` is ours.
    """
    found: dict[str, Coordinate] = {}
    for (name, c, b, wraps), unit, letter in zip(axes, units, "ZYX"[-len(axes) :], strict=True):
        ours = {"standard_name": name} if sphere else {"periodic": str(wraps).lower()}
        found[name] = ((name,), c, {**ours, "units": unit, "axis": letter})
        if not implied(c, b, name if sphere else "", wraps):
            found[name][2]["bounds"] = f"{name}_bounds"
            found[f"{name}_bounds"] = ((name, "bounds"), np.stack([b[:-1], b[1:]], axis=-1), {})
    return found


def implied(c: Float[np.ndarray, " n"], b: Float[np.ndarray, " edges"], name: str, periodic: bool) -> bool:
    """Whether the bounds follow from the centres: halfway, latitudes within the poles, or Gaussian.

    `name` is "latitude" or "longitude" on a sphere, else empty.
    """
    period = 360.0 if name == "longitude" and periodic else None
    if len(c) == 1 and period is None:
        return False
    edges = halfway(name, c, period)
    if name == "latitude":
        exact = gaussian_bounds(c)
        edges = within_poles(c, edges) if exact is None else exact
    return bool(np.abs(edges - b).max() <= 1e-9 * np.abs(b).max())


def agree(axes: Sequence[Axis], others: Sequence[Axis]) -> bool:
    """Whether centres and bounds are the same within `cells.tolerance`."""
    return all(
        max(np.abs(c - c2).max(), np.abs(b - b2).max()) <= tolerance(b)
        for (_, c, b, _), (_, c2, b2, _) in zip(axes, others, strict=True)
    )


def described(axes: Sequence[Axis], where: str, radius: float | None, curvilinear: bool) -> str:
    """Sizes, places, periodic axes and the metric in one line."""
    sizes = " x ".join(f"{len(c)} {name}" for name, c, _, _ in axes)
    wraps = " and ".join(name for name, _, _, periodic in axes if periodic)
    metric = "plane" if radius is None else f"sphere of radius {radius:g} km"
    metric = f"curvilinear on a {metric}" if curvilinear else metric
    return f"{sizes} ({where}), {f'periodic in {wraps}' if wraps else 'bounded'}, {metric}"


def extents(axes: Sequence[Axis], units: Sequence[str]) -> str:
    """The outermost bounds of each axis with its unit."""
    return ", ".join(f"{b[0]:.6g}..{b[-1]:.6g} {u}" for (_, _, b, _), u in zip(axes, units, strict=True))
