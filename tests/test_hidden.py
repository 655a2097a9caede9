"""The network as a front end: tokens between its layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT

TORUS, SPHERE = Grid.regular((6, 10), (3.0, 5.0)), Grid.latlon(7, 12, poles=True)
SMALL = ModelConfig(preset="mini", patch=(1, 2), width=48, depth=3, heads=3)


def network(config: ModelConfig = SMALL, grid: Grid = TORUS, masks: slice | None = None) -> ViT:
    torch.manual_seed(5)
    made = ViT(config, grid, 2, 2, masks)
    torch.nn.init.normal_(made.decode.weight, std=0.1)
    return made


@pytest.mark.parametrize("registers", [0, 2])
def test_layers_are_those_of_the_forward_pass(registers: int) -> None:
    made, x = network(replace(SMALL, registers=registers)), torch.randn(5, 2, 6, 10)
    first, middle, last, again = made.features(x, layers=[0, 2, 3, -1])
    assert [f.layer for f in (first, middle, last, again)] == [0, 2, 3, 3]
    embedded = made.embed(made.patches.tokenise(x))
    torch.testing.assert_close(first.patches, embedded)
    assert torch.equal(last.patches, again.patches)
    h = embedded if not registers else torch.cat([made.registers.expand(5, -1, -1), embedded], 1)
    for block in list(made.blocks)[:2]:
        h = block(h)
    torch.testing.assert_close(middle.patches, h[:, registers:])
    torch.testing.assert_close(middle.cls, h[:, 0] if registers else h.mean(1))
    out = made.patches.assemble(made.decode(made.norm(last.patches)), 2)
    torch.testing.assert_close(out, made(x))  # the skip starts at zero
    assert middle.map.shape == (5, 48, 6, 5)
    assert torch.equal(middle.map[4, :, 3, 2], middle.patches[4, 17])


def test_the_mean_is_that_of_areas_that_have_values() -> None:
    made = network(replace(SMALL, patch=(1, 3)), SPHERE, slice(1, 2))
    x = torch.randn(3, 2, 7, 12)
    x[:, 1] = 1
    x[:, 1, 2] = 0  # a row without values
    x[1, 1] = 0  # a state without any
    found = made.features(x)[0]
    edges = np.sin(np.deg2rad([-90, -75, -45, -15, 15, 45, 75, 90]))
    rows = np.diff(edges)
    rows[2] = 0
    weights = torch.tensor(np.repeat(rows, 4) / (4 * rows.sum())).float()
    torch.testing.assert_close(found.mean[0], weights @ found.patches[0])
    assert torch.equal(found.mean[1], torch.zeros(48))


def test_with_and_without_gradients() -> None:
    made, x = network(), torch.randn(2, 2, 6, 10, requires_grad=True)
    made.features(x, layers=[1])[0].cls.sum().backward()
    assert x.grad is not None
    assert x.grad.abs().max() > 0
    assert made.blocks[0].mlp[0].weight.grad is not None
    assert made.blocks[1].mlp[0].weight.grad is None  # layer 1 is after the first block
    with torch.no_grad():
        assert not made.features(x)[0].patches.requires_grad


@pytest.mark.parametrize("layer", [4, -5])
def test_a_layer_that_there_is_not_is_refused(layer: int) -> None:
    with pytest.raises(InputError) as error:
        network().features(torch.randn(1, 2, 6, 10), layers=[0, layer])
    assert str(error.value) == (
        "expected layers from 0, the embedding, to 3, the last block, or -4 to -1 from the end, "
        f"got {layer}: correct it"
    )
