"""How far attention looks: the ratio is that of all pairs, its slope minus a variance, and training moves it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from test_blocks import SMALL, SPHERE, TORUS, fields
from torch import Tensor

from gridvit.config import ModelConfig, RunConfig, SimulateConfig, TrainingConfig
from gridvit.data.fields import Fields, load
from gridvit.data.samples import Batch
from gridvit.data.simulate import simulate
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.nn.inputs import Inputs
from gridvit.nn.reach import Reach
from gridvit.training.objectives import NextStep
from gridvit.training.plan import plan
from gridvit.training.train import fit

WALLS = Grid.regular((6, 10), (3.0, 5.0), periodic=(False, True))


@pytest.fixture(scope="module")
def waves() -> Fields:
    config = SimulateConfig(
        equation="advection", parameters={"velocity": [0.7]}, shape=(16,), samples=8, steps=6
    )
    return load(simulate(config))


def squared_chords(grid: Grid) -> np.ndarray:
    """By differences of coordinates."""
    if grid.is_sphere:
        return 4 * np.sin(grid.distances() / (2 * grid.radius)) ** 2
    total = np.zeros((grid.size, grid.size))
    for x, length, turns in zip(grid.positions.T, grid.lengths, grid.periodic, strict=True):
        apart = x[:, None] - x
        total += (length / np.pi * np.sin(np.pi * apart / length)) ** 2 if turns else apart**2
    return total


def by_pairs(network: ViT, x: Tensor, share: np.ndarray | None = None) -> np.ndarray:
    """r (layer, batch, head) from the explicit weights."""
    tokens, lead = network.patches.tokens, network.config.registers
    square, w = squared_chords(tokens), tokens.areas.ravel() * (1 if share is None else share)
    w = np.broadcast_to(w / w.sum(-1, keepdims=True), (len(x), tokens.size))
    layers: dict[int, list[Tensor]] = {}
    for layer, _, weights in network.attention_maps(x, 10**6):
        layers.setdefault(layer, []).append(weights.detach().double())
    found = []
    for blocks in layers.values():
        a = torch.cat(blocks, 2).numpy()[:, :, lead:, lead:]
        a /= a.sum(-1, keepdims=True)
        found.append(
            np.einsum("bi,bhij,ij->bh", w, a, square) / np.einsum("bi,bj,ij->b", w, w, square)[:, None]
        )
    return np.array(found)


@pytest.mark.parametrize(
    ("grid", "how"),
    [
        (SPHERE, {}),
        (SPHERE, {"registers": 3, "bias": "harmonics"}),
        (SPHERE, {"window": 7000.0}),
        (TORUS, {"bias": "linear", "registers": 1}),
        (WALLS, {}),
        (TORUS, {"bias": "none", "position": "rope"}),
        (SPHERE, {"tokens": "variable", "registers": 2}),
    ],
)
def test_it_is_that_of_all_pairs(grid: Grid, how: dict[str, object]) -> None:
    torch.manual_seed(5)
    kinds = Inputs(groups=((0,), (1,))) if "tokens" in how else None
    network = ViT(replace(SMALL, **how), grid, 2, 2, kinds=kinds)
    reach, x = Reach(network), fields(grid)
    network(x, look=reach.see)
    expected = by_pairs(network, x)
    np.testing.assert_allclose(torch.stack(reach.seen).detach(), expected, rtol=2e-4)
    assert expected.min() < 0.8 or how.get("bias") == "none"
    assert float(reach.taken().detach()) == pytest.approx(expected.mean(), rel=1e-4)
    assert reach.seen == []


def test_of_the_area_that_has_values() -> None:
    torch.manual_seed(5)
    network = ViT(replace(SMALL, registers=2), SPHERE, 4, 2, slice(2, 4))
    there = torch.ones(2, 2, *SPHERE.shape)
    there[0, :, 2:4, :5] = 0
    x = torch.cat([fields(SPHERE) * there, there], 1)
    reach = Reach(network)
    network(x, look=reach.see)
    np.testing.assert_allclose(
        torch.stack(reach.seen).detach(), by_pairs(network, x, network.share(x).numpy()), rtol=2e-4
    )


def test_uniform_attention_is_one_and_a_sphere_has_no_edge() -> None:
    grid = Grid.latlon(7, 12)
    network = ViT(replace(SMALL, bias="none", patch=(1, 1)), grid, 2, 2)
    torch.nn.init.zeros_(network.blocks[0].attention.query_key.weight)
    torch.nn.init.zeros_(network.blocks[0].attention.query_key.bias)
    reach = Reach(network)
    network(fields(grid), look=reach.see)
    torch.testing.assert_close(reach.seen[0], torch.ones(2, 3))
    uniform = reach._uniform(reach.areas)  # in the units of Reach itself
    torch.testing.assert_close(uniform, torch.ones(1))
    # without areas' weights the mean square chord is 2 R^2 whatever the query: half the points lie on either side
    assert np.allclose(squared_chords(grid) @ grid.areas.ravel() / grid.areas.sum(), 2)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_the_slope_is_minus_the_variance(sign: float) -> None:
    """Of logits q . k - s c |p_i - p_j|^2, c = R^2 / (2 l^2): dE / ds = -c sum_i w_i Var_i, whatever the sign of s."""
    torch.manual_seed(5)
    network = ViT(replace(SMALL, depth=1, patch=(1, 1)), SPHERE, 2, 2)
    bias = network.biases[0].inner
    with torch.no_grad():
        bias.strength.copy_(sign * torch.tensor([0.7, 1.0, 0.2]))
    reach, x = Reach(network), fields(SPHERE)
    network(x, look=reach.see)
    square, w = squared_chords(SPHERE), SPHERE.areas.ravel() / SPHERE.areas.sum()
    a = next(iter(network.attention_maps(x, 10**6)))[2].detach().double().numpy()
    mean = np.einsum("bhij,ij->bhi", a, square)
    variance = np.einsum("bhij,ij->bhi", a, square**2) - mean**2
    c = (SPHERE.radius / bias.lengths.double().numpy()) ** 2 / 2
    expected = -c * np.einsum("i,bhi->bh", w, variance).mean(0) / np.einsum("i,j,ij->", w, w, square)
    reach.seen[0].mean(0).sum().backward()
    np.testing.assert_allclose(bias.strength.grad, expected, rtol=1e-3)


def test_under_autocast_it_is_as_exact() -> None:
    torch.manual_seed(5)
    network = ViT(replace(SMALL, depth=1), TORUS, 2, 2)
    reach, x = Reach(network), fields()
    network(x, look=reach.see)
    with torch.autocast("cpu", torch.bfloat16):
        network(x, look=reach.see)
    plain, half = torch.stack(reach.seen).detach()
    torch.testing.assert_close(half, plain, rtol=2e-2, atol=0)  # tokens are rounded, places are not
    assert half.dtype == torch.float32


@pytest.mark.parametrize("weight", [0.5, -0.5])
def test_training_moves_heads_that_way(weight: float, tmp_path: Path, waves: Fields) -> None:
    config = RunConfig(
        model=ModelConfig(patch=(2,), width=24, depth=1, heads=2),
        training=TrainingConfig(
            epochs=6, warmup_steps=3, learning_rate=1e-2, reach=weight, accelerator="cpu"
        ),
    )
    made = plan(config, waves)
    x = torch.randn(5, 1, 16, generator=torch.Generator().manual_seed(2))
    before = by_pairs(made.model.network, x).mean()
    after = by_pairs(fit(made, tmp_path).network, x).mean()
    assert (after - before) * weight < -0.05


def test_what_is_logged_and_validated_is_the_error_alone(waves: Fields) -> None:
    step = plan(RunConfig(model=ModelConfig(patch=(2,), width=24, depth=1, heads=2)), waves).model
    objective, other = (NextStep(step, TrainingConfig(reach=weight)) for weight in (0.0, 0.3))
    batch = Batch(
        torch.randn(3, 2, 1, 16, generator=torch.Generator().manual_seed(3)), torch.zeros(3).double()
    )
    assert torch.equal(objective.loss(batch, []), other.loss(batch, []))
    assert len(other.reach.seen) == 1
    with torch.no_grad():
        other.loss(batch, [])
    assert len(other.reach.seen) == 1


def test_a_network_without_attention_is_refused(waves: Fields) -> None:
    config = RunConfig(model=ModelConfig(kind="own", patch=(1,)), training=TrainingConfig(reach=0.1))
    with pytest.raises(InputError) as error:
        plan(config, waves, network=torch.nn.Identity())
    assert str(error.value) == (
        "expected a network with attention for training.reach, got one of your own: set training.reach to 0"
    )
