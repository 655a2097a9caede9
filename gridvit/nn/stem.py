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
    outline; the channels of the stem pass the tokens by, as in a U-Net. W_2 starts at zero.

    Args:
        config: of the network.
        patches: that the tokens tile.
        width: channels of the tokens of a place.
        beside: channels of the stem.
        outputs: channels of y.
    """

    def __init__(self, config: ModelConfig, patches: Patches, width: int, beside: int, outputs: int) -> None:
        super().__init__()
        self.patches, self.channels = (patches,), config.channels  # the tuple: no second owner of the buffers
        self.spread = nn.Linear(width, config.channels * patches.cells)
        alike = self.spread.weight.detach()[:: patches.cells].repeat_interleave(patches.cells, 0)
        self.spread.weight.data.copy_(alike)
        nn.init.zeros_(self.spread.bias)
        self.first = GridConv(patches.grid, config.channels + beside, config.channels)
        self.last = GridConv(patches.grid, config.channels, outputs)
        for start in self.last.parameters():
            nn.init.zeros_(start)

    @property
    def weight(self) -> Tensor:
        """W_2."""
        return self.last.weight

    def forward(
        self, tokens: Float[Tensor, "batch token width"], beside: Float[Tensor, "batch channel *space"] | None
    ) -> Float[Tensor, "batch output *space"]:
        """The field of the outputs."""
        cells = self.patches[0].assemble(self.spread(tokens), self.channels)
        cells = cells if beside is None else torch.cat([cells, beside], 1)
        return self.last(gelu(self.first(cells)))
