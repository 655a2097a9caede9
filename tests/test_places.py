"""Attention from places is that of whole matrices, for places that are spread evenly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.rollout import Context
from gridvit.run.places import attention_places, spread


@pytest.mark.parametrize("gaps", [False, True])
def test_attention_from_places_is_rows_of_whole_matrices(gaps: bool) -> None:
    torch.manual_seed(3)
    grid = Grid.regular((6, 10))
    config = ModelConfig(preset="mini", patch=(2, 2), width=48, depth=2, heads=3, registers=2)
    presence = torch.full((1, *grid.shape), 0.5) if gaps else None
    step = ModelStep(config, grid, Channels(("u",)), 1.0, *torch.ones(3, 1), presence=presence).eval()
    states = torch.randn(5, 1, *grid.shape)
    states[:, :, :2, :2] = torch.nan if gaps else 0.5
    found = attention_places(step, states, Context(torch.zeros(5, dtype=torch.float64)))["attention_map"]
    weights = step.attention_weights(states[:4]).numpy()  # without registers
    weights = (weights / weights.sum(-1, keepdims=True)).mean(0)
    areas = np.ones(15)
    areas[0] = np.nan if gaps else 1
    expected = weights / (areas / np.nansum(areas))
    assert found.dims == ("place", "layer", "head", "attended_y", "attended_x")
    assert np.allclose(
        found.values.reshape(15, 2, 3, 15), expected.transpose(2, 0, 1, 3), rtol=1e-5, equal_nan=True
    )
    assert found.attrs["states"] == 4
    assert (found["place_y"].values[7], found["place_x"].values[7]) == (3.0, 5.0)


def test_places_are_all_tokens_or_spread_evenly() -> None:
    grid = Grid.regular((6, 10))
    assert spread(grid, 60).tolist() == list(range(60))
    assert spread(grid, 15).tolist() == [11, 13, 15, 17, 19, 31, 33, 35, 37, 39, 51, 53, 55, 57, 59]
    assert spread(grid, 1).tolist() == [35]
