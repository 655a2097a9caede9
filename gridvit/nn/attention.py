"""Attention: the weights as a pure function, and the fused path that must agree with it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from gridvit.errors import InputError
from gridvit.nn.bias import AreaWeighted, Bias

Replace = Callable[
    [int, Tensor], Tensor
]  # (layer, weights (B, head, query, key)) -> weights of the same shape


def attention_weights(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    bias: Float[Tensor, "*lead head query key"],
) -> Float[Tensor, "batch head query key"]:
    """A = softmax_j(q_i . k_j / sqrt(dim) + b_ij): the reference that analysis sees; rows sum to one."""
    return torch.softmax(query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5 + bias, dim=-1)


def folded_attention(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key channel"],
    fold: tuple[Float[Tensor, "head query extra"], Float[Tensor, "*lead key extra"]],
) -> Float[Tensor, "batch head query channel"]:
    """A v without ever forming A: the bias features stand beside the content of queries and keys."""
    batch, heads = query.shape[:2]
    query = torch.cat([query * query.shape[-1] ** -0.5, fold[0].expand(batch, -1, -1, -1)], -1)
    key = torch.cat([key, fold[1].expand(batch, heads, -1, -1)], -1)
    return scaled_dot_product_attention(query, key, value, scale=1.0)


class Attention(nn.Module):
    """Multi-head self-attention whose heads keep ``bias.dims`` of their dimensions for the distance bias.

    With head dimension d, content takes ``d - bias.dims`` and the values all ``d``, so the fused kernel is the same
    as that of plain attention.
    """

    def __init__(self, width: int, heads: int, bias: Bias) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                f"a width divisible by the {heads} heads", str(width), f"try {width // heads * heads}"
            )
        self.heads, self.bias = heads, bias
        self.content = width // heads - bias.dims
        if self.content < 1:
            raise InputError(
                f"heads wider than the {bias.dims} dimensions of the distance bias",
                f"{width // heads} per head",
                "raise model.width, or lower model.heads or model.harmonics",
            )
        self.query_key = nn.Linear(width, 2 * heads * self.content)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        layer: int = 0,
        replace: Replace | None = None,
        share: Float[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """Mixed tokens; with ``replace`` the explicit weights pass through ``replace(layer, weights)`` first.

        ``share`` is the part of each token's area that has values, where the bias weighs areas; all where absent.
        """
        batch, tokens, width = x.shape
        # (B, N, 2 h c) -> 2 x (B, h, N, c)
        query, key = self.query_key(x).view(batch, tokens, 2, self.heads, self.content).permute(2, 0, 3, 1, 4)
        value = self.value(x).view(batch, tokens, self.heads, -1).transpose(1, 2)  # (B, h, N, d)
        known = (share,) if isinstance(self.bias, AreaWeighted) else ()
        if replace is None:
            mixed = folded_attention(query, key, value, self.bias.fold(*known))
        else:
            mixed = replace(layer, attention_weights(query, key, self.bias.logits(*known))) @ value
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))
