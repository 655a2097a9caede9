"""What the page says: which figures stand in which section, and the words before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import xarray as xr
from matplotlib.figure import Figure

from gridvit.report import figures, films, forecasts, further, heads, making, maps, tables, words
from gridvit.report.canvas import name_of
from gridvit.report.captions import ATTENTION, PROFILES, SCHEME, SIGNED, SKILL, SPHERE, STENCILS, TABLES, Draw
from gridvit.report.coast import Lines
from gridvit.report.page import Section
from gridvit.report.skill_tables import skill_tables


def _drawn(dataset: xr.Dataset, entries: Mapping[str, tuple[Draw, str]]) -> dict[str, Figure]:
    return {caption: draw(dataset) for name, (draw, caption) in entries.items() if name in dataset}


def skill(scores: xr.Dataset) -> Section:
    """Errors by lead against the baselines."""
    cases = f"Scores are over {scores.attrs['cases']} cases." if "cases" in scores.attrs else ""
    text = str(scores.attrs.get("statement", cases))
    shown, said = _drawn(scores, SKILL), words.skill_words(scores)
    return Section("Skill by lead time", text, shown, skill_tables(scores), words=said)


def forecast(predicted: xr.Dataset, truth: xr.Dataset | None, coast: Lines = ()) -> Section:
    """The first case of each variable that has leads and space: fields at a few leads, and the whole rollout.

    Where there is one space dimension the rollout is drawn as space against time, where there are two it is a film.
    """
    part = Section("A forecast", "The first case of the forecast.")
    for name, array in predicted.data_vars.items():
        space = set(array.dims) - {"lead", *forecasts.CASES}
        if "lead" not in array.dims or not space:
            continue
        caption, known = _forecast_caption(array, truth), (predicted, truth, str(name))
        part.figures[caption] = forecasts.forecast_panels(*known, coast)
        if array.sizes["lead"] > 1 and len(space) == 1:
            part.figures[f"The whole rollout of {name_of(array)}, {ACROSS}"] = forecasts.space_time(*known)
        elif array.sizes["lead"] > 1:
            part.plates[f"The rollout of {name_of(array)}, {FILM}"] = films.rollout_film(*known, coast)
    return part


ACROSS = (
    "space to the right and lead time upwards. What moves leaves a slanting track; where the tracks of truth and "
    "forecast part, the difference shows a pair of colours."
)
FILM = (
    "lead by lead: play it, or move the slider. Truth and forecast share a scale; red in the difference is too high, "
    "blue too low, grey has no value. Print shows the frame that is on."
)


def _forecast_caption(array: xr.DataArray, truth: xr.Dataset | None) -> str:
    if truth is None:
        return f"Forecast of {name_of(array)} at the leads above the panels, all on one scale."
    return (
        f"Truth, forecast and their difference for {name_of(array)}, at the leads above the panels. "
        "Truth and forecast share one scale, that of the truth; the difference has its own, about zero: "
        "red is too high, blue too low. Red and blue side by side at a feature mean that it is in the "
        "wrong place; one colour on it, that it is too weak or too strong."
    )


def attention(analysis: xr.Dataset, coast: Lines = ()) -> Section:
    """Where the heads look: distances, kernels, stencils, and maps from a place that the reader chooses."""
    shown = _drawn(analysis, ATTENTION)
    if "attention_stencil" in analysis:
        draw, caption = STENCILS if analysis["attention_stencil"].ndim == 4 else PROFILES
        shown[caption] = draw(analysis)
    if "signed_stencil" in analysis:
        draw = maps.signed_stencils if analysis["signed_stencil"].ndim == 4 else heads.signed_profiles
        shown[SIGNED] = draw(analysis)
    text = "Where each head looks. Attention says what information is moved, not what is done with it."
    plates = {}
    if "attention_map" in analysis:
        states = analysis["attention_map"].attrs.get("states", "some")
        if analysis["attention_map"].ndim == 4:
            shown[f"{MATRIX} The mean over {states} states of the test part."] = heads.attention_matrices(
                analysis
            )
        else:
            caption = f"{PICK} The mean over {states} states of the test part."
            plates[caption] = films.attention_places(analysis, coast)
    listed = {
        f"{NUMBERS}{f', {i} of {len(parts)}' if len(parts) > 1 else ''}.": part
        for parts in [tables.attention_tables(analysis)]
        for i, part in enumerate(parts, 1)
    }
    return Section("Attention", text, shown, listed, words=words.attention_words(analysis), plates=plates)


NUMBERS = "The numbers behind these figures, per layer and head"
PICK = (
    "Attention from the place at the ring, as a multiple of what even attention would give: one is even, grey has no "
    "value, and a thousandth of the peak or less has the darkest colour. Click on a map, or move the slider, to "
    "choose another place; print shows the one that is on."
)
MATRIX = (
    "Attention from every place (upwards) to every place (to the right), as a multiple of what even attention would "
    "give. A line beside the diagonal is a shift, a band about it smoothing, a level field global averaging."
)


def scheme(analysis: xr.Dataset) -> Section:
    """The emulator as a numerical scheme: what it is in words, stencil, symbol, cumulants, recovered coefficients."""
    text = "The trained network measured as a finite-difference stencil, beside schemes of known stencil."
    listed = {caption: table(analysis) for name, (table, caption) in TABLES.items() if name in analysis}
    said, shown = words.scheme_words(analysis), _drawn(analysis, SCHEME)
    return Section("The learned scheme", text, shown, listed, words=said)


def sphere(analysis: xr.Dataset) -> Section:
    """The emulator's response to the state around a point, by latitude."""
    text = "The emulator's step, linearised at states of the test part, read as weights around a point."
    caption = (
        "The numbers behind the speeds: eastward phase speed (m s⁻¹), amplification per step in brackets."
    )
    listed = {caption: tables.zonal_table(analysis)} if "zonal_phase_speed" in analysis else {}
    return Section("Response around a point", text, _drawn(analysis, SPHERE), listed)


def training(metrics: Sequence[Mapping[str, Any]]) -> Section:
    """Losses."""
    caption = (
        "Losses against training time, logarithmic. Where the training loss goes on falling and the "
        "validation loss rises, the model learns its training data by heart."
    )
    shown = {caption: figures.loss_curves(metrics)} if figures.losses(metrics) else {}
    return Section("Training", figures=shown)


def other(analysis: xr.Dataset, coast: Lines = ()) -> Section:
    """Every variable of the analysis that no section above shows, drawn by its shape."""
    shown, listed = further.drawn_by_shape(analysis, further.left(analysis), coast)
    text = "Everything else that has been measured of this run."
    return Section("Further measures", text, shown, listed)


def made(config: str, sessions: Sequence[Mapping[str, Any]]) -> Section:
    """The command, the sessions of training and the configuration that made the run."""
    listed = {"Sessions of training.": making.sessions_table(sessions)} if sessions else {}
    typed = making.commands(sessions)
    details = ({"Command": typed} if typed else {}) | ({"Configuration": config} if config else {})
    return Section("How it was made", tables=listed, details=details)


def filled(section: Section) -> bool:
    """Has the section anything to show?"""
    return bool(section.figures or section.plates or section.tables or section.details)
