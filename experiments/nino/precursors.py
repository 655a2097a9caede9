"""Which regions precede Niño 3.4 by one to six months: maps of data and of trained models, tested on later years."""

from __future__ import annotations

import argparse
import logging
import sys
from itertools import combinations
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from matplotlib.figure import Figure

import gridvit as gv
from gridvit.analysis import check_hypotheses, propose, region_mean, teleconnections
from gridvit.analysis.teleconnection import anomalies
from gridvit.analysis.towards import Blocks
from gridvit.cells import angles
from gridvit.config import DataConfig, EvaluationConfig, Index, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.grid import Grid
from gridvit.report.canvas import DIVERGING, colour_bar, coloured, drawn, label_outer, panels, symmetric, wrap

LEADS = (1, 2, 3, 4, 5, 6)
SOUTH, NORTH, CELL = -59.0, 61.0, 2
"""Degrees, and cells of the file that are made one along each axis."""
PATCH, BOX = (3, 6), (5, 6)
"""Cells of a token, and of a region of a hypothesis."""
NINO = {"latitude": (-5, 5), "longitude": (190, 240)}
TRAIN, VALIDATE, TEST = ("1950-01", "1994-12"), ("1995-08", "1999-12"), ("2000-08", "2020-12")
COPIES, NOISE = 4, 1.0
"""Of the training months, each with white noise of this many standard deviations in every cell."""
RADIUS = 12.0
"""Degrees of the caps over which a gradient is averaged."""
COUNT = 5
"""Hypotheses of each map and lead."""
FIRST_TEST = np.datetime64("2000-01-01")


def coarse(path: str) -> xr.Dataset:
    """Temperature in boxes of 4 degrees from 58 S to 60 N, means by area of what is sea, where half of it is."""
    sst = xr.open_dataset(path)["sst"].sel(lat=slice(SOUTH, NORTH)).load()
    weight = np.cos(np.deg2rad(sst["lat"])).where(sst.notnull().all("time"))
    sums = [
        (field * weight).coarsen(lat=CELL, lon=CELL).sum()
        for field in (sst, xr.ones_like(sst.isel(time=0, drop=True)))
    ]
    share = weight.notnull().coarsen(lat=CELL, lon=CELL).mean()
    return (sums[0] / sums[1]).where(share >= 0.5).to_dataset(name="sst")


def without_cycle(sst: xr.DataArray) -> xr.DataArray:
    """Anomalies of the years up to 1999 and of those from 2000, each from their own cycle and line."""
    times, found = sst["time"].values, sst.copy(data=np.full(sst.shape, np.nan))
    for part in (times < FIRST_TEST, times >= FIRST_TEST):
        found[part] = anomalies(sst.values[part].astype(np.float64), times[part])
    return found


def nino_of(sst: xr.DataArray, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """The cells of the region, and the mean over them."""
    north, east = np.meshgrid(*grid.centers, indexing="ij")
    inside = (abs(north) <= 5) & (east >= 190) & (east <= 240)
    return inside, region_mean(sst.values, inside, grid)


def made(sst: xr.DataArray, copies: int, seed: int) -> xr.Dataset:
    """Anomalies, with noise where there are copies, and Niño 3.4 without noise, the same in every cell."""
    rng, spread = np.random.default_rng(seed), np.nanstd(sst.values)
    noise = NOISE * spread * rng.standard_normal((copies, *sst.shape)) if copies > 1 else 0
    fields = np.broadcast_to(sst.values, (copies, *sst.shape)) + noise
    _, series = nino_of(sst, Grid.from_dataset(sst.to_dataset(name="sst")))
    target = np.where(np.isnan(fields), np.nan, series[None, :, None, None])
    dims = ("sample", *sst.dims)
    data = {"sst": (dims, fields.astype(np.float32)), "nino34": (dims, target.astype(np.float32))}
    return xr.Dataset({k: (d, v, {"units": "degC"}) for k, (d, v) in data.items()}, sst.coords)


def configuration(root: str, number: int) -> RunConfig:
    """Of one member."""
    return RunConfig(
        name=f"nino_{number}",
        root=root,
        data=DataConfig(
            predictors=("sst",),
            indices={"nino": Index("nino34", NINO)},
            history=2,
            leads=LEADS,
            split=Split("time", TRAIN, VALIDATE, TEST, gap=7),
        ),
        model=ModelConfig(
            preset="mini",
            patch=PATCH,
            width=48,
            depth=2,
            heads=4,
            position="harmonics",
            features=("day_of_year",),
        ),
        training=TrainingConfig(
            epochs=4, batch_size=32, learning_rate=1e-3, weight_decay=1.0, seed=number, accelerator="cpu"
        ),
        evaluation=EvaluationConfig(leads=1, states=12, cells=12 * PATCH[0] * PATCH[1]),
    )


def member(sst: xr.DataArray, root: str, number: int) -> Path:
    """The run of one network, which is trained and read unless it is there."""
    torch.set_num_threads(1)
    logging.getLogger("lightning").setLevel(logging.WARNING)
    config = configuration(root, number)
    run = Path(root) / config.name
    if not (run / "analysis.nc").is_file():
        gv.train(config, made(sst, COPIES, number), overwrite=True)
        gv.analyse(run, made(sst, 1, 0))
    return run


def over_caps(grid: Grid, density: np.ndarray) -> np.ndarray:
    """Means by area over what is sea of a cap about every cell: the response to a pulse there."""
    points, sea = grid.positions, ~np.isnan(density.ravel())
    near = (angles(points, points) <= np.deg2rad(RADIUS)) * grid.areas.ravel() * sea
    total = near.sum(axis=1)
    mean = np.divide(near @ np.nan_to_num(density.ravel()), total, out=np.zeros_like(total), where=total > 0)
    return np.where(sea, mean, np.nan).reshape(grid.shape)


def model_maps(runs: list[Path], grid: Grid) -> list[np.ndarray]:
    """Of each member ``(lead, *space)``."""
    slopes = [xr.load_dataset(run / "analysis.nc")["towards_gradient"].isel(input=0, frame=0) for run in runs]
    return [np.stack([over_caps(grid, lead) for lead in slope.values]) for slope in slopes]


def scores(sst: xr.DataArray, runs: list[Path]) -> dict[str, np.ndarray]:
    """RMSE (K) by lead over the test part, of the networks and of what looks at the index alone."""
    each = [gv.evaluate(run, made(sst, 1, 0))["rmse"].isel(variable=0) for run in runs]
    alone = ("persistence", "damped persistence", "local ridge of anomalies", "climatology (day of year)")
    networks = {f"network {n}": rmse.sel(model="emulator, direct").values for n, rmse in enumerate(each)}
    return networks | {name: each[0].sel(model=name).values for name in alone}


def tested(sst: xr.DataArray, grid: Grid, maps: dict[str, np.ndarray]) -> dict[str, xr.Dataset]:
    """For each map the boxes that it points at most, of the years up to 1999, on those from 2000."""
    inside, series = nino_of(sst, grid)
    later = sst["time"].values >= FIRST_TEST
    boxes, sea = Blocks(grid, BOX), ~np.isnan(sst.values).any(axis=0)
    north, east = (line.ravel() for line in np.meshgrid(*boxes.coarse.centers, indexing="ij"))
    regions = {
        f"{abs(y):.0f} {'N' if y > 0 else 'S'} {x:.0f} E": mask & sea
        for y, x, mask in zip(north, east, boxes.masks(), strict=True)
        if (mask & sea).any() and not (mask & inside).any()
    }
    indices = xr.DataArray(
        np.stack([series, *(region_mean(sst.values, mask, grid) for mask in regions.values())], axis=1)[
            later
        ],
        dims=("time", "region"),
        coords={"region": ["nino", *regions]},
    )
    years = sst["time"].dt.year.values[later]
    found = {}
    for name, leads in maps.items():
        stated = [
            h
            for lead, density in zip(LEADS, leads, strict=True)
            for h in propose(density, regions, grid.areas, "nino", lead, COUNT)
        ]
        found[name] = check_hypotheses(indices, stated, years, own=2, folds=7, gap=7)
    return found


def alike(grid: Grid, first: np.ndarray, second: np.ndarray) -> float:
    """Pattern correlation by area, about zero, over the sea outside of the target."""
    north, east = np.meshgrid(*grid.centers, indexing="ij")
    target = (abs(north) <= 5 + RADIUS) & (east >= 190 - RADIUS) & (east <= 240 + RADIUS)
    there = ~np.isnan(first) & ~np.isnan(second) & ~target
    w, a, b = grid.areas[there], first[there], second[there]
    return float((w * a * b).sum() / np.sqrt((w * a * a).sum() * (w * b * b).sum()))


@drawn
def drawing(grid: Grid, classical: xr.Dataset, model: np.ndarray) -> Figure:
    """Correlation | partial correlation | gradient at 1, 3 and 6 months; dots pass the false discovery rate."""
    rows = [LEADS.index(lead) for lead in (1, 3, 6)]
    slope = xr.DataArray(model, dims=classical["correlation"].dims, coords=classical["correlation"].coords)
    columns = {
        "correlation": classical["correlation"],
        "correlation given two months of Niño 3.4": classical["partial"],
        "gradient of the networks": slope,
    }
    figure, axes = panels(9, 3, 1.3, sharex=True, sharey=True)
    for column, (name, array) in enumerate(columns.items()):
        chosen = axes[column::3]
        norm = symmetric(array.values[rows])
        for row, panel in zip(rows, chosen, strict=True):
            mesh = coloured(panel, array.isel(lead=row), norm, DIVERGING)
            panel.set_title(f"{LEADS[row]} months before" if row else "1 month before", fontsize=8)
            if column < 2:
                passed = classical["significant" if column == 0 else "partial_significant"].isel(lead=row)
                at = np.argwhere(passed.values[::2, ::2])
                lines = [passed[dim].values[::2] for dim in passed.dims]
                panel.scatter(lines[1][at[:, 1]], lines[0][at[:, 0]], s=0.6, color="black", linewidths=0)
        colour_bar(figure, mesh, chosen, wrap(name))
    label_outer(axes, 3, "longitude (°E)", "latitude (°N)")
    figure.draw_without_rendering()
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", help="ERSST v5, monthly, 2 degrees")
    parser.add_argument(
        "--members", type=int, default=2, help="networks, two at least, whose gradients are averaged"
    )
    parser.add_argument(
        "--root", default="runs/precursors", help="folder of the runs; those that are there are kept"
    )
    parser.add_argument("--figure", default="precursors.png")
    given = parser.parse_args()
    sst = without_cycle(coarse(given.path)["sst"])
    grid = Grid.from_dataset(sst.to_dataset(name="sst"))
    early = sst[sst["time"].values < FIRST_TEST]
    series = xr.DataArray(nino_of(early, grid)[1], dims="time")
    classical = teleconnections(early, series, grid, LEADS, own=2)
    runs = [member(sst, given.root, number) for number in range(given.members)]
    each = model_maps(runs, grid)
    model = np.mean(each, axis=0)
    drawing(grid, classical, model).savefig(given.figure)
    maps = {"model": model} | {n: classical[n].values for n in ("correlation", "partial", "eof_regression")}
    report(sst, grid, runs, each, classical, maps)


def report(
    sst: xr.DataArray,
    grid: Grid,
    runs: list[Path],
    each: list[np.ndarray],
    classical: xr.Dataset,
    maps: dict[str, np.ndarray],
) -> None:
    """All tables."""
    head = "| | " + " | ".join(map(str, LEADS)) + " |\n" + "|---" * (len(LEADS) + 1) + "|"
    print(head)
    for name, values in scores(sst, runs).items():
        print(f"| RMSE (K), {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    for name in ("significant", "partial_significant"):
        sea = classical["correlation"].notnull().values * grid.areas
        share = (classical[name].values * sea).sum(axis=(1, 2)) / sea.sum(axis=(1, 2))
        print(f"| {name}, share of the sea | " + " | ".join(f"{v:.2f}" for v in share) + " |")
    rows = {"one network's map and another's": [*combinations(each, 2)]}
    rows |= {f"model's and {n}": [(maps["model"], m)] for n, m in maps.items() if n != "model"}
    for name, both in rows.items():
        values = np.mean([[alike(grid, x, y) for x, y in zip(a, b, strict=True)] for a, b in both], axis=0)
        print(f"| pattern correlation, {name} | " + " | ".join(f"{v:.2f}" for v in values) + " |")
    found = tested(sst, grid, maps)
    print("\n| map | supported | right sign | mean skill | worst | best |\n" + "|---" * 6 + "|")
    for name, table in found.items():
        right = (np.sign(table["partial"]) == table["sign"]).sum().item()
        skill = table["skill"].values
        print(
            f"| {name} | {int(table['supported'].sum())} of {table.sizes['hypothesis']} | {right} "
            f"| {skill.mean():.3f} | {skill.min():.3f} | {skill.max():.3f} |"
        )
    for name in maps:
        table = found[name]
        print(
            f"\n{name}\n| months | region | sign | partial correlation | p | supported | skill |\n"
            + "|---" * 7
            + "|"
        )
        for n in range(table.sizes["hypothesis"]):
            row = {key: table[key].values[n] for key in table.data_vars}
            print(
                f"| {row['lag']} | {row['source']} | {row['sign']:+d} | {row['partial']:.2f} | {row['p']:.1e} "
                f"| {'yes' if row['supported'] else 'no'} | {row['skill']:.3f} |"
            )


if __name__ == "__main__":
    sys.exit(main())
