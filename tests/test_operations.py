"""Operations against counts made by hand."""

from __future__ import annotations

from collections.abc import Callable
from math import log2

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import conv1d, linear, scaled_dot_product_attention

from gridvit.analysis.operations import Operations
from gridvit.grid import Grid
from gridvit.physics import SCHEMES, Advection

X = torch.ones(2, 3, 5, 7, dtype=torch.float64)
WAVES = torch.ones(3, 11, dtype=torch.complex128)
HEADS = torch.ones(2, 3, 11, 5)


@pytest.mark.parametrize(
    ("work", "expected"),
    [
        (lambda: X + X, 210),
        (lambda: torch.add(X, X, alpha=3.0), 420),
        (lambda: X.roll(1, 0).transpose(2, 3)[..., 1:].contiguous(), 0),
        (lambda: X.sum(), 210),
        (lambda: X.mean(dim=2), 210),
        (lambda: WAVES + WAVES, 2 * 33),
        (lambda: WAVES * WAVES, 6 * 33),
        (lambda: X[0, 0] @ X[0, 0].T, 2 * 5 * 7 * 5),
        (lambda: linear(torch.ones(13, 5), torch.ones(3, 5), torch.ones(3)), 2 * 13 * 5 * 3),
        (lambda: conv1d(torch.ones(2, 3, 11), torch.ones(5, 3, 7)), 2 * 2 * 5 * 5 * 3 * 7),
        (lambda: scaled_dot_product_attention(HEADS, HEADS, HEADS), 2 * 3 * 11 * 11 * (4 * 5 + 5)),
        (lambda: X.softmax(-1), 5 * 210),
        (lambda: nn.functional.layer_norm(X, (7,)), 5 * 210),
        (lambda: torch.fft.rfft(X), 2.5 * 210 * log2(7)),
        (lambda: torch.fft.irfft(WAVES, n=20), 2.5 * 60 * log2(20)),
        (lambda: torch.fft.fftn(WAVES), 5 * 33 * log2(33)),
    ],
)
def test_one_operation(work: Callable[[], Tensor], expected: float) -> None:
    with torch.no_grad(), Operations() as counted:
        work()
    assert counted.total == pytest.approx(expected)


def test_a_scheme_of_two_points_takes_three_for_each_cell() -> None:
    """Upwind: (1 - c) u_i + c u_{i-1}, a product, and a product and a sum."""
    grid = Grid.regular(17)
    step = SCHEMES["upwind"](Advection((0.4,)), grid, 1.0)
    with Operations() as counted:
        step(torch.ones(1, 1, 17))
    assert counted.total == 3 * 17


def test_counting_changes_nothing_and_ends() -> None:
    with Operations() as counted:
        found = X * 2
    X * 3
    torch.testing.assert_close(found, torch.full_like(X, 2.0))
    assert counted.total == 210
