"""Shuffled windows from a file that is read in chunks, each about once an epoch, within a stated memory."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from gridvit.data.fields import Fields
from gridvit.data.loader import Loader
from gridvit.data.rounds import Round, Rounds
from gridvit.data.samples import Batch, joined
from gridvit.data.sharing import run_edges, share, turns
from gridvit.data.stored import Stored
from gridvit.errors import InputError

FREE = 3  # references to an array that is held by `Spare` alone: its list, the loop, the count's argument
BATCHES = 3  # that exist at once: one is made while the trainer holds another, and lets go of the one before


class Stream:
    """Batches of u(t + k dt), k in ``offsets``, in an order that is a function of (seed, epoch) alone.

    ``Rounds`` says what is read when. The windows of a round are shuffled and gathered from its frames by one index
    operation, while a thread reads the next round; it ends with the iterator. Of several processes each has a run of
    the order, and reads what that takes (``run_edges``).

    Args:
        fields: the part, its values ``Stored``.
        offsets: ascending steps from t; negative ones are history.
        batch_size: windows in a batch.
        buffer: bytes for this and the next round, a batch, and what decoding takes; of each process.
        seed: of the order.
        rank: of how many processes that train together.
        fixed: the same order in every epoch.

    Raises:
        InputError: a buffer below two chunks; while iterating what ``Stored.read`` refuses.
    """

    def __init__(
        self,
        fields: Fields,
        offsets: Sequence[int],
        batch_size: int,
        buffer: int,
        seed: int = 0,
        rank: tuple[int, int] = (0, 1),
        fixed: bool = False,
    ) -> None:
        assert isinstance(fields.values, Stored)
        self.values, self.seconds, self.offsets = (
            fields.values,
            torch.from_numpy(fields.seconds),
            tuple(offsets),
        )
        self.parameters = None if fields.parameters is None else torch.from_numpy(fields.parameters)
        span = offsets[-1] - offsets[0]
        own = -(-batch_size // rank[1]) + (rank[1] > 1)  # windows of a batch, at most
        batch = own * len(offsets) * self.values.frame_bytes
        self.rounds = Rounds.of(self.values, span, buffer - BATCHES * batch)
        self.edges = run_edges(self.rounds.windows, batch_size, *rank)
        self.seed, self.fixed = seed, fixed
        self.pools: list[Tensor] = []  # of two rounds, kept from epoch to epoch
        self.spare = Spare((own * len(offsets), *self.values.shape[2:]))
        self.ranks, self.workers = rank[1], 0
        # Of the next pass; workers that live on see them change.
        self.epoch, self.first = (torch.zeros(1, dtype=torch.int64).share_memory_() for _ in range(2))

    def __len__(self) -> int:
        return len(self.edges) - 1

    def set_epoch(self, epoch: int) -> None:
        """The epoch that the next pass belongs to."""
        self.epoch[0] = 0 if self.fixed else epoch

    def begin_at(self, batch: int) -> None:
        """The batch that the next pass begins with."""
        self.first[0] = batch

    @property
    def parts(self) -> tuple[int, ...]:
        """Processes, and workers of each: every one has its own share of the batches and of the memory."""
        return self.ranks, self.workers

    @property
    def standing_in(self) -> None:
        """Each process has windows of every batch."""

    def _mine(self) -> np.ndarray:
        """The edges of this process's batches from the first on.

        torch asks the workers in turn, from worker 0: so that stands in for the one whose turn it is.
        """
        worker, first = get_worker_info(), int(self.first)
        if worker is None:
            return self.edges[first:]
        shares = [share(self.edges, i, worker.num_workers) for i in range(worker.num_workers)]
        order = turns([len(edges) - 1 for edges in shares])
        me = (worker.id + (order[first] if first < len(order) else 0)) % worker.num_workers
        return shares[me][order[:first].count(me) :]

    def __iter__(self) -> Iterator[Batch]:
        edges = self._mine()
        if len(edges) < 2:
            return
        parts: list[Batch] = []
        batch = 0
        for held, pool in self._pools(int(edges[0]), int(edges[-1])):
            order = self._order(held)
            starts = pool.starts(self.rounds.span)
            last = held.first + held.windows
            while batch + 1 < len(edges) and edges[batch] < last:
                begin, end = max(int(edges[batch]), held.first), min(int(edges[batch + 1]), last)
                chosen = order[begin - held.first : end - held.first]
                parts.append(self._gathered(pool, *(each[chosen] for each in starts)))
                if edges[batch + 1] > last:
                    break  # its other windows are in the next round
                yield parts[0] if len(parts) == 1 else joined(parts)
                parts, batch = [], batch + 1

    def _order(self, held: Round) -> np.ndarray:
        """Of the windows of a round."""
        return np.random.default_rng((*self._seed, held.first)).permutation(held.windows)

    @property
    def _seed(self) -> tuple[int, int]:
        return self.seed, int(self.epoch)

    def _gathered(self, pool: Pool, places: np.ndarray, firsts: np.ndarray, samples: np.ndarray) -> Batch:
        """Windows that begin at those places of the pool, and at those times of those samples."""
        steps = torch.tensor(self.offsets) - self.offsets[0]
        wanted = (torch.from_numpy(places)[:, None] + steps).flatten()
        frames = self.spare.take()[: len(wanted)]
        torch.index_select(pool.frames, 0, wanted, out=frames)
        starts = torch.from_numpy(firsts) - self.offsets[0]
        own = None if self.parameters is None else self.parameters[torch.from_numpy(samples)]
        return Batch(frames.unflatten(0, (len(starts), len(steps))), self.seconds[starts], own)

    def _pools(self, begin: int, end: int) -> Iterator[tuple[Round, Pool]]:
        """The rounds that hold windows ``[begin, end)`` of the epoch's order, with their frames."""
        rounds = self.rounds.shuffled(self._seed)
        wanted = [r for r in rounds if r.first < end and r.first + r.windows > begin]
        size = max(r.frames for r in wanted)
        if not self.pools or len(self.pools[0]) < size:
            self.pools = [torch.empty(size, *self.values.shape[2:]) for _ in range(2)]
        pools = [Pool(self.values, r, self.pools[i % 2]) for i, r in enumerate(wanted)]
        with ThreadPoolExecutor(1, "gridvit-reader") as reader:  # leaving it waits for the read under way
            coming = reader.submit(pools[0].read, None)
            for i, pool in enumerate(pools):
                coming.result()
                if i + 1 < len(pools):
                    coming = reader.submit(pools[i + 1].read, pool)
                yield wanted[i], pool


class StreamLoader(Loader):
    """The batches of a stream, prepared in this process or by workers, which open the file themselves."""

    def __init__(self, stream: Stream, workers: int = 0) -> None:
        options: dict[str, Any] = {"multiprocessing_context": "spawn"} if workers else {}
        super().__init__(stream, _Carried(stream), workers, batch_size=None, **options)
        stream.workers = workers


class _Carried(IterableDataset[Batch | InputError]):
    """A stream whose error is its last item: between processes torch keeps the type of few errors."""

    def __init__(self, stream: Stream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[Batch | InputError]:
        try:
            yield from self.stream
        except InputError as error:
            yield error


class Spare:
    """Memory for a few batches of ``shape``, filled again once nothing else holds it: new memory is slow to touch."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape
        self.held: list[np.ndarray] = []

    def take(self) -> Tensor:
        """A tensor that no one else holds."""
        for array in self.held:
            if sys.getrefcount(array) == FREE:
                return torch.from_numpy(array)
        array = np.empty(self.shape, np.float32)
        if len(self.held) < BATCHES:
            self.held.append(array)
        return torch.from_numpy(array)


class Pool:
    """The frames of a round in memory, piece after piece and in it sample after sample."""

    def __init__(self, values: Stored, held: Round, frames: Tensor) -> None:
        self.values, self.held, self.frames = values, held, frames
        self.bases = np.cumsum([0, *(piece.frames if piece else 0 for piece in held.pieces)])

    def block(self, lane: int) -> np.ndarray:
        """The frames (s, t, V, *space) of a lane's piece."""
        piece = self.held.pieces[lane]
        flat = self.frames[self.bases[lane] : self.bases[lane + 1]].numpy()
        return flat.reshape(piece.size if piece else 1, -1, *flat.shape[1:])

    def read(self, before: Pool | None) -> None:
        """Fill it; the frames that a piece shares with the one ``before`` it in its lane are copied."""
        for lane, piece in enumerate(self.held.pieces):
            if piece is None:
                continue
            block, known = self.block(lane), piece.carried if before else 0
            if before and known:
                block[:, :known] = before.block(lane)[:, -known:]
            with still_there(self.values):
                self.values.read(piece.samples, slice(piece.first + known, piece.last), block[:, known:])

    def starts(self, span: int) -> tuple[np.ndarray, ...]:
        """Where each window of the round begins, in the pool and in time, and of which sample it is."""
        places, times, samples = ([np.empty(0, dtype=np.int64)] for _ in range(3))
        for base, piece in zip(self.bases, self.held.pieces, strict=False):
            if piece and piece.windows(span):
                length = piece.last - piece.first
                start = np.tile(np.arange(length - span), piece.size)
                places.append(base + start + np.repeat(np.arange(piece.size), length - span) * length)
                times.append(piece.first + start)
                samples.append(np.repeat(np.arange(piece.samples.start, piece.samples.stop), length - span))
        return tuple(map(np.concatenate, (places, times, samples)))


@contextmanager
def still_there(values: Stored) -> Iterator[None]:
    """What is read counts if the local files are there at its end: the chunks of a store that is gone have no values.

    Raises:
        InputError: one is gone.
    """
    try:
        yield
    finally:
        for name in sorted({channel.source for channel in values.channels if channel.source}):
            if "://" not in name and not Path(name).exists():
                raise InputError(
                    f"{name} as long as it is streamed",
                    "nothing there",
                    "put it back: the same command goes on",
                )
