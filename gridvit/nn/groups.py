"""Several tokens at each place: of the frames of a history, or of the variables."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn.inputs import Inputs
from gridvit.nn.scales import CrossScale

Blocks = Iterator[tuple[slice, Tensor]]


class GroupTokens(nn.Module):
    """t_(i, g) = W_g * u_g around place i: an embedding of its own for the channels of each group.

    Tokens are ordered by place, then by group.
    """

    def __init__(self, config: ModelConfig, grid: Grid, kinds: Inputs) -> None:
        super().__init__()
        self.groups = kinds.groups
        each = (CrossScale(config, grid, len(group), kinds.of_group(group)) for group in kinds.groups)
        self.each = nn.ModuleList(each)

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch token width"]:
        """Tokens of all groups."""
        tokens = [embed(x[:, list(group)]) for group, embed in zip(self.groups, self.each, strict=True)]
        return torch.stack(tokens, 2).flatten(1, 2)


def by_place(
    weights: Float[Tensor, "*lead query key"], groups: int
) -> Float[Tensor, "*lead place_query place_key"]:
    """sum over the groups of the keys, mean over those of the queries: rows of sum one keep it."""
    keys = weights.unflatten(-1, (-1, groups)).sum(-1)
    return keys.unflatten(-2, (-1, groups)).mean(-2)


def blocks_by_place(blocks: Blocks, registers: int, groups: int) -> Blocks:
    """``by_place`` of blocks of queries that come one after another; leading registers stay as they are.

    The queries of a place that a block cuts off wait for the next one.
    """
    if groups == 1:
        yield from blocks
        return
    start, held = registers, None
    for rows, weights in blocks:
        keys = weights[..., registers:].unflatten(-1, (-1, groups)).sum(-1)
        keys = torch.cat([weights[..., :registers], keys], -1)
        lead = min(max(registers - rows.start, 0), keys.shape[-2])
        if lead:
            yield slice(rows.start, rows.start + lead), keys[..., :lead, :]
        rest = keys[..., lead:, :] if held is None else torch.cat([held, keys[..., lead:, :]], -2)
        whole = rest.shape[-2] // groups
        if whole:
            yield (
                slice(start, start + whole),
                rest[..., : whole * groups, :].unflatten(-2, (-1, groups)).mean(-2),
            )
        start, held = start + whole, rest[..., whole * groups :, :]
