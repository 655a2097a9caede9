"""Statistics that bring variables to unit size, area-weighted and from the training part alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit.data.fields import Fields
from gridvit.errors import InputError

PERCENT = 100.0
ROUNDING = 1e-7  # of the largest value: float32 cannot hold a smaller spread


@dataclass(frozen=True, eq=False)
class Statistics:
    """mean = <u>, std^2 = <(u - mean)^2>, increment_std^2 = <(d - <d>)^2> with d = u(t + lead) - u(t).

    <.> averages over samples and times, and over space with the exact cell areas, where there are values (of
    increments at both times). Mean and std are (C,) float64 and increment_std (L, C), in the units of the variables
    (``variables`` names them).

    presence: (C, *space), the share of samples and times at which a cell has a value: 0 outside the domain of
        the variable (land), below 1 somewhere if it has gaps. None stands for 1 everywhere.
    """

    variables: tuple[str, ...]
    mean: Float[np.ndarray, " variable"]
    std: Float[np.ndarray, " variable"]
    increment_std: Float[np.ndarray, "lead variable"]
    presence: Float[np.ndarray, "variable *space"] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON-able fields, exact."""
        arrays = {name: getattr(self, name).tolist() for name in ("mean", "std", "increment_std")}
        presence = None if self.presence is None else self.presence.tolist()
        return {"variables": list(self.variables), **arrays, "presence": presence}

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> Statistics:
        """The inverse of ``to_dict``."""
        mean, std, increment = (
            np.asarray(fields[k], dtype=np.float64) for k in ("mean", "std", "increment_std")
        )
        presence = fields["presence"]
        shares = None if presence is None else np.asarray(presence, dtype=np.float64)
        return cls(tuple(fields["variables"]), mean, std, increment, shares)


def compute(fields: Fields, leads: Sequence[int] = (1,)) -> Statistics:
    """The statistics of one part of the data; hand it the training part and nothing else.

    Args:
        fields: the training part.
        leads: steps of the increments.

    Raises:
        InputError: a variable that is constant; a prognostic one that never changes in time, or that no cell has at
            two such times; it is named.
    """
    weights = fields.grid.areas / fields.grid.areas.sum()
    rows = [_of_variable(fields.values[:, :, c], weights, leads) for c in range(len(fields.variables))]
    for variable, (_, std, largest, *increments) in zip(fields.variables, rows, strict=True):
        moving = min(increments) if variable.role == "prognostic" else std
        _refuse_constant(variable.name, std, moving, ROUNDING * largest)
    presence = 1.0 - np.isnan(fields.values).mean(axis=(0, 1))
    mean, std, _, *increment_std = np.array(rows).T
    complete = presence.min() == 1
    return Statistics(fields.names, mean, std, np.array(increment_std), None if complete else presence)


def refuse_new_gaps(
    values: Float[np.ndarray, "sample time variable *space"],
    names: Sequence[str],
    presence: Float[np.ndarray, "variable *space"] | None,
) -> None:
    """A network has a mask for the variables that had gaps in training, and none for the others.

    Raises:
        InputError: values are missing in a variable that was complete in training; it is named.
    """
    for c, name in enumerate(names):
        missing = np.isnan(values[:, :, c])
        if missing.any() and (presence is None or presence[c].min() == 1):
            raise InputError(
                f"{name!r} without gaps, as in the training part",
                f"{PERCENT * missing.mean():.3g} % missing",
                "fill them, or train on a part that has gaps",
            )


def _of_variable(
    values: Float[np.ndarray, "sample time *space"],
    weights: Float[np.ndarray, "*space"],
    leads: Sequence[int],
) -> list[float]:
    """Mean, deviation, largest magnitude, and the deviation of the increments over each lead."""
    mean, std = _moments(values, weights)
    increments = [_moments(values, weights, lead)[1] for lead in leads]
    return [mean, std, float(np.nanmax(np.abs(values), initial=0.0)), *increments]


def _moments(
    values: Float[np.ndarray, "sample time *space"],
    weights: Float[np.ndarray, "*space"],
    lead: int = 0,
) -> tuple[float, float]:
    """Mean and deviation in two passes, a sample at a time: float64 copies of all of it would not fit."""
    count = float(np.mean([_present(_sample(u, lead), weights) for u in values]))
    if not count:
        return math.nan, math.nan
    mean = float(np.mean([np.nansum(_sample(u, lead) * weights) for u in values])) / count
    squares = [np.nansum(np.square(_sample(u, lead) - mean) * weights) for u in values]
    return mean, float(np.sqrt(np.mean(squares) / count))


def _present(values: Float[np.ndarray, "step *space"], weights: Float[np.ndarray, "*space"]) -> float:
    """Sum over steps of the area share that has values; of complete data exactly the number of steps."""
    counts = np.isfinite(values).sum(axis=0)
    return float(len(values)) if counts.min() == len(values) else float((counts * weights).sum())


def _sample(values: Float[np.ndarray, "time *space"], lead: int) -> Float[np.ndarray, "step *space"]:
    """The values, or their increments over ``lead`` steps."""
    wide = values.astype(np.float64)
    return wide[lead:] - wide[:-lead] if lead else wide


def _refuse_constant(name: str, std: float, increment: float, rounding: float) -> None:
    if math.isnan(increment) or min(std, increment) <= rounding:
        what = "is constant" if std <= rounding else "does not change in time"
        what = "has no value at two successive times" if math.isnan(increment) else what
        raise InputError(
            "variables that vary over the training part",
            f"{name!r}, which {what}",
            "leave it out of data.variables, or train on a longer part",
        )
