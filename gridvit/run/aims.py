"""The numbers of a forecast that maps are drawn towards: indices that a run predicts, and means over regions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float

from gridvit.analysis.attribution import Readout, region_weights
from gridvit.analysis.teleconnection import region_mean
from gridvit.analysis.towards import Seen
from gridvit.config import Index
from gridvit.data.fields import Fields
from gridvit.data.roles import Variable, index_weights
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Replace
from gridvit.nn.companion import following
from gridvit.nn.step import ModelStep
from gridvit.rollout import Context
from gridvit.run.subject import Subject


@dataclass(frozen=True, eq=False)
class Ahead:
    """A model as the Step to one of its leads: u(t + lead) straight from the state.

    Args:
        step: of the model.
        place: of the lead among ``data.leads``.
    """

    step: ModelStep
    place: int

    @property
    def grid(self) -> Grid:
        """The model's own."""
        return self.step.grid

    @property
    def dt(self) -> float:
        """Length of the lead."""
        channels = self.step.channels
        return self.step.dt * channels.leads[self.place] / channels.pace

    @property
    def variables(self) -> tuple[str, ...]:
        """The model's own."""
        return self.step.variables

    def __call__(
        self, state: torch.Tensor, context: Context | None = None, attention: Replace | None = None
    ) -> torch.Tensor:
        """The state whose present is the forecast at this lead."""
        after = self.step.predict(state, context, attention, slice(self.place, self.place + 1))
        return following(state, after[:, 0], self.step.channels)


@dataclass(frozen=True, eq=False)
class Aim:
    """One number of a forecast.

    Args:
        name: of the index or region.
        variable: of the model that it is of.
        region: cells that it is the mean of.
        lead: steps of the data.
        place: of the lead among those of the model; none for ``steps`` of the model.
        steps: of the model, one where there is a place.
    """

    name: str
    variable: str
    region: Bool[np.ndarray, "*space"]
    lead: int
    place: int | None = None
    steps: int = 1

    @property
    def label(self) -> str:
        """Such as "nino34 in 6"."""
        return f"{self.name} in {self.lead}"

    def readout(self, step: ModelStep, context: Context) -> Readout:
        """The number, in standard deviations of its variable."""
        index = self.variable in step.channels.index
        cells = np.ones_like(self.region) if index else self.region
        weights = region_weights(step.grid, step.variables, self.variable, cells)
        spread = step.std[step.source[step.variables.index(self.variable)]].double().item()
        ahead = step if self.place is None else Ahead(step, self.place)
        return Readout(ahead, weights / spread, self.steps, context)

    def series(self, fields: Fields) -> Float[np.ndarray, "time"]:
        """Its values in the first sample of a part."""
        values = fields.array[0, :, fields.names.index(self.variable)].astype(np.float64)
        index = fields.variables[fields.names.index(self.variable)].of
        return region_mean(values, np.ones_like(self.region) if index else self.region, fields.grid)


def aims(subject: Subject) -> list[Aim]:
    """Every index at every lead of the model, and each of ``evaluation.regions`` at each of ``evaluation.lags``.

    Raises:
        InputError: a region of a variable that is not predicted, or without a cell.
    """
    channels, config = subject.step.channels, subject.config
    boxes = {v.name: box(subject, v) for v in subject.test.variables if v.of}
    found = [
        Aim(name, name, boxes[name], lead, place)
        for name in channels.index
        for place, lead in enumerate(channels.leads)
    ]
    for name, region in config.evaluation.regions.items():
        if region.variable not in channels.targets:
            raise InputError(
                f"evaluation.regions of {', '.join(channels.targets)}, which the run predicts",
                f"{region.variable!r} of {name}",
                "name one of them",
            )
        cells = box(subject, named(name, region))
        found += [
            Aim(name, region.variable, cells, lag * channels.pace, None, lag)
            for lag in config.evaluation.lags
        ]
    return found


def named(name: str, index: Index) -> Variable:
    """A region of the configuration as the variable that an index of it would be."""
    sides = tuple((axis, *side) for axis, side in index.region.items())
    return Variable(name, role="diagnostic", of=index.variable, region=sides)


def box(subject: Subject, index: Variable) -> Bool[np.ndarray, "*space"]:
    """The cells of an index."""
    return index_weights(subject.grid, subject.test.layout, index) > 0


def seen(step: ModelStep) -> Seen:
    """Which channels of the model's state hold its inputs, and their standard deviations."""
    channels = step.channels
    now, each = len(channels.now), len(channels.inputs)
    first = np.array(channels.input_places)
    earlier = [now + each * k + np.arange(each) for k in range(channels.history - 1)]
    spreads = step.std.flatten()[channels.input_places].double().numpy()
    return Seen(np.stack([first, *earlier]), channels.inputs, spreads)
