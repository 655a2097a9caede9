"""Earlier frames as differences: numbers worked out by hand, with gaps, components of vectors and predictors."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep

GRID = Grid.regular((6,))
CONFIG = ModelConfig(
    preset="mini", patch=(2,), width=12, depth=1, heads=2, bias="none", earlier="differences"
)
MEAN, STD, INCREMENT = torch.tensor([5.0, 1.0]), torch.tensor([4.0, 2.0]), torch.tensor([0.5, 0.25])


def step_of(
    channels: Channels, config: ModelConfig = CONFIG, presence: torch.Tensor | None = None
) -> ModelStep:
    return ModelStep(config, GRID, channels, 1.0, MEAN, STD, INCREMENT, presence)


def test_three_frames_are_one_and_two_differences_in_units_of_the_increments() -> None:
    step = step_of(Channels(("u",), predictor=("p",), history=3))
    numbers = torch.tensor([9.0, 3.0, 8.5, 2.5, 10.0, 2.5])  # u, p now, then a step and two steps earlier
    found = step.inputs(numbers.reshape(1, 6, 1).expand(1, 6, 6))
    # (9 - 5) / 4, (3 - 1) / 2; (9 - 8.5) / .5, (3 - 2.5) / .25; (8.5 - 10) / .5, (2.5 - 2.5) / .25
    want = torch.tensor([1.0, 1.0, 1.0, 2.0, -3.0, 0.0])
    torch.testing.assert_close(found, want.reshape(1, 6, 1).expand(1, 6, 6))


def test_frames_as_they_are_by_default() -> None:
    step = step_of(
        Channels(("u", "v"), history=2), replace(CONFIG, earlier=ModelConfig(preset="mini").earlier)
    )
    state = torch.randn(3, 4, 6, generator=torch.Generator().manual_seed(2))
    want = (state - MEAN.repeat(2).reshape(4, 1)) / STD.repeat(2).reshape(4, 1)
    torch.testing.assert_close(step.inputs(state), want)


def test_a_difference_without_one_of_its_terms_is_zero_and_masks_stay() -> None:
    step = step_of(Channels(("u", "v"), history=2), presence=torch.full((2, 6), 0.5))
    state = torch.tensor([9.0, 3.0, 8.5, 2.5]).reshape(1, 4, 1).repeat(1, 1, 6)
    state[0, 0, 1] = state[0, 2, 2] = state[0, 3, 3] = torch.nan
    found = step.inputs(state)[0]
    assert found[0].tolist() == [1, 0, 1, 1, 1, 1]
    assert found[2].tolist() == [1, 0, 0, 1, 1, 1]
    assert found[3].tolist() == [2, 2, 2, 0, 2, 2]
    assert found[4:].tolist() == (~torch.isnan(state[0])).float().tolist()


def test_what_does_not_change_is_no_division_by_zero() -> None:
    channels, still = Channels(("u",), predictor=("p",), history=2), INCREMENT * torch.tensor([1.0, 0.0])
    step = ModelStep(CONFIG, GRID, channels, 1.0, MEAN, STD, still)
    state = torch.tensor([9.0, 3.0, 8.5, 3.0]).reshape(1, 4, 1).repeat(1, 1, 6)
    assert step.inputs(state)[0, :, 0].tolist() == [1, 1, 1, 0]


def test_the_zero_of_a_difference_over_a_pole_is_zero() -> None:
    channels = Channels(("t", "u"), vector=("u",), history=2)
    config = replace(CONFIG, patch=(2, 2), embed="conv", channels=4)
    step = ModelStep(config, Grid.latlon(6, 8), channels, 1.0, MEAN, STD, INCREMENT)
    pad = step.network.stem.first.pad
    assert pad.sign.flatten().tolist() == [1, -1, 1, -1]
    assert pad.twice_zero.flatten().tolist() == [0, -1, 0, 0]


def test_one_frame_has_no_differences() -> None:
    said = (
        "expected two or more frames for model.earlier differences, got 1: "
        "raise data.history, or leave model.earlier out"
    )
    with pytest.raises(InputError) as refused:
        step_of(Channels(("u", "v")))
    assert str(refused.value) == said
