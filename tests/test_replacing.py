"""Attention replaced from outside: uniform, frozen, knocked out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.attention import Fixed, Replace
from gridvit.nn.replacing import bias_alone, frozen, knock_out, uniform

SPHERE = Grid.latlon(7, 12, poles=True)
SMALL = ModelConfig(preset="mini", patch=(1, 3), width=48, depth=2, heads=3)  # 28 tokens
ROWS = np.diff(np.sin(np.deg2rad([-90, -75, -45, -15, 15, 45, 75, 90]))) / 2  # share of the sphere


def network(registers: int = 0, masks: slice | None = None) -> ViT:
    torch.manual_seed(5)
    made = ViT(replace(SMALL, registers=registers), SPHERE, 2, 1, masks)
    torch.nn.init.normal_(made.decode.weight, std=0.3)
    return made


def test_uniform_attention_is_the_mean_by_area() -> None:
    made = network(registers=2)
    attention, x = made.blocks[0].attention, torch.randn(3, 30, 48)
    mixed = attention(x, replace=uniform(made.patches.tokens))
    weights = torch.tensor(np.repeat(ROWS / 4, 4)).float()
    mean = (weights[:, None] * attention.value(x)[:, 2:]).sum(1)
    torch.testing.assert_close(mixed, attention.out(mean)[:, None].expand(3, 30, 48))


def test_uniform_attention_leaves_out_what_has_no_values() -> None:
    made, x = network(masks=slice(1, 2)), torch.randn(2, 2, 7, 12)
    x[:, 1] = 1
    x[1, 1, 3] = 0  # the four tokens on the equator, in one state
    seen: list[torch.Tensor] = []
    flat = uniform(made.patches.tokens)
    made(x, lambda layer, weights: seen.append(flat(layer, weights)) or weights)
    rows = ROWS * (np.arange(7) != 3)
    expected = np.stack([np.repeat(share / share.sum() / 4, 4) for share in (ROWS, rows)])
    for weights in seen:
        torch.testing.assert_close(weights[:, 1, 5], torch.tensor(expected).float())


def test_frozen_to_its_own_weights_is_the_network() -> None:
    made, x = network(registers=1), torch.randn(3, 2, 7, 12)
    own: list[torch.Tensor] = []
    out = made(x, lambda _, weights: own.append(weights) or weights)
    torch.testing.assert_close(made(x, frozen(own)), out)
    other = torch.randn(3, 2, 7, 12)
    both = made(other, frozen([weights[:1] for weights in own]))
    assert not torch.allclose(both, made(other), atol=1e-3)
    torch.testing.assert_close(both[:1], made(other[:1], frozen([weights[:1] for weights in own])))


@pytest.mark.parametrize("make", [lambda made: uniform(made.patches.tokens), bias_alone])
def test_what_is_the_same_in_every_state_needs_no_content(make: Callable[[ViT], Replace]) -> None:
    made, x = network(), torch.randn(3, 2, 7, 12)
    same, calls = make(made), list[tuple[int, ...]]()

    def counted(layer: int, weights: torch.Tensor) -> torch.Tensor:
        calls.append(tuple(weights.shape))
        return same(layer, weights)

    torch.testing.assert_close(made(x, Fixed(counted)), made(x, same))
    assert calls == [(1, 3, 28, 28)] * 2  # once a layer, for all states
    given = torch.rand(2, 3, 28, 28)
    torch.testing.assert_close(Fixed(same)(1, given), same(1, given))


def test_knocked_out_keys_have_no_influence() -> None:
    made = network()
    attention, x = made.blocks[0].attention, torch.randn(2, 28, 48, requires_grad=True)
    out = attention(x, replace=knock_out([4, 17]))
    others = [n for n in range(28) if n not in (4, 17)]
    (gradient,) = torch.autograd.grad(out[:, others].square().sum(), x)
    reached = gradient.abs().amax(-1)  # zero but for rounding: each row's sum cancels
    assert reached[:, [4, 17]].max() < 1e-5 * reached[:, others].min()
    changed = x.detach().clone()
    changed[:, [4, 17]] += 3.0
    again = attention(changed, replace=knock_out([4, 17]))
    torch.testing.assert_close(again[:, others], out[:, others])
    seen: list[torch.Tensor] = []
    field = torch.randn(2, 2, 7, 12)
    made(field, lambda layer, w: seen.append(knock_out([4])(layer, w)) or w)
    torch.testing.assert_close(seen[0].sum(-1), torch.ones(2, 3, 28))
    assert not torch.allclose(made(field, knock_out([4])), made(field), atol=1e-4)


@pytest.mark.parametrize(
    "make", [lambda **k: knock_out([3], **k), lambda **k: uniform(SPHERE.coarsen((1, 3)), **k)]
)
def test_only_in_some_layers(make: object) -> None:
    made, x = network(), torch.randn(2, 2, 7, 12)
    last: Replace = make(layers=[1])
    by_hand = made(x, lambda layer, weights: make()(layer, weights) if layer == 1 else weights)
    torch.testing.assert_close(made(x, last), by_hand)
    assert not torch.allclose(made(x, make()), by_hand, atol=1e-4)


def test_refusals() -> None:
    made, x = network(), torch.randn(1, 2, 7, 12)
    for attention, sentence in (
        (knock_out([28]), "expected keys from 0 to 27, got [28]: correct them"),
        (knock_out(range(28)), "expected a key that is left, got all knocked out: leave one"),
        (
            frozen(torch.zeros(1, 1, 3, 28, 28)),
            "expected weights (batch, 3, 28, 28) of layer 1, got 1 layers: "
            "take them from the same network, registers included",
        ),
        (
            frozen(torch.zeros(2, 1, 3, 29, 29)),
            "expected weights (batch, 3, 28, 28) of layer 0, got shape (1, 3, 29, 29): "
            "take them from the same network, registers included",
        ),
    ):
        with pytest.raises(InputError) as error:
            made(x, attention)
        assert str(error.value) == sentence
