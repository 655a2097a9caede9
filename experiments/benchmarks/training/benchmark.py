"""What gridvit and Lightning cost over a bare PyTorch loop, per step of the optimiser, and what a checkpoint costs.

Both loops train the same model from the same weights on the same batches with the same optimiser, clipping and
schedule, and must end with the same weights, bit for bit. A step is the time from the end of one optimiser step to
the end of the next, seen by a hook of torch in both. Runs of the two alternate in one process; of each run the median
step in wall time and the mean step in processor time, which other programs disturb less; of the runs the median.

Usage: ``python experiments/benchmarks/training/benchmark.py [--runs 9] [--only steps|checkpoint] [--toy]``
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from pathlib import Path

import lightning as L
import torch
from torch.optim.optimizer import register_optimizer_step_post_hook
from torch.utils.data import DataLoader

from gridvit.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    RunConfig,
    SimulateConfig,
    Split,
    TrainingConfig,
)
from gridvit.data.fields import Fields, load
from gridvit.data.samples import Windows, shuffled, whole_batch
from gridvit.data.simulate import simulate
from gridvit.training.plan import Plan, plan
from gridvit.training.schedule import decayed_groups, learning_rate_factor
from gridvit.training.train import fit

MS = 1e3
SAMPLES, BATCH = 10, 4  # 8 trajectories train: twice as many batches in an epoch as windows in a trajectory
SIZES = {  # name: cells, windows in a trajectory, network
    "small": ((32,), 80, ModelConfig(preset="mini", patch=(4,), width=32, depth=2, heads=2)),
    "realistic": ((32, 64), 20, ModelConfig(preset="mini", patch=(4, 4), width=128, depth=4, heads=4)),
}
TEN_MILLION = ((32, 32), 2, ModelConfig(preset="mini", patch=(4, 4), width=384, depth=6, heads=6))
TOY = ((8,), 2, ModelConfig(preset="mini", patch=(4,), width=8, depth=1, heads=1))


class Enough(Exception):
    """Stops a run."""


@dataclass
class Clock:
    """When each step of the optimiser ended: wall and processor time, s. Raises ``Enough`` after ``limit`` steps."""

    limit: int | None = None
    wall: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)

    @contextmanager
    def watching(self) -> Iterator[Clock]:
        """While any optimiser steps."""
        handle = register_optimizer_step_post_hook(self._stepped)
        try:
            yield self
        finally:
            handle.remove()

    def _stepped(self, *_: object) -> None:
        self.wall.append(time.perf_counter())
        self.processor.append(time.process_time())
        if self.limit == len(self.wall):
            raise Enough

    def step(self, length: int) -> tuple[float, float]:
        """Median wall and mean processor time between steps within epochs of ``length`` steps, ms."""
        wall, processor = ([b - a for i, (a, b) in enumerate(pairwise(t), 1) if i % length]
                           for t in (self.wall, self.processor))  # fmt: skip
        return MS * statistics.median(wall), MS * statistics.mean(processor)


def fields_of(shape: tuple[int, ...], windows: int) -> Fields:
    """Trajectories of advection, in memory."""
    velocity = [0.7, 0.3][: len(shape)]
    equation = SimulateConfig(
        "advection",
        parameters={"velocity": velocity},
        shape=shape,
        samples=SAMPLES,
        steps=windows,
        cutoff=2.0,
    )
    return load(simulate(equation))


def made(fields: Fields, model: ModelConfig, epochs: int = 1) -> Plan:
    """A plan of the same weights each time."""
    split = Split(train=(0, SAMPLES - 2), validate=(SAMPLES - 2, SAMPLES - 1), test=(SAMPLES - 1, SAMPLES))
    training = TrainingConfig(
        epochs=epochs, batch_size=BATCH, learning_rate=1e-3, warmup_steps=10, accelerator="cpu"
    )
    config = RunConfig(
        data=DataConfig(split=split), model=model, training=training, evaluation=EvaluationConfig(leads=1)
    )
    return plan(config, fields)


def batches(given: Plan) -> int:
    """In an epoch."""
    return -(-len(Windows(given.parts["train"])) // BATCH)


def by_gridvit(given: Plan) -> torch.nn.Module:
    with tempfile.TemporaryDirectory() as folder:
        return fit(given, Path(folder))


def bare(given: Plan) -> torch.nn.Module:
    """The loop that one would write by hand for this network and these windows."""
    config, model = given.config.training, given.model
    windows = Windows(given.parts["train"])
    areas = torch.tensor(model.grid.areas).float()
    weights = areas / areas.mean()
    optimizer = torch.optim.AdamW(
        decayed_groups(model, config.weight_decay), lr=config.learning_rate, betas=(0.9, 0.95)
    )
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        partial(learning_rate_factor, warmup=config.warmup_steps, total=config.epochs * batches(given)),
    )
    model.train()
    for epoch in range(config.epochs):
        order = shuffled(len(windows), config.seed, epoch)
        chosen = [order[i : i + config.batch_size] for i in range(0, len(order), config.batch_size)]
        losses = torch.zeros(())
        for batch in DataLoader(windows, batch_sampler=chosen, collate_fn=whole_batch):
            now, after = batch.frames.unbind(1)
            found = model.network((now - model.mean) / model.std)
            loss = ((found - (after - now) / model.increment_std[0]).square() * weights).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, config.clip)
            optimizer.step()
            schedule.step()
            losses += loss.detach()
    return model


def steps(name: str, shape: tuple[int, ...], windows: int, model: ModelConfig, runs: int) -> str:
    """A row: ms per step of both, and the median of the differences of neighbouring runs."""
    fields = fields_of(shape, windows)
    found: dict[Callable[[Plan], torch.nn.Module], list[tuple[float, float]]] = {bare: [], by_gridvit: []}
    ends = []
    for _ in range(runs):
        for loop, each in found.items():
            given = made(fields, model)
            with Clock().watching() as clock:
                ends.append(torch.cat([p.flatten() for p in loop(given).parameters()]).detach())
            each.append(clock.step(batches(given)))
            assert torch.equal(ends[0], ends[-1]), "the two loops did not train the same"
    cells = [name, f"{len(ends[0]):,}", str(given.model.token_grid.size)]
    for kind in (0, 1):
        one, other = ([run[kind] for run in each] for each in found.values())
        extra = [b - a for a, b in zip(one, other, strict=True)]
        cells += [f"{statistics.median(each):.3f}" for each in (one, other)]
        cells.append(f"{statistics.median(extra):.3f} ({min(extra):.3f} to {max(extra):.3f})")
    return f"| {' | '.join(cells)} |"


@contextmanager
def written() -> Iterator[list[float]]:
    """Seconds of each writing of a checkpoint."""
    found: list[float] = []
    save = L.Trainer.save_checkpoint

    def timed(*args: object, **options: object) -> None:
        start = time.perf_counter()
        save(*args, **options)
        found.append(time.perf_counter() - start)

    L.Trainer.save_checkpoint = timed
    try:
        yield found
    finally:
        L.Trainer.save_checkpoint = save


def first_step(given: Plan, folder: Path, limit: int) -> float:
    """Seconds from the call of ``fit`` to the end of the first step; the run is stopped after ``limit``."""
    start = time.perf_counter()
    with Clock(limit).watching() as clock, suppress(Enough):
        fit(given, folder)
    return clock.wall[0] - start


def checkpoint(shape: tuple[int, ...], windows: int, model: ModelConfig, runs: int) -> str:
    """A row: seconds to write, bytes, and to the first step of a run that begins and of one that goes on."""
    fields = fields_of(shape, windows)
    begin, go_on = [], []
    with written() as seconds:
        for _ in range(runs):
            with tempfile.TemporaryDirectory() as name:
                folder = Path(name)
                given = made(fields, model, epochs=2)
                begin.append(first_step(given, folder, batches(given) + 1))  # stopped in the second epoch
                given = made(fields, model, epochs=2)
                go_on.append(first_step(given, folder, 1))
                size = max(file.stat().st_size for file in folder.rglob("*.ckpt"))
    parameters = sum(p.numel() for p in given.model.parameters())
    cells = [
        f"{parameters:,}",
        f"{size / 2**20:.0f}",
        f"{statistics.median(seconds):.3f} ({max(seconds):.3f})",
    ]
    cells += [f"{statistics.median(each):.2f} ({max(each):.2f})" for each in (begin, go_on)]
    return f"| {' | '.join(cells)} |"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=9)
    parser.add_argument("--only", choices=["steps", "checkpoint"])
    parser.add_argument("--toy", action="store_true", help="a tiny network: tries the script out")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    if given.only != "checkpoint":
        print("| network | parameters | tokens | bare, ms | gridvit, ms | difference | bare, processor ms "
              "| gridvit, processor ms | difference |\n|---|---|---|---|---|---|---|---|---|")  # fmt: skip
        for name, size in ({"toy": TOY} if given.toy else SIZES).items():
            print(steps(name, *size, given.runs), flush=True)
    if given.only != "steps":
        print("\n| parameters | MiB | writing, s (slowest) | first step of a new run, s | of one that goes on, s |\n"
              "|---|---|---|---|---|")  # fmt: skip
        print(checkpoint(*(TOY if given.toy else TEN_MILLION), min(given.runs, 5)), flush=True)


if __name__ == "__main__":
    main()
