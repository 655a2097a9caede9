"""Several leads by one network that is told the lead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from test_blocks import SMALL, TORUS, fields

from gridvit.channels import Channels
from gridvit.config import ModelConfig, TrainingConfig
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.training.objectives import NextStep


def leading(config: ModelConfig, leads: tuple[int, ...] = (1, 2, 4)) -> ModelStep:
    torch.manual_seed(5)
    numbers = torch.zeros(2), torch.ones(2), torch.tensor([[0.5, 0.7], [0.9, 1.1], [1.3, 1.5]])[: len(leads)]
    step = ModelStep(config, TORUS, Channels(("a", "b"), leads=leads), 1.0, *numbers)
    torch.nn.init.normal_(step.network.decode.weight, std=0.1)
    return step


def test_leads_may_be_told() -> None:
    step, state = leading(replace(SMALL, leads="condition")), fields()
    for block in step.network.conditioner.blocks:
        torch.nn.init.normal_(block.weight, std=0.3)
    found = step.predict(state)
    assert found.shape == (2, 3, 2, 6, 10)
    for n, lead in enumerate((1, 2, 4)):
        f = step.network(state, condition=torch.full((2, 1), np.log(lead)))
        expected = state + torch.tensor([[0.5, 0.7], [0.9, 1.1], [1.3, 1.5]])[n].reshape(2, 1, 1) * f
        torch.testing.assert_close(found[:, n], expected)
    assert (found[:, 1] - found[:, 2]).abs().max() > 0.1
    assert torch.equal(step(state), found[:, 0])
    assert step.attention_weights(state).shape == (2, 2, 3, 30, 30)
    channels = leading(SMALL)
    assert torch.equal(channels(state), channels.predict(state)[:, 0])
    assert torch.equal(channels.predict(state, leads=slice(1, None)), channels.predict(state)[:, 1:])


def test_told_leads_are_learned_together() -> None:
    line = Grid.regular(20, 20.0)
    torch.manual_seed(1)
    config = ModelConfig(preset="mini", patch=(2,), width=32, depth=1, heads=2, leads="condition")
    step = ModelStep(
        config, line, Channels(("u",), leads=(1, 3)), 1.0, torch.zeros(1), torch.ones(1), torch.ones(2, 1)
    )
    objective = NextStep(step, TrainingConfig())
    optimiser = torch.optim.AdamW(step.parameters(), 5e-3)
    generator = torch.Generator().manual_seed(2)
    losses = []
    for _ in range(150):  # waves that travel a cell in a step
        waves = torch.randn(16, 3, 2, generator=generator)
        places = torch.arange(20)[None] - torch.tensor([0, 1, 3])[:, None]  # at times 0, 1 and 3
        angles = 2 * torch.pi / 20 * places[None, :, None] * torch.tensor([1, 2, 3]).reshape(-1, 1)
        frames = (waves[:, None, :, :1] * angles.cos() + waves[:, None, :, 1:] * angles.sin()).sum(2)
        optimiser.zero_grad()
        loss = objective.loss(Batch(frames[:, :, None], torch.zeros(16).double()), [])
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-10:]) < 0.05 * losses[0]


def test_what_is_told_moves_to_another_grid() -> None:
    step, state = leading(replace(SMALL, leads="condition")), fields()
    torch.nn.init.normal_(step.network.conditioner.blocks[1].weight)
    assert torch.equal(step.on(TORUS).predict(state), step.predict(state))
    assert step.on(Grid.regular((6, 20), (3.0, 5.0))).predict(torch.randn(1, 2, 6, 20)).shape == (
        1,
        3,
        2,
        6,
        20,
    )


def test_one_lead_is_nothing_to_be_told() -> None:
    with pytest.raises(InputError) as error:
        leading(replace(SMALL, leads="condition"), (1,))
    assert str(error.value) == "expected several data.leads for model.leads condition, got [1]: leave it out"
