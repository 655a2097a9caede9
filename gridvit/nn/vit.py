"""The Vision Transformer on grid patches: normalised fields in, normalised increments out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn.attention import Attention, Replace
from gridvit.nn.bias import Bias, make_biases
from gridvit.nn.bias.precision import check_precision
from gridvit.nn.features import check_place
from gridvit.nn.hidden import Features, chosen_layers, present_areas
from gridvit.nn.position import bounded_features
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
    directions. Reference: Dosovitskiy et al. (2021), arXiv:2010.11929.

    Raises:
        InputError: a patch that does not fit the grid, heads too narrow for the bias, features off the sphere.
    """

    positions: Tensor
    registers: Tensor | None

    def __init__(
        self, config: ModelConfig, grid: Grid, inputs: int, outputs: int, masks: slice | None = None
    ) -> None:
        super().__init__()
        check_place(config.features, grid)
        self.config, self.grid, self.outputs, self.masks = config, grid, outputs, masks
        self.patches = Patches(grid, config.patch)
        cells = self.patches.cells
        self.embed = nn.Linear(inputs * cells, config.width)
        positions = bounded_features(self.patches.tokens)
        self.register_buffer("positions", positions)
        placed = config.position == "bounded" and positions.shape[1] > 0
        self.place = nn.Linear(positions.shape[1], config.width, bias=False) if placed else None
        biases = make_biases(config, self.patches.tokens, masks is not None)
        window = Window(self.patches.tokens, config.window, config.registers) if config.window else None
        self.blocks = nn.ModuleList(Block(config, bias, window) for bias in biases)
        self.norm = nn.LayerNorm(config.width)
        self.decode = nn.Linear(config.width, outputs * cells)
        self.skip = nn.Linear(inputs * cells, outputs * cells, bias=False)
        for start in (self.decode.weight, self.decode.bias, self.skip.weight):
            nn.init.zeros_(start)
        registers = (
            nn.Parameter(0.02 * torch.randn(config.registers, config.width)) if config.registers else None
        )
        self.register_parameter("registers", registers)

    def share(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch token"] | None:
        """Part of each token's area that has a value of some variable; none where that is always all of it."""
        return None if self.masks is None else self.patches.share(x[:, self.masks].amax(1, keepdim=True))

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
        patches = self.patches.tokenise(x)
        for h in self._hidden(patches, self.share(x), attention):  # noqa: B007 (the last is wanted)
            pass
        h = h[:, self.config.registers :]
        return self.patches.assemble(self.decode(self.norm(h)) + self.skip(patches), self.outputs)

    def features(
        self, x: Float[Tensor, "batch input *space"], layers: Sequence[int] = (-1,)
    ) -> list[Features]:
        """h_l of the named layers: the network as a front end, with or without gradients.

        Args:
            x: as for ``forward``.
            layers: 0 is the embedding, ``depth`` the last block, negative ones count from the end.

        Returns:
            One for each of ``layers``, in their order.

        Raises:
            InputError: a layer that there is not.
        """
        chosen, share = chosen_layers(layers, len(self.blocks)), self.share(x)
        areas = present_areas(self.patches.tokens, share).to(x.device)
        hidden = enumerate(self._hidden(self.patches.tokenise(x), share))
        kept = {n: h for n, h in hidden if n in chosen}
        return [Features.of(layer, kept[layer], areas, self.patches.tokens) for layer in chosen]

    def _hidden(
        self, patches: Tensor, share: Tensor | None, attention: Replace | None = None
    ) -> Iterator[Tensor]:
        """Tokens, registers first, after the embedding and after each block."""
        h = self._placed(patches)
        yield h
        for layer, block in enumerate(self._layers):
            if self.config.checkpointing and torch.is_grad_enabled():
                h = checkpoint(block, h, layer, attention, share, use_reentrant=False)
            else:
                h = block(h, layer, attention, share)
            yield h

    def _placed(self, patches: Tensor) -> Float[Tensor, "batch token width"]:
        """Tokens that know where they are, after the registers."""
        h = self.embed(patches)
        if self.place is not None:
            h = h + self.place(self.positions)
        return h if self.registers is None else torch.cat([self.registers.expand(h.shape[0], -1, -1), h], 1)

    @torch.no_grad()
    def attention_maps(
        self, x: Float[Tensor, "batch input *space"], block: int = 256
    ) -> Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]:
        """(layer, queries, weights) of ``block`` queries at a time, so that all pairs are never in memory together.

        Rows sum to one; registers come first, among queries and keys.
        """
        h, share = self._placed(self.patches.tokenise(x)), self.share(x)
        for layer, each in enumerate(self._layers):
            for rows, weights in each.attention.weights(each.attended(h), share, block):
                yield layer, rows, weights
            h = each(h, layer, None, share)

    def check_precision(self, dtype: torch.dtype) -> None:
        """Refuse half precision where the tokens are too near each other for the folded bias; see ``logit_error``."""
        check_precision(self.biases, dtype)
