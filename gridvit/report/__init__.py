"""Scores and analysis as figures and one HTML page. Datasets in; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from gridvit.errors import InputError
from gridvit.report import sections, towards
from gridvit.report.coast import Lines
from gridvit.report.page import Section, write_page

__all__ = ["Findings", "Section", "build", "write_page"]


@dataclass(frozen=True)
class Findings:
    """What a run has written; what is not there is None or empty.

    scores:   what ``evaluate`` wrote: ``rmse``, ``ratio``, ``nrmse`` (model, variable, lead) and intervals.
    analysis: what ``analyse`` wrote: attention, stencils, symbols; each with long_name and units. Variables that no
              section knows by name are shown by their shape, with what their attribute ``comment`` says.
    metrics:  rows of ``metrics.csv`` as mappings; every column with ``loss`` in its name is drawn.
    forecast: what ``forecast`` wrote: variables over (init_time or sample, lead, *space).
    truth:    the fields that the forecast is to be held against, shaped as it is, same names.
    config:   the run's config as text.
    sessions: those of ``record.json``, with their ``command``, versions and outcome.
    """

    scores: xr.Dataset | None = None
    analysis: xr.Dataset | None = None
    metrics: Sequence[Mapping[str, Any]] = ()
    forecast: xr.Dataset | None = None
    truth: xr.Dataset | None = None
    config: str = ""
    sessions: Sequence[Mapping[str, Any]] = ()


def build(found: Findings, path: str | Path, title: str = "gridvit report", coast: Lines = ()) -> Path:
    """Assemble the page from whatever is there; figures whose data are absent are left out.

    Args:
        found: what the run has written.
        path: the HTML file; its figures are also written as PNG to ``figures/`` beside it.
        title: the page's heading.
        coast: lines of (longitude, latitude) in degrees, drawn over maps in longitude and latitude.

    Returns:
        The path of the page. Equal input gives equal bytes.

    Raises:
        InputError: none of scores, analysis, metrics and forecast has anything to show, or a variable has
            dimensions other than those of the schema.
    """
    parts: list[Section] = []
    if found.scores is not None:
        parts.append(sections.skill(found.scores))
    if found.forecast is not None:
        parts.append(sections.forecast(found.forecast, found.truth, coast))
    if found.analysis is not None:
        parts += [sections.scheme(found.analysis), sections.sphere(found.analysis)]
        parts += [sections.attention(found.analysis, coast), towards.section(found.analysis, coast)]
        parts.append(sections.other(found.analysis, coast))
    if found.metrics:
        parts.append(sections.training(found.metrics))
    parts = [part for part in parts if sections.filled(part)]
    if not parts:
        raise InputError(
            "scores, analysis, metrics or a forecast", "none of them", "evaluate or analyse the run first"
        )
    made = [sections.made(found.config, found.sessions)] if found.config or found.sessions else []
    return write_page(path, title, [*parts, *made])
