"""What a stream reads when: runs of successive chunks in shuffled order, several side by side."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gridvit.data.stored import Stored
from gridvit.errors import InputError

LANES = 4  # runs side by side that a buffer should hold before it holds longer pieces
PIECE = 64  # times to read at once, at least, where memory allows: many small chunks cost less together
RUN = 8  # pieces in a run, at least: its end decodes one chunk a second time
COPIES = 6  # of what is decoded at once: compressed, chunk and values, and what the allocator keeps of those before
GIB = 2.0**30


@dataclass(frozen=True)
class Piece:
    """Frames [first, last) of some samples; the first ``carried`` of them end the piece before it in its run."""

    samples: slice
    first: int
    last: int
    carried: int

    @property
    def size(self) -> int:
        """Samples."""
        return self.samples.stop - self.samples.start

    @property
    def frames(self) -> int:
        """Frames of all samples."""
        return self.size * (self.last - self.first)

    def windows(self, span: int) -> int:
        """Windows of ``span`` + 1 frames in it."""
        return self.size * max(0, self.last - self.first - span)


@dataclass(frozen=True)
class Round:
    """Pieces in memory at once, one of each lane or None; their windows begin at ``first`` in the epoch's order."""

    pieces: tuple[Piece | None, ...]
    first: int
    windows: int

    @property
    def frames(self) -> int:
        """Frames of all pieces."""
        return sum(piece.frames for piece in self.pieces if piece)


@dataclass(frozen=True)
class Rounds:
    """Runs of pieces, read ``lanes`` at a time: every window of ``span`` + 1 frames lies in one piece of one run."""

    runs: tuple[tuple[Piece, ...], ...]
    lanes: int
    span: int

    @classmethod
    def of(cls, values: Stored, span: int, memory: int) -> Rounds:
        """As many runs side by side, and as long pieces, as let two rounds and one decoding fit in ``memory`` bytes.

        Raises:
            InputError: not even one chunk fits.
        """
        sample, chunk = values.chunks
        per_time = sample * values.frame_bytes
        decoding = (
            COPIES
            * per_time
            // values.shape[2]
            * max(c.variable.dtype.itemsize for c in values.channels)
            // 4
        )

        def lanes(length: int) -> int:
            """Lanes of pieces of that length; the last of a run holds ``span`` more on both sides."""
            return (memory - decoding) // (2 * per_time * (length + 2 * span))

        if lanes(chunk) < 1:
            least = (2 * per_time * (chunk + 2 * span) + decoding) / GIB
            raise InputError(
                f"data.buffer of at least {least:.3g} GiB beside a batch, for chunks of {chunk} times",
                f"{max(0.0, memory / GIB):.3g} GiB",
                "enlarge it, take a smaller batch, or rewrite the file: gridvit rechunk",
            )
        n_times = values.shape[1]
        length = chunk * -(-max(PIECE, span + 1) // chunk)
        while length > chunk and lanes(length) < LANES:
            length -= chunk
        blocks = -(-values.shape[0] // sample)
        pieces = blocks * -(-n_times // length)
        count = int(max(1, min(lanes(length), max(LANES, pieces // RUN), pieces)))
        while lanes(2 * length) >= count and blocks * n_times > 2 * count * length:
            length *= 2
        run = max(1, min(2 * RUN, blocks * -(-n_times // length) // count))
        return cls(tuple(_runs(values, length, run, span)), count, span)

    @property
    def windows(self) -> int:
        """Of all runs."""
        return sum(piece.windows(self.span) for run in self.runs for piece in run)

    def shuffled(self, seed: Sequence[int]) -> list[Round]:
        """The rounds of an epoch: each lane goes on piece after piece, and takes the next run after its last."""
        order = np.random.default_rng(seed).permutation(len(self.runs))
        waiting = deque(self.runs[i] for i in order)
        lanes: list[deque[Piece]] = [deque() for _ in range(self.lanes)]
        rounds: list[Round] = []
        first = 0
        while waiting or any(lanes):
            for lane in lanes:
                if not lane and waiting:
                    lane.extend(waiting.popleft())
            pieces = tuple(lane.popleft() if lane else None for lane in lanes)
            windows = sum(piece.windows(self.span) for piece in pieces if piece)
            rounds.append(Round(pieces, first, windows))
            first += windows
        return rounds


def _runs(values: Stored, length: int, count: int, span: int) -> list[tuple[Piece, ...]]:
    """Runs of ``count`` pieces of ``length`` times, from one chunk's beginning to another's."""
    samples, times = values.shape[:2]
    block = values.chunks[0]
    starts = [*range(values.phase, times, length)]
    starts = [0, *(start for start in starts if start)]
    found = []
    for sample in range(0, samples, block):
        chosen = slice(sample, min(sample + block, samples))
        for i in range(0, len(starts), count):
            cuts = [*starts[i : i + count + 1], times][: count + 1]
            found.append(_run(chosen, cuts, times, span))
    return found


def _run(samples: slice, cuts: Sequence[int], times: int, span: int) -> tuple[Piece, ...]:
    """Pieces between the cuts; the last goes on to the end of the windows that begin before the last cut."""
    pieces: list[Piece] = []
    for first, last in pairwise(cuts):
        carried = min(span, pieces[-1].last - pieces[-1].first) if pieces else 0
        last = min(last + span, times) if last == cuts[-1] else last
        pieces.append(Piece(samples, first - carried, last, carried))
    return tuple(pieces)
