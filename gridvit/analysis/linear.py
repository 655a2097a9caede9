"""The best linear forecast that knows no place: wave by wave on a periodic plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex, Float

from gridvit.analysis.baselines import check_leads
from gridvit.climatology import Fields

NOTHING = 1e-12
"""Of the largest energy of a wave: what float32 data have left where they have none."""


@dataclass(frozen=True, eq=False)
class LinearPredictor:
    r"""``U(t + L, k) = G_L(k) U(t, k)``, ``G_L = E[U(t + L) U(t)*] (E[U(t) U(t)*])^-1``: least squares at every wave.

    Of all linear maps that commute with shifts, however wide, it errs least on the train part. U are the waves of the
    anomaly from each variable's mean. A wave without energy is forecast as none.

    Args:
        mean: of each variable.
        symbol: G over half of the waves, the last axis being the shorter.
        cells: of the grid along each axis.
    """

    mean: Float[np.ndarray, "variable"]
    symbol: Complex[np.ndarray, "lead *modes variable variable"]
    cells: tuple[int, ...]

    @classmethod
    def fit(cls, train: Fields, leads: Sequence[int]) -> LinearPredictor:
        """From ``(sample, time, variable, *space)`` on a plane that is periodic along every axis; leads in time steps.

        Raises:
            InputError: leads beyond the part.
        """
        check_leads(train, leads)
        mean = train.mean(axis=(0, 1, *range(3, train.ndim)), dtype=np.float64)
        samples, times = train.shape[:2]
        waves = _waves(train.reshape(-1, *train.shape[2:]), mean)
        waves = waves.reshape(samples, times, *waves.shape[1:])
        pairs = [(waves[:, : times - lead], waves[:, lead:]) for lead in leads]
        symbol = [best_symbol(*(part.reshape(-1, *part.shape[2:]) for part in pair)) for pair in pairs]
        return cls(mean, np.stack(symbol), train.shape[3:])

    def __call__(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """Forecasts from each start, one per fitted lead."""
        waves = np.moveaxis(_waves(start, self.mean), 1, -1)
        moved = np.moveaxis(np.einsum("l...oi,b...i->bl...o", self.symbol, waves), -1, 2)
        found = np.fft.irfftn(moved, self.cells, axes=tuple(range(3, moved.ndim)))
        return found + self.mean.reshape(-1, *(1,) * len(self.cells))


def best_symbol(
    early: Complex[np.ndarray, "case variable *modes"],
    late: Complex[np.ndarray, "case variable *modes"],
) -> Complex[np.ndarray, "*modes variable variable"]:
    """``G = E[late early*] (E[early early*])^-1`` at every wave; 0 where there is no energy to tell it by."""
    cross = np.einsum("no...,ni...->...oi", late, early.conj())
    power = np.einsum("no...,ni...->...oi", early, early.conj())
    total = np.trace(power, axis1=-2, axis2=-1).real
    symbol = cross @ np.linalg.pinv(power, rcond=NOTHING, hermitian=True)
    return np.where((total > NOTHING * total.max())[..., None, None], symbol, 0)


def _waves(
    fields: Float[np.ndarray, "case variable *space"], mean: Float[np.ndarray, "variable"]
) -> Complex[np.ndarray, "case variable *modes"]:
    """Of the anomaly from the mean."""
    axes = tuple(range(2, fields.ndim))
    return np.fft.rfftn(fields - mean.reshape(-1, *(1,) * len(axes)), axes=axes)
