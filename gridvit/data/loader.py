"""Batches for a training loop that can begin in the middle of an epoch, from memory or from a stream."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch.utils.data import DataLoader, Dataset

from gridvit.data.samples import Batch
from gridvit.errors import InputError

QUIET = (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT)
"""Signals that are sent to every process of a job, and that its first one answers."""


@runtime_checkable
class Source(Protocol):
    """What orders the batches of an epoch."""

    def __len__(self) -> int: ...

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass belongs to."""

    def begin_at(self, batch: int) -> None:
        """The batch that the next pass begins with."""

    @property
    def parts(self) -> tuple[int, ...]:
        """What else the order of batches depends on."""

    @property
    def standing_in(self) -> int | None:
        """The batch that this process has no window of, and gets one that does not count, if there is one."""


class Loader:
    """The batches of a source, prepared in this process or by workers.

    Lightning calls ``set_epoch`` of ``sampler``. A pass after ``go_on_from`` begins where ``position`` was taken; under
    the names that Lightning looks for, it would restore the position only where nobody had asked for the number of
    steps before. Nothing is drawn from torch's global random numbers, and workers never see the signals that end a run:
    the first process saves and lets them go. An error of a worker is raised here as what it is.

    Args:
        source: of the order.
        dataset: of the batches, or of the windows that ``source`` gives the indices of.
        workers: processes.
        options: of ``torch.utils.data.DataLoader``.
    """

    def __init__(self, source: Source, dataset: Dataset[Any], workers: int, **options: Any) -> None:
        self.sampler, self.batch_sampler, self.dataset = source, None, dataset
        self._next = self._done = 0
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_obey_the_parent if workers else None,
            generator=torch.Generator(),
            **options,
        )

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        self.sampler.begin_at(self._next)
        self._done, self._next = self._next, 0
        before = signal.pthread_sigmask(signal.SIG_BLOCK, QUIET)  # workers inherit it
        try:
            found = iter(self._loader)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for batch in found:
            if isinstance(batch, InputError):
                raise batch
            if self._done == self.sampler.standing_in:
                batch = batch._replace(counts=False)
            self._done += 1
            yield batch

    def position(self) -> dict[str, Any]:
        """How many batches of the epoch have been handed out, 0 at its end, and of which order."""
        return {"done": self._done % len(self), "parts": self.sampler.parts}

    def go_on_from(self, position: dict[str, Any]) -> None:
        """Begin the next pass after them.

        Raises:
            InputError: in the middle of an epoch whose order was another.
        """
        done = position["done"]
        if done and tuple(position["parts"]) != self.sampler.parts:
            was, now = (" and ".join(map(str, parts)) for parts in (position["parts"], self.sampler.parts))
            raise InputError(
                f"as many processes and workers ({was}) as the streamed epoch was begun with",
                now,
                "set them back: the order of its windows depends on them",
            )
        self._next = self._done = done


def _obey_the_parent(worker: int) -> None:
    """In a worker, where SIGTERM is blocked: take it from the process that owns the worker, and from no other."""
    if hasattr(signal, "sigwaitinfo"):
        threading.Thread(target=_end_when_told, name="gridvit-end", daemon=True).start()
    else:  # macOS does not say who sent a signal
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def _end_when_told() -> None:
    while signal.sigwaitinfo([signal.SIGTERM]).si_pid != os.getppid():
        pass
    os._exit(0)
