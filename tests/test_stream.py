"""Streamed windows: each once an epoch, whatever the chunks, ranks and workers; errors and an end to the thread."""

from __future__ import annotations

import re
import threading
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.config import DataConfig
from gridvit.data.choices import open_chosen
from gridvit.data.fields import Fields, stored
from gridvit.data.samples import Batch
from gridvit.data.sharing import run_edges
from gridvit.data.stored import Stored, pieces
from gridvit.data.stream import Stream, StreamLoader
from gridvit.errors import InputError

KIB = 2**10


def numbered(times: int, samples: int = 0, space: tuple[int, int] = (5, 7)) -> xr.Dataset:
    """Two variables whose every value tells its sample, time and cell; latitude descends, longitude starts at 180."""
    shape = (*((samples,) if samples else ()), times, *space)
    dims = (*(("sample",) if samples else ()), "time", "lat", "lon")
    values = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(times) * np.timedelta64(6, "h"),
        "lat": ("lat", np.linspace(80, -80, space[0]), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(space[1]) * 360 / space[1] - 180, {"units": "degrees_east"}),
    }
    return xr.Dataset({"a": (dims, values), "b": (dims, -values)}, coords)


def write(ds: xr.Dataset, path: Path, chunk: int, block: int = 1) -> Path:
    shape = [{"time": chunk, "sample": block}.get(str(d), n) for d, n in ds["a"].sizes.items()]
    name = "chunks" if path.suffix == ".zarr" else "chunksizes"
    encoding = {v: {name: tuple(shape)} for v in ("a", "b")}
    if path.suffix == ".zarr":
        ds.to_zarr(path, encoding=encoding, zarr_format=2, consolidated=True)
    else:
        ds.to_netcdf(path, encoding={v: {**e, "zlib": True} for v, e in encoding.items()})
    return path


def opened(path: Path, stride: int = 1) -> Fields:
    data = DataConfig(path=str(path), stride=stride)
    return stored(open_chosen(data, direct=True), data)


def windows(batches: list[Batch], fields: Fields, offsets: tuple[int, ...]) -> Counter[int]:
    """How often each window came; every frame of it must be that of its time."""
    whole, found = fields.array, Counter[int]()
    place = {
        float(u.flat[0]): divmod(i, whole.shape[1]) for i, u in enumerate(whole.reshape(-1, *whole.shape[2:]))
    }
    for batch in batches:
        for frames, time in zip(batch.frames.numpy(), batch.time.numpy(), strict=True):
            sample, first = place[float(frames[0].flat[0])]
            start = first - offsets[0]
            assert time == fields.seconds[start]
            np.testing.assert_array_equal(frames, whole[sample, [start + k for k in offsets]])
            found[sample * whole.shape[1] + start] += 1
    return found


@pytest.mark.parametrize("suffix", [".zarr", ".nc"])
@pytest.mark.parametrize(
    ("times", "samples", "chunk", "block", "stride", "offsets", "buffer"),
    [
        (101, 0, 1, 1, 1, (0, 1), 64),
        (101, 0, 7, 1, 1, (0, 1), 40),
        (101, 0, 7, 1, 3, (0, 1), 40),
        (101, 0, 16, 1, 1, (-2, 0, 3), 64),
        (101, 0, 101, 1, 1, (-1, 0, 1), 512),
        (11, 5, 4, 2, 1, (0, 2), 64),
        (97, 3, 10, 1, 1, (0, 1), 48),
    ],
)
def test_every_window_comes_once(
    tmp_path: Path, suffix: str, times: int, samples: int, chunk: int, block: int, stride: int,
    offsets: tuple[int, ...], buffer: int,
) -> None:  # fmt: skip
    path = write(numbered(times, samples), tmp_path / f"f{suffix}", chunk, block)
    fields = opened(path, stride)
    part = fields.select(slice(3 if not samples else 0, None), "time")
    stream = Stream(part, offsets, 6, buffer * KIB)
    orders = []
    for epoch in (0, 1):
        stream.set_epoch(epoch)
        batches = list(stream)
        found = windows(batches, part, offsets)
        span = offsets[-1] - offsets[0]
        assert len(found) == part.n_samples * (part.n_times - span)
        assert set(found.values()) == {1}
        assert len(batches) == len(stream)
        assert all(len(batch.time) == 6 for batch in batches[:-1])
        orders.append(torch.cat([batch.frames[:, 0, 0, 0, 0] for batch in batches]).tolist())
    assert orders[0] != orders[1]
    stream.set_epoch(0)
    assert torch.cat([batch.frames[:, 0, 0, 0, 0] for batch in stream]).tolist() == orders[0]


def test_two_ranks_of_three_workers_share_the_windows(tmp_path: Path) -> None:
    fields = opened(write(numbered(103), tmp_path / "f.zarr", 7))
    found: Counter[int] = Counter()
    counts = []
    for rank in range(2):
        with warnings.catch_warnings():
            warnings.filterwarnings(
                "ignore", "This DataLoader will create 3 worker processes"
            )  # on two cores
            batches = list(StreamLoader(Stream(fields, (0, 1), 5, 40 * KIB, rank=(rank, 2)), workers=3))
        found += windows(batches, fields, (0, 1))
        counts.append([len(batch.time) for batch in batches])
    assert len(found) == 102
    assert set(found.values()) == {1}
    assert len(counts[0]) == len(counts[1]) == 21  # as many steps as one process would make of 102 windows
    assert sorted({n for each in counts for n in each}) == [2, 3]


def test_too_few_windows_for_the_processes_are_refused() -> None:
    with pytest.raises(InputError) as caught:
        run_edges(2, 1, 0, 3)
    assert str(caught.value) == (
        "expected at least 3 windows in each part for 3 processes, got 2: train on fewer devices"
    )


def test_a_buffer_below_a_chunk_is_refused_with_what_would_do(tmp_path: Path) -> None:
    fields = opened(write(numbered(64, space=(32, 32)), tmp_path / "f.zarr", 32))
    sentence = (
        r"expected data.buffer of at least 0.00\d+ GiB beside a batch, for chunks of 32 times, got 0.000\d+ GiB: "
        r"enlarge it, take a smaller batch, or rewrite the file: gridvit rechunk"
    )
    with pytest.raises(InputError, match=sentence):
        Stream(fields, (0, 1), 4, 512 * KIB)


def truncated(path: Path, variable: str = "b", chunk: int = 7) -> Path:
    """Half of a chunk of a Zarr store is lost; its name is returned."""
    found = path / variable / f"{chunk}.0.0"
    found.write_bytes(found.read_bytes()[: found.stat().st_size // 2])
    return found


@pytest.mark.parametrize("workers", [0, 1])
def test_a_truncated_chunk_stops_the_epoch_and_is_named(tmp_path: Path, workers: int) -> None:
    path = write(numbered(100, space=(16, 16)), tmp_path / "f.zarr", 7)
    truncated(path)
    stream = Stream(opened(path), (0, 1), 5, 128 * KIB)
    came: list[Batch] = []
    with pytest.raises(InputError) as caught:
        came.extend(StreamLoader(stream, workers))
    found = re.fullmatch(
        r"expected readable values of 'b' in (\S+) from (\S+) to (\S+), got RuntimeError \(.*\): write or download the "
        r"file again; a run that it stopped then goes on with the same command", str(caught.value)
    )  # fmt: skip
    assert found
    assert found[1] == str(path)
    assert (
        np.datetime64(found[2]) <= np.datetime64("2001-01-13T06") <= np.datetime64(found[3])
    )  # 49 times 6 h
    assert 0 < len(came) < len(stream)


def test_the_reading_thread_ends_with_the_iterator(tmp_path: Path) -> None:
    others = readers()  # of streams that stopped in their middle and are held in a traceback
    stream = Stream(opened(write(numbered(200), tmp_path / "f.zarr", 7)), (0, 1), 5, 40 * KIB)
    batches = iter(stream)
    next(batches)
    assert len(readers() - others) == 1
    del batches
    assert not readers() - others
    list(stream)
    assert not readers() - others


def readers() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if thread.name.startswith("gridvit-reader")}


@pytest.mark.parametrize(
    ("order", "count"),
    [(range(7), 1), (range(6, -1, -1), 1), ([4, 5, 6, 0, 1, 2, 3], 2), ([0, 2, 1, 5, 3, 4], 1)],
)
def test_an_order_of_cells_is_few_copies(order: list[int], count: int) -> None:
    order = np.array(order)
    found, u = np.empty(len(order)), np.arange(20.0, 20.0 + len(order))
    for to, where in pieces(order):
        found[to] = u[where]
    np.testing.assert_array_equal(found, u[order])
    assert len(pieces(order)) == count


def test_a_part_that_is_stored_reads_as_the_array(tmp_path: Path) -> None:
    fields = opened(write(numbered(40, samples=3), tmp_path / "f.nc", 7), stride=2)
    whole, part = fields.array, fields.values[1:, 3:17, 1:]
    assert isinstance(part, Stored)
    assert part.shape == (2, 14, 1, 5, 7)
    assert part.nbytes == part.read().nbytes
    np.testing.assert_array_equal(part.read(), whole[1:, 3:17, 1:])
    np.testing.assert_array_equal(part.read(slice(0, 1), slice(2, 5)), whole[1:2, 5:8, 1:])
    with pytest.raises(
        InputError, match="slices of samples, times and variables, got .*: read a block of them"
    ):
        part[:, :, :, slice(0, 1)]
