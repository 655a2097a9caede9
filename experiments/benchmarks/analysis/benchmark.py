"""Time and memory of every measure that ``gridvit analyse`` takes with its defaults, one after another.

A network of 2,048 tokens and 6 layers on a torus, its last layers filled with noise, and 32 states of four
trajectories of advection-diffusion. Processor time is that of all threads, so that a machine which others use too gives
the same; two cores take half of it at best. Linux: the peak of memory is read from /proc.

Usage: ``python experiments/benchmarks/analysis/benchmark.py [--threads 2] [--depth 6] [--measures attention]``
"""

from __future__ import annotations

import argparse
import re
import time
from pathlib import Path

import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig, RunConfig, SimulateConfig
from gridvit.data.fields import Fields, load
from gridvit.data.simulate import simulate
from gridvit.nn import ModelStep
from gridvit.printing import table
from gridvit.run.measures import MEASURES
from gridvit.run.subject import Subject, some_states

PATCH = (4, 4)
SECONDS, GIB = 180.0, 4.0


def data(rows: int, columns: int) -> Fields:
    """Four trajectories of 12 steps on so many patches."""
    shape = (rows * PATCH[0], columns * PATCH[1])
    config = SimulateConfig(
        parameters={"velocity": [0.4, 0.2], "diffusivity": 0.05},
        shape=shape,
        samples=4,
        steps=12,
        scheme="upwind",
    )
    return load(simulate(config))


def subject(fields: Fields, depth: int) -> Subject:
    """An untrained network, noise in its last layers, at the default number of states."""
    torch.manual_seed(0)
    spread = torch.from_numpy(fields.array).std().reshape(1)
    step = ModelStep(
        ModelConfig(preset="mini", patch=PATCH, depth=depth),
        fields.grid,
        Channels(("u",)),
        1.0,
        torch.zeros(1),
        spread,
        0.3 * spread,
    ).eval()
    for layer in (step.network.decode, step.network.skip):
        torch.nn.init.normal_(layer.weight, std=0.02)
    config = RunConfig()
    states, context = some_states(step, fields, config.evaluation.states)
    return Subject(step, states, context, fields, fields, config)


def peak() -> float:
    """The most memory that this process has held, GiB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    return int(found[1]) / 2**20


def measured(whole: Subject, names: list[str]) -> list[tuple[str, float, float, float]]:
    """(measure, processor seconds, wall seconds, peak of memory so far) of each that can be taken or of some."""
    found = []
    for measure in MEASURES:
        if names and measure.name not in names:
            continue
        cpu, wall = time.process_time(), time.monotonic()
        if not measure.missing(whole):
            measure.found(whole)
            found.append((measure.name, time.process_time() - cpu, time.monotonic() - wall, peak()))
            print(f"  {measure.name}: {found[-1][1]:.1f} s", flush=True)
    return found


def main() -> None:
    """Print the table, and whether the promise is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("threads", 2), ("rows", 32), ("columns", 64), ("depth", 6)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--measures", nargs="*", default=[], help="names of some; all if absent")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    whole = subject(data(given.rows, given.columns), given.depth)
    print(f"{whole.step.token_grid.size} tokens, {given.depth} layers, {len(whole.states)} states")
    found = measured(whole, given.measures)
    cells = [[name, f"{cpu:.1f}", f"{wall:.1f}", f"{memory:.2f}"] for name, cpu, wall, memory in found]
    print(table(["measure", "processor s", "wall s", "peak GiB"], cells))
    total = sum(cpu for _, cpu, _, _ in found)
    kept = total / 2 < SECONDS and found[-1][3] < GIB
    print(f"{total:.0f} s of one processor, {total / 2:.0f} s of two; {'kept' if kept else 'NOT kept'}: "
          f"{SECONDS:.0f} s of two processors and {GIB:g} GiB")  # fmt: skip


if __name__ == "__main__":
    main()
