"""Fields continued beyond their grid: around periodic axes, over the poles, and as they are at walls."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.grid import Grid
from gridvit.nn.inputs import Inputs

CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}


class Padding(nn.Module):
    """u with ghost cells: u(x + L) = u(x) around a periodic axis, u at the last cell beyond a wall; over a pole
    u(90 + d, lon) = s u(90 - d, lon + 180), s = -1 for horizontal components and 1 for all else.

    A pole is an end of latitude at 90 degrees under a whole turn of longitude; a row centred on it is not repeated.
    Where the columns are of odd number, the value at lon + 180 is the mean of the two beside it.

    Args:
        grid: of the fields.
        widths: ghost cells before and after each axis.
        channels: of the fields; none is a component where absent.
    """

    sign: Tensor
    twice_zero: Tensor

    def __init__(
        self, grid: Grid, widths: Sequence[tuple[int, int]], channels: int = 0, kinds: Inputs | None = None
    ) -> None:
        super().__init__()
        self.periodic, self.widths, self.poles = grid.periodic, tuple(widths), poles(grid)
        self.on_pole = [int(np.isclose(abs(grid.centers[0][edge]), 90)) for edge in (0, -1)]
        self.vectors = kinds is not None and bool(kinds.vectors) and any(self.poles)
        if kinds is not None and self.vectors:
            sign, zero = torch.ones(channels), torch.zeros(channels)
            sign[list(kinds.vectors)] = -1.0
            zero[list(kinds.vectors)] = torch.tensor(kinds.zeros).float()
            self.register_buffer("sign", sign.reshape(-1, *[1] * grid.ndim), persistent=False)
            self.register_buffer("twice_zero", 2 * zero.reshape(-1, *[1] * grid.ndim))

    def forward(self, x: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *padded"]:
        """Latitude first: over a pole a row needs its whole circle."""
        for axis, (low, high) in enumerate(self.widths):
            if not (low or high):
                continue
            if self.periodic[axis]:
                x = _around(x, axis + 2, low, high)
            else:
                x = torch.cat([self._beyond(x, axis, low, 0), x, self._beyond(x, axis, high, 1)], axis + 2)
        return x

    def _beyond(self, x: Tensor, axis: int, width: int, end: int) -> Tensor:
        """Ghost cells before (0) or after (1) a bounded axis."""
        if axis == 0 and self.poles[end]:
            return self._over_pole(x, width, end)
        dim, edge = axis + 2, end * (x.shape[axis + 2] - 1)
        return x.narrow(dim, edge, 1).expand(*x.shape[:dim], width, *x.shape[dim + 1 :])

    def _over_pole(self, x: Tensor, width: int, end: int) -> Tensor:
        away = (torch.arange(width, device=x.device) + self.on_pole[end]).clamp(max=x.shape[2] - 1)
        rows = _opposite(x.index_select(2, x.shape[2] - 1 - away if end else away.flip(0)))
        return self.twice_zero + self.sign * rows if self.vectors else rows


def poles(grid: Grid) -> tuple[bool, bool]:
    """Whether the first axis ends at the south pole and at the north pole, with all longitudes around them."""
    if not grid.is_latlon or not grid.periodic[1]:
        return False, False
    low, high = grid.bounds[0][[0, -1]]
    return bool(np.isclose(low, -90)), bool(np.isclose(high, 90))


def _around(x: Tensor, dim: int, low: int, high: int) -> Tensor:
    n = x.shape[dim]
    if low + high > n:
        return x.index_select(dim, torch.arange(-low, n + high, device=x.device) % n)
    # Split, not narrowed: the gradient of the parts is put together in one piece.
    first, middle, last = x.split([high, n - low - high, low], dim)
    return torch.cat([last, first, middle, last, first], dim)


def _opposite(x: Tensor) -> Tensor:
    """x at half a turn from each column."""
    half = x.shape[3] // 2
    turned = x.roll(half, 3)
    return turned if x.shape[3] % 2 == 0 else (turned + x.roll(half + 1, 3)) / 2


class GridConv(nn.Module):
    """y = W * u + b with the field continued by ``Padding``: on a torus it commutes with all shifts.

    Args:
        grid: of the fields.
        inputs: channels of u.
        outputs: channels of y.
        size: cells of the kernel along each axis, odd.
        kinds: of the inputs.
        bias: whether there is a b.
        apart: each channel by itself (depthwise), as many outputs as inputs.
    """

    def __init__(
        self,
        grid: Grid,
        inputs: int,
        outputs: int,
        size: int = 3,
        kinds: Inputs | None = None,
        bias: bool = True,
        apart: bool = False,
    ) -> None:
        super().__init__()
        self.pad = Padding(grid, [(size // 2, size // 2)] * grid.ndim, inputs, kinds)
        self.conv = CONVOLUTIONS[grid.ndim](inputs, outputs, size, bias=bias, groups=inputs if apart else 1)

    @property
    def weight(self) -> Tensor:
        """W."""
        return self.conv.weight

    @property
    def bias(self) -> Tensor | None:
        """b."""
        return self.conv.bias

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch output *space"]:
        """On the same cells."""
        return self.conv(self.pad(x))
