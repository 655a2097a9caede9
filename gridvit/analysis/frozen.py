"""Attention without its content: the mean stencil of a head in the place of what it sees in a state."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.analysis.looking import Areas, Blocks, placed
from gridvit.analysis.offsets import offsets, places
from gridvit.analysis.pairs import Pairs
from gridvit.grid import Grid

Kernel = Float[Tensor, "head place key"]


@dataclass(frozen=True, eq=False)
class MeanStencil:
    """``(layer, weights) -> weights``: ``s_h(D)``, the mean over states and over all shifts along the periodic axes.

    On a torus of tokens that is the attention stencil, on a globe the zonal one of each latitude. Keys that get no
    attention in a state get none here either, and what goes to tokens without a place stays as it is; rows are made to
    sum to one again.

    Args:
        kernels: of each layer, by the query's place along the axes that are not periodic and by its offset.
        grid: of the tokens.
        extra: leading tokens without a place.
    """

    kernels: dict[int, Kernel]
    grid: Grid
    extra: int = 0

    @classmethod
    def of(
        cls,
        blocks: Blocks,
        grid: Grid,
        areas: Areas,
        extra: int = 0,
    ) -> MeanStencil:
        """That of weights which come block by block; ``areas`` as for ``attention_by_blocks``."""
        sums: dict[int, Tensor] = {}
        share = torch.zeros(places(grid), dtype=torch.float64)
        for layer, queries, weights in placed(blocks, extra):
            whole = weights.detach().double().cpu()
            here = torch.from_numpy(areas[:, queries]).expand(len(whole), -1)
            means = torch.einsum("bhqk,bq->hqk", whole / whole.sum(-1, keepdim=True), here)
            keys, place = offsets(grid, queries)
            aligned = means.gather(-1, keys.expand(len(means), -1, -1))
            if layer not in sums:
                sums[layer] = torch.zeros(len(means), places(grid), grid.size, dtype=torch.float64)
            sums[layer].index_add_(1, place, aligned)
            if layer == 0:
                share.index_add_(0, place, here.sum(0))
        return cls({n: (s / share[:, None].clamp(min=1e-30)).float() for n, s in sums.items()}, grid, extra)

    def __call__(self, layer: int, weights: Float[Tensor, "batch head query key"]) -> Tensor:
        """Attention in the place of ``weights``."""
        kernel = self.kernels[layer].to(weights)
        whole = weights.new_empty(weights.shape[1], *2 * (self.grid.size,))
        for start in range(0, self.grid.size, 256):
            rows = slice(start, min(start + 256, self.grid.size))
            back, place = offsets(self.grid, rows, -1)
            back = back.to(weights.device)
            whole[:, rows] = kernel[:, place].gather(-1, back.expand(len(kernel), -1, -1))
        return put(weights, whole, self.extra)


@dataclass(frozen=True, eq=False)
class RadialMean:
    """``(layer, weights) -> weights``: ``A_ij ~ g_h(d_ij) w_j``, the radial profile of a head and nothing else of it.

    Args:
        lift: ``g`` of each layer and head in each bin of distance; 0 where there is none.
        pairs: of the tokens, with the bins of ``lift``.
        extra: leading tokens without a place.
    """

    lift: Float[np.ndarray, "layer head bin"]
    pairs: Pairs
    extra: int = 0

    def __call__(self, layer: int, weights: Float[Tensor, "batch head query key"]) -> Tensor:
        """Attention in the place of ``weights``."""
        grid, edges = self.pairs.grid, self.pairs.edges
        bins = np.clip(np.searchsorted(edges, grid.distances(), side="right") - 1, 0, len(edges) - 2)
        profile = np.nan_to_num(self.lift[layer])[:, bins] * grid.areas.ravel()
        return put(weights, torch.from_numpy(profile).to(weights), self.extra)


def put(
    weights: Float[Tensor, "batch head query key"], placed: Float[Tensor, "head token token"], extra: int
) -> Float[Tensor, "batch head query key"]:
    """``placed`` as the attention between tokens with a place, each row with the mass that it has in ``weights``."""
    inner = weights[:, :, extra:, extra:]
    seen = (inner > 0).any(-2, keepdim=True)
    rows = placed * seen
    rows = rows / rows.sum(-1, keepdim=True).clamp(min=torch.finfo(rows.dtype).tiny)
    if not extra:
        return rows
    rows = rows * inner.sum(-1, keepdim=True)
    lower = torch.cat([weights[:, :, extra:, :extra], rows], -1)
    return torch.cat([weights[:, :, :extra], lower], 2)
