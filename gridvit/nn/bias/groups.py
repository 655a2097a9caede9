"""Biases of several tokens at each place."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pad

from gridvit.grid import Grid
from gridvit.nn.bias.area import AreaWeighted, Around, Share
from gridvit.nn.bias.base import EVERY, Bias, Fold, Rows


class Grouped(Around):
    """b(x_i, x_j) + o_h(g_i, g_j): the bias of the places of two tokens, and a learned number for their groups.

    Tokens are ordered by place, then by group, after the leading ``registers``, which have no group. ``o`` starts at
    zero; it folds exactly, as one-hot vectors of the keys' groups: one more dimension for each group.
    """

    def __init__(self, inner: Bias, grid: Grid, heads: int, groups: int, registers: int = 0) -> None:
        super().__init__(inner)
        self.dims = inner.dims + (groups if inner.fold() is not None else 0)
        self.places, self.groups, self.registers = grid.size, groups, registers
        self.offset = nn.Parameter(torch.zeros(heads, groups, groups))

    def fold(self, share: Share = None) -> Fold | None:
        """Keys are ``(key, dim)``, or ``(batch, 1, key, dim)`` where there is a ``share`` of the places."""
        inner = self.inner.fold(share) if isinstance(self.inner, AreaWeighted) else self.inner.fold()
        if inner is None:
            return None
        query, key = (self._spread(part, -2) for part in inner)
        lead = (0, 0, self.registers, 0)
        ones = torch.eye(self.groups, dtype=key.dtype, device=key.device).repeat(self.places, 1)
        ones = pad(ones, lead).expand(*key.shape[:-1], -1)
        offset = pad(self.offset.repeat(1, self.places, 1), lead)
        return torch.cat([query, offset], -1), torch.cat([key, ones], -1)

    def logits(self, rows: Rows = EVERY, share: Share = None) -> Float[Tensor, "*batch head query key"]:
        """The inner bias of the places plus the offset of the groups."""
        tokens = torch.arange(-self.registers, self.places * self.groups, device=self.offset.device)
        places = torch.where(tokens < 0, tokens, tokens // self.groups)[rows] + self.registers
        bias = self.inner
        inner = bias.logits(places, share) if isinstance(bias, AreaWeighted) else bias.logits(places)
        groups = torch.where(tokens < 0, self.groups, tokens % self.groups)
        offset = pad(self.offset, (0, 1, 0, 1))[:, groups[rows]][:, :, groups]
        return self._spread(inner, -1) + offset

    def _spread(self, values: Tensor, dim: int) -> Tensor:
        """Of each place for each of its tokens."""
        lead, rest = values.split([self.registers, self.places], dim)
        return torch.cat([lead, rest.repeat_interleave(self.groups, dim)], dim)
