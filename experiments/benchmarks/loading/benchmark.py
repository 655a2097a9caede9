"""Streaming, statistics and xbatcher's random windows against a store's own sequential reading.

    python benchmark.py --data FOLDER [--repeats 5] [--only small] > table.md

Stores are made in FOLDER where they are missing. Every number is a ratio of two runs one after the other in one
process, their median over the repeats; each row is a fresh process, whose memory is sampled at its peak.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

GRIDS = {
    # name: latitudes, longitudes, variables, times made, copies of them in the store, MiB of buffer by times in a chunk
    "small": (32, 64, 5, 4096, 1, {1: 16, 64: 16}),
    "large": (241, 480, 3, 512, 6, {1: 400, 64: 600}),
}
BATCH = 8
WINDOWS = 24  # of xbatcher, chosen at random
MIB = 2**20
CACHE = netCDF4.get_chunk_cache()


def make(folder: Path, name: str, chunk: int, kind: str) -> Path:
    """Smooth fields that persist, compressed: Zarr 2 with Blosc (LZ4), NetCDF-4 with zlib 1 and shuffle."""
    import xarray as xr

    path = folder / f"{name}_{chunk}.{kind}"
    if path.exists():
        return path
    lat, lon, variables, times, copies, _ = GRIDS[name]
    rng = np.random.default_rng(0)
    k = np.fft.fftfreq(lat)[:, None] ** 2 + np.fft.rfftfreq(lon)[None] ** 2
    amplitude = 1 / (1 + 400 * k) ** 1.5
    arrays = {}
    for v in range(variables):
        state, u = np.zeros(k.shape, complex), np.empty((times, lat, lon), np.float32)
        for t in range(times):
            noise = rng.normal(size=k.shape) + 1j * rng.normal(size=k.shape)
            state = 0.95 * state + noise * amplitude
            u[t] = np.fft.irfft2(state, s=(lat, lon)) * 50 + 280
        arrays[f"v{v}"] = (("time", "lat", "lon"), np.tile(u, (copies, 1, 1)), {"units": "K"})
    edge = 90 if lat % 2 else 90 - 90 / lat
    coords = {
        "time": np.datetime64("1990-01-01", "ns") + np.arange(times * copies) * np.timedelta64(6, "h"),
        "lat": ("lat", np.linspace(edge, -edge, lat), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(lon) * 360 / lon, {"units": "degrees_east"}),
    }
    ds = xr.Dataset(arrays, coords)
    if kind == "zarr":
        encoding = {
            n: {"chunks": (chunk, lat, lon)} for n in arrays
        }  # Zarr's own choice is Blosc (LZ4, 5, shuffle)
        ds.to_zarr(path, encoding=encoding, zarr_format=2, consolidated=True)
    else:
        stored = {"zlib": True, "complevel": 1, "shuffle": True, "chunksizes": (chunk, lat, lon)}
        ds.to_netcdf(path, encoding=dict.fromkeys(arrays, stored))
    return path


def sequential(path: Path) -> int:
    """Bytes of every variable, whole chunks in order, 64 times at a call, by the library itself; nothing is kept."""
    import zarr

    netCDF4.set_chunk_cache(*CACHE)  # the library's own
    if path.suffix == ".zarr":
        group = zarr.open_group(path, mode="r")
        arrays = [group[name] for name in sorted(group.array_keys()) if name.startswith("v")]
        return sum(array[t : t + 64].nbytes for t in range(0, arrays[0].shape[0], 64) for array in arrays)
    with netCDF4.Dataset(path) as file:
        file.set_auto_maskandscale(False)
        arrays = [file[name] for name in file.variables if name.startswith("v")]
        return sum(array[t : t + 64].nbytes for t in range(0, arrays[0].shape[0], 64) for array in arrays)


def fields_of(path: Path) -> Any:
    from gridvit.config import DataConfig
    from gridvit.data.choices import open_chosen
    from gridvit.data.fields import stored

    data = DataConfig(path=str(path))
    ds = open_chosen(data, direct=True)
    return ds, stored(ds, data)


STREAMS: dict[tuple[Path, int], Any] = {}


def stream(path: Path, buffer: int, epoch: int = 0) -> int:
    """Bytes of the store, in an epoch of shuffled batches of pairs; the result is checked for its count.

    The stream is that of the epochs before, as in training.
    """
    from gridvit.data.stream import Stream

    if (path, buffer) not in STREAMS:
        STREAMS[path, buffer] = Stream(fields_of(path)[1], (0, 1), BATCH, buffer)
    batches = STREAMS[path, buffer]
    batches.set_epoch(epoch)
    assert sum(len(batch.time) for batch in batches) == batches.values.shape[1] - 1
    return batches.values.nbytes


def statistics(path: Path) -> int:
    """Bytes of the store, in a pass for statistics and climatology."""
    from gridvit.data.measure import measured

    ds, fields = fields_of(path)
    assert measured(fields, (1,), 2**30).climatology is not None
    ds.close()
    return fields.values.nbytes


def xbatcher_windows(path: Path) -> float:
    """Bytes of a store that a pass over all windows would take in the time that a few random ones take."""
    import xarray as xr
    import xbatcher

    ds = xr.open_dataset(path, chunks=None, engine="zarr" if path.suffix == ".zarr" else "netcdf4")
    generator = xbatcher.BatchGenerator(
        ds, {"time": 2, **{d: ds.sizes[d] for d in ("lat", "lon")}}, {"time": 1}
    )
    for i in np.random.default_rng(0).integers(0, len(generator), WINDOWS):
        generator[int(i)].load()
    ds.close()
    return sum(v.nbytes for v in ds.data_vars.values()) * WINDOWS / (ds.sizes["time"] - 1)


def forget(path: Path) -> None:
    """Drop the files from the page cache."""
    for each in [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]:
        with each.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def rate(work: Callable[[], float], path: Path, cold: bool) -> float:
    if cold:
        forget(path)
    start = time.perf_counter()
    return work() / MIB / (time.perf_counter() - start)


def resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


def child(task: str, path: Path, buffer: int, repeats: int, cold: bool) -> dict[str, Any]:
    """Rates and ratios of a task to sequential reading, and the peak of memory over that before."""
    import torch

    torch.set_num_threads(1)
    epochs = iter(range(2 * repeats))
    work: Callable[[], float] = {
        "stream": lambda: stream(path, buffer, next(epochs)),
        "statistics": lambda: statistics(path),
        "xbatcher": lambda: xbatcher_windows(path),
        "memory": lambda: stream(path, buffer),
        "memory statistics": lambda: statistics(path),
    }[task]
    if task.startswith("memory"):
        fields_of(path)[0].close()
        before = resident()
        work()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        return {"peak": peak - before}
    if not cold:
        sequential(path)
    base, found = [], []
    for _ in range(repeats):
        base.append(rate(lambda: sequential(path), path, cold))
        found.append(rate(work, path, cold))
    ratios = [f / b for f, b in zip(found, base, strict=True)]
    return {"sequential": float(np.median(base)), "rate": float(np.median(found)), "ratio": float(np.median(ratios)),
            "low": min(ratios), "high": max(ratios)}  # fmt: skip


def measured_apart(task: str, path: Path, buffer: int, repeats: int, cold: bool) -> dict[str, Any]:
    command = [sys.executable, __file__, "--child", task, "--path", str(path), "--buffer", str(buffer),
               "--repeats", str(repeats), *(["--cold"] if cold else [])]  # fmt: skip
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--only", default="", help="stores whose name contains this, e.g. small_64")
    parser.add_argument("--child", default="")
    parser.add_argument("--path", type=Path)
    parser.add_argument("--buffer", type=int, default=0)
    parser.add_argument("--cold", action="store_true")
    given = parser.parse_args()
    if given.child:
        print(json.dumps(child(given.child, given.path, given.buffer, given.repeats, given.cold)))
        return
    print("| grid | store | chunk | cache | sequential MiB/s | epoch / sequential | statistics / sequential "
          "| epoch / xbatcher | buffer MiB | peak MiB, epoch | peak MiB, statistics |")  # fmt: skip
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for name in GRIDS:
        for chunk, buffer in GRIDS[name][-1].items():
            for kind in ("zarr", "nc"):
                if given.only not in f"{name}_{chunk}.{kind}":
                    continue
                path = make(given.data, name, chunk, kind)
                for cold in (False, True):
                    row(name, path, chunk, buffer, given.repeats, cold)


def row(name: str, path: Path, chunk: int, buffer: int, repeats: int, cold: bool) -> None:
    lat, lon, variables = GRIDS[name][:3]

    def apart(task: str) -> dict[str, Any]:
        return measured_apart(task, path, buffer * MIB, repeats, cold)

    epoch, sums = apart("stream"), apart("statistics")
    cells = [f"{lat} x {lon} x {variables}", path.suffix[1:], str(chunk), "cold" if cold else "warm"]
    cells.append(f"{epoch['sequential']:.0f}")
    cells += [f"{r['ratio']:.2f} ({r['low']:.2f} to {r['high']:.2f})" for r in (epoch, sums)]
    if cold:
        cells += ["", "", "", ""]
    else:
        windows = apart("xbatcher")
        cells.append(f"{epoch['ratio'] / windows['ratio']:.1f}")
        cells += [str(buffer), f"{apart('memory')['peak']:.0f}", f"{apart('memory statistics')['peak']:.0f}"]
    print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
