"""Whether the fields are read into memory or streamed, said aloud, and the reading with a bar of progress."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import xarray as xr

from gridvit.config import DataConfig
from gridvit.data.blocks import cut
from gridvit.data.choices import open_chosen
from gridvit.data.fields import Fields, stored
from gridvit.data.progress import progress
from gridvit.data.rounds import GIB
from gridvit.data.stored import Stored

log = logging.getLogger("gridvit")
SHARE = 0.5  # of the free memory that the fields may take


def open_fields(source: xr.Dataset | None, data: DataConfig) -> Fields:
    """The fields that ``data`` names (or those of an open Dataset), in memory or streamed as ``data.loading`` says.

    "auto" takes memory where they need at most half of what is free; the log says which, and why.

    Raises:
        InputError: what ``load`` refuses; of values that are streamed, when they are read.
    """
    ds = open_chosen(data, source, direct=True)
    try:
        fields = stored(ds, data)
        need, free = fields.values.nbytes, free_memory()
        streams = need > SHARE * free if data.loading == "auto" else data.loading == "stream"
        if streams or need > SHARE * free:
            why = f"{need / GIB:.3g} GiB of fields, {free / GIB:.3g} GiB of memory free"
            log.info("%s (data.loading %s: %s)", "streaming" if streams else "in memory", data.loading, why)
        if streams:
            return fields
        found = in_memory(fields)
    except BaseException:
        ds.close()
        raise
    ds.close()
    return found


def in_memory(fields: Fields) -> Fields:
    """The fields with their values read, block by block."""
    values = fields.values
    if not isinstance(values, Stored):
        return fields
    wanted, found = cut(values), np.empty(values.shape, dtype=np.float32)
    for samples, times in progress(wanted, "reading", len(wanted)):
        values.read(samples, times, found[samples, times])
    return replace(fields, values=found)


def within(fields: Fields, memory: float | int, what: str) -> Fields:
    """The last times of a part that take at most ``memory`` bytes, read; the log says where that is not all."""
    if not isinstance(fields.values, Stored):
        return fields
    fit = max(2, int(memory // (fields.n_samples * fields.values.frame_bytes)))
    if fit < fields.n_times:
        log.info("%s: the last %d of %d times, which fit in data.buffer", what, fit, fields.n_times)
        fields = fields.select(slice(fields.n_times - fit, None), "time")
    return in_memory(fields)


def free_memory() -> int:
    """Bytes that this process may still take: what the machine has free, or less where a control group says so."""
    found = [_meminfo(), _left("memory.max", "memory.current", Path("/sys/fs/cgroup"))]
    found.append(_left("memory.limit_in_bytes", "memory.usage_in_bytes", Path("/sys/fs/cgroup/memory")))
    return min(known for known in found if known is not None)


def _meminfo() -> int:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration):  # no Linux
        import os

        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _left(limit: str, used: str, root: Path) -> int | None:
    """What a control group leaves, here and in the groups around it; None where there is no limit."""
    group = next((line.rpartition(":")[2] for line in _lines("/proc/self/cgroup")), "/")
    found = []
    folder = root / group.lstrip("/")
    while folder == root or root in folder.parents:
        limits, uses = _lines(str(folder / limit)), _lines(str(folder / used))
        if limits and limits[0].isdigit() and uses:
            found.append(max(0, int(limits[0]) - int(uses[0])))
        folder = folder.parent
    return min(found, default=None)


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().split()
    except OSError:
        return []
