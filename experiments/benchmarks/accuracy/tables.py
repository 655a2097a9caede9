"""The table of the accuracy benchmark, in Markdown."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

SIZES = ("parameters", "epochs", "rate")
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


def table(scores: list[Row], trained: list[Row], equations: list[str]) -> str:
    """A part for each equation, in it a row for each model: medians over its seeds."""
    sizes = {(row["equation"], row["model"]): row for row in trained if "error" not in row}
    lines = []
    for equation in equations:
        rows = [row for row in scores if row["equation"] == equation]
        names = ["model", *SIZES, "seeds", *COLUMNS]
        lines += [f"\n{equation}\n", _line(names), "|---" * len(names) + "|"]
        for model in dict.fromkeys(row["model"] for row in rows):
            ours = [row for row in rows if row["model"] == model]
            size = sizes.get((equation, model), {})
            medians = [f"{np.median([row.get(name, math.nan) for row in ours]):.3g}" for name in COLUMNS]
            lines.append(_line([model, *(str(size.get(key, "")) for key in SIZES), str(len(ours)), *medians]))
    return "\n".join(lines)


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
