"""What became of the runs of a sweep, as one table."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from math import isfinite, nan
from pathlib import Path

from gridvit.cluster.lines import Line
from gridvit.config import MODEL_FILE
from gridvit.files import put
from gridvit.printing import table

LOSSES = ("train_loss", "validate_loss")
FINISHED, INTERRUPTED, FAILED, WAITING = "finished", "interrupted", "failed", "not started"


@dataclass(frozen=True)
class Row:
    """One run: losses of its last epoch, and the lowest of the validation; NaN where there is no epoch yet."""

    line: int
    name: str
    state: str
    epochs: int
    train_loss: float
    validate_loss: float
    best_validate_loss: float
    overrides: str


def state(run: Path) -> str:
    """How the last job of a run ended, by what it left; a run that goes on at this moment is "interrupted" too."""
    if (run / MODEL_FILE).is_file():
        return FINISHED
    if failure(run).is_file():
        return FAILED
    return INTERRUPTED if run.is_dir() else WAITING


def failure(run: Path) -> Path:
    """The file that holds the status of a run that failed."""
    return run.with_name(f"{run.name}.failed")


def rows_of(lines: Sequence[Line], folder: Path) -> list[Row]:
    """One row for each line."""
    return [_row(line, folder / line.name) for line in lines]


def _row(line: Line, run: Path) -> Row:
    epochs = _epochs(run / "metrics.csv")
    train, validate = ([float(epoch[name] or nan) for epoch in epochs] or [nan] for name in LOSSES)
    losses = (train[-1], validate[-1], min(validate))
    return Row(line.number, line.name, state(run), len(epochs), *losses, shlex.join(line.overrides))


def _epochs(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def text(rows: Sequence[Row]) -> str:
    """The rows for people."""
    columns = ["run", "state", "epochs", "train loss", "validate loss", "best validate loss", "overrides"]
    cells = [
        [
            row.name,
            row.state,
            row.epochs,
            *map(_number, (row.train_loss, row.validate_loss, row.best_validate_loss)),
            row.overrides,
        ]
        for row in rows
    ]
    return table(columns, cells)


def _number(value: float) -> str:
    return f"{value:.4g}" if isfinite(value) else "-"


def save(rows: Sequence[Row], folder: Path) -> None:
    """The rows as table.csv and table.txt, put in place at once."""
    made = io.StringIO(newline="")
    writer = csv.DictWriter(made, [field.name for field in fields(Row)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(asdict(row) for row in rows)
    put(folder / "table.csv", made.getvalue())
    put(folder / "table.txt", f"{text(rows)}\n")
