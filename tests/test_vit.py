"""The network: starts as persistence, keeps its symmetries, and steps physical states."""

from __future__ import annotations

import math

import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.nn.features import features
from gridvit.nn.position import bounded_features
from gridvit.rollout import Context, Step

TORUS = Grid.regular((6, 10), (3.0, 5.0))
SMALL = ModelConfig(preset="mini", patch=(2, 2), width=48, depth=2, heads=3)


def trained_looking(grid: Grid, config: ModelConfig, variables: int = 2) -> ModelStep:
    """A step whose weights are random everywhere."""
    torch.manual_seed(7)
    names = tuple("abc"[:variables])
    mean, std, increment = (
        torch.tensor([1.0, -2.0, 3.0]),
        torch.tensor([2.0, 3.0, 5.0]),
        torch.tensor([0.5, 0.7, 1.1]),
    )
    numbers = mean[:variables], std[:variables], increment[:variables]
    step = ModelStep(config, grid, Channels(names), 0.25, *numbers)
    for weight in (step.network.decode.weight, step.network.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return step


def test_untrained_is_persistence() -> None:
    step = ModelStep(SMALL, TORUS, Channels(("a", "b")), 1.0, torch.zeros(2), torch.ones(2), torch.ones(2))
    state = torch.randn(3, 2, 6, 10)
    assert torch.equal(step(state), state)


def test_is_a_step() -> None:
    step = trained_looking(TORUS, SMALL)
    assert isinstance(step, Step)
    assert (step.grid, step.dt, step.variables) == (TORUS, 0.25, ("a", "b"))
    assert step(torch.randn(3, 2, 6, 10)).shape == (3, 2, 6, 10)


def test_commutes_with_shifts_by_a_patch_on_the_torus() -> None:
    step = trained_looking(TORUS, SMALL).double()
    state = torch.randn(2, 2, 6, 10, dtype=torch.float64)
    for shift in ((2, 0), (0, 4), (4, 8)):
        moved = step(state.roll(shift, (2, 3))).roll((-shift[0], -shift[1]), (2, 3))
        torch.testing.assert_close(moved, step(state), atol=1e-5, rtol=1e-5)
    assert not torch.allclose(step(state.roll(1, 3)).roll(-1, 3), step(state), atol=1e-3)


def test_commutes_with_longitude_shifts_on_the_sphere_but_knows_latitude() -> None:
    grid = Grid.latlon(7, 12, poles=True)
    step = trained_looking(
        grid, ModelConfig(preset="mini", patch=(2, 3), width=48, depth=2, heads=3), 1
    ).double()
    state = torch.randn(1, 1, 7, 12, dtype=torch.float64)
    torch.testing.assert_close(step(state.roll(3, 3)).roll(-3, 3), step(state), atol=1e-5, rtol=1e-5)
    uniform = step(torch.zeros(1, 1, 7, 12, dtype=torch.float64))[0, 0]
    assert uniform[::2].std(0).max() > 1e-3


def test_statistics_enter_as_stated() -> None:
    step = trained_looking(TORUS, SMALL)
    state = torch.randn(1, 2, 6, 10)
    normalised = (state - torch.tensor([1.0, -2.0]).reshape(1, 2, 1, 1)) / torch.tensor([2.0, 3.0]).reshape(
        1, 2, 1, 1
    )
    expected = state + torch.tensor([0.5, 0.7]).reshape(1, 2, 1, 1) * step.network(normalised)
    torch.testing.assert_close(step(state), expected)


def test_attention_weights_are_those_of_the_forward_pass() -> None:
    step = trained_looking(TORUS, SMALL)
    state = torch.randn(2, 2, 6, 10)
    weights = step.attention_weights(state)
    assert weights.shape == (2, 2, 3, 15, 15)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 3, 15))
    frozen = step(state, attention=lambda layer, _: weights[:, layer])
    torch.testing.assert_close(frozen, step(state), atol=1e-5, rtol=1e-5)


def test_local_time_by_hand() -> None:
    grid = Grid.latlon(3, 4)
    waves = features(("local_time",), grid, torch.tensor([0.0, 21600.0], dtype=torch.float64), 3600.0)
    assert waves.shape == (2, 4, 3, 4)
    # midnight at 0 E, 6 h local time at 90 E; six hours later 6 h at 0 E and noon at 90 E
    expected = [[[1, 0, -1, 0], [0, 1, 0, -1]], [[0, -1, 0, 1], [1, 0, -1, 0]]]
    torch.testing.assert_close(waves[:, :2, 1], torch.tensor(expected).double(), atol=1e-12, rtol=0)
    torch.testing.assert_close(waves[:, 2, 0], waves[:, 0, 0] ** 2 - waves[:, 1, 0] ** 2, atol=1e-12, rtol=0)


def test_features_need_a_sphere_and_a_time() -> None:
    sentence = "expected latitude and longitude for model.features, got a plane: leave model.features out"
    with pytest.raises(InputError, match=sentence):
        ViT(ModelConfig(preset="mini", patch=(2, 2), features=("local_time",)), TORUS, 1, 1)
    grid = Grid.latlon(6, 12)
    step = trained_looking(
        grid,
        ModelConfig(preset="mini", patch=(2, 3), width=48, depth=1, heads=3, features=("local_time",)),
        1,
    )
    state = torch.randn(2, 1, 6, 12)
    with pytest.raises(ValueError, match="needs a context"):
        step(state)
    times = torch.tensor([0.0, 6 * 3600.0], dtype=torch.float64)
    assert not torch.allclose(step(state, Context(times)), step(state, Context(times + 6 * 3600)))
    torch.testing.assert_close(step(state, Context(times)), step(state, Context(times + 86400)))


def test_bounded_features_are_cosines_of_bounded_axes_only() -> None:
    assert bounded_features(TORUS).shape == (60, 0)
    channel = Grid.regular((4, 3), periodic=(False, True))
    features = bounded_features(channel).reshape(4, 3, 6)
    assert torch.equal(features[:, 0], features[:, 2])
    expected = [math.cos(math.pi * (i + 0.5) / 4) for i in range(4)]
    torch.testing.assert_close(features[:, 0, 0], torch.tensor(expected))


def test_one_dimension() -> None:
    grid = Grid.regular(12, 3.0)
    step = trained_looking(grid, ModelConfig(preset="mini", patch=(3,), width=24, depth=1, heads=2), 1)
    assert step(torch.randn(5, 1, 12)).shape == (5, 1, 12)
