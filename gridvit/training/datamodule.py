"""Training and validation pairs for Lightning."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
from torch.utils.data import DataLoader, Sampler

from gridvit.config import TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.samples import Pair, Pairs, shuffled, whole_batch


class EpochOrder(Sampler[int]):
    """A new order each epoch, from (seed, epoch) alone; Lightning calls ``set_epoch``."""

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed, self.epoch = length, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass belongs to."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        return iter(shuffled(self.length, self.seed, self.epoch))


class PairsModule(L.LightningDataModule):
    """Pairs (u(t), u(t + dt)) of the training and validation parts, in batches."""

    def __init__(self, train: Fields, validate: Fields, config: TrainingConfig) -> None:
        super().__init__()
        self.train, self.validate, self.config = Pairs(train), Pairs(validate), config

    def train_dataloader(self) -> DataLoader[Pair]:
        """Shuffled by (seed, epoch)."""
        return self._loader(self.train, EpochOrder(len(self.train), self.config.seed))

    def val_dataloader(self) -> DataLoader[Pair]:
        """In order."""
        return self._loader(self.validate, None)

    def _loader(self, pairs: Pairs, sampler: EpochOrder | None) -> DataLoader[Pair]:
        workers = self.config.workers
        return DataLoader(
            pairs,
            batch_size=self.config.batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=whole_batch,  # type: ignore[arg-type]
        )
