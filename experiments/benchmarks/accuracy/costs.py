"""What a step of each model costs, and how many a budget of processor time buys."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from equations import EQUATIONS, Carried
from models import BATCH, entries
from torch import Tensor

from gridvit.data.simulate_steps import grid_of
from gridvit.errors import InputError
from gridvit.nn import ViT

MEASURED = ("train", "forecast", "held")
LINE_BATCH, LINE_EPOCHS = 20, 80  # APEBench's: 10,000 steps of 20 windows


def is_line(equation: str) -> bool:
    """Whether an equation has one dimension."""
    return len(EQUATIONS[equation].source.config.shape) == 1


def batch_of(equation: str) -> int:
    """Windows of a training step."""
    return LINE_BATCH if is_line(equation) else BATCH


def records(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of lines, none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def step_cost(equation: str, model: str, repeats: int = 8) -> dict[str, Any]:
    """CPU seconds of a training step and of a forecast step on one thread, the least of a few, and what is held.

    ``held`` are the megabytes that the backward pass of a training step needs of the forward pass.
    """
    torch.set_num_threads(1)
    grid = grid_of(EQUATIONS[equation].source.config)
    entry = entries(grid.ndim)[model]
    network = entry.factory(1, 1, grid) if entry.factory else ViT(entry.config, grid, 1, 1)
    optimiser = torch.optim.AdamW(network.parameters())
    x = torch.randn(batch_of(equation), 1, *grid.shape)

    def loss() -> Tensor:
        return (network(x) - x.roll(1, -1)).square().mean()

    def step() -> None:
        optimiser.zero_grad()
        loss().backward()
        optimiser.step()

    @torch.no_grad()
    def ahead() -> None:
        network(x[:1])

    train, forecast = (min(_timed(what) for _ in range(repeats)) for what in (step, ahead))
    return {
        "equation": equation, "model": model, "train": train, "forecast": forecast, "held": held(loss) / 1e6
    }  # fmt: skip


def held(function: Callable[[], Tensor]) -> int:
    """Bytes of the tensors that a function keeps for its gradient, each storage once, without parameters."""
    sizes: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not (tensor.is_leaf and tensor.requires_grad):
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        kept = function()
    del kept
    return sum(sizes.values())


def costs(rows: list[dict[str, Any]]) -> dict[tuple[bool, str], dict[str, float]]:
    """The least of what was measured, by whether it is on a line and by model: all planes have the same cells."""
    least: dict[tuple[bool, str], dict[str, float]] = {}
    for row in rows:
        known = least.setdefault((is_line(row["equation"]), row["model"]), {})
        known.update({name: min(row[name], known.get(name, math.inf)) for name in MEASURED})
    return least


def _timed(what: Callable[[], None]) -> float:
    start = time.process_time()
    what()
    return time.process_time() - start


def epochs_for(
    equation: str, model: str, rows: list[dict[str, Any]], budget: float, share: float = 1.0
) -> int:
    """Whole epochs that a share of the budget pays for, with what was measured; of APEBench's advection as there.

    Raises:
        InputError: what a step costs was not measured.
    """
    case = EQUATIONS[equation]
    if isinstance(case.source, Carried):
        return max(1, round(LINE_EPOCHS * share))
    known = costs(rows).get((is_line(equation), model))
    if known is None:
        raise InputError(f"the cost of a step of {model} on {equation}", "none", "run calibrate first")
    split = case.splits["train"]
    return max(1, round(share * budget / known["train"] / (split.samples * split.steps / batch_of(equation))))
