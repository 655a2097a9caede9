"""The checker of types and shapes that jaxtyping's hook is given: beartype, each argument looked at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from beartype import beartype


def checker(function: Callable[..., Any]) -> Callable[..., Any]:
    """``beartype``, but for arguments that were checked a moment ago.

    Of every function the hook makes two to be checked: one of its arguments, which returns ``Any``, and one of these
    and of what it has returned. The second has to look at the latter alone: sizes are remembered from the first.
    """
    returned = function.__annotations__.get("return", Any)
    if returned is not Any:
        function.__annotations__ = {"return": returned}
    return beartype(function)
