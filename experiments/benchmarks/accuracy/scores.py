"""The columns of the accuracy benchmark's table: what is read off a step on trajectories that it has not seen."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import torch
import xarray as xr
from equations import LEADS
from models import geometric, relative
from torch import Tensor

from gridvit.analysis import skill
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.step import ModelStep
from gridvit.physics.coarse import resampled
from gridvit.physics.fourier import Waves
from gridvit.rollout import Step, rollout

KEPT, LONG, LOST = (1, 10, 20, 40, 50, 100, 200), 200, 0.4
MISSING = 0.1  # of the cells in gappy input
PAIRS = 8  # frames, spread over the trajectories, from which single steps are scored

Advance = Callable[[Tensor], Tensor]


def frames(ds: xr.Dataset) -> np.ndarray:
    """(sample, time, variable, *space)."""
    return np.stack([ds[name].values for name in ds.data_vars if "time" in ds[name].dims], 2)


def tensor(ds: xr.Dataset, device: torch.device) -> Tensor:
    """The frames of a dataset."""
    return torch.from_numpy(frames(ds)).float().to(device)


@torch.no_grad()
def score(step: Step, splits: Mapping[str, xr.Dataset], mean: Tensor, device: torch.device) -> dict[str, Any]:
    """All columns; ``mean`` of the variables is what gaps are filled with."""
    test = tensor(splits["test"], device)
    found = rollout(step, test[:, 0], max(LONG, test.shape[1] - 1))
    errors = relative(found[:, 1 : test.shape[1]], test[:, 1:])
    row = {"one": once(step, test), "mean": geometric(errors[:LEADS])}
    row.update({f"at {n}": float(errors[n - 1]) for n in KEPT if n <= len(errors)})
    row["valid time"] = valid_time(found[:, 1 : test.shape[1]], test[:, 1:])
    row["growth"] = growth(found[:, : LONG + 1], test)
    row["gappy"] = once(step, test, mean)
    if "unseen" in splits:
        unseen = tensor(splits["unseen"], device)
        ahead = rollout(step, unseen[:, 0], LEADS)
        row["unseen"] = once(step, unseen)
        row["unseen mean"] = geometric(relative(ahead[:, 1:], unseen[:, 1 : LEADS + 1]))
    return row


def growth(found: Tensor, truth: Tensor) -> float:
    """Largest root mean square of the states of a rollout over that of the data; infinite where one is not finite."""
    sizes = found.square().mean((0, *range(2, found.ndim))).sqrt()
    return float(sizes.max() / truth.square().mean().sqrt()) if sizes.isfinite().all() else math.inf


def once(step: Advance, truth: Tensor, filling: Tensor | None = None) -> float:
    """nRMSE of single steps from several frames; where there is a filling a tenth of the cells have it."""
    draw, errors = torch.Generator().manual_seed(0), []
    for n in np.linspace(0, truth.shape[1] - 2, PAIRS).astype(int):
        state = truth[:, n]
        if filling is not None:
            away = (torch.rand(state[:, :1].shape, generator=draw) < MISSING).to(state.device)
            state = torch.where(away, filling, state)
        errors.append(relative(step(state)[:, None], truth[:, n + 1 : n + 2]))
    return float(torch.cat(errors).mean())


def valid_time(found: Tensor, truth: Tensor) -> float:
    """Steps until |u - u'| / |u| passes LOST, mean over trajectories; all of them where it never does."""
    space = tuple(range(2, truth.ndim))
    errors = ((found - truth).square().sum(space) / truth.square().sum(space)).sqrt()
    leads = np.arange(1.0, 1 + truth.shape[1])
    return float(skill.valid_time((errors < LOST).cpu().numpy(), leads).mean())


@torch.no_grad()
def finer(step: ModelStep, ds: xr.Dataset, device: torch.device) -> dict[str, float]:
    """One-step errors on more cells: of the network as it is there, and of its own cells by the waves they resolve."""
    truth, grid = tensor(ds, device), Grid.from_dataset(ds)
    row = {"fine": math.nan, "fine, resampled": math.nan}
    if all(grid.periodic):
        shape = ("periodic",) * grid.ndim, (False,) * truth.shape[2]
        ours, theirs = (Waves(g, *shape) for g in (step.grid, grid))

        def there_and_back(state: Tensor) -> Tensor:
            few = resampled(state.cpu().double(), theirs, ours).to(state)
            return resampled(step(few).cpu().double(), ours, theirs).to(state)

        row["fine, resampled"] = once(there_and_back, truth)
    with suppress(InputError, RuntimeError, ValueError):  # a network of fixed size
        row["fine"] = once(moved(step, grid), truth)
    return row


def moved(step: ModelStep, grid: Grid) -> Advance:
    """The step on more cells: ``ModelStep.on`` for gridvit's, the same weights for a network of one's own."""
    network = getattr(step.network, "network", None)
    if network is None:
        return step.on(grid)
    return lambda state: state + step.increment_std[0] * network((state - step.mean) / step.std)
