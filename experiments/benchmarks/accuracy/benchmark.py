"""Emulators of equal training cost, trained and scored alike, see README.md.

``python benchmark.py calibrate``, then ``choose``, ``train``, ``score``, ``refer`` and ``table``; each takes ``--only``
equations, those of models ``--models``, and goes on where it was.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import math
import multiprocessing
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr
from costs import batch_of, epochs_for, is_line, records, step_cost
from equations import EQUATIONS, FOLDER, load
from models import GRID_NOISE, RATES, Job, entries, fit, geometric, loaded, parameters, relative
from references import references
from scores import LEADS, finer, frames, growth, score, tensor
from tables import table, who

from gridvit.errors import InputError
from gridvit.rollout import rollout
from gridvit.training.watch import Diverged

CHOICE = ("gray-scott", "advection-4.37")  # on which the learning rate is chosen, of planes and of lines
SHARE = 0.25  # of the budget, in the choice of the rate


def taught(equation: str, folder: Path) -> xr.Dataset:
    """Training trajectories, then those of validation, cut to as many frames."""
    train, valid = (load(equation, split, folder) for split in ("train", "valid"))
    valid = valid.isel(time=slice(0, train.sizes["time"]))
    joined = xr.concat(
        [train, valid], "sample", data_vars="minimal", coords="minimal", compat="override", join="override"
    )
    return joined.assign_attrs(train.attrs, train=train.sizes["sample"])


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
    try:
        fit(job, taught(job.equation, FOLDER_OF_PROCESS[0]), root, device, batch_of(job.equation))
    except Diverged as error:
        return {**dataclasses.asdict(job), "valid": math.inf, "error": str(error)}
    where = torch.device(device)
    step = loaded(job, root, len(EQUATIONS[job.equation].source.config.shape)).to(where)
    valid = tensor(load(job.equation, "valid", FOLDER_OF_PROCESS[0]), where)
    with torch.no_grad():
        found = rollout(step, valid[:, 0], LEADS)
    score = geometric(relative(found[:, 1:], valid[:, 1 : LEADS + 1]))
    return {
        **dataclasses.asdict(job),
        "valid": score,
        "parameters": parameters(step),
        "seconds": time.time() - start,
    }


def scored(job: Job, root: Path, device: str, fine: bool = True) -> dict[str, Any]:
    """All columns of the table for one trained model."""
    folder, case, where = FOLDER_OF_PROCESS[0], EQUATIONS[job.equation], torch.device(device)
    step = loaded(job, root, len(case.source.config.shape)).to(where)
    splits = unlearned(job.equation)
    row = {**dataclasses.asdict(job), **score(step, splits, step.mean[: len(step.variables)], where)}
    if "fine" in case.splits and fine:
        row.update(finer(step, load(job.equation, "fine", folder), where))
    return row


def unlearned(equation: str) -> dict[str, xr.Dataset]:
    """The trajectories that are scored, by split."""
    there = EQUATIONS[equation].splits
    return {name: load(equation, name, FOLDER_OF_PROCESS[0]) for name in ("test", "unseen") if name in there}


def referred(equation: str) -> list[dict[str, Any]]:
    """The same columns of what is not trained by gradients, and how long rollouts of the solver grow."""
    folder, case = FOLDER_OF_PROCESS[0], EQUATIONS[equation]
    train = load(equation, "train", folder)
    splits = unlearned(equation)
    mean = torch.from_numpy(frames(train)).float().mean((0, 1, *range(3, 3 + len(case.source.config.shape))))
    mean = mean.reshape(-1, *[1] * len(case.source.config.shape))
    what, place = {"equation": equation, "seed": 0}, torch.device("cpu")
    rows = [
        {**what, "model": name, **score(step, splits, mean, place)}
        for name, step in references(case, train).items()
    ]
    if "long" in case.splits:
        long, test = (tensor(load(equation, split, folder), place) for split in ("long", "test"))
        rows.append({**what, "model": "solver", "growth": growth(long, test)})
    return rows


def parallel(
    function: Callable[..., dict[str, Any]],
    calls: list[tuple[Any, ...]],
    name: str,
    options: argparse.Namespace,
) -> None:
    """Append what each call returns to a file of lines, as soon as it is there."""
    path = options.root / name
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
    measured, tried = (records(options.root / f"{name}.jsonl") for name in ("costs", "choice"))
    for seed, equation, model in product(seeds, options.only, options.models):
        yield Job(
            equation,
            model,
            options.rate or rate_of(equation, model, tried),
            epochs_for(equation, model, measured, options.budget),
            seed,
            grid_noise=options.grid_noise,
            noise=options.noise,
        )


def rate_of(equation: str, model: str, tried: list[dict[str, Any]]) -> float:
    """The learning rate that was chosen; on lines that of planes where none was chosen there.

    Raises:
        InputError: no rate was chosen.
    """
    own = [row for row in tried if row["model"] == model]
    alike = [row for row in own if is_line(row["equation"]) == is_line(equation)]
    if not own:
        raise InputError(f"a learning rate of {model}", "none", "run choose first, or give --rate")
    return chosen_rates(alike or own)[model]


def chosen_rates(rows: list[dict[str, Any]]) -> dict[str, float]:
    """For each model the learning rate of the lowest geometric mean of its validation errors."""
    scores: dict[str, dict[float, list[float]]] = {}
    for row in rows:
        scores.setdefault(row["model"], {}).setdefault(row["rate"], []).append(math.log(row["valid"]))
    return {
        model: min(found, key=lambda rate: float(np.mean(found[rate]))) for model, found in scores.items()
    }


def calibrate(options: argparse.Namespace) -> None:
    """What a step of each model costs, on a plane and on a line where these are asked for."""
    equations = {is_line(name): name for name in options.only}.values()
    parallel(step_cost, list(product(equations, options.models)), "costs.jsonl", options)


def choose(options: argparse.Namespace) -> None:
    """The learning rate of each model, by short trainings without noise."""
    equations = [name for name in CHOICE if name in options.only] or options.only
    measured = records(options.root / "costs.jsonl")
    done = {(row["equation"], row["model"], row["rate"]) for row in records(options.root / "choice.jsonl")}
    wanted = [
        Job(e, m, rate, epochs_for(e, m, measured, options.budget, SHARE), 0, SHARE, grid_noise=0.0)
        for e, m, rate in product(equations, options.models, RATES)
        if (e, m, rate) not in done
    ]
    parallel(trained, [(job, options.root, options.device) for job in wanted], "choice.jsonl", options)
    tried = records(options.root / "choice.jsonl")
    print({f"{model} on {e}": rate_of(e, model, tried) for e, model in product(equations, options.models)})


def key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """What is not done twice."""
    return row["equation"], row["seed"], *who(row)


def train(options: argparse.Namespace) -> None:
    """Those that are not trained yet."""
    done = {key(row) for row in records(options.root / "trained.jsonl")}
    wanted = [job for job in jobs(options, tuple(options.seeds)) if key(dataclasses.asdict(job)) not in done]
    parallel(trained, [(job, options.root, options.device) for job in wanted], "trained.jsonl", options)


def score_all(options: argparse.Namespace) -> None:
    """Those that are trained and not scored yet."""
    names = {field.name for field in dataclasses.fields(Job)}
    rows = {key(r): r for r in records(options.root / "trained.jsonl") if "error" not in r}.values()
    done = {key(row) for row in records(options.root / "scores.jsonl")}
    wanted = [
        Job(**{k: v for k, v in row.items() if k in names})
        for row in rows
        if row["equation"] in options.only and row["model"] in options.models and key(row) not in done
    ]
    calls = [(job, options.root, options.device, not options.no_fine) for job in wanted]
    parallel(scored, calls, "scores.jsonl", options)


def refer(options: argparse.Namespace) -> None:
    """What is not trained by gradients."""
    path = options.root / "scores.jsonl"
    done = {key(row) for row in records(path)}
    rows = [row for equation in options.only for row in referred(equation) if key(row) not in done]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as out:
        out.writelines(json.dumps(row) + "\n" for row in rows)


def show(options: argparse.Namespace) -> None:
    """The table."""
    rows = [records(options.root / f"{name}.jsonl") for name in ("scores", "trained", "costs")]
    print(table(*rows, options.only))


TASKS = {
    "calibrate": calibrate, "choose": choose, "train": train, "score": score_all, "refer": refer, "table": show
}  # fmt: skip


def main() -> None:
    """See the description of the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("task", choices=TASKS)
    parser.add_argument(
        "--only", nargs="*", choices=EQUATIONS, default=[name for name in EQUATIONS if not is_line(name)]
    )
    parser.add_argument(
        "--models", nargs="*", choices=entries(2), default=[m for m in entries(2) if m != "convnet"]
    )
    parser.add_argument("--seeds", nargs="*", type=int, default=[0])
    parser.add_argument("--budget", type=float, default=150.0, help="CPU seconds of one training")
    parser.add_argument("--rate", type=float, default=0.0, help="instead of the chosen ones")
    parser.add_argument(
        "--grid-noise",
        type=float,
        default=GRID_NOISE,
        help="of the shortest waves, in spreads of the increments",
    )
    parser.add_argument("--noise", type=float, default=0.0, help="white, in spreads of the increments")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--no-fine", action="store_true", help="leave out the errors on more cells")
    parser.add_argument("--data", type=Path, default=FOLDER)
    parser.add_argument("--root", type=Path, default=FOLDER.parent / "runs")
    options = parser.parse_args()
    FOLDER_OF_PROCESS[:] = [options.data]
    try:
        TASKS[options.task](options)
    except InputError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
