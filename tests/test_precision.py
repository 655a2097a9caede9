"""What half precision does to a folded bias."""

from __future__ import annotations

import pytest
import torch
from bias_data import TORUS, contents

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.attention import folded_attention
from gridvit.nn.bias import make_bias
from gridvit.nn.bias.precision import check_precision, logit_error, split


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
    network = ViT(ModelConfig(patch=(1, 1), depth=1), Grid.latlon(180, 360), 1, 1)
    with pytest.raises(
        InputError, match=r"^expected a distance bias that bfloat16 holds within 0.01, got an error of 0."
    ):
        network.check_precision(torch.bfloat16)
    network.check_precision(torch.float32)
    ViT(ModelConfig(patch=(1, 1), depth=1, bias="none"), TORUS, 1, 1).check_precision(torch.bfloat16)


def test_half_precision_follows_single() -> None:
    grid = Grid.latlon(36, 72)
    bias = make_bias("distance", grid, 3, 2)
    query, key, value = contents(grid)
    exact = folded_attention(query, key, value, bias.fold())
    half = folded_attention(query.bfloat16(), key.bfloat16(), value.bfloat16(), bias.fold())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), exact, atol=0.05, rtol=0.05)
