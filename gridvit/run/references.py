"""What an emulator is set beside: the schemes that could have made its data, and the waves that the data hold."""

from __future__ import annotations

import math

import numpy as np
import torch

from gridvit.analysis.bloch import phase_average
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import energy_modes, mode_energy
from gridvit.grid import Grid
from gridvit.physics import SCHEMES, LinearEquation, LinearScheme, linear_scheme, stable_step
from gridvit.rollout import Context, Step
from gridvit.stencil import Stencil

UNTRAINED = "untrained"
"""An untrained network is persistence: its last layers are zero."""


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
