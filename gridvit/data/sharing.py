"""Who gets which windows of an epoch: batches as intervals of its order, and those of each process and worker.

``size`` is that of a step of the optimiser, whose batch the processes share.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from gridvit.errors import InputError


def batch_edges(windows: int, size: int) -> Int[np.ndarray, " edges"]:
    """Batch i is windows ``[e_i, e_{i+1})`` of the order: full batches, and what is left."""
    return np.array([*range(0, windows, size), windows])


def part_of(first: int, last: int, rank: int, ranks: int) -> tuple[int, int]:
    """The part of the windows ``[first, last)`` that one of ``ranks`` processes has; none where there are fewer."""
    count = last - first
    return first + count * rank // ranks, first + count * (rank + 1) // ranks


def run_edges(windows: int, size: int, rank: int, ranks: int) -> Int[np.ndarray, " edges"]:
    """Batch i of a process that has a contiguous run of the order to itself, as one that reads a stream must.

    One process has ``batch_edges``. Several have the same number of batches each, of sizes that differ by at most one
    and are never 0, so a step may have up to a window more of each process than ``size`` where that is small.

    Raises:
        InputError: fewer windows than processes.
    """
    if ranks == 1:
        return batch_edges(windows, size)
    if windows < ranks:
        raise InputError(
            f"at least {ranks} windows in each part for {ranks} processes",
            str(windows),
            "train on fewer devices",
        )
    first, last = part_of(0, windows, rank, ranks)
    steps = min(-(-windows // size), windows // ranks)
    return first + np.arange(steps + 1) * (last - first) // steps


def share(edges: Int[np.ndarray, " edges"], part: int, parts: int) -> Int[np.ndarray, " some"]:
    """The edges of the batches of one of ``parts``: a contiguous run, counts that differ by at most one."""
    batches = len(edges) - 1
    return edges[batches * part // parts : batches * (part + 1) // parts + 1]


def turns(counts: Sequence[int]) -> list[int]:
    """Whose batch comes when: workers take turns, and one that has none left is passed over."""
    return [worker for turn in range(max(counts, default=0)) for worker, n in enumerate(counts) if turn < n]
