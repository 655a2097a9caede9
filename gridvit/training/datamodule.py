"""Training and validation windows for Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import lightning as L
from torch.utils.data import DataLoader, Sampler

from gridvit.config import TrainingConfig
from gridvit.data.fields import Fields
from gridvit.data.samples import PAIR, Batch, Windows, shuffled, whole_batch


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


class WindowsModule(L.LightningDataModule):
    """Windows of the training and validation parts, in batches."""

    def __init__(
        self, train: Fields, validate: Fields, config: TrainingConfig, offsets: Sequence[int] = PAIR
    ) -> None:
        super().__init__()
        self.train, self.validate = Windows(train, offsets), Windows(validate, offsets)
        self.config = config

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled by (seed, epoch)."""
        return self._loader(self.train, EpochOrder(len(self.train), self.config.seed))

    def val_dataloader(self) -> DataLoader[Batch]:
        """In order."""
        return self._loader(self.validate, None)

    def _loader(self, windows: Windows, sampler: EpochOrder | None) -> DataLoader[Batch]:
        workers = self.config.workers
        return DataLoader(
            windows,
            batch_size=self.config.batch_size,
            sampler=sampler,
            num_workers=workers,
            persistent_workers=workers > 0,
            collate_fn=whole_batch,  # type: ignore[arg-type]
        )
