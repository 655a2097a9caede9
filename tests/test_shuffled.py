"""Weights shuffled layer by layer from the output."""

from __future__ import annotations

import torch

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.nn.shuffled import cascade


def test_ever_more_of_the_network_is_shuffled() -> None:
    torch.manual_seed(1)
    config = ModelConfig(preset="mini", patch=(2,), width=24, depth=5, heads=2, registers=1)
    step = ModelStep(config, Grid.regular((12,)), Channels(("u",)), 1.0, *torch.ones(3, 1)).eval()
    torch.nn.init.normal_(step.network.decode.weight)
    before = {name: value.clone() for name, value in step.network.named_parameters()}
    names, changed = [], []
    for name, other in cascade(step):
        now = dict(other.network.named_parameters())
        for key, value in before.items():
            torch.testing.assert_close(now[key].flatten().sort()[0], value.flatten().sort()[0])
        names.append(name)
        changed.append({key for key, value in before.items() if not torch.equal(now[key], value)})
    assert names == ["decode", "block 4", "block 3", "block 1", "embed"]
    assert "decode.weight" in changed[0]
    assert {key.split(".")[0] for key in changed[0]} <= {"decode", "skip", "norm"}
    blocks = [{key.split(".")[1] for key in found if key.startswith("blocks")} for found in changed]
    assert blocks == [
        set(),
        {"3", "4"},
        {"2", "3", "4"},
        {"0", "1", "2", "3", "4"},
        {"0", "1", "2", "3", "4"},
    ]
    assert {"embed.weight", "registers"} <= changed[-1]
    assert "registers" not in changed[-2]
    for key, value in step.network.named_parameters():
        assert torch.equal(value, before[key])
