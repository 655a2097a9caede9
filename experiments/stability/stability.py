"""Do emulators of forced flows stay on the attractor for 1,000 steps?

Run it from the top of the repository: ``python experiments/stability/stability.py``, or with the name of one case. What
is there already, data or a trained run, is taken as it is. It prints each command as it could be typed and every number
of the README's tables, and draws the two figures.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.axis import Axis

from gridvit import Forecaster
from gridvit.analysis.skill import valid_time
from gridvit.analysis.spectra import shell_spectrum
from gridvit.analysis.stationary import decorrelation_time, energy, flow
from gridvit.cli import main
from gridvit.data.simulate import driving, generating_step
from gridvit.grid import Grid
from gridvit.printing import table
from gridvit.rollout import Context, rollout

HERE = Path(__file__).parent
OUT = Path("runs/stability")
CASES = {"burgers": "u", "navier_stokes": "w"}
REFERENCES = 20  # solver runs; those behind them give the emulator its initial states
NEARBY = 1e-6  # of the spread, between two states of one mean that are let go


@dataclass(frozen=True)
class Size:
    """Options beyond those of the files, and numbers of runs and steps."""

    steps: int = 1000
    references: int = REFERENCES
    starts: int = 4
    data: tuple[str, ...] = ()
    training: tuple[str, ...] = ()


def verb(*arguments: str) -> None:
    """Run one command, or stop with its status."""
    print(f"\n$ gridvit {' '.join(arguments)}", flush=True)
    if status := main(arguments):
        sys.exit(status)


def made(case: str, size: Size) -> tuple[xr.Dataset, Forecaster]:
    """The solver's long runs and the trained emulator."""
    data, run, runs = OUT / f"{case}.nc", OUT / case, OUT / f"{case}_runs.nc"
    recipe = str(HERE / f"{case}_data.yaml")
    many = ("--steps", str(size.steps), "--samples", str(size.references + size.starts), "--seed", "2")
    if not data.exists():
        verb("simulate", recipe, "--out", str(data), *size.data)
    if not runs.exists():
        verb("simulate", recipe, "--out", str(runs), *size.data, *many)
    if not (run / "model.safetensors").exists():
        verb("train", str(HERE / f"{case}.yaml"), *size.training)
    with xr.open_dataset(runs, decode_times=False) as ds:
        return ds.load(), Forecaster.load(run)


def rolled(ds: xr.Dataset, emulator: Forecaster, steps: int) -> xr.Dataset:
    """The emulator from the first frame of each run, told the force of the run where it is told one."""
    driven = driving(ds.attrs)
    forecast = emulator(ds.isel(time=[0]), steps, ds[list(driven)] if driven else None)
    return forecast.isel(init_time=0).transpose("sample", "lead", ...)


def velocities(u: np.ndarray, grid: Grid) -> np.ndarray:
    """(run, time, component, *space): u itself, or the flow of a vorticity."""
    return flow(u[:, :, None], grid) if grid.ndim == 2 else u[:, :, None]


def spectrum(v: np.ndarray, ndim: int) -> np.ndarray:
    """E_k (run, k), the mean over times, up to half the largest wavenumber along an axis."""
    half = v.shape[-1] // 4
    return (shell_spectrum(v, ndim).sum(axis=2) / 2).mean(axis=1)[:, 1 : half + 1]


def growth(ds: xr.Dataset, grid: Grid, frames: int) -> float:
    """Rate at which the distance of two nearby states grows under the solver, over some frames, per unit of time."""
    step, forces = generating_step(ds.attrs, grid), driving(ds.attrs)
    known = (
        torch.stack([torch.tensor(ds[name].values[:, : frames + 1]) for name in forces], 2)
        if forces
        else None
    )
    u = torch.tensor(ds[step.variables[0]].values[:, :1], dtype=torch.float64)
    noise = torch.from_numpy(np.random.default_rng(0).standard_normal(u.shape))
    near = u + NEARBY * u.std() * (noise - noise.mean(dim=tuple(range(2, u.ndim)), keepdim=True))
    context = Context(torch.zeros(len(u), dtype=torch.float64), known)
    apart = [rollout(step, state, frames, context) for state in (u, near)]
    distance = (apart[0] - apart[1]).flatten(2).norm(dim=2).mean(0)
    start = frames // 5  # what is not of the fastest growing kind has died out
    return float((distance[-1] / distance[start]).log() / ((frames - start) * step.dt))


def inside(found: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Whether numbers lie within a factor of two of the range of the reference's first axis."""
    return (found >= reference.min(axis=0) / 2) & (found <= 2 * reference.max(axis=0))


def measured(case: str, size: Size) -> dict[str, np.ndarray]:
    """All numbers of a case, printed, and the curves of the figures."""
    ds, emulator = made(case, size)
    grid, dt, name = emulator.grid, emulator.step.dt, CASES[case]
    starts = ds.isel(sample=slice(size.references, None))
    solver, truth = (part[name].values[:, 1:] for part in (ds.isel(sample=slice(size.references)), starts))
    found = rolled(starts, emulator, size.steps)[name].values
    rows = [
        [
            "solver: rate at which a small difference grows",
            f"{growth(starts, grid, min(100, size.steps)):.3f}",
        ],
        *forecast_rows(ds[name], solver, truth, found, dt),
        *times_rows(solver, truth, found, dt),
    ]
    curves = {}
    for key, u in (("solver ", solver), ("", found)):
        v = velocities(u, grid)
        curves |= {f"{key}energy": energy(v, grid.ndim), f"{key}spectrum": spectrum(v, grid.ndim)}
    rows += climate_rows(curves)
    title = f"{case}, {size.steps} steps of {dt:g}, {len(found)} rollouts, {len(solver)} solver runs"
    print(f"\n{table([title, ''], rows)}\n", flush=True)
    return {"dt": np.array(dt), **curves}


def forecast_rows(
    whole: xr.DataArray, solver: np.ndarray, truth: np.ndarray, found: np.ndarray, dt: float
) -> list[list[str]]:
    """Errors of one step relative to the state, and how long forecasts are good."""
    persistence = ((whole.diff("time") ** 2).mean() / (whole**2).mean()).item() ** 0.5
    first = np.sqrt(((found[:, 0] - truth[:, 0]) ** 2).mean() / (truth[:, 0] ** 2).mean())
    apart = ((found.astype(np.float64) - truth) ** 2).mean(axis=tuple(range(2, truth.ndim)))
    near = apart <= solver.var(dtype=np.float64) / 4
    good = np.median(valid_time(near, dt * np.arange(1, near.shape[1] + 1)))
    return [
        ["relative error of one step: persistence", f"{persistence:.3f}"],
        ["relative error of one step: emulator", f"{first:.4f}"],
        ["forecast good for (error below half the spread, median)", f"{good:.2f}"],
    ]


def times_rows(solver: np.ndarray, truth: np.ndarray, found: np.ndarray, dt: float) -> list[list[str]]:
    """Decorrelation times, of halves of the solver's runs too, which tell how well they are known."""
    ours, same, theirs = (decorrelation_time(u, dt) for u in (solver, truth, found))
    halves = ", ".join(f"{decorrelation_time(solver[part::2], dt):.3f}" for part in (0, 1))
    return [
        ["decorrelation time: solver runs (of either half of them)", f"{ours:.3f} ({halves})"],
        ["decorrelation time: solver from the emulator's initial states", f"{same:.3f}"],
        ["decorrelation time: emulator", f"{theirs:.3f}"],
        ["decorrelation time: emulator over solver runs", f"{theirs / ours:.3f}"],
        ["decorrelation time: emulator over solver from the same states", f"{theirs / same:.3f}"],
    ]


def climate_rows(curves: dict[str, np.ndarray]) -> list[list[str]]:
    """Energies and spectra against the range of the solver runs."""
    rows = []
    for key, name in (("solver ", "solver runs"), ("", "emulator")):
        e = curves[f"{key}energy"]
        quarter = max(1, e.shape[1] // 4)
        rows += [
            [f"energy, lowest and highest of all frames: {name}", f"{e.min():.4f}, {e.max():.4f}"],
            [
                f"energy, mean of first and last quarter: {name}",
                f"{e[:, :quarter].mean():.4f}, {e[:, -quarter:].mean():.4f}",
            ],
        ]
    energies = inside(curves["energy"].ravel(), curves["solver energy"].ravel())
    waves = inside(curves["spectrum"], curves["solver spectrum"])
    return [
        *rows,
        ["emulator: energies within a factor 2 of the solver's range", f"{energies.mean():.2%}"],
        [
            f"emulator: E_k, k = 1 .. {waves.shape[1]}, of each rollout within a factor 2 of the range at that k",
            f"{waves.mean():.2%}",
        ],
    ]


def drawn(found: dict[str, dict[str, np.ndarray]], folder: Path) -> None:
    """Two figures, a panel for each case: energy by step, and spectra, with what a factor of two allows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    for quantity in ("energy", "spectrum"):
        figure = Figure(figsize=(5 * len(found), 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        for place, (case, curves) in enumerate(found.items(), start=1):
            axes = figure.add_subplot(1, len(found), place)
            solver, emulator = curves[f"solver {quantity}"], curves[quantity]
            x = np.arange(1, solver.shape[1] + 1) * (curves["dt"] if quantity == "energy" else 1)
            over = None if quantity == "energy" else 0  # one range for all times, one for each wavenumber
            low, high = (
                np.broadcast_to(solver.min(over) / 2, x.shape),
                np.broadcast_to(2 * solver.max(over), x.shape),
            )
            axes.fill_between(x, low, high, color="0.9", label="within a factor 2 of the solver's range")
            low, high = (
                np.broadcast_to(solver.min(over), x.shape),
                np.broadcast_to(solver.max(over), x.shape),
            )
            axes.fill_between(x, low, high, color="0.75", label=f"range of {len(solver)} solver runs")
            for n, line in enumerate(emulator):
                axes.plot(
                    x,
                    line,
                    color="tab:blue",
                    lw=0.8,
                    label="" if n else f"emulator, {len(emulator)} rollouts",
                )
            axes.set(title=case.replace("_", "-"), yscale="log")
            if quantity == "energy":
                axes.set(xlabel="time (dimensionless)", ylabel="energy <|u|^2> / 2 (dimensionless)")
                plain(axes.yaxis, [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2])
            else:
                axes.set(xlabel="waves in the domain, k", ylabel="mean E_k (dimensionless)", xscale="log")
                plain(axes.xaxis, [k for k in (1, 2, 4, 8, 16, 32) if k <= x[-1]])
            axes.legend(fontsize="x-small", loc="lower left")
        figure.savefig(folder / f"{quantity}.png", dpi=90)


def plain(axis: Axis, ticks: list[float]) -> None:
    """Ticks of a logarithmic axis as plain numbers, as far as they are in view."""
    low, high = axis.get_view_interval()
    axis.set_ticks([tick for tick in ticks if low <= tick <= high])
    axis.set_major_formatter("{x:g}")
    axis.set_minor_formatter("")


def stability(cases: Sequence[str] = tuple(CASES), size: Size | None = None, folder: Path = HERE) -> None:
    """The whole: data, training, 1,000 steps, numbers and figures."""
    found = {case: measured(case, size or Size()) for case in cases}
    drawn(found, folder)


if __name__ == "__main__":
    stability(sys.argv[1:] or tuple(CASES))
