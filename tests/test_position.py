"""What tokens know of their place: features, learned tables, rotary angles, and the symmetries that each keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_checkpoint import make_fields

from gridvit import checkpoint
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, ModelConfig
from gridvit.data.normalise import compute
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.position import position_features
from gridvit.nn.rotary import Rotary

TORUS, SPHERE = Grid.regular((6, 10), (3.0, 5.0)), Grid.latlon(7, 12, poles=True)
CHANNEL = Grid.regular((5, 6), (2.5, 3.0), periodic=(False, True))
SMALL = ModelConfig(preset="mini", patch=(1, 2), width=96, depth=2, heads=3)
KINDS = ("bounded", "none", "learned", "sincos", "rope")


def network(kind: str, grid: Grid, **how: object) -> ViT:
    torch.manual_seed(5)
    made = ViT(replace(SMALL, position=kind, **how), grid, 2, 2)
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    if made.table is not None:
        torch.nn.init.normal_(made.table)
    return made


def fields(grid: Grid) -> torch.Tensor:
    return torch.randn(2, 2, *grid.shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize(
    ("kind", "grid", "keeps"),
    [
        ("none", TORUS, True),
        ("rope", TORUS, True),
        ("bounded", TORUS, True),
        ("sincos", TORUS, False),
        ("learned", TORUS, False),
        ("none", SPHERE, True),
        ("rope", SPHERE, True),
        ("bounded", SPHERE, True),
        ("harmonics", SPHERE, False),
        ("rope", CHANNEL, True),
    ],
)
def test_shifts_by_whole_patches_along_a_periodic_axis(kind: str, grid: Grid, keeps: bool) -> None:
    made, x = network(kind, grid).double(), fields(grid).double()
    gap = (made(x.roll(4, 3)).roll(-4, 3) - made(x)).abs().max()
    assert gap < 1e-5 if keeps else gap > 1e-2


@pytest.mark.parametrize("kind", ["bounded", "learned", "sincos", "rope"])
def test_rows_between_walls_are_told_apart(kind: str) -> None:
    made, x = network(kind, CHANNEL, bias="none"), fields(CHANNEL)
    assert (made(x.flip(2)).flip(2) - made(x)).abs().max() > 1e-2
    blind = network("none", CHANNEL, bias="none")
    torch.testing.assert_close(blind(x.flip(2)).flip(2), blind(x), atol=1e-5, rtol=1e-4)


def test_waves_by_hand() -> None:
    found = position_features("sincos", CHANNEL, CHANNEL).double().reshape(5, 6, 18)
    for i, j in ((0, 0), (2, 5), (4, 3)):
        wall, turn = np.pi * (i + 0.5) / 5, 2 * np.pi * (j + 0.5) / 6
        orders = np.arange(1, 7)
        expected = np.concatenate([np.cos(orders * wall), np.cos(orders * turn), np.sin(orders * turn)])
        np.testing.assert_allclose(found[i, j], expected, atol=1e-6)


def test_spherical_harmonics_are_of_mean_square_one_and_say_the_place() -> None:
    grid = Grid.gaussian(16, 31)  # exact for products of degree 12
    found = position_features("harmonics", grid, grid).double().numpy()
    weights = (grid.areas / grid.areas.sum()).ravel()
    np.testing.assert_allclose(found.T @ (weights[:, None] * found), np.eye(48), atol=1e-6)
    z = grid.positions[:, 2]
    np.testing.assert_allclose(found[:, 0], np.sqrt(3) * z, atol=1e-6)  # l = 1, m = 0
    np.testing.assert_allclose(found[:, 3], np.sqrt(5) * (3 * z**2 - 1) / 2, atol=1e-6)  # l = 2, m = 0


def test_rotary_scores_close_where_the_axis_does() -> None:
    """SCIENCE 33."""
    torch.manual_seed(1)
    ring, dims = Grid.regular(11), 8
    query, key = torch.randn(2, 1, 1, 1, dims).double().expand(2, 1, 1, 11, dims)
    turned = Rotary(ring, dims).double()
    turned.turn = torch.stack([(a := angles(11, 4)).cos(), a.sin()], -1)
    scores = (turned(query) @ turned(key).transpose(-1, -2))[0, 0]
    for offset in (1, 4):  # s(n) = s(n - N): the same at every query, across the seam too
        row = torch.stack([scores[i, (i + offset) % 11] for i in range(11)])
        torch.testing.assert_close(row, row[:1].expand(11), atol=1e-14, rtol=0)
    assert (scores[0, 1] - scores[0, 2]).abs() > 1e-2


def angles(cells: int, pairs: int) -> torch.Tensor:
    """2 pi m (i + 1/2) / N, in float64."""
    place = (torch.arange(cells).double() + 0.5) / cells
    return 2 * torch.pi * place[:, None] * torch.arange(1, pairs + 1)


def test_rotary_angles_by_hand() -> None:
    rotary = Rotary(CHANNEL, 7, registers=2)
    turn = rotary.turn.double()
    assert turn.shape == (32, 3, 2)
    torch.testing.assert_close(turn[:2], torch.tensor([1.0, 0.0]).double().expand(2, 3, 2))
    wall, wrap = (
        np.pi * 2.5 / 5,
        2 * np.pi * 3.5 / 6,
    )  # cell (2, 3): pairs by axis in turn, then the next wave
    expected = np.array([wall, wrap, 2 * wall])
    found = turn[2 + 2 * 6 + 3].numpy()
    np.testing.assert_allclose(found, np.stack([np.cos(expected), np.sin(expected)], -1), atol=1e-6)
    turned = rotary(torch.ones(1, 1, 32, 7))[0, 0, 2 + 2 * 6 + 3].double()
    by_hand = np.stack([np.cos(expected) - np.sin(expected), np.sin(expected) + np.cos(expected)], -1)
    np.testing.assert_allclose(turned, [*by_hand.ravel(), 1], atol=1e-6)


@pytest.mark.parametrize("grid", [TORUS, SPHERE, CHANNEL], ids=["torus", "sphere", "channel"])
@pytest.mark.parametrize("how", [{}, {"registers": 3, "qk_norm": True}, {"window": 1.5}, {"bias": "linear"}])
def test_rope_fold_is_the_explicit_path_with_gradients(grid: Grid, how: dict[str, object]) -> None:
    how = {**how, "window": 9000.0} if "window" in how and grid.is_sphere else how
    results = []
    for replaced in (None, lambda _, weights: weights):
        made, x = network("rope", grid, **how), fields(grid).requires_grad_()
        out = made(x, replaced)
        out.square().sum().backward()
        attention = made.blocks[0].attention
        results.append([out.detach(), x.grad, attention.query_key.weight.grad])
    for fast, explicit in zip(*results, strict=True):
        assert explicit.abs().max() > 1e-4
        torch.testing.assert_close(fast, explicit, atol=2e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", KINDS)
def test_every_weight_learns(kind: str) -> None:
    made = network(kind, CHANNEL)
    made(fields(CHANNEL)).square().sum().backward()
    for name, weight in made.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


@pytest.mark.parametrize("kind", [*KINDS, "harmonics"])
def test_model_files_keep_it(kind: str, tmp_path: Path) -> None:
    found = make_fields()
    config = ModelConfig(preset="mini", patch=(2, 5), width=32, depth=1, heads=2, position=kind)
    description = Description.of(config, DataConfig(), found)
    torch.manual_seed(5)
    model = checkpoint.build(description, compute(found))
    torch.nn.init.normal_(model.network.decode.weight)
    checkpoint.save(tmp_path / "m.safetensors", model, description)
    torch.manual_seed(6)
    again, described = checkpoint.load(tmp_path / "m.safetensors")
    state = torch.tensor(found.values[:, 0])
    assert described.config.position == kind
    assert torch.equal(again(state), model(state))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(InputError) as error:
        ViT(replace(SMALL, position="rope", width=33), TORUS, 1, 1)
    assert str(error.value) == (
        "expected 4 or more dimensions of a head for content, for model.position rope, got 3: "
        "raise model.width, or lower model.heads or model.harmonics"
    )
    with pytest.raises(InputError, match="expected a sphere for model.position harmonics, got .*sincos"):
        ViT(replace(SMALL, position="harmonics"), TORUS, 1, 1)


def test_the_default_has_no_more_than_before() -> None:
    names = {name.split(".")[0] for name in ViT(SMALL, SPHERE, 1, 1).state_dict()}
    assert names == {"positions", "patches", "embed", "place", "blocks", "norm", "decode", "skip"}
