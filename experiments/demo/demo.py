"""The whole river in a few minutes: simulate, check, train, forecast, evaluate, analyse, report.

Run it from the top of the repository: ``make demo``. It prints each command as it could be typed, then two tables:
errors on unseen trajectories, and the velocity and diffusivity that the emulator's symbol amounts to.
"""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, redirect_stdout
from io import StringIO
from pathlib import Path

import xarray as xr

from gridvit.cli import main
from gridvit.printing import table

HERE = Path(__file__).parent
RUN = Path("runs/demo")
DATA = Path("runs/demo.nc")


def verb(*arguments: str, show: bool = True) -> None:
    """Run one command, or stop with its status."""
    print(f"\n$ gridvit {' '.join(arguments)}", flush=True)
    start = time.monotonic()
    with nullcontext() if show else redirect_stdout(StringIO()):
        status = main(arguments)
    if status:
        sys.exit(status)
    print(f"  ({time.monotonic() - start:.0f} s)", flush=True)


def errors(scores: xr.Dataset) -> str:
    """One-step and 20-step relative errors by model."""
    maker = str(scores["model"].values[-2])
    names = {
        "persistence": "persistence",
        "emulator": "emulator",
        maker: f"generating scheme ({maker})",
        "exact": "exact",
    }
    chosen = scores["nrmse"].isel(variable=0, lead=[0, -1]).sel(model=list(names))
    rows = [
        [names[str(row["model"].item())], *(f"{v:.2%}" if v > 1e-5 else f"{v:.0e}" for v in row.values)]
        for row in chosen
    ]
    return table(["relative error on unseen trajectories", "1 step", f"{scores.sizes['lead']} steps"], rows)


def coefficients(analysis: xr.Dataset) -> str:
    """Velocity and diffusivity of the emulator, of the generating scheme and of the equation."""
    maker = analysis.attrs["generating_scheme"]
    names = {"emulator": "emulator", maker: f"generating scheme ({maker})", "exact": "exact"}
    columns = ["recovered from the symbol", "a_y", "a_x", "D_yy", "D_yx", "D_xx"]
    rows = []
    for scheme, name in names.items():
        one = analysis.sel(scheme=scheme)
        d = one["diffusivity"].values
        rows.append([name, *(f"{v:.4f}" for v in (*one["velocity"].values, d[0, 0], d[0, 1], d[1, 1]))])
    return table(columns, rows)


def misses(scores: xr.Dataset, analysis: xr.Dataset) -> list[str]:
    """Which of the demo's promises are not kept: one-step error 2 %, velocity 2 %, diffusivity 10 % of the scheme's."""
    maker = analysis.attrs["generating_scheme"]
    one, made = analysis.sel(scheme="emulator"), analysis.sel(scheme=maker)
    found = {
        "one-step error below 2 %": scores["nrmse"].sel(model="emulator").values[0, 0] < 0.02,
        "persistence error of at least 0.3": scores["nrmse"].sel(model="persistence").values[0, 0] >= 0.3,
        "velocity within 2 %": bool((abs(one["velocity"] / made["velocity"] - 1) < 0.02).all()),
        "diffusivity within 10 %": bool((abs(one["diffusivity"] / made["diffusivity"] - 1) < 0.1).all()),
    }
    return [promise for promise, kept in found.items() if not kept]


def demo() -> None:
    """Simulate, train, measure, and print the two tables."""
    start = time.monotonic()
    verb("simulate", str(HERE / "simulate.yaml"), "--out", str(DATA), "--overwrite")
    verb("check", str(DATA))
    verb("train", str(HERE / "config.yaml"), "--overwrite")
    verb(
        "forecast",
        str(RUN),
        str(DATA),
        "--init",
        "first",
        "--steps",
        "20",
        "--out",
        "runs/demo_forecast.nc",
        "--overwrite",
    )
    verb("evaluate", str(RUN), show=False)
    verb("analyse", str(RUN), show=False)
    verb("report", str(RUN), show=False)
    with xr.open_dataset(RUN / "scores.nc") as scores, xr.open_dataset(RUN / "analysis.nc") as analysis:
        print(f"\n{errors(scores)}\n\n{coefficients(analysis)}\n")
        missed = misses(scores, analysis)
    if missed:
        sys.exit(f"the demo missed: {'; '.join(missed)}")
    print(f"{time.monotonic() - start:.0f} s in all. Everything measured: {RUN / 'report.html'}")


if __name__ == "__main__":
    demo()
