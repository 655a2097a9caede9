"""A copy of a file as a Zarr store whose chunks hold many times and all of space."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import xarray as xr

from gridvit.axes import find_axes
from gridvit.data.blocks import BLOCK
from gridvit.data.progress import progress
from gridvit.data.sources import open_dataset
from gridvit.errors import InputError

KEPT = ("dtype", "scale_factor", "add_offset", "_FillValue", "units", "calendar")  # how values are packed


def rechunk(source: str | os.PathLike[str], out: str | os.PathLike[str], time: int = 64) -> Path:
    """Write all that a file holds, under its own names, with ``time`` times in a chunk; some blocks at a time.

    The store appears under its name when it is whole.

    Raises:
        InputError: what ``open_dataset`` refuses; no time axis; fewer than one time; something at ``out`` already.
    """
    target = Path(out)
    if target.exists():
        raise InputError(f"no {target}", "one already", "move it away, or give another --out")
    if time < 1:
        raise InputError("--time of at least 1", str(time), "correct it")
    with open_dataset(source, direct=True) as ds:
        axes = find_axes(ds)
        if axes.time is None:
            raise InputError("a time axis", f"none in {os.fspath(source)}", "there is nothing to rechunk")
        partial = target.with_name(f".{target.name}.partial")
        _write(ds, str(axes.time), axes.sample, partial, time)
    partial.rename(target)
    return target


def _write(ds: xr.Dataset, dim: str, sample: str | None, path: Path, time: int) -> None:
    """Blocks of whole chunks, one appended to the other."""
    encoding = {str(name): _encoding(v, {dim: time, sample: 1}) for name, v in ds.variables.items()}
    moving = [name for name, v in ds.variables.items() if dim in v.dims]
    one = sum(ds[name].nbytes for name in moving) // max(1, ds.sizes[dim])
    length = time * max(1, BLOCK // max(1, one * time))
    starts = range(0, ds.sizes[dim], length)
    for start in progress(starts, "rechunking", len(starts)):
        block = ds.isel({dim: slice(start, start + length)}).load()
        for variable in block.variables.values():
            variable.encoding.clear()
        if start == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            block.to_zarr(path, mode="w", zarr_format=2, consolidated=True, encoding=encoding)
        else:
            still = [name for name in block.variables if name not in moving]
            block.drop_vars(still).to_zarr(path, append_dim=dim, zarr_format=2, consolidated=True)


def _encoding(variable: xr.Variable, chunks: dict[Any, int]) -> dict[str, Any]:
    """The packing of the file, and chunks of whole space."""
    packed = {key: variable.encoding[key] for key in KEPT if key in variable.encoding}
    sizes = tuple(min(size, chunks.get(dim, size)) for dim, size in variable.sizes.items())
    return {**packed, **({"chunks": sizes} if sizes else {})}
