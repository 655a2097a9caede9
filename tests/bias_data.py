"""Families of biases on small grids, and what they are given to attend to."""

from __future__ import annotations

import torch

from gridvit.grid import Grid
from gridvit.nn.bias import Bias, make_bias

SPHERE, POLES = Grid.latlon(6, 11), Grid.latlon(7, 10, poles=True)
TORUS, BOX = Grid.regular((5, 7), (2.0, 3.0)), Grid.regular((3, 5), (2.0, 3.0), periodic=False)
CASES = {
    f"{kind} on {name}": (kind, grid)
    for name, grid, kinds in (
        ("sphere", SPHERE, "distance harmonics gaussian linear radial none linear-2 radial-2"),
        ("poles", POLES, "distance harmonics gaussian linear radial none linear-2 radial-2"),
        ("torus", TORUS, "distance fourier linear radial none linear-2 radial-2"),
        ("box", BOX, "distance gaussian linear radial none linear-2 radial-2"),
    )
    for kind in kinds.split()
}


def make(kind: str, grid: Grid, heads: int, harmonics: int, **how: object) -> Bias:
    """``make_bias``; the number after a kind is the degree of a series, at most one for tokens that hold no more."""
    kind, _, waves = kind.partition("-")
    degree = min(int(waves), min(grid.shape) - 1) if waves else 0
    return make_bias(kind, grid, heads, harmonics, spectral=degree, **how)


def random_bias(kind: str, grid: Grid, **how: object) -> Bias:
    torch.manual_seed(4)
    bias = make(kind, grid, 3, 2, **how)
    for parameter in bias.parameters():
        parameter.data += 0.3 * torch.randn(parameter.shape)
    return bias


def inner(bias: Bias) -> Bias:
    return bias.inner if hasattr(bias, "inner") else bias


def contents(grid: Grid, dtype: torch.dtype = torch.float32) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(2, 3, grid.size, d, generator=generator, dtype=dtype) for d in (5, 5, 7)]
