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
from gridvit.analysis.onestep import ratio_of_means
from gridvit.cli import main
from gridvit.config import MODEL_FILE
from gridvit.data.fields import Fields
from gridvit.data.windows import partition
from gridvit.forecast import Forecaster
from gridvit.nn.step import ModelStep
from gridvit.printing import table
from gridvit.rollout import Context, Step
from gridvit.run.folder import RunFolder
from gridvit.run.solvers import solvers
from gridvit.run.subject import places, some_states

HERE = Path(__file__).parent
PROBED = 64  # states


@dataclass(frozen=True)
class Size:
    """Of the experiment: seeds, states of each part that a step is taken from, and further options of the commands."""

    seeds: int = 3
    states: int = 480
    data: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    root: Path = field(default=Path("runs"))


@dataclass(frozen=True, eq=False)
class Steps:
    """States of a part of the data, and what the emulator and the schemes make of them."""

    step: ModelStep
    fields: Fields
    before: torch.Tensor
    after: torch.Tensor
    context: Context
    sample: np.ndarray
    known: dict[str, Step]
    truth: dict[str, torch.Tensor]


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


def steps_of(folder: Path, data: xr.Dataset, part: str, states: int) -> Steps:
    """One step of the emulator and of the schemes from states of one part of the data."""
    run = RunFolder(folder)
    forecaster = Forecaster.load(folder)
    step = forecaster.step.double()
    fields = partition(run.config.data.split, run.fields(forecaster, data), 1)[part]
    before, context = some_states(step, fields, states)
    before, (sample, _) = before.double(), places(step, fields, states)
    known = solvers(fields, 1)
    with torch.no_grad():
        after = torch.cat([step(u) for u in before.split(32)])
        truth = {name: each(before) for name, each in known.items()}
    return Steps(step, fields, before, after, context, sample[:, 0], known, truth)


def expected(steps: Steps) -> xr.Dataset:
    """``one_step_error``, the Jacobian the mean over ``PROBED`` of the states."""
    chosen = np.linspace(0, len(steps.before) - 1, min(PROBED, len(steps.before))).round().astype(int)
    cells = patch_cells(steps.step.period)
    rows = probe(steps.step, steps.before[chosen], cells, steps.context.take(torch.from_numpy(chosen)))
    schemes = {name: probe(each, steps.before[:1], cells) for name, each in steps.known.items()}
    references = {name: phase_average(found).mean("state") for name, found in schemes.items()}
    values = steps.fields.array[:, :, 0].astype(np.float64)
    energy = mode_energy(values - values.mean(), steps.fields.grid.ndim)
    before, after = (u[:, 0].numpy() for u in (steps.before, steps.after))
    return one_step_error(rows, before, after, references, steps.step.period, energy, steps.sample)


def measured(steps: Steps, scheme: str) -> tuple[float, float]:
    """``mean |F(u) - S u|^2 / mean |S u|^2`` and its standard error, trajectory by trajectory."""
    truth = steps.truth[scheme]
    error, power = ((u**2).flatten(1).mean(1).numpy() for u in (steps.after - truth, truth))
    return ratio_of_means(error, power, steps.sample)


def coefficients(tables: list[xr.Dataset]) -> tuple[str, dict[str, float]]:
    """Velocity and diffusivity of every seed beside the scheme's, and the largest relative differences.

    That of the tensor is ``|D - D'| / |D'|``; of its parts the mixed one is small, and the furthest in proportion.
    """
    maker = tables[0].attrs["generating_scheme"]
    made = tables[0].sel(scheme=maker)
    rows, off = [], {"velocity": 0.0, "diffusivity": 0.0, "one part of it": 0.0}
    for seed, analysis in enumerate(tables):
        one = analysis.sel(scheme="emulator")
        rows.append([f"emulator, seed {seed}", *numbers(one)])
        parts = [float(abs(one[name] / made[name] - 1).max()) for name in ("velocity", "diffusivity")]
        gap = (one["diffusivity"] - made["diffusivity"]).values
        tensor = float(np.linalg.norm(gap) / np.linalg.norm(made["diffusivity"]))
        off = {k: max(v, w) for (k, v), w in zip(off.items(), (parts[0], tensor, parts[1]), strict=True)}
    whole = across_runs([t[["velocity", "diffusivity"]].sel(scheme="emulator", drop=True) for t in tables])
    if len(tables) > 1:
        rows.append(["their standard deviation", *(f"{v:.4f}" for v in flat(whole, "_spread"))])
    rows.append([f"generating scheme ({maker})", *numbers(made)])
    rows.append(["exact", *numbers(tables[0].sel(scheme="exact"))])
    columns = ["from the symbol", "a_y", "a_x", "D_yy", "D_yx", "D_xx"]
    return table(columns, rows), off


def flat(table: xr.Dataset, end: str = "") -> list[float]:
    """Two velocities and three diffusivities."""
    d = table[f"diffusivity{end}"].values
    return [*table[f"velocity{end}"].values, d[0, 0], d[0, 1], d[1, 1]]


def numbers(table: xr.Dataset) -> list[str]:
    """The same as text."""
    return [f"{v:.4f}" for v in flat(table)]


def errors(folders: list[Path], data: xr.Dataset, states: int) -> tuple[str, float]:
    """The error of one step that the training part lets expect beside the one on the test part; the worst of z."""
    rows, worst = [], 0.0
    for seed, folder in enumerate(folders):
        train, test = (steps_of(folder, data, part, states) for part in ("train", "test"))
        told = expected(train)
        for scheme in told["scheme"].values:
            one, (value, error) = told.sel(scheme=scheme), measured(test, scheme)
            # Both are means over trajectories: their standard errors add up in squares.
            spread = float(np.hypot(one["one_step_standard_error"], error))
            z = (value - float(one["one_step_expected"])) / spread
            worst = max(worst, abs(z))
            parts = (float(one[f"error_of_{part}"]) for part in ("waves", "constant", "state"))
            numbers = [
                *parts,
                float(one["one_step_expected"]),
                float(one["one_step_measured"]),
                value,
                spread,
            ]
            rows.append([f"{seed}, {scheme}", *(f"{v:.3g}" for v in numbers), f"{z:+.1f}"])
    columns = [
        "seed, against",
        "waves",
        "constant",
        "state",
        "expected",
        "there",
        "measured",
        "standard error",
        "z",
    ]
    return table(columns, rows), worst


def stencil(size: Size) -> None:
    """Make what is missing, print the tables, and say whether the promises are kept."""
    folders = runs(size)
    tables = [xr.load_dataset(folder / "analysis.nc") for folder in folders]
    text, off = coefficients(tables)
    furthest = ", ".join(f"{name} {value:.2%}" for name, value in off.items())
    print(f"\n{text}\n\nfurthest from the generating scheme: {furthest}")
    print(f"nearest named scheme: {', '.join(t.attrs['nearest_scheme'] for t in tables)}\n")
    with xr.open_dataset(size.root / "stencil.nc") as data:
        text, worst = errors(folders, data, size.states)
    print(f"{text}\n\nlargest difference: {worst:.1f} standard errors")
    kept = {"velocity within 1 %": off["velocity"] < 0.01, "diffusivity within 5 %": off["diffusivity"] < 0.05,
            "expected error within 3 standard errors of the measured": worst < 3}  # fmt: skip
    for promise, held in kept.items():
        print(f"{promise}: {'kept' if held else 'NOT kept'}")


if __name__ == "__main__":
    stencil(Size())
