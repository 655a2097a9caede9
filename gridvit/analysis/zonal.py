"""A step on the sphere by latitude: Jacobian rows averaged along longitude, and what they do to waves."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Bool, Complex, Float, Int
from torch import Tensor

from gridvit.analysis.probe import probe
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Step

WAVES = 12  # crests around the globe: beyond lie waves shorter than the storms of midlatitudes


def sphere_rows(
    step: Step,
    state: Float[Tensor, "batch variable *space"],
    latitudes: Sequence[float | int] | np.ndarray,
    half_width: Sequence[int] = (6, 12),
    *,
    context: Context | None = None,
    longitudes: int = 12,
    variable: int = 0,
) -> xr.Dataset:
    r"""``G(phi, m) = sum J(phi, dphi, dlon) e^{i m dlon}``, the zonal symbol of the mean Jacobian rows ``J``.

    ``J = mean dF[(phi, lon)] / du[(phi + dphi, lon + dlon)]`` over states and longitudes; the sum is over the
    latitudes of the window and all longitudes. A step scales ``e^{i m lon}`` by ``|G|`` and carries its
    crests east at ``-arg G R cos(phi) / (m dt)``, where ``arg G`` is followed from 0 at ``m = 0``.

    Assumed: a wave that is uniform over the latitudes of the window and zero outside, small beside the state.
    Waves that tilt or end within the window are carried otherwise; the longest depend most on its height.

    How it fails: a model on patches also turns a wave into others, ``m`` plus multiples of the number of
    patches around the globe; the mean over phases of a patch drops them, all of them only if ``longitudes``
    meets each phase equally often. Where longitudes or states differ in speed, ``|G|`` of the mean is less
    than the mean of ``|G|``. Speeds are lost from the first ``m`` on at which ``arg G`` turns by more than
    half a period from one ``m`` to the next: by a step of more than half the globe, or where ``|G|`` is near
    zero and its phase is noise.

    Args:
        step: on a sphere, ``dt`` in seconds.
        state: where to linearise; a few states, for the mean, in which cells that are missing do not enter.
        latitudes: in degrees; the nearest row of cells is taken. Not the poles, where east has no direction.
        half_width: of the window, in cells of latitude and longitude; ``G`` takes the whole circle.
        context: of the states.
        longitudes: how many, spread around the globe and over the phases of a patch.
        variable: index of the variable, both that which is read and that which is forecast.

    Returns:
        ``jacobian(latitude, dlat, dlon)``, offsets in degrees, zero beyond a pole; ``mass(latitude)``, its
        sum; ``zonal_amplification(latitude, wavenumber)``, ``|G|``, and ``zonal_phase_speed``, in m/s.
        Wavenumbers run from 1 to 12, or as far as they stay below half the number of longitudes.

    Raises:
        InputError: a plane, a curvilinear mesh, or a grid whose longitudes do not close.
    """
    grid = step.grid
    if not grid.is_latlon or not grid.periodic[1]:
        raise InputError("latitudes and longitudes that close", grid.describe(), "use compare on a plane")
    rows = np.array([np.abs(grid.centers[0] - latitude).argmin() for latitude in latitudes])
    columns = _columns(grid.shape[1], longitudes)
    cells = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)
    probed = probe(step, state, cells, context)
    probed = probed.component(variable, variable) if probed.is_system else probed
    there = ~np.isnan(state[:, variable].detach().cpu().numpy()[:, cells[:, 0], cells[:, 1]])
    weights = _mean_rows(probed.weights, there, len(rows))
    reach = [min(w, n // 2) for w, n in zip(half_width, grid.shape, strict=True)]
    latitude, (offsets, jacobian) = grid.centers[0][rows], _window(probed.offsets, weights, reach)
    near = np.abs(probed.offsets[:, 0]) <= reach[0]
    symbol = _symbol(probed.offsets[near, 1], weights[:, near], grid.shape[1])
    return xr.merge([_box(grid, latitude, offsets, jacobian), _waves(grid, latitude, symbol, step.dt)])


def _mean_rows(
    weights: Float[np.ndarray, "state cell K"], there: Bool[np.ndarray, "state cell"], rows: int
) -> Float[np.ndarray, "latitude K"]:
    """Mean over states and longitudes of what is there; zero at a latitude where nothing is."""
    if there.all():
        return weights.mean(axis=0).reshape(rows, -1, weights.shape[-1]).mean(axis=1)
    total = (weights * there[..., None]).sum(axis=0).reshape(rows, -1, weights.shape[-1]).sum(axis=1)
    return total / np.maximum(there.sum(axis=0).reshape(rows, -1).sum(axis=1), 1)[:, None]


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


def _symbol(
    eastward: Int[np.ndarray, "K"], weights: Float[np.ndarray, "latitude K"], n: int
) -> Complex[np.ndarray, "latitude m"]:
    """``G(m) = sum_k w_k e^{i m 2 pi j_k / n}``, ``m`` from 1, below half of the ``n`` longitudes."""
    waves = np.arange(1, min(WAVES, (n - 1) // 2) + 1)
    return weights @ np.exp(2j * np.pi / n * np.outer(eastward, waves))


def _box(grid: Grid, latitude: np.ndarray, offsets: list[np.ndarray], jacobian: np.ndarray) -> xr.Dataset:
    steps = [float(np.diff(c).mean()) for c in grid.centers]
    dims, mass = ("latitude", "dlat", "dlon"), jacobian.sum(axis=(1, 2))
    data = {
        "jacobian": (dims, jacobian, {"long_name": "zonally averaged Jacobian", "units": "1"}),
        "mass": (("latitude",), mass, {"long_name": "sum of the Jacobian in the window", "units": "1"}),
    }
    coords = {
        "latitude": _latitude(latitude),
        "dlat": ("dlat", offsets[0] * steps[0], {"long_name": "northward to the source", "units": "degrees"}),
        "dlon": ("dlon", offsets[1] * steps[1], {"long_name": "eastward to the source", "units": "degrees"}),
    }
    return xr.Dataset(data, coords)


def _waves(
    grid: Grid, latitude: np.ndarray, symbol: Complex[np.ndarray, "latitude m"], dt: float | int
) -> xr.Dataset:
    """``|G|`` and ``-arg G R cos(phi) / (m dt)``."""
    waves = np.arange(1, symbol.shape[1] + 1)
    phase = np.unwrap(np.pad(np.angle(symbol), ((0, 0), (1, 0))))[:, 1:]
    metres = float(grid.radius or 0.0) * 1000 * np.cos(np.deg2rad(latitude))[:, None]
    dims, speed = ("latitude", "wavenumber"), -phase * metres / (waves * dt)
    data = {
        "zonal_amplification": (dims, np.abs(symbol), {"long_name": "amplification per step", "units": "1"}),
        "zonal_phase_speed": (dims, speed, {"long_name": "eastward phase speed", "units": "m s-1"}),
    }
    wavenumber = ("wavenumber", waves, {"long_name": "zonal wavenumber", "units": "1"})
    return xr.Dataset(data, {"latitude": _latitude(latitude), "wavenumber": wavenumber})


def _latitude(latitude: np.ndarray) -> tuple[str, np.ndarray, dict[str, str]]:
    return "latitude", latitude, {"long_name": "latitude", "units": "degrees_north"}
