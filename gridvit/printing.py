"""Results as text for the terminal: aligned tables and strict JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from textwrap import wrap
from typing import Any


def as_json(ds: Any) -> str:
    """A Dataset as strict JSON: numbers that are not finite become null."""
    return json.dumps(_finite(ds.to_dict()), indent=2, default=str)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(v) for v in value]
    return None if isinstance(value, float) and not abs(value) < float("inf") else value


def tables_text(tables: Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]]) -> str:
    """Titled tables, one below the other."""
    return "\n\n".join(f"{title}\n{table(columns, rows)}" for title, (columns, rows) in tables.items())


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Aligned columns, the first to the left, the others to the right; long headings wrap over several lines."""
    cells = [[" ".join(str(cell).split()) for cell in row] for row in rows]
    widest = [max((len(row[c]) for row in cells), default=0) for c in range(len(columns))]
    heads = [wrap(name, max(width, 16)) or [""] for name, width in zip(columns, widest, strict=True)]
    height = max(map(len, heads))
    above = [[""] * (height - len(head)) + head for head in heads]  # headings stand on the line
    widths = [max(width, *map(len, head)) for width, head in zip(widest, heads, strict=True)]
    lines = [*map(list, zip(*above, strict=True)), ["-" * w for w in widths], *cells]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if c else cell.ljust(w)
            for c, (cell, w) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def check_text(found: dict[str, Any]) -> str:
    """What ``check`` found in a file, for people."""
    axes = [_axis_row(axis) for axis in found["grid"]["axes"]]
    numbers = [
        [
            v["name"],
            v["units"],
            v["role"] + (f", {v['component']} of a vector" if v["component"] else ""),
            f"{v['missing']:.1%}",
            *(f"{v[key]:.6g}" for key in ("min", "area_mean", "max")),
        ]
        for v in found["variables"]
    ]
    time = found["time"]
    choices = ", ".join(f"{name}: {json.dumps(value)}" for name, value in found["choices"].items())
    return "\n".join(
        [
            f"{found['path']}: usable" + (f" with {choices}" if choices else ""),
            f"{found['grid']['description']}; {found['samples']} sample(s)",
            f"{time['steps']} times, {time['first']} to {time['last']}, every {time['step']}",
            *_estimated(found.get("estimate")),
            "",
            table(["axis", "in the file", "cells", "centres", "periodic", "patch sizes up to 16"], axes),
            "",
            table(["variable", "units", "role", "missing", "min", "area mean", "max"], numbers),
            *([f"static fields: {', '.join(found['statics'])}"] if found["statics"] else []),
        ]
    )


def _estimated(estimate: dict[str, Any] | None) -> list[str]:
    if estimate is None:
        return []
    memory = ", ".join(f"{name} {size:g}" for name, size in estimate["memory_mib"].items())
    return [
        f"{estimate['tokens']} tokens, {estimate['parameters']} parameters, {estimate['training_windows']} windows",
        f"about {estimate['seconds_an_epoch']:.3g} s an epoch on this machine's CPU; memory in MiB: {memory}",
    ]


def _axis_row(axis: dict[str, Any]) -> list[Any]:
    centres = f"{axis['from']:g} to {axis['to']:g} {axis['units']}"
    patches = " ".join(map(str, axis["patches"]))
    return [
        axis["name"],
        axis["in_file"],
        axis["cells"],
        centres,
        "yes" if axis["periodic"] else "no",
        patches,
    ]
