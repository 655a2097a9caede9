"""Where a network's attention looks, summed over blocks of queries: no matrix of all pairs is ever held."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.grid import Grid
from gridvit.nn.hidden import present_areas
from gridvit.nn.vit import ViT


@torch.no_grad()
def attention_statistics(
    network: ViT, x: Float[Tensor, "batch input *space"], bins: int = 20, block: int = 256
) -> dict[str, Float[Tensor, "layer head *bin"]]:
    """Mean distance, effective area and radial lift of each head, in memory linear in the tokens.

    ``distance`` is D = sum_i w_i sum_j A_ij d_ij, ``rms`` the root of the same mean of d^2, ``area`` the mean of
    exp(-KL(A_i || w)), the fraction of the area that is attended, ``dropped`` the attention to registers, which the
    others leave out, and ``lift (layer, head, bin)`` is sum_i w_i sum_(j in bin) A_ij over the same of w_j, 1 where
    attention is uniform, NaN in a bin without pairs. w are the areas of the tokens, of sum one, or of what a state has
    of them; states count evenly.

    Args:
        network: whose heads are looked at.
        x: normalised inputs of the network.
        bins: equal bins up to the largest distance.
        block: queries at a time.

    Returns:
        Of shape (layer, head), in float64; distances in ``grid.distance_units`` of the tokens.
    """
    tokens, lead = network.patches.tokens, network.config.registers
    far = farthest(tokens, block)
    areas = present_areas(tokens, network.share(x)).to(x.device)
    sums: dict[int, list[Tensor]] = {}
    base = torch.zeros(bins, dtype=torch.float64, device=x.device)
    for layer, rows, weights in network.attention_maps(x, block):
        inner = slice(max(rows.start - lead, 0), rows.stop - lead)
        placed = weights[:, :, max(lead - rows.start, 0) :, lead:].double()
        if inner.stop <= 0:
            continue
        distances = torch.from_numpy(tokens.distances(rows=inner)).to(x.device)
        found = block_sums(placed, distances, areas, inner, far, bins)
        if layer == 0:
            base += binned((areas[:, inner, None] * areas[:, None]).mean(0), distances, far, bins)
        sums[layer] = [a + b for a, b in zip(sums[layer], found, strict=True)] if layer in sums else found
    distance, square, area, mass, lift = (torch.stack(parts) for parts in zip(*sums.values(), strict=True))
    return {
        "distance": distance,
        "rms": square.sqrt(),
        "area": area,
        "dropped": 1 - mass,
        "lift": torch.where(base > 0, lift / base, torch.nan),
    }


def block_sums(
    weights: Float[Tensor, "batch head query key"],
    distances: Float[Tensor, "query key"],
    areas: Float[Tensor, "_batch key"],
    rows: slice,
    far: float,
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
    return [*means, torch.stack([binned(head, distances, far, bins) for head in rows_of_heads])]


def binned(
    values: Float[Tensor, "query key"], distances: Float[Tensor, "query key"], far: float, bins: int
) -> Float[Tensor, "bin"]:
    """Sums of the values whose distance falls in each of equal bins up to ``far``, which is in the last."""
    number = (distances * (bins / far)).long().clamp(max=bins - 1)
    return torch.zeros(bins, dtype=values.dtype, device=values.device).index_add_(
        0, number.flatten(), values.flatten()
    )


def farthest(grid: Grid, block: int) -> float:
    """The largest distance between two tokens."""
    return max(
        float(grid.distances(rows=slice(start, start + block)).max()) for start in range(0, grid.size, block)
    )
