"""Attention by the offset of the key: stencils of heads, and how much of the attention these are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
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
    found = ByOffset(grid, extra)
    for _ in found.through(blocks):
        pass
    return found.tables()


@dataclass(frozen=True, eq=False)
class ByOffset:
    """Collects blocks of attention, of all layers, by the offset of the key.

    Args:
        grid: of the tokens.
        extra: leading tokens without a place.
        layers: sums by offset (head, row, token), of the mean square of A and of the square of its mean (head).
    """

    grid: Grid
    extra: int = 0
    layers: dict[int, list[Tensor]] = field(default_factory=dict)

    def through(self, blocks: Blocks) -> Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]:
        """The blocks as they come, each taken into the sums: whoever asks for them next makes them only once."""
        for layer, rows, weights in blocks:
            for _, queries, inner in placed([(layer, rows, weights)], self.extra):
                self.add(layer, queries, inner)
            yield layer, rows, weights

    def add(self, layer: int, queries: slice, inner: Float[Tensor, "batch head query key"]) -> None:
        """Some queries of one layer, among tokens with a place."""
        whole = inner / inner.sum(-1, keepdim=True) if self.extra else inner
        found = sums(whole, self.grid, queries)
        held = self.layers.get(layer)
        self.layers[layer] = found if held is None else [a + b for a, b in zip(held, found, strict=True)]

    def tables(self) -> dict[str, Float[np.ndarray, "..."]]:
        """What ``attention_by_offset`` gives."""
        grid, each = self.grid, [self.layers[layer] for layer in sorted(self.layers)]
        many = grid.size // places(grid)
        kernel, every, average = (torch.stack([layer[n] for layer in each]) for n in range(3))
        kernel = kernel / many
        areas = torch.from_numpy(grid.areas.ravel() / grid.areas.sum()).to(kernel.device)
        # The key of an offset lies along the periodic axes anywhere; areas do not change along those.
        static = many * (kernel - areas).square().sum((-2, -1))
        position = (average - many * kernel.square().sum((-2, -1))).clamp(min=0)
        parts = {"static": static, "position": position, "content": (every - average).clamp(min=0)}
        total = torch.stack(list(parts.values())).sum(0)
        shares = {name: torch.where(total > 0, part / total, 0).cpu().numpy() for name, part in parts.items()}
        return {"stencil": kernel.unflatten(-1, grid.shape).cpu().numpy(), **shares}


def sums(whole: Float[Tensor, "batch head query key"], grid: Grid, queries: slice) -> list[Tensor]:
    """Of some queries, in float64: sums by offset, of the mean square of A, of the square of its mean.

    Squares are summed within a row as precisely as the weights are given: 1e-7 of the total for float32.
    """
    mean = whole.mean(0).double()
    keys, row = (each.to(whole.device) for each in offsets(grid, queries))
    aligned = mean.gather(-1, keys.expand(mean.shape[0], -1, -1))
    return [
        mean.new_zeros(mean.shape[0], places(grid), grid.size).index_add_(1, row, aligned),
        torch.linalg.vector_norm(whole, dim=-1).double().square().sum((0, 2)) / len(whole),
        mean.square().sum((1, 2)),
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
