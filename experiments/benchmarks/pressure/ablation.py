"""What was tried, in this order, scored on the validation part; the test part is not looked at. See README.md.

Usage: ``python experiments/benchmarks/pressure/ablation.py FILE [--only NAME ...]``
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from benchmark import ENTRIES, HISTORY, LEADS, SPLIT, Entry, scored, trained
from opponents import anomalies, chosen_ridge

from gridvit.analysis.baselines import companion
from gridvit.channels import Channels
from gridvit.climatology import Climatology
from gridvit.data.fields import Fields, load
from gridvit.data.windows import partition
from gridvit.run.cases import Cases

RADIUS = 5


@dataclass(frozen=True)
class Trial:
    """An entry, for how many epochs, and whether it sees anomalies from the climatology or the fields themselves."""

    entry: Entry
    epochs: int
    whole: bool = False


def network(name: str = "gridvit", model: Mapping[str, Any] | None = None, **training: Any) -> Entry:
    """The entry of the benchmark with other values."""
    entry = ENTRIES[name]
    changed = replace(entry.model, **(model or {}))
    return replace(entry, model=changed, training=replace(entry.training, **training))


TIME: dict[str, Any] = {"features": ("local_time",)}
FRAMES: dict[str, Any] = {"earlier": "frames"}
SHALLOW: dict[str, Any] = {"depth": 2, "between": 0, "local": 0}
WIDE = SHALLOW | TIME | {"channels": 24}
SLOW = 2e-3
TRIALS = {
    "24 channels, batches of 8, fields": Trial(
        network(model=WIDE | FRAMES, batch_size=8, learning_rate=SLOW), 6, whole=True
    ),
    "earlier frames as differences": Trial(
        network(model=WIDE, batch_size=8, learning_rate=SLOW), 6, whole=True
    ),
    "anomalies": Trial(network(model=WIDE, batch_size=8, learning_rate=SLOW), 6),
    "16 channels, batches of 4": Trial(network(model=SHALLOW | TIME, learning_rate=SLOW), 8),
    "with latitude": Trial(network(model=SHALLOW, learning_rate=SLOW), 8),
    "frames as they are, without latitude": Trial(
        network(model=SHALLOW | TIME | FRAMES, learning_rate=SLOW), 8
    ),
    "frames as they are, with latitude": Trial(network(model=SHALLOW | FRAMES, learning_rate=SLOW), 8),
    "U-Net, frames as they are": Trial(network("U-Net", FRAMES, learning_rate=SLOW), 5),
    "merged cells, neighbours by convolution, depth 3": Trial(network(learning_rate=SLOW), 5),
    "that at a rate of 4e-3": Trial(network(), 5),
    "U-Net, differences, at a rate of 4e-3": Trial(network("U-Net"), 5),
}


def ridge_errors(fields: Fields, cases: Cases) -> np.ndarray:
    """Square errors of the two-frame ridge, by case and lead."""
    parts = partition(SPLIT, fields)
    away = [parts[name].array for name in ("train", "validate")]
    ridge, _ = chosen_ridge(away, fields.grid, LEADS, HISTORY, (RADIUS,))
    starts = companion(cases.fields.array, HISTORY)[0][: len(cases.index)]
    return scored(ridge(starts), cases)


def rows(path: str, names: Sequence[str]) -> Iterator[str]:
    """RMSE on the validation part."""
    whole = load(path)
    train = partition(SPLIT, whole)["train"]
    away = anomalies(whole, Climatology.fit(train.array, train.times))
    channels = Channels(whole.names, history=HISTORY, leads=LEADS)
    parts = {True: whole, False: away}
    cases = {kind: Cases.of(partition(SPLIT, f)["validate"], LEADS, channels) for kind, f in parts.items()}
    yield row("ridge", ridge_errors(away, cases[False]), "")
    for name in names:
        trial = TRIALS[name]
        began = time.process_time()
        step = trained(trial.entry, parts[trial.whole], trial.epochs, 0)
        spent = time.process_time() - began
        seen = cases[trial.whole]
        yield row(name, scored(trial.entry.forecast(step, seen), seen), f"{spent:.0f} s")


def row(name: str, errors: np.ndarray, spent: str) -> str:
    """Root mean square errors by lead, Pa."""
    return f"| {name} | {' | '.join(f'{e:.1f}' for e in np.sqrt(errors.mean((0, 2))))} | {spent} |"


def main() -> None:
    """Print a row for each trial."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("path", help="six-hourly global sea level pressure")
    options.add_argument("--only", nargs="+", default=list(TRIALS), choices=TRIALS, help="names of trials")
    chosen = options.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("gridvit").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    print("| | 6 h | 12 h | 18 h | 24 h | processor |\n|---|---|---|---|---|---|")
    for line in rows(chosen.path, chosen.only):
        print(line, flush=True)


if __name__ == "__main__":
    main()
