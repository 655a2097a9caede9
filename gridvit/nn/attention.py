"""Attention: the weights as a pure function, and the fused paths that must agree with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from gridvit.errors import InputError
from gridvit.nn.bias import AreaWeighted, Bias, Fold
from gridvit.nn.bias.base import EVERY, Rows
from gridvit.nn.bias.groups import Grouped
from gridvit.nn.bias.precision import COPIES, HALF, computed_in, exact, refuse_rounded, split
from gridvit.nn.rotary import Rotary
from gridvit.nn.window import Window

Replace = Callable[
    [int, Tensor], Tensor
]  # (layer, weights (B, head, query, key)) -> weights of the same shape
Share = Float[Tensor, "batch placed"] | None
TILE = 8  # half-precision kernels take widths that are multiples of it


def attention_weights(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    bias: Float[Tensor, "*lead head query key"],
) -> Float[Tensor, "batch head query key"]:
    """A = softmax_j(q_i . k_j / sqrt(dim) + b_ij): the reference that analysis sees; rows sum to one."""
    logits = query * query.shape[-1] ** -0.5 @ key.transpose(-1, -2)
    logits += bias  # in place: no second matrix of all pairs
    return torch.softmax(logits, dim=-1)


def folded_attention(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key channel"],
    fold: tuple[Float[Tensor, "head query extra"], Float[Tensor, "*lead key extra"]],
    window: Window | None = None,
    parts: int = 2,
) -> Float[Tensor, "batch head query channel"]:
    """A v without ever forming A: the bias features stand beside the content of queries and keys.

    In half precision, of the tensors or by autocast, a feature is the sum of ``parts`` numbers (``precision.split``).
    Queries, keys and values are filled up with zeros to one width, which flash kernels ask for.
    """
    (batch, heads), dtype, channels = query.shape[:2], computed_in(query), value.shape[-1]
    if dtype in HALF:
        fold = split(fold, dtype, parts)
    width = max(query.shape[-1] + fold[0].shape[-1], channels)
    width = -(-width // TILE) * TILE if dtype in HALF else width
    query = widened(width, dtype, query * query.shape[-1] ** -0.5, fold[0].expand(batch, -1, -1, -1))
    key = widened(width, dtype, key, fold[1].expand(batch, heads, -1, -1))
    value = widened(width, dtype, value)
    if window is None:
        return scaled_dot_product_attention(query, key, value, scale=1.0)[..., :channels]
    blocks = zip(*window.gathered(query, key, value), window.near_blocks(), strict=True)
    mixed = [scaled_dot_product_attention(q, k, v, near, scale=1.0) for q, k, v, near in blocks]
    return torch.cat(mixed, 2).index_select(2, window.order)[..., :channels]


def widened(width: int, dtype: torch.dtype, *parts: Tensor) -> Tensor:
    """``parts (..., dim)`` beside each other, then zeros, ``width`` in all; cast here and not by autocast."""
    lack = width - sum(part.shape[-1] for part in parts)
    zeros = parts[0].new_zeros(()).expand(*parts[0].shape[:-1], lack)
    filled = [part.to(dtype) for part in (*parts, zeros) if part.shape[-1]]
    return filled[0] if len(filled) == 1 else torch.cat(filled, -1)


def masked_attention(
    query: Float[Tensor, "batch head query dim"],
    key: Float[Tensor, "batch head key dim"],
    value: Float[Tensor, "batch head key channel"],
    logits: Callable[[Rows], Tensor],
    window: Window | None = None,
) -> Float[Tensor, "batch head query channel"]:
    """A v with ``logits(rows)`` as a mask: for the biases that do not fold. Quadratic in memory without a window.

    In float32 at least: a mask in half precision would round the logits.
    """
    with exact(query):
        q, k, v = (x.float() if x.dtype in HALF else x for x in (query, key, value))
        return _masked(q, k, v, lambda rows: refuse_rounded(logits(rows)).to(q), window).to(value.dtype)


def _masked(
    query: Tensor, key: Tensor, value: Tensor, logits: Callable[[Rows], Tensor], window: Window | None
) -> Tensor:
    if window is None:
        return scaled_dot_product_attention(query, key, value, logits(EVERY))
    numbers = zip(*window.numbers(), window.near_blocks(), strict=True)
    masks = (logits(rows)[..., keys].masked_fill(~near, -torch.inf) for rows, keys, near in numbers)
    blocks = zip(*window.gathered(query, key, value), masks, strict=True)
    parts = [scaled_dot_product_attention(q, k, v, mask) for q, k, v, mask in blocks]
    return torch.cat(parts, 2).index_select(2, window.order)


@dataclass(frozen=True, eq=False)
class Fixed:
    """``(layer, weights) -> weights`` that are the same in every state: made once for all, and no content beside them.

    Args:
        replace: what looks at nothing of the weights but which keys get any; here all do.
    """

    replace: Replace

    def __call__(self, layer: int, weights: Tensor) -> Tensor:
        """As ``replace`` itself."""
        return self.replace(layer, weights)

    def of(
        self, layer: int, value: Float[Tensor, "batch head key channel"]
    ) -> Float[Tensor, "head query key"]:
        """The weights of a layer, of these values in any state."""
        heads, keys = value.shape[1:3]
        return self.replace(layer, value.new_full((), 1 / keys).expand(1, heads, keys, keys))[0]


class Attention(nn.Module):
    """Multi-head self-attention whose heads keep ``bias.dims`` of their dimensions for the distance bias.

    With head dimension d, content takes ``d - bias.dims`` and the values all ``d``, so the fused kernel is the same
    as that of plain attention. Half precision needs three dimensions for each of the bias, or six: they are
    kept with ``half``, otherwise attention in half precision is wider than ``d``.

    Args:
        width: channels of a token.
        heads: that divide it.
        bias: of the logits.
        window: the keys in reach of each query; all where absent.
        qk_norm: normalise queries and keys of each head (layer norm with a learned scale), which bounds the logits
            (Dehghani et al. 2023, arXiv:2302.05442).
        half: numbers that a feature of the bias is a sum of in half precision, 2 or 3; 0 keeps no dimensions for it.
        rotary: makes what turns the content of queries and keys by their place, from its dimensions.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        bias: Bias,
        window: Window | None = None,
        qk_norm: bool = False,
        half: int = 0,
        rotary: Callable[[int], Rotary] | None = None,
    ) -> None:
        super().__init__()
        if width % heads:
            raise InputError(
                f"a width divisible by the {heads} heads", str(width), f"try {width // heads * heads}"
            )
        self.heads, self.bias, self.window = heads, bias, window
        self.parts, reserved = half or 2, bias.dims * COPIES[half]
        self.content = width // heads - reserved
        if self.content < 1:
            raise InputError(
                f"heads wider than the {reserved} dimensions of the distance bias",
                f"{width // heads} per head",
                "raise model.width, or lower model.heads, model.harmonics or model.spectral",
            )
        self.query_key = nn.Linear(width, 2 * heads * self.content)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(self.content) for _ in range(2)) if qk_norm else None
        self.rotary = rotary(self.content) if rotary else None

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
        if isinstance(replace, Fixed):
            mixed = torch.einsum("hqk,bhkd->bhqd", replace.of(layer, value), value)
        elif replace is not None:
            mixed = replace(layer, attention_weights(query, key, self._logits(EVERY, share))) @ value
        else:
            mixed = self._mixed(query, key, value, share)
        return self.out(mixed.transpose(1, 2).reshape(batch, tokens, width))

    def _mixed(self, query: Tensor, key: Tensor, value: Tensor, share: Share) -> Tensor:
        """A v on the fast path."""
        if (fold := self._fold(share)) is not None:
            return folded_attention(query, key, value, fold, self.window, self.parts)
        return masked_attention(query, key, value, lambda rows: self._bias(rows, share), self.window)

    def average(
        self,
        x: Float[Tensor, "batch token width"],
        values: Float[Tensor, "token channel"],
        share: Share = None,
    ) -> Float[Tensor, "batch head token channel"]:
        """A v of the weights that ``x`` makes and of values that stand fast, in float32 also under autocast."""
        with exact(x):
            query, key = self._query_key(x.float() if x.dtype in HALF else x)
            return self._mixed(query, key, values.to(query).expand(len(x), self.heads, -1, -1), share)

    def weights(
        self, x: Float[Tensor, "batch token width"], share: Share = None, block: int = 256
    ) -> Iterator[tuple[slice, Float[Tensor, "batch head query key"]]]:
        """A of ``block`` queries at a time, with which they are: together the explicit weights, never all at once."""
        query, key = self._query_key(x)
        key = key.mT.contiguous().mT  # as products of few queries take it: twice as fast
        for start in range(0, x.shape[1], block):
            rows = slice(start, min(start + block, x.shape[1]))
            yield rows, attention_weights(query[:, :, rows], key, self._logits(rows, share))

    def bias_weights(
        self, share: Share = None, block: int = 256
    ) -> Iterator[tuple[slice, Float[Tensor, "batch head query key"]]]:
        """softmax_j(b_ij), as ``weights`` gives A: where the bias alone looks; of one state without ``share``."""
        total = self._logits(slice(0, 1), share).shape[-1]
        for start in range(0, total, block):
            rows = slice(start, min(start + block, total))
            weights = torch.softmax(self._logits(rows, share), -1)
            yield rows, weights if weights.ndim == 4 else weights[None]

    def _query_key(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, 2 h c) -> 2 x (B, h, N, c)."""
        split = self.query_key(x).view(*x.shape[:2], 2, self.heads, self.content).permute(2, 0, 3, 1, 4)
        query, key = split.unbind(0)
        if self.norms is not None:
            query, key = self.norms[0](query), self.norms[1](key)
        return (query, key) if self.rotary is None else (self.rotary(query), self.rotary(key))

    def _fold(self, share: Share) -> Fold | None:
        bias = self.bias
        with exact(self.out.weight):
            return bias.fold(share) if isinstance(bias, AreaWeighted | Grouped) else bias.fold()

    def _bias(self, rows: Rows, share: Share) -> Tensor:
        bias = self.bias
        with exact(self.out.weight):
            return bias.logits(rows, share) if isinstance(bias, AreaWeighted | Grouped) else bias.logits(rows)

    def _logits(self, rows: slice, share: Share) -> Tensor:
        """The bias, and minus infinity beyond the window."""
        logits = self._bias(rows, share)
        if self.window is None:
            return logits
        numbers = torch.arange(logits.shape[-1], device=logits.device)[rows]
        return logits.masked_fill(~self.window.near(numbers), -torch.inf)
