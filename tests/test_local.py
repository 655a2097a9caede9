"""What is local beside attention: neighbouring tokens, and cells merged by twos."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.inputs import Inputs
from gridvit.nn.local import Local

SMALL = ModelConfig(
    preset="mini", patch=(2, 4), width=32, depth=2, heads=2, embed="conv", decode="conv", channels=5
)
OPTIONS = {
    "local": replace(SMALL, local=3),
    "between": replace(SMALL, between=6),
    "both": replace(SMALL, local=3, between=6),
    "registers": replace(SMALL, local=3, between=6, registers=3),
    "levels": replace(SMALL, local=3, between=6, patch=(2, 2), levels=(1,)),
    "wider than the tokens": replace(SMALL, local=7),
}


def network(config: ModelConfig, grid: Grid) -> ViT:
    """Random everywhere."""
    torch.manual_seed(5)
    made = ViT(config, grid, 2, 2)
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return made


@pytest.mark.parametrize("size", [3, 5])
def test_a_token_and_its_neighbours_channel_by_channel(size: int) -> None:
    torch.manual_seed(0)
    grid, width, reach = Grid.regular((3, 5)), 7, size // 2
    made, x = Local(grid, width, size, registers=2, groups=2), torch.randn(2, 2 + 2 * 15, width)
    out, kernel = made(x), made.conv.weight  # (width, 1, size, size)
    assert torch.equal(out[:, :2], x[:, :2])
    placed = x[:, 2:].reshape(2, 3, 5, 2, width)
    expected = placed + made.conv.bias
    for dy, dx in product(range(size), range(size)):
        expected = expected + kernel[:, 0, dy, dx] * placed.roll((reach - dy, reach - dx), (1, 2))
    torch.testing.assert_close(out[:, 2:].reshape(expected.shape), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", OPTIONS.values(), ids=OPTIONS)
def test_untrained_is_persistence_and_commutes_with_shifts_by_whole_patches(config: ModelConfig) -> None:
    grid = Grid.regular((12, 16))
    x = torch.randn(2, 2, *grid.shape)
    assert not ViT(config, grid, 2, 2)(x).any()
    made = network(config, grid)
    moved = made(x.roll((4, 8), (2, 3))).roll((-4, -8), (2, 3))
    torch.testing.assert_close(moved, made(x), atol=2e-5, rtol=1e-4)
    assert not torch.allclose(made(x.roll(1, 3)).roll(-1, 3), made(x), atol=1e-3)


@pytest.mark.parametrize(
    ("grid", "patch"),
    [
        (Grid.regular((7, 11), periodic=False), (2, 4)),
        (Grid.regular((13,), periodic=False), (4,)),
        (Grid.latlon(7, 12, poles=True), (2, 4)),
        (Grid.latlon(8, 12), (4, 2)),
    ],
    ids=["walls", "line", "poles", "globe"],
)
def test_any_size(grid: Grid, patch: tuple[int, ...]) -> None:
    config = replace(OPTIONS["both"], patch=patch)
    assert network(config, grid)(torch.randn(2, 2, *grid.shape)).shape == (2, 2, *grid.shape)


def test_components_of_vectors_cross_the_pole_at_the_cells() -> None:
    grid = Grid.latlon(8, 12)
    made = ViT(replace(OPTIONS["both"], patch=(2, 2)), grid, 2, 2, kinds=Inputs((1,), (0.4,)))
    torch.nn.init.normal_(made.decode.weight, std=0.1)
    x = torch.randn(1, 2, *grid.shape)
    torch.testing.assert_close(made(x.roll(4, 3)).roll(-4, 3), made(x), atol=1e-5, rtol=1e-5)


def test_maps_of_attention_are_those_that_the_forward_pass_uses() -> None:
    grid = Grid.regular((8, 16))
    made, x = network(OPTIONS["registers"], grid), torch.randn(2, 2, 8, 16)
    seen: dict[int, torch.Tensor] = {}

    def see(layer: int, weights: torch.Tensor) -> torch.Tensor:
        seen[layer] = weights
        return weights

    made(x, see)
    for layer, rows, weights in made.attention_maps(x, block=5):
        torch.testing.assert_close(weights, seen[layer][:, :, rows], atol=1e-6, rtol=1e-5)


def test_every_weight_learns() -> None:
    made = network(OPTIONS["both"], Grid.regular((8, 16)))
    made(torch.randn(2, 2, 8, 16)).square().mean().backward()
    assert all(weight.grad is not None and weight.grad.any() for weight in made.parameters())


def test_weights_move_to_more_cells_of_the_same_plane() -> None:
    made = network(replace(OPTIONS["both"], position="none"), Grid.regular((8, 16), lengths=(8.0, 16.0)))
    fine = made.on(Grid.regular((16, 32), lengths=(8.0, 16.0)))
    assert fine(torch.randn(2, 2, 16, 32)).shape == (2, 2, 16, 32)
    assert {name for name, _ in fine.named_parameters()} == {name for name, _ in made.named_parameters()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"embed": "linear"},
            "expected model.embed conv, model.decode conv and model.sizes [1] where model.between is set, "
            "got linear, conv and [1]: correct them, or leave it out",
        ),
        (
            {"patch": (3, 4)},
            "expected an even model.patch where model.between is set, got [3, 4]: correct it, or leave it out",
        ),
        ({"local": 4}, "expected an odd model.local, or 0, got 4: try 5"),
        ({"local": True}, "expected model.local as a number of tokens, got True: try 3, or 0 for none"),
        ({"local": -1}, "expected model.local of at least 0, got -1: correct it"),
    ],
)
def test_what_cannot_be_merged_or_centred_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(InputError) as refused:
        replace(OPTIONS["between"], **change)  # type: ignore[arg-type]
    assert str(refused.value) == message
