"""Forecasts of the test part measured one after the other, and all that was measured as one Dataset."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import xarray as xr
from jaxtyping import Float, Int

from gridvit.analysis.bootstrap import Bootstrap
from gridvit.analysis.judge import Judge
from gridvit.analysis.quantities import Flow
from gridvit.analysis.score_table import Labels, Scales, score_table
from gridvit.analysis.skill import anomaly_correlation, area_weights, mean_square, square_errors, variance
from gridvit.climatology import Climatology
from gridvit.data.fields import Fields
from gridvit.run.cases import Cases
from gridvit.run.cost import Cost, Forecasts, costed, model_costs, scaled_error

log = logging.getLogger("gridvit")

VELOCITIES = {"burgers": ("u", "v"), "shallow-water": ("u", "v"), "sphere-shallow-water": ("u", "v")}
VORTICITIES = {"vorticity": "w", "barotropic-vorticity": "vorticity"}


@dataclass(eq=False)
class Scoring:
    """What is known of every forecast of the same cases.

    Args:
        cases: their truth is NaN where it is not scored.
        climatology: of the targets.
        climate: variance about it.
        few: the cases on which error is held against cost, all in one batch.
        errors: square errors by name.
        agreed: anomaly correlations.
        measured: spectra and quantities.
        costs: of one forecast.
    """

    cases: Cases
    climatology: Climatology
    climate: Float[np.ndarray, "variable"]
    few: Int[np.ndarray, "some"]
    errors: dict[str, np.ndarray] = field(default_factory=dict)
    agreed: dict[str, np.ndarray] = field(default_factory=dict)
    measured: dict[str, xr.Dataset] = field(default_factory=dict)
    costs: dict[str, Cost] = field(default_factory=dict)

    def add(self, name: str, make: Forecasts) -> Float[np.ndarray, "case lead variable *space"]:
        """Make the forecasts of a model, measure them, and give them back."""
        forecast = make(self.cases)
        self.costs[name] = costed(make, self.cases.take(self.few))
        self.errors[name] = square_errors(forecast, self.cases.truth, self._weights)
        self.agreed[name] = anomaly_correlation(forecast, self.cases.truth, self._usual, self._weights)
        self.measured[name] = self._judge.measure(forecast)
        log.info("scored %s on %d cases", name, len(forecast))
        return forecast

    def table(self) -> xr.Dataset:
        """Scores, spectra, quantities and costs; what can be relative to zero only where zero means something."""
        truth = self.cases.truth
        power = None if self.cases.fields.step.dates else mean_square(truth, self._weights)
        scales = Scales(variance(truth, self._weights), self.climate, power)
        scores = score_table(self.errors, self.agreed, scales, self._labels, self._bootstrap)
        errors = {name: scaled_error(e[self.few], self.climate) for name, e in self.errors.items()}
        costs = model_costs(self.costs, errors, self.cases.leads[-1])
        parts = [scores, self._judge.table(self.measured), costs]
        found = xr.merge(parts, compat="no_conflicts", join="exact", combine_attrs="override")
        return found.assign_attrs(scores.attrs, statement=self._statement)

    @property
    def _statement(self) -> str:
        labels, (_, drawn) = self._labels, redrawn(self.cases)
        return (
            f"Forecasts from {len(self.cases.index)} initial states of the test part, which neither training nor the "
            f"choice of the checkpoint has seen; to {labels.times[-1]:g} {labels.lead_units}; intervals by bootstrap "
            f"over {drawn}."
        )

    @cached_property
    def _weights(self) -> Float[np.ndarray, "*space"]:
        return area_weights(self.cases.fields.grid)

    @cached_property
    def _usual(self) -> Float[np.ndarray, "case lead variable *space"]:
        return self.climatology(self.cases.valid_times)

    @cached_property
    def _labels(self) -> Labels:
        fields = self.cases.fields
        times, units = fields.step.strided(self.cases.channels.pace).leads(self.cases.leads)
        return Labels(times, {v.name: v.units for v in fields.targets.variables}, units)

    @cached_property
    def _bootstrap(self) -> Bootstrap:
        return redrawn(self.cases)[0]

    @cached_property
    def _judge(self) -> Judge:
        fields = self.cases.fields.targets
        return Judge(
            self.cases.truth, self.cases.states, fields.grid, self._labels, flowing(fields), self._bootstrap
        )


def redrawn(cases: Cases) -> tuple[Bootstrap, str]:
    """How cases are redrawn, and the words for it: whole trajectories, or blocks of initial times.

    Members of an ensemble share their weather: initial times are drawn, each with all its members.
    """
    samples, count = cases.fields.n_samples, len(cases.index)
    if samples > 1 and not cases.fields.layout.members:
        return Bootstrap(block=1, cluster=count // samples), "whole trajectories"
    block = max(cases.leads[-1] * cases.channels.pace, round((count // samples) ** (1 / 3)))
    by_time = np.arange(count).reshape(samples, -1).T.ravel()
    return Bootstrap(block=block, cluster=samples, order=by_time), f"blocks of {block} initial times"


def climate_variance(climatology: Climatology, train: Fields) -> Float[np.ndarray, "variable"]:
    """The mean of ``(u - c)^2`` over samples, times and, by area, cells that have a value."""
    usual, weights = climatology.at(train.times), area_weights(train.grid)
    total, area = np.zeros(len(train.variables)), np.zeros(len(train.variables))
    axes = (0, *range(2, usual.ndim))
    for sample in train.array:
        square = (sample - usual) ** 2 * weights
        total += np.nansum(square, axis=axes)
        area += (~np.isnan(square) * weights).sum(axis=axes)
    return total / area


def flowing(fields: Fields) -> Flow:
    """The velocities or the vorticity among variables: components of a vector, or what an equation calls so."""
    names, equation = fields.names, fields.attrs.get("gridvit_equation", "")
    pairs = [(v.name, v.partner) for v in fields.variables if v.component == "x"]
    for pair in (*pairs, VELOCITIES.get(equation, ())):
        if pair and set(pair) <= set(names):
            return Flow(velocity=(names.index(pair[0]), names.index(pair[1])))
    curls = [v.name for v in fields.variables if v.standard_name.endswith("relative_vorticity")]
    for name in (*curls, VORTICITIES.get(equation)):
        if name in names:
            return Flow(vorticity=names.index(name))
    return Flow()
