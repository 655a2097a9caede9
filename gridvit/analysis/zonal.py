"""The stencil of a step on the sphere: Jacobian rows at a few latitudes, averaged along longitude."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from gridvit.analysis.probe import probe
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Step


def sphere_rows(
    step: Step,
    state: Float[Tensor, "batch variable *space"],
    latitudes: Sequence[float | int] | np.ndarray,
    half_width: Sequence[int] = (6, 12),
    *,
    context: Context | None = None,
    longitudes: int = 8,
    variable: int = 0,
) -> xr.Dataset:
    r"""``J(phi, dphi, dlon) = mean dF[(phi, lon)] / du[(phi + dphi, lon + dlon)]``.

    The mean is over states and longitudes. ``steering = -(m_1 / m_0) R cos(phi) dlon / dt`` with the zonal
    moments ``m_n = sum J j^n`` inside the window (``j`` cells east): the eastward speed at which the step
    moves what it reads. A window that cuts off part of the weights biases it; ``mass`` is ``m_0``, near one
    where the window holds the row of a step that keeps a constant.

    Args:
        step: on a sphere, ``dt`` in seconds.
        state: where to linearise; a few states, for the mean.
        latitudes: in degrees; the nearest row of cells is taken. Not the poles, where east has no direction.
        half_width: of the window, in cells of latitude and longitude.
        context: of the states.
        longitudes: how many, spread around the globe and over the phases of a patch.
        variable: index of the variable, both that which is read and that which is forecast.

    Returns:
        ``jacobian(latitude, dlat, dlon)`` with offsets in degrees, ``steering(latitude)`` in m/s and
        ``mass(latitude)``. Offsets beyond a pole hold zeros.

    Raises:
        InputError: a plane, or a grid whose longitudes do not close.
    """
    grid = step.grid
    if grid.radius is None or not grid.periodic[1]:
        raise InputError("a sphere whose longitudes close", grid.describe(), "use compare on a plane")
    rows = np.array([np.abs(grid.centers[0] - latitude).argmin() for latitude in latitudes])
    columns = _columns(grid.shape[1], longitudes)
    cells = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    probed = probe(step, state, cells, context)
    probed = probed.component(variable, variable) if probed.is_system else probed
    weights = probed.weights.mean(axis=0).reshape(len(rows), len(columns), -1).mean(axis=1)
    reach = [min(w, n // 2) for w, n in zip(half_width, grid.shape, strict=True)]
    offsets, jacobian = _window(probed.offsets, weights, reach)
    return _dataset(grid, grid.centers[0][rows], offsets, jacobian, step.dt)


def _columns(n: int, count: int) -> np.ndarray:
    """``count`` longitudes all around, one in each equal sector, at varying phases of any patch."""
    sectors = np.arange(min(count, n))
    return sectors * n // len(sectors) + sectors % max(n // len(sectors), 1)


def _window(
    offsets: np.ndarray, weights: np.ndarray, half_width: Sequence[int]
) -> tuple[list[np.ndarray], np.ndarray]:
    """Offsets of a box in cells along each axis, and the weights in it, ``(latitude, dlat, dlon)``."""
    lines = [np.arange(-w, w + 1) for w in half_width]
    inside = (np.abs(offsets) <= np.asarray(half_width)).all(axis=-1)
    place = (offsets[inside] + np.asarray(half_width)).T
    box = np.zeros((len(weights), *map(len, lines)))
    box[:, place[0], place[1]] = weights[:, inside]
    return lines, box


def _dataset(
    grid: Grid, latitude: np.ndarray, offsets: list[np.ndarray], jacobian: np.ndarray, dt: float | int
) -> xr.Dataset:
    steps = [float(np.diff(c).mean()) for c in grid.centers]
    metres = float(grid.radius or 0.0) * 1000 * np.deg2rad(steps[1]) * np.cos(np.deg2rad(latitude))
    mass, first = jacobian.sum(axis=(1, 2)), (jacobian * offsets[1]).sum(axis=(1, 2))
    speed = np.divide(-first, mass, out=np.full_like(mass, np.nan), where=mass != 0) * metres / dt
    dims = ("latitude", "dlat", "dlon")
    data = {
        "jacobian": (dims, jacobian, {"long_name": "zonally averaged Jacobian", "units": "1"}),
        "steering": (("latitude",), speed, {"long_name": "eastward steering speed", "units": "m s-1"}),
        "mass": (("latitude",), mass, {"long_name": "sum of the Jacobian in the window", "units": "1"}),
    }
    coords = {
        "latitude": ("latitude", latitude, {"long_name": "latitude", "units": "degrees_north"}),
        "dlat": ("dlat", offsets[0] * steps[0], {"long_name": "northward to the source", "units": "degrees"}),
        "dlon": ("dlon", offsets[1] * steps[1], {"long_name": "eastward to the source", "units": "degrees"}),
    }
    return xr.Dataset(data, coords)
