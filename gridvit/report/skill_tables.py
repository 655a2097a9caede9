"""All tables of an evaluation: scores by lead, valid times, what drifts, costs, and how scores are defined."""

from __future__ import annotations

import numpy as np
import xarray as xr

from gridvit.report.canvas import label, name_of, ordered, pretty
from gridvit.report.tables import Table, number, score_tables

DEFINED = ("rmse", "ratio", "nrmse", "vrmse", "acc", "valid_time", "valid_share")


def skill_tables(scores: xr.Dataset) -> dict[str, Table]:
    """Every table by its title; those whose data are absent are left out."""
    found = score_tables(scores)
    if "valid_time" in scores:
        found |= valid_tables(scores)
    if "drift" in scores:
        found[_at_last("mean and, below, root mean square drift since the start", scores)] = drift_table(
            scores
        )
    if "seconds" in scores:
        found[_at_last("cost of a forecast and its error", scores)] = cost_table(scores)
    if "solver_error" in scores:
        found[_at_last("solvers that none beats in both operations and error", scores)] = solver_table(scores)
    if any("definition" in scores[name].attrs for name in DEFINED if name in scores):
        words = "e = <(f - o)²>, < > the area mean, mean that over cases; f forecast, o truth"
        found[f"definitions: {words}"] = definition_table(scores)
    return found


def _at_last(text: str, scores: xr.Dataset) -> str:
    units = pretty(str(scores["lead"].attrs.get("units", "1"))).replace("dimensionless", "")
    return f"{text}, at lead {scores['lead'].values[-1]:g} {units}".rstrip()


def valid_tables(scores: xr.Dataset) -> dict[str, Table]:
    """A table per criterion: a row per model, a column per variable; interval, and the share that is cut off."""
    array = ordered(scores, "valid_time", "criterion", "model", "variable")
    variables = list(map(str, array["variable"].values))
    return {
        f"{label(array)}: {criterion}; the share valid to the last lead in brackets": (
            ["model", *variables],
            [
                [str(model), *(_valid(scores, criterion, model, v) for v in variables)]
                for model in array["model"].values
            ],
        )
        for criterion in map(str, array["criterion"].values)
    }


def _valid(scores: xr.Dataset, criterion: str, model: str, variable: str) -> str:
    at = {"criterion": criterion, "model": model, "variable": variable}
    time, low, high, share = (
        float(scores[name].sel(at))
        for name in ("valid_time", "valid_time_low", "valid_time_high", "valid_share")
    )
    if np.isnan(time):
        return number(time)
    interval = f"\n[{number(low, 3)}, {number(high, 3)}]" if not np.isnan(low) else ""
    return f"{number(time)} ({share:.0%}){interval}"


def drift_table(scores: xr.Dataset) -> Table:
    """A row per source, a column per quantity."""
    mean, drift = (ordered(scores, name, "source", "lead", "quantity") for name in ("quantity_mean", "drift"))
    units = [pretty(str(unit)) for unit in mean["quantity_units"].values]
    columns = [f"{name} ({unit})" for name, unit in zip(mean["quantity"].values, units, strict=True)]
    rows = [
        [str(source), *(f"{number(m, 6)}\n{number(d, 3)}" for m, d in zip(means, drifts, strict=True))]
        for source, means, drifts in zip(
            mean["source"].values, mean.values[:, -1], drift.values[:, -1], strict=True
        )
    ]
    return ["", *columns], rows


def cost_table(scores: xr.Dataset) -> Table:
    """A row per model."""
    costs, error = (
        [scores["seconds"], scores["operations"]],
        ordered(scores, "scaled_error", "model", "lead")[:, -1],
    )
    rows = [
        [str(model), *(number(float(a[i]), 3) for a in (*costs, error))]
        for i, model in enumerate(scores["model"].values)
    ]
    return ["model", *map(label, (*costs, error))], rows


def solver_table(scores: xr.Dataset) -> Table:
    """A row per solver that is the best at its cost, the cheapest first."""
    chosen = scores.isel(solver=scores["solver_best_operations"].values.astype(bool)).sortby(
        "solver_operations"
    )
    error = ordered(chosen, "solver_error", "solver", "lead")[:, -1]
    arrays = (chosen["solver_seconds"], chosen["solver_operations"], error)
    rows = [
        [str(name), *(number(float(a[i]), 3) for a in arrays)]
        for i, name in enumerate(chosen["solver"].values)
    ]
    return ["solver", *map(label, arrays)], rows


def definition_table(scores: xr.Dataset) -> Table:
    """A row per score, side by side."""
    arrays = [scores[name] for name in DEFINED if name in scores]
    return ["score", "definition"], [
        [name_of(array), str(array.attrs.get("definition", ""))] for array in arrays
    ]
