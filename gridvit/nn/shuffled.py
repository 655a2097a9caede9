"""A trained step whose weights were shuffled, more and more of it: what maps of it show was not learned."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy

import torch
from torch import nn

from gridvit.nn.step import ModelStep
from gridvit.nn.vit import ViT

STAGES = 3  # of the blocks


def cascade(step: ModelStep, seed: int = 0, stages: int = STAGES) -> Iterator[tuple[str, ModelStep]]:
    """The step with the entries of its weights permuted: of the decoder, of ever more blocks from the last, of all.

    Shuffled and not drawn anew: each tensor keeps its size, and a decoder that would start at zero still says
    something. One copy at a time.

    Args:
        step: whose weights are copied.
        seed: of the permutations.
        stages: in how many steps the blocks follow.
    """
    depth = step.attending.config.depth
    firsts = sorted({round(depth * n / stages) for n in range(stages)}, reverse=True)
    for name, kept in (
        ("decode", depth),
        *((f"block {first + 1}", first) for first in firsts),
        ("embed", -1),
    ):
        other = deepcopy(step).eval()
        same = {id(parameter) for parameter in first_parameters(other.attending, kept)}
        shuffle([p for p in other.attending.parameters() if id(p) not in same], seed)
        yield name, other


def first_parameters(network: ViT, blocks: int) -> Iterator[nn.Parameter]:
    """Those of what comes before block number ``blocks``; none if that is below 0."""
    if blocks < 0:
        return
    before = [network.embed, network.stem, network.place, network.conditioner, network.fine]
    merging = network.merging
    down = () if merging is None else (merging.merge, merging.down)  # what splits cells again comes after
    for module in (*before, *down, *list(network.blocks)[:blocks]):
        if module is not None:
            yield from module.parameters()
    yield from (p for p in (network.registers, network.table) if isinstance(p, nn.Parameter))


@torch.no_grad()
def shuffle(parameters: list[nn.Parameter], seed: int) -> None:
    """Permute the entries of each."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in parameters:
        flat = parameter.flatten()
        order = torch.randperm(len(flat), generator=generator).to(flat.device)
        parameter.copy_(flat[order].view_as(parameter))
