"""Attention by the offset of the key: stencils of heads, and how much of the attention these are."""

from __future__ import annotations

from math import prod

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.analysis.looking import Blocks, placed
from gridvit.grid import Grid


@torch.no_grad()
def attention_by_offset(blocks: Blocks, grid: Grid, extra: int = 0) -> dict[str, Float[np.ndarray, "..."]]:
    """s(D), the mean of A over states and over queries that a shift along the periodic axes takes to each other.

    With b the mean over states, A - w = (s - w) + (b - s) + (A - b) are orthogonal, w the areas: their mean squares as
    shares of the total are ``static``, ``position`` and ``content``, all 0 where A = w.

    Args:
        blocks: ``(layer, queries, weights)``, as ``ViT.attention_maps`` makes them.
        grid: of the tokens.
        extra: leading tokens without a place, among queries and keys; what they leave of a row is made a whole.

    Returns:
        ``stencil (layer, head, row, *token)``: D modulo the grid along periodic axes, the key's own place along the
        others, a row for each place of a query along those (one where all are periodic); the shares (layer, head).
    """
    rows = places(grid)
    many = grid.size // rows
    sums: dict[int, list[Tensor]] = {}
    for layer, queries, weights in placed(blocks, extra):
        whole = weights.double()
        found = _sums(whole / whole.sum(-1, keepdim=True) if extra else whole, grid, queries)
        sums[layer] = (
            [one + two for one, two in zip(sums[layer], found, strict=True)] if layer in sums else found
        )
    kernel, every, average = (torch.stack([sums[layer][n] for layer in sorted(sums)]) for n in range(3))
    kernel = kernel / many
    areas = torch.from_numpy(grid.areas.ravel() / grid.areas.sum()).to(kernel.device)
    # The key of an offset lies along the periodic axes anywhere; areas do not change along those.
    static = many * (kernel - areas).square().sum((-2, -1))
    position = (average - many * kernel.square().sum((-2, -1))).clamp(min=0)
    parts = {"static": static, "position": position, "content": (every - average).clamp(min=0)}
    total = torch.stack(list(parts.values())).sum(0)
    shares = {name: torch.where(total > 0, part / total, 0).cpu().numpy() for name, part in parts.items()}
    return {"stencil": kernel.unflatten(-1, grid.shape).cpu().numpy(), **shares}


def _sums(placed: Float[Tensor, "batch head query key"], grid: Grid, queries: slice) -> list[Tensor]:
    """Of some queries: sums by offset (head, row, token), of the mean square of A, of the square of its mean (head)."""
    mean = placed.mean(0)
    keys, row = (each.to(placed.device) for each in offsets(grid, queries))
    aligned = mean.gather(-1, keys.expand(mean.shape[0], -1, -1))
    return [
        mean.new_zeros(mean.shape[0], places(grid), grid.size).index_add_(1, row, aligned),
        torch.linalg.vector_norm(placed, dim=(0, 2, 3)).square() / len(placed),
        torch.linalg.vector_norm(mean, dim=(1, 2)).square(),
    ]


def places(grid: Grid) -> int:
    """How many different queries there are: those along the axes that are not periodic."""
    return prod(n for n, wraps in zip(grid.shape, grid.periodic, strict=True) if not wraps)


def offsets(grid: Grid, rows: slice, sign: int = 1) -> tuple[Int[Tensor, "query key"], Int[Tensor, "query"]]:
    """The key at each offset from each query (with ``sign`` -1 the offset of each key), and the query's place.

    Offsets are those along the periodic axes; along the others stands the key's own place.
    """
    cells = np.stack(np.unravel_index(np.arange(grid.size), grid.shape))
    turns = np.array(grid.periodic)[:, None]
    start = np.where(turns, cells[:, rows], 0)
    keys = (cells[:, None, :] + sign * start[:, :, None]) % np.reshape(grid.shape, (-1, 1, 1))
    fixed = [axis for axis, wraps in enumerate(grid.periodic) if not wraps]
    shape = tuple(grid.shape[axis] for axis in fixed)
    place = (
        np.ravel_multi_index(tuple(cells[fixed][:, rows]), shape)
        if fixed
        else np.zeros(len(cells[0][rows]), int)
    )
    return torch.from_numpy(np.ravel_multi_index(tuple(keys), grid.shape)), torch.from_numpy(place)
