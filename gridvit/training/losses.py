"""Errors of normalised outputs as one number: area-weighted, over the cells that have a value."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError


def present_error(
    found: Float[Tensor, "batch variable *space"],
    target: Float[Tensor, "batch variable *space"],
    weights: Float[Tensor, "*space"],
    importance: Float[Tensor, "variable"] | None = None,
) -> tuple[Float[Tensor, ""], Tensor]:
    """mean over states and variables of sum_x w (f - y)^2 / sum_x w, x the cells where the target y is no NaN.

    A state that has no such cell of a variable does not enter; no gradient flows from the other cells. With
    ``importance`` the mean over variables is weighted by it. The second number is how many states and variables enter,
    or the sum of their weights.
    """
    there = ~torch.isnan(target)
    area = (there * weights).flatten(2).sum(-1)
    square = ((found - target.nan_to_num()).square() * (there * weights)).flatten(2).sum(-1)
    error, counted = square / area.clamp(min=torch.finfo(area.dtype).tiny), area > 0
    if importance is not None:
        error, counted = error * importance, counted * importance
    count = counted.sum()
    return error.sum() / count.clamp(min=1e-6), count


def variable_weights(patterns: Mapping[str, float | int], names: Sequence[str]) -> list[float]:
    """The weight of each variable, of mean one: the product of those of all patterns that its name matches.

    Args:
        patterns: a name, or one with * for any letters, such as "*_850" for all variables of a stacked level.
        names: of the variables.

    Raises:
        InputError: a pattern that no name matches; nothing that has a weight.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise InputError(
                f"training.weights of {', '.join(names)}",
                repr(pattern),
                "correct it, * stands for any letters",
            )
    found = [
        prod(weight for pattern, weight in patterns.items() if fnmatchcase(name, pattern)) for name in names
    ]
    if not sum(found):
        raise InputError("training.weights above 0 for some variable", "0 for all", "correct them")
    return [weight * len(found) / sum(found) for weight in found]
