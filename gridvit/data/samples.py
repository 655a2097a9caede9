"""Windows of frames as a torch dataset that makes whole batches at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.data import Dataset

from gridvit.data.fields import Fields
from gridvit.data.windows import windows

PAIR = (0, 1)


class Batch(NamedTuple):
    """u(t + k dt) for each offset k, ``(B, F, V, *space)``, and t, ``(B,)`` seconds or PDE time units in float64.

    ``condition`` is ``(B, P)``, the parameters of each window's sample in float64; None where the data have none.
    ``counts`` is False of a window that stands in where a process has none, and takes part in nothing but the waiting.
    """

    frames: Float[Tensor, "batch frame variable *space"]
    time: Float[Tensor, "batch"]
    condition: Float[Tensor, "batch parameter"] | None = None
    counts: bool = True

    def to(self, device: torch.device) -> Batch:
        """The same there; Lightning, which asks for it, would otherwise look into the tuple at every step."""
        early = device.type == "cuda"
        own = None if self.condition is None else self.condition.to(device, non_blocking=early)
        frames, time = (each.to(device, non_blocking=early) for each in (self.frames, self.time))
        return Batch(frames, time, own, self.counts)


class Windows(Dataset[Batch]):
    """Every window of frames u(t + k dt), k in ``offsets``, of a part of the data, within one trajectory and the part.

    Item ``n`` is a batch of one; ``__getitems__`` makes a batch of many with one indexing operation, so that data
    in memory need no workers.

    Args:
        fields: the part.
        offsets: ascending steps from t; negative ones are history. (0, 1) is a state and the next.
    """

    def __init__(self, fields: Fields, offsets: Sequence[int] = PAIR) -> None:
        self.values = torch.from_numpy(fields.array)  # (S, T, V, *space)
        self.seconds = torch.from_numpy(fields.seconds)
        self.parameters = None if fields.parameters is None else torch.from_numpy(fields.parameters)
        self.offsets = torch.tensor(offsets)
        self.index = torch.from_numpy(
            windows(fields, offsets[-1] - offsets[0])
        )  # (window, 2): sample, first frame
        self.index[:, 1] -= offsets[0]

    def __len__(self) -> int:
        return len(self.index)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, indices: Sequence[int]) -> Batch:
        sample, start = self.index[list(indices)].unbind(-1)
        frames = self.values[sample[:, None], start[:, None] + self.offsets]
        own = None if self.parameters is None else self.parameters[sample]
        return Batch(frames, self.seconds[start], own)


def joined(parts: Sequence[Batch]) -> Batch:
    """The windows of some batches in one."""
    frames, times, own, _ = zip(*parts, strict=True)
    return Batch(torch.cat(frames), torch.cat(times), None if own[0] is None else torch.cat(own))


def whole_batch(batch: Batch) -> Batch:
    """Collate function: ``__getitems__`` has made the batch already."""
    return batch


def shuffled(length: int, seed: int, epoch: int) -> list[int]:
    """The order of an epoch: a function of seed and epoch alone, so that a resumed run repeats it."""
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    return torch.randperm(length, generator=generator).tolist()
