"""Attention: the weights as a pure function, and the fused paths that must agree with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from gridvit.errors import InputError
from gridvit.nn.bias import AreaWeighted, Bias, Fold
from gridvit.nn.bias.base import EVERY, Rows
from gridvit.nn.bias.groups import Grouped
from gridvit.nn.bias.precision import split
from gridvit.nn.window import Window

Replace = Callable[
    [int, Tensor], Tensor
]  # (layer, weights (B, head, query, key)) -> weights of the same shape
Share = Float[Tensor, "batch placed"] | None


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
    window: Window | None = None,
) -> Float[Tensor, "batch head query channel"]:
    """A v without ever forming A: the bias features stand beside the content of queries and keys.

    In half precision the features are sums of two numbers each (``precision.split``), which takes dimensions beyond
    those reserved.
    """
    batch, heads = query.shape[:2]
    if query.dtype in (torch.bfloat16, torch.float16):
        fold = split(fold, query.dtype)
    query = torch.cat([query * query.shape[-1] ** -0.5, fold[0].expand(batch, -1, -1, -1)], -1)
    key = torch.cat([key, fold[1].expand(batch, heads, -1, -1)], -1)
    if window is None:
        return scaled_dot_product_attention(query, key, value, scale=1.0)
    blocks = zip(*window.gathered(query, key, value), window.near_blocks(), strict=True)
    parts = [scaled_dot_product_attention(q, k, v, near, scale=1.0) for q, k, v, near in blocks]
    return torch.cat(parts, 2).index_select(2, window.order)


def masked_attention(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key channel"],
    logits: Callable[[Rows], Tensor],
    window: Window | None = None,
) -> Float[Tensor, "batch head query channel"]:
    """A v with ``logits(rows)`` as a mask: for the biases that do not fold. Quadratic in memory without a window."""
    if window is None:
        return scaled_dot_product_attention(query, key, value, logits(EVERY).to(query))
    numbers = zip(*window.numbers(), window.near_blocks(), strict=True)
    masks = (logits(rows)[..., keys].masked_fill(~near, -torch.inf).to(query) for rows, keys, near in numbers)
    blocks = zip(*window.gathered(query, key, value), masks, strict=True)
    parts = [scaled_dot_product_attention(q, k, v, mask) for q, k, v, mask in blocks]
    return torch.cat(parts, 2).index_select(2, window.order)


class Attention(nn.Module):
    """Multi-head self-attention whose heads keep ``bias.dims`` of their dimensions for the distance bias.

    With head dimension d, content takes ``d - bias.dims`` and the values all ``d``, so the fused kernel is the same
    as that of plain attention.

    Args:
        width: channels of a token.
        heads: that divide it.
        bias: of the logits.
        window: the keys in reach of each query; all where absent.
        qk_norm: normalise queries and keys of each head (layer norm with a learned scale), which bounds the logits
            (Dehghani et al. 2023, arXiv:2302.05442).
    """

    def __init__(
        self, width: int, heads: int, bias: Bias, window: Window | None = None, qk_norm: bool = False
    ) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                f"a width divisible by the {heads} heads", str(width), f"try {width // heads * heads}"
            )
        self.heads, self.bias, self.window = heads, bias, window
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
        self.norms = nn.ModuleList(nn.LayerNorm(self.content) for _ in range(2)) if qk_norm else None

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        layer: int = 0,
        replace: Replace | None = None,
        share: Share = None,
    ) -> Float[Tensor, "batch token width"]:
        """Mixed tokens; with ``replace`` the explicit weights pass through ``replace(layer, weights)`` first.

        ``share`` is the part of each token's area that has values, where the bias weighs areas; all where absent.
        """
        batch, tokens, width = x.shape
        query, key = self._query_key(x)
        value = self.value(x).view(batch, tokens, self.heads, -1).transpose(1, 2)  # (B, h, N, d)
        if replace is not None:
            mixed = replace(layer, attention_weights(query, key, self._logits(EVERY, share))) @ value
        elif (fold := self._fold(share)) is not None:
            mixed = folded_attention(query, key, value, fold, self.window)
        else:
            mixed = masked_attention(query, key, value, lambda rows: self._bias(rows, share), self.window)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))

    def weights(
        self, x: Float[Tensor, "batch token width"], share: Share = None, block: int = 256
    ) -> Iterator[tuple[slice, Float[Tensor, "batch head query key"]]]:
        """A of ``block`` queries at a time, with which they are: together the explicit weights, never all at once."""
        query, key = self._query_key(x)
        for start in range(0, x.shape[1], block):
            rows = slice(start, min(start + block, x.shape[1]))
            yield rows, attention_weights(query[:, :, rows], key, self._logits(rows, share))

    def _query_key(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 2 h c) -> 2 x (B, h, N, c)."""
        split = self.query_key(x).view(*x.shape[:2], 2, self.heads, self.content).permute(2, 0, 3, 1, 4)
        query, key = split.unbind(0)
        return (query, key) if self.norms is None else (self.norms[0](query), self.norms[1](key))

    def _fold(self, share: Share) -> Fold | None:
        return self.bias.fold(share) if isinstance(self.bias, AreaWeighted | Grouped) else self.bias.fold()

    def _bias(self, rows: Rows, share: Share) -> Tensor:
        bias = self.bias
        return bias.logits(rows, share) if isinstance(bias, AreaWeighted | Grouped) else bias.logits(rows)

    def _logits(self, rows: slice, share: Share) -> Tensor:
        """The bias, and minus infinity beyond the window."""
        logits = self._bias(rows, share)
        if self.window is None:
            return logits
        numbers = torch.arange(logits.shape[-1], device=logits.device)[rows]
        return logits.masked_fill(~self.window.near(numbers), -torch.inf)
