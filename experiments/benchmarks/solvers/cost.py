"""Error against cost of each solver, float64, one core, one state.

Against the solution where it is known, else against our own spectral one on twice the finest grid in half the step
(tests/test_references.py checks it against SciPy's integrators).

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
    FitzHughNagumo,
    GrayScott,
    KortewegDeVries,
    KuramotoSivashinsky,
    ShallowWater,
    Solver,
    SphereAdvection,
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


def hills(grid: Grid) -> np.ndarray:
    """A wave of Kassam and Trefethen (2005)."""
    x = grid.centers[0] / 16
    return (np.cos(x) * (1 + np.sin(x)))[None]


def bump(grid: Grid) -> np.ndarray:
    """exp(-r^2 / 16) around the middle, periodic to rounding."""
    middle = [(c - length / 2) ** 2 for c, length in zip(grid.centers, grid.lengths, strict=True)]
    return np.exp(-sum(np.meshgrid(*middle, indexing="ij")) / 16)


def fed(grid: Grid) -> np.ndarray:
    return np.stack([1 - bump(grid) / 2, bump(grid) / 4])


def excited(grid: Grid) -> np.ndarray:
    return np.stack([3 * bump(grid) - 1, 0 * bump(grid) - 0.5])


# Equation, length, dimensions, time, steps, initial state and cells along each axis of three grids.
CONVERGED: dict[
    str, tuple[Equation, float, int, float, int, Callable[[Grid], np.ndarray], tuple[int, ...]]
] = {
    "Kuramoto-Sivashinsky": (
        KuramotoSivashinsky(form="slope"),
        16 * TAU,
        1,
        10.0,
        400,
        hills,
        (96, 192, 384),
    ),
    "Gray-Scott": (GrayScott(), 48.0, 2, 40.0, 80, fed, (32, 64, 128)),
    "FitzHugh-Nagumo": (FitzHughNagumo(), 48.0, 2, 4.0, 80, excited, (32, 64, 128)),
}


def solved(name: str, n: int, accuracy: int | str, finer: int = 1) -> tuple[Solver, np.ndarray]:
    """Solver and initial state of a problem of `CONVERGED` on n cells along each axis."""
    equation, length, ndim, t, steps, start, _ = CONVERGED[name]
    grid = Grid.regular((n,) * ndim, (length,) * ndim)
    return Solver(equation, grid, t, "etdrk4", finer * steps, accuracy), start(grid)


def at_centres(fine: np.ndarray, n: int) -> np.ndarray:
    """A field on m n cells along each axis at the centres of n: its waves, moved by (m - 1) / 2 cells."""
    for axis in range(1, fine.ndim):
        size = fine.shape[axis]
        turn = np.exp(1j * np.pi * np.fft.fftfreq(size) * (size // n - 1))
        shape = [-1 if i == axis else 1 for i in range(fine.ndim)]
        moved = np.fft.ifft(np.fft.fft(fine, axis=axis) * turn.reshape(shape), axis=axis).real
        fine = moved.take(range(0, size, size // n), axis=axis)
    return fine


def converged() -> None:
    for name, (*_, sizes) in CONVERGED.items():
        solver, start = solved(name, 2 * max(sizes), "spectral", 2)
        with torch.no_grad():
            fine = solver(torch.from_numpy(start)[None])[0].numpy()
        for accuracy in ACCURACIES:
            for n in sizes:
                solver, start = solved(name, n, accuracy)
                cells = " x ".join([str(n)] * solver.grid.ndim)
                report(name, accuracy, cells, measure(solver, start, at_centres(fine, n)[0]))


def spheres() -> None:
    """A bell of 1400 km, half a turn about the axis of longitude 0 on: from longitude 2 over a pole to -2."""
    for rows in (16, 32, 64):
        grid = Grid.gaussian(rows, 2 * rows)
        lat, lon = np.meshgrid(*(np.deg2rad(c) for c in grid.centers), indexing="ij")
        start, end = (np.exp(40 * (np.cos(lat) * np.cos(lon - at) - 1)) for at in (2, -2))
        solver = Solver(SphereAdvection(tilt=90.0), grid, 6 * 86400.0, "rk4", 384)
        report("turning sphere (bell)", "spectral", f"{rows} x {2 * rows}", measure(solver, start[None], end))


def measure(solver: Solver, start: np.ndarray, end: np.ndarray) -> tuple[float, float]:
    """Largest error of the first variable over its largest value, and seconds of the processor."""
    state = torch.from_numpy(start)[None]
    with torch.no_grad():
        solver(state)
        begin = time.process_time()
        after = solver(state)[0, 0].numpy()
    return float(np.abs(after - end).max() / np.abs(end).max()), time.process_time() - begin


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
                begin = time.process_time()
                after = solver(state)[0, 0].numpy()
            report(
                "dam break (Ritter)",
                limiter,
                str(n),
                (float(np.abs(after - end).mean()), time.process_time() - begin),
            )


if __name__ == "__main__":
    torch.set_num_threads(1)
    print("| problem | order | cells | error | ms |\n|---|---|---|---|---|")
    lines()
    planes()
    converged()
    spheres()
    dams()
