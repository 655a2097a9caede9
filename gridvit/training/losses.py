"""Errors of normalised outputs as one number: area-weighted, over the cells that have a value."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def present_error(
    found: Float[Tensor, "batch variable *space"],
    target: Float[Tensor, "batch variable *space"],
    weights: Float[Tensor, "*space"],
) -> Float[Tensor, ""]:
    """mean over states and variables of sum_x w (f - y)^2 / sum_x w, x the cells where the target y is no NaN.

    A state that has no such cell of a variable does not enter; no gradient flows from the other cells.
    """
    there = ~torch.isnan(target)
    area = (there * weights).flatten(2).sum(-1)
    square = ((found - target.nan_to_num()).square() * (there * weights)).flatten(2).sum(-1)
    return (square / area.clamp(min=torch.finfo(area.dtype).tiny)).sum() / (area > 0).sum().clamp(min=1)
