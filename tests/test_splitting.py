"""Exponential and implicit steps: coefficients, orders, exact solutions, walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    SPLITTINGS,
    AdvectionDiffusion,
    AllenCahn,
    Burgers,
    DamBreak,
    Diffusion,
    FitzHughNagumo,
    KortewegDeVries,
    ShallowWater,
    Solver,
    Wave,
    linear_scheme,
)
from gridvit.physics.splitting import ARS222, ARS443, phi_functions, split_factor
from gridvit.rollout import Step, repeat
from gridvit.stencil import modes

ORDERS = {"etdrk4": 4, "ars222": 2, "ars443": 3}


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(8).standard_normal(shape))


def waves(grid: Grid, count: int = 1) -> torch.Tensor:
    phases = [2 * np.pi * c / length for c, length in zip(grid.centers, grid.lengths, strict=True)]
    mesh = np.meshgrid(*phases, indexing="ij")
    fields = [0.4 * sum(np.sin(p + i) for p in mesh) + 0.2 * np.cos(sum(mesh) - i) for i in range(count)]
    return torch.from_numpy(np.stack(fields))[None]


def test_phi_functions_by_hand():
    """phi_1(-1) = 1 - 1/e, phi_2(-1) = 1/e, phi_3(-1) = 1/2 - 1/e; phi_j(0) = 1 / j!."""
    e = np.exp(-1)
    found = np.ravel(phi_functions(np.array([[-1.0 + 0j]]), 3))
    np.testing.assert_allclose(found, [e, 1 - e, e, 0.5 - e], rtol=1e-14)
    np.testing.assert_allclose(np.ravel(phi_functions(np.array([[0j]]), 3)), [1, 1, 1 / 2, 1 / 6], rtol=1e-15)


@pytest.mark.parametrize("z", [1e-6, -1e-6, 1e-3j, -1e6])
def test_phi_functions_keep_their_digits(z):
    """By Taylor's series where z is small, by the leading terms where it is large and negative."""
    series = [sum(z**n / float(np.prod(range(1, n + j + 1))) for n in range(8)) for j in range(4)]
    large = [0, -1 / z, -1 / z - 1 / z**2, -1 / (2 * z) - 1 / z**2 - 1 / z**3]
    found = np.ravel(phi_functions(np.array([[complex(z)]]), 3))
    np.testing.assert_allclose(found, series if abs(z) < 1 else large, rtol=1e-13, atol=0)


def test_phi_functions_of_a_rotation():
    """exp of [[0, 1], [-1, 0]] t turns by t, and phi_1 is its mean over the time."""
    t = 0.7
    turn, mean = phi_functions(t * np.array([[0, 1], [-1, 0]]) + 0j, 1)
    np.testing.assert_allclose(turn, [[np.cos(t), np.sin(t)], [-np.sin(t), np.cos(t)]], atol=1e-15)
    expected = np.array([[np.sin(t), 1 - np.cos(t)], [np.cos(t) - 1, np.sin(t)]]) / t
    np.testing.assert_allclose(mean, expected, atol=1e-15)


@pytest.mark.parametrize("pair", [ARS222, ARS443])
def test_rows_of_a_pair_have_the_same_nodes(pair):
    for explicit, implicit in zip(pair.explicit, pair.implicit, strict=True):
        assert sum(explicit) == pytest.approx(sum(implicit))
    assert sum(pair.explicit[-1]) == pytest.approx(1)
    assert len({row[-1] for row in pair.implicit}) == 1


@pytest.mark.parametrize("accuracy", [2, 4, "spectral"])
@pytest.mark.parametrize("shape", [(11,), (6, 7)])
def test_exponential_step_of_a_linear_equation_is_exact(accuracy, shape):
    equation = AdvectionDiffusion(*((0.4, 0.1) if len(shape) == 1 else ((0.3, -0.4), 0.2)))
    grid, u = Grid.regular(shape), noise(2, 1, *shape)
    found = Solver(equation, grid, 1.5, "etdrk4", accuracy=accuracy)(u)
    many = Solver(equation, grid, 1.5, "rk4", substeps=80, accuracy=accuracy)(u)
    torch.testing.assert_close(found, many, atol=1e-8, rtol=0)


@pytest.mark.parametrize("shape", [(11,), (5, 7)])
def test_spectral_exponential_step_is_the_exact_scheme(shape):
    equation = AdvectionDiffusion(*((0.4, 0.1) if len(shape) == 1 else ((0.3, -0.4), 0.2)))
    grid, u = Grid.regular(shape), noise(2, 1, *shape)
    found = Solver(equation, grid, 2.0, "etdrk4", accuracy="spectral")(u)
    torch.testing.assert_close(found, linear_scheme("exact", equation, grid, 2.0)(u))


@pytest.mark.parametrize("name", SPLITTINGS)
@pytest.mark.parametrize("shape", [(11,), (12,), (6, 7)])
def test_solver_multiplies_waves_by_its_symbol(name, shape):
    grid, u = Grid.regular(shape), noise(2, 1, *shape)
    solver = Solver(Diffusion(0.4), grid, 0.8, name, substeps=3, accuracy=4)
    axes = tuple(range(2, u.ndim))
    expected = np.fft.ifftn(solver.symbol(modes(shape)) * np.fft.fftn(u.numpy(), axes=axes), axes=axes).real
    np.testing.assert_allclose(solver(u).numpy(), expected, atol=1e-13)


@pytest.mark.parametrize("name", ["ars222", "ars443"])
def test_implicit_steps_damp_the_stiffest_waves(name):
    """L-stable: P(z) -> 0 as z -> -inf, and never grows on the way."""
    solver = Solver(Diffusion(1.0), Grid.regular(8), 1e6, name)
    factor = np.abs(solver.symbol(np.linspace(0.1, np.pi, 9)[:, None]))
    assert factor.max() < 1e-3
    assert np.abs(Solver(Diffusion(1.0), Grid.regular(8), 3.0, name).symbol(modes((40,)))).max() <= 1 + 1e-14


def test_ars222_amplification_by_hand():
    """P(z) = (1 + (1 - 2 g) z) / (1 - g z)^2 with g = 1 - 1 / sqrt(2)."""
    g, theta = 1 - 0.5**0.5, modes((9,))
    z = -4 * 0.7 * np.sin(theta[:, 0] / 2) ** 2
    found = Solver(Diffusion(0.7), Grid.regular(9), 1.0, "ars222").symbol(theta)
    np.testing.assert_allclose(found, (1 + (1 - 2 * g) * z) / (1 - g * z) ** 2, atol=1e-15)


@pytest.mark.parametrize("name", SPLITTINGS)
@pytest.mark.parametrize(
    ("equation", "size"),
    [
        (Burgers(0.2, "central"), (16,)),
        (KortewegDeVries(0.1), (16,)),
        (AllenCahn(0.5, 1.0), (7, 8)),
        (FitzHughNagumo(0.5, 0.1, 0.3), (16,)),
        (ShallowWater(1.0, 1.0, 0.5, viscosity=0.1), (7, 8)),
    ],
)
def test_order_in_time(name, equation, size):
    """Against RK4 with short steps on the same differences."""
    grid = Grid.regular(size, [0.5 * n for n in size])
    u = waves(grid, len(equation.variables(grid.ndim)))
    exact = Solver(equation, grid, 0.4, "rk4", substeps=80)(u)
    steps = (4, 8) if name == "etdrk4" else (16, 32)
    errors = [float((Solver(equation, grid, 0.4, name, n)(u) - exact).abs().max()) for n in steps]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(ORDERS[name], abs=0.35)


@pytest.mark.parametrize("name", SPLITTINGS)
@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_between_walls_each_eigenvector_of_the_matrix_has_its_factor(name, boundary, accuracy):
    grid, equation = Grid.regular((5, 4), (5.0, 2.0), periodic=(False, True)), Diffusion(0.3)
    solver = Solver(equation, grid, 0.9, name, accuracy=accuracy, boundary=boundary)
    matrix = equation.operator(grid, accuracy).matrix(grid, boundary).toarray()
    rates, vectors = np.linalg.eigh(matrix)
    expected = vectors @ np.diag(split_factor(name, 0.9 * rates + 0j)) @ vectors.T
    u = noise(1, 1, 5, 4)
    np.testing.assert_allclose(solver(u).numpy().ravel(), expected.real @ u.numpy().ravel(), atol=1e-13)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann"])
def test_walls_agree_with_explicit_steps(boundary):
    grid, u = Grid.regular((7, 6), (7.0, 3.0), periodic=(False, True)), noise(2, 1, 7, 6)
    found = Solver(AllenCahn(0.3, 1.0), grid, 0.2, "etdrk4", 40, boundary=boundary)(u)
    explicit = Solver(AllenCahn(0.3, 1.0), grid, 0.2, "rk4", 60, boundary=boundary)(u)
    torch.testing.assert_close(found, explicit, atol=1e-7, rtol=0)


@pytest.mark.parametrize("periodic", [(False, True), (False, False)])
def test_slip_walls_agree_with_explicit_steps(periodic):
    """Gravity waves lead from even to odd fields and back, so that the mirror image stays one."""
    grid = Grid.regular((7, 6), periodic=periodic)
    u = 0.1 * noise(2, 3, 7, 6)
    equation = ShallowWater(coriolis=0.6, viscosity=0.05)
    found = Solver(equation, grid, 0.2, "etdrk4", 10, boundary="wall")(u)
    explicit = Solver(equation, grid, 0.2, "rk4", 40, boundary="wall")(u)
    torch.testing.assert_close(found, explicit, atol=1e-7, rtol=0)


def test_split_steps_are_steps():
    solver = Solver(Wave(), Grid.regular((5, 7)), 1, "etdrk4")
    assert isinstance(solver, Step)
    u = noise(2, 2, 5, 7)
    single = solver(u.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), solver(u), atol=1e-5, rtol=0)
    torch.testing.assert_close(Solver(Wave(), solver.grid, 3.0, "etdrk4", 3)(u), repeat(solver, u, 3))


def test_refusals():
    bounded = Grid.regular(8, periodic=False)
    with pytest.raises(
        InputError,
        match="expected an equation with a linear part for etdrk4, ars222, ars443, got DamBreak: take an explicit tab",
    ):
        Solver(DamBreak(), bounded, 0.1, "etdrk4")(torch.ones(1, 2, 8))
    with pytest.raises(
        InputError,
        match="expected a periodic axis x: KortewegDeVries has odd derivatives along it, got the boundary 'neumann': ",
    ):
        Solver(KortewegDeVries(), bounded, 0.1, "etdrk4", boundary="neumann")(torch.ones(1, 1, 8))
    with pytest.raises(InputError, match="expected periodic axes or reflecting walls for Fourier space"):
        Solver(AllenCahn(), bounded, 0.1, "etdrk4")(torch.ones(1, 1, 8))
    with pytest.raises(
        InputError, match="expected the variables u, v of Wave in 1 dimensions, got 1: give them as"
    ):
        Solver(Wave(), Grid.regular(8), 0.1, "etdrk4")(torch.ones(1, 1, 8))


def test_exponentials_do_not_know_of_their_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are worked out some at a time, for their memory."""
    z = np.random.default_rng(3).standard_normal((7, 5, 2, 2)).astype(np.complex128)
    whole = phi_functions(z, 3)
    monkeypatch.setattr("gridvit.physics.splitting.MATRICES", 4)
    for few, many in zip(phi_functions(z, 3), whole, strict=True):
        np.testing.assert_array_equal(few, many)
