"""Attention weights that tests of the analysis are held against."""

from __future__ import annotations

import numpy as np
import xarray as xr
from torch import Tensor

from gridvit.analysis.looking import attention_by_blocks
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.hidden import present_areas


def random_rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    logits = rng.normal(size=shape)
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def uniform(grid: Grid, layers: int = 2, heads: int = 3) -> np.ndarray:
    return np.full((layers, heads, grid.size, grid.size), 1.0 / grid.size)


def looked(
    made: ViT, x: Tensor, bins: int = 20, block: int = 256, condition: Tensor | None = None
) -> xr.Dataset:
    """What a network's attention measures, block by block."""
    tokens = made.patches.tokens
    areas = present_areas(tokens, made.share(x)).numpy()
    blocks = made.attention_maps(x, block, condition)
    return attention_by_blocks(blocks, tokens, areas, made.config.registers, bins)
