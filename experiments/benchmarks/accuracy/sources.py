"""What makes the trajectories of the accuracy benchmark: solvers, and exact shifts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import ceil
from typing import Protocol

import numpy as np
import torch
import xarray as xr

from gridvit.config import SimulateConfig
from gridvit.data.simulate import dataset, prepared, simulate
from gridvit.data.simulate_steps import conditions, grid_of
from gridvit.physics import equation_from
from gridvit.physics.coarse import resampled
from gridvit.physics.fourier import Waves

TURN = 2 * np.pi


class Source(Protocol):
    """What makes trajectories: its configuration, changed as asked, to a dataset as ``gridvit simulate`` writes it."""

    @property
    def config(self) -> SimulateConfig:
        """Of the training data, but for samples, steps and seed."""
        ...

    def frames(self, config: SimulateConfig) -> xr.Dataset:
        """The trajectories of a configuration."""
        ...


@dataclass(frozen=True)
class Solved:
    """Trajectories of a solver, on ``cells`` where the cells of the data would be too coarse for it.

    What is solved on more cells is given at those of the data by the waves that these resolve.
    """

    config: SimulateConfig
    cells: tuple[int, ...] = ()

    def frames(self, config: SimulateConfig) -> xr.Dataset:
        """See ``Source``."""
        if not self.cells or config.shape == self.cells:
            return simulate(replace(config, substeps=self._substeps(config.shape)))
        fine = simulate(replace(config, shape=self.cells))
        values = torch.from_numpy(np.stack([fine[name].values for name in fine.data_vars], 2)).double()
        found = resampled(values.flatten(0, 1), _waves(replace(config, shape=self.cells)), _waves(config))
        # The attributes are the solver's: the step from frame to frame is not one of these cells.
        shaped = found.unflatten(0, values.shape[:2]).float().numpy()
        return dataset(prepared(config), shaped).assign_attrs(fine.attrs)

    def _substeps(self, shape: tuple[int, ...]) -> int:
        """Shorter as cells become narrower than those that the steps were chosen for."""
        usual = self.cells or self.config.shape
        return ceil(self.config.substeps * max(1.0, *(n / m for n, m in zip(shape, usual, strict=True))))


def _waves(config: SimulateConfig) -> Waves:
    grid = grid_of(config)
    normal = equation_from(config.equation, config.parameters).normal(grid.ndim)
    return Waves(grid, conditions(config.boundary, grid), normal)


@dataclass(frozen=True)
class Carried:
    """u(x, t) = u_0(x - a t) exactly, u_0 = sum_k c_k cos(2 pi k x / L + p_k) / max |sum|, k = 1..5.

    The advection of APEBench (F. Koehler et al., NeurIPS 2024, arXiv:2411.00180) with its initial states: c_k
    uniform in [-1, 1), p_k in [0, 2 pi); its gamma is minus the cells that the field moves in a step.
    """

    config: SimulateConfig

    def frames(self, config: SimulateConfig) -> xr.Dataset:
        """See ``Source``."""
        grid, k = grid_of(config), np.arange(1, 6)
        draw = np.random.default_rng(config.seed)
        amplitude = draw.uniform(-1, 1, (config.samples, 1, 5))
        angle = draw.uniform(0, TURN, (config.samples, 1, 5))
        moved = (config.parameters["velocity"] * config.dt * np.arange(config.steps + 1))[None, :, None, None]
        phase = (grid.centers[0][:, None] - moved) * TURN * k / grid.lengths[0]  # (1, time, cell, wave)
        u = (amplitude[:, None] * np.cos(phase + angle[:, None])).sum(-1)
        u = (u / np.abs(u[:, :1]).max(-1, keepdims=True)).astype(np.float32)
        return dataset(prepared(config), u[:, :, None]).assign_attrs(history="an exact shift")
