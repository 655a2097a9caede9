"""The transformer block."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.nn.attention import Attention, Replace
from gridvit.nn.bias import Bias
from gridvit.nn.conditioning import UNTOLD, Branches, gated, scaled
from gridvit.nn.rotary import Rotary
from gridvit.nn.window import Window


class Gain(nn.Module):
    """g x, g learned per channel from a common start."""

    def __init__(self, width: int, start: float | int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.full((width,), float(start)))

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        """Of the same shape."""
        return self.gain * x


class Block(nn.Module):
    """x + g_1 attention(norm x), then x + g_2 mlp(norm x): the pre-norm transformer block (Xiong et al. 2020).

    Post-norm is norm(x + g_1 attention(x)) and so on (Vaswani et al. 2017). ``g`` are one, or learned per channel from
    a small start (LayerScale, Touvron et al. 2021, arXiv:2103.17239). ``local`` comes before both.
    """

    def __init__(
        self,
        config: ModelConfig,
        bias: Bias,
        window: Window | None = None,
        rotary: Callable[[int], Rotary] | None = None,
        local: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.local = nn.Identity() if local is None else local
        width, hidden = config.width, config.mlp_ratio * config.width
        self.post = config.norm == "post"
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, config.heads, bias, window, config.qk_norm, config.half, rotary)
        self.mlp = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))
        self.gain_1, self.gain_2 = (
            Gain(width, config.layer_scale) if config.layer_scale else nn.Identity() for _ in range(2)
        )

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        layer: int = 0,
        replace: Replace | None = None,
        share: Float[Tensor, "batch placed"] | None = None,
        told: Branches = UNTOLD,
    ) -> Float[Tensor, "batch token width"]:
        """Tokens of the same shape; ``told`` is what the two branches are conditioned on."""
        x = self.local(x)
        x = x + self.mixed(x, layer, replace, share, told)
        if self.post:
            x = self.norm_1(x)
            return self.norm_2(x + gated(self.gain_2(self.mlp(scaled(x, told[1]))), told[1]))
        return x + gated(self.gain_2(self.mlp(scaled(self.norm_2(x), told[1]))), told[1])

    def mixed(
        self,
        x: Float[Tensor, "batch token width"],
        layer: int = 0,
        replace: Replace | None = None,
        share: Float[Tensor, "batch placed"] | None = None,
        told: Branches = UNTOLD,
    ) -> Float[Tensor, "batch token width"]:
        """What attention adds to tokens that have seen those nearby, if the block has a convolution of these."""
        mixed = self.attention(self._normed(x, told), layer, replace, share)
        return gated(self.gain_1(mixed), told[0])

    def attended(
        self, x: Float[Tensor, "batch token width"], told: Branches = UNTOLD
    ) -> Float[Tensor, "batch token width"]:
        """What attention is given of the tokens that the block is given."""
        return self._normed(self.local(x), told)

    def _normed(self, x: Tensor, told: Branches) -> Tensor:
        return scaled(x if self.post else self.norm_1(x), told[0])
