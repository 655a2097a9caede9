"""From coarse to fine: blocks within windows on fine tokens, around global ones on merged tokens."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias import Bias, make_biases, nearest_distance
from gridvit.nn.local import make_local
from gridvit.nn.tokens import Patches
from gridvit.nn.window import Window

SPACINGS = 3  # of tokens, that a window reaches where none is given
MERGED = 2  # tokens along each axis

MakeBlock = Callable[
    ..., nn.Module
]  # of a configuration, a bias, a window, what turns by place, what is local
Share = Float[Tensor, "batch token"] | None


class Level(nn.Module):
    """h' = down(h); what is coarser sees W_1 norm(merge h') and gives c; up(h' + split(W_2 c)).

    ``down`` and ``up`` are as many blocks each, within windows of ``model.window``, or of three spacings of the
    tokens; their biases are those of this level's own distances. Two tokens along each axis are merged into one,
    Liu et al. (2021), arXiv:2103.14030; the sum around is that of a U-Net.

    Args:
        config: of the network.
        patches: of the cells into the tokens of this level.
        depth: blocks before and blocks after.
        gaps: whether a part of a token's area may be without values.
        make_block: of a configuration, a bias and a window.
    """

    def __init__(
        self, config: ModelConfig, patches: Patches, depth: int, gaps: bool, make_block: MakeBlock
    ) -> None:
        super().__init__()
        self.patches, self.checkpointing = patches, config.checkpointing
        window = Window(self.grid, config.window or SPACINGS * nearest_distance(self.grid))
        biases = make_biases(replace(config, depth=2 * depth, registers=0), self.grid, gaps)
        blocks = [make_block(config, bias, window, None, make_local(config, self.grid)) for bias in biases]
        self.down, self.up = nn.ModuleList(blocks[:depth]), nn.ModuleList(blocks[depth:])
        self.pairs = Patches(self.grid, (MERGED,) * self.grid.ndim)
        together = self.pairs.cells * config.width
        self.norm, self.merge = nn.LayerNorm(together), nn.Linear(together, config.width)
        self.split = nn.Linear(config.width, together)

    @property
    def grid(self) -> Grid:
        """Grid of the tokens."""
        return self.patches.tokens

    @property
    def biases(self) -> list[Bias]:
        """The distance bias of each block, first those before the merging."""
        return [block.attention.bias for block in (*self.down, *self.up)]

    def coarser(
        self, h: Float[Tensor, "batch fine width"], share: Share
    ) -> tuple[Float[Tensor, "batch coarse width"], Float[Tensor, "batch fine width"]]:
        """Merged tokens, and those that were merged."""
        h = self._through(self.down, h, share)
        field = h.transpose(1, 2).unflatten(2, self.grid.shape)
        return self.merge(self.norm(self.pairs.tokenise(field))), h

    def finer(
        self, coarse: Float[Tensor, "batch coarse width"], h: Float[Tensor, "batch fine width"], share: Share
    ) -> Float[Tensor, "batch fine width"]:
        """Tokens of this level that know what the coarser ones found."""
        field = self.pairs.assemble(self.split(coarse), h.shape[-1])
        return self._through(self.up, h + field.flatten(2).transpose(1, 2), share)

    def _through(self, blocks: nn.ModuleList, h: Tensor, share: Share) -> Tensor:
        for block in blocks:
            if self.checkpointing and torch.is_grad_enabled():
                h = checkpoint(block, h, 0, None, share, use_reentrant=False)
            else:
                h = block(h, share=share)
        return h


def make_levels(config: ModelConfig, grid: Grid, gaps: bool, make_block: MakeBlock) -> list[Level]:
    """The fine levels, finest first; each next patch is twice as long.

    Raises:
        InputError: tokens that cannot be merged by twos as often, a window smaller than a token.
    """
    check_merging(grid.coarsen(config.patch), len(config.levels))
    patches = (Patches(grid, merged_patch(config.patch, n)) for n in range(len(config.levels)))
    return [
        Level(config, each, depth, gaps, make_block)
        for each, depth in zip(patches, config.levels, strict=True)
    ]


def merged_patch(patch: tuple[int, ...], times: int) -> tuple[int, ...]:
    """Cells of a token after merging."""
    return tuple(cells * MERGED**times for cells in patch)


def check_merging(tokens: Grid, times: int) -> None:
    """Refuse tokens that cannot be merged by twos."""
    whole = MERGED**times
    for name, count, wraps in zip(tokens.names, tokens.shape, tokens.periodic, strict=True):
        if count <= whole // MERGED or (wraps and count % whole):
            expected = f"a multiple of {whole}" if wraps else f"more than {whole // MERGED}"
            raise InputError(
                f"{expected} tokens along '{name}' for {times} of model.levels",
                str(count),
                "change model.patch, or take fewer levels",
            )
