"""Taylor weights against the literature and findiff; cumulants against closed forms."""

from __future__ import annotations

from fractions import Fraction as F

import findiff
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit import moments
from gridvit.errors import InputError
from gridvit.stencil import Stencil, modes

# Fornberg (1988), tables 1 and 3: (order, accuracy, side) -> weights from the lowest offset to the highest.
TABLE: dict[tuple[int, int, int], list[F | int]] = {
    (1, 2, 0): [F(-1, 2), 0, F(1, 2)],
    (1, 4, 0): [F(1, 12), F(-2, 3), 0, F(2, 3), F(-1, 12)],
    (1, 6, 0): [F(-1, 60), F(3, 20), F(-3, 4), 0, F(3, 4), F(-3, 20), F(1, 60)],
    (1, 8, 0): [F(1, 280), F(-4, 105), F(1, 5), F(-4, 5), 0, F(4, 5), F(-1, 5), F(4, 105), F(-1, 280)],
    (2, 2, 0): [1, -2, 1],
    (2, 4, 0): [F(-1, 12), F(4, 3), F(-5, 2), F(4, 3), F(-1, 12)],
    (2, 6, 0): [F(1, 90), F(-3, 20), F(3, 2), F(-49, 18), F(3, 2), F(-3, 20), F(1, 90)],
    (3, 2, 0): [F(-1, 2), 1, 0, -1, F(1, 2)],
    (4, 2, 0): [1, -4, 6, -4, 1],
    (1, 1, 1): [-1, 1],
    (1, 2, 1): [F(-3, 2), 2, F(-1, 2)],
    (1, 3, 1): [F(-11, 6), 3, F(-3, 2), F(1, 3)],
    (2, 1, 1): [1, -2, 1],
    (2, 2, 1): [2, -5, 4, -1],
}


def line(weights: dict[int, float]) -> Stencil:
    """A scalar one-dimensional stencil from {offset: weight}."""
    return Stencil(np.array([[d] for d in weights]), np.array(list(weights.values())), np.ones(1))


def upwind(c: float) -> Stencil:
    return line({-1: c, 0: 1 - c})


def lax_wendroff(c: float) -> Stencil:
    return line({-1: c * (1 + c) / 2, 0: 1 - c**2, 1: -c * (1 - c) / 2})


def beam_warming(c: float) -> Stencil:
    return line({-2: -c * (1 - c) / 2, -1: c * (2 - c), 0: (1 - c) * (2 - c) / 2})


def ftcs(r: float) -> Stencil:
    return line({-1: r, 0: 1 - 2 * r, 1: r})


@pytest.mark.parametrize("case", TABLE)
def test_taylor_weights_are_those_of_the_literature(case: tuple[int, int, int]) -> None:
    order, accuracy, side = case
    points, _ = moments.derivative_line(order, accuracy, side)
    assert list(moments.taylor_weights(points, order)) == TABLE[case]
    lowest = 0 if side else -(len(TABLE[case]) // 2)
    assert points == tuple(range(lowest, lowest + len(TABLE[case])))


@pytest.mark.parametrize("order", [1, 2, 3, 5])
@pytest.mark.parametrize("accuracy", [2, 4, 6])
@pytest.mark.parametrize(("side", "scheme"), [(0, "center"), (1, "forward"), (-1, "backward")])
def test_derivatives_agree_with_findiff(order: int, accuracy: int, side: int, scheme: str) -> None:
    theirs = findiff.coefficients(deriv=order, acc=accuracy)[scheme]
    points, weights = moments.derivative_line(order, accuracy, side)
    ours = dict(zip(points, weights, strict=True))
    for offset, weight in zip(theirs["offsets"], theirs["coefficients"], strict=True):
        assert ours.pop(int(offset), 0.0) == pytest.approx(float(weight), rel=1e-6, abs=1e-6)
    assert not any(ours.values())


def test_derivative_line_refuses() -> None:
    with pytest.raises(
        InputError, match="expected an even accuracy for a central stencil, got 3: use 4 or a"
    ):
        moments.derivative_line(1, 3, 0)
    with pytest.raises(InputError, match="side -1, 0 or 1, got order 1, accuracy 2, side 2: correct"):
        moments.derivative_line(1, 2, 2)


def test_multi_indices_by_order() -> None:
    assert moments.multi_indices(2, 2) == [(0, 0), (0, 1), (1, 0), (0, 2), (1, 1), (2, 0)]


@pytest.mark.parametrize("c", [0.1, 0.4, 0.7, 1.0])
def test_cumulants_of_advection_schemes(c: float) -> None:
    """SCIENCE 1, 2."""
    kappa = [upwind(c).cumulant(n) for n in range(4)]
    np.testing.assert_allclose(kappa, [0, -c, c * (1 - c), -c * (1 - c) * (1 - 2 * c)], atol=1e-14)
    kappa = [lax_wendroff(c).cumulant(n) for n in range(4)]
    np.testing.assert_allclose(kappa, [0, -c, 0, -c * (1 - c**2)], atol=1e-14)
    kappa = [beam_warming(c).cumulant(n) for n in range(4)]
    np.testing.assert_allclose(kappa, [0, -c, 0, c * (1 - c) * (2 - c)], atol=1e-14)


@pytest.mark.parametrize("r", [0.05, 1 / 6, 0.3, 0.5])
def test_fourth_cumulant_of_ftcs(r: float) -> None:
    """SCIENCE 3."""
    kappa = [ftcs(r).cumulant(n) for n in range(5)]
    np.testing.assert_allclose(kappa, [0, 0, 2 * r, 0, 2 * r - 12 * r**2], atol=1e-14)


@pytest.mark.parametrize("s", [1.5, 2.0, 3.1])
def test_discrete_gaussian_has_the_variance_of_the_continuous(s: float) -> None:
    """SCIENCE 9."""
    offsets = np.arange(-40, 41)
    weights = np.exp(-(offsets**2) / (2 * s**2))
    kappa = Stencil(offsets[:, None], weights / weights.sum(), np.ones(1)).cumulants(4)
    np.testing.assert_allclose([kappa[1,], kappa[2,] - s**2, kappa[3,]], 0, atol=1e-14 * s**3)
    assert abs(kappa[4,]) < 1e-14 * 3 * s**4


def test_bernoulli_far_from_the_origin() -> None:
    p, far = 0.3, 10_000
    q = p * (1 - p)
    kappa = line({far: 1 - p, far + 1: p}).cumulants(4)
    np.testing.assert_allclose(
        [kappa[n,] for n in range(1, 5)], [far + p, q, q * (1 - 2 * p), q * (1 - 6 * q)], atol=1e-11
    )


def test_cumulants_in_two_dimensions() -> None:
    # A fair coin that moves one cell along both axes at once: covariance 1/4, like each variance.
    both = Stencil(np.array([[0, 0], [1, 1]]), np.array([0.5, 0.5]), np.ones(2))
    kappa = both.cumulants(4)
    for n in [(2, 0), (1, 1), (0, 2)]:
        assert kappa[n] == pytest.approx(0.25, abs=1e-15)
    # All fourth cumulants of the pair are the coin's own, q (1 - 6 q) with q = 1/4.
    assert {round(float(kappa[n]), 14) for n in kappa if sum(n) == 4} == {-0.125}
    apart = Stencil.from_array(np.outer([0.5, 0.3, 0.2], [0.6, 0.4]), 1.0).cumulants(4)
    np.testing.assert_allclose([v for n, v in apart.items() if n[0] and n[1]], 0, atol=1e-15)


def test_growth_is_the_logarithm_of_the_sum_and_nan_without_one() -> None:
    weights = np.array([[1.0, 2.0], [1.0, -1.0], [1.0, -2.0]])
    kappa = Stencil(np.array([[0], [1]]), weights, np.ones(1), ("head",)).cumulants(1)
    np.testing.assert_allclose(kappa[0,], [np.log(3), np.nan, np.nan])
    np.testing.assert_allclose(kappa[1,], [2 / 3, np.nan, np.nan])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.floats(0.1, 1.0), min_size=4, max_size=4),
    st.lists(st.floats(0.1, 1.0), min_size=6, max_size=6),
)
def test_cumulants_add_under_composition(a: list[float], b: list[float]) -> None:
    one = Stencil.from_array(np.array(a).reshape(2, 2), 1.0)
    two = Stencil.from_array(np.array(b).reshape(2, 3), 1.0)
    each, together = (one.cumulants(3), two.cumulants(3)), (one @ two).cumulants(3)
    for n, value in together.items():
        assert value == pytest.approx(each[0][n] + each[1][n], abs=1e-12)


def test_a_uniform_floor_spoils_moments_but_not_waves() -> None:
    """SCIENCE 20."""
    c, eps, n = 0.4, 0.01, 64
    floor = Stencil.from_array(np.full(n, eps / n), 1.0)
    mixed = (1 - eps) * upwind(c) + floor
    theta = modes((n,))[1:]
    np.testing.assert_allclose(mixed.symbol(theta), (1 - eps) * upwind(c).symbol(theta), atol=1e-14)
    assert mixed.cumulant(2) - upwind(c).cumulant(2) == pytest.approx(eps * n**2 / 12, rel=0.01)
    fitted = moments.fit_cumulants(theta[:4], mixed.symbol(theta[:4]), 7)
    assert fitted[0,] == pytest.approx(np.log(1 - eps), abs=1e-9)
    assert fitted[2,] == pytest.approx(c * (1 - c), abs=1e-6)
    known = moments.fit_cumulants(theta[:3], mixed.symbol(theta[:3]), 6, growth=np.log(1 - eps))
    assert known[2,] == pytest.approx(c * (1 - c), abs=1e-8)


def test_cumulants_fitted_to_the_three_lowest_waves() -> None:
    """SCIENCE 21."""
    c, theta = 0.4, modes((64,))[1:4]
    fitted = moments.fit_cumulants(theta, upwind(c).symbol(theta), 6, growth=0.0)
    assert fitted[0,] == 0
    assert fitted[1,] == pytest.approx(-c, abs=2.5e-9)
    assert fitted[2,] == pytest.approx(c * (1 - c), abs=1e-9)
    assert fitted[3,] == pytest.approx(-c * (1 - c) * (1 - 2 * c), abs=2e-6)


def test_fitted_cumulants_weigh_modes_and_undo_a_drift() -> None:
    mean, tensor = np.array([7.3, -11.6]), np.array([[0.3, 0.1], [0.1, 0.2]])
    theta = modes((11, 13)).reshape(-1, 2)[1:20]
    log_symbol = 1j * theta @ mean - np.einsum("ki,ij,kj->k", theta, tensor, theta)
    log_symbol[5] += 1.0  # spoilt, but without energy
    energy = np.where(np.arange(len(theta)) == 5, 0.0, 1.0)
    guess = np.array([7.0, -12.0])
    kappa = moments.fit_cumulants(theta, np.exp(log_symbol), 2, energy=energy, drift=guess)
    np.testing.assert_allclose([kappa[1, 0], kappa[0, 1]], mean, atol=1e-11)
    np.testing.assert_allclose([kappa[2, 0], kappa[1, 1], kappa[0, 2]], [0.6, 0.2, 0.4], atol=1e-11)
