"""The peers of the accuracy benchmark: networks from ``(B, inputs, *space)`` to ``(B, outputs, *space)``.

Each is the published design at a size that two CPU cores train in minutes, a step on 64 x 64 cells costing about as
much in all of them. Last layers start at zero, so that an untrained step is persistence, and what is near is continued
around periodic axes, and beyond walls by the last cells.

A peer is a function of ``inputs, outputs, grid`` and a line of ``PEERS``. Left out: neuraloperator's UNO, which writes
to the terminal, and of which TFNO takes the place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn.padding import CONVOLUTIONS, GridConv, Padding
from gridvit.nn.vit import ViT

Factory = Callable[[int, int, Grid], nn.Module]
DILATIONS = (1, 2, 4, 8, 4, 2, 1)
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d}
BEYOND = 0.125  # of an axis with walls that FNOs are given at each end, since their waves are periodic


class Strided(nn.Module):
    """Convolution of 3 cells with steps or gaps between, of a field continued as the grid says."""

    def __init__(self, grid: Grid, inputs: int, outputs: int, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.pad = Padding(grid, [(dilation, dilation)] * grid.ndim)
        self.conv = CONVOLUTIONS[grid.ndim](inputs, outputs, 3, stride, dilation=dilation)

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch output *fewer"]:
        """On every ``stride``-th cell."""
        return self.conv(self.pad(x))


class Doubled(nn.Module):
    """Transposed convolution of 4 cells, twice as many cells along each axis."""

    def __init__(self, grid: Grid, channels: int) -> None:
        super().__init__()
        self.pad = Padding(grid, [(1, 1)] * grid.ndim)
        # 3 cells of each end, of which one is the ghost cell's pair and one its reach, are of no use.
        self.conv = TRANSPOSED[grid.ndim](channels, channels, 4, stride=2, padding=3)

    def forward(self, x: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *more"]:
        """Values between and at the cells."""
        return self.conv(self.pad(x))


class Continued(nn.Module):
    """A layer of small reach that has its own way beyond the edge: it is shown a field continued as the grid says.

    The local integrals of neuraloperator 2.0.0 take zeros there, on periodic axes too.
    """

    def __init__(self, grid: Grid, layer: nn.Module, reach: int = 2) -> None:
        super().__init__()
        self.pad, self.layer, self.inside = (
            Padding(grid, [(reach, reach)] * grid.ndim),
            layer,
            slice(reach, -reach),
        )

    def forward(
        self, x: Float[Tensor, "batch input *space"], *told: Any
    ) -> Float[Tensor, "batch output *space"]:
        """On the same cells."""
        return self.layer(self.pad(x), *told)[(..., *[self.inside] * (x.ndim - 2))]


class Residual(nn.Module):
    """y = P x + W_2 * gelu(norm(W_1 * gelu(norm(x)))), P = 1 where channels stay."""

    def __init__(self, grid: Grid, inputs: int, outputs: int) -> None:
        super().__init__()
        self.path = nn.Sequential(
            nn.GroupNorm(1, inputs),
            nn.GELU(),
            GridConv(grid, inputs, outputs),
            nn.GroupNorm(1, outputs),
            nn.GELU(),
            GridConv(grid, outputs, outputs),
        )
        self.past = nn.Identity() if inputs == outputs else CONVOLUTIONS[grid.ndim](inputs, outputs, 1)

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch output *space"]:
        """On the same cells."""
        return self.past(x) + self.path(x)


class UNet(nn.Module):
    """The modern U-Net of J. Gupta and J. Brandstetter, TMLR 2023, arXiv:2209.15616, with ``widths`` of its levels.

    ``blocks`` residual blocks on the way down, two at the bottom, and ``blocks`` + 1 on the way up, each of which sees
    what its mirror image on the way down made. Axes want to be divisible by 2 for each level but the last.
    """

    def __init__(self, inputs: int, outputs: int, grid: Grid, widths: tuple[int, ...], blocks: int) -> None:
        super().__init__()
        self.first = GridConv(grid, inputs, widths[0])
        self.down, self.up, beside, width = nn.ModuleList(), nn.ModuleList(), [widths[0]], widths[0]
        for level, wider in enumerate(widths):
            steps = [Strided(grid, width, width, stride=2)] if level else []
            beside += [width] * len(steps)
            for _ in range(blocks):
                steps.append(Residual(grid, width, wider))
                width = wider
                beside.append(width)
            self.down.extend(steps)
        self.middle = nn.Sequential(Residual(grid, width, width), Residual(grid, width, width))
        for level in reversed(range(len(widths))):
            for block in range(blocks + 1):
                narrower = widths[max(level - 1, 0)] if block == blocks else widths[level]
                self.up.append(Residual(grid, width + beside.pop(), narrower))
                width = narrower
            if level:
                self.up.append(Doubled(grid, width))
        self.last = nn.Sequential(nn.GroupNorm(1, width), nn.GELU(), _silent(GridConv(grid, width, outputs)))

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch output *space"]:
        """Down, keeping what was seen, and up."""
        seen = [self.first(x)]
        for step in self.down:
            seen.append(step(seen[-1]))
        x = self.middle(seen[-1])
        for step in self.up:
            x = step(x if isinstance(step, Doubled) else torch.cat([x, seen.pop()], 1))
        return self.last(x)


class Dilated(nn.Module):
    """y = x + the last of seven gelu(W_i * norm(.)) with 1, 2, 4, 8, 4, 2 and 1 cells from tap to tap."""

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        parts = [
            (nn.GroupNorm(1, width), Strided(grid, width, width, dilation=cells), nn.GELU())
            for cells in DILATIONS
        ]
        self.path = nn.Sequential(*(layer for part in parts for layer in part))

    def forward(self, x: Float[Tensor, "batch width *space"]) -> Float[Tensor, "batch width *space"]:
        """On the same cells."""
        return x + self.path(x)


def _silent(layer: Any) -> Any:
    """The same layer, zero at first."""
    for start in layer.parameters():
        nn.init.zeros_(start)
    return layer


class Operator(nn.Module):
    """An operator of neuraloperator whose last layer is zero at first, and whose state is tensors alone."""

    def __init__(self, operator: Any) -> None:
        super().__init__()
        _silent(operator.projection.fcs[-1])
        # Its own ``state_dict`` adds the arguments that made it, which no file of weights holds.
        self.parts, self.operator = nn.ModuleDict(operator.named_children()), (operator,)

    def forward(self, x: Float[Tensor, "batch input *space"]) -> Float[Tensor, "batch output *space"]:
        """As the operator."""
        return self.operator[0](x)


def _beyond(grid: Grid) -> list[float] | None:
    """Domain padding: none where all axes are periodic."""
    return None if all(grid.periodic) else [0.0 if wraps else BEYOND for wraps in grid.periodic]


def unet(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """Three levels of one block, a fourth of the published widths."""
    widths = (16, 32, 64) if grid.ndim == 2 else (24, 48, 96)
    return UNet(inputs, outputs, grid, widths, blocks=1)


def dilated_resnet(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """Blocks between pointwise layers (K. Stachenfeld et al., ICLR 2022, arXiv:2112.15275; norms of arXiv:2209.15616).

    Four on a line; three on a plane, where they cost more than any other peer.
    """
    width, blocks, point = (16, 3, nn.Conv2d) if grid.ndim == 2 else (32, 4, nn.Conv1d)
    into = (point(inputs, width, 1), nn.GELU(), point(width, width, 1), nn.GELU())
    out = (point(width, width, 1), nn.GELU(), _silent(point(width, outputs, 1)))
    return nn.Sequential(*into, *(Dilated(grid, width) for _ in range(blocks)), *out)


def convnet(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """APEBench's "Conv;26;10;relu": ten hidden layers of 26 channels and a linear one (arXiv:2411.00180)."""
    layers: list[nn.Module] = []
    for before in (inputs, *[26] * 9):
        layers += [GridConv(grid, before, 26), nn.ReLU()]
    return nn.Sequential(*layers, _silent(GridConv(grid, 26, outputs)))


def vit(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """A plain Vision Transformer (arXiv:2010.11929): patches of 4, positions by waves, linear ends, no distances."""
    config = ModelConfig(
        preset="mini", patch=(4,) * grid.ndim, width=128, depth=4, heads=4, bias="none", position="sincos"
    )
    return ViT(config, grid, inputs, outputs)


def fno(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """Z. Li et al., ICLR 2021, arXiv:2010.08895, as neuraloperator makes it: four layers of 12 waves of either sign.

    A width of 24, on a line 8: APEBench's "FNO;12;8;4".
    """
    from neuralop.models.fno import FNO

    return Operator(FNO(**_operator(inputs, outputs, grid, 24, 8)))


def tfno(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """The FNO with a tenth of the weights at a width, by Tucker's factors (J. Kossaifi et al., arXiv:2310.00120)."""
    from neuralop.models.fno import TFNO

    return Operator(TFNO(**_operator(inputs, outputs, grid, 24, 16)))


def local_no(inputs: int, outputs: int, grid: Grid) -> nn.Module:
    """The FNO with differences, and on planes local integrals, beside its waves.

    M. Liu-Schiaffini et al., ICML 2024, arXiv:2402.16845.
    """
    from neuralop.models.local_no import LocalNO

    network = LocalNO(
        **_operator(inputs, outputs, grid, 16, 8),
        default_in_shape=grid.shape,
        disco_layers=grid.ndim == 2,
        domain_length=[
            float(cells) for cells in grid.shape
        ],  # cells of width one: integrals over those beside
    )
    for near in (network.local_no_blocks.local_convs, network.local_no_blocks.differential):
        for place, layer in enumerate(near):
            near[place] = Continued(grid, layer)
    return Operator(network)


def _operator(inputs: int, outputs: int, grid: Grid, plane: int, line: int) -> dict[str, Any]:
    """What the operators of neuraloperator share, their width on a plane and on a line.

    Where all axes are periodic nothing tells them where they are, as it tells no other peer: their own way, ramps from
    0 to 1, has a seam. Walls they learn from ramps and padding.
    """
    return {
        "n_modes": (24,) * grid.ndim,
        "in_channels": inputs,
        "out_channels": outputs,
        "hidden_channels": plane if grid.ndim == 2 else line,
        "positional_embedding": None if all(grid.periodic) else "grid",
        "domain_padding": _beyond(grid),
    }


PEERS: dict[str, Factory] = {
    "fno": fno,
    "tfno": tfno,
    "local_no": local_no,
    "unet": unet,
    "dilated_resnet": dilated_resnet,
    "convnet": convnet,
    "vit": vit,
}
