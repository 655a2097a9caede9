"""The convolutional network that a user would take instead: a U-Net of residual blocks on the sphere."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from gridvit.grid import Grid
from gridvit.nn.padding import GridConv
from gridvit.nn.tokens import Patches


class Block(nn.Module):
    """h + W_2 * gelu(norm(W_1 * gelu(norm(h)))), continued around the globe and over the poles."""

    def __init__(self, grid: Grid, inputs: int, channels: int) -> None:
        super().__init__()
        self.across = nn.Conv2d(inputs, channels, 1) if inputs != channels else nn.Identity()
        self.norms = nn.ModuleList([nn.GroupNorm(1, inputs), nn.GroupNorm(4, channels)])
        self.convs = nn.ModuleList([GridConv(grid, inputs, channels), GridConv(grid, channels, channels)])

    def forward(self, h: Tensor) -> Tensor:
        """On the same cells."""
        inner = h
        for norm, conv in zip(self.norms, self.convs, strict=True):
            inner = conv(gelu(norm(inner)))
        return self.across(h) + inner


class Halved(nn.Module):
    """Two by two cells become one of twice the channels, and back: linear maps of patches."""

    def __init__(self, grid: Grid, channels: int) -> None:
        super().__init__()
        self.patches, self.channels = Patches(grid, (2, 2)), channels
        self.grid = self.patches.tokens
        self.down, self.up = nn.Linear(4 * channels, 2 * channels), nn.Linear(2 * channels, 4 * channels)

    def coarser(self, h: Tensor) -> Tensor:
        """(B, C, fine) to (B, 2 C, coarse)."""
        return self.down(self.patches.tokenise(h)).swapaxes(1, 2).unflatten(2, self.grid.shape)

    def finer(self, h: Tensor) -> Tensor:
        """(B, 2 C, coarse) to (B, C, fine)."""
        return self.patches.assemble(self.up(h.flatten(2).swapaxes(1, 2)), self.channels)


class UNet(nn.Module):
    """Increments of normalised fields: ``levels`` grids, each half as fine as the last and with twice the channels.

    Its last layer starts at zero, so the untrained step is persistence, as gridvit's is.
    """

    def __init__(self, inputs: int, outputs: int, grid: Grid, channels: int = 16, levels: int = 3) -> None:
        super().__init__()
        self.first = GridConv(grid, inputs, channels)
        self.halved = nn.ModuleList()
        self.before, self.after = nn.ModuleList([Block(grid, channels, channels)]), nn.ModuleList()
        for level in range(levels - 1):
            here = channels * 2**level
            self.halved.append(Halved(grid, here))
            self.after.append(Block(grid, 2 * here, here))
            grid = self.halved[-1].grid
            self.before.append(Block(grid, 2 * here, 2 * here))
        self.norm = nn.GroupNorm(4, channels)
        self.last = nn.Conv2d(channels, outputs, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, latitude, longitude) to (B, outputs, latitude, longitude)."""
        h, beside = self.before[0](self.first(x)), []
        for halved, block in zip(self.halved, list(self.before)[1:], strict=True):
            beside.append(h)
            h = block(halved.coarser(h))
        for halved, block in zip(reversed(self.halved), reversed(self.after), strict=True):
            h = block(torch.cat([halved.finer(h), beside.pop()], 1))
        return self.last(gelu(self.norm(h)))
