"""What averages can be: Godunov's barrier as a linear programme, and the way past it by looking at the content."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import linprog

from gridvit.stencil import Stencil

POINTS = np.arange(-4, 5)


def positive_stencil(moments: dict[int, float], minimise: int) -> np.ndarray | None:
    """Weights ``>= 0`` on -4 to 4, of sum one and these raw moments, the least of one order; None without any."""
    orders = {0: 1.0, **moments}
    found = linprog(
        np.abs(POINTS) ** minimise,
        A_eq=np.array([POINTS.astype(float) ** n for n in orders]),
        b_eq=np.array(list(orders.values())),
        bounds=(0, None),
    )
    return found.x if found.success else None


@pytest.mark.parametrize("c", [0.4, 0.7, 1.3, 2.0, -0.6])
def test_the_least_diffusive_average_is_upwind_of_its_last_cell(c: float) -> None:
    """SCIENCE 4: of weights >= 0 and mean -c the least variance is {c} (1 - {c}), on the two cells next to it."""
    weights = positive_stencil({1: -c}, 2)
    assert weights is not None
    share = (-c) % 1
    stencil = Stencil(POINTS[:, None], weights, np.ones(1)).trimmed(1e-9)
    assert float(stencil.cumulant(1)) == pytest.approx(-c, abs=1e-9)
    assert float(stencil.cumulant(2)) == pytest.approx(share * (1 - share), abs=1e-8)
    assert set(stencil.offsets[:, 0].tolist()) == {int(np.floor(-c)), int(np.ceil(-c))}


@pytest.mark.parametrize(
    ("c", "r", "there"), [(0.4, 0.10, False), (0.4, 0.12, True), (1.3, 0.10, False), (1.3, 0.11, True)]
)
def test_diffusion_pays_for_the_barrier(c: float, r: float, there: bool) -> None:
    """SCIENCE 4: a positive scheme of second order, kappa_2 = 2 r, exists where 2 r >= {c} (1 - {c}) = 0.24, 0.21."""
    assert (positive_stencil({1: -c, 2: 2 * r + c**2}, 4) is not None) == there


@pytest.mark.parametrize(("r", "there"), [(0.15, False), (1 / 6, True), (0.3, True)])
def test_positive_diffusion_of_fourth_order(r: float, there: bool) -> None:
    """SCIENCE 4: kappa_4 = m_4 - 3 m_2^2 = 0 asks for m_4 = 12 r^2 >= m_2 = 2 r, as d^4 >= d^2 on whole numbers."""
    assert (positive_stencil({1: 0.0, 2: 2 * r, 3: 0.0, 4: 12 * r**2}, 6) is not None) == there


def van_leer(u: np.ndarray, c: float) -> np.ndarray:
    """Two tokens with logits ln(C / (1 - C)) and 0 of the content; C u_{i-1} + (1 - C) u_i."""
    low, high = u - np.roll(u, 1), np.roll(u, -1) - u
    ratio = np.divide(low, high, out=np.zeros_like(u), where=np.abs(high) > 1e-300)
    limited = (ratio + np.abs(ratio)) / (1 + np.abs(ratio))
    per = np.divide(limited, ratio, out=np.zeros_like(u), where=ratio != 0)
    share = c * (1 + (1 - c) / 2 * (per - np.roll(limited, 1)))
    weight = 1 / (1 + np.exp(-np.log(share / (1 - share))))
    return weight * np.roll(u, 1) + (1 - weight) * u


def test_two_tokens_that_look_at_the_content_pass_the_barrier() -> None:
    """SCIENCE 12: van Leer's scheme so written is of second order where smooth, and makes no total variation."""
    c, errors = 0.4, []
    for n in (80, 160):
        x = (np.arange(n) + 0.5) / n
        u = np.exp(np.sin(2 * np.pi * x))
        for _ in range(n // 4):  # a fixed time, a tenth of the way round
            u = van_leer(u, c)
        errors.append(np.abs(u - np.exp(np.sin(2 * np.pi * (x - c / 4)))).mean())
    assert np.log2(errors[0] / errors[1]) > 1.7
    rough = np.random.default_rng(1).normal(size=83)
    for _ in range(20):
        after = van_leer(rough, c)
        assert np.abs(np.diff(after, append=after[:1])).sum() <= np.abs(
            np.diff(rough, append=rough[:1])
        ).sum() * (1 + 1e-12)
        # SCIENCE 13: an average keeps within the bounds
        assert rough.min() - 1e-12 <= after.min() <= after.max() <= rough.max() + 1e-12
        rough = after
