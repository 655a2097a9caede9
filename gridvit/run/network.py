"""A network of one's own by its name on the command line: the one place where a name becomes code."""

from __future__ import annotations

import os
import sys
from importlib import import_module

from gridvit.errors import InputError
from gridvit.nn.own import Network


def named_network(name: str) -> Network | None:
    """What ``package.module:factory`` names, looked for in the current folder too; none where nothing is named.

    Raises:
        InputError: no such module, nothing of that name in it.
    """
    if not name:
        return None
    module, _, factory = name.partition(":")
    wanted = "--network like package.module:factory"
    if not module or not factory:
        raise InputError(wanted, repr(name), "name the module, a colon, and what makes the network in it")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), factory)
    except ModuleNotFoundError as error:
        raise InputError(
            wanted, f"{name!r} ({error})", "run it from the folder of the module, or install it"
        ) from None
    except AttributeError:
        raise InputError(wanted, f"{name!r} (no {factory!r} in {module})", "correct the name") from None
