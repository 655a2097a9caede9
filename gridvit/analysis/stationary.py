"""What a flow is like once its initial state is forgotten: energy, spectrum, and how fast it forgets.

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
    if grid.ndim != 2 or grid.is_sphere or not all(grid.periodic):
        raise InputError("a periodic plane of two axes", grid.describe(), "take the energy of velocities")
    ky, kx = (
        2 * np.pi / length * np.fft.fftfreq(n, 1 / n)
        for n, length in zip(grid.shape, grid.lengths, strict=True)
    )
    square = ky[:, None] ** 2 + kx**2
    square[0, 0] = np.inf
    psi = -np.fft.fft2(w.astype(np.float64)) / square
    for k in (ky, kx):
        k[len(k) // 2 :][: 1 - len(k) % 2] = 0
    along_y, along_x = (np.fft.ifft2(1j * k * psi).real for k in (ky[:, None], kx))
    return np.concatenate([-along_y, along_x], axis=-3)


def shell_spectrum(u: Float[np.ndarray, "*given"], ndim: int = 1) -> Float[np.ndarray, "*rest shell"]:
    """``E_k``: the part of ``mean u^2`` over ``ndim`` last axes in waves of |k| nearest to 0, 1, 2, .. per domain.

    Their sum is all of it. In one dimension it is that of ``gridvit.analysis.skill.power_spectrum``. In two a shell is
    as wide as the domain's own wave, and shells beyond half the cells along an axis are corners, not whole.
    """
    space = tuple(range(-ndim, 0))
    cells = u.shape[-ndim:]
    power = np.abs(np.fft.fftn(u.astype(np.float64), axes=space) / np.prod(cells)) ** 2
    waves = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in cells], indexing="ij")
    shell = np.rint(np.sqrt(sum(k**2 for k in waves))).astype(int).ravel()
    flat = power.reshape(*u.shape[:-ndim], -1)
    return np.stack([flat[..., shell == k].sum(axis=-1) for k in range(shell.max() + 1)], axis=-1)


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


def valid_time(
    forecast: Float[np.ndarray, "case lead *rest"],
    truth: Float[np.ndarray, "case lead *rest"],
    variance: float,
    dt: float,
    share: float = 0.5,
) -> Float[np.ndarray, "case"]:
    """How long each forecast is good: the first lead with ``<(f - o)^2> > share^2 variance``, in units of ``dt``.

    Leads count from one step; one that stays good has the length of the forecast. ``variance`` is that of the truth's
    climate, so that ``share`` is of its spread; sqrt(2) is that of a state drawn from the climate.
    """
    space = tuple(range(2, truth.ndim))
    bad = ((forecast.astype(np.float64) - truth) ** 2).mean(axis=space) > share**2 * variance
    first = np.where(bad.any(axis=1), bad.argmax(axis=1), bad.shape[1])
    return dt * np.asarray(first, dtype=np.float64)
