"""How well correlation, partial correlation and EOF regression find the links of a planted world, over ten seeds."""

from __future__ import annotations

import sys

import numpy as np
import xarray as xr

from gridvit.analysis import planted_scores, region_mean, teleconnections
from gridvit.analysis.significance import correlation_p
from gridvit.grid import Grid
from gridvit.physics import Planted, PlantedTruth

STRENGTH, STEPS, SEEDS = 0.12, 1000, 10
TARGETS = (("chain_2", 1), ("chain_3", 2), ("cooled", 2), ("late", 3))
METHODS = ("correlation", "partial", "eof_regression")
LIMITS = ("correlation, endless", "forecast from 1 state, endless")
SCORES = ("auroc", "average_precision", "pattern_correlation", "confounder_leak")
BACKGROUND = 0.02
"""Cells whose true correlation is smaller are background."""


def main() -> None:
    world = Planted.linear(Grid.latlon(16, 32), STRENGTH)
    truth = PlantedTruth(world)
    states = [world.simulate(STEPS, seed) for seed in range(SEEDS)]
    columns = ("target, lead", "score", *METHODS, *LIMITS)
    print("|".join(("", *(f" {c} " for c in columns), "")) + "\n" + "|---" * len(columns) + "|")
    shares = []
    for target, lead in TARGETS:
        found = [maps(truth, x, target, lead) for x in states]
        number = world.index(target)
        endless = (
            truth.correlation_maps(lead)[number],
            truth.predictor(lead)[0, number] / world.grid.areas.ravel(),
        )
        limit = planted_scores(dict(zip(LIMITS, endless, strict=True)), truth, target, lead)
        scores = xr.concat(
            [planted_scores({m: f[m].values for m in METHODS}, truth, target, lead) for f in found], "seed"
        )
        for name in SCORES[: 3 if np.isnan(limit.confounder_leak).all() else 4]:
            each = (scores[name].sel(map=m) for m in METHODS)
            cells = " | ".join(f"{v.mean().item():.2f} ± {v.std().item():.2f}" for v in each)
            ends = " | ".join(f"{v:.2f}" for v in limit[name].values)
            print(f"| {target}, {lead} | {name} | {cells} | {ends} |")
        shares += [flagged(truth, f, target, lead) for f in found]
    naive, effective, discovered = np.mean(shares, axis=0)
    print(
        f"\nbackground flagged: {naive:.3f} naively, {effective:.3f} with n*, {discovered:.3f} with n* and FDR"
    )


def maps(truth: PlantedTruth, x: np.ndarray, target: str, lead: int) -> xr.Dataset:
    """Of one run towards one target."""
    grid, world = truth.world.grid, truth.world
    series = region_mean(x, world.caps[world.index(target)].reshape(grid.shape), grid)
    field = xr.DataArray(x, dims=("time", *grid.names))
    return teleconnections(field, xr.DataArray(series, dims="time"), grid, (lead,)).isel(lead=0)


def flagged(truth: PlantedTruth, found: xr.Dataset, target: str, lead: int) -> list[float]:
    """Share of the background's area with p < 0.05: with as many pairs as steps, with n*, and after FDR."""
    world = truth.world
    quiet = abs(truth.correlation_maps(lead)[world.index(target)]).reshape(world.grid.shape) < BACKGROUND
    naive = correlation_p(found.correlation.values, np.array(float(STEPS))) < 0.05
    area = world.grid.areas * quiet
    return [
        float((area * f).sum() / area.sum()) for f in (naive, found.p.values < 0.05, found.significant.values)
    ]


if __name__ == "__main__":
    sys.exit(main())
