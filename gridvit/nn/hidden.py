"""What the tokens hold between the layers of a network, for use as a front end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid


@dataclass(frozen=True, eq=False)
class Features:
    """The tokens after a layer, as the blocks hand them on: a head begins by a norm.

    layer:   0 after the embedding, the depth after the last block.
    cls:     (B, width): the first register, which a head on it makes a class token; the mean where there is none.
    patches: (B, token, width), registers left out.
    mean:    (B, width): sum_j w_j h_j over the patches, w_j their share of the area that has values.
    grid:    of the tokens.
    """

    layer: int
    cls: Float[Tensor, "batch width"]
    patches: Float[Tensor, "batch token width"]
    mean: Float[Tensor, "batch width"]
    grid: Grid

    @classmethod
    def of(cls, layer: int, tokens: Tensor, areas: Tensor, grid: Grid) -> Features:
        """Those of all ``tokens`` (B, registers + token, width), with areas of sum one."""
        patches = tokens[:, tokens.shape[1] - grid.size :]
        mean = (areas.to(patches)[..., None] * patches).sum(1)
        first = tokens[:, 0] if tokens.shape[1] > grid.size else mean
        return cls(layer, first, patches, mean, grid)

    @property
    def map(self) -> Float[Tensor, "batch width *space"]:
        """The patches on the grid of the tokens."""
        return self.patches.transpose(1, 2).unflatten(2, self.grid.shape)


def chosen_layers(layers: Sequence[int], depth: int) -> list[int]:
    """Layers counted from 0, negative ones from the end.

    Raises:
        InputError: one that is not among 0, ..., ``depth``.
    """
    for layer in layers:
        if not -depth - 1 <= layer <= depth:
            raise InputError(
                f"layers from 0, the embedding, to {depth}, the last block, or {-depth - 1} to -1 from the end",
                str(layer),
                "correct it",
            )
    return [layer % (depth + 1) for layer in layers]


def present_areas(grid: Grid, share: Float[Tensor, "batch token"] | None) -> Float[Tensor, "_batch token"]:
    """Areas of sum one: of the tokens for all states (one row), or of the ``share`` that has values in each.

    Zeros for a state without any value.
    """
    areas = torch.from_numpy(grid.areas.ravel())[None]
    areas = areas if share is None else areas.to(share.device) * share.double()
    return areas / areas.sum(-1, keepdim=True).clamp(min=torch.finfo(areas.dtype).tiny)
