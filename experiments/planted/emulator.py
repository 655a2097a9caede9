"""Do the maps of a trained transformer find planted links better than the classical maps of the same data?"""

from __future__ import annotations

import argparse
import json
import logging
import multiprocessing
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
import xarray as xr

import gridvit as gv
from gridvit.analysis import check_hypotheses, planted_scores, propose, teleconnections
from gridvit.analysis.fingerprint import Fingerprints
from gridvit.cells import angles
from gridvit.config import DataConfig, EvaluationConfig, Index, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.grid import Grid
from gridvit.physics import Planted, PlantedTruth
from gridvit.physics.planted_data import START

STRENGTH, STEPS, HELD, VALIDATE, GAP = 0.12, 1000, 500, 150, 3
TARGETS = (("chain_2", 1), ("chain_3", 2), ("cooled", 2), ("late", 3))
BASELINES = ("correlation", "partial", "eof_regression")
AMPLITUDE = "of the amplitude"
COPIES, NOISE = 6, 1.7
"""Of the training data, each with white noise of this standard deviation in every cell: a ridge for a network."""
RADIUS = 18.0
"""Degrees of the caps over which the gradient is averaged: the response to a pulse of the size of a region."""
YEAR = 73
"""Steps in a year."""


def configuration(world: Planted, root: str, name: str, seed: int) -> RunConfig:
    """Of one member; every region is a target, for which of them are acted on is what is asked."""
    boxes = {
        r.name: Index(f"amplitude_{r.name}", {"latitude": (-90, 90), "longitude": (0, 360)})
        for r in world.regions
    }
    split = Split("time", (0, STEPS - VALIDATE), (STEPS - VALIDATE + GAP, STEPS), (STEPS + GAP, STEPS + HELD))
    return RunConfig(
        name=name,
        root=root,
        data=DataConfig(predictors=("x",), indices=boxes, history=world.longest_lag, split=split),
        model=ModelConfig(preset="mini", patch=(4, 4), width=96, depth=2, heads=4, position="harmonics"),
        training=TrainingConfig(
            epochs=4, batch_size=32, learning_rate=2e-3, weight_decay=1.0, seed=seed, accelerator="cpu"
        ),
        evaluation=EvaluationConfig(leads=1),
    )


def made(world: Planted, x: np.ndarray, amplitudes: np.ndarray, copies: int, seed: int) -> xr.Dataset:
    """The field, with noise where there are copies, and the amplitude of each region, the same in every cell."""
    grid, rng = world.grid, np.random.default_rng(seed)
    noise = NOISE * rng.standard_normal((copies, *x.shape)) if copies > 1 else 0
    fields = (np.broadcast_to(x, (copies, *x.shape)) + noise).reshape(copies, len(x), *grid.shape)
    dims, attrs = ("sample", "time", *grid.names), {"units": "1"}
    data = {"x": (dims, fields.astype(np.float32), attrs)}
    for name, series in zip(world.names, amplitudes.T, strict=True):
        constant = np.broadcast_to(series[None, :, None, None], fields.shape).astype(np.float32)
        data[f"amplitude_{name}"] = (dims, constant, attrs)
    times = START + np.arange(len(x)) * np.timedelta64(world.days, "D")
    coords = {"time": ("time", times.astype("datetime64[ns]"), {"axis": "T"}), **grid.coords()}
    return xr.Dataset(data, coords, {"Conventions": "CF-1.11"})


def simulated(seed: int) -> tuple[Planted, np.ndarray, np.ndarray]:
    """The world, its field about the mean of the steps that are used, and the amplitude of each region."""
    world = Planted.linear(Grid.latlon(16, 32), STRENGTH)
    x = world.simulate(STEPS + HELD, seed).reshape(STEPS + HELD, -1)
    x = x - x[:STEPS].mean(axis=0)
    return world, x, Fingerprints.fit(x[:STEPS], world.caps).series(x)


def member(seed: int, number: int, root: str) -> Path:
    """The analysis of one network, which is trained and read unless it is there."""
    torch.set_num_threads(1)
    logging.getLogger("lightning").setLevel(logging.WARNING)
    world, x, amplitudes = simulated(seed)
    config = configuration(world, root, f"planted_{seed}_{number}", 1000 * number + seed)
    file = Path(root) / config.name / "analysis.nc"
    if not file.is_file():
        noisy = made(world, x, amplitudes, COPIES, config.training.seed)
        gv.analyse(gv.train(config, noisy, overwrite=True), made(world, x, amplitudes, 1, 0))
    return file


def over_caps(world: Planted, density: np.ndarray) -> np.ndarray:
    """Means by area over a cap about every cell: the response to a pulse there."""
    points = world.grid.positions
    near = (angles(points, points) <= np.deg2rad(RADIUS)) * world.grid.areas.ravel()
    return near / near.sum(axis=1, keepdims=True) @ density.ravel()


def classical(world: Planted, x: np.ndarray, series: np.ndarray, lead: int) -> xr.Dataset:
    """Lagged correlation, own-past partial correlation and EOF regression towards a series."""
    field = xr.DataArray(x.reshape(-1, *world.grid.shape), dims=("time", *world.grid.names))
    return teleconnections(field, xr.DataArray(series, dims="time"), world.grid, (lead,)).isel(lead=0)


def hypotheses(
    world: Planted, x: np.ndarray, amplitudes: np.ndarray, maps: dict[tuple[str, int], np.ndarray]
) -> dict:
    """The region that each map points at most, on the steps that were held out."""
    areas = world.grid.areas.ravel()
    stated = []
    for (target, lead), values in maps.items():
        caps = {n: cap for n, cap in zip(world.names, world.caps, strict=True) if n != target}
        stated += [
            replace(h, target=f"{target} {AMPLITUDE}") for h in propose(values, caps, areas, target, lead, 1)
        ]
    names = [*world.names, *(f"{n} {AMPLITUDE}" for n in world.names)]
    series = np.concatenate([x @ world.means.T, amplitudes], axis=1)[STEPS:]
    indices = xr.DataArray(series, dims=("time", "region"), coords={"region": names})
    found = check_hypotheses(indices, stated, np.arange(HELD) // YEAR)
    right = {(link.source, link.target, link.lag) for link in world.links}
    sources = [str(s) for s in found.source.values]
    return {
        "right": [(s, t, lead) in right for s, (t, lead) in zip(sources, maps, strict=True)],
        **{name: found[name].values.tolist() for name in ("source", "sign", "p", "supported", "skill")},
    }


def one_seed(seed: int, files: list[Path]) -> dict:
    """Scores of all maps, and the hypotheses of the model's, whose gradient is the mean over its members."""
    world, x, amplitudes = simulated(seed)
    truth = PlantedTruth(world)
    slopes = [xr.load_dataset(f)["towards_gradient"].isel(input=0).swap_dims(towards="target") for f in files]
    slope = sum(slopes[1:], slopes[0]) / len(slopes)
    found, scores = {}, {}
    for target, lead in TARGETS:
        number = world.index(target)
        found[target, lead] = over_caps(world, slope.sel(target=target).isel(frame=lead - 1).values)
        plain = classical(world, x[:STEPS], x[:STEPS] @ world.means[number], lead)
        ahead = classical(world, x[:STEPS], amplitudes[:STEPS, number], lead)
        maps = {"model": found[target, lead], **{b: plain[b].values for b in BASELINES}}
        maps |= {f"{b} {AMPLITUDE}": ahead[b].values for b in BASELINES}
        table = planted_scores(maps, truth, target, lead)
        scores[f"{target}, {lead}"] = {
            str(m): {s: float(table[s].sel(map=m)) for s in ("average_precision", "confounder_leak")}
            for m in table["map"].values
        }
    return {"seed": seed, "scores": scores, "hypotheses": hypotheses(world, x, amplitudes, found)}


def table(rows: list[dict]) -> list[str]:
    """Mean and standard deviation over seeds, and in how many of them the model is better."""
    names = list(next(iter(rows[0]["scores"].values())))
    lines = ["| target, lead | score | " + " | ".join(names) + " |", "|---" * (len(names) + 2) + "|"]
    for aim, score, best in [
        *((aim, "average_precision", 1) for aim in rows[0]["scores"]),
        ("late, 3", "confounder_leak", -1),
    ]:
        values = np.array([[row["scores"][aim][name][score] for name in names] for row in rows])
        won = (best * (values[:, :1] - values) > 0).sum(axis=0)
        cells = [f"{v.mean():.2f} ± {v.std():.2f}" for v in values.T]
        beaten = ["", *(f" ({n} of {len(rows)})" for n in won[1:])]
        lines.append(
            f"| {aim} | {score} | " + " | ".join(c + b for c, b in zip(cells, beaten, strict=True)) + " |"
        )
    return lines


def stated(rows: list[dict]) -> list[str]:
    """The hypotheses: how many are right, supported, and what they are worth."""
    lines = ["| target, lead | right | supported | largest p | skill on held-out steps |", "|---" * 5 + "|"]
    for n, (target, lead) in enumerate(TARGETS):
        each = [
            {key: row["hypotheses"][key][n] for key in ("right", "supported", "p", "skill")} for row in rows
        ]
        right, supported = (sum(e[key] for e in each) for key in ("right", "supported"))
        skill = np.array([e["skill"] for e in each])
        lines.append(
            f"| {target}, {lead} | {right} of {len(rows)} | {supported} of {len(rows)} "
            f"| {max(e['p'] for e in each):.1e} | {skill.mean():.2f} ± {skill.std():.2f} |"
        )
    return lines


def seeds_of(text: str) -> list[int]:
    """ "0-9" or "0,3"."""
    first, _, last = text.partition("-")
    return list(range(int(first), int(last) + 1)) if last else [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", default="0-9", help="such as 0-9 or 0,3")
    parser.add_argument("--processes", type=int, default=1, help="networks that are trained at once")
    parser.add_argument("--members", type=int, default=4, help="networks whose gradients are averaged")
    parser.add_argument(
        "--root", default="runs/planted", help="folder of the runs; those that are there are kept"
    )
    given = parser.parse_args()
    seeds, count = seeds_of(given.seeds), given.members
    with multiprocessing.get_context("spawn").Pool(given.processes) as pool:
        jobs = [(seed, number, given.root) for seed in seeds for number in range(count)]
        files = pool.starmap(member, jobs, chunksize=1)
        each = [(seed, files[count * n : count * (n + 1)]) for n, seed in enumerate(seeds)]
        rows = pool.starmap(one_seed, each, chunksize=1)
    (Path(given.root) / "scores.json").write_text(json.dumps(rows, indent=1))
    print("\n".join([*table(rows), "", *stated(rows)]))


if __name__ == "__main__":
    sys.exit(main())
