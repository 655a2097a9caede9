"""The list of what ``gridvit analyse`` measures, and of what each measure needs.

A measure is a function from a ``Subject`` to a Dataset whose variables have units and long names; a further one is a
line in ``MEASURES`` and, where it cannot be taken of every run, a reason why not. The arrays of two measures meet in
one file: a dimension of the same name has the same coordinate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr

from gridvit.analysis.modified import LEAST
from gridvit.grid import Grid
from gridvit.nn.kernels import without_kernels
from gridvit.nn.own import Own
from gridvit.run.faithful import ablations, faithfulness, one_per_place, too_many
from gridvit.run.jacobian import (
    defects,
    dependence,
    growth,
    modified,
    one_step,
    routing,
    rows_by_latitude,
    scheme,
    waves,
)
from gridvit.run.looks import attention, reach, signed
from gridvit.run.over import attention_over_training, no_snapshots
from gridvit.run.places import attention_places
from gridvit.run.subject import Subject
from gridvit.run.towards import no_aim, towards


def always(subject: Subject) -> str:
    """Nothing is in the way."""
    return ""


@dataclass(frozen=True)
class Measure:
    """A part of ``analysis.nc``.

    Args:
        name: in the log.
        found: its Dataset.
        missing: why it cannot be taken of this run; nothing where it can.
    """

    name: str
    found: Callable[[Subject], xr.Dataset]
    missing: Callable[[Subject], str] = always


def no_attention(subject: Subject) -> str:
    """A network of one's own shows none."""
    return "the network is one of your own" if isinstance(subject.step.network, Own) else ""


def no_training(subject: Subject) -> str:
    """Attention of some epochs."""
    return no_attention(subject) or no_snapshots(subject)


def no_ablations(subject: Subject) -> str:
    """Attention that can be replaced."""
    return no_attention(subject) or one_per_place(subject)


def no_maps(subject: Subject) -> str:
    """Attention of all layers at once."""
    return no_attention(subject) or too_many(subject)


def no_jacobian(subject: Subject) -> str:
    """It needs a variable that is predicted from itself, on a plane without walls or a whole globe."""
    if not subject.step.channels.prognostic:
        return "no variable is predicted from its own past"
    return "" if whole_globe(subject.grid) or endless_plane(subject.grid) else unmeasured(subject.grid)


def no_plane(subject: Subject) -> str:
    """Stencils are set beside schemes on a plane without walls."""
    if not subject.step.channels.prognostic or not endless_plane(subject.grid):
        return "it needs a variable predicted from its own past on a plane periodic along every axis"
    return ""


def no_growth(subject: Subject) -> str:
    """Waves need a plane without walls where all is alike from patch to patch."""
    if why := no_plane(subject):
        return why
    if subject.context.known is not None or len(subject.step.static):
        return "what the model is given does not repeat with its patches"
    return ""


def no_modified(subject: Subject) -> str:
    """Cumulants need some waves."""
    if why := no_plane(subject):
        return why
    return f"it needs {LEAST} cells along each axis" if min(subject.grid.shape) < LEAST else ""


def no_waves(subject: Subject) -> str:
    """There must be something to be held against."""
    return no_plane(subject) or ("" if len(subject.references[0]) > 1 else "no solver of the data is known")


def no_one_step(subject: Subject) -> str:
    """The error of one step is that of a step of one variable from one frame, without gaps."""
    if why := no_growth(subject):
        return why
    if len(subject.step.variables) > 1:
        return "it needs a single variable and no history"
    return no_gaps(subject)


def no_gaps(subject: Subject) -> str:
    """Cells without values are moved along with no shift."""
    return "the states have gaps" if subject.states.isnan().any() else ""


def no_defects(subject: Subject) -> str:
    """What is given beside the state would have to be shifted along."""
    return no_growth(subject) or no_gaps(subject)


def no_dependence(subject: Subject) -> str:
    """One state says nothing of others."""
    return no_plane(subject) or no_gaps(subject) or ("" if len(subject.some) > 1 else "it needs two states")


def no_routing(subject: Subject) -> str:
    """The weights of all pairs of tokens are held."""
    if why := no_plane(subject) or no_attention(subject):
        return why
    config, tokens = subject.step.attending.config, subject.step.token_grid
    pairs = config.depth * config.heads * tokens.size**2
    return "" if pairs <= PAIRS else f"the weights of {pairs:.2g} pairs of tokens would have to be held"


def no_reach(subject: Subject) -> str:
    """Heads and Jacobian on a plane without walls."""
    return no_modified(subject) or no_attention(subject)


def no_signed(subject: Subject) -> str:
    """A straight way from cells to cells."""
    return no_plane(subject) or no_attention(subject) or without_kernels(subject.step.attending)


def jacobian(subject: Subject) -> xr.Dataset:
    """By latitude on a globe, beside the schemes on a plane."""
    return rows_by_latitude(subject) if whole_globe(subject.grid) else scheme(subject)


def whole_globe(grid: Grid) -> bool:
    """Whether longitudes close."""
    return grid.is_latlon and grid.periodic[1]


def endless_plane(grid: Grid) -> bool:
    """Whether every axis of a plane closes."""
    return not grid.is_sphere and all(grid.periodic)


def unmeasured(grid: Grid) -> str:
    """Why a grid's Jacobian is left alone."""
    if grid.mesh is not None:
        return "on a curvilinear mesh an offset in cells has no one direction and length"
    return f"it needs a plane periodic along every axis or a whole globe, and this is {grid.describe()}"


PAIRS = 2**27  # of tokens, over all layers and heads: 1 GiB in float64
MEASURES = (
    Measure("attention", attention, no_attention),
    Measure("attention over the training", attention_over_training, no_training),
    Measure("attention from places", lambda s: attention_places(s.step, s.states, s.context), no_attention),
    Measure("the signed stencils of heads", signed, no_signed),
    Measure("ablations of attention", ablations, no_ablations),
    Measure("the faithfulness of maps", faithfulness, no_maps),
    Measure("the Jacobian", jacobian, no_jacobian),
    Measure("the modified equation", modified, no_modified),
    Measure("the errors of waves", waves, no_waves),
    Measure("the growth of waves", growth, no_growth),
    Measure("the error of one step", one_step, no_one_step),
    Measure("the defects", defects, no_defects),
    Measure("the dependence on the state", dependence, no_dependence),
    Measure("the routing share", routing, no_routing),
    Measure("the reach of attention", reach, no_reach),
    Measure("what precedes a region", towards, no_aim),
)
