"""What half precision does to a folded bias."""

from __future__ import annotations

import re

import lightning as L
import pytest
import torch
from bias_data import CASES, SPHERE, TORUS, contents, random_bias

from gridvit.channels import Channels
from gridvit.config import ModelConfig, TrainingConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.nn.attention import Attention, attention_weights, folded_attention
from gridvit.nn.bias import make_bias
from gridvit.nn.bias.precision import check_precision, logit_error, split
from gridvit.nn.window import Window
from gridvit.training.objectives import NextStep


def test_split_keeps_a_bf16_logit_right() -> None:
    # 5 degrees: plain bf16 errs by some .7, a sum of two by some .002
    bias = make_bias("distance", Grid.latlon(36, 72), 2, 2).inner
    query, key = (x.detach() for x in bias.fold())
    exact = query.double() @ key.double().T
    plain = query.bfloat16().float() @ key.bfloat16().float().T
    two = [x.float() for x in split((query, key), torch.bfloat16)]
    assert (plain - exact).abs().max() > 0.3
    assert (two[0] @ two[1].T - exact).abs().max() < 0.005
    assert logit_error(bias, torch.bfloat16) < 0.01
    check_precision([bias], torch.bfloat16)


def test_tokens_too_fine_for_bf16_are_refused() -> None:
    network = ViT(ModelConfig(preset="mini", patch=(1, 1), depth=1), Grid.latlon(90, 180), 1, 1)
    with pytest.raises(
        InputError, match=r"^expected a distance bias that bfloat16 holds within 0.01, got an error of 0."
    ):
        network.check_precision(torch.bfloat16)
    network.check_precision(torch.float32)
    ViT(ModelConfig(preset="mini", patch=(1, 1), depth=1, bias="none"), TORUS, 1, 1).check_precision(
        torch.bfloat16
    )


@pytest.mark.parametrize("kind", ["distance", "harmonics"])
@pytest.mark.parametrize(
    ("given", "casts"), [(torch.float32, True), (torch.bfloat16, True), (torch.bfloat16, False)]
)
def test_half_precision_does_not_round_the_bias(kind: str, given: torch.dtype, casts: bool) -> None:
    # at 5 degrees; features that autocast itself casts give outputs wrong by .3
    grid = Grid.latlon(36, 72)
    bias = make_bias(kind, grid, 3, 2)
    query, key, value = (x[:1] for x in contents(grid))
    exact = attention_weights(query, key, bias.logits()) @ value
    with torch.autocast("cpu", torch.bfloat16, enabled=casts):
        half = folded_attention(query.to(given), key.to(given), value.to(given), bias.fold())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0)


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
@pytest.mark.parametrize("qk_norm", [False, True], ids=["plain", "qk_norm"])
def test_autocast_follows_single_precision_in_a_layer(kind: str, grid: Grid, qk_norm: bool) -> None:
    layer = Attention(48, 3, random_bias(kind, grid, gaps=True), qk_norm=qk_norm)
    x = torch.randn(2, grid.size, 48, generator=torch.Generator().manual_seed(0))
    share = (torch.arange(grid.size) % 3 > 0).float().expand(2, -1)
    exact = layer(x, share=share)
    for replace in (None, lambda _layer, weights: weights):
        with torch.autocast("cpu", torch.bfloat16):
            half = layer(x, 0, replace, share)
        torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0)
        layer.zero_grad()
        half.float().square().sum().backward()
        assert all(torch.isfinite(p.grad).all() for p in layer.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", ["distance", "linear", "linear-2"])
def test_autocast_within_a_window_and_with_registers(kind: str) -> None:
    bias, window = random_bias(kind, SPHERE, registers=2), Window(SPHERE, 6000.0, 2)
    layer = Attention(96, 3, bias, window, half=2).requires_grad_(False)
    x = torch.randn(2, SPHERE.size + 2, 96, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        half = layer(x)
    torch.testing.assert_close(half.float(), layer(x), atol=0.02, rtol=0)


@pytest.mark.parametrize("kind", ["distance", "linear"])
def test_float16_holds_tokens_without_values(kind: str) -> None:
    bias = random_bias(kind, SPHERE, gaps=True)
    layer = Attention(48, 3, bias).requires_grad_(False)
    x = torch.randn(2, SPHERE.size, 48, generator=torch.Generator().manual_seed(0))
    for share in (torch.zeros(2, SPHERE.size), (torch.arange(SPHERE.size) % 3 > 0).float().expand(2, -1)):
        exact = layer(x, share=share)
        with torch.autocast("cpu", torch.float16):
            half = layer(x, share=share)
        torch.testing.assert_close(half.float(), exact, atol=0.02, rtol=0)


def test_three_parts_are_as_good_as_single_precision() -> None:
    # at 1 degree, where two parts err by some .07
    grid = Grid.latlon(181, 360)
    bias = make_bias("distance", grid, 1, 2).inner
    assert logit_error(bias, torch.bfloat16) > 0.05
    assert logit_error(bias, torch.bfloat16, 3) < 0.005
    query, key = (x.detach()[..., :50, :] for x in bias.fold())
    many = split((query, key), torch.bfloat16, 3)
    assert many[0].shape == (1, 50, 18)
    exact = query.double() @ key.double().T
    torch.testing.assert_close(many[0].double() @ many[1].double().T, exact, atol=1e-3, rtol=0)


def test_what_half_precision_needs_can_be_kept_within_the_head() -> None:
    widths = []

    class Seen(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            if function is torch.nn.functional.scaled_dot_product_attention:
                widths.append(tuple(x.shape[-1] for x in args[:3]))
            return function(*args, **(kwargs or {}))

    x = torch.randn(1, SPHERE.size, 96)
    for half, content in ((0, 28), (2, 20), (3, 8)):  # 4 dimensions, once, three and six times each
        layer = Attention(96, 3, make_bias("distance", SPHERE, 3, 2), half=half)
        assert layer.content == content
        with Seen(), torch.autocast("cpu", torch.bfloat16):
            layer(x)
        with Seen():
            layer(x)
    assert widths == [(40, 40, 40), *[(32, 32, 32)] * 5]


def test_a_mixed_precision_that_cannot_hold_the_bias_is_refused_before_training() -> None:
    numbers = torch.zeros(1), torch.ones(1), torch.ones(1)
    for rows, refused in ((10, False), (90, True)):
        config = ModelConfig(preset="mini", patch=(1, 1), width=24, heads=2, depth=1)
        step = ModelStep(config, Grid.latlon(rows, 2 * rows), Channels(("u",)), 1.0, *numbers)
        objective = NextStep(step, TrainingConfig())
        for precision in ("32-true", "bf16-mixed"):
            objective.trainer = L.Trainer(
                accelerator="cpu", precision=precision, logger=False, enable_checkpointing=False
            )
            if refused and precision == "bf16-mixed":
                with pytest.raises(InputError, match="^expected a distance bias that bfloat16 holds within"):
                    objective.on_fit_start()
            else:
                objective.on_fit_start()


def test_autocast_is_refused_where_it_would_round_the_bias() -> None:
    x = torch.randn(1, 1, 256)
    for half, sentence in ((0, "^expected a distance bias that bfloat16 holds within 0.01, got"), (3, None)):
        network = ViT(
            ModelConfig(preset="mini", patch=(1,), width=256, depth=1, half=half), Grid.regular(256), 1, 1
        )
        network(x)
        with torch.autocast("cpu", torch.bfloat16):
            if sentence is None:
                network(x)
                continue
            for _ in range(2):
                with pytest.raises(InputError, match=sentence):
                    network(x)


def test_shapes_without_values_can_be_worked_out() -> None:
    network = ViT(ModelConfig(preset="mini", patch=(2, 2), depth=1), Grid.latlon(6, 12), 1, 2).to("meta")
    assert network(torch.empty(3, 1, 6, 12, device="meta")).shape == (3, 2, 6, 12)


def test_half_is_refused_at_construction() -> None:
    for half, tokens, advice in ((2, 256, "set model.half to 3, train"), (3, 4096, "train")):
        with pytest.raises(InputError) as error:
            ViT(
                ModelConfig(preset="mini", patch=(1,), width=256, depth=1, half=half),
                Grid.regular(tokens),
                1,
                1,
            )
        assert re.fullmatch(
            r"expected a distance bias that bfloat16 holds within 0.01, got an error of 0.\d+ at this token spacing: "
            f"{advice} in float32, or raise model.patch",
            str(error.value),
        )
    with pytest.raises(InputError, match="^expected heads wider than the 24 dimensions of the distance bias"):
        ViT(ModelConfig(preset="mini", patch=(1, 1), width=48, heads=2, depth=1, half=2), TORUS, 1, 1)


@pytest.mark.parametrize("kind", ["distance", "linear"])
def test_a_model_converted_to_half_precision_is_refused(kind: str) -> None:
    layer = Attention(48, 3, make_bias(kind, TORUS, 3, 2)).bfloat16()
    with pytest.raises(InputError) as error:
        layer(torch.randn(1, TORUS.size, 48).bfloat16())
    assert str(error.value) == (
        "expected a distance bias in float32, also where the rest is in half precision, got one in bfloat16: "
        "keep the model in float32 and run it under torch.autocast"
    )
