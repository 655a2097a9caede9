"""Cutting into patches and putting together again."""

from __future__ import annotations

import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.tokens import Patches

CASES = [
    (Grid.regular((6, 10)), (3, 5)),
    (Grid.regular((7, 10), periodic=(False, True)), (3, 5)),
    (Grid.latlon(13, 22, poles=True), (4, 11)),
    (Grid.regular(12), (4,)),
    (Grid.regular(11, periodic=False), (1,)),
    (Grid.regular((2, 3, 5), periodic=False), (2, 2, 3)),
]


@pytest.mark.parametrize(("grid", "patch"), CASES)
def test_round_trip(grid: Grid, patch: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *grid.shape, generator=torch.Generator().manual_seed(0))
    patches = Patches(grid, patch)
    tokens = patches.tokenise(x)
    assert tokens.shape == (2, grid.coarsen(patch).size, 3 * patches.cells)
    assert torch.equal(patches.assemble(tokens, 3), x)


def test_order_of_cells_by_hand() -> None:
    x = torch.arange(8.0).reshape(1, 1, 2, 4)
    tokens = Patches(Grid.regular((2, 4)), (2, 2)).tokenise(x)
    assert tokens.tolist() == [[[0, 1, 4, 5], [2, 3, 6, 7]]]


def test_padding_repeats_the_edge() -> None:
    x = torch.arange(5.0).reshape(1, 1, 5)
    tokens = Patches(Grid.regular(5, periodic=False), (3,)).tokenise(x)
    assert tokens.tolist() == [[[0, 1, 2], [3, 4, 4]]]


def test_patch_that_does_not_divide_a_periodic_axis() -> None:
    with pytest.raises(InputError, match="use one of 1, 2, 5, 10"):
        Patches(Grid.regular((6, 10)), (3, 3))


def test_patch_larger_than_the_grid() -> None:
    with pytest.raises(
        InputError, match="expected a patch of 1 to 6 cells along 'y', got 7: choose a smaller patch"
    ):
        Patches(Grid.regular((6, 10), periodic=False), (7, 2))
