"""Damped persistence, a forecast that a model must beat; climatology is another.

Each is fitted on the train part alone, ``(sample, time, variable, *space)`` in the variables' own units, and
then forecasts ``(case, lead, variable, *space)``. Persistence itself is a ``Step``. Missing values (NaN) do not
enter; a cell that the train part never has is NaN in the forecast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from gridvit.analysis.skill import area_weights, mean_present
from gridvit.climatology import Fields
from gridvit.errors import InputError
from gridvit.grid import Grid


@dataclass(frozen=True, eq=False)
class DampedPersistence:
    r"""``u(t + L) = m + a_L (u(t) - m)``: one factor per lead and variable about the mean of each cell.

    On an AR(1) process ``x' = phi x + noise`` the factor is ``phi^L``.

    Args:
        mean: ``m (variable, *space)``, the train part's mean.
        factor: ``a (lead, variable)``.
    """

    mean: Float[np.ndarray, "variable *space"]
    factor: Float[np.ndarray, "lead variable"]

    @classmethod
    def fit(cls, train: Fields, leads: Sequence[int], grid: Grid) -> DampedPersistence:
        """``a_L = sum w x'(t) x'(t + L) / sum w x'(t)^2``, areas ``w`` as weights; leads in time steps."""
        check_leads(train, leads)
        mean = mean_present(train, (0, 1))
        anomaly = train - mean
        weighted = anomaly * area_weights(grid)
        return cls(mean, np.stack([_regression(weighted, anomaly, lead) for lead in leads]))

    def filled(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case variable *space"]:
        """``start`` with the mean of the cell where it is missing; the same array where nothing is."""
        return (
            np.where(np.isnan(start), self.mean, start).astype(start.dtype)
            if np.isnan(start).any()
            else start
        )

    def __call__(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """Forecasts from each start, one per fitted lead."""
        factor = self.factor.reshape(*self.factor.shape, *(1,) * (self.mean.ndim - 1))
        return self.mean + factor * (self.filled(start) - self.mean)[:, None]


def _regression(weighted: np.ndarray, anomaly: np.ndarray, lead: int) -> np.ndarray:
    """``sum w x(t) x(t + lead) / sum w x(t)^2`` per variable."""
    early, late = weighted[:, : anomaly.shape[1] - lead], anomaly[:, lead:]
    axes = (0, 1, *range(3, anomaly.ndim))
    product, square = early * late, early * anomaly[:, : anomaly.shape[1] - lead]
    missing = np.isnan(product)
    if missing.any():
        product, square = np.where(missing, 0.0, product), np.where(missing, 0.0, square)
    power = square.sum(axis=axes)
    if not power.all():
        raise InputError("variables that change in time", "a constant one", "leave it out")
    return product.sum(axis=axes) / power


def check_leads(fields: np.ndarray, leads: Sequence[int]) -> None:
    """Refuse leads that reach beyond ``(sample, time, ...)`` fields."""
    if not len(leads) or min(leads) < 1 or max(leads) >= fields.shape[1]:
        got = f"{list(leads)}"
        raise InputError(
            f"leads of 1 to {fields.shape[1] - 1} steps", got, "shorten the leads or lengthen the part"
        )


def companion(fields: Fields, history: int) -> Float[np.ndarray, "sample later frame_variable *space"]:
    """``z(t) = (u(t), u(t - 1), ..)``: the last ``history`` frames as one, latest first; it begins so much later."""
    times = fields.shape[1] - history + 1
    return np.concatenate([fields[:, n : n + times] for n in reversed(range(history))], axis=2)
