"""How well a map finds the cells that truly act: scores by area against a planted truth."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from gridvit.errors import InputError
from gridvit.physics.planted_truth import PlantedTruth


def auroc(
    score: Float[np.ndarray, "cell"], truth: Bool[np.ndarray, "cell"], areas: Float[np.ndarray, "cell"]
) -> float:
    r"""``P(score_+ > score_-) + P(score_+ = score_-) / 2`` for a true and a false cell drawn by area.

    A constant or random map scores 1/2, a perfect one 1; NaN where all or none is true.
    """
    true, area = _groups(score, truth, areas)
    false = area - true
    below = np.cumsum(false[::-1])[::-1] - false  # of lower scores: groups descend
    pairs = true.sum() * false.sum()
    return float((true * (below + false / 2)).sum() / pairs) if pairs > 0 else np.nan


def average_precision(
    score: Float[np.ndarray, "cell"], truth: Bool[np.ndarray, "cell"], areas: Float[np.ndarray, "cell"]
) -> float:
    r"""``sum_k (R_k - R_{k-1}) P_k`` over thresholds ``k``, cells of one score together; recall and precision by area.

    A constant map scores the prevalence, a perfect one 1; NaN where nothing is true. For rare truths it tells good maps
    apart where ``auroc`` is near one for all.
    """
    true, area = _groups(score, truth, areas)
    if not true.sum():
        return np.nan
    return float((true / true.sum() * np.cumsum(true) / np.cumsum(area)).sum())


def sign_agreement(
    values: Float[np.ndarray, "cell"], effect: Float[np.ndarray, "cell"], areas: Float[np.ndarray, "cell"]
) -> float:
    """Share of the area where there is an effect in which the map has its sign; 1/2 by chance."""
    acting = effect != 0
    right = np.sign(values) == np.sign(effect)
    return float((areas * right)[acting].sum() / areas[acting].sum()) if acting.any() else np.nan


def pattern_correlation(
    one: Float[np.ndarray, "cell"], other: Float[np.ndarray, "cell"], areas: Float[np.ndarray, "cell"]
) -> float:
    """Centred correlation over the cells, weighted by area."""
    w = areas / areas.sum()
    a, b = one - w @ one, other - w @ other
    spread = np.sqrt((w @ a**2) * (w @ b**2))
    return float(w @ (a * b) / spread) if spread > 0 else np.nan


def confounder_leak(
    values: Float[np.ndarray, "cell"],
    confounded: Bool[np.ndarray, "cell"],
    cause: Bool[np.ndarray, "cell"],
    areas: Float[np.ndarray, "cell"],
) -> float:
    r"""``|sum_X w v| / |sum_Z w v|`` of a region ``X`` that shares the cause ``Z`` but does not act itself: truly 0."""
    below = abs((areas * values)[cause].sum())
    return float(abs((areas * values)[confounded].sum()) / below) if below > 0 else np.nan


def planted_scores(
    maps: Mapping[str, Float[np.ndarray, "..."]], truth: PlantedTruth, target: str, lead: int
) -> xr.Dataset:
    """All scores of each map towards a region of a linear planted world, outside that region itself.

    Args:
        maps: by name, on the world's grid, per area: divide a gradient by the area of its cell first. NaN (land)
            enters no score.
        truth: of the world.
        target: region that is acted on.
        lead: in steps.

    Returns:
        Along ``map``: ``auroc`` and ``average_precision`` of the size of the map, ``sign_agreement``,
        ``pattern_correlation`` with the causal effect, and ``confounder_leak`` (mean over the regions that share a
        cause with the target; NaN where none does). Attribute ``prevalence``: share of the area that acts.

    Raises:
        InputError: a region on which nothing acts at this lead.
    """
    world = truth.world
    acts, outside = truth.sources(lead)[world.index(target)], ~world.caps[world.index(target)]
    if not acts.any():
        got = f"nothing that acts on {target} within {lead} steps"
        raise InputError("a region on which others act", got, "choose another target or a longer lead")
    areas = world.grid.areas.ravel()
    effect = truth.effects(lead)[0, world.index(target)] / areas
    rows = []
    for values in maps.values():
        flat = values.reshape(-1).astype(np.float64)
        kept = outside & ~np.isnan(flat)
        v, e, a = flat[kept], effect[kept], areas[kept]
        scores = [f(abs(v), acts[kept], a) for f in (auroc, average_precision)]
        leaks = [
            confounder_leak(np.nan_to_num(flat), x, z, areas) for x, z in _shared_causes(truth, target, lead)
        ]
        leak = float(np.mean(leaks)) if leaks else np.nan
        rows.append([*scores, sign_agreement(v, e, a), pattern_correlation(v, e, a), leak])
    labels = {
        "auroc": "area under the ROC curve",
        "average_precision": "average precision",
        "sign_agreement": "share of the acting area with the right sign",
        "pattern_correlation": "pattern correlation with the causal effect",
        "confounder_leak": "weight of the confounded region over that of the cause",
    }
    table = {
        name: ("map", np.array(column), {"long_name": text, "units": "1"})
        for (name, text), column in zip(labels.items(), zip(*rows, strict=True), strict=True)
    }
    attrs = {"target": target, "lead": lead, "prevalence": float(areas[acts].sum() / areas[outside].sum())}
    return xr.Dataset(table, {"map": ("map", list(maps), {"long_name": "map that is scored"})}, attrs)


def _shared_causes(truth: PlantedTruth, target: str, lead: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """(cells of X, cells of Z) for each Z -> target and Z -> X where X does not act on the target."""
    world, effect = truth.world, truth.effects(lead)[0, truth.world.index(target)]
    causes = {link.source for link in world.links if link.target == target} - {target}
    found = []
    for link in world.links:
        x = world.caps[world.index(link.target)]
        if link.source in causes and link.target not in (target, link.source) and not effect[x].any():
            found.append((x, world.caps[world.index(link.source)]))
    return found


def _groups(score: np.ndarray, truth: np.ndarray, areas: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """True area and whole area of each distinct score, descending."""
    values, group = np.unique(-score, return_inverse=True)
    return np.bincount(group, areas * truth, len(values)), np.bincount(group, areas, len(values))
