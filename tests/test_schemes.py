"""Named schemes: closed-form symbols, cumulants and orders."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.grid import Grid
from gridvit.physics import (
    SCHEMES,
    AdvectionDiffusion,
    linear_scheme,
)

THETA = np.linspace(-np.pi, np.pi, 41)
TENSOR = ((0.12, 0.05), (0.05, 0.08))


def one_dimensional(name: str, c: float, r: float):
    """The scheme with Courant number c and diffusion number r, on spacing and step that are not one."""
    grid = Grid.regular(7, 3.5)
    return linear_scheme(name, AdvectionDiffusion(c * 0.5 / 0.1, r * 0.25 / 0.1), grid, 0.1)


SYMBOLS = {
    "ftcs": lambda c, r, t: 1 - 1j * c * np.sin(t) - 4 * r * np.sin(t / 2) ** 2,
    "upwind": lambda c, r, t: 1 - c * (1 - np.exp(-1j * t)) - 4 * r * np.sin(t / 2) ** 2,
    "lax-friedrichs": lambda c, r, t: np.cos(t) - 1j * c * np.sin(t) - 4 * r * np.sin(t / 2) ** 2,
    "lax-wendroff": lambda c, r, t: (
        1 - 1j * c * np.sin(t) - c**2 * (1 - np.cos(t)) - 4 * r * np.sin(t / 2) ** 2
    ),
    "beam-warming": lambda c, r, t: (
        1
        - c * (3 - 4 * np.exp(-1j * t) + np.exp(-2j * t)) / 2
        + c**2 * (1 - np.exp(-1j * t)) ** 2 / 2
        - 4 * r * np.sin(t / 2) ** 2
    ),
    "crank-nicolson": lambda c, r, t: (
        (1 - 1j * c / 2 * np.sin(t) - 2 * r * np.sin(t / 2) ** 2)
        / (1 + 1j * c / 2 * np.sin(t) + 2 * r * np.sin(t / 2) ** 2)
    ),
    "btcs": lambda c, r, t: 1 / (1 + 1j * c * np.sin(t) + 4 * r * np.sin(t / 2) ** 2),
    "exact": lambda c, r, t: np.exp(-1j * c * t - r * t**2),
}


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(("c", "r"), [(0.4, 0.0), (0.0, 0.3), (0.7, 0.11)])
def test_symbol_in_one_dimension(name, c, r):
    found = one_dimensional(name, c, r).symbol(THETA[:, None])
    np.testing.assert_allclose(found, SYMBOLS[name](c, r, THETA), atol=1e-13)


@pytest.mark.parametrize("name", ["upwind", "beam-warming"])
def test_one_sided_schemes_mirror_with_the_flow(name):
    there, back = one_dimensional(name, 0.4, 0.1), one_dimensional(name, -0.4, 0.1)
    np.testing.assert_allclose(back.symbol(THETA[:, None]), there.symbol(-THETA[:, None]), atol=1e-14)


def test_symbols_in_two_dimensions():
    grid, dt = Grid.regular((5, 7), (5.0, 14.0)), 0.3
    equation = AdvectionDiffusion((0.5, 0.8), TENSOR)
    cy, cx, ry, rx, rxy = 0.15, 0.12, 0.12 * dt, 0.08 * dt / 4, 0.05 * dt / 2
    theta = np.random.default_rng(0).uniform(-np.pi, np.pi, (3, 5, 2))
    y, x = theta[..., 0], theta[..., 1]
    diffuse = 4 * ry * np.sin(y / 2) ** 2 + 4 * rx * np.sin(x / 2) ** 2 + 2 * rxy * np.sin(y) * np.sin(x)
    carry = 1j * (cy * np.sin(y) + cx * np.sin(x))
    back_y, back_x = 1 - np.exp(-1j * y), 1 - np.exp(-1j * x)
    second = sum(c * (3 - 4 * np.exp(-1j * t) + np.exp(-2j * t)) / 2 for c, t in ((cy, y), (cx, x)))
    waves = cy**2 * (1 - np.cos(y)) + cx**2 * (1 - np.cos(x)) + cx * cy * np.sin(x) * np.sin(y)
    exact = np.exp(-1j * (cy * y + cx * x) - ry * y**2 - rx * x**2 - 2 * rxy * x * y)
    expected = {
        "ftcs": 1 - carry - diffuse,
        "upwind": 1 - cy * back_y - cx * back_x - diffuse,
        "lax-friedrichs": (np.cos(y) + np.cos(x)) / 2 - carry - diffuse,
        "lax-wendroff": 1 - carry - waves - diffuse,
        "beam-warming": 1 - second + (cy * back_y + cx * back_x) ** 2 / 2 - diffuse,
        "crank-nicolson": (1 - (carry + diffuse) / 2) / (1 + (carry + diffuse) / 2),
        "btcs": 1 / (1 + carry + diffuse),
        "exact": exact,
    }
    assert expected.keys() == SCHEMES.keys()
    for name, symbol in expected.items():
        found = linear_scheme(name, equation, grid, dt).symbol(theta)
        np.testing.assert_allclose(found, symbol, atol=1e-13, err_msg=name)


@pytest.mark.parametrize("c", [0.2, 0.7])
def test_cumulants_of_upwind_and_second_order_schemes(c):
    """SCIENCE 1, 2."""

    def cumulants(name):
        stencil = one_dimensional(name, c, 0.0).stencil()
        return [float(stencil.cumulant(n)) for n in range(4)]

    np.testing.assert_allclose(
        cumulants("upwind"), [0, -c, c * (1 - c), -c * (1 - c) * (1 - 2 * c)], atol=1e-14
    )
    np.testing.assert_allclose(cumulants("lax-wendroff"), [0, -c, 0, -c * (1 - c**2)], atol=1e-14)
    np.testing.assert_allclose(cumulants("beam-warming"), [0, -c, 0, c * (1 - c) * (2 - c)], atol=1e-14)


@pytest.mark.parametrize("r", [0.1, 1 / 6, 0.3])
def test_fourth_cumulant_of_ftcs_vanishes_at_one_sixth(r):
    """SCIENCE 3."""
    stencil = one_dimensional("ftcs", 0.0, r).stencil()
    assert float(stencil.cumulant(2)) == pytest.approx(2 * r)
    assert float(stencil.cumulant(4)) == pytest.approx(2 * r - 12 * r**2, abs=1e-14)


def test_moduli():
    """SCIENCE 5, 6."""
    t, c = THETA[:, None], 0.4
    upwind = np.abs(one_dimensional("upwind", c, 0).symbol(t)) ** 2
    np.testing.assert_allclose(upwind, 1 - 4 * c * (1 - c) * np.sin(THETA / 2) ** 2, atol=1e-14)
    wendroff = np.abs(one_dimensional("lax-wendroff", c, 0).symbol(t)) ** 2
    np.testing.assert_allclose(wendroff, 1 - 4 * c**2 * (1 - c**2) * np.sin(THETA / 2) ** 4, atol=1e-14)
    forward = np.abs(one_dimensional("ftcs", c, 0).symbol(t)) ** 2
    np.testing.assert_allclose(forward, 1 + c**2 * np.sin(THETA) ** 2, atol=1e-14)
    np.testing.assert_allclose(np.abs(one_dimensional("crank-nicolson", c, 0).symbol(t)), 1, atol=1e-14)


@pytest.mark.parametrize(
    ("name", "c", "r", "slope"),
    [
        ("upwind", 0.4, 0.0, 2),
        ("lax-friedrichs", 0.4, 0.0, 2),
        ("lax-wendroff", 0.4, 0.0, 3),
        ("beam-warming", 0.4, 0.0, 3),
        ("crank-nicolson", 0.4, 0.0, 3),
        ("btcs", 0.4, 0.0, 2),
        ("ftcs", 0.0, 0.3, 4),
        ("ftcs", 0.0, 1 / 6, 6),
        ("crank-nicolson", 0.0, 0.3, 4),
    ],
)
def test_order_shows_at_long_waves(name, c, r, slope):
    """SCIENCE 5."""
    theta = np.array([[0.1], [0.05]])
    scheme, exact = one_dimensional(name, c, r), one_dimensional("exact", c, r)
    error = np.abs(np.log(scheme.symbol(theta)) - np.log(exact.symbol(theta)))
    assert np.log2(error[0] / error[1]) == pytest.approx(slope, abs=0.02)
