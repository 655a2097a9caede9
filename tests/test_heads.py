"""Heads beside that of fields: by hand, and each learns what it is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from curvilinear_data import regional
from torch import Tensor
from torch.nn import functional

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.heads import Classes, Detected, Detection, Headed, Pooled, located, placed

TORUS, SPHERE = Grid.regular((6, 10), (3.0, 5.0)), Grid.latlon(7, 12, poles=True)
SMALL = ModelConfig(preset="mini", patch=(2, 2), width=32, depth=1, heads=2)


def network(config: ModelConfig = SMALL, grid: Grid = TORUS, inputs: int = 1) -> ViT:
    torch.manual_seed(5)
    return ViT(config, grid, inputs, 1)


def learn(model: Headed, steps: int, rate: float, loss: Callable[[Headed], Tensor]) -> None:
    optimiser = torch.optim.Adam(model.parameters(), rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, steps)
    for _ in range(steps):
        optimiser.zero_grad()
        loss(model).backward()
        optimiser.step()
        schedule.step()


def test_classes_are_read_from_the_token_of_the_cell() -> None:
    made = network(grid=SPHERE)  # 7 rows in tokens of 2: one row of cells is padding
    head = Classes(made.patches, 32, 3)
    assert torch.equal(Headed(made, head)(torch.randn(2, 1, 7, 12)), torch.zeros(2, 3, 7, 12))
    torch.nn.init.normal_(head.read[1].weight)
    features = made.features(torch.randn(2, 1, 7, 12))[0]
    logits = head(features)
    normed = functional.layer_norm(features.patches, (32,))
    # row 3, column 7: token (1, 3), cell (1, 1) of it; features are (class, cell of the patch)
    by_hand = normed[:, 1 * 6 + 3] @ head.read[1].weight.unflatten(0, (3, 4))[:, 3].T
    torch.testing.assert_close(logits[:, :, 3, 7], by_hand)


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_pooled_reads_the_mean_by_area_or_the_first_register(pool: str) -> None:
    made = network(replace(SMALL, registers=2), SPHERE)
    head = Pooled(32, 5, pool)
    torch.nn.init.normal_(head.read.weight)
    features = made.features(torch.randn(3, 1, 7, 12))[0]
    edges = np.sin(np.deg2rad([-90, -45, 15, 75, 90]))  # of 7 rows 30 degrees apart, poles included, by two
    weights = torch.tensor(np.repeat(np.diff(edges) / 2 / 6, 6)).float()
    normed = functional.layer_norm(features.patches, (32,))
    expected = features.cls if pool == "cls" else None
    vector = functional.layer_norm(expected, (32,)) if pool == "cls" else weights @ normed
    torch.testing.assert_close(head(features), vector @ head.read.weight.T)
    assert head(features).shape == (3, 5)


def test_offsets_by_hand() -> None:
    tokens = TORUS.coarsen((2, 5))  # 3 x 2 tokens of 1 x 2.5
    offset = torch.zeros(1, 6, 2)
    offset[0, 4] = torch.tensor([0.25, -0.4])
    assert located(offset, tokens)[0, 0].tolist() == [0.5, 1.25]
    torch.testing.assert_close(located(offset, tokens)[0, 4], torch.tensor([2.75, 0.25]))
    token, found = placed(torch.tensor([[2.75, 0.25], [-0.25, 5.25]]), tokens)
    assert token.tolist() == [4, 4]  # row 2, column 0; the second is the first, a period away along each axis
    torch.testing.assert_close(found, torch.tensor([[0.25, -0.4]]).expand(2, 2))


def test_offsets_across_the_date_line_and_near_a_pole() -> None:
    tokens = SPHERE.coarsen(
        (2, 3)
    )  # longitudes -15, 75, ..; latitudes -90, -45, 15, 75, 90: the last has one row
    east = torch.tensor([[10.0, -14.0], [10.0, 346.0], [80.0, 344.0], [90.0, 359.5]])
    token, offset = placed(east, tokens)
    assert token.tolist() == [4, 4, 15, 12]
    torch.testing.assert_close(offset[:, 1], torch.tensor([1, 1, 89, 14.5]) / 90 - 0.5)
    torch.testing.assert_close(offset[2, 0], torch.tensor(5 / 15 - 0.5))
    whole = torch.zeros(1, 16, 2)
    whole[0, token[[0, 2, 3]]] = offset[[0, 2, 3]]
    back = located(whole, tokens)[0, token[[0, 2, 3]]]
    torch.testing.assert_close(back, torch.tensor([[10.0, 346.0], [80.0, 344.0], [90.0, 359.5]]))
    assert located(torch.full((1, 16, 2), -0.5 + 1e-7), tokens)[..., 1].max() < 360


def test_a_position_beyond_a_wall_is_refused() -> None:
    channel = Grid.regular((4, 6), periodic=(False, True)).coarsen((2, 2))
    with pytest.raises(InputError) as error:
        placed(torch.tensor([[4.5, 7.0]]), channel)
    assert str(error.value) == "expected positions along y from 0 to 4, got 4.5: leave it out"


def test_a_curvilinear_grid_has_no_offsets() -> None:
    mesh = Grid.from_dataset(regional())
    with pytest.raises(InputError) as error:
        Detection(mesh, 32)
    assert str(error.value) == (
        f"expected straight axes for offsets within a token, got {mesh.describe()}: detect on a regular grid"
    )


def test_segmentation_of_the_sign() -> None:
    model = Headed(network(), Classes(network().patches, 32, 2))

    def loss(model: Headed) -> Tensor:
        x = torch.randn(16, 1, 6, 10)
        return functional.cross_entropy(model(x), (x[:, 0] > 0).long())

    learn(model, 250, 1e-2, loss)
    x = torch.randn(50, 1, 6, 10, generator=torch.Generator().manual_seed(1))
    right = (model(x).argmax(1) == (x[:, 0] > 0)).float().mean()
    assert right > 0.95


@pytest.mark.parametrize("pool", ["mean", "cls"])
def test_an_index_is_learned(pool: str) -> None:
    rows = torch.tensor(np.diff(np.sin(np.deg2rad([-90, -75, -45, -15, 15, 45, 75, 90]))) / 2).float()
    config = replace(SMALL, registers=1 if pool == "cls" else 0)
    model = Headed(network(config, SPHERE), Pooled(32, 1, pool))

    def case(count: int) -> tuple[Tensor, Tensor]:
        x = torch.randn(count, 1, 7, 12) + torch.randn(count, 1, 7, 1)
        return x, (x[:, 0].mean(-1) @ rows)[:, None]

    def loss(model: Headed) -> Tensor:
        x, index = case(32)
        return functional.mse_loss(model(x), index)

    learn(model, 300, 1e-2, loss)
    with torch.no_grad():
        x, index = case(200)
        assert functional.mse_loss(model(x), index) < 0.05 * index.square().mean()


def test_a_bump_is_found_within_half_a_cell() -> None:
    grid, config = Grid.regular((6, 10)), replace(SMALL, width=48)
    made = network(config, grid)
    tokens = made.patches.tokens
    model = Headed(made, Detection(tokens, 48))
    size, cells = torch.tensor([6.0, 10.0]), torch.tensor(grid.positions).float()

    def apart(a: Tensor, b: Tensor) -> Tensor:
        return torch.remainder(a - b + size / 2, size) - size / 2

    def case(count: int) -> tuple[Tensor, Tensor]:
        centre = torch.rand(count, 2) * size
        bump = torch.exp(-apart(cells, centre[:, None]).square().sum(-1) / 2)
        return bump.reshape(count, 1, 6, 10), centre

    def loss(model: Headed) -> Tensor:
        x, centre = case(32)
        token, offset = placed(centre, tokens)
        found = model(x)
        rows = torch.arange(32)
        where = 2.0 * (found.offset[rows, token] - offset).square().sum(-1).mean()
        return functional.cross_entropy(found.presence, token) + where

    learn(model, 350, 5e-3, loss)
    with torch.no_grad():
        x, centre = case(200)
        found: Detected = model(x)
        best = located(found.offset, tokens)[torch.arange(200), found.presence.argmax(1)]
    assert found.offset.abs().max() < 0.5
    assert apart(best, centre).norm(dim=-1).max() < 0.5


def test_bad_heads_are_refused() -> None:
    made = network()
    for make, sentence in (
        (lambda: Classes(made.patches, 32, 1), "expected at least 2 classes of a cell, got 1: correct it"),
        (lambda: Pooled(32, 0), "expected at least 1 outputs, got 0: correct it"),
        (lambda: Pooled(32, 1, "max"), 'expected pool "mean" or "cls", got \'max\': correct it'),
        (
            lambda: Headed(made, Pooled(48, 1)),
            "expected a head for tokens of width 32, got 48: give it the network's config.width",
        ),
        (
            lambda: Headed(made, Pooled(32, 1, "cls")),
            'expected a register to be the class token of pool "cls", got model.registers 0: '
            'set model.registers to 1, or take pool "mean"',
        ),
        (
            lambda: Headed(made, Detection(TORUS, 32), 3),
            "expected layers from 0, the embedding, to 1, the last block, or -2 to -1 from the end, "
            "got 3: correct it",
        ),
    ):
        with pytest.raises(InputError) as error:
            make()
        assert str(error.value) == sentence
