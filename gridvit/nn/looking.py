"""What is seen of a network's attention, block by block of queries: no matrix of all pairs is ever held."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.nn.block import Block
from gridvit.nn.groups import blocks_by_place
from gridvit.nn.vit import ViT

Condition = Float[Tensor, "batch condition"] | None
Placed = Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]


@torch.no_grad()
def attention_by_offset(
    network: ViT, x: Float[Tensor, "batch input *space"], block: int = 256, condition: Condition = None
) -> Float[Tensor, "layer head *token"]:
    """s(D) = mean_i A[i, i + D] over tokens and states, D modulo the grid of the tokens, which is periodic."""
    shape, sums = network.patches.tokens.shape, dict[int, Tensor]()
    cells = torch.stack(torch.unravel_index(torch.arange(math.prod(shape), device=x.device), shape), -1)
    for layer, rows, weights in placed_maps(network, x, block, condition):
        keys = (cells[rows, None] + cells).remainder(torch.tensor(shape, device=x.device))
        flat = torch.zeros_like(keys[..., 0])
        for axis, size in enumerate(shape):
            flat = flat * size + keys[..., axis]
        placed = weights / weights.sum(-1, keepdim=True)
        found = placed.mean(0).gather(-1, flat.expand(placed.shape[1], -1, -1)).sum(-2)
        sums[layer] = sums[layer] + found if layer in sums else found
    return (torch.stack(list(sums.values())) / math.prod(shape)).unflatten(-1, shape)


def placed_maps(
    network: ViT, x: Float[Tensor, "batch input *space"], block: int, condition: Condition = None
) -> Placed:
    """(layer, tokens that ask, weights) without registers, in float64: rows sum to what registers leave."""
    lead = network.config.registers
    for layer, rows, weights in network.attention_maps(x, block, condition):
        inner = slice(max(rows.start - lead, 0), rows.stop - lead)
        if inner.stop > 0:
            yield layer, inner, weights[:, :, max(lead - rows.start, 0) :, lead:].double()


@torch.no_grad()
def bias_maps(
    network: ViT, share: Float[Tensor, "batch token"] | None = None, block: int = 256
) -> Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]:
    """As ``ViT.attention_maps``, of what the bias alone makes of attention: q . k = 0, softmax_j(b_ij).

    Position that enters by features of the tokens, or turns queries and keys, is in q . k.

    Args:
        network: whose biases are looked at.
        share: of each token's area that has values in each state; a batch of one where absent.
        block: queries at a time.
    """
    layers: list[Block] = list(network.blocks)  # type: ignore[arg-type]
    for layer, each in enumerate(layers):
        blocks = each.attention.bias_weights(share, block)
        for rows, weights in blocks_by_place(blocks, network.config.registers, network.groups):
            yield layer, rows, weights


@torch.no_grad()
def residual_shares(
    network: ViT, x: Float[Tensor, "batch input *space"], condition: Condition = None
) -> Float[Tensor, "batch layer token"]:
    """|x_i| / (|x_i| + |a_i|), x_i a token before a block and a_i what attention adds to it: the part that stays.

    Of all tokens, registers first; of several at a place the mean. The norms say nothing of direction: what attention
    adds may cancel what is there. Reference: the mixing ratio of Kobayashi et al. (2021), arXiv:2109.07152, which also
    counts what a token gives to itself by attention, as a rollout does of its own accord.
    """
    shares: list[Tensor] = []

    def see(block: Any, given: tuple[Any, ...], out: Tensor) -> None:
        x = block.local(given[0])
        kept, added = (h.norm(dim=-1) for h in (x, block.mixed(x, *given[1:])))
        found = kept / (kept + added)
        lead = network.config.registers
        places = found[:, lead:].unflatten(1, (-1, network.groups)).mean(2)
        shares.append(torch.cat([found[:, :lead], places], 1))

    hooks = [block.register_forward_hook(see) for block in network.blocks]
    try:
        network(x, condition=condition)
    finally:
        for hook in hooks:
            hook.remove()
    return torch.stack(shares, 1)
