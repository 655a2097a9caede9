"""The table of the accuracy benchmark, in Markdown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from costs import is_line

SIZES = ("parameters", "epochs", "rate", "noise")
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


def table(scores: list[Row], trained: list[Row], costs: list[Row], equations: list[str]) -> str:
    """A part for each equation, in it a row for each model and noise: medians over its seeds."""
    sizes = {(row["equation"], *_key(row)): row for row in trained if "error" not in row}
    dearest_first = sorted(costs, key=lambda row: -row["train"])
    paid = {(is_line(row["equation"]), row["model"]): row for row in dearest_first}
    lines = []
    for equation in equations:
        rows = [row for row in scores if row["equation"] == equation]
        names = ["model", *SIZES, *COST, "seeds", *COLUMNS]
        lines += [f"\n{equation}\n", _line(names), "|---" * len(names) + "|"]
        for model, noise in dict.fromkeys(map(_key, rows)):
            ours = [row for row in rows if _key(row) == (model, noise)]
            size = sizes.get((equation, model, noise), {})
            cost = paid.get((is_line(equation), model), {})
            spent = [f"{cost[name] * unit:.3g}" if name in cost else "" for name, unit in COST.values()]
            medians = [shown([row.get(name, math.nan) for row in ours]) for name in COLUMNS]
            lines.append(
                _line([model, *(str(size.get(key, "")) for key in SIZES), *spent, str(len(ours)), *medians])
            )
    return "\n".join(lines)


def shown(values: list[float]) -> str:
    """The median, and from which to which where there are several; nothing where there is none."""
    if not np.isfinite(values).any():
        return "inf" if np.isinf(values).any() else ""
    middle = f"{np.median(values):.3g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.3g} to {max(values):.3g})"


def _key(row: Row) -> tuple[str, float | None]:
    return row["model"], row.get("noise")


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
