"""Maps that are right, and maps that are not: masking, ablation and random weights tell them apart."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.stats import wilcoxon
from torch import Tensor

from gridvit.analysis.attribution import Readout
from gridvit.analysis.faithfulness import (
    Masking,
    ablation_losses,
    descending,
    map_similarity,
    masking_table,
    matched,
    randomisation,
    without_distance,
)
from gridvit.analysis.significance import signed_rank
from gridvit.grid import Grid
from gridvit.rollout import Context

RING = Grid.regular((24,))
EVEN = np.full(24, 1 / 24)


@dataclass(frozen=True)
class Upwind:
    """u_i -> sum_d kernel_d u_(i + d), by attention if that is given."""

    kernel: tuple[float, ...]
    grid: Grid = RING
    dt: float = 1.0
    variables: tuple[str, ...] = ("u",)

    def __call__(self, state: Tensor, context: Context | None = None, attention=None) -> Tensor:
        rows = torch.stack([torch.tensor(self.kernel, dtype=torch.float64).roll(i) for i in range(24)])[
            None, None
        ]
        rows = rows if attention is None else attention(0, rows)
        return torch.einsum("qk,bvk->bvq", rows[0, 0], state)


def kernel(**weights: float) -> tuple[float, ...]:
    found = [0.0] * 24
    for name, weight in weights.items():
        found[int(name[1:]) * (-1 if name[0] == "m" else 1)] = weight
    return tuple(found)


LEFT = kernel(p0=0.2, m3=0.5, m5=0.3)  # looks three and five to the left


def test_the_loss_that_ablated_attention_costs() -> None:
    rng = np.random.default_rng(2)
    u = torch.from_numpy(rng.normal(size=(5, 1, 24)))
    step = Upwind(LEFT)
    truth = step(u) + 0.3
    rows = {"right": torch.tensor(kernel(p0=0.2, p3=0.5, p5=0.3), dtype=torch.float64)}

    def right(layer: int, weights: Tensor) -> Tensor:
        return torch.stack([rows["right"].roll(i) for i in range(24)])[None, None]

    found = ablation_losses(step, u, truth, {"right": right}, torch.tensor([0.5]))
    assert found["ablation"].values.tolist() == ["none", "persistence", "right"]
    other = Upwind(tuple(rows["right"].tolist()))(u)
    wanted = [((x - truth).numpy() ** 2).mean(axis=(1, 2)) / 0.25 for x in (step(u), u, other)]
    np.testing.assert_allclose(found["ablation_loss"], wanted, rtol=1e-10)
    np.testing.assert_allclose(found["ablation_loss"].sel(ablation="none"), 0.36, rtol=1e-10)
    extra = wanted[2] - wanted[0]
    np.testing.assert_allclose(
        found["ablation_cost"], [0, (wanted[1].mean() / 0.36) - 1, extra.mean() / 0.36]
    )
    error = extra.std(ddof=1) / np.sqrt(5) / 0.36
    np.testing.assert_allclose(found["ablation_cost_error"][2], error, rtol=1e-10)


def test_cells_without_a_value_cost_nothing() -> None:
    u = torch.randn(2, 1, 24, dtype=torch.float64)
    truth = Upwind(LEFT)(u) + 1.0
    truth[:, :, 4] = torch.nan
    found = ablation_losses(Upwind(LEFT), u, truth, {}, torch.ones(1))
    np.testing.assert_allclose(found["ablation_loss"].sel(ablation="none"), 1.0, rtol=1e-12)


def masking(place: int, rng: np.random.Generator) -> Masking:
    weights = torch.zeros(1, 24, dtype=torch.float64)
    weights[0, place] = 1
    state, baseline = (torch.from_numpy(rng.normal(size=(1, 1, 24))) for _ in range(2))
    return Masking(Readout(Upwind(LEFT), weights), state, baseline, np.arange(24), EVEN)


def test_masking_a_linear_step_is_what_its_weights_say(rng: np.random.Generator) -> None:
    made = masking(7, rng)
    order = np.array([4, 11, 2, *(n for n in range(24) if n not in (4, 11, 2, 7))])
    found = made.effects([order], (0.01, 2 / 24, 3 / 24))
    difference = (made.state - made.baseline)[0, 0].numpy()
    away = [0.5 * difference[4], 0.5 * difference[4], 0.5 * difference[4] + 0.3 * difference[2]]
    np.testing.assert_allclose(found[0, 0], np.abs(away), rtol=1e-12)
    whole = 0.2 * difference[7] + 0.5 * difference[4] + 0.3 * difference[2]
    np.testing.assert_allclose(found[1, 0], np.abs(whole - np.array(away)), rtol=1e-12)


def test_a_right_map_beats_one_as_far_away_and_a_wrong_one_does_not(rng: np.random.Generator) -> None:
    effects = []
    for case in range(16):
        place = (5 * case) % 24
        right, wrong = np.zeros(24), np.zeros(24)
        right[[(place - 3) % 24, (place - 5) % 24]] = 0.5, 0.3
        wrong[[(place + 3) % 24, (place + 5) % 24]] = 0.5, 0.3
        distances = RING.distances(rows=np.array([place]))[0]
        scores = [rng.permutation(24) * EVEN]
        for each in (right, wrong):
            scores += [each, matched(each, distances, rng)]
        orders = [order[order != place] for order in (descending(s, EVEN) for s in scores)]
        effects.append(masking(place, rng).effects(orders, (1 / 24, 2 / 24)))
    found = masking_table(np.stack(effects), ["right", "wrong"])
    for way in ("deletion", "insertion"):
        gain, p = found[f"{way}_gain"], found[f"{way}_p"]
        assert gain.sel(map="right", control="matched") > 0.1
        assert p.sel(map="right", control="matched") < 0.01
        assert gain.sel(map="wrong", control="matched") <= 0
        assert p.sel(map="wrong", control="matched") > 0.5
    np.testing.assert_allclose(found["deletion"].sel(masked_first="wrong"), 0, atol=1e-12)


def test_the_table_of_gains_by_hand() -> None:
    # three cases, random 1, map 3, matched 2 in deletion; 4, 1, 2 in insertion
    effects = np.tile(np.array([[1.0, 3, 2], [4, 1, 2]])[None, :, :, None], (3, 1, 1, 2))
    found = masking_table(effects, ["map"])
    assert found["masked_first"].values.tolist() == ["random", "map", "map, matched"]
    np.testing.assert_allclose(found["deletion_gain"][0], [2.0, 0.5])
    np.testing.assert_allclose(found["insertion_gain"][0], [0.75, 0.5])
    np.testing.assert_allclose(found["deletion_p"][0], 1 / 8)  # all three of one sign
    assert found["insertion_p"].attrs["smallest"] == 1 / 8


@pytest.mark.parametrize(
    "values", [[0.3, -1.2, 2.5, 0.7, 3.1, -0.1, 1.9], [1.0, -1, 2, 2, 0, -2, 3, 0, 1, 2, -3], [-1.0, -2]]
)
def test_signed_ranks_are_those_of_scipy_with_ties_and_zeros_too(values: list[float]) -> None:
    differences = np.array(values)
    wanted = wilcoxon(
        differences, alternative="greater"
    ).pvalue  # of all signs, as it chooses for ties of so few
    np.testing.assert_allclose(signed_rank(differences), wanted, rtol=1e-12)


def test_signed_ranks_by_hand() -> None:
    assert (
        signed_rank(np.array([2.0, 2.0, -1.0])) == 2 / 8
    )  # 1 of the ranks 1, 2.5, 2.5 is lost, or nothing is
    assert signed_rank(np.zeros(5)) == 1
    assert np.isnan(signed_rank(np.array([1.0, np.nan])))


def test_shuffling_keeps_what_distance_says(rng: np.random.Generator) -> None:
    distances = RING.distances(rows=np.array([6]))[0]
    scores = rng.random(24)
    found = matched(scores, distances, rng, shell=4)
    assert found[6] == scores[6]
    order = np.argsort(distances, kind="stable")
    for start in range(1, 24, 4):
        ring = order[start : start + 4]
        np.testing.assert_allclose(np.sort(found[ring]), np.sort(scores[ring]))
    assert not np.array_equal(found, scores)
    np.testing.assert_allclose(matched(1 / (1 + distances), distances, rng, shell=2), 1 / (1 + distances))


def test_the_order_is_by_what_an_area_has() -> None:
    assert descending(np.array([4.0, 3.0, 1.0]), np.array([4.0, 1.0, 2.0])).tolist() == [1, 0, 2]


def test_similarity_with_and_beside_distance(rng: np.random.Generator) -> None:
    distances = RING.distances(rows=np.array([0]))[0]
    near = np.exp(-distances)[None]
    assert map_similarity(near, near**2, [0], RING, 2) == pytest.approx((1.0, 0.0))
    east = near + 0.01 * (np.arange(24) < 12)
    assert map_similarity(east, 2 * east, [0], RING) == pytest.approx((1.0, 1.0))
    west = near + 0.01 * (np.arange(24) > 12)
    whole, beside = map_similarity(east, west, [0], RING, 2)
    assert whole > 0.5
    assert beside < -0.5
    left = without_distance(np.arange(24.0), distances, 2)
    np.testing.assert_allclose(left[[1, 23]], [-11, 11])


def test_random_weights_destroy_the_gradient_and_not_a_map_of_distance() -> None:
    def maps(step: Upwind) -> dict[str, np.ndarray]:
        rows = np.stack([np.roll(step.kernel, i) for i in (3, 10)])
        return {"gradient": rows, "distance": np.exp(-RING.distances(rows=np.array([3, 10])))}

    rng = np.random.default_rng(1)
    shuffled = ((f"draw {n}", Upwind(tuple(rng.permutation(LEFT)))) for n in range(3))
    found = randomisation(maps, maps(Upwind(LEFT)), shuffled, [3, 10], RING)
    assert found["randomised"].values.tolist() == ["draw 0", "draw 1", "draw 2"]
    similar = found["randomised_similarity"]
    assert abs(similar.sel(map="gradient")).max() < 0.5
    np.testing.assert_allclose(similar.sel(map="distance"), 1.0)
