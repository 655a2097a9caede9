"""What a network can be beside the default: sizes, norms, gains, registers, windows, and how it is looked at."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from attention_data import looked

from gridvit.analysis.attention import attention_distance, radial_lift
from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT

TORUS, SPHERE = Grid.regular((6, 10), (3.0, 5.0)), Grid.latlon(7, 12, poles=True)
SMALL = ModelConfig(preset="mini", patch=(1, 2), width=48, depth=2, heads=3)
CHOICES = {
    "default": SMALL,
    "post-norm": replace(SMALL, norm="post"),
    "layer scale": replace(SMALL, layer_scale=0.1),
    "qk-norm": replace(SMALL, qk_norm=True),
    "registers": replace(SMALL, registers=3),
    "window": replace(SMALL, window=1.5),
    "all": replace(SMALL, norm="post", layer_scale=0.1, qk_norm=True, registers=3, window=1.5),
    "linear": replace(SMALL, bias="linear", registers=1),
    "radial": replace(SMALL, bias="radial"),
    "series": replace(SMALL, bias="linear", spectral=2, registers=1),
}


def network(config: ModelConfig, grid: Grid = TORUS) -> ViT:
    torch.manual_seed(5)
    if config.window and grid.is_sphere:
        config = replace(config, window=7000.0)
    made = ViT(config, grid, 2, 2)
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    return made


def fields(grid: Grid = TORUS, count: int = 2) -> torch.Tensor:
    return torch.randn(count, 2, *grid.shape, generator=torch.Generator().manual_seed(6))


@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_fast_and_explicit_paths_and_shifts(config: ModelConfig, grid: Grid) -> None:
    made, x = network(config, grid), fields(grid)
    out = made(x)
    torch.testing.assert_close(made(x, lambda _, weights: weights), out, atol=2e-5, rtol=1e-4)
    moved = made(x.roll(4, 3)).roll(-4, 3)  # two whole patches along the periodic axis
    torch.testing.assert_close(moved, out, atol=2e-5, rtol=1e-4)
    assert not torch.allclose(made(x.roll(1, 3)).roll(-1, 3), out, atol=1e-3)


@pytest.mark.parametrize("registers", [0, 2])
def test_without_position_tokens_may_be_permuted(registers: int) -> None:
    config = replace(SMALL, patch=(1, 1), bias="none", position="none", registers=registers)
    made, x = network(config), fields()
    order = torch.randperm(60, generator=torch.Generator().manual_seed(8))
    moved = made(x.flatten(2)[..., order].unflatten(2, (6, 10))).flatten(2)
    torch.testing.assert_close(moved, made(x).flatten(2)[..., order], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
def test_checkpointing_gives_the_same_gradients(config: ModelConfig) -> None:
    found = []
    for checkpointing in (False, True):
        made = network(replace(config, checkpointing=checkpointing))
        out = made(fields())
        out.square().sum().backward()
        found.append([out.detach(), *(p.grad for p in made.parameters() if p.grad is not None)])
    assert len(found[0]) > 20
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_checkpointing_keeps_less() -> None:
    kept = []
    for checkpointing in (False, True):
        made, sizes = network(replace(SMALL, depth=4, checkpointing=checkpointing)), []
        with torch.autograd.graph.saved_tensors_hooks(
            lambda t, s=sizes: s.append(t.numel()) or t, lambda t: t
        ):
            made(fields())
        kept.append(sum(sizes))
    assert kept[1] < kept[0] / 4


def test_layer_scale_starts_as_a_gain_and_does_not_decay() -> None:
    made = network(replace(SMALL, layer_scale=0.1))
    block = made.blocks[0]
    x = torch.randn(1, 30, 48)
    mixed = x + 0.1 * block.attention(block.norm_1(x))
    torch.testing.assert_close(block(x), mixed + 0.1 * block.mlp(block.norm_2(mixed)))


def test_post_norm_by_its_formula() -> None:
    block = network(replace(SMALL, norm="post")).blocks[0]
    x = torch.randn(1, 30, 48)
    mixed = block.norm_1(x + block.attention(x))
    torch.testing.assert_close(block(x), block.norm_2(mixed + block.mlp(mixed)))


def test_qk_norm_bounds_the_logits() -> None:
    # normed vectors of c channels have length sqrt(c): |q . k| / sqrt(c) <= sqrt(c), however large the weights
    made = network(replace(SMALL, qk_norm=True, bias="none"))
    attention = made.blocks[0].attention
    attention.query_key.weight.data *= 1e3
    weights = next(attention.weights(torch.randn(1, 30, 48)))[1]
    spread = weights.log().amax(-1) - weights.log().amin(-1)
    assert spread.max() <= 2 * attention.content**0.5 + 1e-3


@pytest.mark.parametrize(("preset", "width"), [("tiny", 192), ("small", 384), ("base", 768)])
def test_presets_have_the_parameters_of_the_vits(preset: str, width: int) -> None:
    made = ViT(ModelConfig(patch=(16, 16), preset=preset, bias="none"), Grid.regular((224, 224)), 3, 3)
    # a block: 4 w^2 + 4 w of attention, 8 w^2 + 5 w of the feed-forward part, 4 w of the norms
    assert sum(p.numel() for p in made.blocks.parameters()) == 12 * (12 * width**2 + 13 * width)
    if preset == "base":  # 86 M: Dosovitskiy et al. (2021), table 1
        assert sum(p.numel() for p in made.parameters()) == pytest.approx(86e6, rel=0.01)


def test_numbers_out_of_range_are_refused() -> None:
    for how, sentence in (
        ({"registers": -1}, "expected model.registers of at least 0, got -1: correct it"),
        ({"window": -2.0}, "expected model.window of at least 0, got -2.0: correct it"),
        ({"layer_scale": -0.1}, "expected model.layer_scale of at least 0, got -0.1: correct it"),
    ):
        with pytest.raises(InputError) as error:
            ModelConfig(preset="mini", **how)
        assert str(error.value) == sentence


@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_maps_in_blocks_are_the_whole(config: ModelConfig, grid: Grid) -> None:
    made, x = network(config, grid), fields(grid)
    seen: list[torch.Tensor] = []
    made(x, lambda _, weights: seen.append(weights) or weights)
    parts: dict[int, list[torch.Tensor]] = {0: [], 1: []}
    for layer, _, weights in made.attention_maps(x, block=7):
        assert weights.shape[2] <= 7
        parts[layer].append(weights)
    for layer, whole in enumerate(seen):
        torch.testing.assert_close(torch.cat(parts[layer], 2), whole, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("name", ["default", "registers", "window"])
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_streamed_statistics_are_those_of_the_whole(name: str, grid: Grid) -> None:
    made, x = network(CHOICES[name], grid), fields(grid)
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        made(x, lambda _, weights: seen.append(weights) or weights)
    weights, tokens = torch.stack(seen, 1).numpy(), made.patches.tokens
    found = looked(made, x, bins=6, block=7)
    extra = made.config.registers
    expected = attention_distance(weights, tokens, extra)
    for table in (*expected, "attention_radial"):
        if table in ("attention_quantile", "attention_uniform_quantile"):
            continue  # of finer bins here
        wanted = (
            radial_lift(weights, tokens, 6, extra=extra) if table == "attention_radial" else expected[table]
        )
        np.testing.assert_allclose(found[table], wanted, rtol=5e-5, atol=1e-6)


def test_streamed_statistics_with_gaps() -> None:
    torch.manual_seed(5)
    made, x = ViT(replace(SMALL, bias="linear"), SPHERE, 2, 1, slice(1, 2)), fields(SPHERE)
    x[:, 1] = (x[:, 1] > -0.5).float()
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        made(x, lambda _, weights: seen.append(weights) or weights)
    weights, tokens, share = torch.stack(seen, 1).numpy(), made.patches.tokens, made.share(x).numpy()
    assert share.min() == 0
    found = looked(made, x, bins=6, block=7)
    expected = attention_distance(weights, tokens, share=share)
    for name in (
        "attention_distance",
        "effective_area_fraction",
        "attention_distance_map",
        "received_attention",
    ):
        np.testing.assert_allclose(found[name], expected[name], rtol=2e-5)
    assert np.isnan(found["received_attention"]).any() == (share.max(0).min() == 0)
    lift = radial_lift(weights, tokens, 6, share)
    np.testing.assert_allclose(found["attention_radial"], lift, rtol=5e-5, atol=1e-6)


def test_analysis_sees_tokens_only() -> None:
    config = replace(SMALL, registers=3)
    step = ModelStep(config, TORUS, Channels(("a", "b")), 1.0, torch.zeros(2), torch.ones(2), torch.ones(2))
    weights = step.attention_weights(fields())
    assert weights.shape == (2, 2, 3, 30, 30)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 2, 3, 30))
