"""Solver trajectories as a CF dataset that says how it was made, so that its scheme can be built again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float32

from gridvit.config import SimulateConfig
from gridvit.data.simulate_drawn import drawn, parameters_of
from gridvit.data.simulate_steps import (
    blown_up,
    completed,
    conditions,
    enough_substeps,
    good_for,
    grid_of,
    is_spherical,
    refuse_accuracy,
    refuse_coarse,
    refuse_unstable,
    step_from,
)
from gridvit.grid import Grid
from gridvit.physics import (
    EQUATIONS,
    Forced,
    Harmonics,
    HarmonicStep,
    LinearEquation,
    LinearScheme,
    Spherical,
    Vorticity,
    equation_from,
    linear_scheme,
    random_states,
)
from gridvit.physics.forced import Force
from gridvit.rollout import Context, Step

FORCE = "force"  # the variable of a file
CHUNK = 16  # trajectories at once at most
STATES = 2**24  # bytes of the states in float64 at once


def simulate(config: SimulateConfig) -> xr.Dataset:
    """Trajectories u(t + dt) = F(u(t)) from random states, float64 inside and float32 in the dataset, in memory.

    ``gridvit.data.simulate_portions.simulate_to`` writes the same numbers without holding them.

    Returns:
        Variables of the equation along (sample, time, *axes), with the initial frame, and a force drawn anew for every
        trajectory where one drives it; a force that stays has neither sample nor time. Coefficients drawn anew for
        every trajectory are coordinates along sample. Attributes name equation, parameters and scheme for
        ``generating_step`` and ``exact_step``.

    Raises:
        InputError: an unknown equation, parameter, scheme or accuracy; a scheme that is unstable at this step
            (and how many substeps help); a grid that misses what damps the shortest waves (and how many cells
            help); a cutoff beyond the grid; a solution that blew up.
    """
    config = prepared(config)
    frames = np.empty((config.samples, *frame_shape(config)), dtype=np.float32)
    for first, count in batches(config):
        for k, frame in enumerate(solve(config, first, count)):
            frames[first : first + count, k] = frame
    return dataset(config, frames)


def generating_step(attrs: Mapping[str, Any], grid: Grid, stride: int = 1) -> Step | None:
    """The step that made the frames of a dataset of these attributes, over ``stride`` frames.

    None where the attributes are not those of ``simulate``, the grid is not the one that they name (cells thinned,
    walls stated where there were none), or each trajectory had its own coefficients.
    """
    parameters = _parameters(attrs, grid)
    return None if parameters is None else step_from(attrs, grid, parameters, stride)


def exact_step(attrs: Mapping[str, Any], grid: Grid, stride: int = 1) -> LinearScheme | HarmonicStep | None:
    """The exact propagator of the equation over ``stride`` frames; None where none is known."""
    parameters = _parameters(attrs, grid)
    if parameters is None:
        return None
    equation, dt = equation_from(attrs["gridvit_equation"], parameters), float(attrs["gridvit_dt"]) * stride
    if isinstance(equation, Spherical):
        rates = equation.rates(Harmonics(grid))
        return None if rates is None else HarmonicStep(grid, dt, equation.variables(2), rates)
    if not all(grid.periodic) or not isinstance(equation, LinearEquation):
        return None
    return linear_scheme("exact", equation, grid, dt)


def driving(attrs: Mapping[str, Any]) -> tuple[str, ...]:
    """Variables of a dataset of these attributes that drove the others, and must be told to the step that made them."""
    kind = EQUATIONS.get(attrs.get("gridvit_equation", ""))
    return kind.forces if kind is not None and issubclass(kind, Forced) else ()


def prepared(config: SimulateConfig) -> SimulateConfig:
    """Every value that was left open filled in; refuses what cannot be solved before anything is.

    Raises:
        InputError: see ``simulate``.
    """
    config = completed(config)
    refuse_accuracy(config)
    grid = grid_of(config)
    samples = range(config.samples) if drawn(config.parameters) else range(1)
    equations = [equation_from(config.equation, parameters_of(config, k)) for k in samples]
    for equation in equations:
        refuse_coarse(config, equation, grid)
    if not config.substeps:
        most = max(enough_substeps(config, equation, grid) for equation in equations)
        config = replace(config, substeps=most)
    for k in samples:
        refuse_unstable(_step(config, k), config.spinup + config.steps)
    _states(config, 0, 1)
    return config


def batches(config: SimulateConfig) -> list[tuple[int, int]]:
    """(first, count) of the trajectories solved at once: one where each has its own coefficients."""
    bytes_each = 8 * int(np.prod(frame_shape(config)[1:]))
    size = 1 if drawn(config.parameters) else max(1, min(CHUNK, STATES // bytes_each))
    return [(first, min(size, config.samples - first)) for first in range(0, config.samples, size)]


def frame_shape(config: SimulateConfig) -> tuple[int, ...]:
    """(time, variable, *space) of one trajectory, force included."""
    return (config.steps + 1, len(_names(config)), *config.shape)


def solve(
    config: SimulateConfig, first: int, count: int
) -> Iterator[Float32[np.ndarray, "sample variable *space"]]:
    """The frames of ``count`` trajectories, one after the other, so that only one need be held; forces behind states.

    Raises:
        InputError: a solution that blew up.
    """
    step, state = _step(config, first), _states(config, first, count)
    force = _forces(config, first, count)
    for frame in range(config.spinup + config.steps + 1):
        if frame:
            with torch.no_grad():
                state = step(state, _told(force, step.dt, frame - 1))
        kept = state.float()
        if not torch.isfinite(kept).all():
            raise blown_up(step, frame)
        if frame >= config.spinup:
            yield (
                kept.numpy()
                if force is None
                else np.concatenate([kept, force(step.dt * frame)], 1, dtype=np.float32)
            )


def _forces(config: SimulateConfig, first: int, count: int) -> Force | None:
    """t -> f(t) (sample, variable, *space) of some trajectories; each has its own generator, apart from all others."""
    if not driving(_attributes(config)):
        return None
    seeds = [np.random.SeedSequence(config.seed, spawn_key=(k, 2)) for k in range(first, first + count)]
    equations = [equation_from(config.equation, parameters_of(config, first + k)) for k in range(count)]
    draws = [
        equation.draw(grid_of(config), np.random.default_rng(seed))
        for equation, seed in zip(equations, seeds, strict=True)
    ]
    return lambda t: np.stack([draw(t) for draw in draws])


def _told(force: Force | None, dt: float, frame: int) -> Context | None:
    """What a step from a frame is told."""
    if force is None:
        return None
    ends = torch.from_numpy(np.stack([force(dt * frame), force(dt * (frame + 1))], 1))
    return Context(torch.full((len(ends),), dt * frame, dtype=torch.float64), ends)


def dataset(config: SimulateConfig, frames: Any) -> xr.Dataset:
    """Frames (sample, time, variable, *space), in memory or lazy, as a CF dataset."""
    step, grid, names = _step(config, 0), grid_of(config), _names(config)
    dims = ("sample", "time", *grid.names)
    units = good_for(config).units or ("1",) * len(names)
    arrays = {
        name: (dims, frames[:, :, c], {"units": units[c], "long_name": f"{name} of {config.equation}"})
        for c, name in enumerate(names)
    }
    times = {"units": "s" if is_spherical(config) else "1", "axis": "T", "long_name": "time"}
    coords = {
        "sample": ("sample", np.arange(config.samples), {"long_name": "trajectory"}),
        "time": ("time", step.dt * (config.spinup + np.arange(config.steps + 1)), times),
    }
    arrays |= _still_force(config, grid)
    return xr.Dataset(arrays, {**coords, **grid.coords(), **_drawn_coords(config)}, _attributes(config))


def _still_force(config: SimulateConfig, grid: Grid) -> dict[str, Any]:
    """The force of an equation that has one which stays, as a field without time; none where it was drawn."""
    equation = equation_from(config.equation, parameters_of(config, 0))
    if drawn(config.parameters) or not isinstance(equation, Vorticity) or not equation.forcing:
        return {}
    about = {"units": "1", "long_name": f"force of {config.equation}"}
    return {FORCE: (grid.names, equation.force(grid).astype(np.float32), about)}


def _drawn_coords(config: SimulateConfig) -> dict[str, Any]:
    """The coefficients of each trajectory along sample; those of several numbers along a dimension of their own."""
    each = [parameters_of(config, k) for k in range(config.samples)]
    found = {}
    for name in drawn(config.parameters):
        values = np.array([parameters[name] for parameters in each])
        dims = ("sample", *(f"{name}_{axis}" for axis in range(1, values.ndim)))
        found[name] = (dims, values, {"long_name": f"{name} of {config.equation}"})
    return found


def _attributes(config: SimulateConfig) -> dict[str, Any]:
    """All that is needed to build the step again, and the whole configuration as JSON."""
    how = {name: value for name, value in asdict(config).items() if name != "workers"}
    return {
        "Conventions": "CF-1.11",
        "title": f"{config.equation} solved by {config.scheme}",
        "history": "made by gridvit simulate",
        "gridvit_equation": config.equation,
        "gridvit_scheme": config.scheme,
        "gridvit_accuracy": config.accuracy,
        "gridvit_parameters": json.dumps(config.parameters),
        "gridvit_boundary": json.dumps(config.boundary),
        "gridvit_dt": float(config.dt),
        "gridvit_substeps": int(config.substeps),
        "gridvit_simulation": json.dumps(how),
    }


def _parameters(attrs: Mapping[str, Any], grid: Grid) -> dict[str, Any] | None:
    """The coefficients that all trajectories share; None of other files, and on other grids."""
    if "gridvit_equation" not in attrs:
        return None
    how = json.loads(attrs["gridvit_simulation"])
    lists = {name: tuple(value) for name, value in how.items() if isinstance(value, list)}
    if grid != grid_of(SimulateConfig(**{**how, **lists})):
        return None
    parameters = json.loads(attrs["gridvit_parameters"])
    return None if drawn(parameters) else parameters


def _names(config: SimulateConfig) -> tuple[str, ...]:
    """Variables of the frames."""
    return (*_step(config, 0).variables, *driving(_attributes(config)))


def _step(config: SimulateConfig, sample: int) -> Any:
    return step_from(_attributes(config), grid_of(config), parameters_of(config, sample))


def _states(config: SimulateConfig, first: int, count: int) -> torch.Tensor:
    equation, grid = equation_from(config.equation, parameters_of(config, first)), grid_of(config)
    walls = conditions(config.boundary, grid) if not grid.is_sphere else "open"
    cutoff, seed = config.cutoff, config.seed
    return random_states(equation, grid, count, seed=seed, cutoff=cutoff, first=first, boundary=walls)
