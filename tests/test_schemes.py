"""Named schemes: closed-form symbols, cumulants and stability limits, and the steps they take."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    SCHEMES,
    Advection,
    AdvectionDiffusion,
    Burgers,
    Diffusion,
    linear_scheme,
    stable_step,
)
from gridvit.rollout import Step, repeat
from gridvit.stencil import modes

EXPLICIT = ("ftcs", "upwind", "lax-friedrichs", "lax-wendroff", "beam-warming")
DENSE = ("crank-nicolson", "btcs", "exact")
THETA = np.linspace(-np.pi, np.pi, 41)
TENSOR = ((0.12, 0.05), (0.05, 0.08))


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def one_dimensional(name: str, c: float, r: float):
    """The scheme with Courant number c and diffusion number r, on spacing and step that are not one."""
    grid = Grid.regular(7, 3.5)
    return linear_scheme(name, AdvectionDiffusion(c * 0.5 / 0.1, r * 0.25 / 0.1), grid, 0.1)


# -- symbols and cumulants

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
    stencil = one_dimensional("ftcs", 0.0, r).stencil()
    assert float(stencil.cumulant(2)) == pytest.approx(2 * r)
    assert float(stencil.cumulant(4)) == pytest.approx(2 * r - 12 * r**2, abs=1e-14)


def test_moduli():
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
    theta = np.array([[0.1], [0.05]])
    scheme, exact = one_dimensional(name, c, r), one_dimensional("exact", c, r)
    error = np.abs(np.log(scheme.symbol(theta)) - np.log(exact.symbol(theta)))
    assert np.log2(error[0] / error[1]) == pytest.approx(slope, abs=0.02)


# -- steps


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("shape", [(11,), (12,), (5, 8), (6, 7)])
def test_a_step_multiplies_waves_by_the_symbol(name, shape):
    grid = Grid.regular(shape)
    equation = AdvectionDiffusion(*((0.4, 0.1) if len(shape) == 1 else ((0.3, -0.4), TENSOR)))
    scheme, u = linear_scheme(name, equation, grid, 0.7), field(3, 1, *shape)
    axes = tuple(range(2, u.ndim))
    waves = np.fft.fftn(u.numpy(), axes=axes)
    expected = np.fft.ifftn(scheme.symbol(modes(shape)) * waves, axes=axes).real
    np.testing.assert_allclose(scheme(u).numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("shape", [(11,), (12,), (6, 7)])
def test_a_step_is_its_stencil(name, shape):
    grid = Grid.regular(shape)
    equation = AdvectionDiffusion(*((0.4, 0.1) if len(shape) == 1 else ((0.3, -0.4), TENSOR)))
    scheme, u = linear_scheme(name, equation, grid, 0.7), field(1, 1, *shape)
    expected = scheme.stencil().matrix(grid) @ u.flatten().numpy()
    np.testing.assert_allclose(scheme(u).flatten().numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("n", [11, 12])
def test_implicit_steps_solve_their_linear_systems(n):
    grid, dt, eye = Grid.regular(n, 3.0), 0.2, np.eye(n)
    equation = AdvectionDiffusion(0.8, 0.3)
    operator, u = equation.operator(grid).matrix(grid).toarray(), field(2, 1, n)
    for name, left, right in (
        ("btcs", eye - dt * operator, eye),
        ("crank-nicolson", eye - dt / 2 * operator, eye + dt / 2 * operator),
    ):
        expected = np.linalg.solve(left, right @ u[:, 0].numpy().T).T
        found = linear_scheme(name, equation, grid, dt)(u)[:, 0].numpy()
        np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("n", [11, 12])
def test_backward_euler_row_is_a_softmax_of_log_cosh(n):
    r = 0.6
    m = 2 * np.arcsinh(1 / (2 * np.sqrt(r)))
    assert r == pytest.approx(1 / (4 * np.sinh(m / 2) ** 2))
    scheme = linear_scheme("btcs", Diffusion(r), Grid.regular(n), 1.0)
    kernel = np.cosh(m * (n / 2 - np.arange(n)))
    row = scheme.stencil().matrix(scheme.grid).toarray()[0]
    np.testing.assert_allclose(row, kernel / kernel.sum(), rtol=1e-12)


def test_backward_euler_in_open_space_decays_geometrically():
    r = 0.6
    rho = (1 + 2 * r - np.sqrt(1 + 4 * r)) / (2 * r)
    stencil = linear_scheme("btcs", Diffusion(r), Grid.regular(101), 1.0).stencil()
    expected = rho ** np.abs(stencil.offsets[:, 0]) / np.sqrt(1 + 4 * r)
    np.testing.assert_allclose(stencil.weights, expected, atol=1e-15)


def test_exact_step_carries_and_damps_a_wave():
    grid = Grid.regular((16, 15), (2 * np.pi, 2 * np.pi))
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    step = linear_scheme("exact", AdvectionDiffusion((0.5, -1.0), TENSOR), grid, 0.9)
    after = step(torch.from_numpy(np.sin(2 * x + y))[None, None])[0, 0].numpy()
    decay = np.exp(-0.9 * (0.12 + 4 * 0.05 + 4 * 0.08))
    np.testing.assert_allclose(after, decay * np.sin(2 * (x + 0.9) + (y - 0.45)), atol=1e-13)


def test_exact_shift_by_whole_cells():
    grid = Grid.regular((5, 7))
    u = field(1, 1, 5, 7)
    moved = linear_scheme("exact", Advection((1.0, -2.0)), grid, 1.0)(u)
    torch.testing.assert_close(moved, torch.roll(u, (1, -2), (2, 3)))


@pytest.mark.parametrize("name", ["upwind", "lax-friedrichs", "lax-wendroff"])
def test_courant_number_one_shifts_by_a_cell(name):
    u = field(1, 1, 11)
    torch.testing.assert_close(
        linear_scheme(name, Advection(2.0), Grid.regular(11), 0.5)(u), torch.roll(u, 1, 2)
    )


def test_shortest_wave_keeps_the_average_of_its_aliases():
    c = 0.3
    scheme = linear_scheme("exact", Advection(c), Grid.regular(8), 1.0)
    u = torch.tensor([1.0, -1.0] * 4, dtype=torch.float64)[None, None]
    torch.testing.assert_close(scheme(u), np.cos(c * np.pi) * u)
    average = (scheme.symbol(np.array([[np.pi]])) + scheme.symbol(np.array([[-np.pi]]))) / 2
    assert scheme.stencil().symbol(np.array([[np.pi]])) == pytest.approx(average)


@pytest.mark.parametrize("name", SCHEMES)
def test_mass_is_conserved(name):
    u = field(2, 1, 6, 7)
    after = linear_scheme(name, AdvectionDiffusion((0.3, -0.4), TENSOR), Grid.regular((6, 7)), 0.7)(u)
    torch.testing.assert_close(after.sum((2, 3)), u.sum((2, 3)))


@pytest.mark.parametrize("name", SCHEMES)
def test_steps_are_steps_and_keep_precision(name):
    step = linear_scheme(name, AdvectionDiffusion(0.4, 0.1), Grid.regular(11), 1)
    assert isinstance(step, Step)
    assert (step.name, step.variables) == (name, ("u",))
    u = field(2, 1, 11)
    single = step(u.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), step(u), atol=1e-6, rtol=0)


@pytest.mark.parametrize(
    ("name", "order", "power"),
    [
        ("upwind", 1, 1),
        ("lax-friedrichs", 1, 1),
        ("lax-wendroff", 2, 1),
        ("beam-warming", 2, 1),
        ("crank-nicolson", 2, 1),
        ("ftcs", 2, 2),
        ("btcs", 2, 2),
    ],
)
def test_refined_together_the_error_falls_with_the_order(name, order, power):
    """dt ~ h^power: advection at fixed Courant number, or advection-diffusion at fixed diffusion number."""
    equation = Advection(1.0) if power == 1 else AdvectionDiffusion(1.0, 0.5)
    errors = []
    for n in (32, 64):
        grid = Grid.regular(n, 2 * np.pi)
        steps = 10 * (n // 32) ** power
        u = torch.from_numpy(np.sin(grid.centers[0]))[None, None]
        exact = linear_scheme("exact", equation, grid, 0.3)(u)
        errors.append(
            float((repeat(linear_scheme(name, equation, grid, 0.3 / steps), u, steps) - exact).abs().max())
        )
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.12)


def test_walls_of_explicit_schemes():
    grid = Grid.regular(3, periodic=False)
    cold = linear_scheme("ftcs", Diffusion(0.25), grid, 1.0, "dirichlet")
    assert cold(torch.tensor([[[4.0, 8.0, 0.0]]])).flatten().tolist() == [3.0, 5.0, 2.0]


# -- stability


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(
    "equation", [Advection(1.5), Diffusion(0.4), AdvectionDiffusion(1.5, 0.4), AdvectionDiffusion(-1.5, 0.02)]
)
def test_stable_steps_in_one_dimension(name, equation):
    h = 0.5
    velocity, tensor = equation.coefficients(1)
    speed, d = abs(velocity[0]), tensor[0, 0]
    inf = float("inf")
    diffusive = min(h**2 / (2 * d), 2 * d / speed**2 if speed else inf) if d else 0.0
    expected = {
        "ftcs": diffusive,
        "upwind": 1 / (speed / h + 2 * d / h**2),
        "lax-friedrichs": 0.0 if d else h / speed,
        "crank-nicolson": inf,
        "btcs": inf,
        "exact": inf,
    }
    if not d:
        expected |= {"lax-wendroff": h / speed, "beam-warming": 2 * h / speed}
    if not speed:
        expected |= {"lax-wendroff": diffusive, "beam-warming": diffusive}
    found = stable_step(name, equation, Grid.regular(7, 3.5))
    assert found == pytest.approx(expected.get(name, found), rel=1e-4)
    assert found == inf or found < 10


def test_lax_wendroff_with_diffusion_pays_for_it():
    """1-D: |G| <= 1 at theta = pi asks 2 c^2 + 4 r <= 2."""
    h, a, d = 0.5, 1.5, 0.4
    dt = stable_step("lax-wendroff", AdvectionDiffusion(a, d), Grid.regular(7, 3.5))
    assert 2 * (a * dt / h) ** 2 + 4 * d * dt / h**2 == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_stable_steps_of_advection_in_two_dimensions(ratio):
    grid = Grid.regular((5, 7), (5.0, 14.0))
    speeds = (1.0, -2.0 * ratio)
    limits = {
        "upwind": 1 / (1 + ratio),
        "lax-friedrichs": np.sqrt(1 / (2 * (1 + ratio**2))),
        "lax-wendroff": (1 + ratio ** (2 / 3)) ** -1.5,
        "beam-warming": 2 / (1 + ratio),
        "ftcs": 0.0,
    }
    for name, limit in limits.items():
        assert stable_step(name, Advection(speeds), grid) == pytest.approx(limit, rel=3e-3), name


def test_stable_step_of_diffusion_in_two_dimensions():
    grid = Grid.regular((5, 7), (5.0, 14.0))
    dt = stable_step("ftcs", Diffusion((0.3, 0.8)), grid)
    assert dt * (0.3 + 0.8 / 4) == pytest.approx(0.5, rel=1e-5)


def test_steps_within_the_limit_decay_and_beyond_it_grow():
    grid, equation = Grid.regular(12), AdvectionDiffusion(0.5, 0.3)
    u = field(1, 1, 12)
    for name in ("ftcs", "upwind", "lax-wendroff", "beam-warming"):
        dt = stable_step(name, equation, grid)
        assert repeat(linear_scheme(name, equation, grid, 0.99 * dt), u, 60).abs().max() < 3
        assert repeat(linear_scheme(name, equation, grid, 1.5 * dt), u, 60).abs().max() > 1e3


def test_nothing_to_do_is_always_stable():
    assert stable_step("ftcs", AdvectionDiffusion(0.0, 0.0), Grid.regular(7)) == float("inf")


# -- refusals


@pytest.mark.parametrize("name", DENSE)
def test_implicit_and_exact_schemes_need_periodic_axes(name):
    scheme = linear_scheme(name, Diffusion(0.1), Grid.regular((5, 7), periodic=(True, False)), 1.0)
    with pytest.raises(
        InputError, match=f"expected periodic axes for the scheme {name}, got .*: take an explicit scheme"
    ):
        scheme(torch.zeros(1, 1, 5, 7))
    with pytest.raises(InputError, match="expected periodic axes"):
        scheme.stencil()


@pytest.mark.parametrize("name", ["ftcs", "exact"])
def test_a_state_of_another_grid_is_refused(name):
    scheme = linear_scheme(name, Diffusion(0.1), Grid.regular(5), 1.0)
    with pytest.raises(InputError, match=r"expected a field .* on the grid, got a tensor of shape"):
        scheme(torch.zeros(1, 1, 6))


def test_refusals_of_names_and_equations():
    grid = Grid.regular(5)
    with pytest.raises(
        InputError, match=r"expected one of the schemes ftcs, .*, got 'lax-wendrof': use 'lax-wendroff'"
    ):
        linear_scheme("lax-wendrof", Diffusion(0.1), grid, 1.0)
    with pytest.raises(
        InputError, match="expected a linear equation for a named scheme, got Burgers: solve it by"
    ):
        linear_scheme("ftcs", Burgers(0.1), grid, 1.0)
    with pytest.raises(InputError, match="expected a linear equation"):
        stable_step("ftcs", Burgers(0.1), grid)
    with pytest.raises(InputError, match="expected a positive time step, got dt=0"):
        linear_scheme("ftcs", Diffusion(0.1), grid, 0)
