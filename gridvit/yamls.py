"""A configuration file that can be read: YAML in UTF-8, a mapping of options, each once."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from gridvit.errors import InputError

DO = "write options in it, such as data: {path: FILE}"


def refuse_unreadable(path: Path, sections: Collection[str], blank: Collection[str] = ()) -> None:
    """What is not a mapping of options, with a mapping under each of ``sections`` (dotted names) that is there.

    Options have values, but for those that may be left ``blank``.

    Raises:
        InputError: another file than YAML in UTF-8, a key that comes twice, nothing, a value in the place of options.
            A file that is not there is left to the parser.
    """
    if not path.is_file():
        return
    try:
        found = yaml.load(path.read_bytes().decode(), _Once)
    except UnicodeDecodeError as error:
        raise InputError(
            f"text in UTF-8 in {path}", f"byte {error.start} of something else", "save it as such"
        ) from None
    except yaml.YAMLError as error:
        raise InputError(f"YAML in {path}", f"a mistake{_shown(error)}", "correct it there") from None
    if not isinstance(found, dict):
        raise InputError(
            f"options in {path}", "nothing" if found is None else f"{type(found).__name__} {found!r}", DO
        )
    _refuse_values({name: value for name, value in found.items() if name not in blank}, path, sections)


def _refuse_values(found: dict[Any, Any], path: Path, sections: Collection[str], prefix: str = "") -> None:
    """A section must hold options, and an option a value."""
    for name, value in found.items():
        key = f"{prefix}{name}"
        if isinstance(value, dict) and key in sections:
            _refuse_values(value, path, sections, f"{key}.")
        elif key in sections:
            got = "nothing" if value is None else repr(value)
            raise InputError(
                f"options under {key} in {path}", got, f"see --help for those of {key}, or leave it out"
            )
        elif value is None:
            raise InputError(f"a value of {key} in {path}", "nothing", "give it one, or leave it out")


def _shown(error: yaml.YAMLError) -> str:
    """Where it is, and what."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None) or str(error)
    at = f" in line {mark.line + 1}, column {mark.column + 1}" if mark is not None else ""
    return f"{at} ({' '.join(problem.split())})"


class _Once(yaml.SafeLoader):
    """Refuses a key that comes twice, of which YAML keeps the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"{key.value!r} a second time", key.start_mark
                )
            seen.add(key.value)
        return super().construct_mapping(node, deep)
