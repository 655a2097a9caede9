"""Statistics that bring variables to unit size, area-weighted and from the training part alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from gridvit.data.fields import Fields
from gridvit.data.roles import ROUNDING
from gridvit.data.sums import Sums, summed
from gridvit.errors import InputError

PERCENT = 100.0


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
    """The statistics of one part of the data, in one pass; hand it the training part and nothing else.

    Args:
        fields: the training part, in memory or stored.
        leads: steps of the increments.

    Raises:
        InputError: a variable that is constant; a prognostic one that never changes in time, or that no cell has at
            two such times; it is named.
    """
    plain = np.ones((fields.n_times, 0))
    return of_sums(summed(fields.values, fields.grid.areas, leads, plain), fields)


def of_sums(sums: Sums, fields: Fields) -> Statistics:
    """Statistics from the sums of ``fields``; raises as ``compute``."""
    mean = np.array([moments.mean for moments in sums.values])
    std = np.array([moments.std for moments in sums.values])
    increment_std = np.array([[m.std for m in moments] for moments in sums.increments.values()])
    largest = np.maximum(np.abs(sums.low), np.abs(sums.high))
    for c, variable in enumerate(fields.variables):
        moving = min(increment_std[:, c]) if variable.role == "prognostic" else std[c]
        _refuse_constant(variable.name, float(std[c]), float(moving), float(ROUNDING * largest[c]))
    presence = (sums.count / sums.frames).reshape(len(mean), *fields.grid.shape)
    complete = presence.min() == 1
    return Statistics(fields.names, mean, std, increment_std, None if complete else presence)


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


def _refuse_constant(name: str, std: float, increment: float, rounding: float) -> None:
    if math.isnan(increment) or min(std, increment) <= rounding:
        what = "is constant" if std <= rounding else "does not change in time"
        what = "has no value at two successive times" if math.isnan(increment) else what
        raise InputError(
            "variables that vary over the training part",
            f"{name!r}, which {what}",
            "leave it out of data.variables, or train on a longer part",
        )
