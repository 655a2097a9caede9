"""What attention can be replaced by from outside: ``step(state, attention=...)``.

Each is a function ``(layer, weights) -> weights`` of weights (B, head, query, key), registers first.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Replace
from gridvit.nn.block import Block
from gridvit.nn.vit import ViT


def uniform(grid: Grid, layers: Collection[int] | None = None) -> Replace:
    """A_ij = w_j / sum w over the tokens, w their areas, 0 to registers: each query gets the mean of the values.

    A token that gets no attention of its own accord in a state, since it has no values there, gets none here either.

    Args:
        grid: of the tokens.
        layers: where; everywhere if not given.
    """
    areas = torch.from_numpy(grid.areas.ravel())

    def replaced(weights: Tensor) -> Tensor:
        blank = weights.new_zeros(weights.shape[-1] - grid.size)
        row = torch.cat([blank, areas.to(weights)]) * (weights > 0).any(-2, keepdim=True)
        return _normalised(row.expand_as(weights))

    return _within(layers, replaced)


def bias_alone(network: ViT) -> Replace:
    """softmax_j(b_ij): attention without its content, q . k = 0.

    A token that gets no attention of its own accord in a state gets none here either; the part of its area that has
    values is otherwise not looked at.

    Args:
        network: whose biases are taken.
    """

    layers: list[Block] = list(network.blocks)  # type: ignore[arg-type]

    def replaced(layer: int, weights: Tensor) -> Tensor:
        (_, alone), *_ = layers[layer].attention.bias_weights(block=weights.shape[-1])
        return _normalised(alone * (weights > 0).any(-2, keepdim=True))

    return replaced


def frozen(
    weights: Sequence[Float[Tensor, "batch head query key"]] | Float[Tensor, "layer batch head query key"],
) -> Replace:
    """The given weights of each layer, whatever the state: of another state, or of the mean of many (batch 1).

    Raises:
        InputError: fewer layers or other tokens than the network has.
    """

    def replace(layer: int, found: Tensor) -> Tensor:
        if layer >= len(weights) or weights[layer].shape[1:] != found.shape[1:]:
            got = (
                f"{len(weights)} layers" if layer >= len(weights) else f"shape {tuple(weights[layer].shape)}"
            )
            raise InputError(
                f"weights (batch, {', '.join(map(str, found.shape[1:]))}) of layer {layer}",
                got,
                "take them from the same network, registers included",
            )
        return weights[layer].to(found).expand_as(found)

    return replace


def knock_out(keys: Sequence[int] | Tensor, layers: Collection[int] | None = None) -> Replace:
    """A_ij = 0 for the keys, the rest of each row made to sum to one: what flows from these tokens is cut.

    Each still keeps what it has itself, on the way around attention.

    Args:
        keys: their numbers, registers counted.
        layers: where; everywhere if not given.

    Raises:
        InputError: a key that there is not, or every key.
    """
    out = torch.as_tensor(keys, dtype=torch.long)

    def replaced(weights: Tensor) -> Tensor:
        count = weights.shape[-1]
        if out.numel() and not (int(out.min()) >= 0 and int(out.max()) < count):
            raise InputError(f"keys from 0 to {count - 1}", f"{out.tolist()}", "correct them")
        kept = torch.ones(count, dtype=weights.dtype, device=weights.device)
        kept[out.to(weights.device)] = 0
        if not kept.any():
            raise InputError("a key that is left", "all knocked out", "leave one")
        return _normalised(torch.where(kept > 0, weights, 0))

    return _within(layers, replaced)


def _within(layers: Collection[int] | None, replaced: Callable[[Tensor], Tensor]) -> Replace:
    def replace(layer: int, weights: Tensor) -> Tensor:
        return replaced(weights) if layers is None or layer in layers else weights

    return replace


def _normalised(weights: Tensor) -> Tensor:
    """Rows that sum to one, or are zero."""
    return weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
