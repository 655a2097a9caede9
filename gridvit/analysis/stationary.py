"""What a flow is like once its initial state is forgotten: energy, and how fast it forgets.

An emulator that has left the weather of the truth can still be right in these.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

from gridvit.errors import InputError
from gridvit.grid import Grid


def energy(u: Float[np.ndarray, "*given"], ndim: int = 1) -> Float[np.ndarray, "*rest"]:
    """``E = <|u|^2> / 2`` of (..., variable, *space), the mean over ``ndim`` axes of space; of a vorticity, Z."""
    space = tuple(range(-ndim, 0))
    return np.asarray((u.astype(np.float64) ** 2).mean(axis=space).sum(axis=-1) / 2)


def flow(w: Float[np.ndarray, "*rest one y x"], grid: Grid) -> Float[np.ndarray, "*rest two y x"]:
    """The velocity (u, v) = (-psi_y, psi_x) of a vorticity, lap psi = w, on a plane that is periodic, wave by wave.

    Of an even axis' shortest wave a grid cannot say the slope: it moves nothing. Energy and enstrophy of
    w = 2 cos(x) cos(y) are 1/4 and 1/2.

    Raises:
        InputError: another grid than a periodic plane of two axes.
    """
    ky, kx = _wavenumbers(grid)
    square = ky[:, None] ** 2 + kx**2
    square[0, 0] = np.inf
    psi = -np.fft.fft2(w.astype(np.float64)) / square
    along_y, along_x = (np.fft.ifft2(1j * k * psi).real for k in _slopes(ky, kx))
    return np.concatenate([-along_y, along_x], axis=-3)


def curl(v: Float[np.ndarray, "*rest two y x"], grid: Grid) -> Float[np.ndarray, "*rest one y x"]:
    """w = v_x - u_y of a velocity (u, v) on a plane that is periodic, wave by wave: of ``flow(w)`` it is w - <w>.

    Raises:
        InputError: another grid than a periodic plane of two axes.
    """
    along_y, along_x = _slopes(*_wavenumbers(grid))
    waves = np.fft.fft2(v.astype(np.float64))
    return np.fft.ifft2(1j * (along_x * waves[..., 1:2, :, :] - along_y * waves[..., 0:1, :, :])).real


def _wavenumbers(grid: Grid) -> list[np.ndarray]:
    """2 pi k / L along y and x."""
    if grid.ndim != 2 or grid.is_sphere or not all(grid.periodic):
        raise InputError("a periodic plane of two axes", grid.describe(), "take the energy of velocities")
    sizes = zip(grid.shape, grid.lengths, strict=True)
    return [2 * np.pi / length * np.fft.fftfreq(n, 1 / n) for n, length in sizes]


def _slopes(*wavenumbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Those of derivatives, without the shortest wave of an even axis, as a column and a row."""
    ky, kx = (np.where(np.arange(len(k)) * 2 == len(k), 0.0, k) for k in wavenumbers)
    return ky[:, None], kx


def decorrelation_time(u: Float[np.ndarray, "run time *rest"], dt: float, level: float = 0.5) -> float:
    """The lag at which ``r(l) = <u'(t) u'(t + l)> / <u'(t)^2>`` falls below ``level``; inf if it never does.

    <.> is the mean over runs, times and cells; u' is the anomaly from each cell's mean over runs and times. Between
    frames r goes in a straight line. Good values: runs a hundred times as long as the answer, which is then known to
    some percent.
    """
    anomaly = u.astype(np.float64) - u.mean(axis=(0, 1), dtype=np.float64)
    variance, before = float((anomaly**2).mean()), 1.0
    for lag in range(1, u.shape[1]):
        now = float((anomaly[:, :-lag] * anomaly[:, lag:]).mean()) / variance
        if now < level:
            return dt * (lag - 1 + (before - level) / (before - now))
        before = now
    return float("inf")
