"""Statistics and climatology of the training part: one pass, here or on a dask cluster, kept with the run."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from gridvit.climatology import Climatology, Design
from gridvit.data.cluster import summed_on
from gridvit.data.fields import Fields
from gridvit.data.normalise import Statistics, of_sums
from gridvit.data.stored import Stored
from gridvit.data.sums import Sums, summed
from gridvit.errors import InputError

log = logging.getLogger("gridvit")
SAME = 1e-6  # relative: statistics of the same data after a repair


@dataclass(frozen=True, eq=False)
class Measured:
    """What a run knows of its training part.

    statistics:  moments and presence.
    climatology: of every variable; None where its equations would not fit in the buffer.
    fingerprint: of the data that it is of.
    """

    statistics: Statistics
    climatology: Climatology | None
    fingerprint: dict[str, Any]

    def save(self, path: Path) -> None:
        """Write one file, by a temporary name and a rename."""
        found = self.climatology
        arrays: dict[str, Any] = (
            {} if found is None else {"coefficients": found.coefficients, "hours": found.hours}
        )
        described = {
            "statistics": self.statistics.to_dict(),
            "fingerprint": self.fingerprint,
            "annual": None if found is None else found.annual,
        }
        temporary = path.with_name(f"{path.name}.tmp")
        with temporary.open("wb") as file:
            np.savez(file, described=np.array(json.dumps(described)), **arrays)
        os.replace(temporary, path)

    @classmethod
    def load(cls, path: Path) -> Measured | None:
        """The inverse of ``save``; None where there is no such file."""
        if not path.is_file():
            return None
        with np.load(path) as held:
            described = json.loads(str(held["described"]))
            annual = described["annual"]
            found = None if annual is None else Climatology(held["coefficients"], held["hours"], annual)
        return cls(Statistics.from_dict(described["statistics"]), found, described["fingerprint"])

    def refuse_other(self, found: Measured) -> None:
        """Statistics of the data as they are now must be these, to 1e-6 relative.

        Raises:
            InputError: they are not: the data are others than those that the run was started with.
        """
        for name in ("mean", "std", "increment_std"):
            old, new = getattr(self.statistics, name), getattr(found.statistics, name)
            scale = self.statistics.std if name == "mean" else np.abs(old)
            if old.shape != new.shape or not (np.abs(new - old) <= SAME * scale).all():
                raise InputError(
                    "the data that the run was started with",
                    f"another {name}, {new.ravel()[0]:.7g} instead of {old.ravel()[0]:.7g}",
                    "restore the file, or start again with --overwrite",
                )


def measured(fields: Fields, leads: Sequence[int], buffer: float | int, dask: str = "") -> Measured:
    """Statistics and climatology of the training part, in one pass.

    Args:
        fields: the training part, in memory or stored.
        leads: steps of the increments.
        buffer: bytes that the equations of the climatology may take.
        dask: the cluster that takes them of stored fields; empty for this machine.

    Raises:
        InputError: what ``Stored.read``, ``compute`` and ``summed_on`` refuse.
    """
    design = Design.of(fields.times)
    columns = design(fields.times)
    cells = fields.grid.size * len(fields.variables)
    room = 8 * 2 * cells * (columns.shape[1] + 1) <= buffer
    if not room:
        log.info("no climatology: its equations for %d cells do not fit in data.buffer", cells)
    columns = columns if room else columns[:, :0]
    if dask and isinstance(fields.values, Stored):
        sums = summed_on(dask, fields.values, fields.grid.areas, leads, columns)
    else:
        sums = summed(fields.values, fields.grid.areas, leads, columns)
    climatology = climatology_of(sums, design, fields) if room else None
    return Measured(of_sums(sums, fields), climatology, fingerprint(fields))


def remeasured(
    fields: Fields, leads: Sequence[int], buffer: float | int, dask: str, known: Measured | None
) -> Measured:
    """What an interrupted run had measured, where the data are still the same: their files, or else their statistics.

    Raises:
        InputError: as ``measured``; statistics that differ from those ``known``.
    """
    now = fingerprint(fields)
    if known is None:
        return measured(fields, leads, buffer, dask)
    if now["files"] and now == known.fingerprint:
        return known
    known.refuse_other(measured(fields, leads, buffer, dask))
    if now["files"] != known.fingerprint["files"]:
        log.info("the files have changed since the run was started, their statistics have not: going on")
    return replace(known, fingerprint=now)


def climatology_of(sums: Sums, design: Design, fields: Fields) -> Climatology:
    """The least squares whose equations ``sums`` hold; NaN in cells without values."""
    found = []
    for c, products in enumerate(sums.products[:, 1:]):
        squares = sums.squares[c, 1:, 1:]
        if c in sums.gaps:
            squares = squares + np.moveaxis(sums.gaps[c][1:, 1:], 2, 0)
        found.append(design.solved(squares, products))
    coefficients = np.stack(found, axis=1).reshape(-1, len(found), *fields.grid.shape)
    return Climatology(coefficients, design.hours, design.annual)


def fingerprint(fields: Fields) -> dict[str, Any]:
    """Shape, times, grid and variables; of values that stay in files their size and time of modification."""
    ends = [str(time) for time in (fields.times[0], fields.times[-1])]
    files: list[str] = []
    if isinstance(fields.values, Stored):
        files = sorted({channel.source for channel in fields.values.channels if channel.source})
    return {
        "shape": list(fields.values.shape),
        "times": ends,
        "grid": fields.grid.describe(),
        "variables": list(fields.names),
        "files": {name: state for name in files if (state := state_of(name))},
    }


def refuse_changed(known: dict[str, Any], fields: Fields) -> None:
    """Files must not change under a run.

    Raises:
        InputError: one has another size or time of modification than when its statistics were taken.
    """
    found = fingerprint(fields)["files"]
    for name, state in known["files"].items():
        if found.get(name) != state:
            raise InputError(
                f"{name} as it was when its statistics were taken",
                "another size or time of modification",
                "the run stops here; the same command goes on, if the statistics are still the same",
            )


def state_of(name: str) -> list[int]:
    """Bytes, files and last modification (ns) of a file, or of all that is in a store; nothing of an address."""
    path = Path(name)
    if not path.exists():
        return []
    every = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
    stats = [p.stat() for p in every]
    return [sum(s.st_size for s in stats), len(stats), max((s.st_mtime_ns for s in stats), default=0)]
