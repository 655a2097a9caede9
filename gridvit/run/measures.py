"""The list of what ``gridvit analyse`` measures, and of what each measure needs.

A measure is a function from a ``Subject`` to a Dataset whose variables have units and long names; a further one is a
line in ``MEASURES`` and, where it cannot be taken of every run, a reason why not. The arrays of two measures meet in
one file: a dimension of the same name has the same coordinate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import xarray as xr

from gridvit.grid import Grid
from gridvit.nn.own import Own
from gridvit.run.faithful import ablations, faithfulness, one_per_place, too_many
from gridvit.run.jacobian import growth, rows_by_latitude, scheme
from gridvit.run.looks import attention
from gridvit.run.over import attention_over_training, no_snapshots
from gridvit.run.subject import Subject


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


def no_jacobian(subject: Subject) -> str:
    """It needs a variable that is predicted from itself, on a plane without walls or a whole globe."""
    if not subject.step.channels.prognostic:
        return "no variable is predicted from its own past"
    return "" if whole_globe(subject.grid) or endless_plane(subject.grid) else unmeasured(subject.grid)


def no_growth(subject: Subject) -> str:
    """Waves need a plane without walls where all is alike from patch to patch."""
    if not subject.step.channels.prognostic or not endless_plane(subject.grid):
        return "it needs a variable predicted from its own past on a plane periodic along every axis"
    if subject.context.known is not None or len(subject.step.static):
        return "what the model is given does not repeat with its patches"
    return ""


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


MEASURES = (
    Measure("attention", lambda s: attention(s.step, s.states, s.context), no_attention),
    Measure(
        "attention over the training", attention_over_training, lambda s: no_attention(s) or no_snapshots(s)
    ),
    Measure("ablations of attention", ablations, lambda s: no_attention(s) or one_per_place(s)),
    Measure("the faithfulness of maps", faithfulness, lambda s: no_attention(s) or too_many(s)),
    Measure("the Jacobian", jacobian, no_jacobian),
    Measure("the growth of waves", growth, no_growth),
)
