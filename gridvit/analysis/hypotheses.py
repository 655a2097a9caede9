"""From maps to statements that can be wrong: (source, target, lag, sign), tested on indices of regions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Shaped

from gridvit.analysis.significance import correlation_p, false_discovery, leave_years_out
from gridvit.analysis.teleconnection import partial_correlation
from gridvit.errors import InputError


@dataclass(frozen=True)
class Hypothesis:
    """Where ``source`` is higher, ``target`` is higher (sign 1) or lower (-1) ``lag`` steps later than it would be.

    Args:
        source: name of a region.
        target: name of another.
        lag: steps, at least one.
        sign: 1 or -1.
    """

    source: str
    target: str
    lag: int
    sign: int

    def __post_init__(self) -> None:
        if self.source == self.target or self.lag < 1 or self.sign not in (-1, 1):
            got = f"{self.source} -> {self.target}, lag {self.lag}, sign {self.sign}"
            raise InputError(
                "two regions, a lag of at least one step and a sign of 1 or -1",
                got,
                "state it so that it can be wrong",
            )


def propose(
    density: Float[np.ndarray, "*cell"],
    regions: Mapping[str, Bool[np.ndarray, "*cell"]],
    areas: Float[np.ndarray, "*cell"],
    target: str,
    lag: int,
    count: int,
) -> list[Hypothesis]:
    r"""The ``count`` regions of the greatest ``|sum_{s in m} w v(s)|``, with the sign of that sum.

    Args:
        density: a map ``v`` towards the target, per area: a gradient over the area of its cell, or a correlation.
        regions: cells of each; the target itself is passed over.
        areas: ``w``.
        target: name of the target.
        lag: of the map.
        count: how many to state. Fix it before looking: every one is a test.
    """
    sums = {name: float(np.nansum((areas * density)[m])) for name, m in regions.items() if name != target}
    ranked = sorted(sums, key=lambda name: -abs(sums[name]))
    return [
        Hypothesis(name, target, lag, 1 if sums[name] > 0 else -1) for name in ranked[:count] if sums[name]
    ]


def check_hypotheses(
    indices: xr.DataArray,
    hypotheses: Sequence[Hypothesis],
    years: Shaped[np.ndarray, "time"],
    *,
    own: int = 1,
    folds: int = 5,
    gap: int = 10,
    alpha: float = 0.05,
) -> xr.Dataset:
    r"""Each hypothesis against data that did not suggest it.

    Args:
        indices: anomalies ``(time, region)`` without missing values; of years that the maps have not seen.
        hypotheses: all that were stated; leaving out those that fail makes the rest meaningless.
        years: of each time.
        own: past values of the target that are given.
        folds: runs of whole years left out in turn, for the skill.
        gap: times on either side of those that train nothing; at least the memory.
        alpha: of the false discovery rate over the hypotheses.

    Returns:
        Along ``hypothesis``: ``source``, ``target``, ``lag``, ``sign``; ``partial`` correlation given the target's
        own past and its ``effective_size``; ``p``, one-sided since the sign is stated; ``supported``; and
        ``skill = 1 - MSE(own past and source) / MSE(own past)`` on the years left out, below zero where the source
        only adds noise. A common cause supports a hypothesis as well as an effect does.

    Raises:
        InputError: regions that are not there, missing values, or as ``leave_years_out``.
    """
    missing = {name for h in hypotheses for name in (h.source, h.target)} - set(
        indices.region.values.tolist()
    )
    if missing or bool(indices.isnull().any()) or not hypotheses:
        raise InputError(
            "at least one hypothesis about regions whose indices are whole",
            f"{len(hypotheses)} hypotheses, {sorted(missing)} absent and {int(indices.isnull().sum())} values missing",
            "give the index of each region without gaps",
        )
    series = {str(name): indices.sel(region=name).values.astype(np.float64) for name in indices.region.values}
    rows = []
    for h in hypotheses:
        r, size = partial_correlation(series[h.target], series[h.source][:, None], h.lag, own)
        two_sided = correlation_p(r, size, own)[0]
        p = two_sided / 2 if np.sign(r[0]) == h.sign else 1 - two_sided / 2
        skill = held_out_skill(
            series[h.source], series[h.target], h.lag, years, own=own, folds=folds, gap=gap
        )
        rows.append((r[0], size[0], p, skill))
    partial, size, p, skill = np.array(rows).T
    columns = {
        "source": ("region that is said to act", [h.source for h in hypotheses]),
        "target": ("region that is said to be acted on", [h.target for h in hypotheses]),
        "lag": ("steps from source to target", [h.lag for h in hypotheses]),
        "sign": ("stated sign", [h.sign for h in hypotheses]),
        "partial": ("correlation with the target later given its own past", partial),
        "effective_size": ("effective number of independent pairs", size),
        "p": ("one-sided p-value", p),
        "supported": ("whether it passes the false discovery rate", false_discovery(p, alpha)),
        "skill": ("share of the error that the source takes off on years left out", skill),
    }
    data = {
        name: ("hypothesis", values, {"long_name": text, "units": "1"})
        for name, (text, values) in columns.items()
    }
    return xr.Dataset(data, attrs={"alpha": alpha, "own_past": own, "folds": folds, "gap": gap})


def held_out_skill(
    source: Float[np.ndarray, "time"],
    target: Float[np.ndarray, "time"],
    lag: int,
    years: Shaped[np.ndarray, "time"],
    *,
    own: int = 1,
    folds: int = 5,
    gap: int = 10,
) -> float:
    r"""``1 - MSE(own past and source) / MSE(own past)`` of regressions on all other years.

    A time belongs to the year of its target; ``gap`` should be at least the lag and the memory.
    """
    now = np.arange(max(own - 1, 0), len(target) - lag)
    past = np.stack([np.ones(len(now)), *(target[now - k] for k in range(own))], axis=1)
    with_source = np.concatenate([past, source[now][:, None]], axis=1)
    late, errors = target[now + lag], np.zeros(2)
    for train, test in leave_years_out(years[now + lag], folds, gap):
        for k, design in enumerate((past, with_source)):
            slope = np.linalg.lstsq(design[train], late[train], rcond=None)[0]
            errors[k] += ((late[test] - design[test] @ slope) ** 2).sum()
    return float(1 - errors[1] / errors[0])
