"""Sums on a dask cluster: every task opens the files itself, reads its times and returns what merges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit.data.blocks import cut
from gridvit.data.progress import progress
from gridvit.data.stored import Stored
from gridvit.data.sums import Sums, summed
from gridvit.errors import InputError

JOBS = 4  # that SLURM is asked for, each as dask-jobqueue's own configuration describes it
SHARE = 4  # tasks for each worker, so that a slow one does not hold up the others for long


def summed_on(
    dask: str,
    values: Stored,
    areas: np.ndarray,
    leads: Sequence[int],
    design: Float[np.ndarray, "time term"],
) -> Sums:
    """``summed`` on the cluster at an address, or on jobs of SLURM.

    Raises:
        InputError: dask.distributed or dask-jobqueue is missing, no answer from the address, what ``summed`` refuses.
    """
    with _client(dask) as client:
        workers = max(1, len(client.scheduler_info()["workers"]))
        spans = _spans(values, SHARE * workers)
        tasks = client.map(
            _task, spans, values=values, areas=areas, leads=tuple(leads), design=design, pure=False
        )
        found: Sums | None = None
        for task in progress(tasks, "statistics", len(tasks)):
            part = task.result()
            found = part if found is None else _merged(found, part)
            task.release()
    assert found is not None
    return found


def _task(
    span: tuple[int, int], values: Stored, areas: np.ndarray, leads: tuple[int, ...], design: np.ndarray
) -> Sums:
    return summed(values, areas, leads, design, slice(*span))


def _merged(found: Sums, part: Sums) -> Sums:
    found += part
    return found


def _spans(values: Stored, count: int) -> list[tuple[int, int]]:
    """At most ``count`` runs of whole blocks."""
    starts = sorted({times.start for _, times in cut(values)})
    firsts = starts[:: -(-len(starts) // count)]
    return list(zip(firsts, [*firsts[1:], values.shape[1]], strict=True))


@contextmanager
def _client(dask: str) -> Iterator[Any]:
    try:
        from distributed import Client
    except ImportError:
        raise _missing("distributed", dask) from None
    if dask == "slurm":
        with _slurm() as cluster, Client(cluster) as client:
            cluster.scale(jobs=JOBS)
            client.wait_for_workers(1)
            yield client
        return
    try:
        client = Client(dask, timeout="10s")
    except OSError as error:
        raise InputError(
            f"a dask scheduler at {dask}", f"none ({type(error).__name__})", "start one: dask scheduler"
        ) from None
    with client:
        yield client


def _slurm() -> Any:
    try:
        from dask_jobqueue import SLURMCluster
    except ImportError:
        raise _missing("dask-jobqueue", "slurm") from None
    return SLURMCluster()


def _missing(package: str, dask: str) -> InputError:
    return InputError(f"the package {package} for data.dask {dask}", "none", "pip install 'gridvit[cluster]'")
