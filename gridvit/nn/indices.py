"""Outputs that are one number, held as a constant field."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid


def with_means(
    f: Float[Tensor, "batch lead target *space"], places: Sequence[int], grid: Grid
) -> Float[Tensor, "batch lead target *space"]:
    """sum_x a f / sum_x a in every cell, a the areas, of the targets at ``places``; the others as they are."""
    column = [1] * grid.ndim
    weights = torch.as_tensor(grid.areas / grid.areas.sum(), dtype=f.dtype, device=f.device)
    means = (f * weights).flatten(3).sum(-1).reshape(*f.shape[:3], *column)
    one = torch.zeros(f.shape[2], dtype=torch.bool, device=f.device)
    one[list(places)] = True
    return torch.where(one.reshape(-1, *column), means, f)
