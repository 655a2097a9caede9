"""Fields to patch tokens and back: a reshape, with edge padding where a bounded axis needs it."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid


class Patches(nn.Module):
    """Cuts ``(B, C, *space)`` into ``(B, N, C * P)`` tokens of P cells and puts them together again.

    A bounded axis that the patch does not divide is extended at its high end by copies of the edge cell; those
    cells have no area, enter no loss, and are cut off by ``assemble``.
    """

    areas: Tensor

    def __init__(self, grid: Grid, patch: tuple[int, ...]) -> None:
        super().__init__()
        self.grid, self.patch = grid, patch
        self.tokens = grid.coarsen(patch)
        self.cells = int(torch.tensor(patch).prod())
        real = np.pad(grid.areas, [(0, extra) for extra in grid.padding(patch)])
        self.register_buffer("areas", self._cut(torch.tensor(real)[None, None])[0].float(), persistent=False)
        for axis, extra in enumerate(grid.padding(patch)):
            self.register_buffer(
                f"source_{axis}", torch.arange(grid.shape[axis] + extra).clamp(max=grid.shape[axis] - 1)
            )

    def tokenise(self, x: Float[Tensor, "batch variable *space"]) -> Float[Tensor, "batch token feature"]:
        """Tokens in row-major order of the token grid; features are (variable, cell of the patch)."""
        for axis in range(self.grid.ndim):
            x = x.index_select(axis + 2, self.get_buffer(f"source_{axis}"))
        return self._cut(x)

    def share(self, there: Float[Tensor, "batch 1 *space"]) -> Float[Tensor, "batch token"]:
        """sum over the token's cells of area * there / sum of area: exactly 1 where all are there."""
        return (self.tokenise(there) * self.areas).sum(-1) / self.areas.sum(-1)

    def _cut(self, x: Tensor) -> Tensor:
        """(B, C, *padded) to (B, N, C * P)."""
        batch, variables = x.shape[:2]
        split = [n for pair in zip(self.tokens.shape, self.patch, strict=True) for n in pair]
        x = x.reshape(batch, variables, *split)  # (B, C, n1, p1, n2, p2, ...)
        counts = range(2, x.ndim, 2)
        within = range(3, x.ndim, 2)
        return x.permute(0, *counts, 1, *within).reshape(batch, self.tokens.size, variables * self.cells)

    def assemble(
        self, tokens: Float[Tensor, "batch token feature"], variables: int
    ) -> Float[Tensor, "batch variable *space"]:
        """The field of ``variables`` channels that the tokens tile; inverse of ``tokenise`` on the real cells."""
        batch, ndim = tokens.shape[0], self.grid.ndim
        x = tokens.reshape(batch, *self.tokens.shape, variables, *self.patch)
        order = [n for axis in range(ndim) for n in (1 + axis, 2 + ndim + axis)]  # n1, p1, n2, p2, ...
        padded = [n * p for n, p in zip(self.tokens.shape, self.patch, strict=True)]
        x = x.permute(0, 1 + ndim, *order).reshape(batch, variables, *padded)
        return x[(slice(None), slice(None), *(slice(n) for n in self.grid.shape))]
