"""Power by wavenumber, so counted that the sum over all waves is the mean square of the field."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float

from gridvit.analysis.skill import area_weights
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Harmonics


@dataclass(frozen=True)
class Spectrum:
    """``E_k`` of a field ``(..., *space)``, with ``sum_k E_k = <u^2>``, the area mean (of what the waves hold).

    Args:
        name: "zonal" or "isotropic".
        long_name: what ``k`` counts.
        waves: ``(..., *space) -> (..., k)``, ``k = 0, 1, ..``.
    """

    name: str
    long_name: str
    waves: Callable[[np.ndarray], np.ndarray]


def spectra_of(grid: Grid) -> list[Spectrum]:
    """The spectra that a grid has: zonal where its last axis closes; isotropic on periodic planes and whole spheres.

    On the sphere k is the degree of spherical harmonics, up to the truncation of ``Harmonics``, which has no rows at
    the poles. In one dimension the two are one, and curvilinear meshes and cells of unequal width have neither.
    """
    if grid.mesh is not None or not (grid.periodic[-1] and _even(grid, -1)):
        return []
    what = "waves around the latitude circle" if grid.is_sphere else f"waves along {grid.names[-1]}"
    zonal = Spectrum("zonal", what, lambda u: zonal_spectrum(u, grid))
    if grid.ndim == 1:
        return [zonal]
    if not grid.is_sphere:
        lengths, shells = grid.lengths, "waves in the longest side, in any direction"
        whole = Spectrum("isotropic", shells, lambda u: shell_spectrum(u, len(lengths), lengths))
        return [zonal, whole] if all(grid.periodic) and _even(grid, 0) else [zonal]
    try:
        transform = Harmonics(grid)
    except InputError:  # rows at the poles, or part of the sphere
        return [zonal]
    return [zonal, Spectrum("isotropic", "degree of harmonics", lambda u: degree_spectrum(u, transform))]


def _even(grid: Grid, axis: int) -> bool:
    """Whether the cells along an axis are equally wide."""
    widths = np.diff(grid.bounds[axis])
    return bool(np.ptp(widths) < 1e-3 * widths.mean())


def power_spectrum(values: Float[np.ndarray, "*rest n"]) -> Float[np.ndarray, "*rest m"]:
    """One-sided ``E_k``, ``k = 0 .. n // 2``, along the last axis, with ``sum_k E_k = mean u^2``.

    Each wave stands for its conjugate too, but for the mean and, of an even ``n``, the Nyquist wave.
    """
    n = values.shape[-1]
    energy = np.abs(np.fft.rfft(values.astype(np.float64), axis=-1) / n) ** 2
    energy[..., 1 : (n + 1) // 2] *= 2
    return energy


def zonal_spectrum(u: Float[np.ndarray, "*given"], grid: Grid) -> Float[np.ndarray, "*rest m"]:
    """``sum_rows w E_k / sum_rows w`` of the rows' ``power_spectrum``, by their areas: the sum over k is ``<u^2>``."""
    energy = power_spectrum(u)
    rows = area_weights(grid).mean(axis=-1)
    axes = tuple(range(-grid.ndim, -1))
    return np.asarray((energy * rows[..., None]).sum(axis=axes) / rows.sum())


def shell_spectrum(
    u: Float[np.ndarray, "*given"], ndim: int = 1, lengths: tuple[float, ...] | None = None
) -> Float[np.ndarray, "*rest shell"]:
    """``E_k``: the part of ``mean u^2`` over ``ndim`` last axes in waves of |k| nearest to 0, 1, 2, .. per domain.

    Their sum is all of it. In one dimension it is that of ``power_spectrum``. In two a shell is as wide as the wave
    that the longest side holds once (all sides alike without ``lengths``), and shells beyond half the cells along an
    axis are corners, not whole.
    """
    space, cells = tuple(range(-ndim, 0)), u.shape[-ndim:]
    power = np.abs(np.fft.fftn(u.astype(np.float64), axes=space) / np.prod(cells)) ** 2
    sides = np.ones(ndim) if lengths is None else np.array(lengths) / max(lengths)
    waves = [np.fft.fftfreq(n, 1 / n) / side for n, side in zip(cells, sides, strict=True)]
    square = sum(k**2 for k in np.meshgrid(*waves, indexing="ij"))
    shell = np.rint(np.sqrt(square)).astype(int).ravel()
    flat = power.reshape(*u.shape[:-ndim], -1)
    return np.stack([flat[..., shell == k].sum(axis=-1) for k in range(shell.max() + 1)], axis=-1)


def degree_spectrum(
    u: Float[np.ndarray, "*rest lat lon"], transform: Harmonics
) -> Float[np.ndarray, "*rest degree"]:
    """``E_n = sum_{|m| <= n} |c_nm|^2`` of ``u = sum c_nm Y_nm``; the sum is ``<u^2>`` of the truncated field."""
    flat = torch.from_numpy(u.reshape(-1, 1, *u.shape[-2:]).astype(np.float64))
    power = transform.analyse(flat).abs().numpy()[:, 0] ** 2
    power[:, 1:] *= 2  # orders m and -m
    return power.sum(axis=1).reshape(*u.shape[:-2], -1)
