"""Whether a forecast hangs on what a map shows: masking, ablated attention, random weights.

"Attention is not explanation" (Jain & Wallace 2019, arXiv:1902.10186) and "not not explanation" (Wiegreffe & Pinter
2019, arXiv:1908.04626) are decided here by experiment, for one trained step at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float, Int
from scipy.stats import rankdata
from torch import Tensor

from gridvit.analysis.attention_tables import attributes
from gridvit.analysis.attribution import Readout, Replace, WithAttention
from gridvit.analysis.significance import signed_rank
from gridvit.analysis.skill import area_weights, square_errors
from gridvit.grid import Grid
from gridvit.rollout import Context, Persistence, Step

FRACTIONS = (0.05, 0.1, 0.2)
SHELL = 8  # tokens about as far from the place, among which a map is shuffled
CELLS = 2**15  # of masked states that are stepped together
INTACT, PERSISTENCE = "none", "persistence"


def ablation_losses(
    step: Step,
    states: Float[Tensor, "batch variable *space"],
    truth: Float[Tensor, "batch target *space"],
    replacements: Mapping[str, Replace],
    scale: Float[Tensor, "target"],
    context: Context | None = None,
    together: int = 1,
) -> xr.Dataset:
    r"""``L = mean over states and variables of mean_x w (F(u) - v)^2 / sigma^2``, intact and with attention replaced.

    Attention that can be replaced without a loss explains nothing: compare a cost with that of "uniform", and both with
    the loss of persistence.

    Args:
        step: that takes ``attention``.
        states: ``u``.
        truth: ``v``, a step later, of the first variables of the state; cells without a value do not enter.
        replacements: by name, as ``gridvit.nn.replacing`` and ``gridvit.analysis.frozen`` make them.
        scale: ``sigma``, of each variable's increment.
        context: of the states.
        together: states that are stepped at once; more than one where no weights of all pairs are made of each.

    Returns:
        ``ablation_loss(ablation, case)``; ``ablation_cost(ablation)``, the mean over that of the intact step less one;
        ``ablation_cost_error``, the standard error of the paired differences in the same unit.
    """
    steps: dict[str, Step] = {INTACT: step, PERSISTENCE: Persistence(step.grid, step.dt, step.variables)}
    steps |= {name: WithAttention(step, each) for name, each in replacements.items()}
    weights, goal = area_weights(step.grid), truth.double().cpu().numpy()
    losses = np.zeros((len(steps), len(states)))
    for row, each in enumerate(steps.values()):
        for start in range(0, len(states), together):
            rows = slice(start, start + together)
            with torch.no_grad():
                after = each(states[rows], context and context.take(rows))[:, : goal.shape[1]]
            errors = square_errors(np.nan_to_num(after.double().cpu().numpy()), goal[rows], weights)
            losses[row, rows] = np.nanmean(errors / scale.double().cpu().numpy() ** 2, axis=1)
    return _losses(losses, list(steps))


def _losses(losses: Float[np.ndarray, "ablation case"], names: Sequence[str]) -> xr.Dataset:
    intact, extra = losses[0].mean(), losses - losses[0]
    error = (
        extra.std(axis=1, ddof=1) / np.sqrt(losses.shape[1]) if losses.shape[1] > 1 else np.nan * losses[:, 0]
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        cost, error = extra.mean(axis=1) / intact, error / intact
    about = "of one step over that of the intact model, less one"
    tables = {
        "ablation_loss": (
            ("ablation", "ablated_case"),
            losses,
            attributes("normalised loss of one step", "1"),
        ),
        "ablation_cost": (("ablation",), cost, attributes(f"loss {about}", "1")),
        "ablation_cost_error": (("ablation",), error, attributes("standard error of the cost", "1")),
    }
    kinds = ("ablation", list(names), {"long_name": "what takes the place of attention"})
    return xr.Dataset(tables, {"ablation": kinds})


@dataclass(frozen=True, eq=False)
class Masking:
    """Deletes tokens from a state, or inserts them into a baseline, and reads what a forecast makes of it.

    Args:
        readout: ``f``, of which only the first state is looked at.
        state: ``u``, one state.
        baseline: what a token without its values has, such as a climatology.
        regions: the number of the token of each cell.
        areas: of the tokens, of sum one.
    """

    readout: Readout
    state: Float[Tensor, "one variable *space"]
    baseline: Float[Tensor, "one variable *space"]
    regions: Int[np.ndarray, "*space"]
    areas: Float[np.ndarray, "token"]

    def first(self, order: Int[np.ndarray, "rank"], fraction: float | int) -> Bool[np.ndarray, "token"]:
        """The tokens that come first, up to this fraction of the area, one at least; those left out never do."""
        reached = np.cumsum(self.areas[order]) <= fraction + 1e-9
        reached[0] = True
        return np.isin(np.arange(len(self.areas)), order[reached])

    def effects(
        self, orders: Sequence[Int[np.ndarray, "rank"]], fractions: Sequence[float] = FRACTIONS
    ) -> Float[np.ndarray, "2 order fraction"]:
        """``|f(u) - f(u deleted)|`` and ``|f(u) - f(b inserted)|``: the first grows fast, the second falls fast."""
        masks = [self.first(order, fraction) for order in orders for fraction in fractions]
        with torch.no_grad():
            rest = float(self.readout(self.state)[0])
            found = [abs(rest - value) for way in (False, True) for value in self._read(masks, way)]
        return np.array(found).reshape(2, len(orders), len(fractions))

    def _read(self, masks: list[np.ndarray], insert: bool) -> Iterator[float]:
        """``f`` with each mask's tokens taken from the baseline, or all others; some masks together."""
        context, count = self.readout.context, max(1, CELLS // self.regions.size)
        for start in range(0, len(masks), count):
            chosen = np.stack([mask[self.regions] for mask in masks[start : start + count]])
            mask = torch.from_numpy(chosen)[:, None].to(self.state.device)
            told = context and context.take(torch.zeros(len(chosen), dtype=torch.long))
            states = torch.where(mask != insert, self.baseline, self.state)
            yield from replace(self.readout, context=told)(states).tolist()


def descending(
    scores: Float[np.ndarray, "token"], areas: Float[np.ndarray, "token"]
) -> Int[np.ndarray, "token"]:
    """Tokens by what they have of the map for their area, most first."""
    return np.argsort(-scores / areas, kind="stable")


def matched(
    scores: Float[np.ndarray, "token"],
    distances: Float[np.ndarray, "token"],
    rng: np.random.Generator,
    shell: int = SHELL,
) -> Float[np.ndarray, "token"]:
    """The same scores shuffled among tokens about as far away: the map without what it knows beyond distance.

    The token itself, at distance 0, keeps its score; the others are taken ``shell`` at a time.
    """
    order = np.argsort(distances, kind="stable")
    shuffled = scores.copy()
    for start in range(1, len(order), shell):
        ring = order[start : start + shell]
        shuffled[ring] = scores[rng.permutation(ring)]
    return shuffled


def masking_table(effects: Float[np.ndarray, "case 2 order fraction"], names: Sequence[str]) -> xr.Dataset:
    """Deletion and insertion curves of maps beside those of their controls.

    Args:
        effects: of ``Masking.effects``, order 0 at random, then each map and the map shuffled within distance.
        names: of the maps.

    Returns:
        ``deletion`` and ``insertion (masked_first, fraction)``, means over cases; ``deletion_gain`` and
        ``insertion_gain (map, control)``, what the map does more than its control as a share of the control's, over
        all fractions (of insertion less, so that above 0 is faithful both times), with ``_p``, the p-value of
        ``signed_rank`` over cases: of ``n`` cases it cannot be less than ``2^-n``, its ``smallest``.
    """
    orders = ["random", *(label for name in names for label in (name, f"{name}, matched"))]
    ways: dict[str, Any] = {}
    for place, way in enumerate(("deletion", "insertion")):
        curve = effects[:, place]
        ways[way] = (
            ("masked_first", "fraction"),
            curve.mean(axis=0),
            attributes(f"change of the forecast by {way}", "1"),
        )
        each = curve.mean(axis=-1)  # (case, order)
        sign = 1 if way == "deletion" else -1
        pairs = [[(1 + 2 * n, control) for control in (0, 2 + 2 * n)] for n in range(len(names))]
        gains = [[_gain(sign, each[:, ours], each[:, theirs]) for ours, theirs in row] for row in pairs]
        gain, p = np.moveaxis(np.array(gains), -1, 0)
        about = f"{way} by the map over that by its control, less one"
        ways[f"{way}_gain"] = (("map", "control"), gain, attributes(about, "1"))
        smallest = 0.5 ** len(each)
        about_p = attributes(f"p-value of the {way} gain", "1")
        ways[f"{way}_p"] = (("map", "control"), p, {**about_p, "smallest": smallest})
    coords = {
        "masked_first": ("masked_first", orders, {"long_name": "what is taken first"}),
        "map": ("map", list(names), {"long_name": "map"}),
        "control": ("control", ["random", "matched"], {"long_name": "tokens at random, or as far away"}),
    }
    return xr.Dataset(ways, coords)


def _gain(
    sign: int, ours: Float[np.ndarray, "case"], theirs: Float[np.ndarray, "case"]
) -> tuple[float, float]:
    """Relative difference of the means, and the p-value that it is as large by chance."""
    extra = sign * (ours - theirs)
    gain = extra.mean() / theirs.mean() if theirs.mean() > 0 else np.nan
    return float(gain), signed_rank(extra)


def map_similarity(
    reference: Float[np.ndarray, "row token"],
    other: Float[np.ndarray, "row token"],
    queries: Sequence[int],
    grid: Grid,
    shell: int = SHELL,
) -> tuple[float, float]:
    """Rank correlation of two maps, mean over rows: as they are, and of what is left beside distance.

    The second takes from each token's rank the mean over those about as far from the query, so that two maps which fall
    off alike and agree in nothing else score 0.
    """
    whole, beside = [], []
    for a, b, query in zip(reference, other, queries, strict=True):
        distances = grid.distances(rows=np.array([query]))[0]
        ranks = [rankdata(x) for x in (a, b)]
        whole.append(_correlation(*ranks))
        beside.append(_correlation(*(without_distance(r, distances, shell) for r in ranks)))
    return float(np.mean(whole)), float(np.mean(beside))


def without_distance(
    values: Float[np.ndarray, "token"], distances: Float[np.ndarray, "token"], shell: int = SHELL
) -> Float[np.ndarray, "token"]:
    """Each value less the mean of those about as far away; 0 at the place itself."""
    order, found = np.argsort(distances, kind="stable"), np.zeros(len(values))
    for start in range(1, len(order), shell):
        ring = order[start : start + shell]
        found[ring] = values[ring] - values[ring].mean()
    return found


def _correlation(a: Float[np.ndarray, "token"], b: Float[np.ndarray, "token"]) -> float:
    """0 where one of them is constant: it says nothing."""
    a, b = a - a.mean(), b - b.mean()
    size = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / size) if size > 0 else 0.0


def randomisation(
    maps: Callable[[Any], Mapping[str, Float[np.ndarray, "row token"]]],
    trained: Mapping[str, Float[np.ndarray, "row token"]],
    randomised: Iterable[tuple[str, Step]],
    queries: Sequence[int],
    grid: Grid,
) -> xr.Dataset:
    """How much of a map is still there when the weights are random: a map that stays does not show what was learned.

    Args:
        maps: makes maps by name of a step, row by row from ``queries``.
        trained: those of the trained step.
        randomised: names and steps: the same with the weights of ever more layers shuffled, cascading from the output.
        queries: tokens.
        grid: of the tokens.

    Returns:
        ``randomised_similarity`` and ``randomised_similarity_beside_distance (map, randomised)``.

    Reference: Adebayo et al. (2018), arXiv:1810.03292.
    """
    names, columns = [], []
    for name, other in randomised:
        names.append(name)
        shown = maps(other)
        columns.append([map_similarity(trained[kind], shown[kind], queries, grid) for kind in trained])
    found = np.array(columns).transpose(2, 1, 0)
    about = "rank correlation of the map with that of shuffled weights"
    dims = ("map", "randomised")
    tables = {
        "randomised_similarity": (dims, found[0], attributes(about, "1")),
        "randomised_similarity_beside_distance": (
            dims,
            found[1],
            attributes(f"{about}, beside distance", "1"),
        ),
    }
    kinds = {"map": ("map", list(trained), {"long_name": "map"}),
             "randomised": ("randomised", names, {"long_name": "weights shuffled from the output to"})}  # fmt: skip
    return xr.Dataset(tables, kinds)
