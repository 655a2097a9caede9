"""Tokens that see more than their patch: kernels of several sizes around one centre."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.inputs import Inputs
from gridvit.nn.padding import CONVOLUTIONS, Padding


class CrossScale(nn.Module):
    """t_i = (W_1 u around i, W_2 u around i, ...): at each patch i kernels of ``model.sizes`` patches along each axis.

    The field is continued as the grid does. The first half of the channels is that of the smallest kernel, half of
    the rest that of the next, and so on, since a kernel of s patches has s^d times the weights: the cross-scale
    embedding of Wang et al. (2022), arXiv:2108.00154. One size of 2 are patches that overlap by half.

    Args:
        config: of the network.
        grid: of the cells.
        inputs: channels of u.
        kinds: of them.

    Raises:
        InputError: a kernel larger than the grid, or one that has not the centre of its patch; a width
            that leaves one without a channel.
    """

    def __init__(self, config: ModelConfig, grid: Grid, inputs: int, kinds: Inputs) -> None:
        super().__init__()
        check_sizes(config, grid)
        self.pads, self.kernels = nn.ModuleList(), nn.ModuleList()
        for size, width in zip(config.sizes, parts(config.width, len(config.sizes)), strict=True):
            around = [(size - 1) * p // 2 for p in config.patch]
            kernel: Any = tuple(size * p for p in config.patch)
            stride: Any = config.patch
            widths = [(n, n + extra) for n, extra in zip(around, grid.padding(config.patch), strict=True)]
            self.pads.append(Padding(grid, widths, inputs, kinds))
            self.kernels.append(CONVOLUTIONS[grid.ndim](inputs, width, kernel, stride))

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch token width"]:
        """Tokens in row-major order of the token grid."""
        scales = [kernel(pad(x)) for pad, kernel in zip(self.pads, self.kernels, strict=True)]
        return torch.cat(scales, 1).flatten(2).transpose(1, 2)


def parts(width: int, count: int) -> list[int]:
    """A half, a quarter, ..., and what is left, of which there are ``count``."""
    halves = [width // 2**n for n in range(1, count)]
    return [*halves, width - sum(halves)]


def check_sizes(config: ModelConfig, grid: Grid) -> None:
    """Refuse kernels that do not fit, and more of them than halves of the width."""
    least = 2 ** (len(config.sizes) - 1)
    if config.width < least:
        raise InputError(
            f"model.width of at least {least} for {len(config.sizes)} of model.sizes",
            str(config.width),
            "raise it, or take fewer sizes",
        )
    for name, cells, patch in zip(grid.names, grid.shape, config.patch, strict=True):
        for size in config.sizes:
            if size * patch > cells:
                raise InputError(
                    f"kernels of model.sizes of at most the {cells} cells along '{name}'",
                    f"{size} patches of {patch}",
                    "lower model.sizes or model.patch",
                )
            if (size - 1) * patch % 2:
                raise InputError(
                    f"odd model.sizes, whose kernels have the centre of a patch of {patch} along '{name}'",
                    str(size),
                    "take odd sizes, or even patches",
                )
