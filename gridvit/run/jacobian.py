"""Which numerical scheme the step of a run is: its Jacobian beside the schemes that are known."""

from __future__ import annotations

import math

import numpy as np
import torch
import xarray as xr

from gridvit.analysis.bloch import bloch, phase_average
from gridvit.analysis.compare import compare
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import energy_modes, mode_energy
from gridvit.analysis.zonal import sphere_rows
from gridvit.grid import Grid
from gridvit.physics import SCHEMES, LinearEquation, LinearScheme, linear_scheme, stable_step
from gridvit.rollout import Context, Step
from gridvit.run.evaluate import solvers
from gridvit.run.subject import Subject
from gridvit.stencil import Stencil

LATITUDES = (-50.0, -30.0, 0.0, 30.0, 50.0)


def rows_by_latitude(subject: Subject) -> xr.Dataset:
    """The Jacobian rows of a step on the sphere at a few latitudes."""
    latitudes = inside(LATITUDES, subject.grid)
    return sphere_rows(subject.double, subject.states.double(), latitudes, context=subject.context)


def inside(latitudes: tuple[float, ...], grid: Grid) -> list[float]:
    """Those of ``latitudes`` that the grid covers; the middle one where it covers none."""
    low, high = grid.bounds[0][0], grid.bounds[0][-1]
    return [x for x in latitudes if low < x < high] or [float(grid.centers[0][grid.shape[0] // 2])]


def scheme(subject: Subject) -> xr.Dataset:
    """The emulator's stencil and symbol beside the schemes'."""
    step, grid, test, config = subject.double, subject.grid, subject.test, subject.config
    states, patch = subject.states.double(), step.period
    measured = first_variable(phase_average(probe(step, states, patch_cells(patch), subject.context)))
    filled = torch.where(states.isnan(), means(states), states)  # a solver knows no gaps
    known = solvers(test, config.data.stride, step.channels.pace)
    references, courant = schemes(
        known, grid, filled[:, : len(step.channels.targets)], patch, subject.context
    )
    values = test.array[:, :, 0].astype(np.float64)
    values = np.where(np.isnan(values), np.nanmean(values), values)
    return compare(
        measured, references, grid, step.dt,
        energy=energetic(values, grid.ndim, config.evaluation.energy_share), courant=courant, time_units=test.step.unit,
    )  # fmt: skip


def growth(subject: Subject) -> xr.Dataset:
    """How waves grow about the mean of a state, under a step that knows its patches."""
    step, mean = subject.double, means(subject.states[:1].double())
    return bloch(step, mean, step.period, subject.context.take(slice(1)))


def means(states: torch.Tensor) -> torch.Tensor:
    """Each variable's mean over the cells that have values, everywhere."""
    mean = states.nanmean(dim=tuple(range(2, states.ndim)), keepdim=True)
    return mean.expand_as(states).contiguous()


def first_variable(stencil: Stencil) -> Stencil:
    """The response of the first variable to itself."""
    return stencil.component(0, 0) if stencil.is_system else stencil


def energetic(values: np.ndarray, ndim: int, share: float) -> np.ndarray:
    """Energy at every wave of the grid, zero at those outside the ones that hold ``share`` of the variance."""
    energy = mode_energy(values, ndim)
    kept, _ = energy_modes(values, ndim, share)
    shape = energy.shape
    index = tuple(np.round(kept[:, a] * shape[a] / (2 * math.pi)).astype(int) % shape[a] for a in range(ndim))
    mask = np.zeros(shape, dtype=bool)
    mask[index] = True
    return np.where(mask, energy, 0.0)


def schemes(
    known: dict[str, Step],
    grid: Grid,
    states: torch.Tensor,
    patch: tuple[int, ...],
    context: Context | None = None,
) -> tuple[dict[str, Stencil], list[float] | None]:
    """The generating and the exact scheme, the stable named ones, and the Courant numbers.

    The first two are probed at the same states and cells as the model and told the same: the stencil of a nonlinear
    step depends on it.
    """
    cells = patch_cells(patch)
    references = {
        name: first_variable(phase_average(probe(step, states, cells, context)))
        for name, step in known.items()
    }
    exact = known.get("exact")
    if not isinstance(exact, LinearScheme):
        return references, None
    equation = exact.equation
    for name in SCHEMES:
        if name not in references and stable_step(name, equation, grid) >= exact.dt:
            references[name] = linear_scheme(name, equation, grid, exact.dt).stencil()
    return references, courant_numbers(equation, grid, exact)


def courant_numbers(equation: LinearEquation, grid: Grid, step: Step) -> list[float] | None:
    """c = a dt / h along each axis, for an equation that advects."""
    velocity = getattr(equation, "velocity", None)
    if velocity is None:
        return None
    axes = np.broadcast_to(np.asarray(velocity, dtype=float), (grid.ndim,))
    return [float(a * step.dt / h) for a, h in zip(axes, grid.spacing, strict=True)]
