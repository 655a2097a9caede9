"""Steps per second of RK4 on the same differences: gridvit against py-pde's numba backend, float64, one core.

Theirs is timed again right before each of ours, so that other work on the machine slows both.

OMP_NUM_THREADS=1 NUMBA_NUM_THREADS=1 python experiments/benchmarks/solvers/speed.py
"""

from __future__ import annotations

import sys
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

SECONDS = 0.3  # of each measurement, the best of three
DT = 1e-3
STEPS = 64  # of a call: both loops are compiled ones

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


Run = Callable[[], object]


def seconds(runs: list[Run]) -> list[float]:
    """Of one step of each run of ``STEPS`` steps, taken in turns: the best of three, after a first that compiles."""
    best = [float("inf")] * len(runs)
    for run in runs:
        run()
    for _ in range(3):
        for n, run in enumerate(runs):
            calls, start = 0, time.perf_counter()
            while time.perf_counter() - start < SECONDS:
                run()
                calls += 1
            best[n] = min(best[n], (time.perf_counter() - start) / calls / STEPS)
    return best


def by_gridvit(equation: Equation, state: np.ndarray, batch: int, fused: bool) -> Run:
    torch.compiler.reset()
    solver = Solver(equation, Grid.regular(state.shape[1:]), STEPS * DT, "rk4", STEPS, fused=fused)
    u = torch.from_numpy(np.repeat(state[None], batch, axis=0))

    def run() -> None:
        with torch.no_grad():
            solver(u)

    return run


def by_pde(equations: dict[str, str], state: np.ndarray) -> Run:
    grid = pde.CartesianGrid([(0, n) for n in state.shape[1:]], state.shape[1:], periodic=True)
    fields = pde.FieldCollection([pde.ScalarField(grid, u) for u in state])
    solver = pde.RungeKuttaSolver(pde.PDE(equations), adaptive=False, backend="numba")
    stepper = solver.make_stepper(fields, dt=DT)
    return lambda: stepper(fields.copy(), 0.0, STEPS * DT)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    chosen = sys.argv[1:] or list(CASES)
    for name in chosen:
        equation, shape, theirs = CASES[name]
        state = 0.3 * np.random.default_rng(1).random((len(theirs), *shape))
        library = by_pde(theirs, state)
        for batch in (1, 32):
            for fused in (False, True):
                other, own = seconds([library, by_gridvit(equation, state, batch, fused)])
                how = f"batch {batch}, {'fused' if fused else 'plain'}"
                print(
                    f"{name}: {how}: {batch / own:.0f}/s, py-pde {1 / other:.0f}/s, ratio {batch * other / own:.2f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
