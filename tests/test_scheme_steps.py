"""The steps of the named schemes: against symbols, stencils, dense solves and exact solutions."""

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
)
from gridvit.rollout import Step, repeat
from gridvit.stencil import modes

DENSE = ("crank-nicolson", "btcs", "exact")
TENSOR = ((0.12, 0.05), (0.05, 0.08))


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


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
    """SCIENCE 6."""
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
    """SCIENCE 8."""
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
    with pytest.raises(InputError, match="expected a positive time step, got dt=0"):
        linear_scheme("ftcs", Diffusion(0.1), grid, 0)
