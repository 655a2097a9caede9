"""Stencils: closed-form symbols, algebra against matrices."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil, modes


def line(weights: dict[int, float], h: float = 1.0) -> Stencil:
    """A scalar one-dimensional stencil from {offset: weight}."""
    return Stencil(np.array([[d] for d in weights]), np.array(list(weights.values())), np.array([h]))


def rotation(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])


def gap(one: Stencil, two: Stencil) -> float:
    """The largest difference of two stencils' weights."""
    return float(np.abs((one - two).weights).max())


# Numbers only: the run-time type checks of a Stencil use `random`, which hypothesis forbids while it draws.
Numbers = tuple[np.ndarray, np.ndarray]


@st.composite
def numbers(draw: st.DrawFn, lead: tuple[int, ...] = ()) -> Numbers:
    count = draw(st.integers(1, 5))
    offsets = draw(arrays(np.int64, (count, 2), elements=st.integers(-4, 4)))
    return offsets, draw(arrays(np.float64, (*lead, count), elements=st.floats(-2, 2)))


def made(*given: Numbers) -> list[Stencil]:
    return [Stencil(offsets, weights, np.ones(2)) for offsets, weights in given]


C, R = 0.4, 0.2
# SCIENCE A5: weights and closed-form symbol of the schemes, s = sin(theta / 2).
SYMBOLS: dict[str, tuple[dict[int, float], Callable[[np.ndarray], np.ndarray]]] = {
    "upwind": ({-1: C, 0: 1 - C}, lambda t: 1 - C * (1 - np.exp(-1j * t))),
    "lax-friedrichs": (
        {-1: (1 + C) / 2, 1: (1 - C) / 2},
        lambda t: np.cos(t) - 1j * C * np.sin(t),
    ),
    "lax-wendroff": (
        {-1: C * (1 + C) / 2, 0: 1 - C**2, 1: -C * (1 - C) / 2},
        lambda t: 1 - 1j * C * np.sin(t) - C**2 * (1 - np.cos(t)),
    ),
    "ftcs": ({-1: R, 0: 1 - 2 * R, 1: R}, lambda t: 1 - 4 * R * np.sin(t / 2) ** 2),
}


@pytest.mark.parametrize("name", SYMBOLS)
def test_symbols_have_their_closed_forms(name: str) -> None:
    weights, closed = SYMBOLS[name]
    theta = np.linspace(-np.pi, np.pi, 17)
    np.testing.assert_allclose(line(weights).symbol(theta[:, None]), closed(theta), atol=1e-15)


def test_amplification_closed_forms() -> None:
    theta = modes((13,))
    s = np.sin(theta[:, 0] / 2)
    upwind, lw = (np.abs(line(SYMBOLS[name][0]).symbol(theta)) ** 2 for name in ("upwind", "lax-wendroff"))
    np.testing.assert_allclose(upwind, 1 - 4 * C * (1 - C) * s**2, atol=1e-15)
    np.testing.assert_allclose(lw, 1 - 4 * C**2 * (1 - C**2) * s**4, atol=1e-15)


@pytest.mark.parametrize(
    ("order", "accuracy", "side"), [(1, 2, 0), (1, 6, 0), (2, 4, 0), (1, 3, 1), (2, 2, -1)]
)
def test_derivative_knows_its_accuracy_and_converges_with_it(order: int, accuracy: int, side: int) -> None:
    errors = []
    for h in (0.1, 0.05):
        d = Stencil.derivative(order, accuracy, spacing=h, side=side)
        assert d.derivative_accuracy(order) == accuracy
        errors.append(d.weights @ np.exp(h * d.offsets[:, 0]) - 1)
    assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.3)


def test_derivative_accuracy_of_others() -> None:
    first = Stencil.derivative(1, 2, spacing=0.5)
    assert first.derivative_accuracy(2) == 0
    assert (first + Stencil.identity(1, 0.5)).derivative_accuracy(1) == 0
    assert Stencil.identity(2).derivative_accuracy((0, 0)) == float("inf")
    assert Stencil.derivative((1, 1), 4, spacing=(0.1, 3)).derivative_accuracy((1, 1)) == 4
    # A skewed Laplacian is one, the mixed derivative's side stencils lower the order to one.
    assert Stencil.derivative((1, 1), 1, spacing=1.0, side=(-1, 1)).derivative_accuracy((1, 1)) == 1
    both = np.stack([first.weights, np.array([-2.0, 2.0])])
    two = Stencil(np.array([[-1], [1]]), both, np.array([[0.5], [0.25]]), ("row",))
    assert two.derivative_accuracy(1) == 2


def test_mixed_derivative_written_out() -> None:
    d = Stencil.derivative((1, 1), 2, spacing=(0.5, 2.0))
    assert d.offsets.tolist() == [[-1, -1], [-1, 1], [1, -1], [1, 1]]
    np.testing.assert_allclose(d.weights, [0.25, -0.25, -0.25, 0.25])
    backward = Stencil.derivative((0, 1), 1, spacing=(0.5, 2.0), side=-1)
    assert backward.offsets.tolist() == [[0, -1], [0, 0]]
    np.testing.assert_allclose(backward.weights, [-0.5, 0.5])


def test_offsets_are_merged_and_sorted_and_arrays_frozen() -> None:
    s = Stencil(np.array([[1, 0], [0, 2], [1, 0]]), np.array([1.0, 2.0, 4.0]), np.ones(2))
    assert s.offsets.tolist() == [[0, 2], [1, 0]]
    assert s.weights.tolist() == [2, 5]
    assert (s.ndim, s.reach, s.components, s.is_system) == (2, (1, 2), 1, False)
    with pytest.raises(ValueError, match="read-only"):
        s.weights[0] = 1


@pytest.mark.parametrize("shape", [(5,), (4,), (3, 4), (2, 5)])
def test_from_array_and_from_symbol_are_the_same_kernel(shape: tuple[int, ...]) -> None:
    array = np.random.default_rng(7).normal(size=shape)
    s = Stencil.from_array(array, (1.0,) * len(shape))
    assert s.offsets.min(axis=0).tolist() == [-(n // 2) for n in shape]
    assert s.offsets.max(axis=0).tolist() == [(n - 1) // 2 for n in shape]
    for offset, weight in zip(s.offsets, s.weights, strict=True):
        assert weight == array[tuple(offset % shape)]
    back = Stencil.from_symbol(s.symbol(modes(shape)), (1.0,) * len(shape))
    assert gap(back, s) < 1e-15
    # Parseval: the weights' squares are the symbol's mean square.
    assert np.sum(s.weights**2) == pytest.approx(np.mean(np.abs(s.symbol(modes(shape))) ** 2), rel=1e-13)


def test_from_array_with_leading_axes_and_systems() -> None:
    array = np.arange(2 * 3 * 4.0).reshape(2, 3, 4)
    heads = Stencil.from_array(array, 0.5, dims=("head",))
    assert (heads.ndim, heads.is_system, heads.weights.shape) == (2, False, (2, 12))
    system = Stencil.from_array(np.arange(2 * 2 * 5.0).reshape(2, 2, 5), (0.5,))
    assert (system.components, system.component(1, 0).weights.tolist()) == (2, [13, 14, 10, 11, 12])


def test_modes() -> None:
    np.testing.assert_allclose(modes((4,))[:, 0], np.pi * np.array([0, 0.5, -1, -0.5]))
    assert modes((3, 4)).shape == (3, 4, 2)
    np.testing.assert_allclose(modes((3, 4))[1, 2], [2 * np.pi / 3, -np.pi])


@pytest.mark.parametrize("n", [7, 8])
def test_relative_error_of_a_field_is_the_energy_weighted_distance_of_symbols(n: int) -> None:
    """SCIENCE 22."""
    grid, theta = Grid.regular(n), modes((n,))
    u = np.random.default_rng(3).normal(size=n)
    one, two = (line(SYMBOLS[name][0]) for name in ("upwind", "lax-wendroff"))
    energy = np.abs(np.fft.fft(u)) ** 2
    g, g2 = one.symbol(theta), two.symbol(theta)
    fields = [s.matrix(grid) @ u for s in (one, two)]
    error = np.sum((fields[0] - fields[1]) ** 2) / np.sum(fields[1] ** 2)
    assert error == pytest.approx(energy @ np.abs(g - g2) ** 2 / (energy @ np.abs(g2) ** 2), rel=1e-12)
    # A difference that lives where the data have no energy changes nothing.
    smooth = np.cos(2 * np.pi * np.arange(n) / n)
    unseen = Stencil.from_symbol(np.where(np.abs(np.fft.fft(smooth)) > 1e-9, 0, 5 + 0j), 1.0)
    np.testing.assert_allclose((one + unseen).matrix(grid) @ smooth, one.matrix(grid) @ smooth, atol=1e-13)


@settings(max_examples=25, deadline=None)
@given(numbers(), numbers(), numbers())
def test_algebra_is_that_of_symbols_and_matrices(one: Numbers, two: Numbers, three: Numbers) -> None:
    a, b, c = made(one, two, three)
    theta, grid = modes((5, 4)), Grid.regular((5, 4))
    np.testing.assert_allclose((a @ b).symbol(theta), a.symbol(theta) * b.symbol(theta), atol=1e-12)
    np.testing.assert_allclose((a - b / 4).symbol(theta), a.symbol(theta) - b.symbol(theta) / 4, atol=1e-12)
    assert gap(a @ (b + c), a @ b + a @ c) < 1e-12
    assert gap((a @ b) @ c, a @ (b @ c)) < 1e-12
    dense = a.matrix(grid).toarray() @ b.matrix(grid).toarray()
    np.testing.assert_allclose((a @ b).matrix(grid).toarray(), dense, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(numbers((3, 3)), numbers((3, 3)), numbers())
def test_systems_compose_as_matrices(one: Numbers, two: Numbers, three: Numbers) -> None:
    a, b, scalar = made(one, two, three)
    theta, grid = modes((3, 4)), Grid.regular((3, 4))
    np.testing.assert_allclose((a @ b).symbol(theta), a.symbol(theta) @ b.symbol(theta), atol=1e-11)
    dense = (a.matrix(grid) @ b.matrix(grid)).toarray()
    np.testing.assert_allclose((a @ b).matrix(grid).toarray(), dense, atol=1e-11)
    alike = scalar.symbol(theta)[..., None, None]
    np.testing.assert_allclose((scalar @ a).symbol(theta), alike * a.symbol(theta), atol=1e-11)
    np.testing.assert_allclose((a + scalar).symbol(theta), a.symbol(theta) + alike * np.eye(3), atol=1e-11)


@settings(max_examples=25, deadline=None)
@given(numbers(), st.integers(-3, 3), st.integers(-3, 3))
def test_a_shift_moves_and_a_derivative_kills_constants(one: Numbers, i: int, j: int) -> None:
    (s,) = made(one)
    moved = s @ Stencil.shift((i, j))
    assert np.array_equal(moved.offsets, s.offsets + np.array([i, j]))
    assert np.array_equal(moved.weights, s.weights)
    assert (s @ Stencil.derivative((1, 2), 4, spacing=1.0)).moment((0, 0)) == pytest.approx(0, abs=1e-12)


def test_rotations_add_their_angles() -> None:
    one, two = (
        Stencil(np.array([[d]]), rotation(angle)[..., None], np.ones(1)) for d, angle in ((1, 0.3), (2, 0.4))
    )
    both = one @ two
    assert both.offsets.tolist() == [[3]]
    np.testing.assert_allclose(both.weights[..., 0], rotation(0.7), atol=1e-15)
    zero = Stencil(np.array([[3]]), np.array([0.0]), np.ones(1))
    s, c = (Stencil.shift(3) * float(f(0.7)) for f in (np.sin, np.cos))
    assert gap(Stencil.block([[c, -s], [s, c]]), both) < 1e-15
    assert gap(Stencil.block([[c, None], [None, c]]), c + both * 0) < 1e-15
    assert gap(both.component(0, 1), zero - s) < 1e-15


def test_numbers_of_any_kind_scale() -> None:
    s = line({0: 1.0, 1: 2.0})
    for scaled in (2 * s, s * 2, np.float64(2) * s, s / 0.5, np.int64(2) * s, -(-2 * s)):
        assert scaled.weights.tolist() == [2, 4]


def test_leading_axes() -> None:
    weights = np.array([[[1.0, 0.0], [2.0, 1e-9]], [[3.0, 0.0], [4.0, 0.0]]])
    s = Stencil(np.array([[0], [1]]), weights, np.ones((2, 2, 1)), ("layer", "head"))
    assert s.moment(0).shape == (2, 2)
    assert s.symbol(modes((5,))).shape == (2, 2, 5)
    assert s.isel(head=1, layer=0).weights.tolist() == [2, 1e-9]
    assert s.mean("layer").weights.tolist() == [[2, 0], [3, 5e-10]]
    assert (s.mean("layer").dims, s.mean("layer").spacing.shape) == (("head",), (2, 1))
    assert s.trimmed(1e-6).offsets.tolist() == [[0]]
    assert (s - s).trimmed().offsets.tolist() == [[0]]
    assert (s @ Stencil.shift(2)).dims == ("layer", "head")


ONE = line({0: 1.0, 1: 2.0}, h=0.5)
PAIR = Stencil.block([[ONE, ONE], [ONE, ONE]])
ROWS = Stencil(np.array([[0]]), np.ones((2, 1)), np.array([[1.0], [2.0]]), ("row",))
REFUSALS: dict[str, Callable[[], object]] = {
    "expected stencils of one spacing, got [0.5] and [1.0]: build both for": lambda: (
        ONE + Stencil.identity(1)
    ),
    "expected stencils over the same axes, got 1 and 2 dim": lambda: ONE @ Stencil.identity(2, 0.5),
    "of the same number of variables, got 2 and 3: build": lambda: PAIR + Stencil.block([[ONE] * 3] * 3),
    "expected a scalar stencil, got a system of 2 variables: take component": lambda: PAIR.cumulants(2),
    "expected a system stencil, got a scalar one: use it as it is": lambda: ONE.component(0, 0),
    "expected a multi-index of 1 numbers, got (1, 0): give one order": lambda: ONE.moment((1, 0)),
    "expected theta of shape (..., 1), got (3,): put the axes last": lambda: ONE.symbol(np.zeros(3)),
    "expected one stencil in 2 dimensions, got 1 dim": lambda: ONE.matrix(Grid.regular((3, 3))),
    "expected a square table of stencils, got [[": lambda: Stencil.block([[ONE, ONE]]),
    "expected weights (*lead, 2) or (*lead, C, C, 2) with 0 leading axes, got shape (4, 2): name every": (
        lambda: Stencil(ONE.offsets, np.ones((4, 2)), ONE.spacing)
    ),
    "expected offsets (K, d) of whole numbers, got shape (1, 1): give one row": (
        lambda: Stencil(np.array([[0.5]]), np.ones(1), ONE.spacing)
    ),
    "expected positive spacing of shape (1,) or one per leading axis, got [-1.0]: give one": (
        lambda: Stencil(ONE.offsets, ONE.weights, np.array([-1.0]))
    ),
    "expected one of the leading axes ('row',), got 'head': name one of those": lambda: ROWS.isel(head=0),
    "expected one spacing along 'row', got several: average moments or symbols": lambda: ROWS.mean("row"),
}


@pytest.mark.parametrize("sentence", REFUSALS)
def test_refusals(sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        REFUSALS[sentence]()
