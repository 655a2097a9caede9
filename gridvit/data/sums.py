"""Sums over blocks of fields that merge: moments, increments, presence, extremes, and the climatology's equations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from jaxtyping import Float

from gridvit.data.blocks import blocks, cut
from gridvit.data.progress import progress
from gridvit.data.stored import Stored

TILE = 4096  # cells at once: their float64 copies stay in the cache


@dataclass
class Moments:
    """n = sum w, m = sum w u / n, M = sum w (u - m)^2, over the values that are there.

    ``+=`` as Chan, Golub & LeVeque (1983, doi:10.1080/00031305.1983.10483115), eq. 2.1: M = M_a + M_b +
    (m_b - m_a)^2 n_a n_b / n.
    """

    weight: float = 0.0
    mean: float = 0.0
    square: float = 0.0

    def __iadd__(self, other: Moments) -> Moments:
        if other.weight:
            whole, far = self.weight + other.weight, other.mean - self.mean
            self.square += other.square + far**2 * self.weight * other.weight / whole
            self.mean += far * other.weight / whole
            self.weight = whole
        return self

    @classmethod
    def of(
        cls,
        count: np.ndarray,
        first: np.ndarray,
        second: np.ndarray,
        weights: np.ndarray,
        origin: np.ndarray | float,
    ) -> Moments:
        """From counts, sums and sums of squares of u - origin in each cell."""
        weight = float(weights @ count)
        if not weight:
            return cls()
        mean = float(weights @ (count * origin + first)) / weight
        far = origin - mean
        return cls(weight, mean, float(weights @ (second + 2 * far * first + count * far**2)))

    @property
    def std(self) -> float:
        """sqrt(M / n); NaN of nothing."""
        return float(np.sqrt(self.square / self.weight)) if self.weight else float("nan")


class Sums:
    """Of C variables over frames; ``+=`` those of other frames.

    values:     moments of each variable; ``increments[lead]`` those of u(t + lead) - u(t).
    frames:     samples times times.
    count:      (C, cell) values that are there; ``low`` and ``high`` (C,) their extremes.
    products:   (C, term, cell) sum_t x_k(t) u(t), x_0 = 1 and the columns of a climatology's design.
    squares:    (C, term, term) sum_t x_k x_l of blocks without gaps; ``gaps`` of the others (term, term, cell).
    """

    def __init__(self, areas: np.ndarray, variables: int, leads: Sequence[int], terms: int) -> None:
        self.weights = np.ravel(areas) / areas.sum()
        cells = self.weights.size
        self.values = [Moments() for _ in range(variables)]
        self.increments = {lead: [Moments() for _ in range(variables)] for lead in leads}
        self.frames = 0
        self.count = np.zeros((variables, cells), dtype=np.int64)
        self.low, self.high = np.full(variables, np.inf), np.full(variables, -np.inf)
        self.products = np.zeros((variables, 1 + terms, cells))
        self.squares = np.zeros((variables, 1 + terms, 1 + terms))
        self.gaps: dict[int, np.ndarray] = {}

    def __iadd__(self, other: Sums) -> Sums:
        for mine, others in zip(
            [self.values, *self.increments.values()], [other.values, *other.increments.values()], strict=True
        ):
            for c, moments in enumerate(others):
                mine[c] += moments
        self.frames += other.frames
        self.count += other.count
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.products += other.products
        self.squares += other.squares
        for c, squares in other.gaps.items():
            self._gaps(c)[:] += squares
        return self

    def _gaps(self, c: int) -> np.ndarray:
        terms, cells = self.products.shape[1:]
        return self.gaps.setdefault(c, np.zeros((terms, terms, cells)))

    def add(
        self,
        values: Float[np.ndarray, "time variable cell"],
        past: Float[np.ndarray, "before variable cell"],
        design: Float[np.ndarray, "time term"],
    ) -> None:
        """Successive frames of one sample; ``past`` the frames just before them, for increments alone."""
        self.frames += len(values)
        before = len(past)
        wide = np.empty((before + len(values), min(TILE, values.shape[2])))
        columns = np.concatenate([np.ones((len(values), 1)), design], axis=1)
        for c in range(values.shape[1]):
            low, high = float(np.min(values[:, c])), float(np.max(values[:, c]))
            whole = not np.isnan(low)
            low, high = (low, high) if whole else (np.nanmin(values[:, c]), np.nanmax(values[:, c]))
            self.low[c], self.high[c] = min(self.low[c], low), max(self.high[c], high)
            self.squares[c] += columns.T @ columns if whole else 0.0
            for first in range(0, values.shape[2], TILE):
                cells = slice(first, first + TILE)
                tile = wide[:, : len(self.weights[cells])]
                tile[:before], tile[before:] = past[:, c, cells], values[:, c, cells]
                if whole and not np.isnan(past[:, c]).any():
                    self._add(c, cells, tile, before, columns)
                else:
                    self._add_gappy(c, cells, tile, before, columns, whole)

    def _add(self, c: int, cells: slice, u: np.ndarray, before: int, columns: np.ndarray) -> None:
        """Some cells of one variable, all there.

        Sums are of u - o, o its first frame, and sum d^2 = sum u(t + l)^2 + sum u(t)^2 - 2 sum u(t + l) u(t): as the
        origin is near, float64 loses nothing that float32 had.
        """
        origin, weights, rows = u[before].copy(), self.weights[cells], len(u) - before
        u -= origin
        products, second = columns.T @ u[before:], np.einsum("tc,tc->c", u[before:], u[before:])
        count = np.full(len(origin), float(rows))
        self.count[c, cells] += rows
        self.products[c, :, cells] += products + columns.sum(axis=0)[:, None] * origin
        self.values[c] += Moments.of(count, products[0], second, weights, origin)
        for lead, increments in self.increments.items():
            end = max(before, lead)
            late, early = u[end:], u[end - lead : len(u) - lead]
            if len(late):
                last, first = u[len(u) - lead :], u[end - lead : end]
                lates = second - _squares(u[before:end])
                earlies = second + _squares(u[end - lead : before]) - _squares(last)
                square = lates + earlies - 2 * np.einsum("tc,tc->c", late, early)
                pairs = np.full(len(origin), float(len(late)))
                increments[c] += Moments.of(pairs, last.sum(axis=0) - first.sum(axis=0), square, weights, 0.0)

    def _add_gappy(
        self, c: int, cells: slice, u: np.ndarray, before: int, columns: np.ndarray, whole: bool
    ) -> None:
        """Some cells of one variable, NaN where missing; ``whole`` if only the frames before have gaps."""
        there, weights = ~np.isnan(u), self.weights[cells]
        origin = np.nan_to_num(u[before])
        u -= origin
        u[~there] = 0.0
        present = there[before:].astype(np.float64)
        counts = columns.T @ present
        if not whole:
            pairs = columns[:, :, None] * columns[:, None, :]
            self._gaps(c)[..., cells] += np.tensordot(pairs, present, axes=(0, 0))
        products = columns.T @ u[before:]
        self.count[c, cells] += counts[0].astype(np.int64)
        self.products[c, :, cells] += products + counts * origin
        self.values[c] += Moments.of(counts[0], products[0], _squares(u[before:]), weights, origin)
        for lead, increments in self.increments.items():
            end = max(before, lead)
            both = there[end:] & there[end - lead : len(u) - lead]
            d = np.where(both, u[end:] - u[end - lead : len(u) - lead], 0.0)
            count = both.sum(axis=0).astype(np.float64)
            increments[c] += Moments.of(count, d.sum(axis=0), _squares(d), weights, 0.0)


def _squares(u: np.ndarray) -> np.ndarray:
    """sum_t u^2 in each cell."""
    return np.einsum("tc,tc->c", u, u)


def summed(
    values: np.ndarray | Stored,
    areas: np.ndarray,
    leads: Sequence[int],
    design: Float[np.ndarray, "time term"],
    times: slice = slice(None),
) -> Sums:
    """The sums over some times of (S, T, C, *space), increments being those that end in them; one pass, in blocks.

    Raises:
        InputError: what ``Stored.read`` refuses.
    """
    start, stop, _ = times.indices(values.shape[1])
    part, variables = values[:, start:stop], values.shape[2]
    found = Sums(areas, variables, leads, design.shape[1])
    reach = min(start, max(leads))
    held: list[np.ndarray] = []
    for (samples, when), block in progress(blocks(part), "statistics", len(cut(part))):
        flat = block.reshape(*block.shape[:3], prod(block.shape[3:]))
        if when.start == 0:
            before = values[samples, start - reach : start]
            past = before.read() if isinstance(before, Stored) else before
            held = list(past.reshape(*past.shape[:3], prod(past.shape[3:])))
        for s, frames in enumerate(flat):
            found.add(frames, held[s], design[start + when.start : start + when.stop])
            held[s] = np.concatenate([held[s], frames[-max(leads) :]])[-max(leads) :]
    return found
