"""What the trained models are held against: no change, the best linear step, and the solver on fewer cells."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

import torch
import xarray as xr
from equations import Case
from scores import frames
from torch import Tensor

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context, Persistence, Step

RIDGE = 1e-9  # of the largest power of a wave
FEWER = (2, 4)  # times fewer cells along each axis


@dataclass
class Linear:
    """F u' = H(k) F u + [k = 0] c, H(k) the least squares of all pairs of frames: no linear step that commutes with
    shifts has a smaller error on them."""

    grid: Grid
    dt: float
    variables: tuple[str, ...]
    gain: Tensor
    constant: Tensor

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        """One step."""
        waves = torch.fft.fftn(state.double(), dim=self._axes(state))
        after = torch.einsum("...ij,b...j->b...i", self.gain.to(state.device), waves.movedim(1, -1)).movedim(
            -1, 1
        )
        after[(slice(None), slice(None), *[0] * self.grid.ndim)] += self.constant.to(state.device)
        return torch.fft.ifftn(after, dim=self._axes(state)).real.to(state)

    def _axes(self, state: Tensor) -> tuple[int, ...]:
        return tuple(range(2, state.ndim))


def best_linear(train: xr.Dataset, grid: Grid, dt: float) -> Linear:
    """Fitted to the training trajectories."""
    u = torch.from_numpy(frames(train)).double()
    axes, zero = tuple(range(2, u.ndim - 1)), (slice(None), slice(None), *[0] * grid.ndim)
    before, after = (torch.fft.fftn(part.flatten(0, 1), dim=axes) for part in (u[:, :-1], u[:, 1:]))
    means = [part[zero].mean(0) for part in (before, after)]
    for part, mean in zip((before, after), means, strict=True):
        part[zero] -= mean
    x, y = before.movedim(1, -1), after.movedim(1, -1)
    power = torch.einsum("n...i,n...j->...ij", x, x.conj())
    crossed = torch.einsum("n...i,n...j->...ij", y, x.conj())
    small = RIDGE * power.abs().max() * torch.eye(power.shape[-1], dtype=power.dtype)
    gain = torch.linalg.solve(power + small, crossed, left=False)
    origin = (0,) * grid.ndim
    constant = means[1] - gain[origin] @ means[0]
    names = tuple(str(name) for name in train.data_vars if "time" in train[name].dims)
    return Linear(grid, dt, names, gain, constant)


def references(case: Case, train: xr.Dataset) -> dict[str, Step]:
    """By name; those that do not fit the grid are left out."""
    grid = Grid.from_dataset(train)
    names = tuple(str(name) for name in train.data_vars if "time" in train[name].dims)
    dt = float(train["time"][1] - train["time"][0])
    found: dict[str, Step] = {"persistence": Persistence(grid, dt, names)}
    if all(grid.periodic):
        found["best linear step"] = best_linear(train, grid, dt)
    for times in FEWER:
        cells = tuple(n // times for n in grid.shape)
        with suppress(InputError):  # cells too wide for the equation
            found[f"solver, {' x '.join(map(str, cells))} cells"] = case.coarse(cells)
    return found
