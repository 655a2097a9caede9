"""Where attention looks over the training of a run, and over several runs."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from gridvit.forecast import Forecaster
from gridvit.nn.step import ModelStep
from gridvit.run.folder import RunFolder
from gridvit.run.looks import looked
from gridvit.run.subject import Subject

KEPT = ("attention_distance", "attention_rms", "attention_ratio", "effective_area_fraction", "bias_distance",
        "attention_over_bias", "sink_mass", "dropped_mass", "attention_quantile", "attention_rms_along")  # fmt: skip


def attention_over(
    subject: Subject, models: Mapping[Any, ModelStep | str | os.PathLike[str]], dim: str = "epoch"
) -> xr.Dataset:
    """``attention_distance`` and its like of several models at the same states, along a new dimension.

    Args:
        subject: whose states they are.
        models: by label: steps, run folders or model files, which are loaded one at a time.
        dim: name of the new dimension.
    """
    found = []
    for model in models.values():
        step = model if isinstance(model, ModelStep) else Forecaster.load(model).step
        found.append(looked(subject.at(subject.states, subject.context, step))[list(KEPT)])
    return xr.concat(found, xr.Variable(dim, list(models)), coords="minimal", compat="override")


def attention_over_training(subject: Subject) -> xr.Dataset:
    """Names with ``training_`` before them, by epoch, of the snapshots that ``training.keep`` asked for."""
    table = attention_over(subject, subject.snapshots)
    named = table.rename({name: f"training_{name}" for name in KEPT})
    return named.assign_coords(epoch=("epoch", table["epoch"].values, {"long_name": "epochs", "units": "1"}))


def no_snapshots(subject: Subject) -> str:
    """Why nothing is known of the training; nothing where it is."""
    return "" if subject.snapshots else "training.keep asked for no snapshots"


def attention_over_runs(runs: Sequence[str | os.PathLike[str]], data: xr.Dataset | None = None) -> xr.Dataset:
    """Dimensions (run, layer, head), or (run, epoch, layer, head) of runs that all kept the same snapshots.

    Each run is looked at in states of its own test part, as many as its ``evaluation.states`` says, with its final
    weights where there are no snapshots. Heads have no order of their own: those of different seeds are alike as far as
    their biases start alike.

    Args:
        runs: folders of finished runs of one configuration but for the seed.
        data: an open Dataset in the place of the file that the configurations name.
    """
    found = []
    for run in runs:
        subject = Subject.of(RunFolder(Path(run)), data)
        table = attention_over(subject, subject.snapshots or {0: subject.step})
        found.append(table if subject.snapshots else table.isel(epoch=0, drop=True))
    names = xr.Variable("run", [Path(run).name for run in runs])
    return xr.concat(found, names, coords="minimal", compat="override", join="exact")
