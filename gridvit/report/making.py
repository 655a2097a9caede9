"""How a run was made: its sessions as a table, from what ``record.json`` holds."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from gridvit.report.tables import Table, number

PROGRAM = "gridvit"
VERSIONS = ("torch", "numpy", "xarray")


def command(words: Sequence[str]) -> str:
    """The command as one types it, whatever file the program was started from."""
    first, *rest = words
    program = PROGRAM if first.endswith((PROGRAM, f"{PROGRAM}/__main__.py")) else first
    return shlex.join([program, *rest])


def sessions_table(sessions: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each session of training."""
    columns = ["started (UTC)", "outcome", "gridvit", "versions", "device", "seed"]
    return columns, [
        [
            str(one.get("started", ""))[:19].replace("T", " "),
            str(one.get("outcome", "")),
            _version(one.get("gridvit", {})),
            "\n".join(
                f"{name} {one['versions'][name]}" for name in VERSIONS if name in one.get("versions", {})
            ),
            str(one.get("device", "")),
            number(float(one.get("seed", float("nan")))),
        ]
        for one in sessions
    ]


def _version(state: Mapping[str, Any]) -> str:
    """The version, and the commit that it is where that is known, with a + where files differ from it."""
    commit = str(state.get("commit", ""))[:10]
    return "\n".join(
        [str(state.get("version", "")), *([commit + "+" * bool(state.get("dirty"))] if commit else [])]
    )


def commands(sessions: Sequence[Mapping[str, Any]]) -> str:
    """The command of each session, one a line, repeated ones once."""
    return "\n".join(dict.fromkeys(command(one["command"]) for one in sessions if one.get("command")))
