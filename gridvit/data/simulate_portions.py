"""Trajectories on their way to a file: solved by several processes, kept as they come, joined at the end."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from math import ceil
from pathlib import Path
from typing import Any

import dask
import dask.array
import numpy as np
import torch

from gridvit import __version__
from gridvit.config import SimulateConfig
from gridvit.data.simulate import batches, dataset, frame_shape, prepared, solve
from gridvit.data.simulate_files import refuse_existing, remove, write
from gridvit.errors import InputError

PORTIONS = 256  # files at most: all are open while they are joined
CONFIG = "simulation.json"
EMPTY = np.empty(0, dtype=np.float32)
Portion = list[tuple[int, int]]
"""Batches (first, count) of trajectories that are kept in one file."""
Progress = Callable[[int, int], None]
"""(trajectories solved, of all)."""


def simulate_to(
    config: SimulateConfig,
    path: str | os.PathLike[str],
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """The dataset of ``simulate`` as a NetCDF file or a Zarr store, never whole in memory.

    Trajectories are solved ``workers`` portions at a time into a hidden folder beside ``path``. The same call goes
    on where one was interrupted, and its file is the same to the last bit; the portions depend on the
    configuration alone, not on the number of workers. While they are joined they take their space twice.

    Raises:
        InputError: as ``simulate`` and ``refuse_existing``; an interrupted simulation of another configuration
            under this name.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    config = prepared(config)
    folder, portions = _claim(config, path, overwrite), _portions(config)
    try:
        done = 0
        for count in _solved(config, folder, portions):
            done += count
            if progress:
                progress(done, config.samples)
    except InputError:
        remove(folder)  # it would blow up again
        raise
    arrays = [_Kept(_file(folder, portion), (_size(portion), *frame_shape(config))) for portion in portions]
    lazy = [dask.array.from_array(a, (1, -1, 1, *config.shape), name=False, meta=EMPTY) for a in arrays]
    with dask.config.set(scheduler="synchronous"):  # in order, so that files are alike
        write(dataset(config, dask.array.concatenate(lazy)), path, overwrite)
    remove(folder)
    return path


def _claim(config: SimulateConfig, path: Path, overwrite: bool) -> Path:
    """The folder of the portions; what another configuration left there is refused, or removed when told to."""
    folder = path.with_name(f".{path.name}.parts")
    wanted = json.loads(json.dumps({**asdict(config), "workers": None, "version": __version__}))
    known = folder / CONFIG
    found = json.loads(known.read_text()) if known.is_file() else wanted
    if found != wanted:
        if not overwrite:
            differ = sorted(key for key in wanted if found.get(key) != wanted[key])
            raise InputError(
                f"the options of the simulation that was interrupted on its way to {path}",
                f"others for {', '.join(differ)}",
                "repeat them to go on with it, choose another name, or add --overwrite to begin anew",
            )
        remove(folder)
    folder.mkdir(parents=True, exist_ok=True)
    _replaced(known, lambda temporary: temporary.write_text(json.dumps(wanted)))
    return folder


def _portions(config: SimulateConfig) -> list[Portion]:
    every = batches(config)
    size = ceil(len(every) / PORTIONS)
    return [every[k : k + size] for k in range(0, len(every), size)]


def _solved(config: SimulateConfig, folder: Path, portions: list[Portion]) -> Iterator[int]:
    """Solve what is not there yet; yields numbers of trajectories as they are ready."""
    missing = [portion for portion in portions if not _file(folder, portion).is_file()]
    yield sum(_size(portion) for portion in portions if portion not in missing)
    if config.workers == 1 or len(missing) < 2:
        for portion in missing:
            yield _solve(config, portion, folder)
        return
    # A forked process would inherit the locks of the threads of torch.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(config.workers, len(missing)), context, _begin_worker)
    try:
        for future in as_completed([pool.submit(_solve, config, portion, folder) for portion in missing]):
            yield future.result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _begin_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # an interrupt ends it without a word
    torch.set_num_threads(1)


def _solve(config: SimulateConfig, portion: Portion, folder: Path) -> int:
    start, size = portion[0][0], _size(portion)

    def fill(temporary: Path) -> None:
        kept = _Kept(temporary, (size, *frame_shape(config)))
        np.lib.format.open_memmap(temporary, mode="w+", dtype=kept.dtype, shape=kept.shape)
        for first, count in portion:
            for k, frame in enumerate(solve(config, first, count)):
                kept[first - start : first - start + count, k] = frame

    _replaced(_file(folder, portion), fill)
    return size


@dataclass(frozen=True)
class _Kept:
    """An array in a file, mapped anew for every access: what was read or written stays in no memory of ours.

    dask would copy a mapped array whole.
    """

    path: Path
    shape: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype:
        return EMPTY.dtype

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, index: Any) -> np.ndarray:
        return np.array(np.load(self.path, mmap_mode="r")[index])

    def __setitem__(self, index: Any, values: np.ndarray) -> None:
        np.load(self.path, mmap_mode="r+")[index] = values


def _replaced(path: Path, make: Callable[[Path], object]) -> None:
    """A file that is there whole or not at all."""
    temporary = path.with_suffix(".partial")
    make(temporary)
    os.replace(temporary, path)


def _size(portion: Portion) -> int:
    return sum(count for _, count in portion)


def _file(folder: Path, portion: Portion) -> Path:
    return folder / f"{portion[0][0]:08d}.npy"
