"""The table of the accuracy benchmark, in Markdown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from costs import costs, is_line

HOW = ("rate", "grid_noise", "noise")  # of a training, beside the equation, the model and the seed
SIZES = ("parameters", "epochs", *HOW)
COST = {"ms a step": ("train", 1e3), "ms a forecast": ("forecast", 1e3), "MB held": ("held", 1)}
COLUMNS = (
    "one",
    "mean",
    "at 10",
    "at 20",
    "at 40",
    "valid time",
    "growth",
    "unseen",
    "unseen mean",
    "fine",
    "fine, resampled",
    "gappy",
)
Row = dict[str, Any]


def table(scores: list[Row], trained: list[Row], measured: list[Row], equations: list[str]) -> str:
    """A part for each equation, in it a row for each model, rate and noise: medians over its seeds.

    "validation" is the geometric mean of 20 steps on the trajectories by which the noise is chosen.
    """
    paid = costs(measured)
    lines = []
    for equation in equations:
        rows = [row for row in scores if row["equation"] == equation]
        names = ["model", *SIZES, *COST, "seeds", "validation", *COLUMNS]
        lines += [f"\n{equation}\n", _line(names), "|---" * len(names) + "|"]
        for model in dict.fromkeys(map(who, rows)):
            ours = [row for row in rows if who(row) == model]
            made = [row for row in trained if (row["equation"], *who(row)) == (equation, *model)]
            made = [row for row in made if "error" not in row]
            cost = paid.get((is_line(equation), model[0]), {})
            spent = [f"{cost[name] * unit:.3g}" if name in cost else "" for name, unit in COST.values()]
            sizes = [str(made[0].get(key, "")) if made else "" for key in SIZES]
            valid = shown([row.get("valid", math.nan) for row in made])
            medians = [shown([row.get(name, math.nan) for row in ours]) for name in COLUMNS]
            lines.append(_line([model[0], *sizes, *spent, str(len(ours)), valid, *medians]))
    return "\n".join(lines)


def shown(values: list[float]) -> str:
    """The median, and from which to which where there are several; nothing where there is none."""
    if not np.isfinite(values).any():
        return "inf" if np.isinf(values).any() else ""
    middle = f"{np.median(values):.3g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g})"


def who(row: Row) -> tuple[Any, ...]:
    """The model, and how it was trained: what has one row for all its seeds."""
    return row["model"], *(row.get(name) for name in HOW)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
