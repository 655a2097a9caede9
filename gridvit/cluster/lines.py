"""A sweep as a text file: one line of overrides for each run."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gridvit.config import RunConfig
from gridvit.errors import InputError
from gridvit.parsing import parse

LONGEST = 100  # characters of a name


@dataclass(frozen=True)
class Line:
    """A run of a sweep: the number of its line, its name, its overrides, and the configuration that they make."""

    number: int
    name: str
    overrides: tuple[str, ...]
    config: RunConfig


def read_lines(path: Path, common: Sequence[str], folder: Path) -> list[Line]:
    """The runs of a sweep file; blank lines, and what follows a #, are left out.

    Args:
        path: text file of lines such as ``--training.learning_rate 0.01 --model.depth 4``. A run is named after its
            overrides, ``learning_rate=0.01_depth=4``, or by ``--name`` in its line.
        common: options of all runs, e.g. ``["--config", "config.yaml"]``.
        folder: of the sweep, which holds its runs.

    Raises:
        InputError: no file, no line in it, an override that is refused (with the number of its line), two runs of one
            name.
    """
    if not path.is_file():
        raise InputError(
            "a text file of overrides, one line for each run", f"no file {path}", "check the path"
        )
    numbered = list(enumerate(path.read_text().splitlines(), 1))
    lines = [_line(n, text, common, folder, path) for n, text in numbered if _words(text, n, path)]
    if not lines:
        raise InputError(f"a line of overrides in {path}", "none", "write one for each run")
    _refuse_twins(lines, path)
    return lines


def _words(text: str, number: int, path: Path) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError as error:
        raise InputError(
            f"quotes that are closed in line {number} of {path}", f"{error}".lower(), "correct it"
        ) from None


def _line(number: int, text: str, common: Sequence[str], folder: Path, path: Path) -> Line:
    overrides = tuple(_words(text, number, path))
    place = f"line {number} of {path}"
    placed = [
        word for word in overrides if re.match(r"--(root|config|training\.nodes|training\.devices)\b", word)
    ]
    if placed:
        raise InputError(
            f"overrides in {place}", placed[0], f"leave it out: all runs start alike, in {folder}"
        )
    try:
        config = parse(RunConfig, [*common, "--root", str(folder), "--name", named(overrides), *overrides])
    except InputError as error:
        raise error.at(place) from None
    if not re.fullmatch(r"[\w.=+-]+", config.name) or config.name.startswith("."):
        raise InputError(
            f"a --name of letters, digits and - _ . = + in {place}", repr(config.name), "correct it"
        )
    return Line(number, config.name, overrides, config)


def named(overrides: Sequence[str]) -> str:
    """``--training.learning_rate 0.01 --model.patch=[4, 4]`` as learning_rate=0.01_patch=4-4."""
    text = ""
    for word in overrides:
        key, equals, value = word.partition("=") if word.startswith("--") else ("", "=", word)
        text += f"_{key.rpartition('.')[2].lstrip('-')}" if key else ""
        text += f"={_plain(value)}" if equals else ""
    return text.strip("_=.")[:LONGEST] or "run"


def _plain(value: str) -> str:
    """A value without what file names do without."""
    return re.sub(r"[^\w.+-]+", "-", value.strip("[]{}() '\""))


def _refuse_twins(lines: Sequence[Line], path: Path) -> None:
    first: dict[str, int] = {}
    for line in lines:
        if line.name in first:
            raise InputError(
                f"runs of different names in {path}",
                f"{line.name!r} in lines {first[line.name]} and {line.number}",
                "add --name to one of them, or leave it out",
            )
        first[line.name] = line.number
