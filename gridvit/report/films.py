"""What moves on the page: a rollout as a film, and attention from the place that the reader chooses."""

from __future__ import annotations

import numpy as np
import xarray as xr
from matplotlib.colors import LogNorm

from gridvit.report.canvas import (
    DIVERGING,
    SEQUENTIAL,
    coordinate,
    label,
    named,
    peak_of,
    pretty,
    symmetric,
)
from gridvit.report.coast import Lines, on_globe
from gridvit.report.forecasts import field_scale, first_cases, lead_name, panel_titles, valid
from gridvit.report.plates import Face, Plates, Scale
from gridvit.report.tables import number

VALUES = 2**21  # of one film: a page of some megabytes
COLUMNS = 6  # of maps, at most
DECADES = 1e-3  # the least share of the greatest attention that has a colour of its own


def rollout_film(forecast: xr.Dataset, truth: xr.Dataset | None, variable: str, coast: Lines = ()) -> Plates:
    """Truth | forecast | forecast - truth of the first case, a frame for each lead, evenly thinned where many.

    ``variable`` as for ``forecast_panels``, with two space dimensions.
    """
    predicted, known = first_cases(forecast, truth, variable)
    most = max(2, VALUES // (3 * predicted[0].size))
    chosen = np.unique(np.linspace(0, predicted.sizes["lead"] - 1, most).round().astype(int))
    predicted = upright(predicted.isel(lead=chosen))
    fields, scale = [predicted], Scale(*field_scale(predicted), label(predicted))
    scales = [scale]
    if known is not None:
        known = upright(known.isel(lead=chosen))
        scale = Scale(*field_scale(known), label(predicted))
        error = predicted.copy(data=(predicted - known).values)
        units = pretty(str(predicted.attrs.get("units", "1")))
        fields = [known, predicted, error]
        scales = [scale, scale, Scale(symmetric(error.values), DIVERGING, f"error ({units})")]
    told = [f"{lead_name(predicted, i)}{valid(predicted, i)}" for i in range(len(chosen))]
    frames = np.stack([field.values for field in fields], axis=1)
    shown = list(zip(panel_titles(known), scales, strict=True))
    return Plates(f"film_{variable}", frames, shown, told, face_of(predicted, coast))


def attention_places(analysis: xr.Dataset, coast: Lines = ()) -> Plates:
    """Attention from a place over even attention, a frame for each place, a panel for each layer and head.

    ``attention_map`` (place, layer, head, *token) of two token dimensions, with the coordinates of its places.
    """
    array = upright(analysis["attention_map"].transpose("place", "layer", "head", ...))
    count, layers, heads = array.shape[:3]
    titles = [
        f"{named(array, 'layer', i)}, {named(array, 'head', j)}" for i in range(layers) for j in range(heads)
    ]
    places = np.stack([array[f"place_{axis}"].values for axis in axes_of(array)], axis=1).astype(float)
    told = [f"from {where(array, i)}" for i in range(count)]
    peak = peak_of(array.values)
    scale = Scale(LogNorm(peak * DECADES, peak, clip=True), SEQUENTIAL, label(array))
    frames = array.values.reshape(count, layers * heads, *array.shape[3:])
    shown = [(title, scale) for title in titles]
    start, columns = middle(places), min(heads, COLUMNS)
    return Plates("attention_places", frames, shown, told, face_of(array, coast), places, start, columns)


def face_of(array: xr.DataArray, coast: Lines) -> Face:
    """The last two dimensions as a map, with its coast where they are latitude and longitude."""
    return Face(edges_of(array), span_of(array), coast if on_globe(array) else ())


def axes_of(array: xr.DataArray) -> list[str]:
    """The axes of the tokens, without ``attended_``."""
    return [str(dim).removeprefix("attended_") for dim in array.dims[-2:]]


def where(array: xr.DataArray, place: int) -> str:
    """Such as "latitude 30 °N, longitude 210 °E"."""
    parts = [(axis, array[f"place_{axis}"][place]) for axis in axes_of(array)]
    return ", ".join(f"{axis} {_place(at)}" for axis, at in parts)


def _place(at: xr.DataArray) -> str:
    value, unit = at.item(), _unit(at)
    if unit == "°N" and value < 0:
        value, unit = -value, "°S"
    return f"{number(value)} {unit}".rstrip()


def middle(places: np.ndarray) -> int:
    """The place nearest to the middle of all."""
    return int(np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1)))


def upright(array: xr.DataArray) -> xr.DataArray:
    """The field with both of its space coordinates ascending."""
    return array.sortby([str(dim) for dim in array.dims[-2:] if dim in array.coords])


def edges_of(array: xr.DataArray) -> tuple[np.ndarray, np.ndarray]:
    """Edges of the cells along the last two dimensions, halfway between centres; latitudes end at the poles."""
    y, x = (_halfway(coordinate(array, str(dim)).values.astype(float)) for dim in array.dims[-2:])
    return (np.clip(y, -90, 90) if on_globe(array) else y), x


def _halfway(centers: np.ndarray) -> np.ndarray:
    if len(centers) == 1:
        return centers[0] + np.array([-0.5, 0.5])
    inner = (centers[1:] + centers[:-1]) / 2
    return np.concatenate([[2 * centers[0] - inner[0]], inner, [2 * centers[-1] - inner[-1]]])


def span_of(array: xr.DataArray) -> str:
    """What the axes of each map are."""
    y, x = (coordinate(array, str(dim)) for dim in array.dims[-2:])
    (low, high), (left, right) = ((edge[0], edge[-1]) for edge in edges_of(array))
    parts = [
        f"{_axis(line)} from {number(first)} to {number(last)} {_unit(line)}".rstrip()
        for line, first, last in ((x, left, right), (y, low, high))
    ]
    return f"Each map: {parts[0]} to the right, {parts[1]} upwards."


def _axis(line: xr.DataArray) -> str:
    return str(line.name).removeprefix("attended_")


def _unit(line: xr.DataArray) -> str:
    return pretty(str(line.attrs.get("units", ""))).replace("dimensionless", "")
