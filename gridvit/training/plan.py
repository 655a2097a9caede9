"""All that a run needs before anything is written, and what is refused then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import lightning as L
import numpy as np
import torch
from jaxtyping import Float

from gridvit.channels import Channels
from gridvit.checkpoint import Description, Task, build
from gridvit.config import RunConfig
from gridvit.data.blocks import blocks
from gridvit.data.fields import Fields
from gridvit.data.measure import Measured, remeasured
from gridvit.data.normalise import refuse_new_gaps
from gridvit.data.parameters import mean_and_std
from gridvit.data.rounds import GIB
from gridvit.data.windows import partition
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.features import TIMED
from gridvit.nn.heads import HEADS, Head, make_head, passed_by
from gridvit.nn.own import Network
from gridvit.nn.step import ModelStep
from gridvit.training.devices import refuse_batch, refuse_devices
from gridvit.training.loggers import refuse_missing
from gridvit.training.losses import variable_weights
from gridvit.training.objectives import OBJECTIVES, Objective, objective_of
from gridvit.training.start import begin
from gridvit.training_config import ObjectiveConfig


@dataclass(frozen=True)
class Plan:
    """All that a run needs before anything is written: checked configuration, data and an untrained model.

    ``head`` is what labels on its tokens, and ``teacher`` what it learns from beside the data, where there are such.
    """

    config: RunConfig
    parts: dict[str, Fields]
    model: ModelStep
    description: Description
    measured: Measured
    head: Head | None = None
    teacher: Any = None

    def objective(self) -> Objective:
        """What is minimised."""
        return objective_of(self.model, self.config.training, self.head, self.teacher)


def plan(
    config: RunConfig,
    fields: Fields,
    known: Measured | None = None,
    network: Network | None = None,
    settled: bool = False,
    teacher: Any = None,
) -> Plan:
    """Split the data, take the statistics of the training part, and build the model, or take it over from another run.

    ``known`` is what an interrupted run had measured: used again where the files have not changed since, or where it is
    ``settled`` that they have not, and the data are good. ``network`` takes the place of gridvit's own; see ``Own``.
    ``teacher`` is a ``Step``, or of labels a function of states and their contexts that gives logits.

    Raises:
        InputError: data whose statistics are not those ``known``; a part of the split that is too short, a constant
            variable, a patch that does not fit, a shift along an axis that is not periodic, a variable with gaps that
            the training part does not have.
    """
    refuse_missing(config.training.logger.kind)
    task = task_of(config.training.objective)
    description = Description.of(config.model, config.data, fields, task)
    found, longest = description.channels, description.channels.leads[-1]
    if task.kind == "forecast":
        refuse_far_forecast(found, config.evaluation.leads)
        longest = max(longest, config.evaluation.leads * found.pace)
    parts = partition(config.data.split, fields, found.history - 1 + longest)
    OBJECTIVES[config.training.objective.kind].refuse(config, found, parts)
    refuse_devices(config.training)
    variable_weights(config.training.weights, found.targets)
    if config.training.reach and config.model.kind == "own":
        raise InputError(
            "a network with attention for training.reach", "one of your own", "set training.reach to 0"
        )
    refuse_bounded_shift(config.training.shift, fields)
    refuse_undated(config.model.features, fields)
    L.seed_everything(config.training.seed, workers=True, verbose=False)
    if known is None or not settled:
        known = remeasured(parts["train"], found.leads, config.data.buffer * GIB, config.data.dask, known)
        for part in (parts["validate"], parts["test"]):
            for _, values in blocks(part.values):
                refuse_new_gaps(values, fields.names, known.statistics.presence)
    static = None if fields.static_values is None else standard_static(fields.static_values, fields.grid)
    own, numbers = parts["train"].parameters, None
    if own is not None:
        numbers = torch.from_numpy(mean_and_std(fields.parameter_names, own))
    model = build(description, known.statistics, static, numbers, network)
    head = make_head(task.kind, task.classes, model.attending) if task.kind in HEADS else None
    if head is not None:
        for unused in passed_by(model.attending):
            unused.requires_grad_(False)
    if config.training.start.run:
        begin(model, description, config.training.start, head)
    made = Plan(config, parts, model, description, known, head, teacher)
    offsets = made.objective().offsets  # it refuses what it cannot be trained for
    refuse_batch(config.training, parts["train"], offsets[-1] - offsets[0])
    return made


def task_of(objective: ObjectiveConfig) -> Task:
    """What comes out of a model that is trained so."""
    if objective.kind in HEADS:
        classes = 0 if objective.kind == "detection" else objective.classes
        return Task(objective.kind, classes, objective.ahead)
    return Task("masked" if objective.kind == "masked" else "forecast")


def standard_static(
    values: Float[np.ndarray, "static *space"], grid: Grid
) -> Float[torch.Tensor, "static *space"]:
    """(s - <s>) / sqrt(<(s - <s>)^2>), <.> the area mean over the cells that have a value; 0 in the others."""
    there, axes = ~np.isnan(values), tuple(range(1, values.ndim))
    weights = there * grid.areas
    wide, total = np.where(there, values, 0.0).astype(np.float64), weights.sum(axis=axes, keepdims=True)
    anomaly = np.where(there, wide - (wide * weights).sum(axis=axes, keepdims=True) / total, 0.0)
    spread = np.sqrt((anomaly**2 * weights).sum(axis=axes, keepdims=True) / total)
    return torch.from_numpy(anomaly / spread).float()


def refuse_far_forecast(channels: Channels, leads: int) -> None:
    """A predictor is not known beyond the present: there is one step."""
    if channels.predictor and leads > 1:
        raise InputError(
            "evaluation.leads of 1 where data.predictors are not known beyond the present",
            str(leads),
            "set evaluation.leads to 1, or make them forcings or variables",
        )


def refuse_undated(names: tuple[str, ...], fields: Fields) -> None:
    """Features of time need dates; the time of day says nothing where a step is a calendar month."""
    timed = [name for name in names if name in TIMED]
    if timed and not fields.step.dates:
        raise InputError(f"dates for model.features {timed[0]}", str(fields.step), "leave it out")
    if "local_time" in timed and fields.step.months:
        raise InputError(
            "steps of fixed length for model.features local_time", str(fields.step), "leave it out"
        )


def refuse_bounded_shift(axes: tuple[str, ...], fields: Fields) -> None:
    """Rolling would move the fields of one wall to the other; on a curvilinear mesh no two columns are alike."""
    grid = fields.grid
    rolls = [turns and grid.mesh is None for turns in grid.periodic]
    periodic = [name for name, turns in zip(grid.names, rolls, strict=True) if turns]
    for name in axes:
        if name not in periodic:
            raise InputError(
                f"training.shift along straight periodic axes ({', '.join(periodic) or 'none here'})",
                repr(name),
                "leave it out",
            )
