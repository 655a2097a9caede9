"""Maps of all layers together against products worked out by hand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from attention_data import random_rows
from torch import Tensor

from gridvit.analysis import attention
from gridvit.analysis.attribution import Readout
from gridvit.analysis.relevance import (
    gradient_relevance,
    gradient_rows,
    head_means,
    map_reach,
    rollout_rows,
    token_regions,
)
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Context

LINE, SEVEN = Grid.regular((5,)), Grid.regular((7,), periodic=False)


def test_rollout_with_measured_shares(rng: np.random.Generator) -> None:
    weights, stays = random_rows(rng, 2, 3, 2, 5, 5), rng.random((2, 3, 5))
    found = attention.attention_rollout(weights, stays)
    for state in range(2):
        want = np.eye(5)
        for layer in range(3):
            r = stays[state, layer][:, None]
            want = (r * np.eye(5) + (1 - r) * weights[state, layer].mean(0)) @ want
        np.testing.assert_allclose(found[state], want, rtol=1e-12)
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-12)
    np.testing.assert_allclose(
        attention.attention_rollout(weights, np.ones((2, 3, 5))), np.eye(5)[None].repeat(2, 0)
    )


def test_rollout_of_some_queries(rng: np.random.Generator) -> None:
    layers = torch.from_numpy(random_rows(rng, 2, 3, 5, 5))
    torch.testing.assert_close(rollout_rows(layers, 0.3, [4, 1]), rollout_rows(layers, 0.3)[:, [4, 1]])


def test_head_means_of_blocks(rng: np.random.Generator) -> None:
    weights = torch.from_numpy(random_rows(rng, 2, 3, 4, 5, 5))
    blocks = ((n, rows, weights[:, n, :, rows]) for n in range(3) for rows in (slice(0, 2), slice(2, 5)))
    torch.testing.assert_close(head_means(blocks), weights.mean(2))


@dataclass(frozen=True)
class Mixer:
    """u -> A_2 (A_1 u * v_1) * v_2 with attention (layer, head) given, averaged over its heads."""

    attends: Tensor
    values: Tensor
    grid: Grid = LINE
    dt: float = 1.0
    variables: tuple[str, ...] = ("u",)

    def __call__(self, state: Tensor, context: Context | None = None, attention=None) -> Tensor:
        h = state[:, 0]
        for layer, (weights, value) in enumerate(zip(self.attends, self.values, strict=True)):
            mix = weights[None].expand(len(h), -1, -1, -1).clone()
            mix = mix if attention is None else attention(layer, mix)
            h = torch.einsum("bhqk,bk->bq", mix, h * value)
        return h[:, None]


def mixer(rng: np.random.Generator) -> tuple[Mixer, Tensor]:
    attends = torch.from_numpy(random_rows(rng, 2, 3, 5, 5))
    return Mixer(attends, torch.from_numpy(rng.normal(size=(2, 5)))), torch.from_numpy(
        rng.normal(size=(1, 1, 5))
    )


def test_29_gradient_relevance_is_the_product_by_hand(rng: np.random.Generator) -> None:
    step, state = mixer(rng)
    weights = torch.zeros(1, 5, dtype=torch.float64)
    weights[0, 3] = 1
    found = gradient_relevance(Readout(step, weights), state, [3, 1])[0]
    first, second = step.attends.numpy()
    v, w, u = step.values[0].numpy(), step.values[1].numpy(), state[0, 0].numpy()
    middle = first.sum(0) @ (u * v)
    # y = sum_j A2_3j w_j h_j with h = A1 (u v), so dy/dA2_ij = [i = 3] w_j h_j and dy/dA1_ij = (A2_3i w_i) u_j v_j
    by_second = np.zeros((3, 5, 5))
    by_second[:, 3] = w * middle
    by_first = (second.sum(0)[3] * w)[:, None] * (u * v)
    bar = [np.maximum(g * a, 0).mean(0) for g, a in ((by_first, first), (by_second, second))]
    want = (np.eye(5) + bar[1]) @ (np.eye(5) + bar[0])
    np.testing.assert_allclose(found, want[[3, 1]], rtol=1e-12)


def test_29_without_a_gradient_relevance_is_the_identity(rng: np.random.Generator) -> None:
    step, state = mixer(rng)
    found = gradient_relevance(Readout(step, torch.zeros(1, 5, dtype=torch.float64)), state, range(5))
    torch.testing.assert_close(found[0], torch.eye(5, dtype=torch.float64))


def test_relevance_of_one_step_alone(rng: np.random.Generator) -> None:
    step, state = mixer(rng)
    with pytest.raises(InputError) as error:
        gradient_relevance(Readout(step, torch.zeros(1, 5), 2), state, [0])
    assert str(error.value) == "expected a readout of one step, got 2: take lead=1"


@dataclass(frozen=True)
class Sloped:
    """u -> (-4, -3, ..., 9) u, cell by cell."""

    grid: Grid = SEVEN
    dt: float = 1.0
    variables: tuple[str, ...] = ("a", "b")

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        return state * (torch.arange(14.0).reshape(2, 7) - 4)


def test_the_gradient_of_a_linear_step_by_tokens() -> None:
    regions = token_regions(SEVEN, SEVEN.coarsen((3,)))
    assert regions.tolist() == [0, 0, 0, 1, 1, 1, 2]
    state = torch.randn(2, 2, 7)
    state[0, 0, 0] = torch.nan
    found = gradient_rows(Readout(Sloped(), torch.ones(2, 7)), state, regions, torch.tensor([1.0, 10.0]))
    # |-4| + |-3| + |-2| + 10 (3 + 4 + 5), |-1| + 0 + 1 + 10 (6 + 7 + 8), 2 + 10 * 9
    torch.testing.assert_close(found[1], torch.tensor([129.0, 212.0, 92.0]))


def test_regions_of_two_axes() -> None:
    grid = Grid.regular((4, 6))
    found = token_regions(grid, grid.coarsen((2, 3)))
    assert found.tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2


def test_how_far_a_map_reaches() -> None:
    grid = Grid.regular((8,))
    areas = np.full((1, 8), 1 / 8)
    rows = np.zeros((2, 8))
    rows[0, [2, 4]] = 3.0, 1.0  # from 2: a quarter goes two away
    rows[1] = 1.0
    found = map_reach(rows, [2, 5], grid, areas)
    np.testing.assert_allclose(found["distance"], [0.5, 2.0])
    np.testing.assert_allclose(found["rms"], [1.0, np.sqrt((2 * (1 + 4 + 9) + 16) / 8)])
    entropy = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    np.testing.assert_allclose(found["area"], [np.exp(entropy) / 8, 1.0])
