"""Which embedding and which decoder a configuration asks for."""

from __future__ import annotations

from torch import nn

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.nn.groups import GroupTokens
from gridvit.nn.inputs import Inputs
from gridvit.nn.padding import GridConv
from gridvit.nn.scales import CrossScale
from gridvit.nn.stem import MERGED, STENCIL, Decoder, Merging, Stem
from gridvit.nn.tokens import Patches

Embed = nn.Linear | CrossScale | GroupTokens
Ends = tuple[nn.Linear | Decoder, nn.Linear | GridConv]


def make_merging(config: ModelConfig, patches: Patches) -> Merging | None:
    """What merges cells, if they are."""
    return Merging(patches.grid, patches.patch, config.channels, config.between) if config.between else None


def make_embed(
    config: ModelConfig, patches: Patches, inputs: int, kinds: Inputs
) -> tuple[Stem | None, Embed]:
    """Convolutions at the cells, if there are any, and what makes tokens: of patches (``nn.Linear``) or of cells.

    ``patches`` are those of the cells.

    Raises:
        InputError: several tokens at a place whose inputs are not said.
    """
    if config.tokens != "place":
        if not kinds.groups:
            raise InputError(
                f"the inputs of each token for model.tokens {config.tokens}", "none", "give groups"
            )
        return None, GroupTokens(config, patches.grid, kinds)
    stem = Stem(config, patches.grid, inputs, kinds) if config.embed == "conv" else None
    channels = inputs if stem is None else config.channels
    if config.sizes != (1,):
        return stem, CrossScale(config, patches.grid, channels, kinds if stem is None else Inputs())
    merged = patches.cells // MERGED**patches.grid.ndim
    return stem, nn.Linear(
        config.between * merged if config.between else channels * patches.cells, config.width
    )


def make_decode(
    config: ModelConfig,
    patches: Patches,
    merging: Merging | None,
    inputs: int,
    outputs: int,
    kinds: Inputs,
) -> Ends:
    """From the tokens of a place to its cells, and the linear way past them; both are zero at first."""
    width = config.width * max(1, len(kinds.groups))
    decode: nn.Linear | Decoder
    skip: nn.Linear | GridConv
    if config.decode == "conv":
        own = config.channels
        channels = config.between or own, own, own if config.embed == "conv" else 0
        decode = Decoder(patches, width, channels, outputs, merging)
        skip = GridConv(patches.grid, inputs, outputs, STENCIL, kinds, bias=False)
    else:
        decode = nn.Linear(width, outputs * patches.cells)
        skip = nn.Linear(inputs * patches.cells, outputs * patches.cells, bias=False)
        nn.init.zeros_(decode.weight)
        nn.init.zeros_(decode.bias)
    nn.init.zeros_(skip.weight)
    return decode, skip
