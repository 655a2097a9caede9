"""The converged solutions of the benchmark of cost against SciPy's integrators, with derivatives by NumPy's FFT."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

FILE = Path(__file__).parents[1] / "experiments/benchmarks/solvers/cost.py"
spec = importlib.util.spec_from_file_location("cost", FILE)
assert spec is not None
assert spec.loader is not None
cost = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cost)
Rate = Callable[[np.ndarray, Callable[..., np.ndarray]], np.ndarray]


def kuramoto_sivashinsky(state: np.ndarray, d: Callable[..., np.ndarray]) -> np.ndarray:
    (u,) = state
    return np.stack([-d(u**2, 1) / 2 - d(u, 2) - d(u, 4)])


def gray_scott(state: np.ndarray, d: Callable[..., np.ndarray]) -> np.ndarray:
    u, v = state
    eaten = u * v**2
    return np.stack([0.16 * d(u, 2) - eaten + 0.035 * (1 - u), 0.08 * d(v, 2) + eaten - 0.095 * v])


def fitzhugh_nagumo(state: np.ndarray, d: Callable[..., np.ndarray]) -> np.ndarray:
    u, v = state
    return np.stack([d(u, 2) + u - u**3 - v, 0.05 * (u - 0.5 * v)])


@pytest.mark.parametrize(
    ("name", "n", "rate", "method"),
    [
        ("Kuramoto-Sivashinsky", 256, kuramoto_sivashinsky, "LSODA"),  # waves beyond the grid are below 1e-8
        ("Gray-Scott", 32, gray_scott, "DOP853"),
        ("FitzHugh-Nagumo", 32, fitzhugh_nagumo, "DOP853"),
    ],
)
def test_the_spectral_solution_is_that_of_another_integrator(
    name: str, n: int, rate: Rate, method: str
) -> None:
    solver, start = cost.solved(name, n, "spectral", 2)
    k = 2 * np.pi * np.fft.fftfreq(n, solver.grid.lengths[0] / n)

    def d(field: np.ndarray, order: int) -> np.ndarray:
        """The derivative along a line; the Laplacian on a plane."""
        if field.ndim == 1:
            power = (1j * np.where(np.arange(n) == n // 2, 0, k)) ** order if order % 2 else (1j * k) ** order
            return np.fft.ifft(power * np.fft.fft(field)).real
        square = k[:, None] ** 2 + k**2
        return np.fft.ifft2(-square * np.fft.fft2(field)).real

    def flat(t: float, u: np.ndarray) -> np.ndarray:
        return rate(u.reshape(start.shape), d).ravel()

    other = solve_ivp(flat, (0, solver.dt), start.ravel(), method, rtol=1e-8, atol=1e-10).y[:, -1]
    found = solver(torch.from_numpy(start)[None])[0].numpy().ravel()
    assert np.abs(found - start.ravel()).max() > 0.1
    miss = np.abs(found - other).max()
    assert miss < 1e-6, miss


def test_fields_move_to_the_centres_of_coarser_cells() -> None:
    def wave(n: int) -> np.ndarray:
        x = (np.arange(n) + 0.5) * 2 * np.pi / n
        return np.sin(3 * x + 1)[None, :, None] * np.exp(np.cos(x))[None, None]

    for fine in (96, 64):  # three and two cells in one
        np.testing.assert_allclose(cost.at_centres(wave(fine), 32), wave(32), atol=1e-12)
