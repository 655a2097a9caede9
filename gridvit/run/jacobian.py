"""Which numerical scheme the step of a run is: its Jacobian, in the language of numerical analysis."""

from __future__ import annotations

import numpy as np
import torch
import xarray as xr

from gridvit.analysis.bloch import bloch, phase_average
from gridvit.analysis.compare import MEASURED, compare, symbol_distance, window
from gridvit.analysis.defects import stencil_defects, step_defects
from gridvit.analysis.dependence import local_regression, state_share, upwind_index
from gridvit.analysis.modified import interval, modified_equation
from gridvit.analysis.nearness import best_linear, nearest, nearest_theta_scheme
from gridvit.analysis.onestep import one_step_error
from gridvit.analysis.probe import patch_cells
from gridvit.analysis.routing import frozen_probe, routing_share
from gridvit.analysis.symbol import grid_symbol, mode_energy
from gridvit.analysis.waves import wave_errors
from gridvit.analysis.zonal import sphere_rows
from gridvit.run.references import first_variable
from gridvit.run.subject import LATITUDES, Subject, inside, means, places
from gridvit.stencil import Stencil, modes


def rows_by_latitude(subject: Subject) -> xr.Dataset:
    """The Jacobian rows of a step on the sphere at a few latitudes."""
    states, context = subject.somewhere
    return sphere_rows(subject.double, states, inside(LATITUDES, subject.grid), context=context)


def scheme(subject: Subject) -> xr.Dataset:
    """The emulator's stencil and symbol beside the schemes', the nearest of them, and the best linear predictor."""
    grid, test, (references, courant) = subject.grid, subject.test, subject.references
    measured, energy = phase_average(subject.rows), subject.energy
    table = compare(
        measured, references, grid, subject.step.dt, energy=energy, courant=courant, time_units=test.step.unit
    )
    table["distance_best_linear"] = xr.DataArray(
        from_best_linear(subject, measured.mean("state")),
        attrs={"long_name": "expected one-step error against the best linear predictor", "units": "1"},
    )
    if references:
        table.attrs["nearest_scheme"] = nearest(table["distance_weighted"], (MEASURED,))
    return xr.merge([table, *theta_scheme(subject, measured.mean("state"))], combine_attrs="drop_conflicts")


def from_best_linear(subject: Subject, measured: Stencil) -> float:
    """The data-weighted distance from the best linear predictor of the test part; NaN where the data have gaps."""
    values, pace = subject.test.array[:, :, 0], subject.step.channels.pace
    shape = subject.grid.shape
    if values.shape[1] <= pace or np.isnan(values).any():
        return float("nan")
    predictor = best_linear(values[:, :-pace].reshape(-1, *shape), values[:, pace:].reshape(-1, *shape))
    energy = np.where(predictor != 0, subject.energy, 0.0)
    return float(symbol_distance(grid_symbol(measured, shape), predictor[None], energy)[0])


def theta_scheme(subject: Subject, measured: Stencil) -> list[xr.Dataset]:
    """The nearest theta scheme on the waves that have energy; nothing where they are too few."""
    grid, energy = subject.grid, subject.energy.ravel().copy()
    energy[0] = 0.0
    theta = modes(grid.shape).reshape(-1, grid.ndim)
    used = (energy > 0) & (np.abs(theta) < np.pi * (1 - 1e-9)).all(axis=-1)
    if used.sum() < 2 * (grid.ndim + 1) ** 2:
        return []
    symbol = grid_symbol(measured, grid.shape).ravel()
    found = nearest_theta_scheme(theta[used], symbol[used], energy[used])
    return [found.assign_coords(axis=list(grid.names), axis_2=list(grid.names))]


def modified(subject: Subject) -> xr.Dataset:
    """Velocity, diffusivity, dispersion and reaction of every scheme; of the emulator with intervals over states."""
    grid, dt, unit = subject.grid, subject.step.dt, subject.test.step.unit
    states = phase_average(subject.rows)
    own = interval(modified_equation(states, grid, dt, time_units=unit), "state")
    whole = {MEASURED: states.mean("state")} | subject.references[0]
    each = [modified_equation(stencil, grid, dt, time_units=unit) for stencil in whole.values()]
    names = xr.DataArray(list(whole), dims="scheme", name="scheme", attrs={"long_name": "scheme"})
    ends = own.drop_vars(
        [name for name in own.data_vars if not str(name).endswith(("_low", "_high", "_spread"))]
    )
    return xr.merge([xr.concat(each, names), ends], join="exact", combine_attrs="drop_conflicts")


def waves(subject: Subject) -> xr.Dataset:
    """Dissipation, errors after some steps and orders, against the exact solution or what made the data."""
    references, courant = subject.references
    whole = {MEASURED: phase_average(subject.rows).mean("state")} | references
    return wave_errors(
        whole, subject.grid, "exact" if "exact" in references else next(iter(references)), courant
    )


def growth(subject: Subject) -> xr.Dataset:
    """How waves grow about the mean of a state, under a step that knows its patches."""
    step, mean = subject.double, means(subject.states[:1].double())
    return bloch(step, mean, step.period, subject.context.take(slice(1)))


def one_step(subject: Subject) -> xr.Dataset:
    """The error of one step against every scheme, as its stencil lets expect and as it is."""
    ndim, states = subject.grid.ndim, subject.states
    with torch.no_grad():
        parts = [
            subject.step(states[n : n + 1], subject.context.take(slice(n, n + 1))) for n in range(len(states))
        ]
    values = subject.test.array[:, :, 0].astype(np.float64)
    sample, _ = places(subject.step, subject.test, len(states))
    found = one_step_error(
        subject.rows, states[:, 0].double().numpy(), torch.cat(parts)[:, 0].double().numpy(), subject.references[0],
        subject.step.period, mode_energy(values - values.mean(), ndim), sample[:, 0],
    )  # fmt: skip
    # The emulator is no distance from itself.
    return found.reindex(scheme=[MEASURED, *subject.references[0]])


def defects(subject: Subject) -> xr.Dataset:
    """What the step should keep and does not."""
    states, context = subject.somewhere
    found = step_defects(subject.double, states[:2], subject.step.period, context.take(slice(2)))
    return xr.merge([found, stencil_defects(subject.rows, subject.grid.shape)])


def dependence(subject: Subject) -> xr.Dataset:
    """How the stencil depends on the state."""
    rows, (states, _) = subject.rows, subject.somewhere
    share, by_offset = state_share(rows)
    dims, offsets, weights = window(by_offset, subject.grid)
    state, cells = states[:, 0].numpy(), patch_cells(subject.step.period)
    found = local_regression(rows, state, cells, subject.grid.ndim - 1)
    found["state_share"] = (
        (),
        share,
        {"long_name": "share of the Jacobian that depends on the state", "units": "1"},
    )
    found["state_share_by_offset"] = (
        dims,
        weights,
        {"long_name": "share that depends on the state", "units": "1"},
    )
    courant = subject.references[1]
    axes = range(subject.grid.ndim)
    flat = np.ones(rows.weights.shape[:-1])
    if courant is None:  # carried by the state itself, as in Burgers' equation, along the last axis
        index = [np.nan] * (subject.grid.ndim - 1) + [
            upwind_index(rows, state[(slice(None), *cells.T)], axes[-1])
        ]
    else:
        index = [upwind_index(rows, courant[axis] * flat, axis) for axis in axes]
    words = {"long_name": "share of the neighbours' weight that comes from upwind", "units": "1"}
    found["upwind_index"] = ("axis", index, words)
    return found.assign_coords({"axis": list(subject.grid.names), **offsets})


def routing(subject: Subject) -> xr.Dataset:
    """The Jacobian with frozen attention, at one state."""
    states, context = subject.somewhere
    cells = patch_cells(subject.step.period)
    frozen = first_variable(frozen_probe(subject.double, states[:1], cells, context.take(slice(1))))
    share = routing_share(subject.rows.isel(state=0), frozen.isel(state=0))
    dims, offsets, weights = window(phase_average(frozen).isel(state=0), subject.grid)
    data = {
        "routing_share": (
            (),
            share,
            {"long_name": "share of the Jacobian by where heads look", "units": "1"},
        ),
        "stencil_frozen": (dims, weights, {"long_name": "weight with frozen attention", "units": "1"}),
    }
    return xr.Dataset(data, offsets)
