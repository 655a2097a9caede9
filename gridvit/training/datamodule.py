"""Training and validation windows for Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

import lightning as L
from torch.utils.data import Sampler

from gridvit.config import TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.loader import Loader
from gridvit.data.measure import refuse_changed
from gridvit.data.samples import PAIR, Windows, shuffled, whole_batch
from gridvit.data.sharing import batch_edges, part_of
from gridvit.data.stored import Stored
from gridvit.data.stream import Stream, StreamLoader


class EpochBatches(Sampler[list[int]]):
    """The batches of an order from (seed, epoch) alone, new each epoch; in order without a seed.

    Of several processes each has its part of every batch. The order depends on nothing else, so a run may go on with
    other workers or on other devices.
    """

    parts = ()

    def __init__(self, length: int, size: int, seed: int | None, rank: tuple[int, int] = (0, 1)) -> None:
        self.length, self.seed, self.epoch, self.first = length, seed, 0, 0
        self.edges, self.rank = batch_edges(length, size), rank

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass belongs to."""
        self.epoch = epoch

    def begin_at(self, batch: int) -> None:
        """The batch that the next pass begins with."""
        self.first = batch

    def __len__(self) -> int:
        return len(self.edges) - 1

    def __iter__(self) -> Iterator[list[int]]:
        whole = range(self.length)
        order = list(whole) if self.seed is None else shuffled(self.length, self.seed, self.epoch)
        for first, last in pairwise(self.edges.tolist()[self.first :]):
            begin, end = part_of(first, last, *self.rank)
            yield order[begin:end] or order[first : first + 1]

    @property
    def standing_in(self) -> int | None:
        """The last batch, where it has fewer windows than there are processes, and none for this one."""
        first, last = self.edges[-2:].tolist()
        begin, end = part_of(first, last, *self.rank)
        return len(self) - 1 if begin == end else None


class Unchanged(L.Callback):
    """Files that stay on disk must be those that were measured, at the start of every epoch; else InputError."""

    def __init__(self, fingerprint: dict[str, Any], fields: Fields) -> None:
        self.fingerprint, self.fields = fingerprint, fields

    def on_train_epoch_start(self, trainer: L.Trainer, module: L.LightningModule) -> None:
        """Compare."""
        refuse_changed(self.fingerprint, self.fields)


class WindowsModule(L.LightningDataModule):
    """Windows of the training and validation parts, in batches: gathered from memory, or streamed.

    Args:
        train: the part that trains; ``validate`` the one that validates.
        config: batches, seed and workers.
        offsets: of the frames in a window.
        buffer: bytes that a stream may hold, of all processes and workers on a machine together.
    """

    def __init__(
        self,
        train: Fields,
        validate: Fields,
        config: TrainingConfig,
        offsets: Sequence[int] = PAIR,
        buffer: float | int = 2**30,
    ) -> None:
        super().__init__()
        self.train, self.validate, self.config = train, validate, config
        self.offsets, self.buffer = offsets, int(buffer)

    def train_dataloader(self) -> Loader:
        """Shuffled by (seed, epoch)."""
        return self._loader(self.train, self.config.seed)

    def val_dataloader(self) -> Loader:
        """In order where they are in memory."""
        return self._loader(self.validate, None)

    def _loader(self, fields: Fields, seed: int | None) -> Loader:
        size, workers = self.config.batch_size, self.config.workers
        rank = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if isinstance(fields.values, Stored):
            memory = self.buffer // max(1, workers) // self.config.devices
            stream = Stream(fields, self.offsets, size, memory, seed or 0, rank, fixed=seed is None)
            return StreamLoader(stream, workers)
        windows = Windows(fields, self.offsets)
        batches = EpochBatches(len(windows), size, seed, rank)
        return Loader(batches, windows, workers, batch_sampler=batches, collate_fn=whole_batch)
