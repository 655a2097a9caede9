"""The equations that can be simulated, described from their own docstrings, with a picture of each."""

from __future__ import annotations

import inspect
import os
from dataclasses import fields
from functools import partial
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import xarray as xr

from gridvit.config import SimulateConfig
from gridvit.data.simulate import prepared, simulate
from gridvit.data.simulate_files import refuse_existing_file
from gridvit.data.simulate_steps import BOUNDARIES, grid_of, is_spherical
from gridvit.errors import InputError
from gridvit.physics import (
    EQUATIONS,
    METHODS,
    SCHEMES,
    TABLEAUX,
    LinearEquation,
    Semilinear,
    equation_from,
    largest_step,
)
from gridvit.physics.operators import choose

SHADES = " .:-=+*#%@"
"""From the lowest value to the highest."""
ROWS, COLUMNS = 12, 36


def listed(name: str = "") -> str:
    """Every equation in short, or one in full: what it says, what it takes, how it is solved, and how it looks."""
    if name:
        return "\n\n".join([described(name), _facts(name), picture_text(name)])
    return "\n\n".join(f"{_short(equation)}\n\n{picture_text(equation, frames=2)}" for equation in EQUATIONS)


def described(name: str) -> str:
    """The docstring of an equation without its errors.

    Raises:
        InputError: an unknown equation.
    """
    text = inspect.getdoc(choose(EQUATIONS, name, "equations")) or ""
    kept = [part for part in text.split("\n\n") if not part.startswith("Raises:")]
    return f"{name}\n" + indent("\n\n".join(kept), "  ")


def _short(name: str) -> str:
    first = (inspect.getdoc(EQUATIONS[name]) or "").split("\n\n")[0]
    config = _usual(name)
    return (
        f"{name}\n{indent(first, '  ')}\n  parameters: {_parameters(config)}\n"
        f"  stable step: {_stable(config)}"
    )


def _facts(name: str) -> str:
    """Good values and choices, of the configuration that no option changes."""
    config = _usual(name)
    equation, grid = equation_from(config.equation, config.parameters), grid_of(config)
    linear = isinstance(equation, LinearEquation)
    methods = [*(METHODS if isinstance(equation, Semilinear) else TABLEAUX), *(SCHEMES if linear else [])]
    rows = {
        "parameters": _parameters(config),
        "variables": ", ".join(equation.variables(grid.ndim)),
        "grid": grid.describe(),
        "boundary": "none" if is_spherical(config) else ", ".join(filter(partial(_takes, name), BOUNDARIES)),
        "scheme": f"{config.scheme} (of {', '.join(methods)})",
        "frames": f"{config.dt:g}{' s' if is_spherical(config) else ''} apart, in {config.substeps} substeps",
        "stable step": _stable(config),
    }
    return "\n".join(f"  {key + ':':<13}{value}" for key, value in rows.items())


def _takes(name: str, boundary: str) -> bool:
    """Whether the good method solves the equation so."""
    try:
        simulate(SimulateConfig(equation=name, samples=1, steps=1, boundary=boundary))
    except InputError:
        return False
    return True


def _stable(config: SimulateConfig) -> str:
    """The longest step on the good grid, by the good method or, of a named scheme, by a common one."""
    method = config.scheme if config.scheme in METHODS else "ssprk3"
    equation = equation_from(config.equation, config.parameters)
    limit = largest_step(method, equation, grid_of(config))
    return f"{limit:.4g}{' s' if is_spherical(config) else ''} by {method}"


def picture_text(name: str, frames: int = 8) -> str:
    """First and last frame in shades of the first variable; in one dimension all frames, time running down."""
    field = _frames(name, frames).values
    if field.ndim == 2:
        return indent("\n".join(_shaded(field, len(field), 2 * COLUMNS)), "  ")
    pair = [_shaded(frame[::-1], ROWS, COLUMNS) for frame in (field[0], field[-1])]  # the last row is the top
    return "\n".join(f"  {left} | {right}" for left, right in zip(*pair, strict=True))


def picture_file(name: str, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """The same as an image, of a suffix that Matplotlib knows, with axes, times and units.

    Raises:
        InputError: an unknown equation, or a file that exists.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    target = refuse_existing_file(path, overwrite)
    field = _frames(name, 20)
    shown = [field] if field.ndim == 2 else [field.isel(time=0), field.isel(time=-1)]
    figure = Figure(figsize=(5 * len(shown), 4), layout="constrained")
    FigureCanvasAgg(figure)
    for place, frame in enumerate(shown):
        axes = figure.add_subplot(1, len(shown), place + 1)
        rows, columns = (frame[dim] for dim in frame.dims)
        image = axes.pcolormesh(columns.values, rows.values, frame.values, cmap="viridis", shading="nearest")
        when = "" if frame.ndim == field.ndim else f", {_label(frame['time'])} {frame['time'].item():g}"
        axes.set(title=f"{name}{when}", xlabel=_label(columns), ylabel=_label(rows))
        figure.colorbar(image, ax=axes, label=_label(field))
    figure.savefig(target, dpi=120)
    return target


def _label(array: xr.DataArray) -> str:
    """Name and unit."""
    unit = str(array.attrs.get("units", "1"))
    return f"{array.name} ({'dimensionless' if unit == '1' else unit})"


def _usual(name: str) -> SimulateConfig:
    choose(EQUATIONS, name, "equations")
    return prepared(SimulateConfig(equation=name, samples=1))


def _parameters(config: SimulateConfig) -> str:
    """Good values of every coefficient."""
    equation = equation_from(config.equation, config.parameters)
    own = {field.name: getattr(equation, field.name) for field in fields(equation)}
    return ", ".join(f"{name} = {_shown(value)}" for name, value in own.items()) or "none"


def _shown(value: Any) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(map(_shown, value))}]"
    return f"{value:.6g}" if isinstance(value, float | int) else str(value)


def _frames(name: str, count: int) -> xr.DataArray:
    """(time, *space) of the first variable of one trajectory."""
    config = _usual(name)
    ds = simulate(
        SimulateConfig(equation=name, samples=1, steps=count if len(config.shape) > 1 else max(count, 8))
    )
    return ds[next(iter(ds.data_vars))].isel(sample=0)


def _shaded(field: np.ndarray, rows: int, columns: int) -> list[str]:
    """The nearest cells of a coarser grid as characters."""
    places = (
        np.linspace(0, n - 1, m).round().astype(int)
        for n, m in zip(field.shape, (rows, columns), strict=True)
    )
    coarse = field[np.ix_(*places)]
    low, high = float(coarse.min()), float(coarse.max())
    scale = (len(SHADES) - 1) / (high - low) if high > low else 0.0
    return ["".join(SHADES[round(level)] for level in row) for row in ((coarse - low) * scale).tolist()]
