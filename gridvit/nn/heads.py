"""What can be read off a network's tokens beside increments of fields: classes, indices, things and their places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.hidden import Features, chosen_layers
from gridvit.nn.tokens import Patches
from gridvit.nn.vit import ViT


class Headed(nn.Module):
    """head(tokens of ``network`` after ``layer``): what takes the place of the decoder of fields.

    Args:
        network: trained or not; its own decoder and skip are not used.
        head: of ``Features``; it starts at zero.
        layer: as for ``ViT.features``.

    Raises:
        InputError: a layer that there is not, a head for tokens of another width.
    """

    def __init__(self, network: ViT, head: Head, layer: int = -1) -> None:
        super().__init__()
        width = network.config.width
        if head.width != width:
            raise InputError(
                f"a head for tokens of width {width}", str(head.width), "give it the network's config.width"
            )
        if isinstance(head, Pooled) and head.pool == "cls" and not network.config.registers:
            raise InputError(
                'a register to be the class token of pool "cls"',
                "model.registers 0",
                'set model.registers to 1, or take pool "mean"',
            )
        self.network, self.head = network, head
        self.layer = chosen_layers([layer], network.config.depth)[0]

    def forward(
        self,
        x: Float[Tensor, "batch input *space"],
        condition: Float[Tensor, "batch condition"] | None = None,
    ) -> Tensor | Detected:
        """What the head makes of the tokens; ``condition`` as for the network."""
        return self.head(self.network.features(x, [self.layer], condition)[0])


class Classes(nn.Module):
    """Logits (B, classes, *space) of every cell: a linear function of the normed token that the cell is in.

    Args:
        patches: of the network, ``network.patches``.
        width: of the tokens.
        classes: at least 2.
    """

    def __init__(self, patches: Patches, width: int, classes: int) -> None:
        super().__init__()
        _at_least(2, classes, "classes of a cell")
        self.patches, self.width, self.classes = patches, width, classes
        self.read = _reader(width, classes * patches.cells)

    def forward(self, features: Features) -> Float[Tensor, "batch class *space"]:
        """Logits."""
        return self.patches.assemble(self.read(features.patches), self.classes)


class Pooled(nn.Module):
    """(B, outputs) logits of classes of a state, or indices in units of one's own: linear in one normed vector.

    Args:
        width: of the tokens.
        outputs: numbers for a state.
        pool: "mean" over the tokens by the area that has values, or "cls", the first register.
    """

    def __init__(self, width: int, outputs: int, pool: str = "mean") -> None:
        super().__init__()
        _at_least(1, outputs, "outputs")
        if pool not in ("mean", "cls"):
            raise InputError('pool "mean" or "cls"', repr(pool), "correct it")
        self.width, self.pool = width, pool
        # The mean is taken of normed tokens, so that it stays linear in what each of them says.
        self.norm, self.read = nn.LayerNorm(width), _zero(nn.Linear(width, outputs))

    def forward(self, features: Features) -> Float[Tensor, "batch output"]:
        """Numbers."""
        if self.pool == "cls":
            return self.read(self.norm(features.cls))
        return self.read(features.average(self.norm(features.patches)))


@dataclass(frozen=True, eq=False)
class Detected:
    """presence: (B, token) logit of a thing whose centre is in the token. offset: (B, token, axis), see ``located``."""

    presence: Float[Tensor, "batch token"]
    offset: Float[Tensor, "batch token axis"]


class Detection(nn.Module):
    """Of each token whether a thing has its centre in it, and where: offset = tanh(z) / 2 in units of the token.

    Args:
        grid: of the tokens, with straight axes.
        width: of the tokens.
    """

    def __init__(self, grid: Grid, width: int) -> None:
        super().__init__()
        _straight(grid)
        self.width = width
        self.read = _reader(width, 1 + grid.ndim)

    def forward(self, features: Features) -> Detected:
        """Logits and offsets."""
        found = self.read(features.patches)
        return Detected(found[..., 0], torch.tanh(found[..., 1:]) / 2)


Head = Classes | Pooled | Detection
HEADS = ("segmentation", "classification", "detection")


def make_head(kind: str, classes: int, network: ViT) -> Head:
    """Of one of ``HEADS``: ``classes`` of each cell, or of a state; things, one at most in each token."""
    width = network.config.width
    if kind == "segmentation":
        return Classes(network.patches, width, classes)
    if kind == "classification":
        return Pooled(width, classes, "cls" if network.config.registers else "mean")
    return Detection(network.patches.tokens, width)


def passed_by(network: ViT) -> list[nn.Module]:
    """What the tokens that a head reads do not go through: the way back to the cells."""
    back = [part for level in network.levels for part in (level.up, level.split)]
    return [*back, network.norm, network.decode, network.skip]


def located(offset: Float[Tensor, "batch token axis"], grid: Grid) -> Float[Tensor, "batch token axis"]:
    """x = x_low + (1/2 + offset) (x_high - x_low) of each token, in the units of the axes.

    Longitudes are in [0, 360); a coordinate along another periodic axis is within the bounds of the grid.

    Args:
        offset: in (-1/2, 1/2).
        grid: of the tokens.
    """
    low, width = (torch.from_numpy(each).to(offset) for each in _edges(grid))
    return _wrapped(low + (0.5 + offset) * width, grid)


def placed(
    positions: Float[Tensor, "*lead axis"], grid: Grid
) -> tuple[Int[Tensor, "*lead"], Float[Tensor, "*lead axis"]]:
    """The token in which a position lies, and its offset there: the inverse of ``located``.

    Positions along a periodic axis may lie anywhere on it (-10 is 350 degrees east).

    Raises:
        InputError: a position outside a bounded axis.
    """
    _straight(grid)
    flat = np.asarray(positions.detach().cpu().double())
    index, offsets = [], []
    for axis, edges in enumerate(grid.bounds):
        x = flat[..., axis]
        if grid.periodic[axis]:
            x = edges[0] + (x - edges[0]) % (edges[-1] - edges[0])
        _inside(x, edges, grid.names[axis])
        n = np.clip(np.searchsorted(edges, x, side="right") - 1, 0, len(edges) - 2)
        index.append(n)
        offsets.append((x - edges[n]) / (edges[n + 1] - edges[n]) - 0.5)
    tokens = torch.from_numpy(np.ravel_multi_index(tuple(index), grid.shape))
    return tokens.to(positions.device), torch.from_numpy(np.stack(offsets, -1)).to(positions)


def _inside(x: np.ndarray, edges: np.ndarray, name: str) -> None:
    if x.size and (x.min() < edges[0] or x.max() > edges[-1]):
        wrong = x.min() if x.min() < edges[0] else x.max()
        raise InputError(
            f"positions along {name} from {edges[0]:g} to {edges[-1]:g}", f"{wrong:g}", "leave it out"
        )


def _edges(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Lower edge and width ``(token, axis)`` of every token."""
    index = np.indices(grid.shape).reshape(grid.ndim, -1)
    low = [edges[n] for edges, n in zip(grid.bounds, index, strict=True)]
    width = [np.diff(edges)[n] for edges, n in zip(grid.bounds, index, strict=True)]
    return np.stack(low, -1), np.stack(width, -1)


def _wrapped(x: Tensor, grid: Grid) -> Tensor:
    """Longitudes in [0, 360)."""
    if not (grid.is_latlon and grid.periodic[1]):
        return x
    east = x[..., 1:] % 360.0
    return torch.cat([x[..., :1], torch.where(east < 360.0, east, 0.0)], -1)  # -1e-9 % 360 rounds to 360


def _straight(grid: Grid) -> None:
    if grid.mesh is not None:
        raise InputError(
            "straight axes for offsets within a token", grid.describe(), "detect on a regular grid"
        )


def _at_least(least: int, number: int, what: str) -> None:
    if number < least:
        raise InputError(f"at least {least} {what}", str(number), "correct it")


def _reader(width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.LayerNorm(width), _zero(nn.Linear(width, outputs)))


def _zero(linear: nn.Linear) -> nn.Linear:
    """A start of no preference."""
    for start in (linear.weight, linear.bias):
        nn.init.zeros_(start)
    return linear
