"""From a curve of distance to a bias between tokens: exactly, as a matrix of all pairs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.bias.base import Fold, Rows

MOST_TOKENS = 8192  # a float32 matrix of four heads is then a GiB

Curve = Callable[[Tensor], Tensor]  # distances (point) -> bias (head, point)


class Pairs(nn.Module, ABC):
    """How a curve acts between the tokens of a grid; the same for all layers."""

    dims: int = 0

    def fold(self, curve: Curve) -> Fold | None:
        """Features of queries and keys; none where there are none."""
        return None

    @abstractmethod
    def logits(self, curve: Curve, rows: Rows) -> Float[Tensor, "head query key"]:
        """The bias of the queries ``rows``."""

    @abstractmethod
    def kernel(self, curve: Curve, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """What acts at ``distance``."""

    @abstractmethod
    def error(self, curve: Curve) -> Float[Tensor, "head"]:
        """Largest difference between the curve and what acts, over distances of tokens."""


class Distances(Pairs):
    """d_ij as a table of the different distances and, for each pair, which of them. There is no fold.

    Great-circle km on the sphere, the nearest image on planes. Distances that agree within 1e-9 of the longest are
    one: a torus of N tokens has no more than about N / 2^n of them.
    """

    values: Tensor
    which: Tensor

    def __init__(self, grid: Grid) -> None:
        super().__init__()
        if grid.size > MOST_TOKENS:
            raise InputError(
                f"at most {MOST_TOKENS} tokens for a model.bias that is a matrix",
                str(grid.size),
                "raise model.patch, set model.spectral, or take model.bias distance",
            )
        distances = grid.distances()
        step = float(distances.max()) * 1e-9 or 1.0
        steps, inverse = np.unique(np.round(distances / step).astype(np.int64), return_inverse=True)
        self.register_buffer("values", torch.from_numpy(steps * step).float(), persistent=False)
        which = torch.from_numpy(inverse.reshape(distances.shape)).int()
        self.register_buffer("which", which, persistent=False)

    def logits(self, curve: Curve, rows: Rows) -> Float[Tensor, "head query key"]:
        """The curve of each pair's distance."""
        which = self.which[rows]
        return curve(self.values).index_select(1, which.flatten()).unflatten(1, which.shape)

    def kernel(self, curve: Curve, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The curve itself."""
        return curve(distance)

    def error(self, curve: Curve) -> Float[Tensor, "head"]:
        """None."""
        return torch.zeros_like(curve(self.values[:1])[:, 0])
