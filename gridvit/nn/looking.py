"""Where a network's attention looks, summed over blocks of queries: no matrix of all pairs is ever held."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gridvit.grid import Grid
from gridvit.nn.hidden import present_areas
from gridvit.nn.vit import ViT

Condition = Float[Tensor, "batch condition"] | None
Placed = Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]


@torch.no_grad()
def attention_statistics(
    network: ViT,
    x: Float[Tensor, "batch input *space"],
    bins: int = 20,
    block: int = 256,
    condition: Condition = None,
) -> dict[str, Float[Tensor, "..."]]:
    """Mean distance, effective area and radial lift of each head, in memory linear in the tokens.

    ``distance`` is D = sum_i w_i sum_j A_ij d_ij, ``rms`` the root of the same mean of d^2, ``uniform`` and
    ``uniform_rms`` those of A_ij = w_j, ``area`` the mean of exp(-KL(A_i || w)), the fraction of the area that is
    attended, ``dropped`` the attention to registers, which the others leave out, and ``lift (layer, head, bin)`` is
    sum_i w_i sum_(j in bin) A_ij over the same of w_j, 1 where attention is uniform, NaN in a bin without pairs. w are
    the areas of the tokens, of sum one, or of what a state has of them; states count evenly.

    Args:
        network: whose heads are looked at.
        x: normalised inputs of the network.
        bins: equal bins up to the largest distance.
        block: queries at a time.
        condition: what the network is told beside the inputs.

    Returns:
        Of shape (layer, head), in float64; distances in ``grid.distance_units`` of the tokens. ``edges (bin + 1)`` are
        those of the bins.
    """
    tokens, sums = network.patches.tokens, dict[int, list[Tensor]]()
    edges = torch.from_numpy(np.linspace(0.0, farthest(tokens, block), bins + 1)).to(x.device)
    areas = present_areas(tokens, network.share(x)).to(x.device)
    base = torch.zeros(bins + 2, dtype=torch.float64, device=x.device)
    for layer, rows, weights in placed_maps(network, x, block, condition):
        distances = torch.from_numpy(tokens.distances(rows=rows)).to(x.device)
        # A lower edge is in its bin, and the last one in the last.
        number = torch.bucketize(distances, edges[1:-1], right=True)
        if layer == 0:
            pairs = (areas[:, rows, None] * areas[:, None]).mean(0)
            moments = [(pairs * distances).sum(), (pairs * distances.square()).sum()]
            base += torch.cat([binned(pairs, number, bins), torch.stack(moments)])
        found = block_sums(weights, distances, areas, rows, number, bins)
        sums[layer] = [a + b for a, b in zip(sums[layer], found, strict=True)] if layer in sums else found
    distance, square, area, mass, lift = (torch.stack(parts) for parts in zip(*sums.values(), strict=True))
    pairs, uniform, uniform_square = base[:-2], base[-2], base[-1]
    return {
        "distance": distance,
        "rms": square.sqrt(),
        "uniform": uniform.expand_as(distance),
        "uniform_rms": uniform_square.sqrt().expand_as(distance),
        "area": area,
        "dropped": 1 - mass if network.config.registers else torch.zeros_like(mass),
        "lift": torch.where(pairs > 0, lift / pairs, torch.nan),
        "edges": edges,
    }


@torch.no_grad()
def attention_by_offset(
    network: ViT, x: Float[Tensor, "batch input *space"], block: int = 256, condition: Condition = None
) -> dict[str, Float[Tensor, "..."]]:
    """s(D), the mean of A over states and over queries that a shift along the periodic axes takes to each other.

    With b the mean over states, A - w = (s - w) + (b - s) + (A - b) are orthogonal, w the areas: their mean squares as
    shares of the total are ``static``, ``position`` and ``content``, all 0 where A = w.

    Returns:
        ``stencil (layer, head, row, *token)``: D modulo the grid along periodic axes, the key's own place along the
        others, a row for each place of a query along those (one where all are periodic); the shares (layer, head).
    """
    tokens = network.patches.tokens
    rows = math.prod(n for n, wraps in zip(tokens.shape, tokens.periodic, strict=True) if not wraps)
    many = tokens.size // rows
    sums: dict[int, list[Tensor]] = {}
    for layer, queries, weights in placed_maps(network, x, block, condition):
        # What registers leave of a row is made a whole; without them rows are whole.
        placed = weights / weights.sum(-1, keepdim=True) if network.config.registers else weights
        mean = placed.mean(0)
        keys, row = shifted_keys(tokens, queries, x.device)
        aligned = mean.gather(-1, keys.expand(mean.shape[0], -1, -1))
        kernel = mean.new_zeros(mean.shape[0], rows, tokens.size).index_add_(1, row, aligned)
        found = [
            kernel,
            torch.linalg.vector_norm(placed, dim=(0, 2, 3)).square() / len(placed),
            torch.linalg.vector_norm(mean, dim=(1, 2)).square(),
        ]
        sums[layer] = (
            [one + two for one, two in zip(sums[layer], found, strict=True)] if layer in sums else found
        )
    kernel, every, average = (torch.stack(parts) for parts in zip(*sums.values(), strict=True))
    kernel = kernel / many
    areas = torch.from_numpy(tokens.areas.ravel() / tokens.areas.sum()).to(x.device)
    # The key of an offset lies along the periodic axes anywhere; areas do not change along those.
    static = many * (kernel - areas).square().sum((-2, -1))
    position = (average - many * kernel.square().sum((-2, -1))).clamp(min=0)
    parts = {"static": static, "position": position, "content": (every - average).clamp(min=0)}
    total = torch.stack(list(parts.values())).sum(0)
    shares = {name: torch.where(total > 0, part / total, 0) for name, part in parts.items()}
    return {"stencil": kernel.unflatten(-1, tokens.shape), **shares}


def shifted_keys(
    tokens: Grid, queries: slice, device: torch.device
) -> tuple[Int[Tensor, "query key"], Int[Tensor, "query"]]:
    """The keys of some queries in the order of their offset along periodic axes; each query's row along the others."""
    shape = tokens.shape
    cells = torch.stack(torch.unravel_index(torch.arange(tokens.size, device=device), shape), -1)
    asking = cells[queries]
    flat = torch.zeros(len(asking), tokens.size, dtype=torch.int64, device=device)
    row = torch.zeros(len(asking), dtype=torch.int64, device=device)
    for axis, (size, wraps) in enumerate(zip(shape, tokens.periodic, strict=True)):
        here = asking[:, axis, None] * int(wraps) + cells[:, axis]
        flat = flat * size + here.remainder(size)
        row = row if wraps else row * size + asking[:, axis]
    return flat, row


@torch.no_grad()
def attention_from(
    network: ViT,
    x: Float[Tensor, "batch input *space"],
    places: Int[np.ndarray, "place"],
    block: int = 256,
    condition: Condition = None,
) -> Float[Tensor, "layer head place key"]:
    """A_ij / w_j of the tokens i in ``places``, averaged over states: 1 where attention is uniform.

    w are the areas of the tokens, of sum one, or of what a state has of them; without registers, as for
    ``attention_statistics``. NaN at tokens j that no state has values at.

    Args:
        network: whose heads are looked at.
        x: normalised inputs of the network.
        places: flat numbers of tokens, ascending.
        block: queries at a time.
        condition: what the network is told beside the inputs.
    """
    areas = present_areas(network.patches.tokens, network.share(x)).mean(0).to(x.device)
    found = dict[int, list[Tensor]]()
    for layer, rows, weights in placed_maps(network, x, block, condition):
        here = places[(places >= rows.start) & (places < rows.stop)] - rows.start
        chosen = weights[:, :, torch.from_numpy(here)]
        found.setdefault(layer, []).append((chosen / chosen.sum(-1, keepdim=True)).mean(0))
    maps = torch.stack([torch.cat(parts, 1) for parts in found.values()])
    return maps / torch.where(areas > 0, areas, torch.nan)


def placed_maps(
    network: ViT, x: Float[Tensor, "batch input *space"], block: int, condition: Condition = None
) -> Placed:
    """(layer, tokens that ask, weights) without registers, in float64: rows sum to what registers leave."""
    lead = network.config.registers
    for layer, rows, weights in network.attention_maps(x, block, condition):
        inner = slice(max(rows.start - lead, 0), rows.stop - lead)
        if inner.stop > 0:
            yield layer, inner, weights[:, :, max(lead - rows.start, 0) :, lead:].double()


def block_sums(
    weights: Float[Tensor, "batch head query key"],
    distances: Float[Tensor, "query key"],
    areas: Float[Tensor, "_batch key"],
    rows: slice,
    number: Int[Tensor, "query key"],
    bins: int,
) -> list[Tensor]:
    """The share of a block of queries in each statistic, (head) or (head, bin), averaged over states."""
    mass = weights.sum(-1)
    weights = weights / mass[..., None]
    here, logs = areas[:, None, rows], torch.where(areas > 0, areas, 1).log()
    divergence = (torch.xlogy(weights, weights) - weights * logs[:, None, None]).sum(-1)
    per_query = [
        (weights * distances).sum(-1),
        (weights * distances.square()).sum(-1),
        torch.exp(-divergence),
        mass,
    ]
    means = [(value * here).sum(-1).mean(0) for value in per_query]
    rows_of_heads = (weights * here[..., None]).mean(0)
    return [*means, torch.stack([binned(head, number, bins) for head in rows_of_heads])]


def binned(
    values: Float[Tensor, "query key"], number: Int[Tensor, "query key"], bins: int
) -> Float[Tensor, "bin"]:
    """Sums of the values in each bin."""
    return torch.zeros(bins, dtype=values.dtype, device=values.device).index_add_(
        0, number.flatten(), values.flatten()
    )


def farthest(grid: Grid, block: int) -> float:
    """The largest distance between two tokens."""
    return max(
        float(grid.distances(rows=slice(start, start + block)).max()) for start in range(0, grid.size, block)
    )
