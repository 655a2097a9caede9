"""Weights of variables and levels in the loss: numbers by hand, with and without gaps."""

from __future__ import annotations

import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig, TrainingConfig
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.training.losses import present_error, variable_weights
from gridvit.training.objectives import NextStep

NAMES = ("t_500", "t_850", "q_500", "q_850", "tp")


def test_patterns_multiply_and_the_mean_is_one() -> None:
    found = variable_weights({"*_500": 0.5, "t_*": 3, "tp": 0}, NAMES)
    assert found == pytest.approx([w * 5 / 6 for w in (1.5, 3, 0.5, 1, 0)])
    assert variable_weights({}, NAMES) == [1.0] * 5


@pytest.mark.parametrize("leads", [(1,), (1, 2)])
def test_loss_by_hand(leads: tuple[int, ...]) -> None:
    """Untrained: f = 0, errors are those of persistence, 1, 2 and 3 sigma_d; weights 1, 2, 0 of mean 1."""
    grid = Grid.regular((3, 4))
    numbers = torch.zeros(3), torch.ones(3), torch.tensor([[0.5, 1.0, 2.0]] * len(leads))
    config = ModelConfig(preset="mini", patch=(1, 1), width=24, depth=1, heads=2)
    increments = torch.tensor([1.0, 2.0, 3.0]) * numbers[2][0]
    frames = torch.zeros(2, 1 + len(leads), 3, 3, 4)
    frames[:, 1:] = increments.view(3, 1, 1)
    for weights, expected in (({}, (1 + 4 + 9) / 3), ({"b": 2, "c": 0}, (1 + 2 * 4) / 3)):
        training = TrainingConfig(weights=weights)
        step = ModelStep(config, grid, Channels(("a", "b", "c"), leads=leads), 1.0, *numbers)
        batch = Batch(frames, torch.zeros(2).double())
        assert float(NextStep(step, training).loss(batch, []).detach()) == pytest.approx(expected)
        # of a variable with a gap the mean is over what is there; a variable that is nowhere does not enter
        presence = torch.ones(3, 3, 4)
        presence[1, 0] = 0.5
        gappy = ModelStep(config, grid, Channels(("a", "b", "c"), leads=leads), 1.0, *numbers, presence)
        holes = frames.clone()
        holes[:, 1:, 1, 0] = torch.nan
        found = NextStep(gappy, training).loss(batch._replace(frames=holes), [])
        assert float(found.detach()) == pytest.approx(expected)


def test_a_variable_without_values_leaves_its_weight_out() -> None:
    found = torch.zeros(2, 2, 3)
    target = torch.tensor([[[1.0] * 3, [2.0] * 3], [[1.0] * 3, [torch.nan] * 3]])
    loss, count = present_error(found, target, torch.ones(3), torch.tensor([0.5, 1.5]))
    assert float(count) == 0.5 + 1.5 + 0.5
    assert float(loss) == pytest.approx((0.5 * 1 + 1.5 * 4 + 0.5 * 1) / (0.5 + 1.5 + 0.5))


def test_what_weighs_nothing_is_refused() -> None:
    with pytest.raises(InputError) as error:
        variable_weights({"z_*": 2.0}, NAMES)
    assert str(error.value) == (
        "expected training.weights of t_500, t_850, q_500, q_850, tp, got 'z_*': correct it, * stands for any letters"
    )
    with pytest.raises(InputError) as error:
        variable_weights({"*": 0.0}, NAMES)
    assert (
        str(error.value) == "expected training.weights above 0 for some variable, got 0 for all: correct them"
    )
    with pytest.raises(InputError) as error:
        TrainingConfig(weights={"t": -1.0})
    assert str(error.value) == "expected training.weights of at least 0, got {'t': -1.0}: correct them"
