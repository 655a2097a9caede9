"""Measure what a run has learned: where its heads look, and which numerical scheme its step is."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from gridvit.nn.own import Network
from gridvit.run.folder import RunFolder
from gridvit.run.measures import MEASURES
from gridvit.run.solvers import maker_name, solvers
from gridvit.run.subject import Subject

log = logging.getLogger("gridvit")


def analyse(
    run: str | os.PathLike[str], data: xr.Dataset | None = None, model: Network | None = None
) -> xr.Dataset:
    """Attention, stencil, symbol and recovered coefficients of a run; also writes ``analysis.nc``.

    On a plane that is periodic along every axis the emulator's Jacobian is set beside the scheme that made the data
    (where the file says which) and the named schemes that are stable at its step; on a sphere its rows are given
    at a few latitudes. Of several variables the first is measured, in its response to itself; attribute ``variable``.
    Maps of what precedes them are drawn towards the indices that the run predicts and ``evaluation.regions``.
    ``model`` is the network of a run with one of one's own, whose Jacobian alone is measured. What is measured, and of
    which runs, is listed in ``gridvit.run.measures``.
    """
    folder = RunFolder(Path(run))
    subject = Subject.of(folder, data, model)
    found = [*measured(subject)]
    analysis = xr.merge(found, join="exact", combine_attrs="drop_conflicts")
    test = subject.test
    analysis.attrs["variable"] = test.names[0]
    if solvers(test, subject.config.data.stride, subject.step.channels.pace):
        analysis.attrs["generating_scheme"] = maker_name(test.attrs)
    folder.write(analysis, "analysis.nc")
    return analysis


def measured(subject: Subject) -> Iterator[xr.Dataset]:
    """Every measure that can be taken of a run."""
    for measure in MEASURES:
        if why := measure.missing(subject):
            log.info("left out %s: %s", measure.name, why)
            continue
        yield measure.found(subject)
        log.info("measured %s", measure.name)
