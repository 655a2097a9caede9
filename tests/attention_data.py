"""Attention weights that tests of the analysis are held against."""

from __future__ import annotations

import numpy as np

from gridvit.grid import Grid


def random_rows(rng: np.random.Generator, *shape: int) -> np.ndarray:
    logits = rng.normal(size=shape)
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def uniform(grid: Grid, layers: int = 2, heads: int = 3) -> np.ndarray:
    return np.full((layers, heads, grid.size, grid.size), 1.0 / grid.size)
