"""Statistics that bring variables to unit size, area-weighted and from the training part alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit.data.fields import Fields
from gridvit.errors import InputError

ROUNDING = 1e-7  # of the largest value: float32 cannot hold a smaller spread


@dataclass(frozen=True, eq=False)
class Statistics:
    """mean = <u>, std^2 = <(u - mean)^2>, increment_std^2 = <(d - <d>)^2> with d = u(t + dt) - u(t).

    <.> averages over samples and times, and over space with the exact cell areas. All three are (C,)
    float64, in the units of the variables (``variables`` names them).
    """

    variables: tuple[str, ...]
    mean: Float[np.ndarray, " variable"]
    std: Float[np.ndarray, " variable"]
    increment_std: Float[np.ndarray, " variable"]

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able fields, exact."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "std", "increment_std")}
        return {"variables": list(self.variables), **arrays}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Statistics:
        """The inverse of ``to_dict``."""
        arrays = (np.asarray(fields[name], dtype=np.float64) for name in ("mean", "std", "increment_std"))
        return cls(tuple(fields["variables"]), *arrays)


def compute(fields: Fields) -> Statistics:
    """The statistics of one part of the data; hand it the training part and nothing else.

    Raises:
        InputError: a variable that is constant, or that never changes in time; it is named.
    """
    weights = fields.grid.areas / fields.grid.areas.sum()
    rows = [_of_variable(fields.values[:, :, c], weights) for c in range(len(fields.variables))]
    names = tuple(variable.name for variable in fields.variables)
    for name, (_, std, increment, largest) in zip(names, rows, strict=True):
        _refuse_constant(name, std, increment, ROUNDING * largest)
    return Statistics(names, *np.array(rows)[:, :3].T)


def _of_variable(
    values: Float[np.ndarray, "sample time *space"], weights: Float[np.ndarray, "*space"]
) -> tuple[float, float, float, float]:
    """Mean, deviation, deviation of the increments, and largest magnitude."""
    mean, std = _moments(values, weights)
    _, increment = _moments(values, weights, increments=True)
    return mean, std, increment, float(np.abs(values).max())


def _moments(
    values: Float[np.ndarray, "sample time *space"],
    weights: Float[np.ndarray, "*space"],
    increments: bool = False,
) -> tuple[float, float]:
    """Mean and deviation in two passes, a sample at a time: float64 copies of all of it would not fit."""
    mean = float(np.mean([(_sample(u, increments) * weights).sum() for u in values])) / (
        values.shape[1] - increments
    )
    squares = [(np.square(_sample(u, increments) - mean) * weights).sum() for u in values]
    return mean, float(np.sqrt(np.mean(squares) / (values.shape[1] - increments)))


def _sample(values: Float[np.ndarray, "time *space"], increments: bool) -> Float[np.ndarray, "step *space"]:
    wide = values.astype(np.float64)
    return np.diff(wide, axis=0) if increments else wide


def _refuse_constant(name: str, std: float, increment: float, rounding: float) -> None:
    if min(std, increment) <= rounding:
        what = "is constant" if std <= rounding else "does not change in time"
        raise InputError(
            "variables that vary over the training part",
            f"{name!r}, which {what}",
            "leave it out of data.variables, or train on a longer part",
        )
