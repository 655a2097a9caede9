"""How the verbs read their arguments, and where their results go."""

from __future__ import annotations

import sys
from argparse import ArgumentError
from collections.abc import Sequence
from typing import Any

from gridvit.errors import InputError


def say(text: object) -> None:
    """The result of a verb, on standard output."""
    sys.stdout.write(f"{text}\n")


def parsed(verb: str, description: str, options: dict[str, dict[str, Any]], arguments: Sequence[str]) -> Any:
    """Positional and optional arguments of the verbs that take no configuration."""
    from jsonargparse import ArgumentParser

    from gridvit.parsing import explained

    parser = ArgumentParser(
        prog=f"gridvit {verb}", description=description, exit_on_error=False, allow_abbrev=False
    )
    for name, settings in options.items():
        parser.add_argument(name, **settings)
    try:
        return parser.parse_args(list(arguments))
    except (ArgumentError, TypeError, ValueError) as error:
        known = [name.lstrip("-") for name in options if name.startswith("--")]
        raise explained(str(error), known) from None


def flag(arguments: list[str], name: str) -> bool:
    """Take a flag out of arguments that a configuration's parser will read."""
    found = name in arguments
    while name in arguments:
        arguments.remove(name)
    return found


def value(arguments: list[str], name: str, what: str, default: str | None = None) -> str:
    """Take an option and its value out of arguments that a configuration's parser will read."""
    for index, argument in enumerate(arguments):
        if argument == name and index + 1 < len(arguments):
            del arguments[index]
            return arguments.pop(index)
        if argument.startswith(f"{name}="):
            return arguments.pop(index).partition("=")[2]
    if default is not None and name not in arguments:
        return default
    raise InputError(f"{name} {what}", "none", f"add {name} {what}")


def helped(kind: type, prog: str, description: str, arguments: Sequence[str]) -> bool:
    """Print the help of a verb that takes a configuration, if asked for."""
    if not {"-h", "--help"} & set(arguments):
        return False
    from gridvit.parsing import parser_of

    parser_of(kind, prog, description).print_help()
    return True
