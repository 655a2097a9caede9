"""Gradients, occlusion, pulses and integrated gradients agree where they must."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import Tensor

from gridvit.analysis.attribution import Readout, Replace, region_weights
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted import Planted
from gridvit.physics.planted_truth import PlantedTruth
from gridvit.rollout import Context

GRID = Grid.latlon(5, 7)
MIX = torch.from_numpy(np.random.default_rng(3).standard_normal((70, 70))) / 8


@dataclass(frozen=True)
class Made:
    """u -> M u + curve (M u)^3 on two variables."""

    curve: float = 0.0
    grid: Grid = GRID
    dt: float = 1.0
    variables: tuple[str, ...] = ("a", "b")

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        mixed = state.flatten(1) @ MIX.to(state).T
        return (mixed + self.curve * mixed**3).reshape(state.shape)


def setting(curve: float, lead: int = 1) -> tuple[Readout, Tensor, Tensor, np.ndarray]:
    rng = np.random.default_rng(5)
    region = np.zeros(GRID.shape, dtype=bool)
    region[2:4, 1:3] = True
    weights = region_weights(GRID, ("a", "b"), "b", region)
    state, base = torch.from_numpy(rng.standard_normal((2, 3, 2, 5, 7)))
    return Readout(Made(curve), weights, lead), state, base, rng.random((3, 5, 7)) < 0.3


@pytest.mark.parametrize("lead", [1, 3])
def test_40_linear_gradient_times_difference_is_occlusion_and_integrated(lead: int) -> None:
    f, state, base, regions = setting(0.0, lead)
    product = f.gradient(state) * (state - base)
    torch.testing.assert_close(f.integrated_gradient(state, base, 3), product, atol=1e-12, rtol=0)
    summed = torch.stack([(product * torch.from_numpy(m)).flatten(1).sum(1) for m in regions], 1)
    torch.testing.assert_close(f.occlusion(state, base, regions), summed, atol=1e-12, rtol=0)
    exact = f.weights.flatten() @ torch.linalg.matrix_power(MIX, lead)
    torch.testing.assert_close(f.gradient(state).flatten(1), exact.expand(3, -1), atol=1e-12, rtol=0)
    patterns = (state - base)[:2]
    expected = patterns.flatten(1) @ exact
    torch.testing.assert_close(f.pulse(state, patterns, 0.3), expected.expand(3, -1), atol=1e-12, rtol=0)


def test_40_integrated_gradients_are_complete() -> None:
    # a cubic: its gradient is of degree 2 along the path, so that 2 points are exact and 1 is not
    f, state, base, _ = setting(0.2)
    change = f(state) - f(base)
    torch.testing.assert_close(
        f.integrated_gradient(state, base, 2).flatten(1).sum(1), change, atol=1e-12, rtol=0
    )
    assert (f.integrated_gradient(state, base, 1).flatten(1).sum(1) - change).abs().max() > 1e-3
    assert (((state - base) * f.gradient(state)).flatten(1).sum(1) - change).abs().max() > 1e-3


@dataclass(frozen=True)
class History:
    """The mean of the planted world's next state, as a step on the last three: x_{t+1} = A_1 x_t + A_2 x_{t-1} + .."""

    matrices: Tensor
    grid: Grid
    dt: float = 1.0
    variables: tuple[str, ...] = ("now", "before", "earlier")

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        now = torch.einsum("kij,bkj->bi", self.matrices, state.flatten(2)).reshape(state[:, :1].shape)
        return torch.cat([now, state[:, :-1]], dim=1)


def test_the_gradient_of_the_planted_world_is_its_causal_truth() -> None:
    grid = Grid.latlon(8, 12)
    world = Planted.linear(grid, 0.3)
    matrices = np.zeros((3, grid.size, grid.size))
    matrices[0] = world.memory * np.eye(grid.size)
    for link in world.links:
        cap, mean = world.caps[world.index(link.target)], world.means[world.index(link.source)]
        matrices[link.lag - 1] += link.strength * np.outer(cap, mean)
    step, target = History(torch.from_numpy(matrices), grid), world.index("late")
    weights = region_weights(grid, step.variables, "now", world.caps[target].reshape(grid.shape))
    for lead in (1, 4):
        found = Readout(step, weights, lead).gradient(torch.zeros(1, 3, *grid.shape).double())
        expected = PlantedTruth(world).effects(lead)[:, target]
        np.testing.assert_allclose(found[0].flatten(1).numpy(), expected, atol=1e-14)


@dataclass(frozen=True)
class Looking:
    """u -> W u, W the rows of attention, which may be replaced."""

    weights: Tensor
    grid: Grid = GRID
    dt: float = 1.0
    variables: tuple[str, ...] = ("a",)

    def __call__(
        self, state: Tensor, context: Context | None = None, attention: Replace | None = None
    ) -> Tensor:
        weights = self.weights if attention is None else attention(0, self.weights)
        return (state.flatten(2) @ weights.T).reshape(state.shape)


def test_a_region_that_is_not_looked_at_is_knocked_out() -> None:
    rng = np.random.default_rng(8)
    weights = torch.from_numpy(rng.dirichlet(np.ones(35), 35))
    keys = torch.arange(35) < 9

    def blind(layer: int, given: Tensor) -> Tensor:
        kept = torch.where(keys, 0.0, given)
        return kept / kept.sum(-1, keepdim=True)

    readout = Readout(Looking(weights), torch.full((1, 5, 7), 1 / 35).double())
    state = torch.from_numpy(rng.standard_normal((2, 1, 5, 7)))
    found = readout.knock_out(state, [blind, lambda layer, given: given])
    flat = state.flatten(1)
    rest = (flat[:, 9:] @ weights[:, 9:].T) / weights[:, 9:].sum(1)
    torch.testing.assert_close(found[:, 0], (flat @ weights.T).mean(1) - rest.mean(1))
    assert not found[:, 1].any()


def test_the_whole_occluded_is_the_whole_change() -> None:
    f, state, base, _ = setting(0.2, 2)
    found = f.occlusion(state, base, np.ones((1, 5, 7), dtype=bool))[:, 0]
    torch.testing.assert_close(found, f(state) - f(base))


def test_weights_are_an_area_mean() -> None:
    region = np.zeros(GRID.shape, dtype=bool)
    region[:2] = True
    weights = region_weights(GRID, ("a", "b"), "a", region)
    assert weights.sum().item() == pytest.approx(1)
    assert not weights[1].any()
    south = np.sin(np.deg2rad([-90.0, -54.0, -18.0]))
    rows = np.diff(south) / (south[2] - south[0])
    np.testing.assert_allclose(weights[0].sum(1).numpy(), [*rows, 0, 0, 0], atol=1e-14)


def test_refusals_are_sentences() -> None:
    text = "expected one of a, b over at least one cell, got 'c' over 35 cells: correct the readout"
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        region_weights(GRID, ("a", "b"), "c", np.ones(GRID.shape, dtype=bool))
    text = "expected weights (2, 5, 7) and a lead of at least one step, got (1, 5, 7) and 1: "
    text += "make them with region_weights"
    with pytest.raises(InputError, match=f"^{re.escape(text)}$"):
        Readout(Made(), torch.zeros(1, 5, 7))
