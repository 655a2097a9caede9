"""Values in order, block by block within a stated memory, the next one read meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np

from gridvit.data.stored import Stored

MIB = 2**20
BLOCK = 64 * MIB  # bytes: long enough that reading it, not asking for it, takes the time
Block = tuple[slice, slice]  # of samples and times


def cut(values: np.ndarray | Stored) -> list[Block]:
    """Blocks of about ``BLOCK`` bytes, of whole chunks, sample after sample and in time."""
    samples, times = values.shape[:2]
    chunks, phase = (values.chunks, values.phase) if isinstance(values, Stored) else ((1, 1), 0)
    one = chunks[0] * values.nbytes // max(1, samples * times)
    length = max(1, BLOCK // max(1, one * chunks[1])) * chunks[1]
    starts = [0, *(start for start in range(phase, times, length) if start), times]
    return [
        (slice(s, min(s + chunks[0], samples)), slice(first, last))
        for s in range(0, samples, chunks[0])
        for first, last in pairwise(starts)
    ]


def blocks(values: np.ndarray | Stored) -> Iterator[tuple[Block, np.ndarray]]:
    """Every block of ``cut`` and its values (s, t, V, *space), valid until the next but one is asked for.

    Raises:
        InputError: what ``Stored.read`` refuses.
    """
    wanted = cut(values)
    if not isinstance(values, Stored):
        yield from ((block, values[block]) for block in wanted)
        return
    longest = max((s.stop - s.start) * (t.stop - t.start) for s, t in wanted)
    spare = [np.empty((longest, *values.shape[2:]), np.float32) for _ in wanted[:2]]

    def read(i: int) -> np.ndarray:
        s, t = wanted[i]
        shape = (s.stop - s.start, t.stop - t.start)
        return values.read(s, t, spare[i % 2][: shape[0] * shape[1]].reshape(*shape, *values.shape[2:]))

    with ThreadPoolExecutor(1, "gridvit-reader") as reader:
        coming = reader.submit(read, 0)
        for i, block in enumerate(wanted):
            found = coming.result()
            if i + 1 < len(wanted):
                coming = reader.submit(read, i + 1)
            yield block, found
