"""What heads make of the cells of a token, against differences of a network of which only one head is left."""

from __future__ import annotations

import pytest
import torch

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.kernels import head_kernels, norm_jacobian, without_kernels
from gridvit.nn.vit import ViT


def network(**choices: object) -> ViT:
    torch.manual_seed(3)
    config = ModelConfig(preset="mini", patch=(2, 3), width=32, depth=2, heads=2, harmonics=1, **choices)  # type: ignore[arg-type]
    model = ViT(config, Grid.regular((6, 6)), 2, 2).double()
    for part in model.parameters():
        part.data += 0.05 * torch.randn_like(part)
    return model


def test_the_mean_jacobian_of_a_norm() -> None:
    norm, tokens = torch.nn.LayerNorm(7).double(), torch.randn(2, 3, 7, dtype=torch.float64)
    norm.weight.data = torch.randn(7, dtype=torch.float64)
    each = [torch.autograd.functional.jacobian(norm, h) for h in tokens.flatten(0, 1)]
    torch.testing.assert_close(norm_jacobian(norm, tokens), torch.stack(each).mean(0))


@pytest.mark.parametrize("layer_scale", [0.0, 0.3])
def test_a_head_alone_on_the_straight_way(layer_scale: float) -> None:
    """One layer, nothing after it but one head: decode(norm(embed u + A v)), its attention to a single token."""
    model = network(layer_scale=layer_scale)
    x = torch.randn(1, 2, 6, 6, dtype=torch.float64)
    found = head_kernels(model, x, source=1, target=1)
    assert found.shape == (2, 2, 6, 6)
    layer, head = 1, 1
    states = model.features(x, (layer, 2))
    before, after = states[0].patches.detach(), states[1].patches.detach()
    block = model.blocks[layer]
    last = torch.stack([torch.autograd.functional.jacobian(model.norm, h) for h in after[0]]).mean(0)
    first = torch.stack([torch.autograd.functional.jacobian(block.norm_1, h) for h in before[0]]).mean(0)

    def through(cells: torch.Tensor) -> torch.Tensor:
        features = torch.zeros(12, dtype=torch.float64).index_copy(0, torch.arange(6, 12), cells)
        token = first @ (model.embed(features) - model.embed.bias)
        values = torch.zeros(32, dtype=torch.float64)
        values = values.index_copy(0, torch.arange(16, 32), (block.attention.value.weight @ token)[16:])
        mixed = block.gain_1(block.attention.out.weight @ values)
        return (model.decode.weight @ (last @ mixed))[6:]

    want = torch.autograd.functional.jacobian(through, torch.zeros(6, dtype=torch.float64))
    torch.testing.assert_close(found[layer, head], want)


def test_networks_without_a_straight_way_say_so() -> None:
    assert without_kernels(network()) == ""
    assert without_kernels(network(norm="post")) == "the norm comes after the sum, on the straight way"
    with pytest.raises(
        InputError,
        match=r"got the norm comes after the sum, on the straight way: take the Jacobian \(probe\)",
    ):
        head_kernels(network(norm="post"), torch.zeros(1, 2, 6, 6, dtype=torch.float64))
    for ends in ({"embed": "conv"}, {"decode": "conv"}):
        assert "mix cells of several patches" in without_kernels(network(**ends))
    beside = "convolutions beside attention mix tokens"
    assert without_kernels(network(local=3)) == beside
    assert "several levels" in without_kernels(ViT(ModelConfig(preset="mini",
                                                               patch=(1, 1), levels=(1,), width=32, depth=1, heads=2,
                                                               harmonics=1), Grid.regular((8, 8)), 1, 1))  # fmt: skip
