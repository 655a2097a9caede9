"""Numbers that each sample has of its own, such as the coefficients that a trajectory was solved with."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

import numpy as np
import xarray as xr
from jaxtyping import Float

from gridvit.data.layout import Layout
from gridvit.errors import InputError

ROUNDING = 1e-9  # of the largest: a smaller spread is none

Numbers = tuple[tuple[str, ...], Float[np.ndarray, "sample parameter"]]


def sample_parameters(ds: xr.Dataset, names: Sequence[str], layout: Layout, samples: int) -> Numbers:
    """The named variables or coordinates as columns, one row per sample; what the file has once is every sample's.

    A name is repeated for each of its numbers, such as those of a velocity.

    Raises:
        InputError: a name that the file does not have, or has along time or space, or with values missing.
    """
    columns = [_columns(ds, name, layout, samples) for name in dict.fromkeys(names)]
    repeated = [
        name for name, part in zip(dict.fromkeys(names), columns, strict=True) for _ in range(part.shape[1])
    ]
    return tuple(repeated), np.concatenate(columns, 1)


def _columns(ds: xr.Dataset, name: str, layout: Layout, samples: int) -> Float[np.ndarray, "sample number"]:
    offered = [str(n) for n, held in ds.variables.items() if _fits(held, layout) and n not in ds.dims]
    if name not in offered:
        near = difflib.get_close_matches(name, offered, 1, 0.6)
        raise InputError(
            f"numbers of each sample among {', '.join(offered) or 'none, which this file has'}",
            repr(name),
            f"did you mean {near[0]!r}?" if near else "correct data.parameters",
        )
    held = ds[name].variable
    lead = [layout.sample] if layout.sample in held.dims else []
    values = held.transpose(*lead, ...).values.astype(np.float64)
    rows = values.reshape(samples if lead else 1, -1)
    if not np.isfinite(rows).all():
        raise InputError(f"a value of {name!r} in every sample", "missing ones", "leave those samples out")
    return np.repeat(rows, 1 if lead else samples, axis=0)


def _fits(held: xr.Variable, layout: Layout) -> bool:
    taken = {layout.time, *(axis.name for axis in layout.axes)}
    return held.dtype.kind in "fiu" and not taken & set(map(str, held.dims))


def mean_and_std(
    names: Sequence[str], values: Float[np.ndarray, "sample parameter"]
) -> Float[np.ndarray, "2 parameter"]:
    """Over the samples, each once.

    Raises:
        InputError: one that is the same in all: what it does cannot be learned.
    """
    mean, std = values.mean(0), values.std(0)
    for n, name in enumerate(names):
        if std[n] <= ROUNDING * np.abs(values[:, n]).max():
            raise InputError(
                "data.parameters that vary over the samples of the training part",
                f"{name!r}, which is {mean[n]:g} in all",
                "leave it out",
            )
    return np.stack([mean, std])
