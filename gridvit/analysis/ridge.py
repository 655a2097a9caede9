"""The local linear forecast that a model must beat: ridge regression on a small neighbourhood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view

from gridvit.analysis.baselines import check_leads
from gridvit.analysis.skill import area_weights
from gridvit.climatology import Climatology, Fields
from gridvit.errors import InputError
from gridvit.grid import Grid

PENALTIES = tuple(10.0**power for power in range(-7, 2))


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    r"""``z(x + d)``, ``|d_i| <= radius``: the standardised variables around every cell of a row.

    Beyond a wall or pole the edge cell is repeated.

    Args:
        grid: of one or two axes.
        radius: half width in cells; 2 is 5 x 5.
        center: mean of each variable.
        scale: standard deviation of each variable.
    """

    grid: Grid
    radius: int
    center: Float[np.ndarray, "variable"]
    scale: Float[np.ndarray, "variable"]

    @property
    def rows(self) -> int:
        """Number of rows of cells: latitudes, or one in one dimension."""
        return self.grid.size // self.grid.shape[-1]

    def features(
        self, fields: Float[np.ndarray, "batch variable *space"], row: int
    ) -> Float[np.ndarray, "batch column feature"]:
        """Variables by offsets, row-major, around the cells of one row."""
        columns = self._windows(self.grid.ndim - 1)
        lines = self._windows(0)[row] if self.grid.ndim == 2 else np.zeros(1, dtype=int)
        planes = fields.reshape(*fields.shape[:2], self.rows, -1)[:, :, lines]
        scaled = (planes - self.center[:, None, None]) / self.scale[:, None, None]
        # (batch, variable, line, column, offset) -> (batch, column, variable, line, offset)
        around = np.moveaxis(scaled[..., columns], 3, 1)
        return around.reshape(*around.shape[:2], -1)

    def _windows(self, axis: int) -> np.ndarray:
        index, _ = self.grid.ghost(axis, self.radius, "open")
        return sliding_window_view(index, 2 * self.radius + 1)


@dataclass(frozen=True, eq=False)
class LocalRidge:
    r"""``u(t + L, x) - u(t, x) = b + sum_d B(d) z(t, x + d)``, fitted for each lead and row of cells.

    One set of coefficients for each latitude, pooled along longitude (in one dimension a single set). ``z`` may
    hold more than is predicted, such as earlier frames: ``u`` is its first variables.

    Args:
        around: the neighbourhood ``z``.
        slope: ``B``; as many targets as ``u`` has variables.
        intercept: ``b``.
        penalty: chosen for each lead.
    """

    around: Neighbourhood
    slope: Float[np.ndarray, "lead row feature target"]
    intercept: Float[np.ndarray, "lead row target"]
    penalty: Float[np.ndarray, "lead"]

    @classmethod
    def fit(
        cls,
        train: Fields,
        validate: Float[np.ndarray, "other_sample other_time variable *space"],
        grid: Grid,
        leads: Sequence[int],
        radius: int = 2,
        penalties: Sequence[float] = PENALTIES,
        targets: int | None = None,
    ) -> LocalRidge:
        r"""``min |y - b - z B|^2 / n + penalty s^2 |B|^2``, ``s^2`` the mean variance of a row's features.

        For each lead that penalty is kept which has the smallest area-weighted error on the validation part,
        each variable relative to its variance.

        Args:
            train: ``(sample, time, variable, *space)``; the coefficients see nothing else.
            validate: likewise; only chooses the penalties.
            grid: where the fields are.
            leads: in time steps.
            radius: of the neighbourhood.
            penalties: to choose from.
            targets: how many of the variables are predicted, the first ones; all if absent. For two frames give
                ``companion(fields, 2)`` and the number of variables in a frame.

        Raises:
            InputError: more than two axes, leads beyond a part, a variable that is constant.
        """
        for part in (train, validate):
            check_leads(part, leads)
        axes = (0, 1, *range(3, train.ndim))
        center, scale = train.mean(axis=axes, dtype=np.float64), train.std(axis=axes, dtype=np.float64)
        if grid.ndim > 2 or not scale.all():
            got = f"{grid.ndim} axes and standard deviations {scale.tolist()}"
            raise InputError("one or two axes and variables that vary", got, "leave out what is constant")
        around = Neighbourhood(grid, radius, center, scale)
        how = (train, validate), leads, penalties, targets or len(scale)
        fits = [_fit_row(around, row, *how) for row in range(around.rows)]
        slope, intercept, error = (np.stack(parts, axis=1) for parts in zip(*fits, strict=True))
        areas = area_weights(grid).reshape(around.rows, -1).mean(axis=-1)
        best = np.einsum("lrpc,r,c->lp", error, areas, scale[:targets] ** -2.0).argmin(axis=1)
        each = np.arange(len(leads))
        penalty = np.asarray(penalties, dtype=np.float64)[best]
        return cls(around, slope[each, :, best], intercept[each, :, best], penalty)

    def __call__(
        self, start: Float[np.ndarray, "case variable *space"]
    ) -> Float[np.ndarray, "case lead target *space"]:
        """Forecasts ``u(t) + increment`` from each start, one per fitted lead."""
        rows = [self._increments(start, row) for row in range(self.around.rows)]
        increment = np.stack(rows, axis=-2)
        now = start[:, None, : self.slope.shape[-1]]
        return now + increment.reshape(*increment.shape[:3], *start.shape[2:])

    def _increments(self, start: np.ndarray, row: int) -> Float[np.ndarray, "case lead target column"]:
        linear = np.einsum("ixf,lfc->ilcx", self.around.features(start, row), self.slope[:, row])
        return linear + self.intercept[:, row, :, None]


@dataclass(frozen=True, eq=False)
class AnomalyRidge:
    r"""``u(t + L) = c(t + L) + ridge_L(u(t) - c(t))``: local ridge of anomalies from a climatology.

    A local regression knows no hour of the day; without the climatology it misses the atmospheric tides.

    Args:
        climatology: ``c``.
        ridge: fitted to anomalies.
    """

    climatology: Climatology
    ridge: LocalRidge

    @classmethod
    def fit(
        cls,
        climatology: Climatology,
        train: Fields,
        validate: Float[np.ndarray, "other_sample other_time variable *space"],
        times: tuple[np.ndarray, np.ndarray],
        grid: Grid,
        leads: Sequence[int],
        radius: int = 2,
    ) -> AnomalyRidge:
        """Regression of the train part's anomalies from its climatology; ``times`` are those of both parts."""
        parts = (part - climatology.at(when) for part, when in zip((train, validate), times, strict=True))
        return cls(climatology, LocalRidge.fit(next(parts), next(parts), grid, leads, radius))

    def __call__(
        self, start: Float[np.ndarray, "case variable *space"], init: np.ndarray, valid: np.ndarray
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """Forecasts from ``start`` at times ``init`` ``(case,)`` for the times ``valid`` ``(case, lead)``."""
        return self.climatology(valid) + self.ridge(start - self.climatology.at(init))


def _fit_row(
    around: Neighbourhood,
    row: int,
    parts: tuple[np.ndarray, np.ndarray],
    leads: Sequence[int],
    penalties: Sequence[float],
    targets: int,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of one row: slopes ``(lead, penalty, feature, target)``, intercepts and validation errors."""
    train, validate = (_row_moments(around, part, row, leads, targets) for part in parts)
    found = []
    for fitted, checked in zip(train, validate, strict=True):
        slope, intercept = _ridge(*fitted[:2], penalties)
        found.append((slope, intercept, _square_error(slope, intercept, *checked)))
    slopes, intercepts, errors = (np.stack(each) for each in zip(*found, strict=True))
    return slopes, intercepts, errors


def _row_moments(
    around: Neighbourhood, part: np.ndarray, row: int, leads: Sequence[int], targets: int
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """For each lead the means of ``z z^T``, ``z y^T``, ``y^2``; ``z`` ends with a one, ``y`` increments."""
    samples, times = part.shape[:2]
    flat = part.reshape(-1, *part.shape[2:])
    z = around.features(flat, row)
    z = np.concatenate([z, np.ones_like(z[..., :1])], axis=-1).reshape(samples, times, *z.shape[1:2], -1)
    u = flat.reshape(*flat.shape[:2], around.rows, -1)[:, :targets, row].swapaxes(1, 2).astype(np.float64)
    u = u.reshape(samples, times, *u.shape[1:])
    # One small product per time: all leads share them, and no threads are woken for them.
    transposed = z.swapaxes(-1, -2)
    squares = transposed @ z
    found = []
    for lead in leads:
        y, early = u[:, lead:] - u[:, :-lead], slice(0, times - lead)
        sums = (
            squares[:, early].sum(axis=(0, 1)),
            (transposed[:, early] @ y).sum(axis=(0, 1)),
            (y**2).sum(axis=(0, 1, 2)),
        )
        n = y.size // y.shape[-1]
        found.append((sums[0] / n, sums[1] / n, sums[2] / n))
    return found


def _ridge(
    zz: Float[np.ndarray, "term term"], zy: Float[np.ndarray, "term target"], penalties: Sequence[float]
) -> tuple[Float[np.ndarray, "penalty feature target"], Float[np.ndarray, "penalty target"]]:
    """Slopes and intercepts for each penalty, from one eigendecomposition of the features' covariance."""
    mean_z, mean_y = zz[-1, :-1], zy[-1]
    variances, directions = np.linalg.eigh(zz[:-1, :-1] - np.outer(mean_z, mean_z))
    cross = directions.T @ (zy[:-1] - np.outer(mean_z, mean_y))
    damped = variances + np.asarray(penalties, dtype=np.float64)[:, None] * variances.mean()
    slope = np.einsum("fe,pe,ec->pfc", directions, 1 / damped, cross)
    return slope, mean_y - mean_z @ slope


def _square_error(
    slope: np.ndarray, intercept: np.ndarray, zz: np.ndarray, zy: np.ndarray, yy: np.ndarray
) -> Float[np.ndarray, "penalty target"]:
    """``mean (y - z b)^2 = yy - 2 b.zy + b.zz b`` for each penalty."""
    b = np.concatenate([slope, intercept[:, None]], axis=1)
    return yy - 2 * (b * zy).sum(axis=1) + (b * (zz @ b)).sum(axis=1)
