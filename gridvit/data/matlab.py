"""MATLAB files up to version 7, through SciPy: arrays whose axes are found among the file's vectors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from gridvit.errors import InputError

TIME = r"t+|times?"
SPACE = r"[xyz]+"


def open_matlab(path: Path) -> xr.Dataset:
    """u(x, t) for every array whose axes have the lengths of vectors named t, tt, time, x, xx, y or z.

    Raises:
        InputError: version 7.3, a damaged file, no such array, axes that two vectors fit.
    """
    from scipy.io import loadmat

    try:
        held = loadmat(path)
    except NotImplementedError:
        raise InputError(
            "a MATLAB file of version 7 or less", f"{path} of version 7.3", "save it with -v7"
        ) from None
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            "a readable MATLAB file", f"{path}, which fails with {reason!r}", "write it again"
        ) from error
    arrays = {n: a for n, a in held.items() if isinstance(a, np.ndarray) and a.dtype.kind in "fiu"}
    vectors = {n: a.ravel() for n, a in arrays.items() if _role(n) and max(a.shape) == a.size > 1}
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


def _dims(name: str, array: np.ndarray, vectors: Mapping[str, Any], path: Path) -> list[str]:
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
