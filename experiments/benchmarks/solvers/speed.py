"""Steps per second of RK4 on the same differences: gridvit against py-pde's numba backend, float64, one core.

OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/solvers/speed.py
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable

import numpy as np
import pde
import torch

from gridvit.grid import Grid
from gridvit.physics import (
    AllenCahn,
    Burgers,
    Diffusion,
    Equation,
    GrayScott,
    KuramotoSivashinsky,
    Solver,
    Wave,
)

SECONDS = 0.4  # of each measurement, the best of three
DT = 1e-3

# Ours and theirs do the same arithmetic: second-order differences on cells of width one, periodic.
CASES: dict[str, tuple[Equation, tuple[int, ...], dict[str, str]]] = {
    "diffusion, 1-D, 128": (Diffusion(0.1), (128,), {"u": "0.1*laplace(u)"}),
    "Burgers, 1-D, 128": (Burgers(0.5, "central"), (128,), {"u": "-d_dx(u**2)/2 + 0.5*laplace(u)"}),
    "Kuramoto-Sivashinsky, 1-D, 128": (
        KuramotoSivashinsky(form="slope"),
        (128,),
        {"u": "-(d_dx(u**2) + u*d_dx(u))/3 - laplace(u + laplace(u))"},
    ),
    "diffusion, 64 x 64": (Diffusion(0.1), (64, 64), {"u": "0.1*laplace(u)"}),
    "Allen-Cahn, 64 x 64": (AllenCahn(0.1, 0.5), (64, 64), {"u": "0.1*laplace(u) + 0.5*(u - u**3)"}),
    "wave, 64 x 64": (Wave(0.5), (64, 64), {"u": "v", "v": "0.25*laplace(u)"}),
    "Gray-Scott, 64 x 64": (
        GrayScott(),
        (64, 64),
        {"u": "0.16*laplace(u) - u*v**2 + 0.035*(1-u)", "v": "0.08*laplace(v) + u*v**2 - 0.095*v"},
    ),
    "diffusion, 256 x 256": (Diffusion(0.1), (256, 256), {"u": "0.1*laplace(u)"}),
    "Gray-Scott, 256 x 256": (
        GrayScott(),
        (256, 256),
        {"u": "0.16*laplace(u) - u*v**2 + 0.035*(1-u)", "v": "0.08*laplace(v) + u*v**2 - 0.095*v"},
    ),
}


def rate(run: Callable[[int], None]) -> float:
    """Steps per second of ``run(steps)``, the best of three, after a first call that compiles."""
    run(2)
    start = time.perf_counter()
    run(10)
    steps = max(10, int(10 * SECONDS / (time.perf_counter() - start)))
    best = float("inf")
    for _ in range(3):
        start = time.perf_counter()
        run(steps)
        best = min(best, (time.perf_counter() - start) / steps)
    return 1 / best


def by_gridvit(equation: Equation, state: np.ndarray, batch: int, fused: bool) -> float:
    torch.compiler.reset()
    step = Solver(equation, Grid.regular(state.shape[1:]), DT, "rk4", fused=fused)

    def run(steps: int) -> None:
        u = torch.from_numpy(np.repeat(state[None], batch, axis=0))
        with torch.no_grad():
            for _ in range(steps):
                u = step(u)

    return batch * rate(run)


def by_pde(equations: dict[str, str], state: np.ndarray) -> float:
    grid = pde.CartesianGrid([(0, n) for n in state.shape[1:]], state.shape[1:], periodic=True)
    fields = pde.FieldCollection([pde.ScalarField(grid, u) for u in state])
    solver = pde.RungeKuttaSolver(pde.PDE(equations), adaptive=False, backend="numba")
    stepper = solver.make_stepper(fields, dt=DT)

    def run(steps: int) -> None:
        stepper(fields.copy(), 0.0, steps * DT)

    return rate(run)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name, (equation, shape, theirs) in CASES.items():
        state = 0.3 * np.random.default_rng(1).random((len(theirs), *shape))
        row = {"py-pde": by_pde(theirs, state)}
        for batch in (1, 32):
            for fused in (False, True):
                row[f"{batch}, {'fused' if fused else 'plain'}"] = by_gridvit(equation, state, batch, fused)
        print(
            name,
            {key: f"{value:.0f} ({value / row['py-pde']:.2f})" for key, value in row.items()},
            flush=True,
        )


if __name__ == "__main__":
    main()
