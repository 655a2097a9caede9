"""Which learning rate is best for networks of several widths, after short trainings of equal length, see README.md."""

from __future__ import annotations

import argparse
import logging
import tempfile
import warnings
from pathlib import Path

import gridvit
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.simulate import simulate
from gridvit.training.metrics import read_metrics

DATA = SimulateConfig(equation="burgers", shape=(64,), samples=20, steps=16)
SPLIT = Split(along="sample", train=(0, 16), validate=(16, 19), test=(19, 20))


def main() -> None:
    """One row for each width, one column for each rate: the validation loss."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--widths", type=int, nargs="+", default=[128, 384, 768])
    options.add_argument("--rates", type=float, nargs="+", default=[2.5e-4, 5e-4, 1e-3, 2e-3, 4e-3])
    options.add_argument("--epochs", type=int, default=6, help="of 16 steps")
    chosen = options.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("gridvit").setLevel(logging.WARNING)
    ds = simulate(DATA)
    print(f"| width | {' | '.join(f'{rate:g}' for rate in chosen.rates)} |")
    print("|---" * (len(chosen.rates) + 1) + "|")
    for width in chosen.widths:
        model = ModelConfig(preset="mini", patch=(8,), width=width, depth=2, heads=4)
        losses = []
        for rate in chosen.rates:
            training = TrainingConfig(epochs=chosen.epochs, batch_size=16, learning_rate=rate, shift=("x",))
            with tempfile.TemporaryDirectory() as root:
                config = RunConfig(root=root, data=DataConfig(split=SPLIT), model=model, training=training)
                run = Path(gridvit.train(config, ds))
                losses.append(read_metrics(run / "metrics.csv")[-1]["validate_loss"])
        print(f"| {width} | {' | '.join(f'{loss:.3g}' for loss in losses)} |", flush=True)


if __name__ == "__main__":
    main()
