"""YAML files and command-line options to configuration dataclasses, and back; wrong keys get the nearest right one."""

from __future__ import annotations

import difflib
import re
from argparse import ArgumentError
from collections.abc import Sequence
from dataclasses import MISSING, asdict, fields, is_dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import yaml
from jsonargparse import ArgumentParser

from gridvit.config import Index
from gridvit.errors import InputError
from gridvit.files import put
from gridvit.yamls import refuse_unreadable

T = TypeVar("T")


@lru_cache(8)
def parser_of(kind: type, prog: str, description: str = "") -> ArgumentParser:
    """A parser with one option per field of the dataclass ``kind``, and ``--config FILE``."""
    parser = ArgumentParser(prog=prog, description=description, exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--config", action="config", help="YAML file of options; later options override it")
    parser.add_class_arguments(kind, None)
    parser.set_defaults(_blank(kind()))
    return parser


def parse(
    kind: type[T],
    arguments: Sequence[str],
    prog: str = "gridvit",
    description: str = "",
    also: Sequence[str] = (),
) -> T:
    """The dataclass ``kind`` filled from ``arguments``, e.g. ``["--config", "a.yaml", "--model.depth", "6"]``.

    ``also`` are options of the verb that a wrong one may have meant.

    Raises:
        InputError: an unknown key (the nearest right one is named), a value of the wrong type, no such file.
    """
    keys = keys_of(kind)
    sections = {key.rpartition(".")[0] for key in keys}
    blank = [field.name for field in fields(kind) if field.default is None]  # type: ignore[arg-type]
    for first, second in zip(["", *arguments], [*arguments, ""], strict=True):
        named = second if first == "--config" else first.removeprefix("--config=")
        if first.startswith("--config") and named:
            refuse_unreadable(Path(named), sections, blank)
    parser = parser_of(kind, prog, description)  # type: ignore[arg-type]
    try:
        return _built(kind, parser.instantiate(parser.parse_args(list(arguments))))
    except (ArgumentError, TypeError, ValueError) as error:
        raise explained(str(error), [*keys, *also]) from None


def load_config(kind: type[T], path: Path) -> T:
    """The dataclass that ``save_config`` wrote."""
    if not path.is_file():
        raise InputError(
            "a run folder with a config.yaml", f"no {path}", "give the folder that gridvit train wrote"
        )
    return parse(kind, ["--config", str(path)])


def save_config(config: Any, path: Path) -> None:
    """Every field as YAML, replayable."""
    put(path, yaml.safe_dump(_plain(asdict(config)), sort_keys=False))


def differences(first: Any, second: Any, prefix: str = "") -> list[str]:
    """Dotted names of the fields in which two configurations of one type differ."""
    found = []
    for field in fields(first):
        a, b = getattr(first, field.name), getattr(second, field.name)
        if is_dataclass(a):
            found += differences(a, b, f"{prefix}{field.name}.")
        elif a != b:
            found.append(prefix + field.name)
    return found


def keys_of(kind: type, prefix: str = "") -> list[str]:
    """Dotted names of every field."""
    found = []
    example = kind()
    for field in fields(kind):
        name = prefix + field.name
        value = getattr(example, field.name)
        found += [name, *(keys_of(type(value), f"{name}.") if is_dataclass(value) else [])]
    return found


def _blank(example: Any, prefix: str = "") -> dict[str, Any]:
    """By dotted name what stands for a value that is not given, where ``example`` has filled it in."""
    found: dict[str, Any] = {}
    for field in fields(example):
        value = getattr(example, field.name)
        if is_dataclass(value):
            found |= _blank(value, f"{prefix}{field.name}.")
        elif field.default is not MISSING and field.default != value:
            found[prefix + field.name] = field.default
    return found


def explained(message: str, keys: Sequence[str]) -> InputError:
    """jsonargparse's message as one sentence in three parts."""
    text = " ".join(message.split())
    if inner := re.search(r"""Parser key "([^"]+)": Problem with given class_path '[^']*': (.*)""", text):
        first = re.sub(r"Option '(\w+)\.[^']*'", r"Option '\1'", inner[2])
        return explained(first, [field.name for field in fields(Index)]).at(inner[1])
    if ours := re.search(r"expected (.*?), got (.*): (.*)$", text):  # a dataclass refused its values
        return InputError(*ours.groups())
    if missing := re.search(r"File does not exist: '([^']*)'", text):
        return InputError("a configuration file", f"no file {missing[1]}", "check the path")
    if needed := re.search(r"the following arguments are required: (.*)", text):
        return InputError(f"the arguments {needed[1]}", "none", "add them, see --help")
    if unknown := _unknown_key(text):
        near = nearest(unknown, keys)
        hint = f"did you mean {near!r}?" if near else "see --help for the options"
        return InputError("an option that exists", repr(unknown), hint)
    return _wrong_value(text, keys) or InputError(
        "options that can be read", text.removesuffix("."), "see --help for the options"
    )


def _wrong_value(text: str, keys: Sequence[str]) -> InputError | None:
    """A value of another type than its option's."""
    if value := re.search(r'Parser key "([^"]+)": (?:.*?)Expected (.*?)\. Got value: (.*)', text):
        return InputError(f"{value[1]} to be {_wanted(value[2])}", value[3], _hint(value[2], value[3]))
    if union := re.search(
        r'Parser key "([^"]+)": .*? Subtypes: \[(.*?)\] Errors: .*? Given value: (.*)', text
    ):
        kinds = [kind for kind in re.findall(r"<class '(\w+)'>", union[2]) if kind != "NoneType"]
        return InputError(
            f"{union[1]} to be {' or '.join(map(_wanted, kinds))}", union[3], "correct the value"
        )
    if section := re.search(r"""Parser key "([^"]+)": Unable to load config ['"]([^'"]*)['"]""", text):
        kind = f"{section[1]}.kind"
        hint = (
            f"did you mean --{kind} {section[2]}?" if kind in keys else f"write --{section[1]}.OPTION VALUE"
        )
        return InputError(f"options under {section[1]}", repr(section[2]), hint)
    if entry := re.search(
        r'Parser key "([^"]+)": Not a valid subclass of Index. Got value: (.*?) Subclass', text
    ):
        names = " and ".join(field.name for field in fields(Index))
        return InputError(f"{names} under each name in {entry[1]}", entry[2], "see --help for an example")
    return None


PLAIN = {"tuple": "list", "dict": "mapping", "str": "text", "bool": "true or false"}
"""What a type is called in YAML."""


def _wanted(kind: str) -> str:
    """``a <class 'int'>`` as "an int", ``a typing.Literal['x', 'y']`` as "one of 'x', 'y'"."""
    if choices := re.search(r"Literal\[(.*)\]", kind):
        return f"one of {choices[1]}"
    name = re.sub(r"^an? |<class '(.*?)'>", r"\1", kind)
    name = re.sub(r"^\w+", lambda word: PLAIN.get(word[0], word[0]), name)
    if name in (PLAIN["str"], PLAIN["bool"]):
        return name
    return f"an {name}" if name[0] in "aeiou" else f"a {name}"


def _hint(kind: str, got: str) -> str:
    """What to write in the place of a wrong value."""
    if choices := re.search(r"Literal\[(.*)\]", kind):
        names = [name.strip(" '") for name in choices[1].split(",")]
        if got in names and f"'{got}'" in choices[1]:
            return f"put it in quotes, '{got}'"
        near = difflib.get_close_matches(got.lower(), names, 1, 0.6)
        return f"did you mean {near[0]!r}?" if near else "correct the value"
    if kind.endswith("<class 'str'>") and got[:1] not in "[{":
        return f"put it in quotes, '{got}'"
    if kind.endswith("<class 'tuple'>") and got[:1] not in "[{":
        return f"write a list, [{got}]"
    return "correct the value"


def _unknown_key(text: str) -> str | None:
    if group := re.search(r"Group '([^']+)' does not accept option '([^']+)'", text):
        return f"{group[1]}.{group[2]}"
    if option := re.search(r"[Uu]nrecognized arguments: --([^\s=]+)", text):
        return option[1]
    if "Subclasses are disabled" in text:
        return "class_path"
    if key := re.search(r"(?:Key|Option|option) '([^']+)' is not (?:expected|accepted)", text):
        return key[1]
    return None


def nearest(name: str, names: Sequence[str]) -> str | None:
    """The most similar of ``names``, comparing last parts too; none where nothing is similar."""
    section, _, last = name.rpartition(".")
    same = [known for known in names if known.rpartition(".")[0] == section]
    for pool in (same, names):
        close = difflib.get_close_matches(name, pool, len(pool) or 1, 0.6)
        alike = [
            known
            for known in close
            if difflib.SequenceMatcher(None, last, known.rpartition(".")[2]).ratio() > 0.5
        ]
        if alike:
            return alike[0]
    tails = {known.rpartition(".")[2]: known for known in names}
    near = difflib.get_close_matches(last, list(tails), 1, 0.6)
    return tails[near[0]] if near else None


def _built(kind: type[T], namespace: Any) -> T:
    return kind(**{field.name: namespace[field.name] for field in fields(kind)})  # type: ignore[arg-type]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(v) for key, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value
