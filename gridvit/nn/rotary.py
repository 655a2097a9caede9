"""Rotary positions: queries and keys turned by where their tokens are."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.position import relative


class Rotary(nn.Module):
    """q -> R(x) q, R a turn of each pair of dimensions by an angle in proportion to x: q . k then sees x_j - x_i alone.

    Pair p belongs to axis p mod n of n and turns by 2 pi m s along a periodic axis and by pi m s along a bounded one,
    m = 1 + p div n and s the relative coordinate; beyond the waves that the tokens of ``extent`` resolve m begins
    again at 1. Whole waves close where a periodic axis does: tokens N - 1 apart the one way are neighbours the other
    way. The powers of 10^4 of Su et al. (2021), arXiv:2104.09864, do not close.
    Registers, which lead, are not turned, nor is the last of an odd number of dimensions.

    Args:
        grid: of the tokens.
        dims: of queries and keys that are turned.
        registers: leading tokens without a place.
        extent: whose bounds measure s; those of ``grid`` where absent.
        groups: tokens at each place, one after another.

    Raises:
        InputError: fewer than two dimensions for each axis.
    """

    turn: Tensor

    def __init__(
        self, grid: Grid, dims: int, registers: int = 0, extent: Grid | None = None, groups: int = 1
    ) -> None:
        super().__init__()
        if dims < 2 * grid.ndim:
            raise InputError(
                f"{2 * grid.ndim} or more dimensions of a head for content, for model.position rope",
                str(dims),
                "raise model.width, or lower model.heads or model.harmonics",
            )
        angles = torch.from_numpy(rotary_angles(grid, dims // 2, extent or grid))
        angles = pad(angles.repeat_interleave(groups, 0), (0, 0, registers, 0))
        turn = torch.stack([angles.cos(), angles.sin()], -1)
        self.register_buffer("turn", turn.float())

    def forward(self, x: Float[Tensor, "batch head token dim"]) -> Float[Tensor, "batch head token dim"]:
        """Each pair of neighbouring dimensions turned by its angle; lengths are kept."""
        cosine, sine = self.turn.unbind(-1)
        pairs, rest = x.split([2 * cosine.shape[-1], x.shape[-1] % 2], -1)
        one, other = pairs.unflatten(-1, (-1, 2)).unbind(-1)
        turned = torch.stack([one * cosine - other * sine, one * sine + other * cosine], -1).flatten(-2)
        return torch.cat([turned, rest], -1)


def rotary_angles(grid: Grid, pairs: int, extent: Grid) -> Float[np.ndarray, "token pair"]:
    """The angle of each pair at each token, radians."""
    turns = [2 * np.pi if wraps else np.pi for wraps in grid.periodic]
    along = [turn * relative(grid, extent, axis) for axis, turn in enumerate(turns)]
    resolved = [
        max(1, n // 2 if wraps else n - 1) for n, wraps in zip(extent.shape, grid.periodic, strict=True)
    ]
    places = [(p % grid.ndim, p // grid.ndim) for p in range(pairs)]
    return np.stack([(1 + wave % resolved[axis]) * along[axis] for axis, wave in places], -1)
