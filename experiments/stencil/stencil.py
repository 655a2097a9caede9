"""Three emulators of one scheme, read as schemes: do they carry and spread as it does, and is the distance the error?

Run it from the top of the repository: ``python experiments/stencil/stencil.py``. It takes the runs that are there
and makes the others, prints each command as it could be typed, and then two tables.
"""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from gridvit.analysis import across_runs, mode_energy, one_step_error, patch_cells, phase_average, probe
from gridvit.cli import main
from gridvit.config import MODEL_FILE
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.printing import table
from gridvit.run.evaluate import solvers
from gridvit.run.folder import RunFolder
from gridvit.run.subject import places, some_states

HERE = Path(__file__).parent
PROBED = 16  # states


@dataclass(frozen=True)
class Size:
    """Of the experiment: seeds, states of each part that a step is taken from, and further options of the commands."""

    seeds: int = 3
    states: int = 480
    data: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    root: Path = field(default=Path("runs"))


def verb(*arguments: str) -> None:
    """Run one command, or stop with its status."""
    print(f"$ gridvit {' '.join(arguments)}", flush=True)
    with redirect_stdout(StringIO()):
        status = main(arguments)
    if status:
        sys.exit(status)


def runs(size: Size) -> list[Path]:
    """The folder of each seed, trained and analysed."""
    data, folders = size.root / "stencil.nc", []
    if not data.exists():
        verb("simulate", str(HERE / "simulate.yaml"), "--out", str(data), *size.data)
    for seed in range(size.seeds):
        folder = size.root / f"stencil-{seed}"
        if not (folder / MODEL_FILE).exists():
            verb("train", str(HERE / "config.yaml"), "--name", folder.name, "--training.seed", str(seed),
                 "--root", str(size.root), "--data.path", str(data), *size.network)  # fmt: skip
        if not (folder / "analysis.nc").exists():
            verb("analyse", str(folder))
        folders.append(folder)
    return folders


def one_step(folder: Path, part: str, states: int) -> xr.Dataset:
    """``one_step_error`` on states of one part of the data, the Jacobian the mean over some of them."""
    run = RunFolder(folder)
    forecaster = Forecaster.load(folder)
    step = forecaster.step.double()
    fields = partition(run.config.data.split, run.fields(forecaster, None), 1)[part]
    before, context = some_states(forecaster.step, fields, states)
    before, (sample, _) = before.double(), places(step, fields, states)
    with torch.no_grad():
        after = torch.cat([step(u) for u in before.split(32)])
    chosen = np.linspace(0, len(before) - 1, min(PROBED, len(before))).round().astype(int)
    rows = probe(step, before[chosen], patch_cells(step.period), context.take(torch.from_numpy(chosen)))
    known = solvers(fields, 1)
    references = {
        name: phase_average(probe(s, before[:1], patch_cells(step.period))).mean("state")
        for name, s in known.items()
    }
    values = fields.array[:, :, 0].astype(np.float64)
    energy = mode_energy(values - values.mean(), fields.grid.ndim)
    return one_step_error(
        rows, before[:, 0].numpy(), after[:, 0].numpy(), references, step.period, energy, sample[:, 0]
    )


def coefficients(tables: list[xr.Dataset]) -> tuple[str, float, float]:
    """Velocity and diffusivity of every seed beside the scheme's; the largest relative differences of each."""
    maker = tables[0].attrs["generating_scheme"]
    made = tables[0].sel(scheme=maker)
    rows, off = [], []
    for seed, analysis in enumerate(tables):
        one = analysis.sel(scheme="emulator")
        rows.append([f"emulator, seed {seed}", *numbers(one)])
        off.append([float(abs(one[name] / made[name] - 1).max()) for name in ("velocity", "diffusivity")])
    whole = across_runs([t[["velocity", "diffusivity"]].sel(scheme="emulator", drop=True) for t in tables])
    if len(tables) > 1:
        rows.append(["their standard deviation", *(f"{v:.4f}" for v in flat(whole, "_spread"))])
    rows.append([f"generating scheme ({maker})", *numbers(made)])
    rows.append(["exact", *numbers(tables[0].sel(scheme="exact"))])
    columns = ["from the symbol", "a_y", "a_x", "D_yy", "D_yx", "D_xx"]
    velocity, diffusivity = np.max(off, axis=0)
    return table(columns, rows), velocity, diffusivity


def flat(table: xr.Dataset, end: str = "") -> list[float]:
    """Two velocities and three diffusivities."""
    d = table[f"diffusivity{end}"].values
    return [*table[f"velocity{end}"].values, d[0, 0], d[0, 1], d[1, 1]]


def numbers(table: xr.Dataset) -> list[str]:
    """The same as text."""
    return [f"{v:.4f}" for v in flat(table)]


def errors(folders: list[Path], states: int) -> tuple[str, float]:
    """The error of one step that the training part lets expect beside the one on the test part; the worst of z."""
    rows, worst = [], 0.0
    for seed, folder in enumerate(folders):
        told, seen = (one_step(folder, part, states) for part in ("train", "test"))
        for scheme in seen["scheme"].values:
            one, two = told.sel(scheme=scheme), seen.sel(scheme=scheme)
            # Both are means over trajectories: their standard errors add up in squares.
            spread = np.hypot(float(one["one_step_standard_error"]), float(two["one_step_standard_error"]))
            z = (float(two["one_step_measured"]) - float(one["one_step_expected"])) / spread
            worst = max(worst, abs(z))
            parts = (float(one[f"error_of_{part}"]) for part in ("waves", "constant", "state"))
            rows.append([f"{seed}, {scheme}", *(f"{v:.3g}" for v in parts), f"{float(one['one_step_expected']):.3g}",
                         f"{float(two['one_step_measured']):.3g}", f"{spread:.2g}", f"{z:+.1f}"])  # fmt: skip
    columns = ["seed, against", "waves", "constant", "state", "expected", "measured", "standard error", "z"]
    return table(columns, rows), worst


def stencil(size: Size) -> None:
    """Make what is missing, print the tables, and say whether the promises are kept."""
    folders = runs(size)
    tables = [xr.load_dataset(folder / "analysis.nc") for folder in folders]
    text, velocity, diffusivity = coefficients(tables)
    print(
        f"\n{text}\n\nfurthest from the generating scheme: velocity {velocity:.2%}, diffusivity {diffusivity:.2%}"
    )
    print(f"nearest named scheme: {', '.join(t.attrs['nearest_scheme'] for t in tables)}\n")
    text, worst = errors(folders, size.states)
    print(f"{text}\n\nlargest difference: {worst:.1f} standard errors")
    kept = {"velocity within 1 %": velocity < 0.01, "diffusivity within 5 %": diffusivity < 0.05,
            "expected error within 3 standard errors of the measured": worst < 3}  # fmt: skip
    for promise, held in kept.items():
        print(f"{promise}: {'kept' if held else 'NOT kept'}")


if __name__ == "__main__":
    stencil(Size())
