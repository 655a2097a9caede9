"""Error against cost of each solver on problems whose solution is known, float64, one core, one state.

OMP_NUM_THREADS=1 python experiments/benchmarks/solvers/cost.py
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from gridvit.grid import Grid
from gridvit.physics import (
    AllenCahn,
    DamBreak,
    Equation,
    KortewegDeVries,
    ShallowWater,
    Solver,
    Vorticity,
    Wave,
)

TAU = 2 * np.pi
ACCURACIES = (2, 4, 6, "spectral")
Fields = Callable[[np.ndarray, float], np.ndarray]


def cole_hopf(x: np.ndarray, t: float) -> np.ndarray:
    wave = 0.9 * np.exp(-0.1 * t)
    return 0.2 * wave * np.sin(x) / (1 + wave * np.cos(x))


def soliton(x: np.ndarray, t: float) -> np.ndarray:
    return 3 / np.cosh((x - 18 - t) / 2) ** 2


def front(x: np.ndarray, t: float) -> np.ndarray:
    return (1 - np.tanh((x - 18 - 3 * np.sqrt(0.5) * t) / np.sqrt(8))) / 2


def pulse(x: np.ndarray, t: float) -> np.ndarray:
    return np.stack([np.exp(np.sin(x - t)), -np.cos(x - t) * np.exp(np.sin(x - t))])


# Equation, length, whether periodic, method, time, exact solution (variable, x) and cells of three grids.
# Korteweg-de Vries without dispersion is Burgers'.
LINES: dict[str, tuple[Equation, float, bool, str, float, Fields, tuple[int, ...]]] = {
    "Burgers (Cole-Hopf)": (KortewegDeVries(0.0, 0.1), TAU, True, "etdrk4", 1.0, cole_hopf, (32, 64, 128)),
    "wave (pulse)": (Wave(), TAU, True, "etdrk4", 1.0, pulse, (16, 32, 64)),
    "Korteweg-de Vries (soliton)": (KortewegDeVries(1.0), 40.0, True, "etdrk4", 4.0, soliton, (80, 160, 320)),
    "Allen-Cahn (front)": (AllenCahn(1.0, 1.0), 48.0, False, "etdrk4", 4.0, front, (48, 96, 192)),
}


def measure(solver: Solver, start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
    """Largest error of the first variable over its largest value, and seconds."""
    state = torch.from_numpy(start)[None]
    with torch.no_grad():
        solver(state)
        begin = time.perf_counter()
        after = solver(state)[0, 0].numpy()
    return float(np.abs(after - end).max() / np.abs(end).max()), time.perf_counter() - begin


def report(name: str, accuracy: int | str, cells: str, result: tuple[float, float]) -> None:
    print(f"| {name} | {accuracy} | {cells} | {result[0]:.1e} | {1e3 * result[1]:.0f} |", flush=True)


def lines() -> None:
    for name, (equation, length, periodic, method, t, exact, sizes) in LINES.items():
        for accuracy in ACCURACIES:
            for n in sizes:
                grid = Grid.regular(n, length, periodic=periodic)
                x = grid.centers[0]
                solver = Solver(equation, grid, t, method, 2 * max(sizes), accuracy, "neumann")
                start, end = np.atleast_2d(exact(x, 0.0)), np.atleast_2d(exact(x, t))
                report(name, accuracy, str(n), measure(solver, start, end[0]))


def planes() -> None:
    """Taylor-Green's flow with one of twice the wavenumber on a diagonal of it; Poincare's wave of 2 by 1."""
    f, k, depth = 0.5, np.hypot(2, 1), 1.0
    w = np.sqrt(f**2 + depth * k**2)
    for accuracy in ACCURACIES:
        for n in (16, 32, 64):
            grid = Grid.regular((n, n), (TAU, TAU))
            y, x = np.meshgrid(*grid.centers, indexing="ij")
            flow = 2 * np.cos(3 * x) * np.cos(3 * y)
            solver = Solver(Vorticity(0.05), grid, 1.0, "etdrk4", 64, accuracy)
            report(
                "vorticity (Taylor-Green)",
                accuracy,
                f"{n} x {n}",
                measure(solver, flow[None], flow * np.exp(-0.9)),
            )
            start, end = (1e-8 * poincare(x, y, t, f, k, w) for t in (0.0, 1.0))
            solver = Solver(ShallowWater(1.0, depth, f), grid, 1.0, "etdrk4", 64, accuracy)
            report("shallow water (Poincare)", accuracy, f"{n} x {n}", measure(solver, start, end[0]))


def poincare(x: np.ndarray, y: np.ndarray, t: float, f: float, k: float, w: float) -> np.ndarray:
    """eta, u and v of the wave along (2, 1)."""
    phase = 2 * x + y - w * t
    along, across = w / k * np.cos(phase), f / k * np.sin(phase)
    return np.stack([np.cos(phase), (2 * along - across) / k, (along + 2 * across) / k])


def dams() -> None:
    """Ritter's dam over a dry bed; the mean error."""
    for limiter in ("none", "minmod", "van-leer"):
        for n in (100, 200, 400):
            grid = Grid.regular(n, 10.0, periodic=False, origin=-5.0)
            x = grid.centers[0]
            end = np.select([x < -2, x < 4], [1 + 0 * x, (2 - x / 2) ** 2 / 9], 0.0)
            state = torch.from_numpy(np.stack([np.where(x < 0, 1.0, 0.0), 0 * x]))[None]
            solver = Solver(DamBreak(limiter=limiter), grid, 2.0, "ssprk3", n)
            with torch.no_grad():
                begin = time.perf_counter()
                after = solver(state)[0, 0].numpy()
            report(
                "dam break (Ritter)",
                limiter,
                str(n),
                (float(np.abs(after - end).mean()), time.perf_counter() - begin),
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("| problem | order | cells | error | ms |\n|---|---|---|---|---|")
    lines()
    planes()
    dams()
