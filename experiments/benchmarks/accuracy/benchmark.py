"""Emulators of equal training cost, trained and scored alike, see README.md.

``python benchmark.py calibrate``, then ``choose``, ``train``, ``score``, ``refer`` and ``table``; each takes ``--only``
equations and ``--models``, and goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import multiprocessing
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from equations import EQUATIONS, FOLDER, load
from models import BATCH, RATES, Job, entries, fit, geometric, loaded, parameters, relative
from references import references
from scores import LEADS, finer, frames, score, tensor
from tables import table

from gridvit.data.simulate_steps import grid_of
from gridvit.errors import InputError
from gridvit.nn import ViT
from gridvit.rollout import rollout

CHOICE = ("gray-scott",)  # equations on which the learning rate is chosen
LINE_BATCH, LINE_EPOCHS = 20, 80  # APEBench's: 10,000 steps of 20 windows
SHARE = 0.25  # of the budget, in the choice of the rate


def is_line(equation: str) -> bool:
    """Whether an equation has one dimension, and with it the steps of APEBench."""
    return len(EQUATIONS[equation].source.config.shape) == 1


def taught(equation: str, folder: Path) -> xr.Dataset:
    """Training trajectories, then those of validation, cut to as many frames."""
    train, valid = (load(equation, split, folder) for split in ("train", "valid"))
    valid = valid.isel(time=slice(0, train.sizes["time"]))
    joined = xr.concat(
        [train, valid], "sample", data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    return joined.assign_attrs(train.attrs, train=train.sizes["sample"])


# Cost


def step_cost(equation: str, model: str, repeats: int = 8) -> dict[str, Any]:
    """CPU seconds of one training step and of one forecast step on one thread: the least of a few."""
    torch.set_num_threads(1)
    grid = grid_of(EQUATIONS[equation].source.config)
    entry = entries(grid.ndim)[model]
    network = entry.factory(1, 1, grid) if entry.factory else ViT(entry.config, grid, 1, 1)
    optimiser = torch.optim.AdamW(network.parameters())
    x = torch.randn(LINE_BATCH if is_line(equation) else BATCH, 1, *grid.shape)

    def step() -> None:
        optimiser.zero_grad()
        (network(x) - x.roll(1, -1)).square().mean().backward()
        optimiser.step()

    @torch.no_grad()
    def ahead() -> None:
        network(x[:1])

    train, forecast = (min(_timed(what) for _ in range(repeats)) for what in (step, ahead))
    return {"equation": equation, "model": model, "train": train, "forecast": forecast}


def costs(root: Path) -> dict[tuple[bool, str], float]:
    """Those of a training step, by whether it is on a line and by model: all planes have the same cells."""
    return {(is_line(row["equation"]), row["model"]): row["train"] for row in records(root / "costs.jsonl")}


def _timed(what: Callable[[], None]) -> float:
    start = time.process_time()
    what()
    return time.process_time() - start


def epochs_for(equation: str, cost: float, budget: float, share: float = 1.0) -> int:
    """Whole epochs that a share of the budget pays for; on a line those of APEBench."""
    if is_line(equation):
        return max(1, round(LINE_EPOCHS * share))
    split = EQUATIONS[equation].splits["train"]
    return max(1, round(share * budget / cost / (split.samples * split.steps / BATCH)))


# Training


FOLDER_OF_PROCESS: list[Path] = []


def begin(data: Path, threads: int) -> None:
    """What each process is told once."""
    FOLDER_OF_PROCESS[:] = [data]
    torch.set_num_threads(threads)
    logging.getLogger("gridvit").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")


def trained(job: Job, root: Path, device: str) -> dict[str, Any]:
    """Train one model and score its rollouts on the validation trajectories."""
    start = time.time()
    batch = LINE_BATCH if is_line(job.equation) else BATCH
    try:
        fit(job, taught(job.equation, FOLDER_OF_PROCESS[0]), root, device, batch)
    except InputError as error:  # a training that diverged
        return {**dataclasses.asdict(job), "valid": math.inf, "error": str(error)}
    step = loaded(job, root, len(EQUATIONS[job.equation].source.config.shape)).to(place(device))
    valid = tensor(load(job.equation, "valid", FOLDER_OF_PROCESS[0]), place(device))
    with torch.no_grad():
        found = rollout(step, valid[:, 0], LEADS)
    score = geometric(relative(found[:, 1:], valid[:, 1 : LEADS + 1]))
    return {
        **dataclasses.asdict(job),
        "valid": score,
        "parameters": parameters(step),
        "seconds": time.time() - start,
    }


def place(device: str) -> torch.device:
    """A device of torch."""
    return torch.device("cuda" if device == "cuda" else "cpu")


def scored(job: Job, root: Path, device: str, fine: bool = True) -> dict[str, Any]:
    """All columns of the table for one trained model."""
    folder, case, where = FOLDER_OF_PROCESS[0], EQUATIONS[job.equation], place(device)
    step = loaded(job, root, len(case.source.config.shape)).to(where)
    splits = {name: load(job.equation, name, folder) for name in ("test", "unseen") if name in case.splits}
    row = {**dataclasses.asdict(job), **score(step, splits, step.mean[: len(step.variables)], where)}
    if "fine" in case.splits and fine:
        row.update(finer(step, load(job.equation, "fine", folder), where))
    return row


def referred(equation: str) -> list[dict[str, Any]]:
    """The same columns of what is not trained by gradients."""
    folder, case = FOLDER_OF_PROCESS[0], EQUATIONS[equation]
    train = load(equation, "train", folder)
    splits = {name: load(equation, name, folder) for name in ("test", "unseen") if name in case.splits}
    mean = torch.from_numpy(frames(train)).float().mean((0, 1, *range(3, 3 + len(case.source.config.shape))))
    mean = mean.reshape(-1, *[1] * len(case.source.config.shape))
    return [
        {"equation": equation, "model": name, "seed": 0, **score(step, splits, mean, torch.device("cpu"))}
        for name, step in references(case, train).items()
    ]


# Jobs


def records(path: Path) -> list[dict[str, Any]]:
    """The rows of a file of lines, none where there is no file."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def parallel(
    function: Callable[..., dict[str, Any]],
    calls: list[tuple[Any, ...]],
    path: Path,
    options: argparse.Namespace,
) -> None:
    """Append what each call returns to a file of lines, as soon as it is there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    context = multiprocessing.get_context("spawn")
    with (
        ProcessPoolExecutor(options.processes, context, begin, (options.data, options.threads)) as pool,
        path.open("a") as out,
    ):
        for done in as_completed([pool.submit(function, *call) for call in calls]):
            try:
                row = done.result()
            except Exception as error:
                print(f"failed: {error!r}", flush=True)
                continue
            out.write(json.dumps(row) + "\n")
            out.flush()
            print({k: f"{v:.4g}" if isinstance(v, float) else v for k, v in row.items()}, flush=True)


def jobs(options: argparse.Namespace, seeds: tuple[int, ...]) -> Iterator[Job]:
    """What is to be trained at the chosen rates."""
    paid = costs(options.root)
    rates = chosen_rates(records(options.root / "choice.jsonl"))
    for seed, equation, model in product(seeds, options.only, options.models):
        yield Job(
            equation,
            model,
            options.rate or rates.get(model, RATES[1]),
            epochs_for(equation, paid[is_line(equation), model], options.budget),
            seed,
        )


def chosen_rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    """For each model the learning rate of the lowest geometric mean of its validation errors."""
    scores: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        scores.setdefault(row["model"], {}).setdefault(row["rate"], []).append(math.log(row["valid"]))
    return {
        model: min(found, key=lambda rate: float(np.mean(found[rate]))) for model, found in scores.items()
    }


def main() -> None:
    """See the description of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=["calibrate", "choose", "train", "score", "refer", "table"])
    parser.add_argument(
        "--only", nargs="*", choices=EQUATIONS, default=[name for name in EQUATIONS if not is_line(name)]
    )
    parser.add_argument(
        "--models", nargs="*", choices=entries(2), default=[m for m in entries(2) if m != "convnet"]
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--budget", type=float, default=240.0, help="CPU seconds of one training")
    parser.add_argument("--rate", type=float, default=0.0, help="instead of the chosen ones")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--no-fine", action="store_true", help="leave out the errors on more cells")
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--root", type=Path, default=FOLDER.parent / "runs")
    options = parser.parse_args()
    FOLDER_OF_PROCESS[:] = [options.data]
    root = options.root
    if options.task == "calibrate":
        parallel(step_cost, list(product(options.only[:1], options.models)), root / "costs.jsonl", options)
    elif options.task == "choose":
        equations = [name for name in CHOICE if name in options.only] or options.only
        paid = costs(root)
        wanted = [
            Job(e, m, rate, epochs_for(e, paid[is_line(e), m], options.budget, SHARE), 0, SHARE)
            for e, m, rate in product(equations, options.models, RATES)
        ]
        parallel(trained, [(job, root, options.device) for job in wanted], root / "choice.jsonl", options)
        print(chosen_rates(records(root / "choice.jsonl")))
    elif options.task == "train":
        done = {(r["equation"], r["model"], r["seed"]) for r in records(root / "trained.jsonl")}
        wanted = [j for j in jobs(options, tuple(options.seeds)) if (j.equation, j.model, j.seed) not in done]
        parallel(trained, [(job, root, options.device) for job in wanted], root / "trained.jsonl", options)
    elif options.task == "refer":
        rows = [row for equation in options.only for row in referred(equation)]
        root.mkdir(parents=True, exist_ok=True)
        with (root / "scores.jsonl").open("a") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows)
    elif options.task == "table":
        print(table(records(root / "scores.jsonl"), records(root / "trained.jsonl"), options.only))
    else:
        names = {field.name for field in dataclasses.fields(Job)}
        rows = [
            r for r in records(root / "trained.jsonl") if r["equation"] in options.only and "error" not in r
        ]
        done = {(r["equation"], r["model"], r["seed"]) for r in records(root / "scores.jsonl")}
        ready = [Job(**{k: v for k, v in row.items() if k in names}) for row in rows]
        wanted = [j for j in ready if (j.equation, j.model, j.seed) not in done]
        parallel(
            scored,
            [(job, root, options.device, not options.no_fine) for job in wanted],
            root / "scores.jsonl",
            options,
        )


if __name__ == "__main__":
    main()
