"""Jacobians with frozen attention, of a layer whose Jacobian is known and of steps that do not look at content."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from test_probe import noise
from torch import Tensor

from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.routing import frozen_probe, routing_share
from gridvit.grid import Grid
from gridvit.rollout import Context


@dataclass(frozen=True)
class OneHead:
    """u' = u + v softmax(s u_i u_j) u on a ring: content enters by ``s``."""

    grid: Grid
    content: float
    value: float = 0.7
    variables: tuple[str, ...] = ("u",)
    dt: float = 1.0

    def __call__(self, state: Tensor, context: Context | None = None, attention: object = None) -> Tensor:
        weights = torch.softmax(self.content * state[:, 0, :, None] * state[:, :1], -1)[:, None]
        weights = weights if attention is None else attention(0, weights)  # type: ignore[operator]
        return state + self.value * (weights[:, 0] @ state[:, 0, :, None])[..., 0][:, None]


def dense(rows: object, n: int) -> np.ndarray:
    matrix = np.zeros((n, n))
    for cell, weights in enumerate(rows.weights[0]):  # type: ignore[attr-defined]
        matrix[cell, (cell + rows.offsets[:, 0]) % n] = weights  # type: ignore[attr-defined]
    return matrix


@pytest.mark.parametrize("n", [5, 6])
def test_frozen_attention_leaves_the_weights_times_the_values(n: int) -> None:
    """SCIENCE 18: J_fr = 1 + A W_OV of a layer that only attends."""
    step = OneHead(Grid.regular(n), 1.3)
    state = noise(step.grid, 1)
    whole, frozen = (take(step, state, patch_cells((n,))) for take in (probe, frozen_probe))
    u = state[0, 0].numpy()
    logits = 1.3 * np.outer(u, u)
    a = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(dense(frozen, n), np.eye(n) + 0.7 * a, atol=1e-14)
    # dA_ij / du_k by hand: A_ij [s (d_ik u_j + u_i d_jk) - sum_l A_il s (d_ik u_l + u_i d_lk)], summed against u_j
    turned = np.zeros((n, n, n))
    for i, j, k in np.ndindex(n, n, n):
        inner = 1.3 * ((i == k) * u[j] + u[i] * (j == k))
        mean = sum(a[i, m] * 1.3 * ((i == k) * u[m] + u[i] * (m == k)) for m in range(n))
        turned[i, j, k] = a[i, j] * (inner - mean) * u[j]
    routing = 0.7 * turned.sum(axis=1)
    np.testing.assert_allclose(dense(whole, n) - dense(frozen, n), routing, atol=1e-13)
    want = np.linalg.norm(routing) / np.linalg.norm(np.eye(n) + 0.7 * a + routing)
    assert routing_share(whole, frozen) == pytest.approx(want, rel=1e-12)
    assert want > 0.1


def test_attention_by_place_alone_routes_nothing() -> None:
    """SCIENCE 18: J = J_fr where queries and keys do not see the content."""
    step = OneHead(Grid.regular(7), 0.0)
    state = noise(step.grid)
    whole, frozen = (take(step, state, patch_cells((7,))) for take in (probe, frozen_probe))
    assert routing_share(whole, frozen) < 1e-15
