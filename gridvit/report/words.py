"""What the numbers say, in sentences. Dataset in, sentences out; a sentence whose numbers are absent is left out."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import xarray as xr

from gridvit.report.canvas import pretty
from gridvit.report.maps import generating_scheme
from gridvit.report.tables import number

EMULATOR, EXACT = "emulator", "exact"


def percent(share: float) -> str:
    """Three digits of a share as percent."""
    return f"{number(100 * share, 3)} %"


def skill_words(scores: xr.Dataset) -> list[str]:
    """Of each variable the emulator's error over persistence's at the first and last lead, and its best rival."""
    if "ratio" not in scores or EMULATOR not in scores["model"].values:
        return []
    return [_skill(scores, str(variable)) for variable in scores["variable"].values]


def _skill(scores: xr.Dataset, variable: str) -> str:
    array = scores["ratio"].sel(variable=variable)
    units = pretty(str(array["lead"].attrs.get("units", ""))).replace("dimensionless", "")
    ends = list(dict.fromkeys([0, array.sizes["lead"] - 1]))
    parts = [
        f"{_bracketed(scores, variable, i)} at lead {array['lead'].values[i]:g} {units}".strip() for i in ends
    ]
    return (
        f"{variable}: the emulator's error is {' and '.join(parts)} of that of persistence. {_rival(array)}"
    )


def _bracketed(scores: xr.Dataset, variable: str, lead: int) -> str:
    at = {"variable": variable, "model": EMULATOR}
    value, *ends = (
        float(scores[name].sel(at).isel(lead=lead))
        for name in ("ratio", "ratio_low", "ratio_high")
        if name in scores
    )
    interval = f" ({number(ends[0], 3)} to {number(ends[1], 3)})" if len(ends) == 2 else ""
    return f"{number(value, 3)}{interval}"


def _rival(array: xr.DataArray) -> str:
    """The best model at the last lead beside the emulator."""
    last = array.isel(lead=-1).dropna("model")
    others = last.sel(model=[name for name in last["model"].values if not str(name).startswith(EMULATOR)])
    if not others.size or EMULATOR not in last["model"].values:
        return ""
    best, own = others.isel(model=int(np.argmin(others.values))), float(last.sel(model=EMULATOR))
    verb = "is better" if float(best) < own else "is the best beside it"
    return f"At the last lead {best['model'].item()} {verb}, with {number(float(best), 3)}."


def scheme_words(analysis: xr.Dataset) -> list[str]:
    """Which scheme the emulator's step is nearest to, what it does to waves, and whether it is stable."""
    said = [
        _nearest(analysis),
        _one_step(analysis),
        *_coefficients(analysis),
        _shares(analysis),
        _growth(analysis),
    ]
    return [sentence for sentence in said if sentence]


def _nearest(analysis: xr.Dataset) -> str:
    """The least data-weighted distance, and how far the exact solution is."""
    if "distance_weighted" not in analysis:
        return ""
    others = analysis["distance_weighted"].drop_sel(scheme=EMULATOR, errors="ignore").dropna("scheme")
    if not others.size:
        return ""
    nearest = others.isel(scheme=int(np.argmin(others.values)))
    name, maker = nearest["scheme"].item(), generating_scheme(analysis)
    made = ", the scheme that made its data" if name == maker else ""
    found = (
        f"On waves that the data hold, one step is nearest to {name}{made}: {percent(float(nearest))} apart."
    )
    if EXACT in others["scheme"].values and name != EXACT:
        found += f" From the exact solution it is {percent(float(others.sel(scheme=EXACT)))} apart."
    return found


def _one_step(analysis: xr.Dataset) -> str:
    """What is expected and what is measured, against the scheme that made the data."""
    maker = generating_scheme(analysis) if "scheme" in analysis.coords else None
    if maker is None or not {"one_step_expected", "one_step_measured"} <= set(analysis.data_vars):
        return ""
    expected, measured, error = (
        number(float(analysis[f"one_step_{part}"].sel(scheme=maker)), 3)
        for part in ("expected", "measured", "standard_error")
    )
    return (
        f"With all that its patches mix, a one-step error of {expected} (relative mean square) against {maker} is "
        f"expected; measured it is {measured} ± {error}."
    )


def _shares(analysis: xr.Dataset) -> str:
    """How much of the step is no fixed stencil."""
    if not {"state_share", "routing_share"} <= set(analysis.data_vars):
        return ""
    state, routing = (percent(float(analysis[name])) for name in ("state_share", "routing_share"))
    return (
        f"Of its Jacobian {state} depend on the state, and {routing} come from where heads look rather than from what "
        "they move."
    )


def _coefficients(analysis: xr.Dataset) -> Iterable[str]:
    """Velocity and diffusivity beside those of the scheme that made the data."""
    maker = generating_scheme(analysis) if "scheme" in analysis.coords else None
    if maker is None or EMULATOR not in analysis["scheme"].values:
        return
    for name in ("velocity", "diffusivity"):
        if name in analysis:
            own, made = (_components(analysis[name].sel(scheme=scheme)) for scheme in (EMULATOR, maker))
            units = pretty(str(analysis[name].attrs.get("units", "1")))
            parts = [f"{axis} {number(own[axis])} (that of {maker} {number(made[axis])})" for axis in own]
            yield f"{name.capitalize()} in {units}: {', '.join(parts)}.".replace(" in dimensionless", "")


def _components(array: xr.DataArray) -> dict[str, float]:
    """Components by axis, those of a tensor on and above its diagonal."""
    names = [str(axis) for axis in array["axis"].values]
    if array.ndim == 1:
        return dict(zip(names, array.values.tolist(), strict=True))
    upper = zip(*np.triu_indices(len(names)), strict=True)
    return {f"{names[i]}{names[j]}": float(array.transpose("axis", "axis_2")[i, j]) for i, j in upper}


def _growth(analysis: xr.Dataset) -> str:
    if "spectral_radius" not in analysis:
        return ""
    radius = float(analysis["spectral_radius"])
    fate = "grow without bound" if radius > 1 else "die out" if radius < 1 else "keep their size"
    found = f"the largest eigenvalue of a step is {number(radius, 6)}"
    return f"Repeated without end, small disturbances would {fate}: {found}."


def attention_words(analysis: xr.Dataset) -> list[str]:
    """The heads that look nearest and farthest, against even attention."""
    if "attention_ratio" not in analysis or "attention_distance" not in analysis:
        return []
    ratio = analysis["attention_ratio"].transpose("layer", "head").values
    if ratio.size < 2:
        return []
    near, far = (
        _head(analysis, *np.unravel_index(found, ratio.shape)) for found in (ratio.argmin(), ratio.argmax())
    )
    return [f"The most local is {near}; the one that looks farthest is {far}.", *_most_static(analysis)]


def _most_static(analysis: xr.Dataset) -> list[str]:
    """The head whose attention is most nearly one and the same stencil everywhere."""
    if "attention_static" not in analysis:
        return []
    share = analysis["attention_static"].transpose("layer", "head").values
    layer, head = np.unravel_index(int(np.nanargmax(share)), share.shape)
    return [
        f"Most nearly a fixed stencil is head {head} of layer {layer}: {percent(float(share[layer, head]))} of its "
        "attention's variance is the same at every place and in every state."
    ]


def _head(analysis: xr.Dataset, layer: np.integer, head: np.integer) -> str:
    distance, ratio = (
        analysis[name].transpose("layer", "head")[int(layer), int(head)]
        for name in ("attention_distance", "attention_ratio")
    )
    units = pretty(str(distance.attrs.get("units", ""))).replace("dimensionless", "")
    mean = f"{number(float(distance), 3)} {units}".rstrip()
    return f"head {head} of layer {layer}, {mean} on average, {number(float(ratio), 3)} of even attention"
