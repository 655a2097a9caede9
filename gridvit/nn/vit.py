"""The Vision Transformer on grid patches: normalised fields in, normalised increments out."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Attention, Replace
from gridvit.nn.bias import Bias, make_bias
from gridvit.nn.position import bounded_features
from gridvit.nn.tokens import Patches


class Block(nn.Module):
    """x + attention(norm x), then x + mlp(norm x): the pre-norm transformer block (Xiong et al. 2020)."""

    def __init__(self, width: int, heads: int, mlp_ratio: int, bias: Bias) -> None:
        super().__init__()
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, bias)
        self.mlp = nn.Sequential(
            nn.Linear(width, mlp_ratio * width), nn.GELU(), nn.Linear(mlp_ratio * width, width)
        )

    def forward(
        self,
        x: Float[Tensor, "batch token width"],
        layer: int = 0,
        replace: Replace | None = None,
        share: Float[Tensor, "batch token"] | None = None,
    ) -> Float[Tensor, "batch token width"]:
        """Tokens of the same shape."""
        x = x + self.attention(self.norm_1(x), layer, replace, share)
        return x + self.mlp(self.norm_2(x))


class ViT(nn.Module):
    """f(u) = decode(blocks(embed(patches of u))) + skip(patches of u).

    ``forward`` takes ``(B, inputs, *space)`` of order one and returns ``(B, outputs, *space)`` in units of what is to
    be predicted. ``masks`` says which inputs are 1 where a variable has a value and 0 where it is filled, if each
    variable has one; a token without any value is no key then. Decoder and skip start at zero, so an untrained network
    is persistence. The skip is linear and stays within a patch: it carries amplitudes past the norms, which keep only
    directions. Reference: Dosovitskiy et al. (2021), arXiv:2010.11929.

    Raises:
        InputError: a patch that does not fit the grid, heads too narrow for the bias, features off the sphere.
    """

    positions: Tensor

    def __init__(
        self, config: ModelConfig, grid: Grid, inputs: int, outputs: int, masks: slice | None = None
    ) -> None:
        super().__init__()
        if config.features and not grid.is_sphere:
            raise InputError(
                "latitude and longitude for model.features", "a plane", "leave model.features out"
            )
        self.config, self.grid, self.outputs, self.masks = config, grid, outputs, masks
        self.patches = Patches(grid, config.patch)
        cells = self.patches.cells
        self.embed = nn.Linear(inputs * cells, config.width)
        positions = bounded_features(self.patches.tokens)
        self.register_buffer("positions", positions)
        placed = config.position == "bounded" and positions.shape[1] > 0
        self.place = nn.Linear(positions.shape[1], config.width, bias=False) if placed else None
        self.blocks = nn.ModuleList(self._block() for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width)
        self.decode = nn.Linear(config.width, outputs * cells)
        self.skip = nn.Linear(inputs * cells, outputs * cells, bias=False)
        for start in (self.decode.weight, self.decode.bias, self.skip.weight):
            nn.init.zeros_(start)

    def share(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch token"] | None:
        """Part of each token's area that has a value of some variable; none where that is always all of it."""
        return None if self.masks is None else self.patches.share(x[:, self.masks].amax(1, keepdim=True))

    def _block(self) -> Block:
        config, tokens = self.config, self.patches.tokens
        bias = make_bias(config.bias, tokens, config.heads, config.harmonics, self.masks is not None)
        return Block(config.width, config.heads, config.mlp_ratio, bias)

    @property
    def biases(self) -> list[Bias]:
        """The distance bias of each layer."""
        return [block.attention.bias for block in self.blocks]  # type: ignore[union-attr, misc]

    def forward(
        self, x: Float[Tensor, "batch input *space"], attention: Replace | None = None
    ) -> Float[Tensor, "batch out *space"]:
        """Increments; ``attention(layer, weights) -> weights`` sees, and may replace, every layer's weights."""
        patches = self.patches.tokenise(x)
        h, share = self.embed(patches), self.share(x)
        if self.place is not None:
            h = h + self.place(self.positions)
        for layer, block in enumerate(self.blocks):
            h = block(h, layer, attention, share)
        return self.patches.assemble(self.decode(self.norm(h)) + self.skip(patches), self.outputs)
