"""The Vision Transformer on grid patches: normalised fields in, normalised increments out."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Attention, Replace
from gridvit.nn.bias import Bias, make_biases
from gridvit.nn.bias.groups import Grouped
from gridvit.nn.bias.precision import check_precision
from gridvit.nn.ends import make_decode, make_embed
from gridvit.nn.groups import blocks_by_place
from gridvit.nn.hierarchy import Level, make_levels, merged_patch
from gridvit.nn.inputs import Inputs
from gridvit.nn.position import bounded_features
from gridvit.nn.stem import Decoder
from gridvit.nn.tokens import Patches
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
    a small start (LayerScale, Touvron et al. 2021, arXiv:2103.17239).
    """

    def __init__(self, config: ModelConfig, bias: Bias, window: Window | None = None) -> None:
        super().__init__()
        width, hidden = config.width, config.mlp_ratio * config.width
        self.post = config.norm == "post"
        self.norm_1, self.norm_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, config.heads, bias, window, config.qk_norm)
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
    ) -> Float[Tensor, "batch token width"]:
        """Tokens of the same shape."""
        x = x + self.gain_1(self.attention(self.attended(x), layer, replace, share))
        if self.post:
            x = self.norm_1(x)
            return self.norm_2(x + self.gain_2(self.mlp(x)))
        return x + self.gain_2(self.mlp(self.norm_2(x)))

    def attended(self, x: Float[Tensor, "batch token width"]) -> Float[Tensor, "batch token width"]:
        """What attention is given."""
        return x if self.post else self.norm_1(x)


class ViT(nn.Module):
    """f(u) = decode(blocks(embed(patches of u))) + skip(patches of u).

    ``forward`` takes ``(B, inputs, *space)`` of order one and returns ``(B, outputs, *space)`` in units of what is to
    be predicted. ``masks`` says which inputs are 1 where a variable has a value and 0 where it is filled, if each
    variable has one; a token without any value is no key then. Decoder and skip start at zero, so an untrained network
    is persistence. The skip is linear and stays within a patch: it carries amplitudes past the norms, which keep only
    directions. With ``model.decode`` "conv" it is a stencil of the field instead. ``kinds`` says which inputs are
    components of vectors, and which make each token where there are several at a place. Reference: Dosovitskiy et al.
    (2021), arXiv:2010.11929.

    Raises:
        InputError: a patch, sizes or levels that do not fit the grid, heads too narrow for the bias, features off the
            sphere, several tokens at a place whose inputs are not said.
    """

    positions: Tensor
    registers: Tensor | None

    def __init__(
        self,
        config: ModelConfig,
        grid: Grid,
        inputs: int,
        outputs: int,
        masks: slice | None = None,
        kinds: Inputs | None = None,
    ) -> None:
        super().__init__()
        kinds = kinds or Inputs()
        if config.features and not grid.is_sphere:
            raise InputError(
                "latitude and longitude for model.features", "a plane", "leave model.features out"
            )
        self.config, self.grid, self.outputs, self.masks = config, grid, outputs, masks
        self.fine = nn.ModuleList(make_levels(config, grid, masks is not None, Block))
        self.patches = Patches(grid, merged_patch(config.patch, len(config.levels)))
        self.stem, self.embed = make_embed(config, self._finest, inputs, kinds)
        self.groups = max(1, len(kinds.groups))
        positions = bounded_features(self.patches.tokens)
        self.register_buffer("positions", positions)
        placed = config.position == "bounded" and positions.shape[1] > 0
        self.place = nn.Linear(positions.shape[1], config.width, bias=False) if placed else None
        biases = make_biases(config, self.patches.tokens, masks is not None)
        windowed = config.window and not config.levels
        window = (
            Window(self.patches.tokens, config.window, config.registers, self.groups) if windowed else None
        )
        if self.groups > 1:
            how = self.patches.tokens, config.heads, self.groups, config.registers
            biases = [Grouped(bias, *how) for bias in biases]
        self.blocks = nn.ModuleList(Block(config, bias, window) for bias in biases)
        self.norm = nn.LayerNorm(config.width)
        self.decode, self.skip = make_decode(config, self._finest, inputs, outputs, kinds)
        registers = (
            nn.Parameter(0.02 * torch.randn(config.registers, config.width)) if config.registers else None
        )
        self.register_parameter("registers", registers)

    def share(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch token"] | None:
        """Part of each token's area that has a value of some variable; none where that is always all of it."""
        return self._share(x, self.patches)

    def _share(self, x: Tensor, patches: Patches) -> Tensor | None:
        return None if self.masks is None else patches.share(x[:, self.masks].amax(1, keepdim=True))

    @property
    def levels(self) -> list[Level]:
        """The levels within windows, finest first; ``patches``, ``biases`` and maps are those of the global one."""
        return list(self.fine)  # type: ignore[arg-type]

    @property
    def biases(self) -> list[Bias]:
        """The distance bias of each layer."""
        return [block.attention.bias for block in self._layers]

    @property
    def _layers(self) -> list[Block]:
        return list(self.blocks)  # type: ignore[arg-type]

    def forward(
        self, x: Float[Tensor, "batch input *space"], attention: Replace | None = None
    ) -> Float[Tensor, "batch out *space"]:
        """Increments; ``attention(layer, weights) -> weights`` sees, and may replace, every layer's weights."""
        h, beside = self._begin(x)
        share = self.share(x)
        for layer, block in enumerate(self._layers):
            if self.config.checkpointing and torch.is_grad_enabled():
                h = checkpoint(block, h, layer, attention, share, use_reentrant=False)
            else:
                h = block(h, layer, attention, share)
        return self._end(h[:, self.config.registers :], x, beside)

    @property
    def _finest(self) -> Patches:
        """What cuts the cells into tokens and puts them together."""
        return self.levels[0].patches if self.fine else self.patches

    def _begin(self, x: Tensor) -> tuple[Float[Tensor, "batch token width"], list[Tensor]]:
        """Global tokens after the registers; beside them the cells and the tokens that were merged."""
        cells = x if self.stem is None else self.stem(x)
        h = self.embed(self._finest.tokenise(cells) if isinstance(self.embed, nn.Linear) else cells)
        beside = [cells]
        for level in self.levels:
            h, fine = level.coarser(h, self._share(x, level.patches))
            beside.append(fine)
        return self._placed(h), beside

    def _placed(self, h: Tensor) -> Float[Tensor, "batch token width"]:
        """Tokens that know where they are, after the registers."""
        if self.place is not None:
            h = h + self.place(self.positions).repeat_interleave(self.groups, 0)
        return h if self.registers is None else torch.cat([self.registers.expand(len(h), -1, -1), h], 1)

    def _end(self, h: Tensor, x: Tensor, beside: list[Tensor]) -> Float[Tensor, "batch out *space"]:
        """Outputs of global tokens."""
        for level, fine in zip(reversed(self.levels), reversed(beside), strict=False):
            h = level.finer(h, fine, self._share(x, level.patches))
        h = self.norm(h).unflatten(1, (-1, self.groups)).flatten(2)
        if isinstance(self.decode, Decoder):
            return self.decode(h, None if self.stem is None else beside[0]) + self.skip(x)
        patches = self._finest
        return patches.assemble(self.decode(h) + self.skip(patches.tokenise(x)), self.outputs)

    @torch.no_grad()
    def attention_maps(
        self, x: Float[Tensor, "batch input *space"], block: int = 256
    ) -> Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]:
        """(layer, queries, weights) of ``block`` queries at a time, so that all pairs are never in memory together.

        Rows sum to one; registers come first, among queries and keys. Of several tokens at a place the weights are
        summed over those of the key and averaged over those of the query.
        """
        (h, _), share = self._begin(x), self.share(x)
        for layer, each in enumerate(self._layers):
            blocks = each.attention.weights(each.attended(h), share, block)
            for rows, weights in blocks_by_place(blocks, self.config.registers, self.groups):
                yield layer, rows, weights
            h = each(h, layer, None, share)

    def check_precision(self, dtype: torch.dtype) -> None:
        """Refuse half precision where the tokens are too near each other for the folded bias; see ``logit_error``."""
        check_precision([*self.biases, *(bias for level in self.levels for bias in level.biases)], dtype)
