"""Convolutions at the cells: before the patches are cut, and after they are put together again."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import gelu

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn.inputs import Inputs
from gridvit.nn.padding import GridConv
from gridvit.nn.tokens import Patches

STENCIL = 5  # cells of the linear skip along each axis: differences of fourth order
MERGED = 2  # cells along each axis that are merged into one

Cells = list[Tensor]  # channels of the cells, then of merged cells where there are any


class Unit(nn.Module):
    """y = x + W_2 * gelu(W_1 * x), convolutions of 3 cells."""

    def __init__(self, grid: Grid, channels: int) -> None:
        super().__init__()
        self.first, self.second = (GridConv(grid, channels, channels) for _ in range(2))

    def forward(self, x: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """On the same cells."""
        return x + self.second(gelu(self.first(x)))


class Merging(nn.Module):
    """c' = unit(W c of the cells that are merged), and back d = W'(unit(V * (d', c'))): a level of a U-Net.

    Ronneberger et al. (2015), arXiv:1505.04597.

    Args:
        grid: of the cells.
        patch: cells of a token.
        channels: of the cells.
        merged: channels of the merged ones, which ``cut`` cuts into tokens.
    """

    def __init__(self, grid: Grid, patch: tuple[int, ...], channels: int, merged: int) -> None:
        super().__init__()
        self.pairs = Patches(grid, (MERGED,) * grid.ndim)
        self.cut = Patches(self.grid, tuple(cells // MERGED for cells in patch))
        self.channels, together = channels, channels * self.pairs.cells
        self.merge, self.split = nn.Linear(together, merged), nn.Linear(merged, together)
        self.down, self.up = Unit(self.grid, merged), Unit(self.grid, merged)
        self.join = GridConv(self.grid, 2 * merged, merged)

    @property
    def grid(self) -> Grid:
        """Of the merged cells."""
        return self.pairs.tokens

    def coarser(self, cells: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch merged *fewer"]:
        """c' of c."""
        merged = self.merge(self.pairs.tokenise(cells))
        return self.down(merged.transpose(1, 2).unflatten(2, self.grid.shape))

    def finer(
        self, found: Float[Tensor, "batch merged *fewer"], beside: Float[Tensor, "batch merged *fewer"]
    ) -> Float[Tensor, "batch channel *space"]:
        """d of d' and c'."""
        merged = self.up(self.join(torch.cat([found, beside], 1)))
        return self.pairs.assemble(self.split(merged.flatten(2).transpose(1, 2)), self.channels)


class Stem(nn.Module):
    """c = v + W_2 * gelu(v), v = W_1 * u: patches of c know two cells beyond their own.

    Overlapping patches by convolutions of 3 cells (Xiao et al. 2021, arXiv:2106.14881) that continue the field as the
    grid does. Only fields have components of vectors; channels within are continued over a pole as scalars.
    """

    def __init__(self, config: ModelConfig, grid: Grid, inputs: int, kinds: Inputs) -> None:
        super().__init__()
        self.first = GridConv(grid, inputs, config.channels, kinds=kinds)
        self.second = GridConv(grid, config.channels, config.channels)

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch channel *space"]:
        """Channels of the cells."""
        first = self.first(x)
        return first + self.second(gelu(first))


class Decoder(nn.Module):
    """y = W_2 * gelu(W_1 * (c', c)), c' the cells that the tokens tile and c the channels of the stem, if there is one.

    Convolutions of 3 cells mix across the patches' borders. All cells of a patch start with one and the same map of
    its token (Aitken et al. 2017, arXiv:1707.02937), so that at first no pattern of the patches is in c' but their
    outline; the channels of the stem pass the tokens by, as in a U-Net. W_2 starts at zero. Where cells are merged the
    tokens tile the merged ones, and c' is what ``Merging`` makes of them.

    Args:
        patches: of the cells.
        width: channels of the tokens of a place.
        channels: that the tokens tile, at the cells, and of the stem.
        outputs: channels of y.
        merging: of the cells that are merged, if any are.
    """

    def __init__(
        self,
        patches: Patches,
        width: int,
        channels: tuple[int, int, int],
        outputs: int,
        merging: Merging | None = None,
    ) -> None:
        super().__init__()
        tiled, own, beside = channels
        grid, tokens = patches.grid, patches if merging is None else merging.cut
        self.shared = (tokens, merging)  # the tuple: no second owner of buffers and weights
        self.tiled = tiled
        self.spread = nn.Linear(width, tiled * tokens.cells)
        alike = self.spread.weight.detach()[:: tokens.cells].repeat_interleave(tokens.cells, 0)
        self.spread.weight.data.copy_(alike)
        nn.init.zeros_(self.spread.bias)
        self.first = GridConv(grid, own + beside, own)
        self.last = GridConv(grid, own, outputs)
        for start in self.last.parameters():
            nn.init.zeros_(start)

    @property
    def weight(self) -> Tensor:
        """W_2."""
        return self.last.weight

    def forward(
        self, tokens: Float[Tensor, "batch token width"], beside: Cells
    ) -> Float[Tensor, "batch output *space"]:
        """The field of the outputs; ``beside`` is what the stem made, nothing without one."""
        patches, merging = self.shared
        cells = patches.assemble(self.spread(tokens), self.tiled)
        if merging is not None:
            cells = merging.finer(cells, beside[1])
        return self.last(gelu(self.first(torch.cat([cells, *beside[:1]], 1))))
