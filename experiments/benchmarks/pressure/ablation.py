"""One change at a time to gridvit's entry, on the validation part; the test part is not looked at. See README.md.

Usage: ``python experiments/benchmarks/pressure/ablation.py FILE [--only NAME ...] [--epochs 8]``
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
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

BASE = ENTRIES["gridvit"]
RADIUS = 5


def changed(leads: tuple[int, ...] = LEADS, model: dict[str, Any] | None = None, **training: Any) -> Entry:
    """The entry with other values."""
    return replace(
        BASE,
        model=replace(BASE.model, **(model or {})),
        training=replace(BASE.training, **training),
        leads=leads,
    )


WHOLE = "fields in the place of anomalies"
CHANGES: dict[str, Entry] = {
    "as it is": BASE,
    "each lead in one step": replace(BASE, straight=True),
    "next step alone": changed(leads=(1,)),
    "earlier frames as they are": changed(model={"earlier": "frames"}),
    "without latitude": changed(model={"features": ("local_time",)}),
    "learning rate 4e-3": changed(learning_rate=4e-3),
    "average of weights, 0.99": changed(ema=0.99),
    "channels 24, batches of 8": changed(model={"channels": 24}, batch_size=8),
    WHOLE: BASE,
}


def ridge_errors(fields: Fields, cases: Cases) -> np.ndarray:
    """Square errors of the two-frame ridge, by case and lead."""
    parts = partition(SPLIT, fields)
    away = [parts[name].array for name in ("train", "validate")]
    ridge, _ = chosen_ridge(away, fields.grid, LEADS, HISTORY, (RADIUS,))
    starts = companion(cases.fields.array, HISTORY)[0][: len(cases.index)]
    return scored(ridge(starts), cases)


def rows(path: str, names: list[str], epochs: int) -> Iterator[str]:
    """RMSE over that of the ridge on the validation part."""
    whole = load(path)
    train = partition(SPLIT, whole)["train"]
    away = anomalies(whole, Climatology.fit(train.array, train.times))
    channels = Channels(whole.names, history=HISTORY, leads=LEADS)
    cases = {
        name: Cases.of(partition(SPLIT, f)["validate"], LEADS, channels)
        for name, f in (("away", away), ("whole", whole))
    }
    ridge = ridge_errors(away, cases["away"]).mean((0, 2))
    yield "| ridge | " + " | ".join(f"1 ({e:.1f} Pa)" for e in np.sqrt(ridge)) + " | | |"
    for name, entry in CHANGES.items():
        if names and name not in names:
            continue
        kind = "whole" if name == WHOLE else "away"
        began = time.process_time()
        step = trained(entry, whole if name == WHOLE else away, epochs, 0)
        spent = time.process_time() - began
        error = scored(entry.forecast(step, cases[kind]), cases[kind]).mean((0, 2))
        ratios = np.sqrt(error / ridge)
        cells = [*(f"{r:.3f}" for r in ratios), f"{np.exp(np.log(ratios).mean()):.3f}", f"{spent:.0f} s"]
        yield f"| {name} | {' | '.join(cells)} |"


def main() -> None:
    """Print a row for each change."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("path", help="six-hourly global sea level pressure")
    options.add_argument("--only", nargs="+", default=[], choices=CHANGES, help="names of changes")
    options.add_argument("--epochs", type=int, default=8)
    chosen = options.parse_args()
    warnings.filterwarnings("ignore")
    logging.getLogger("gridvit").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    print("| change | 6 h | 12 h | 18 h | 24 h | geometric mean | processor |\n|---|---|---|---|---|---|---|")
    for row in rows(chosen.path, chosen.only, chosen.epochs):
        print(row, flush=True)


if __name__ == "__main__":
    main()
