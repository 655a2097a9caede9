"""Low-rank updates: they start as nothing, few numbers train, and plain weights come out."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.lora import LowRank, adapt, merge

CONFIG = ModelConfig(preset="mini", patch=(2, 5), width=32, depth=2, heads=2)


def network(config: ModelConfig = CONFIG) -> ViT:
    torch.manual_seed(3)
    made = ViT(config, Grid.regular((6, 10)), 1, 1)
    torch.nn.init.normal_(made.decode.weight)  # type: ignore[arg-type]
    return made


def test_the_update_by_hand() -> None:
    layer = nn.Linear(7, 5)
    low = LowRank(deepcopy(layer), rank=2, alpha=3)
    nn.init.normal_(low.up)
    x = torch.randn(11, 7)
    expected = x @ layer.weight.T + layer.bias + 3 / 2 * (x @ low.down.T) @ low.up.T
    torch.testing.assert_close(low(x), expected)
    assert low.down.shape == (2, 7)
    assert low.up.shape == (5, 2)


def test_the_start_is_the_given_network_bit_for_bit() -> None:
    given = network()
    adapted = deepcopy(given)
    adapt(list(adapted.blocks), 4, 16)  # type: ignore[arg-type]
    x = torch.randn(3, 1, 6, 10)
    assert torch.equal(given(x), adapted(x))


def test_merged_is_the_same_function_without_a_trace() -> None:
    given = network()
    names = list(given.state_dict())
    adapt(list(given.blocks), 4, 8)  # type: ignore[arg-type]
    low = [module for module in given.modules() if isinstance(module, LowRank)]
    assert len(low) == 2 * 5
    for module in low:
        nn.init.normal_(module.up, std=0.1)
    x = torch.randn(3, 1, 6, 10)
    before = given(x)
    merge(given)
    assert list(given.state_dict()) == names
    assert not any(isinstance(module, LowRank) for module in given.modules())
    torch.testing.assert_close(given(x), before, atol=1e-6, rtol=1e-5)
    plain = network()
    assert not torch.allclose(plain(x), before, atol=1e-2)  # the updates did something


def test_variance_of_the_random_factor() -> None:
    low = LowRank(nn.Linear(400, 300), rank=32, alpha=1)
    assert float(low.down.detach().var()) * 400 == pytest.approx(1, rel=0.05)
    assert not low.up.any()


def test_a_rank_that_saves_nothing_is_refused() -> None:
    LowRank(nn.Linear(7, 5), rank=2, alpha=1)  # 2 (7 + 5) = 24 < 35
    with pytest.raises(InputError) as error:
        LowRank(nn.Linear(7, 5), rank=3, alpha=1)
    assert str(error.value) == (
        "expected training.start.rank of at most 2, beyond which an update of 5 x 7 saves nothing, got 3: "
        "take a lower rank, or training.start.train all"
    )
