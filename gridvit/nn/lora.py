"""Low-rank updates of the matrices of a network: few numbers train, and plain weights come out."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear

from gridvit.errors import InputError
from gridvit.nn.block import Block


class LowRank(nn.Linear):
    """y = (W + (alpha / r) B A) x + b, A (r, in) and B (out, r) trained, W and b not.

    A starts at random with variance 1 / in, B at zero, so the layer starts as the given one bit for bit. W and b keep
    their names in the state. Reference: Hu et al. (2021), arXiv:2106.09685, section 4.1.

    Args:
        given: the layer whose W and b these are.
        rank: r; 4 to 16 serve most adaptations.
        alpha: scale of the update; its learning rate, in effect.

    Raises:
        InputError: a rank at which B A is no smaller than W.
    """

    def __init__(self, given: nn.Linear, rank: int, alpha: float | int) -> None:
        inputs, outputs = given.in_features, given.out_features
        if rank * (inputs + outputs) >= inputs * outputs:
            most = (inputs * outputs - 1) // (inputs + outputs)
            raise InputError(
                f"training.start.rank of at most {most}, beyond which an update of {outputs} x {inputs} saves nothing",
                str(rank),
                "take a lower rank, or training.start.train all",
            )
        super().__init__(inputs, outputs, given.bias is not None, device="meta")  # no weights are drawn
        self.weight, self.bias = given.weight, given.bias
        self.scale = alpha / rank
        like = given.weight
        self.down = nn.Parameter(torch.randn(rank, inputs).to(like) * inputs**-0.5)
        self.up = nn.Parameter(like.new_zeros(outputs, rank))
        for fixed in (self.weight, self.bias):
            if fixed is not None:
                fixed.requires_grad_(False)

    def forward(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """W x + b, then the update, which is never formed."""
        return super().forward(x) + self.scale * linear(linear(x, self.down), self.up)

    @torch.no_grad()
    def plain(self) -> nn.Linear:
        """The layer with W + (alpha / r) B A as its weight, in the place of W."""
        made = nn.Linear(self.in_features, self.out_features, self.bias is not None, device="meta")
        made.weight = nn.Parameter(self.weight + self.scale * self.up @ self.down)
        made.bias = self.bias
        return made.train(self.training)


def adapt(blocks: list[Block], rank: int, alpha: float | int) -> None:
    """Low-rank updates of queries and keys, values, output and feed-forward matrices of these blocks, in place."""
    for block in blocks:
        for name in ("query_key", "value", "out"):
            setattr(block.attention, name, LowRank(getattr(block.attention, name), rank, alpha))
        for place in (0, 2):
            block.mlp[place] = LowRank(block.mlp[place], rank, alpha)  # type: ignore[arg-type]


def merge(network: nn.Module) -> None:
    """Put plain layers where there are low-rank updates, in place: what comes out needs none of this."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, LowRank):
                setattr(module, name, child.plain())
