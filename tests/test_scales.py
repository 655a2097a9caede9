"""Kernels of several sizes around one centre."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.inputs import Inputs
from gridvit.nn.scales import CrossScale, parts

SMALL = ModelConfig(preset="mini", patch=(2, 2), width=32, depth=1, heads=2)


def sums(grid: Grid, config: ModelConfig, x: torch.Tensor, kinds: Inputs | None = None) -> torch.Tensor:
    """Tokens whose weights are all one: sums over the kernels, one channel of each size."""
    made = CrossScale(config, grid, x.shape[1], kinds or Inputs())
    for parameter in made.parameters():
        torch.nn.init.constant_(parameter, float(parameter.ndim > 1))
    ends = np.cumsum(parts(config.width, len(config.sizes))) - 1
    return made(x)[0][:, ends.tolist()].detach().T


def test_sums_around_a_ring_by_hand() -> None:
    x = torch.arange(8.0).reshape(1, 1, 8)
    config = replace(SMALL, patch=(2,), sizes=(1, 2, 3))
    found = sums(Grid.regular(8), config, x)
    assert found.tolist() == [[1, 5, 9, 13], [10, 10, 18, 18], [19, 15, 27, 23]]


def test_walls_repeat_the_last_cell_by_hand() -> None:
    x = torch.arange(5.0).reshape(1, 1, 5)
    found = sums(Grid.regular(5, periodic=False), replace(SMALL, patch=(2,), sizes=(2,)), x)
    assert found.tolist() == [[0 + 0 + 1 + 2, 1 + 2 + 3 + 4, 3 + 4 + 4 + 4]]


def test_over_the_pole_components_turn_round() -> None:
    grid = Grid.latlon(4, 8)
    x = torch.zeros(1, 1, 4, 8)
    x[0, 0, 3, 4] = 1.0  # at the north pole, half a turn from column 0
    config = replace(SMALL, patch=(2, 2), sizes=(2,))
    for kinds, sign in ((None, 1.0), (Inputs((0,), (0.0,)), -1.0)):
        found = sums(grid, config, x, kinds).reshape(2, 4)
        # kernels of 4 x 4: those at columns 2 and 4 have the cell, at 0 and 6 its image, at 2 column 4 is their last
        assert found.tolist() == [[0, 0, 0, 0], [sign, 1, 1, sign]]


def test_widths_halve() -> None:
    assert [parts(32, n) for n in (1, 2, 4)] == [[32], [16, 16], [16, 8, 4, 4]]


@pytest.mark.parametrize(
    "how", [{"sizes": (1, 3)}, {"sizes": (2,)}, {"sizes": (1, 2), "embed": "conv", "decode": "conv"}]
)
@pytest.mark.parametrize(
    "grid", [Grid.regular((6, 8)), Grid.latlon(7, 12, poles=True)], ids=["torus", "sphere"]
)
def test_commutes_with_shifts_by_whole_patches(how: dict[str, object], grid: Grid) -> None:
    torch.manual_seed(5)
    made = ViT(replace(SMALL, channels=5, **how), grid, 2, 2, kinds=Inputs((0,), (0.3,)))
    x = torch.randn(2, 2, *grid.shape)
    assert not made(x).any()
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    out = made(x)
    torch.testing.assert_close(made(x.roll(4, 3)).roll(-4, 3), out, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(made(x.roll(1, 3)).roll(-1, 3), out, atol=1e-3)


def test_levels_of_several_sizes_on_an_odd_box() -> None:
    grid = Grid.regular((7, 13), periodic=False)
    made = ViT(replace(SMALL, patch=(1, 2), sizes=(1, 3), levels=(1,)), grid, 2, 2)
    torch.nn.init.normal_(made.decode.weight)
    out = made(torch.randn(1, 2, 7, 13))
    assert out.shape == (1, 2, 7, 13)
    out.square().sum().backward()
    assert all(p.grad is not None for p in made.embed.parameters())


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"sizes": (1, 4)},
         "expected kernels of model.sizes of at most the 6 cells along 'y', got 4 patches of 2: lower model.sizes or "
         "model.patch"),
        ({"patch": (1, 2), "sizes": (2,)},
         "expected odd model.sizes, whose kernels have the centre of a patch of 1 along 'y', got 2: take odd sizes, or "
         "even patches"),
        ({"sizes": (1, 2, 3), "width": 2, "heads": 1, "bias": "none"},
         "expected model.width of at least 4 for 3 of model.sizes, got 2: raise it, or take fewer sizes"),
        ({"sizes": (2, 1)}, "expected model.sizes that ascend, got [2, 1]: correct them"),
        ({"sizes": (0, 1)}, "expected model.sizes of at least 1, got (0, 1): correct it"),
    ],
)  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(how: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        ViT(replace(SMALL, **how), Grid.regular((6, 8)), 1, 1)
    assert str(error.value) == sentence
