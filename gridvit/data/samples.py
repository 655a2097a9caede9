"""Pairs of consecutive states as a torch dataset that makes whole batches at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from gridvit.data.fields import Fields
from gridvit.data.windows import windows


class Pair(NamedTuple):
    """u(t), u(t + dt) and t: ``(B, C, *space)`` twice and ``(B,)`` seconds (or PDE time units) in float64."""

    state: Float[Tensor, "batch variable *space"]
    following: Float[Tensor, "batch variable *space"]
    time: Float[Tensor, "batch"]


class Pairs(Dataset[Pair]):
    """Every (u(t), u(t + dt)) of a part of the data, within one trajectory and within the part.

    Item ``n`` is a batch of one; ``__getitems__`` makes a batch of many with one indexing operation, so that data
    in memory need no workers.
    """

    def __init__(self, fields: Fields) -> None:
        self.values = torch.from_numpy(fields.values)  # (S, T, C, *space)
        self.seconds = torch.from_numpy(fields.seconds)
        self.index = torch.from_numpy(windows(fields, 1))  # (window, 2): sample, start

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Pair:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Pair:
        sample, start = self.index[list(indices)].unbind(-1)
        return Pair(self.values[sample, start], self.values[sample, start + 1], self.seconds[start])


def whole_batch(pair: Pair) -> Pair:
    """Collate function: ``__getitems__`` has made the batch already."""
    return pair


def shuffled(length: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch: a function of seed and epoch alone, so that a resumed run repeats it."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(length, generator=generator).tolist()
