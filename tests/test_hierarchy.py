"""The hierarchical encoder: symmetries, reach, what it says of itself, and what it refuses."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from attention_data import looked

from gridvit.analysis.attention import attention_distance
from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT

SMALL = ModelConfig(preset="mini", patch=(1, 2), width=48, depth=1, heads=3, levels=(1,))
TWO = replace(SMALL, patch=(1, 1), levels=(1, 2), registers=2)
TORUS, SPHERE = Grid.regular((8, 12), (4.0, 6.0)), Grid.latlon(13, 24, poles=True)


def network(config: ModelConfig, grid: Grid, masks: slice | None = None) -> ViT:
    torch.manual_seed(5)
    made = ViT(config, grid, 2, 2, masks)
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return made


def fields(grid: Grid, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 2, *grid.shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("config", [SMALL, TWO, replace(SMALL, embed="conv", decode="conv", channels=5)],
                         ids=["one", "two", "convolutions"])  # fmt: skip
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_commutes_with_shifts_by_merged_tokens(config: ModelConfig, grid: Grid) -> None:
    made, x = network(config, grid), fields(grid)
    out = made(x)
    moved = made(x.roll(4, 3)).roll(-4, 3)
    torch.testing.assert_close(moved, out, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(made(x.roll(2, 3)).roll(-2, 3), out, atol=1e-3)
    torch.testing.assert_close(made(x, lambda _, weights: weights), out, atol=2e-5, rtol=1e-4)


def test_fine_blocks_see_their_window_and_the_coarsest_all() -> None:
    made = network(
        replace(SMALL, levels=(2,), window=1.0), TORUS
    )  # tokens of 0.5 x 1: two rows, one column away
    level = made.levels[0]
    h = torch.randn(1, 48, 48, requires_grad=True)  # 8 x 6 tokens
    _, fine = level.coarser(h, None)
    fine[0, 0].sum().backward()
    seen = (h.grad[0].abs().sum(-1) > 0).reshape(8, 6)
    near = TORUS.coarsen((1, 2)).distances(rows=0).reshape(8, 6)
    assert seen.sum() > (near <= 1.0).sum()  # two blocks: further than one window,
    assert not seen.numpy()[near > 2.0 + 1e-6].any()  # no further than two
    x = fields(TORUS, 1).requires_grad_()
    made(x)[0, 0, 0, 0].backward()
    assert (x.grad != 0).all()


def test_windows_are_three_spacings_where_none_is_given() -> None:
    made = network(TWO, TORUS)
    reach = [level.down[0].attention.window.reach for level in made.levels]
    np.testing.assert_allclose(reach, [1.5, 3.0], rtol=1e-5)
    assert all(block.attention.window is None for block in made.blocks)


def test_each_level_knows_its_grid() -> None:
    made = network(TWO, SPHERE)
    assert [level.grid for level in made.levels] == [SPHERE, SPHERE.coarsen((2, 2))]
    assert made.patches.tokens == SPHERE.coarsen((4, 4))
    assert [len(level.biases) for level in made.levels] == [2, 4]
    assert len(made.biases) == 1
    first = [*(level.biases[0] for level in made.levels), made.biases[0]]
    shortest = [bias.length().detach()[0].item() for bias in first]
    spacing = np.radians(15) * 6371.0088
    np.testing.assert_allclose(shortest, [spacing, 2 * spacing, 4 * spacing], rtol=1e-5)


def test_what_analysis_sees_is_the_coarsest_level() -> None:
    made, x = network(TWO, SPHERE), fields(SPHERE)
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        made(x, lambda _, weights: seen.append(weights) or weights)
    found = looked(made, x, bins=4, block=7)
    expected = attention_distance(torch.stack(seen, 1).numpy(), made.patches.tokens, 2)
    np.testing.assert_allclose(found["attention_distance"], expected["attention_distance"], rtol=2e-5)
    numbers = torch.zeros(2), torch.ones(2), torch.ones(2)
    step = ModelStep(TWO, SPHERE, Channels(("a", "b")), 1.0, *numbers)
    tokens = SPHERE.coarsen((4, 4))
    assert step.token_grid == tokens
    assert step.attention_weights(x).shape == (2, 1, 3, tokens.size, tokens.size)


def test_untrained_is_persistence_on_an_odd_box() -> None:
    grid = Grid.regular((7, 11), periodic=False)
    made = ViT(replace(SMALL, levels=(1, 1)), grid, 2, 3)
    assert not made(fields(grid)).any()
    out = network(replace(SMALL, levels=(1, 1)), grid)(fields(grid))
    assert out.shape == (2, 2, 7, 11)
    assert torch.isfinite(out).all()


def test_tokens_without_values_are_no_keys_on_any_level() -> None:
    made = network(replace(SMALL, patch=(1, 1)), TORUS, slice(1, 2))
    x = fields(TORUS, 1)
    x[:, 1] = 1
    x[:, 1, 0:4, 0:4] = 0
    moved = x.clone()
    moved[:, 0, 0:2, 0:2] += (
        1.0  # among the cells without values, at a merged token's distance from the others
    )
    out, after = made(x), made(moved)
    changed = ((out - after).abs().amax((0, 1)) > 1e-6).numpy()
    assert changed[0:4, 0:4].any()
    assert not changed[4:].any()
    assert not changed[:, 4:].any()


def test_checkpointing_gives_the_same_gradients() -> None:
    found = []
    for checkpointing in (False, True):
        made = network(replace(TWO, checkpointing=checkpointing), TORUS)
        made(fields(TORUS)).square().sum().backward()
        found.append([p.grad for p in made.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@pytest.mark.parametrize(
    ("grid", "how", "sentence"),
    [
        (Grid.regular((8, 6)), {"patch": (1, 2)},
         "expected a multiple of 2 tokens along 'x' for 1 of model.levels, got 3: change model.patch, or take fewer "
         "levels"),
        (Grid.regular((8, 4), periodic=False), {"patch": (1, 2), "levels": (1, 1)},
         "expected more than 2 tokens along 'x' for 2 of model.levels, got 2: change model.patch, or take fewer "
         "levels"),
        (TORUS, {"patch": (2, 2), "window": 0.7},
         "expected model.window of at least the 1 between tokens, got 0.7: raise it, or lower model.patch"),
    ],
)  # fmt: skip
def test_levels_that_do_not_fit_are_refused(grid: Grid, how: dict[str, object], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        ViT(replace(SMALL, **how), grid, 1, 1)
    assert str(error.value) == sentence


def test_levels_without_blocks_are_refused() -> None:
    with pytest.raises(InputError) as error:
        ModelConfig(preset="mini", levels=(2, 0))
    assert str(error.value) == "expected model.levels of at least 1, got (2, 0): correct it"


def test_half_precision_is_refused_for_the_finest_tokens() -> None:
    config, ring = replace(SMALL, patch=(1,), levels=(1, 1)), Grid.regular(256)
    with pytest.raises(InputError, match=r"^expected a distance bias that bfloat16 holds within 0.01"):
        ViT(config, ring, 1, 1).check_precision(torch.bfloat16)
    ViT(replace(config, patch=(4,), levels=()), ring, 1, 1).check_precision(torch.bfloat16)
