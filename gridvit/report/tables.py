"""Tables: the numbers of the figures, with units, as text cells. Dataset in, (columns, rows) out."""

from __future__ import annotations

import re

import numpy as np
import xarray as xr

from gridvit.report.canvas import MINUS, coordinate, label, name_of, named, ordered, pretty

Table = tuple[list[str], list[list[str]]]

WAVES = (2, 4, 6, 8, 10)
LEADS = 5  # columns that a printed page holds beside the names
COLUMNS = 7  # of numbers
LISTED = ("_defect", "odd_share", "anisotropy", "modified_reaction")  # numbers that have tables of their own
HEAD_MEASURES = ("attention_distance", "attention_rms", "attention_uniform", "attention_uniform_rms", "attention_ratio",
                 "effective_area_fraction", "bias_length")  # fmt: skip


def number(value: float | int, digits: int = 4) -> str:
    """So many significant digits, whole numbers up to a million in full; a dash where there is no value."""
    if not np.isfinite(value):
        return "\N{EN DASH}"
    whole = 10.0**digits <= abs(value) < 1e6
    text = f"{value:.0f}" if whole else f"{value:.{digits}g}"
    return re.sub("e([+-])0", r"e\1", text).replace("e+", "e").replace("-", MINUS)


def score_tables(scores: xr.Dataset) -> dict[str, Table]:
    """One table per variable and score: a row per model, a column per lead, the interval in brackets.

    Of labels, which have no leads, one table: a column per measure.
    """
    if "measure" in scores.dims:
        return {"labels of the test part": label_table(scores)}
    names = [name for name in ("ratio", "rmse", "nrmse", "vrmse", "acc") if name in scores]
    pairs = [(name, variable) for variable in scores["variable"].values for name in names]
    return {
        _score_title(scores, name, variable): _score_table(scores, name, variable) for name, variable in pairs
    }


def label_table(scores: xr.Dataset) -> Table:
    """A row per model, a column per measure."""
    array = ordered(scores, "score", "model", "measure")
    return ["model", *map(str, array["measure"].values)], _rows(array["model"], array.values)


def _score_title(scores: xr.Dataset, name: str, variable: object) -> str:
    units = scores[name].attrs.get("units", "1")
    if name == "rmse" and "variable_units" in scores.coords:
        units = scores["variable_units"].sel(variable=variable).item()
    interval = "; 95 % interval in brackets" if f"{name}_low" in scores else ""
    return f"{variable}: {name_of(scores[name])} ({pretty(str(units))}), by lead{interval}"


def _score_table(scores: xr.Dataset, name: str, variable: object) -> Table:
    array = ordered(scores, name, "model", "lead", "variable").sel(variable=variable)
    chosen = np.unique(np.linspace(0, array.sizes["lead"] - 1, LEADS).round().astype(int)).tolist()
    units = pretty(str(array["lead"].attrs.get("units", "1"))).replace("dimensionless", "")
    columns = ["model", *(f"{array['lead'].values[i]:g} {units}".strip() for i in chosen)]
    ends = [
        scores[f"{name}_{end}"].sel(variable=variable) for end in ("low", "high") if f"{name}_{end}" in scores
    ]
    rows = [
        [str(model), *(_with_interval(array, ends, model, i) for i in chosen)]
        for model in array["model"].values
    ]
    return columns, rows


def _with_interval(array: xr.DataArray, ends: list[xr.DataArray], model: object, lead: int) -> str:
    at = {"model": model}
    value = number(float(array.sel(at).isel(lead=lead)))
    bounds = [float(end.sel(at).isel(lead=lead)) for end in ends]
    if len(bounds) < 2 or not np.all(np.isfinite(bounds)):
        return value
    return f"{value}\n[{number(bounds[0], 3)}, {number(bounds[1], 3)}]"


def recovered_table(analysis: xr.Dataset) -> Table:
    """Velocity, the upper triangle of the diffusivity tensor and, if there, reaction rate and misfit per scheme."""
    columns, values = ["scheme"], []
    if "velocity" in analysis:
        velocity = ordered(analysis, "velocity", "scheme", "axis")
        columns += [f"velocity {axis} ({units_of(velocity)})" for axis in velocity["axis"].values]
        values.append(velocity.values)
    if "diffusivity" in analysis:
        tensor = ordered(analysis, "diffusivity", "scheme", "axis", "axis_2")
        upper = np.triu_indices(tensor.sizes["axis"])
        names = tensor["axis"].values
        columns += [
            f"diffusivity {names[i]}{names[j]} ({units_of(tensor)})" for i, j in zip(*upper, strict=True)
        ]
        values.append(tensor.values[:, *upper])
    if "reaction" in analysis and analysis["reaction"].any():
        columns.append(label(analysis["reaction"]))
        values.append(ordered(analysis, "reaction", "scheme").values[:, None])
    if "misfit" in analysis:
        columns.append(label(analysis["misfit"]))
        values.append(ordered(analysis, "misfit", "scheme").values[:, None])
    return columns, _rows(analysis["scheme"], np.concatenate(values, axis=1))


def distance_table(analysis: xr.Dataset) -> Table:
    """How far the emulator's stencil lies from each scheme's, plain and weighted by the data's energy."""
    names = [name for name in ("distance_unweighted", "distance_weighted") if name in analysis]
    arrays = [ordered(analysis, name, "scheme") for name in names]
    rows = _rows(analysis["scheme"], np.stack([array.values for array in arrays], axis=1))
    return ["scheme", *map(label, arrays)], [row for row in rows if row[0] != "emulator"]


def cumulant_table(analysis: xr.Dataset) -> Table:
    """One row per order, one column per scheme."""
    array = ordered(analysis, "cumulant", "order", "scheme")
    columns = [f"order ({', '.join(_axes(analysis))})", *map(str, array["scheme"].values)]
    return columns, _rows(array["order"], array.values)


def scalar_table(analysis: xr.Dataset) -> Table:
    """The numbers of the whole step, six digits: whether a spectral radius passes one shows in the last."""
    single = [
        array
        for name, array in analysis.data_vars.items()
        if array.ndim == 0
        and not str(name).endswith((*LISTED, "_spread"))
        and not is_end(analysis, str(name))
    ]
    return ["number of the whole step", "value"], [
        [label(array), number(float(array), 6)] for array in single
    ]


def attention_tables(analysis: xr.Dataset) -> list[Table]:
    """A row per layer and head, a column per measure, the known ones first; as many tables as a page needs.

    What is 0 for every head, as attention to registers where there are none, is left out.
    """
    found = [
        str(name)
        for name, array in analysis.data_vars.items()
        if set(array.dims) == {"layer", "head"} and array.any()
    ]
    names = [name for name in HEAD_MEASURES if name in found]
    names += [name for name in found if name not in HEAD_MEASURES and not is_end(analysis, name)]
    return [_head_table(analysis, names[first : first + COLUMNS]) for first in range(0, len(names), COLUMNS)]


def attention_table(analysis: xr.Dataset) -> Table:
    """The first of ``attention_tables``, of the known measures."""
    return _head_table(analysis, [name for name in HEAD_MEASURES if name in analysis])


def _head_table(analysis: xr.Dataset, names: list[str]) -> Table:
    arrays = [ordered(analysis, name, "layer", "head") for name in names]
    layers, heads = (coordinate(arrays[0], dim).values for dim in ("layer", "head"))
    pairs = [f"{layer}, {head}" for layer in layers for head in heads]
    cells = np.stack([array.values.ravel() for array in arrays], axis=1)
    return ["layer, head", *map(label, arrays)], _rows(pairs, cells)


def is_end(dataset: xr.Dataset, name: str) -> bool:
    """Is the variable an end of the interval of another?"""
    base, _, end = name.rpartition("_")
    return end in ("low", "high") and base in dataset


def _rows(names: xr.DataArray | list[str], cells: np.ndarray) -> list[list[str]]:
    labels = names if isinstance(names, list) else [str(name) for name in names.values]
    return [[name, *map(number, row)] for name, row in zip(labels, cells.tolist(), strict=True)]


def units_of(array: xr.DataArray) -> str:
    """Its units as one writes them."""
    return pretty(str(array.attrs.get("units", "1")))


def _axes(analysis: xr.Dataset) -> list[str]:
    return [str(name) for name in analysis["axis"].values] if "axis" in analysis.coords else ["per axis"]


def analysis_tables(analysis: xr.Dataset) -> dict[str, Table]:
    """Every table of an analysis by its title, for the terminal."""
    known = {
        "velocity": ("velocity and diffusivity recovered from the symbol", recovered_table),
        "distance_unweighted": ("distance of the emulator's step from each scheme", distance_table),
        "cumulant": ("cumulants of the stencils, in cells", cumulant_table),
        "zonal_phase_speed": (
            "eastward phase speed (m s⁻¹) by zonal wavenumber m; amplification per step in brackets",
            zonal_table,
        ),
        "attention_distance": ("attention by layer and head", attention_table),
    }
    made = {title: make(analysis) for name, (title, make) in known.items() if name in analysis}
    return {title: table for title, table in made.items() if table[1]}  # no rows: no scheme to compare with


def zonal_table(analysis: xr.Dataset) -> Table:
    """A row per latitude, a column for every other zonal wavenumber: phase speed, and |G| in brackets."""
    names = ("zonal_phase_speed", "zonal_amplification")
    arrays = [ordered(analysis, name, "latitude", "wavenumber") for name in names]
    waves = [m for m in WAVES if m in arrays[0]["wavenumber"].values]
    speeds, factors = (array.sel(wavenumber=waves).values for array in arrays)
    cells = [
        [f"{number(c, 3)}\n[{number(g, 3)}]" for c, g in zip(*row, strict=True)]
        for row in zip(speeds, factors, strict=True)
    ]
    rows = [named(arrays[0], "latitude", i).removeprefix("latitude ") for i in range(len(cells))]
    return ["latitude", *(f"m = {m}" for m in waves)], [
        [name, *row] for name, row in zip(rows, cells, strict=True)
    ]
