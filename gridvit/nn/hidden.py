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
    areas:   (B or 1, token), of sum one: the part of each token's area that has values.
    grid:    of the tokens.
    """

    layer: int
    cls: Float[Tensor, "batch width"]
    patches: Float[Tensor, "batch token width"]
    areas: Float[Tensor, "_batch token"]
    grid: Grid

    @classmethod
    def of(cls, layer: int, tokens: Tensor, areas: Tensor, grid: Grid) -> Features:
        """Those of all ``tokens`` (B, registers + token, width)."""
        patches, areas = tokens[:, tokens.shape[1] - grid.size :], areas.to(tokens)
        first = tokens[:, 0] if tokens.shape[1] > grid.size else _average(patches, areas)
        return cls(layer, first, patches, areas, grid)

    @property
    def mean(self) -> Float[Tensor, "batch width"]:
        """The patches' average."""
        return self.average(self.patches)

    def average(self, values: Float[Tensor, "batch token channel"]) -> Float[Tensor, "batch channel"]:
        """sum_j w_j v_j over the patches by their areas; 0 for a state without values."""
        return _average(values, self.areas)

    @property
    def map(self) -> Float[Tensor, "batch width *space"]:
        """The patches on the grid of the tokens."""
        return self.patches.transpose(1, 2).unflatten(2, self.grid.shape)


def _average(values: Tensor, areas: Tensor) -> Tensor:
    return (areas[..., None] * values).sum(1)


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
