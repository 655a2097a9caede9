"""The linear inverse model: a propagator between the leading modes of a field, estimated from one lag."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from gridvit.analysis.baselines import check_leads, companion
from gridvit.analysis.modes import Modes, eof
from gridvit.analysis.skill import area_weights, square_errors
from gridvit.climatology import Fields
from gridvit.errors import InputError
from gridvit.grid import Grid

COUNTS = (5, 10, 20, 40, 80)


@dataclass(frozen=True, eq=False)
class LinearInverse:
    r"""``u(t + L) = u(t) + sum_k (c_k(t + L) - c_k(t)) p_k``, ``c(t + 1) = R (c(t), c(t - 1), ..)``.

    ``R = C_1 C_0^-1`` is the regression of the series ``c`` of the leading EOFs ``p`` one step on; longer leads repeat
    it, as a Markov process does. What the modes do not hold persists. Of a linear system whose states the modes span it
    is the system itself. Give anomalies from a climatology where there is one.

    Args:
        modes: EOFs of the variables, each over its standard deviation, side by side.
        areas: of the cells, for each variable.
        center: mean of each variable and cell.
        scale: standard deviation of each variable.
        propagator: ``R``.
        leads: in time steps.

    Reference: C. Penland and P. D. Sardeshmukh, J. Climate 8 (1995) 1999-2024.
    """

    modes: Modes
    areas: Float[np.ndarray, " cell"]
    center: Float[np.ndarray, "variable *space"]
    scale: Float[np.ndarray, "variable"]
    propagator: Float[np.ndarray, "mode coefficient"]
    leads: tuple[int, ...]

    @classmethod
    def fit(
        cls,
        train: Fields,
        validate: Float[np.ndarray, "other_sample other_time variable *space"],
        grid: Grid,
        leads: Sequence[int],
        history: int = 1,
        counts: Sequence[int] = COUNTS,
    ) -> LinearInverse:
        """Modes and propagator of the train part; how many modes has the least validation error over all leads.

        Args:
            train: ``(sample, time, variable, *space)``.
            validate: likewise; only chooses the number of modes.
            grid: where the fields are.
            leads: in time steps.
            history: frames that the next one depends on.
            counts: of modes to choose from; those that the times cannot tell apart, ``history`` of each, are left out.

        Raises:
            InputError: leads or history beyond a part, no number of modes that the times allow.
        """
        for part in (train[:, history - 1 :], validate[:, history - 1 :]):
            check_leads(part, leads)
        pairs = train.shape[0] * (train.shape[1] - history)
        most = min(-(-pairs // history) - 1, train[0, 0].size)
        allowed = [count for count in counts if count <= most]
        if not allowed:
            raise InputError(f"numbers of modes up to {most}", str(list(counts)), "take fewer")
        whole = cls._in_modes(train, grid, leads, max(allowed))
        found = [whole._truncated(train, count, history) for count in allowed]
        weights = area_weights(grid)
        return min(found, key=lambda model: model._error(validate, weights))

    @classmethod
    def _in_modes(cls, train: Fields, grid: Grid, leads: Sequence[int], count: int) -> LinearInverse:
        """Without a propagator."""
        flat = train.reshape(-1, *train.shape[2:]).astype(np.float64)
        center = flat.mean(axis=0)
        anomaly = flat - center
        scale = anomaly.std(axis=(0, *range(2, anomaly.ndim)))
        areas = np.tile(grid.areas.ravel(), len(scale))
        shaped = scale.reshape(-1, *[1] * grid.ndim)
        modes = eof((anomaly / shaped).reshape(len(flat), -1), areas, count)
        return cls(modes, areas / areas.sum(), center, scale, np.zeros((count, 0)), tuple(leads))

    def _truncated(self, train: Fields, count: int, history: int) -> LinearInverse:
        """The leading modes alone, with their propagator."""
        modes = Modes(self.modes.patterns[:count], self.modes.series[:, :count], self.modes.variances[:count])
        kept = replace(self, modes=modes)
        c = modes.series.reshape(*train.shape[:2], -1)
        now = [c[:, history - 1 - n : c.shape[1] - 1 - n] for n in range(history)]
        z, after = np.concatenate(now, axis=-1), c[:, history:]
        solution = np.linalg.lstsq(z.reshape(-1, z.shape[-1]), after.reshape(-1, count), rcond=None)[0]
        return replace(kept, propagator=solution.T)

    @property
    def history(self) -> int:
        """Frames that a start holds."""
        return self.propagator.shape[1] // len(self.propagator)

    def __call__(
        self, start: Float[np.ndarray, "case frame_variable *space"]
    ) -> Float[np.ndarray, "case lead variable *space"]:
        """Forecasts from the last ``history`` frames, latest first (``companion``), one per lead."""
        variables, count = len(self.scale), len(self.propagator)
        frames = start.reshape(len(start), -1, variables, *start.shape[2:])
        z = np.concatenate([self._series(frames[:, n]) for n in range(self.history)], axis=-1)
        first, moved = z[:, :count], []
        for step in range(1, max(self.leads) + 1):
            z = np.concatenate([z @ self.propagator.T, z[:, :-count]], axis=-1)
            if step in self.leads:
                moved.append((z[:, :count] - first) @ self.modes.patterns)
        increment = np.stack([moved[sorted(self.leads).index(lead)] for lead in self.leads], axis=1)
        shaped = increment.reshape(*increment.shape[:2], *frames.shape[2:])
        return frames[:, None, 0] + shaped * self._columns(start.ndim - 2)

    def _series(self, frame: Float[np.ndarray, "case variable *space"]) -> Float[np.ndarray, "case mode"]:
        """``c_k = sum_s w p_k x' / lambda_k``."""
        x = (frame - self.center) / self._columns(frame.ndim - 2)
        return x.reshape(len(x), -1) @ (self.areas * self.modes.patterns / self.modes.variances[:, None]).T

    def _columns(self, axes: int) -> Float[np.ndarray, "variable *column"]:
        return self.scale.reshape(-1, *[1] * axes)

    def _error(self, part: Fields, weights: Float[np.ndarray, "*space"]) -> float:
        """Mean over leads and variables of the square error over the variance."""
        starts = companion(part, self.history)[:, : part.shape[1] - self.history + 1 - max(self.leads)]
        cases = starts.shape[:2]
        found = self(starts.reshape(-1, *starts.shape[2:])).reshape(*cases, len(self.leads), *part.shape[2:])
        first = self.history - 1 + np.arange(cases[1])
        truth = part[:, first[:, None] + np.array(self.leads)]
        return float((square_errors(found, truth, weights) / self.scale**2).mean())
