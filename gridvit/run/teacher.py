"""Who teaches a run: a step or labels given in Python, another run, or the solver that made the data."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from gridvit.checkpoint import load, load_head, model_file, read
from gridvit.config import RunConfig
from gridvit.data.fields import Fields
from gridvit.data.roles import channels
from gridvit.errors import InputError
from gridvit.nn.heads import HEADS
from gridvit.nn.labels import Labels
from gridvit.nn.step import ModelStep
from gridvit.rollout import Step
from gridvit.run.solvers import solvers
from gridvit.training.objectives.distilled import refuse_other_grid

SOLVER, GIVEN = "solver", "given"


def taught(config: RunConfig, teacher: object | None) -> RunConfig:
    """The configuration of a run with a teacher given in Python, which no file can name."""
    if teacher is None:
        return config
    objective = config.training.objective
    kind = objective.kind if objective.kind in HEADS else "distilled"
    own = replace(objective, kind=kind, teacher=GIVEN)
    return replace(config, training=replace(config.training, objective=own))


def teacher_of(config: RunConfig, fields: Fields, given: Any = None) -> Any:
    """The teacher of ``config``, as ``given`` or as ``training.objective.teacher`` names it; none where it has none.

    Args:
        config: of the run that learns.
        fields: its data, in whose attributes a solver is named.
        given: a ``Step``, or a function of states and their contexts that gives logits.

    Raises:
        InputError: a teacher that is not there, that is a network of one's own, or that labels something else.
    """
    objective = config.training.objective
    if given is not None or (objective.kind != "distilled" and not objective.teacher):
        return given
    if objective.teacher == GIVEN:
        raise InputError(
            "the teacher that this run was started with", "none", "give it in Python: teacher=..."
        )
    if not objective.teacher:
        raise InputError(
            "a teacher for training.objective.kind distilled",
            "none",
            "name a run, or solver, in objective.teacher",
        )
    if objective.kind in HEADS:
        return _labels(Path(objective.teacher), config, fields)
    if objective.teacher == SOLVER:
        return _solver(config, fields)
    return _run(Path(objective.teacher))


def _run(path: Path) -> ModelStep:
    """The model of a run."""
    file = model_file(path)
    if read(file)[1].config.kind == "own":
        raise InputError(
            "a teacher whose file says what it is",
            f"{path}, a network of your own",
            "give its step in Python: gridvit.train(config, teacher=gridvit.Forecaster.load(run, model).step)",
        )
    return load(file)[0]


def _solver(config: RunConfig, fields: Fields) -> Step:
    """The scheme that made the file, over a step of the model."""
    pace = channels(fields.variables, fields.statics, config.data).pace
    found = list(solvers(fields, config.data.stride, pace).values())
    if not found:
        raise InputError(
            "a file of gridvit simulate, as it was written and with one solver for all trajectories",
            "another" if "gridvit_scheme" not in fields.attrs else "one that is not, or not so read",
            "let a run teach, or give a Step in Python: teacher=...",
        )
    return found[0]


def _labels(path: Path, config: RunConfig, fields: Fields) -> Labels:
    """A run that labels the same."""
    labels, theirs = load_head(model_file(path))
    refuse_other_grid(theirs.grid, fields.grid)
    objective, ours = config.training.objective, channels(fields.variables, fields.statics, config.data)
    wanted = (objective.kind, objective.classes, ours.state)
    found = (theirs.task.kind, theirs.task.classes, theirs.channels.state)
    if wanted != found:
        shown = ["{} into {} classes from {}".format(k, n, ", ".join(v)) for k, n, v in (wanted, found)]
        raise InputError(f"a teacher of {shown[0]}", shown[1], "train one for the same")
    return labels
