"""What the trained models are held against: no change, the best linear step, and the solver on fewer cells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch
import xarray as xr
from equations import Case
from scores import frames
from torch import Tensor

from gridvit.analysis.linear import LinearPredictor
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Persistence, Step

FEWER = (2, 4)  # times fewer cells along each axis


@dataclass
class Linear:
    """One step of ``LinearPredictor``: no linear step that commutes with shifts errs less on the training part."""

    grid: Grid
    dt: float
    variables: tuple[str, ...]
    fitted: LinearPredictor

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        """The state a ``dt`` later."""
        return torch.from_numpy(self.fitted(state.cpu().double().numpy())[:, 0]).to(state)


def best_linear(train: xr.Dataset, grid: Grid, dt: float) -> Linear:
    """Fitted to the training trajectories."""
    return Linear(grid, dt, moving(train), LinearPredictor.fit(frames(train), [1]))


def moving(ds: xr.Dataset) -> tuple[str, ...]:
    """The variables that ``frames`` stacks."""
    return tuple(str(name) for name in ds.data_vars if "time" in ds[name].dims)


def references(case: Case, train: xr.Dataset) -> dict[str, Step]:
    """By name; those that do not fit the grid are left out."""
    grid = Grid.from_dataset(train)
    dt = float(train["time"][1] - train["time"][0])
    found: dict[str, Step] = {"persistence": Persistence(grid, dt, moving(train))}
    if all(grid.periodic):
        found["best linear step"] = best_linear(train, grid, dt)
    for times in FEWER:
        cells = tuple(n // times for n in grid.shape)
        with suppress(InputError):  # cells too wide for the equation
            found[f"solver, {' x '.join(map(str, cells))} cells"] = case.coarse(cells)
    return found
