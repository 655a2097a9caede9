"""What a key counts for beside its distance: the area that has values, or a place of no kind."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from gridvit.grid import Grid
from gridvit.nn.bias.base import EVERY, Bias, Fold, Rows

NO_KEY = (
    -1e4
)  # log area of a key without area: finite in float16, so that a state without any key gives no NaN

Share = Float[Tensor, "batch placed"] | None


class Around(Bias):
    """A bias with something added that is no function of distance; where the inner one folds, it takes a dimension."""

    def __init__(self, inner: Bias) -> None:
        super().__init__()
        self.inner = inner
        self.dims = inner.dims + (inner.fold() is not None)

    def kernel(self, distance: Float[Tensor, "point"]) -> Float[Tensor, "head point"]:
        """The inner curve."""
        return self.inner.kernel(distance)

    def length(self) -> Float[Tensor, "head"]:
        """The inner length scale."""
        return self.inner.length()

    def approximation_error(self) -> Float[Tensor, "head"]:
        """The inner error."""
        return self.inner.approximation_error()


class AreaWeighted(Around):
    """b + log(w_j / mean w): attention with zero logits is then the area-weighted mean of the values.

    ``w_j`` is the area of token ``j`` that has values in a state, all of it without ``share``; without area a token is
    no key. Leading ``registers`` count as a token of mean area. One more dimension. Reference: the quadrature-weighted
    softmax of Bonev et al. (2025), arXiv:2505.11157.
    """

    log_area: Tensor

    def __init__(self, inner: Bias, grid: Grid, registers: int = 0) -> None:
        super().__init__(inner)
        areas = torch.tensor(grid.areas).double().flatten()
        self.registers = registers
        self.register_buffer("log_area", pad(torch.log(areas / areas.mean()), (registers, 0)).float())

    def fold(self, share: Share = None) -> Fold | None:
        """Keys are ``(key, dim)``, or ``(batch, 1, key, dim)`` where there is a ``share``."""
        inner = self.inner.fold()
        if inner is None:
            return None
        query, key = inner
        ones = query.new_ones(*query.shape[:-1], 1)
        area = self._log_area(share)[..., None]
        return torch.cat([query, ones], -1), torch.cat([key.expand(*area.shape[:-1], -1), area], -1)

    def logits(self, rows: Rows = EVERY, share: Share = None) -> Float[Tensor, "*batch head query key"]:
        """The inner bias plus the log area of each key."""
        return self.inner.logits(rows) + self._log_area(share)[..., None, :]

    def _log_area(self, share: Share) -> Tensor:
        if share is None:
            return self.log_area
        share = pad(share, (self.registers, 0), value=1.0)
        return (self.log_area + share.log())[:, None].clamp(min=NO_KEY)


class Registered(Around):
    """b between tokens, 0 from and to the leading ``registers``, which have no place.

    A fold leaves out what depends on the query alone, which must not come between tokens and registers:
    c_i = f_q(x_i) . f_k(x_i) - b(0) is taken off again, in one more dimension. Reference for registers: Darcet et al.
    (2024), arXiv:2309.16588.
    """

    def __init__(self, inner: Bias, grid: Grid, registers: int) -> None:
        super().__init__(inner)
        self.registers, self.tokens = registers, grid.size

    def fold(self) -> Fold | None:
        """Registers have zeros; a token's key has a one for the query's -c_i."""
        inner = self.inner.fold()
        if inner is None:
            return None
        query, key = inner
        own = self.inner.logits(slice(0, 1))[:, 0, :1]
        excess = (query * key).sum(-1) - own
        query, key = (
            torch.cat([query, -excess[..., None]], -1),
            torch.cat([key, key.new_ones(len(key), 1)], -1),
        )
        lead = (0, 0, self.registers, 0)
        return pad(query, lead), pad(key, lead)

    def logits(self, rows: Rows = EVERY) -> Float[Tensor, "head query key"]:
        """The inner bias with a frame of zeros."""
        device = next(self.inner.buffers()).device
        tokens = torch.arange(-self.registers, self.tokens, device=device)[rows]
        inner = self.inner.logits(tokens.clamp(min=0))
        return pad(inner * (tokens >= 0).to(inner)[:, None], (self.registers, 0))
