"""Tokens nearby by a convolution, beside attention."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn.padding import GridConv


class Local(nn.Module):
    """y = x + W * x, W a convolution of ``size`` tokens along each axis for each channel by itself.

    It is an attention stencil that is the same at every token and for every state, which heads then need not make.
    Registers have no place and stay as they are; of several tokens at a place each sees its own kind.
    Of three tokens as in X. Chu et al. (2021), arXiv:2102.10882, of seven as in Z. Liu et al. (2022), arXiv:2201.03545.

    Args:
        tokens: their grid.
        width: channels of a token.
        size: tokens of W along each axis, odd.
        registers: tokens before those of the grid.
        groups: tokens at each place.
    """

    def __init__(self, tokens: Grid, width: int, size: int, registers: int = 0, groups: int = 1) -> None:
        super().__init__()
        self.shape, self.registers, self.groups = tokens.shape, registers, groups
        self.conv = GridConv(tokens, width, width, size, apart=True)

    def forward(self, x: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """Tokens of the same shape, registers first."""
        lead, placed = x[:, : self.registers], x[:, self.registers :]
        field = (
            placed.unflatten(1, (-1, self.groups)).permute(0, 2, 3, 1).flatten(0, 1).unflatten(2, self.shape)
        )
        mixed = self.conv(field).flatten(2).unflatten(0, (-1, self.groups)).permute(0, 3, 1, 2).flatten(1, 2)
        placed = placed + mixed
        return placed if not self.registers else torch.cat([lead, placed], 1)


def make_local(config: ModelConfig, tokens: Grid, registers: int = 0, groups: int = 1) -> Local | None:
    """The convolution of a block; none where the configuration has none."""
    return Local(tokens, config.width, config.local, registers, groups) if config.local else None
