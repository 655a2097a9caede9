"""The Vision Transformer on grid patches: normalised fields in, normalised increments out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import chain

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn.attention import Attention, Replace
from gridvit.nn.bias import Bias, make_biases
from gridvit.nn.bias.groups import Grouped
from gridvit.nn.bias.precision import HALF, check_precision, computed_in
from gridvit.nn.block import Block
from gridvit.nn.conditioning import UNTOLD, Branches, Conditioner
from gridvit.nn.ends import make_decode, make_embed, make_merging
from gridvit.nn.features import check_place
from gridvit.nn.groups import blocks_by_place
from gridvit.nn.hidden import Features, chosen_layers, present_areas
from gridvit.nn.hierarchy import Level, make_levels, merged_patch
from gridvit.nn.inputs import Inputs
from gridvit.nn.local import make_local
from gridvit.nn.moving import carried, refuse_unmovable
from gridvit.nn.position import position_features
from gridvit.nn.rotary import Rotary
from gridvit.nn.stem import Cells, Decoder
from gridvit.nn.tokens import Patches
from gridvit.nn.window import Window

Look = Callable[[Attention, Tensor, Tensor | None], None]  # (attention, its tokens, their share of values)


class ViT(nn.Module):
    """f(u) = decode(blocks(embed(patches of u))) + skip(patches of u).

    ``forward`` takes ``(B, inputs, *space)`` of order one and returns ``(B, outputs, *space)`` in units of what is to
    be predicted. ``masks`` says which inputs are 1 where a variable has a value and 0 where it is filled, if each
    variable has one; a token without any value is no key then. Decoder and skip start at zero, so an untrained network
    is persistence. The skip is linear and stays within a patch: it carries amplitudes past the norms, which keep only
    directions. With ``model.decode`` "conv" it is a stencil of the field instead. ``kinds`` says which inputs are
    components of vectors, and which make each token where there are several at a place. ``conditions`` is how many
    numbers, such as coefficients of the equation, it is told of each state; see ``Conditioner``. Positions along the
    axes are measured by the bounds of ``extent``, the grid's where absent.
    Reference: Dosovitskiy et al. (2021), arXiv:2010.11929.

    Raises:
        InputError: a patch, sizes or levels that do not fit the grid, heads too narrow for the bias, features or
            harmonics off the sphere, several tokens at a place whose inputs are not said.
    """

    positions: Tensor
    registers: Tensor | None
    table: Tensor | None

    def __init__(
        self,
        config: ModelConfig,
        grid: Grid,
        inputs: int,
        outputs: int,
        masks: slice | None = None,
        kinds: Inputs | None = None,
        conditions: int = 0,
        extent: Grid | None = None,
    ) -> None:
        super().__init__()
        check_place(config.features, grid)
        self.config, self.grid, self.inputs, self.outputs, self.masks = config, grid, inputs, outputs, masks
        self.kinds = kinds or Inputs()
        self.groups = max(1, len(self.kinds.groups))
        self.fine = nn.ModuleList(make_levels(config, grid, masks is not None, Block))
        self.patches = Patches(grid, merged_patch(config.patch, len(config.levels)))
        self.stem, self.embed = make_embed(config, self._finest, inputs, self.kinds)
        self.merging = make_merging(config, self._finest)
        tokens = self.patches.tokens
        self.extent = extent or tokens
        positions = position_features(config.position, tokens, self.extent)
        self.register_buffer("positions", positions)
        placed = positions.shape[1] > 0
        self.place = nn.Linear(positions.shape[1], config.width, bias=False) if placed else None
        self.blocks = nn.ModuleList(self._make_blocks())
        self.norm = nn.LayerNorm(config.width)
        sizes = self.merging, inputs, outputs, self.kinds
        self.decode, self.skip = make_decode(config, self._finest, *sizes)
        registers = (
            nn.Parameter(0.02 * torch.randn(config.registers, config.width)) if config.registers else None
        )
        self.register_parameter("registers", registers)
        learned = config.position == "learned"
        table = nn.Parameter(0.02 * torch.randn(tokens.size, config.width)) if learned else None
        self.register_parameter("table", table)
        self.conditioner = Conditioner(conditions, config.width, config.depth) if conditions else None
        self.held: set[torch.dtype] = set()  # half precisions in which the bias was found right
        if config.half:
            self.check_precision(torch.bfloat16)

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
        self,
        x: Float[Tensor, "batch input *space"],
        attention: Replace | None = None,
        condition: Float[Tensor, "batch condition"] | None = None,
        look: Look | None = None,
    ) -> Float[Tensor, "batch out *space"]:
        """Increments; ``attention(layer, weights) -> weights`` sees, and may replace, every layer's weights.

        ``condition`` is of order one; a network without conditions ignores it. ``look(attention, tokens, share)`` is
        called with what each layer's attention is given.
        """
        self._refuse_rounded(x)
        begun, *beside = self._begin(x)
        for h in self._through(begun, self.share(x), condition, attention, look):  # noqa: B007 (the last is wanted)
            pass
        return self._end(h[:, self.config.registers :], x, *beside)

    def features(
        self,
        x: Float[Tensor, "batch input *space"],
        layers: Sequence[int] = (-1,),
        condition: Float[Tensor, "batch condition"] | None = None,
    ) -> list[Features]:
        """h_l of the named layers: the network as a front end, with or without gradients.

        With ``model.levels`` they are those of the global level; several tokens at a place are averaged.

        Args:
            x: as for ``forward``.
            layers: 0 is the embedding, ``depth`` the last block, negative ones count from the end.
            condition: as for ``forward``.

        Returns:
            One for each of ``layers``, in their order.

        Raises:
            InputError: a layer that there is not.
        """
        chosen, share, tokens = chosen_layers(layers, len(self.blocks)), self.share(x), self.patches.tokens
        areas = present_areas(tokens, share).to(x.device)
        h = self._begin(x)[0]
        through = enumerate(chain([h], self._through(h, share, condition)))
        kept = {n: self._at_places(h) for n, h in through if n in chosen}
        return [Features.of(layer, kept[layer], areas, tokens) for layer in chosen]

    def _through(
        self,
        h: Tensor,
        share: Tensor | None,
        condition: Tensor | None,
        attention: Replace | None = None,
        look: Look | None = None,
    ) -> Iterator[Tensor]:
        """Tokens, registers first, after each block."""
        told = self._told(condition)
        for layer, block in enumerate(self._layers):
            if look is not None:
                look(block.attention, block.attended(h, told[layer]), share)
            if self.config.checkpointing and torch.is_grad_enabled():
                h = checkpoint(block, h, layer, attention, share, told[layer], use_reentrant=False)
            else:
                h = block(h, layer, attention, share, told[layer])
            yield h

    def _at_places(self, h: Tensor) -> Tensor:
        """One token for each place, after the registers."""
        if self.groups == 1:
            return h
        lead, rest = h.split([self.config.registers, h.shape[1] - self.config.registers], 1)
        return torch.cat([lead, rest.unflatten(1, (-1, self.groups)).mean(2)], 1)

    @property
    def _finest(self) -> Patches:
        """What cuts the cells into tokens and puts them together."""
        return self.levels[0].patches if self.fine else self.patches

    def _make_blocks(self) -> Iterator[Block]:
        """The global blocks, within ``model.window`` where there are no levels."""
        config, tokens = self.config, self.patches.tokens
        biases = make_biases(config, tokens, self.masks is not None)
        windowed = config.window and not config.levels
        window = Window(tokens, config.window, config.registers, self.groups) if windowed else None
        turned = partial(Rotary, tokens, registers=config.registers, extent=self.extent, groups=self.groups)
        if self.groups > 1:
            biases = [Grouped(bias, tokens, config.heads, self.groups, config.registers) for bias in biases]
        for bias in biases:
            local = make_local(config, tokens, config.registers, self.groups)
            yield Block(config, bias, window, turned if config.position == "rope" else None, local)

    def _told(self, condition: Tensor | None) -> list[Branches]:
        """What each block is told."""
        return [UNTOLD] * len(self.blocks) if self.conditioner is None else self.conditioner(condition)

    def _begin(self, x: Tensor) -> tuple[Float[Tensor, "batch token width"], Cells, list[Tensor]]:
        """Global tokens after the registers; beside them what the stem made, and the tokens that were merged."""
        cells = [] if self.stem is None else [self.stem(x)]
        if self.merging is not None:
            cells.append(self.merging.coarser(cells[0]))
        seen = cells[-1] if cells else x
        cut = self._finest if self.merging is None else self.merging.cut
        h = self.embed(cut.tokenise(seen) if isinstance(self.embed, nn.Linear) else seen)
        fine = []
        for level in self.levels:
            h, merged = level.coarser(h, self._share(x, level.patches))
            fine.append(merged)
        return self._placed(h), cells, fine

    def _placed(self, h: Tensor) -> Float[Tensor, "batch token width"]:
        """Tokens that know where they are, after the registers."""
        if self.place is not None:
            h = h + self.place(self.positions).repeat_interleave(self.groups, 0)
        if self.table is not None:
            h = h + self.table.repeat_interleave(self.groups, 0)
        return h if self.registers is None else torch.cat([self.registers.expand(h.shape[0], -1, -1), h], 1)

    def _end(
        self, h: Tensor, x: Tensor, cells: Cells, fine: list[Tensor]
    ) -> Float[Tensor, "batch out *space"]:
        """Outputs of global tokens."""
        for level, merged in zip(reversed(self.levels), reversed(fine), strict=True):
            h = level.finer(h, merged, self._share(x, level.patches))
        h = self.norm(h).unflatten(1, (-1, self.groups)).flatten(2)
        if isinstance(self.decode, Decoder):
            return self.decode(h, cells) + self.skip(x)
        patches = self._finest
        return patches.assemble(self.decode(h) + self.skip(patches.tokenise(x)), self.outputs)

    def on(self, grid: Grid) -> ViT:
        """The same network on another grid: weights and the biases' physical lengths stay, the geometry is new.

        Its patches have as many cells as before. With patches of one cell and position by distance alone it is the
        same integral operator, summed over other points; what larger patches do inside themselves goes by cells.
        A learned position is interpolated.

        Raises:
            InputError: registers, another metric or period, a patch that does not fit, cells beyond those that
                a position along the axes was learned for.
        """
        refuse_unmovable(self, grid)
        with torch.random.fork_rng(devices=[]):
            conditions = 0 if self.conditioner is None else self.conditioner.conditions
            sizes = self.inputs, self.outputs, self.masks, self.kinds, conditions
            other = ViT(self.config, grid, *sizes, extent=self.extent)
        other.to(self.norm.weight)
        other.load_state_dict(carried(self, other))
        return other.train(self.training)

    @torch.no_grad()
    def attention_maps(
        self,
        x: Float[Tensor, "batch input *space"],
        block: int = 256,
        condition: Float[Tensor, "batch condition"] | None = None,
    ) -> Iterator[tuple[int, slice, Float[Tensor, "batch head query key"]]]:
        """(layer, queries, weights) of ``block`` queries at a time, so that all pairs are never in memory together.

        Rows sum to one; registers come first, among queries and keys. Of several tokens at a place the weights are
        summed over those of the key and averaged over those of the query.
        """
        h, share, told = self._begin(x)[0], self.share(x), self._told(condition)
        for layer, each in enumerate(self._layers):
            blocks = each.attention.weights(each.attended(h, told[layer]), share, block)
            for rows, weights in blocks_by_place(blocks, self.config.registers, self.groups):
                yield layer, rows, weights
            h = each(h, layer, None, share, told[layer])

    def check_precision(self, dtype: torch.dtype) -> None:
        """Refuse half precision where the tokens are too near each other for the folded bias; see ``logit_error``."""
        biases = [*self.biases, *(bias for level in self.levels for bias in level.biases)]
        check_precision(biases, dtype, self.config.half or 2)
        self.held.add(dtype)

    def _refuse_rounded(self, x: Tensor) -> None:
        """Once for each precision that autocast asks for: a rounded bias would be silently wrong."""
        dtype = computed_in(x)
        if dtype in HALF and dtype not in self.held and not torch.compiler.is_compiling():
            self.check_precision(dtype)
