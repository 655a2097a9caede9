"""MATLAB files from version 5 to 7.3: arrays whose axes are found among the file's vectors.

SciPy reads version 5 to 7. Version 7.3 is HDF5 behind a header of 512 bytes: each array a dataset whose dimensions
stand in reverse, of the class that its attribute ``MATLAB_class`` names.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gridvit.data.hdf5 import SIGNATURE, as_text, lazy, library
from gridvit.errors import InputError

HEADER = 512  # bytes before the HDF5 part of version 7.3
NO_NUMBERS = ("char", "cell", "struct", "function_handle")
TIME = r"t+|times?"
SPACE = r"[xyz]+"


def open_matlab(path: Path) -> xr.Dataset:
    """u(x, t) for every array whose axes have the lengths of vectors named t, tt, time, x, xx, y or z.

    Arrays of version 7.3 stay on disk.

    Raises:
        InputError: a damaged file, no such array, axes that two vectors fit; version 7.3 without h5py.
    """
    with path.open("rb") as file:
        file.seek(HEADER)
        signature = file.read(len(SIGNATURE))
    if signature != SIGNATURE:
        return _dataset(_loaded(path), path)
    held = library(path).File(path, "r")
    try:
        ds = _dataset(_version_73(held), path)
    except BaseException:
        held.close()
        raise
    ds.set_close(held.close)
    return ds


def _loaded(path: Path) -> dict[str, Any]:
    """The arrays of numbers of a file of version 5 to 7, in memory."""
    from scipy.io import loadmat

    try:
        held = loadmat(path)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            "a readable MATLAB file", f"{path}, which fails with {reason!r}", "write it again"
        ) from error
    return {n: a for n, a in held.items() if isinstance(a, np.ndarray) and a.dtype.kind in "fiu"}


def _version_73(file: Any) -> dict[str, Any]:
    """The arrays of numbers of an open file, lazily."""
    return {name: lazy(item).transpose() for name, item in file.items() if _is_number(item)}


def _is_number(item: Any) -> bool:
    """Text has numbers for letters, and an empty array its shape for values."""
    if not getattr(item, "ndim", 0) or item.dtype.kind not in "fiu" or item.attrs.get("MATLAB_empty", 0):
        return False
    return as_text(item.attrs.get("MATLAB_class", "")) not in NO_NUMBERS


def _dataset(arrays: Mapping[str, Any], path: Path) -> xr.Dataset:
    vectors = {n: np.asarray(a).ravel() for n, a in arrays.items() if _role(n) and max(a.shape) == a.size > 1}
    names = {n: "time" if re.fullmatch(TIME, n) else n for n in vectors}
    fields = {
        n: (_dims(n, a, vectors, path), a) for n, a in arrays.items() if n not in vectors and a.size > 1
    }
    fields = {n: ([names[d] for d in dims], a) for n, (dims, a) in fields.items() if dims}
    if not fields:
        shown = ", ".join(f"{n}{a.shape}" for n, a in arrays.items()) or "no numbers"
        raise InputError(
            "an array whose axes are as long as vectors named t and x",
            f"{shown} in {path}",
            "save the vectors with the array",
        )
    coords = {names[n]: _vector(names[n], v) for n, v in vectors.items()}
    return xr.Dataset(fields, coords)


def _role(name: str) -> bool:
    return bool(re.fullmatch(TIME, name) or re.fullmatch(SPACE, name))


def _vector(name: str, values: np.ndarray) -> tuple[str, np.ndarray, dict[str, str]]:
    return name, values, {} if name == "time" else {"axis": name[0].upper()}


def _dims(name: str, array: Any, vectors: Mapping[str, Any], path: Path) -> list[str]:
    """The vector of each axis; nothing where an axis has none."""
    fits = [[n for n, v in vectors.items() if v.size == length] for length in array.shape]
    if not all(fits):
        return []
    if any(len(some) > 1 for some in fits):
        twice = next(some for some in fits if len(some) > 1)
        raise InputError(
            f"one vector as long as each axis of {name!r}",
            f"{' and '.join(twice)} of {vectors[twice[0]].size} entries in {path}",
            "write it as NetCDF with named dimensions",
        )
    chosen = [some[0] for some in fits]
    return chosen if len(set(chosen)) == len(chosen) else []
