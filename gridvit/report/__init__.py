"""Scores and analysis as figures and one HTML page. Datasets in; nothing is computed here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import xarray as xr

from gridvit.errors import InputError
from gridvit.report import sections, towards
from gridvit.report.page import Section, write_page

__all__ = ["Section", "build", "write_page"]


def build(
    scores: xr.Dataset | None,
    analysis: xr.Dataset | None,
    metrics: Sequence[Mapping[str, Any]] | None,
    forecast: xr.Dataset | None,
    config: str,
    path: str | Path,
    *,
    truth: xr.Dataset | None = None,
    title: str = "gridvit report",
) -> Path:
    """Assemble the page from whatever is there; figures whose data are absent are left out.

    Args:
        scores: what ``evaluate`` wrote: ``rmse``, ``ratio``, ``nrmse`` (model, variable, lead) and intervals.
        analysis: what ``analyse`` wrote: attention, stencils, symbols, maps; each with long_name and units.
        metrics: rows of ``metrics.csv`` as mappings; every column with ``loss`` in its name is drawn.
        forecast: what ``forecast`` wrote: variables over (init_time or sample, lead, *space).
        config: the run's config as text.
        path: the HTML file; its figures are also written as PNG to ``figures/`` beside it.
        truth: the fields that the forecast is to be held against, shaped as it is, same names.
        title: the page's heading.

    Returns:
        The path of the page. Equal input gives equal bytes.

    Raises:
        InputError: none of scores, analysis, metrics and forecast has anything to show, or a variable has
            dimensions other than those of the schema.
    """
    parts: list[Section] = []
    if scores is not None:
        parts.append(sections.skill(scores))
    if forecast is not None:
        parts.append(sections.forecast(forecast, truth))
    if analysis is not None:
        parts += [sections.scheme(analysis), sections.sphere(analysis), sections.attention(analysis)]
        parts.append(towards.section(analysis))
    if metrics is not None:
        parts.append(sections.training(metrics))
    parts = [part for part in parts if sections.filled(part)]
    if not parts:
        raise InputError(
            "scores, analysis, metrics or a forecast", "none of them", "evaluate or analyse the run first"
        )
    return write_page(path, title, [*parts, sections.configuration(config)] if config else parts)
