"""u(x + L) = u(x): the last point of a periodic axis that is its first again, told by the values."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
import xarray as xr

from gridvit.axes import Axes

log = logging.getLogger("gridvit")


def repeated(ds: xr.Dataset, names: Sequence[str], axes: Axes) -> tuple[str, ...]:
    """The periodic axes of a plane whose last point is the first again in all variables at all times; says so aloud.

    Where the period is known, as of longitude, the coordinate has told already. The ends are also equal in fields
    that read the same in both directions, such as constants, and where they vanish near the ends; those tell nothing
    and keep all points.
    """
    found = []
    for dim, wraps, units in zip(axes.space, axes.periodic, axes.units, strict=True):
        fields = [ds[name] for name in names if dim in ds[name].dims]
        unknown = axes.kind == "plane" and wraps and units != "degrees_east" and dim not in axes.seam
        if unknown and ds.sizes[dim] > 3 and _tell(fields, dim, axes.time):
            log.info(
                "took the last of the %d points along %r for the first, a period later", ds.sizes[dim], dim
            )
            found.append(dim)
    return tuple(found)


def _tell(fields: Sequence[xr.DataArray], dim: str, time: str | None) -> bool:
    """Whether the ends are equal in all fields, and one has values there and other neighbours on either side."""
    return not any(_differ(u, dim, time, 0, -1) for u in fields) and any(
        bool(u.isel({dim: 0}).notnull().any()) and _differ(u, dim, time, 1, -2) for u in fields
    )


def warn_torn(ds: xr.Dataset, names: Sequence[str], axes: Axes) -> None:
    """Say it where the two copies of a seam column, one period apart, differ: the first alone is used."""
    for dim in axes.seam:
        torn = [name for name in names if dim in ds[name].dims and _differ(ds[name], dim, axes.time, 0, -1)]
        if torn:
            first, last = ds[dim].values[[0, -1]] if dim in ds.coords else (0, ds.sizes[dim] - 1)
            log.warning(
                "expected %s at %s = %g to repeat those at %g, got others: the first are used in both places",
                ", ".join(torn), dim, last, first,
            )  # fmt: skip


def _differ(u: xr.DataArray, dim: str, time: str | None, one: int, other: int) -> bool:
    """Whether two entries along ``dim`` differ at the first time, or else at any other."""
    for part in (slice(0, 1), slice(1, None)):
        first, second = (u.isel({time: part, dim: place}).values for place in (one, other))
        if not np.array_equal(first, second, equal_nan=True):
            return True
    return False
