"""Sea level pressure 6 to 24 hours ahead: networks of equal training cost against what is simpler, see README.md.

Usage: ``python experiments/benchmarks/pressure/benchmark.py FILE [--part validate] [--epochs 6] [--seeds 1]``
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from opponents import HISTORY, anomalies, opponents
from torch.utils.data import DataLoader
from unet import UNet

from gridvit.analysis.bootstrap import Bootstrap
from gridvit.analysis.skill import PERSISTENCE, area_weights, rmse, square_errors
from gridvit.channels import Channels
from gridvit.climatology import Climatology
from gridvit.config import DataConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.data.fields import Fields, load
from gridvit.data.samples import Windows, whole_batch
from gridvit.data.windows import partition
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep
from gridvit.run.cases import Cases
from gridvit.run.forecasts import direct, emulated
from gridvit.training.plan import Plan, plan
from gridvit.training.schedule import decayed_groups
from gridvit.training.train import fit

SPLIT = Split(along="time", train=(0, 270), validate=(270, 300), test=(300, 360))
LEADS = (1, 2, 3, 4)
RADII = (2, 5)
ROUNDS = 7
log = logging.getLogger("pressure")


@dataclass(frozen=True)
class Entry:
    """A network and how it learns; one of one's own by what makes it from inputs, outputs and grid.

    Each of the ``leads`` is forecast in one step of its own; with one of them the forecast goes on step after step.
    """

    model: ModelConfig
    training: TrainingConfig
    network: Network | None = None
    leads: tuple[int, ...] = LEADS

    def forecast(self, step: ModelStep, cases: Cases) -> np.ndarray:
        """(case, lead, variable, *space)."""
        return direct(step, cases) if len(self.leads) > 1 else emulated(step, cases)


TRAINING = TrainingConfig(
    batch_size=4,
    learning_rate=4e-3,
    weight_decay=0.05,
    warmup_steps=20,
    shift=("longitude",),
    accelerator="cpu",
)
ENTRIES = {
    "gridvit": Entry(
        ModelConfig(
            preset="mini",
            patch=(6, 6),
            width=64,
            depth=3,
            heads=4,
            features=("local_time", "latitude"),
            earlier="differences",
            embed="conv",
            decode="conv",
            channels=16,
            between=32,
            local=3,
        ),
        TRAINING,
    ),
    "U-Net": Entry(
        ModelConfig(kind="own", patch=(4, 4), features=("local_time", "latitude")), TRAINING, UNet
    ),
}


def planned(entry: Entry, fields: Fields, epochs: int, seed: int) -> Plan:
    """Of one training."""
    data = DataConfig(history=HISTORY, leads=entry.leads, split=SPLIT)
    training = replace(entry.training, epochs=epochs, seed=seed)
    return plan(RunConfig(data=data, model=entry.model, training=training), fields, network=entry.network)


def epoch_costs(entries: Mapping[str, Entry], fields: Fields, rounds: int = ROUNDS) -> dict[str, float]:
    """Processor seconds of an epoch: its steps, each the median of ``rounds`` in which all entries take turns.

    Processor time does not count what other programs do meanwhile; what they take from shared caches and units is in
    all entries alike, as they alternate.
    """
    epochs = {name: Epoch(planned(entry, fields, 1, 0)) for name, entry in entries.items()}
    taken: dict[str, list[float]] = {name: [] for name in entries}
    for _ in range(rounds + 1):
        for name, epoch in epochs.items():
            began = time.process_time()
            epoch.step()
            taken[name].append(time.process_time() - began)
    return {name: epochs[name].steps * float(np.median(times[1:])) for name, times in taken.items()}


class Epoch:
    """The steps of the optimiser in an epoch; all of them on the first windows of the train part."""

    def __init__(self, given: Plan) -> None:
        self.objective, size = given.objective(), given.config.training.batch_size
        windows = Windows(given.parts["train"], self.objective.offsets)
        self.steps = -(-len(windows) // size)
        self.batch = next(iter(DataLoader(windows, batch_size=size, collate_fn=whole_batch)))
        groups = decayed_groups(self.objective, given.config.training.weight_decay)
        self.optimizer = torch.optim.AdamW(groups, lr=1e-6)

    def step(self) -> None:
        """Forward, backward, update."""
        self.optimizer.zero_grad()
        self.objective.loss(self.batch, []).backward()
        self.optimizer.step()


def epochs_of_equal_cost(entries: Mapping[str, Entry], fields: Fields, epochs: int) -> dict[str, int]:
    """``epochs`` of the first entry; of each other as many as cost the same."""
    costs = epoch_costs(entries, fields)
    budget = epochs * next(iter(costs.values()))
    return {name: max(1, round(budget / cost)) for name, cost in costs.items()}


def trained(entry: Entry, fields: Fields, epochs: int, seed: int) -> ModelStep:
    """The weights of the epoch with the lowest validation loss."""
    with tempfile.TemporaryDirectory() as folder:
        return fit(planned(entry, fields, epochs, seed), Path(folder))


def table(errors: Mapping[str, np.ndarray], cases: Cases, notes: Mapping[str, str]) -> str:
    """RMSE over that of persistence with 95 % intervals; of persistence itself the RMSE."""
    step = cases.fields.step
    hours, _ = step.leads(cases.leads)
    unit = cases.fields.targets.variables[0].units
    lines = [
        f"| | {' | '.join(f'{hour:g} h' for hour in hours)} | training |",
        "|---" * (len(hours) + 2) + "|",
    ]
    reference = errors[PERSISTENCE]
    for name, error in errors.items():
        if name == PERSISTENCE:
            cells = [f"1 ({e:.0f} {unit})" for e in rmse(error)[:, 0]]
        else:
            redrawn = Bootstrap(block=cases.leads[-1])
            ends = redrawn(error, reference, of=lambda e, still: np.sqrt(e / still))
            shown = zip(rmse(error) / rmse(reference), *ends, strict=True)
            cells = [f"{r[0]:.3f} [{low[0]:.3f}, {high[0]:.3f}]" for r, low, high in shown]
        lines.append(f"| {name} | {' | '.join(cells)} | {notes.get(name, '')} |")
    return "\n".join(lines)


def benchmark(
    path: str, part: str, epochs: int, seeds: int, entries: Mapping[str, Entry], radii: Sequence[int]
) -> str:
    """Train everything, and the table of one part."""
    fields = load(path)
    parts = partition(SPLIT, fields)
    climatology = Climatology.fit(parts["train"].array, parts["train"].times)
    away = anomalies(fields, climatology)
    cases = Cases.of(parts[part], LEADS, Channels(fields.names, history=HISTORY, leads=LEADS))
    started = replace(cases, fields=partition(SPLIT, away)[part])
    errors: dict[str, np.ndarray] = {}
    notes: dict[str, str] = {}
    given = epochs_of_equal_cost(entries, away, epochs)
    for name, entry in entries.items():
        for seed in range(seeds):
            began = time.process_time()
            step = trained(entry, away, given[name], seed)
            spent = time.process_time() - began
            forecast = entry.forecast(step, started) + climatology(cases.valid_times)
            errors[row := f"{name}, seed {seed}"] = scored(forecast, cases)
            count = sum(p.numel() for p in step.parameters())
            notes[row] = f"{given[name]} epochs, {spent:.0f} s, {count:,} parameters"
            log.info("%s: %s %s", row, np.sqrt(errors[row].mean((0, 2))).round(1), notes[row])
    for name, forecast in opponents(parts, cases, climatology, radii):
        errors[name] = scored(forecast, cases)
    return table(errors, cases, notes)


def scored(forecast: np.ndarray, cases: Cases) -> np.ndarray:
    """Square errors of each case and lead."""
    return square_errors(forecast, cases.truth, area_weights(cases.fields.grid))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("path", help="six-hourly global sea level pressure")
    options.add_argument("--part", choices=("validate", "test"), default="test")
    options.add_argument("--epochs", type=int, default=6, help="of the first network, which set the budget")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--radii", type=int, nargs="+", default=RADII, help="of the ridge, to choose from")
    chosen = options.parse_args(arguments)
    warnings.filterwarnings("ignore")
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("gridvit").setLevel(logging.WARNING)
    torch.set_num_threads(1)  # processor time is then that of one core
    print(benchmark(chosen.path, chosen.part, chosen.epochs, chosen.seeds, ENTRIES, chosen.radii))


if __name__ == "__main__":
    main()
