"""What a start is worth: an emulator of Burgers' equation from six trajectories, begun in seven ways.

    python experiments/starts/compare.py [FOLDER]

Each is trained for the same epochs with three seeds. Those that start from a run start from one of 48 trajectories: of
the same viscosity without a next state ("masked"), or of the increments at another viscosity ("forecast").
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np

import gridvit as gv
from gridvit.config import DataConfig, EvaluationConfig, ModelConfig, Split, TrainingConfig
from gridvit.data.simulate import simulate
from gridvit.training.metrics import read_metrics
from gridvit.training_config import ObjectiveConfig, StartConfig

SEEDS = (0, 1, 2)
VISCOSITY, OTHER = 0.005, 0.02
FEW = Split(train=(0, 6), validate=(6, 22), test=(22, 24))
MANY = Split(train=(0, 48), validate=(48, 54), test=(54, 56))
STARTS = {
    "at random": {},
    "masked, all": {"run": "masked"},
    "masked, lora": {"run": "masked", "train": "lora"},
    "forecast, all": {"run": "forecast"},
    "forecast, head": {"run": "forecast", "train": "head"},
    "forecast, last block": {"run": "forecast", "train": "last"},
    "forecast, lora": {"run": "forecast", "train": "lora"},
}


def burgers(viscosity: float, samples: int, seed: int):
    """Decaying waves and their fronts."""
    return simulate(
        gv.SimulateConfig(
            equation="burgers",
            parameters={"viscosity": viscosity},
            shape=(64,),
            lengths=(1.0,),
            dt=0.02,
            samples=samples,
            steps=10,
            cutoff=3.0,
            seed=seed,
        )
    )


def configured(root: Path, name: str, split: Split, **training) -> gv.RunConfig:
    """A small transformer."""
    return gv.RunConfig(
        name=name,
        root=str(root),
        data=DataConfig(split=split),
        model=ModelConfig(preset="mini", patch=(4,), width=64, depth=3, heads=2),
        training=TrainingConfig(accelerator="cpu", shift=("x",), warmup_steps=10, **training),
        evaluation=EvaluationConfig(leads=1),
    )


def main(root: Path) -> None:
    """Print the table."""
    few = burgers(VISCOSITY, 24, 5)
    how = {"epochs": 30, "batch_size": 16, "learning_rate": 2e-3}
    masked = configured(root, "masked", MANY, objective=ObjectiveConfig(kind="masked", share=0.4), **how)
    gv.train(masked, burgers(VISCOSITY, 56, 6))
    gv.train(configured(root, "forecast", MANY, **how), burgers(OTHER, 56, 6))
    print("| start | validation loss of 3 seeds | seconds |\n|---|---|---|")
    for name, start in STARTS.items():
        where = StartConfig(**{**start, "run": str(root / start["run"])}) if start else StartConfig()
        losses, began = [], perf_counter()
        for seed in SEEDS:
            config = configured(
                root, f"{name}, {seed}", FEW, start=where, seed=seed, epochs=15, learning_rate=2e-3
            )
            rows = read_metrics(gv.train(config, few) / "metrics.csv")
            losses.append(min(row["validate_loss"] for row in rows))
        seconds = (perf_counter() - began) / len(SEEDS)
        print(
            f"| {name} | {', '.join(f'{loss:.3f}' for loss in np.sort(losses))} | {seconds:.1f} |", flush=True
        )


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as folder:
            main(Path(folder))
