"""The fused path agrees with the explicit one, and the explicit one with numbers worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.attention import Attention, attention_weights, folded_attention
from gridvit.nn.bias import make_bias


def test_weights_by_hand() -> None:
    query = torch.tensor([[[[1.0]]]])
    key = torch.tensor([[[[0.0], [1.0]]]])
    e = math.e
    torch.testing.assert_close(
        attention_weights(query, key, torch.zeros(1, 1, 2))[0, 0, 0], torch.tensor([1, e]) / (1 + e)
    )
    biased = attention_weights(query, key, torch.tensor([[[2.0, 0.0]]]))[0, 0, 0]
    torch.testing.assert_close(biased, torch.tensor([e**2, e]) / (e**2 + e))


def test_scale_is_the_root_of_the_content_dimension() -> None:
    query = key = torch.ones(1, 1, 1, 9)
    keys = torch.cat([key, 0 * key], 2)
    weights = attention_weights(query, keys, torch.zeros(1, 1, 2))[0, 0, 0]
    torch.testing.assert_close(weights, torch.tensor([math.exp(3), 1]) / (1 + math.exp(3)))


@pytest.mark.parametrize("grid", [Grid.latlon(5, 6), Grid.regular((3, 7)), Grid.regular(11, periodic=False)])
def test_folded_equals_explicit(grid: Grid) -> None:
    generator = torch.Generator().manual_seed(1)
    bias = make_bias("distance", grid, 2, 2)
    for parameter in bias.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator)
    query, key, value = (torch.randn(3, 2, grid.size, d, generator=generator) for d in (5, 5, 13))
    explicit = attention_weights(query, key, bias.logits()) @ value
    torch.testing.assert_close(
        folded_attention(query, key, value, bias.fold()), explicit, atol=2e-5, rtol=1e-4
    )


def test_gradients_of_the_two_paths_agree() -> None:
    grid = Grid.latlon(4, 6)
    layer = Attention(32, 2, make_bias("distance", grid, 2, 2)).double()
    x = torch.randn(2, grid.size, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradients = []
    for replace in (None, lambda _layer, weights: weights):
        layer.zero_grad()
        layer(x, 0, replace).square().sum().backward()
        gradients.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
    for fused, explicit in zip(*gradients, strict=True):
        torch.testing.assert_close(fused, explicit, atol=1e-5, rtol=1e-5)


def test_replaced_attention_is_used() -> None:
    grid = Grid.regular(7)
    layer = Attention(16, 2, make_bias("distance", grid, 2, 1))
    x = torch.randn(1, 7, 16, generator=torch.Generator().manual_seed(0))
    seen = []

    def uniform(number: int, weights: torch.Tensor) -> torch.Tensor:
        seen.append(number)
        return torch.full_like(weights, 1 / 7)

    out = layer(x, 5, uniform)
    assert seen == [5]
    torch.testing.assert_close(out, out[:, :1].expand_as(out))  # every query gets the same mean


def test_narrow_heads_are_refused() -> None:
    bias = make_bias("distance", Grid.regular((5, 7)), 4, 2)
    with pytest.raises(
        InputError,
        match="expected heads wider than the 8 dimensions of the distance bias, got 8 per head: raise",
    ):
        Attention(32, 4, bias)
    with pytest.raises(InputError, match="expected a width divisible by the 4 heads, got 30: try 28"):
        Attention(30, 4, bias)
