"""Intervals of scores that are means over cases, or functions of such means, by redrawing the cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil

import numpy as np
from jaxtyping import Float, Int

Interval = tuple[np.ndarray, np.ndarray]
"""Lower and upper end."""


@dataclass(frozen=True, eq=False)
class Bootstrap:
    r"""Percentile interval of ``f(mean a, mean b, ..)`` over redrawn cases.

    Moving blocks: runs of ``block`` successive cases are drawn with replacement, as many as fill the sample, because
    forecasts from neighbouring initial times err alike. All arrays are drawn together (paired).

    Args:
        block: length of a block, ``ceil(cases^(1/3))`` if absent; 1 for independent samples. Good value: at least the
            longest lead in cases.
        cluster: successive cases that are redrawn together, as those of one trajectory are; divides their number.
        draws: number of redrawn samples.
        level: share of the draws inside the interval.
        seed: same seed, same interval.
        order: of the cases, such that neighbours err alike; as they are if absent.

    Reference: Künsch (1989), Ann. Statist. 17, 1217-1241, doi:10.1214/aos/1176347265.
    """

    block: int | None = None
    cluster: int = 1
    draws: int = 2000
    level: float = 0.95
    seed: int = 0
    order: Int[np.ndarray, "case"] | None = None

    def __call__(
        self, *cases: Float[np.ndarray, "case *rest"], of: Callable[..., np.ndarray] = np.asarray
    ) -> Interval:
        """The interval of ``of(mean of each array)``, of the mean itself if absent.

        NaN for no more cases than a block holds, which say nothing about spread.
        """
        order = slice(None) if self.order is None else self.order
        pooled = [clusters(values[order], self.cluster) for values in cases]
        n, rest = len(pooled[0]), pooled[0].shape[1:]
        block = self.block or ceil(n ** (1 / 3))
        if n < 2 or n <= block:
            return np.full(rest, np.nan), np.full(rest, np.nan)
        counts = block_counts(n, block, self.draws, self.seed)
        found = of(*(np.tensordot(counts, values, axes=1) for values in pooled))
        low, high = np.quantile(found, [(1 - self.level) / 2, (1 + self.level) / 2], axis=0)
        return low, high

    def bounded(
        self,
        name: str,
        dims: tuple[str, ...],
        about: Mapping[str, str],
        *cases: Float[np.ndarray, "case *rest"],
        of: Callable[..., np.ndarray] = np.asarray,
    ) -> dict[str, tuple]:
        """``of(mean of each array)`` and, named with ``_low`` and ``_high``, its interval: variables of a Dataset.

        Args:
            name: of the variable.
            dims: of the arrays behind the case.
            about: attributes of the variable, ``long_name`` among them.
            cases: as for the interval.
            of: likewise.
        """
        low, high = self(*cases, of=of)
        value = of(*(values.mean(axis=0) for values in cases))
        bound = f"bound of {100 * self.level:g} %"
        parts = {"": (value, ""), "_low": (low, f", lower {bound}"), "_high": (high, f", upper {bound}")}
        return {
            name + end: (dims, values, {**about, "long_name": about["long_name"] + words})
            for end, (values, words) in parts.items()
        }


def clusters(values: Float[np.ndarray, "case *rest"], size: int) -> Float[np.ndarray, "cluster *rest"]:
    """Means over runs of ``size`` successive cases."""
    return values.reshape(-1, size, *values.shape[1:]).mean(axis=1)


def block_counts(cases: int, block: int, draws: int, seed: int) -> Float[np.ndarray, "draw case"]:
    """How often each case is in each redrawn sample, over the number of cases."""
    starts = np.random.default_rng(seed).integers(0, cases - block + 1, size=(draws, ceil(cases / block)))
    chosen = (starts[..., None] + np.arange(block)).reshape(draws, -1)[:, :cases]
    flat = chosen + cases * np.arange(draws)[:, None]
    return np.bincount(flat.ravel(), minlength=draws * cases).reshape(draws, cases) / cases
