"""What objectives are worth: rollout errors after trainings of one budget of network evaluations, see README.md."""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import gridvit
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.simulate import simulate
from gridvit.rollout import rollout
from gridvit.training.objectives.unrolled import rollout_steps
from gridvit.training_config import ObjectiveConfig

LENGTH = 1.4  # 2 pi times it is the wave that grows fastest
LEADS, LONG, TRAIN, SETTLED, FRAMES = (1, 10, 40), 400, 16, 40, 80
SPLIT = Split(along="sample", train=(0, 16), validate=(16, 19), test=(19, 24))
EQUATIONS = {
    "kuramoto-sivashinsky": SimulateConfig(
        equation="kuramoto-sivashinsky",
        shape=(64,),
        lengths=(32.0,),
        dt=1.0,
        samples=24,
        steps=SETTLED + FRAMES,
    ),
    "korteweg-de-vries": SimulateConfig(
        equation="korteweg-de-vries", shape=(64,), dt=0.05, samples=24, cutoff=2.0, steps=SETTLED + FRAMES
    ),
}
MODEL = ModelConfig(preset="mini", patch=(4,), width=64, depth=2, heads=2)


def objectives(steps: int) -> dict[str, ObjectiveConfig]:
    """By name; all but the first in rollouts of ``steps``."""
    through = ObjectiveConfig(kind="unrolled", steps=steps, grow=0.5)
    return {
        "next-step": ObjectiveConfig(),
        "unrolled": through,
        "unrolled, no curriculum": replace(through, grow=0.0),
        "pushforward": replace(through, gradient="last"),
        "next-step, slopes": ObjectiveConfig(),
        "unrolled, slopes": through,
    }


def evaluations(objective: ObjectiveConfig, epochs: int) -> int:
    """Network evaluations of all epochs, in units of one window and one step."""
    if objective.kind == "next-step":
        return epochs * TRAIN * FRAMES
    windows = TRAIN * (FRAMES + 1 - objective.steps)
    return windows * sum(rollout_steps(e, epochs, objective.steps, objective.grow) for e in range(epochs))


def epochs_within(objective: ObjectiveConfig, budget: int) -> int:
    """The most epochs that the budget allows."""
    return next(n for n in range(1, budget) if evaluations(objective, n + 1) > budget)


def scored(run: Path, ds: xr.Dataset) -> list[float]:
    """Errors at LEADS over the spread of the data, and the variance after LONG steps over that of the data."""
    step = gridvit.Forecaster.load(run).step
    truth = torch.from_numpy(ds["u"].values[SPLIT.test[0] :, :, None]).float()
    with torch.no_grad():
        starts = truth[:, ::10][:, :4].flatten(0, 1)  # at four times of each trajectory
        found = rollout(step, starts, LONG)
    spread = float(truth.std())
    after = torch.stack([truth[:, lead : lead + 31 : 10].flatten(0, 1) for lead in LEADS], 1)
    errors = (found[:, list(LEADS)] - after).square().mean((0, 2, 3)).sqrt() / spread
    last = found[:, -1]
    variance = (last - last.mean(-1, keepdim=True)).square().mean() / (
        truth - truth.mean(-1, keepdim=True)
    ).square().mean()
    return [*errors.tolist(), float(variance)]


def main() -> None:
    """Train each objective from each seed, and print a row of the table for each objective."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--equation", choices=EQUATIONS, default="kuramoto-sivashinsky")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--steps", type=int, default=4)
    options.add_argument("--epochs", type=int, default=40, help="of next-step training, which set the budget")
    options.add_argument("--only", default="", help="one objective")
    chosen = options.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("gridvit").setLevel(logging.WARNING)
    ds = simulate(EQUATIONS[chosen.equation]).isel(time=slice(SETTLED, None))
    budget = evaluations(ObjectiveConfig(), chosen.epochs)
    print(
        f"| {chosen.equation} | epochs | evaluations | error at 1 | 10 | 40 steps | variance after {LONG} |"
    )
    print("|---|---|---|---|---|---|---|")
    for name, objective in objectives(chosen.steps).items():
        if chosen.only not in ("", name):
            continue
        epochs = epochs_within(objective, budget)
        rows = []
        for seed in range(chosen.seeds):
            training = TrainingConfig(
                objective=objective,
                epochs=epochs,
                batch_size=16,
                learning_rate=2e-3,
                seed=seed,
                shift=("x",),
                slopes=LENGTH if "slopes" in name else 0.0,
            )
            with tempfile.TemporaryDirectory() as root:
                data = DataConfig(split=SPLIT)
                config = RunConfig(name="run", root=root, data=data, model=MODEL, training=training)
                rows.append(scored(gridvit.train(config, ds), ds))
        low, high = np.min(rows, 0), np.max(rows, 0)
        cells = [
            f"{np.median(r):.3g} ({a:.3g} to {b:.3g})"
            for r, a, b in zip(np.transpose(rows), low, high, strict=True)
        ]
        print(f"| {name} | {epochs} | {evaluations(objective, epochs)} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
