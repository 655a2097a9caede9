"""Who gets which windows of an epoch: batches as intervals of its order, and those of each rank and worker."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from gridvit.errors import InputError


def batch_edges(windows: int, size: int, ranks: int = 1) -> Int[np.ndarray, " edges"]:
    """Batch i is windows ``[e_i, e_{i+1})`` of the order; every window is in one batch, and none is larger than size.

    One rank has full batches and what is left. Several have the same number of batches each, of sizes that differ by
    at most one, since their gradients are averaged with equal weights and each waits for all others.

    Raises:
        InputError: fewer windows than such batches.
    """
    if ranks == 1:
        return np.array([*range(0, windows, size), windows])
    batches = ranks * -(-windows // (size * ranks))
    if batches > windows:
        raise InputError(
            f"at least {batches} windows for {ranks} processes in batches of {size}",
            str(windows),
            "train with fewer processes or larger batches",
        )
    return np.arange(batches + 1) * windows // batches


def share(edges: Int[np.ndarray, " edges"], part: int, parts: int) -> Int[np.ndarray, " some"]:
    """The edges of the batches of one of ``parts``: a contiguous run, counts that differ by at most one."""
    batches = len(edges) - 1
    return edges[batches * part // parts : batches * (part + 1) // parts + 1]


def turns(counts: Sequence[int]) -> list[int]:
    """Whose batch comes when: workers take turns, and one that has none left is passed over."""
    return [worker for turn in range(max(counts, default=0)) for worker, n in enumerate(counts) if turn < n]
