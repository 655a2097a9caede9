"""What a run's maps are worth: maps towards some places, and what masking, ablation and random weights say of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool, Float

from gridvit.analysis.attention_tables import attributes, place_coords, place_dims
from gridvit.analysis.attribution import Readout, Replace, region_weights
from gridvit.analysis.faithfulness import (
    FRACTIONS,
    Masking,
    ablation_losses,
    descending,
    masking_table,
    matched,
    randomisation,
)
from gridvit.analysis.frozen import MeanStencil, RadialMean
from gridvit.analysis.pairs import Pairs
from gridvit.analysis.relevance import (
    gradient_relevance,
    gradient_rows,
    head_means,
    map_reach,
    rollout_rows,
    token_regions,
)
from gridvit.grid import Grid
from gridvit.initial import told
from gridvit.nn.attention import Fixed
from gridvit.nn.looking import residual_shares
from gridvit.nn.replacing import bias_alone, uniform
from gridvit.nn.shuffled import cascade
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.run.cases import Cases
from gridvit.run.subject import Subject

COST = 2**23
"""Pairs of tokens: so many are looked at in all places together, and four times as many in ablations.

Eight times where what takes the place of attention is the same in every state. With 2,048 tokens these are 2 places, 8
states and 16: the costs of ablations have standard errors, the p-values of maps the smallest that they can have.
"""
TOGETHER = 2**20  # cells of the states that are stepped at once where it is
PLACES = (2, 12)
THIRD = slice(1, None, 3)  # of the places, from which maps of random weights are made
HELD = 2**27  # weights of attention whose gradients are held at once, half a GiB of each
SEED = 0


def affordable(tokens: Grid, cost: int, least: int, most: int) -> int:
    """How many states are looked at: fewer where a pass takes long, which goes with the pairs of tokens."""
    return int(np.clip(cost // tokens.size**2, least, max(least, most)))


def one_per_place(subject: Subject) -> str:
    """Why nothing is masked or replaced in this run; nothing where all can be."""
    if subject.step.attending.groups > 1:
        return "there are several tokens at each place"
    if not subject.step.channels.prognostic:
        return "no variable is predicted from its own past"
    return ""


def ablations(subject: Subject) -> xr.Dataset:
    """The loss of one step with attention made uniform, left to the bias alone, and frozen to its mean stencil.

    Without gaps and registers these are the same in every state: made once for all, they take twice as many states for
    a fraction of what it costs to replace the attention of each.
    """
    step, tokens = subject.step, subject.step.token_grid
    same = step.network.masks is None and not step.attending.config.registers
    count = affordable(tokens, (8 if same else 4) * COST, 4, len(subject.states))
    states, context, truth = pairs(subject, count)
    replaced = replacements(subject if same else subject.at(states, context))
    if same:
        replaced = {name: Fixed(each) for name, each in replaced.items()}
    together = max(1, TOGETHER // step.grid.size) if same else 1
    return ablation_losses(step, states, truth, replaced, step.scale[0].flatten(), context, together)


def pairs(subject: Subject, count: int) -> tuple[torch.Tensor, Context, torch.Tensor]:
    """States spread over the test part, what is told of them, and what came a step later."""
    step = subject.step
    cases = Cases.of(subject.test, (1,), step.channels)
    chosen = np.linspace(0, len(cases.index) - 1, min(count, len(cases.index))).round().astype(int)
    cases = replace(cases, index=cases.index[chosen])
    every = slice(None)
    known = cases.known if step.channels.known_places else None
    states = step.state_of(torch.from_numpy(cases.frames(every)))
    context = told(cases.seconds, known, cases.condition, every)
    return states, context, torch.from_numpy(cases.truth[:, 0])


def replacements(subject: Subject) -> dict[str, Replace]:
    """What takes the place of attention, by name; the stencil is that of the states of ``subject``."""
    network, tokens = subject.step.attending, subject.step.token_grid
    extra = network.config.registers
    if not subject.shifts:
        frozen: Replace = RadialMean(subject.seen[0]["attention_radial"].values, Pairs(tokens), extra)
    elif network.masks is None:
        layers = enumerate(torch.from_numpy(subject.offsets["stencil"]).float().flatten(3))
        frozen = MeanStencil(dict(layers), tokens, extra)
    else:  # by the area that has values
        frozen = MeanStencil.of(subject.maps(), tokens, subject.areas, extra)
    return {"uniform": uniform(tokens), "bias": bias_alone(network), "mean stencil": frozen}


@dataclass(frozen=True, eq=False)
class Places:
    """Some states, and in each a token whose next value of the first variable is asked for.

    Args:
        subject: of the analysis.
        count: of states.
    """

    subject: Subject
    count: int

    @cached_property
    def states(self) -> torch.Tensor:
        """Spread over those of the analysis."""
        return self.subject.states[self.chosen]

    @cached_property
    def chosen(self) -> torch.Tensor:
        """Their numbers, some several times where there are few states."""
        found = np.linspace(0, len(self.subject.states) - 1, self.count).round().astype(int)
        return torch.from_numpy(found)

    @cached_property
    def tokens(self) -> list[int]:
        """Spread evenly over the area of those that always have values."""
        areas = self.subject.areas
        areas = (areas if len(areas) == 1 else areas[self.chosen]).min(axis=0)
        reached = np.cumsum(areas * (np.bincount(self.regions.ravel(), self.inside.ravel(), areas.size) > 0))
        wanted = (np.arange(self.count) + 0.5) / self.count * reached[-1]
        return [int(n) for n in np.searchsorted(reached, wanted)]

    @property
    def inside(self) -> Bool[np.ndarray, "*space"]:
        """Where the first variable has values."""
        return self.subject.step.domain[0].numpy()

    @cached_property
    def regions(self) -> np.ndarray:
        """The token of each cell."""
        return token_regions(self.subject.grid, self.subject.step.token_grid)

    def context(self, case: int) -> Context:
        """What is told of a case."""
        return self.subject.context.take(self.chosen[case : case + 1])

    def readout(self, case: int, step: ModelStep | None = None) -> Readout:
        """The mean of the first variable over the cells of the case's token, a step later."""
        step = step or self.subject.step
        here = (self.regions == self.tokens[case]) & self.inside
        weights = region_weights(step.grid, step.variables, step.variables[0], here)
        return Readout(step, weights, 1, self.context(case))


def maps(
    places: Places, step: ModelStep, cases: slice = slice(None)
) -> dict[str, Float[np.ndarray, "case token"]]:
    """Shares of all tokens in each case: by rollout, by gradient relevance if it can be held, and by the gradient."""
    found: dict[str, list[np.ndarray]] = {}
    for case in range(places.count)[cases]:
        for name, row in maps_of_case(places, step, case):
            if not row.sum() > 0:  # nothing else matters
                row = torch.eye(len(row))[places.tokens[case]]
            found.setdefault(name, []).append((row / row.sum()).double().numpy())
    return {name: np.stack(rows) for name, rows in found.items()}


def maps_of_case(places: Places, step: ModelStep, case: int) -> Iterator[tuple[str, torch.Tensor]]:
    """Each map of one case, among tokens with a place."""
    state, token, extra = places.states[case : case + 1], places.tokens[case], step.attending.config.registers
    here = places.subject.at(state, places.context(case), step)
    with torch.no_grad():
        layers = head_means(here.maps())
        stays = residual_shares(step.attending, *here.inputs)
        yield "rollout", rollout_rows(layers, stays, [extra + token])[0, 0, extra:]
    readout = places.readout(case, step)
    if relevant(step):
        row = gradient_relevance(readout, state, [extra + token])[0, 0, extra:]
        yield "relevance", row - torch.eye(len(row))[token].to(row)  # what comes by attention alone
    scale = step.std.flatten()[step.source]
    yield "gradient", gradient_rows(readout, state, places.regions, scale)[0]


def relevant(step: ModelStep) -> bool:
    """Whether the gradients of all attention can be held."""
    config = step.attending.config
    return not config.checkpointing and config.depth * config.heads * step.token_grid.size**2 <= HELD


def too_many(subject: Subject) -> str:
    """Why maps of all layers are not made; nothing where they are."""
    depth, tokens = subject.step.attending.config.depth, subject.step.token_grid.size
    if depth * tokens**2 > 2 * HELD:
        return f"attention of {depth} layers among {tokens} tokens is more than is held at once"
    return one_per_place(subject)


def faithfulness(subject: Subject) -> xr.Dataset:
    """Maps towards some places; what deleting and inserting by them does; how much of them random weights show."""
    count = affordable(subject.step.token_grid, COST, *PLACES)
    places = Places(subject, count)
    found = maps(places, subject.step)
    shuffled = randomisation(
        lambda step: maps(places, step, THIRD),
        {name: rows[THIRD] for name, rows in found.items()},
        cascade(subject.step, SEED),
        places.tokens[THIRD],
        subject.step.token_grid,
    )
    return xr.merge([place_tables(places, found), masked(places, found), shuffled], join="outer")


def masked(places: Places, found: dict[str, Float[np.ndarray, "case token"]]) -> xr.Dataset:
    """Deletion and insertion by each map, against tokens at random and as far away; the place itself stays."""
    step, rng = places.subject.step, np.random.default_rng(SEED)
    tokens = step.token_grid
    areas = tokens.areas.ravel() / tokens.areas.sum()
    baseline = places.subject.states.nanmean(0, keepdim=True)
    effects = []
    for case, token in enumerate(places.tokens):
        distances = tokens.distances(rows=np.array([token]))[0]
        scores = [rng.permutation(tokens.size) * areas]
        for rows in found.values():
            scores += [rows[case], matched(rows[case], distances, rng)]
        orders = [order[order != token] for order in (descending(each, areas) for each in scores)]
        one = places.states[case : case + 1]
        masking = Masking(places.readout(case), one, baseline, places.regions, areas)
        effects.append(masking.effects(orders))
    return masking_table(np.stack(effects), list(found)).assign_coords(
        fraction=("fraction", np.array(FRACTIONS), attributes("part of the area that is masked", "1"))
    )


def place_tables(places: Places, found: dict[str, Float[np.ndarray, "case token"]]) -> xr.Dataset:
    """The maps, and how far and wide they reach."""
    tokens, dims = places.subject.step.token_grid, ("map", "target")
    areas = tokens.areas.reshape(1, -1) / tokens.areas.sum()
    reach = [map_reach(rows, places.tokens, tokens, areas) for rows in found.values()]
    distance, rms, area = (np.stack([each[name] for each in reach]) for name in ("distance", "rms", "area"))
    whole = np.stack([rows.reshape(-1, *tokens.shape) for rows in found.values()])
    unit = tokens.distance_units
    tables = {
        "target_map": ((*dims, *place_dims(tokens)), whole, attributes("share of a token in a forecast", "1")),
        "target_map_distance": (dims, distance, attributes("mean distance of a map from its place", unit)),
        "target_map_rms": (dims, rms, attributes("root mean square distance of a map from its place", unit)),
        "target_map_area": (dims, area, attributes("effective area fraction of a map", "1")),
        "map_distance": (("map",), distance.mean(axis=1), attributes("mean distance of maps from their places", unit)),
    }  # fmt: skip
    coords = {
        "map": ("map", list(found), {"long_name": "map"}),
        "target_token": ("target", places.tokens, {"long_name": "number of the token that is forecast"}),
        "target_state": ("target", places.chosen.numpy(), {"long_name": "number of the state"}),
        **place_coords(tokens),
    }
    return xr.Dataset(tables, coords)
