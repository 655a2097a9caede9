"""Runge-Kutta methods and the solver: orders, exact solutions, and an independent library."""

from __future__ import annotations

import numba
import numpy as np
import pde
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import TABLEAUX, AdvectionDiffusion, Burgers, Diffusion, Solver, linear_scheme
from gridvit.rollout import Step, repeat, rollout
from gridvit.stencil import modes

TENSOR = ((0.12, 0.05), (0.05, 0.08))


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def smooth(grid: Grid) -> torch.Tensor:
    """A few long waves (1, 1, *space)."""
    phases = [2 * np.pi * (c - c[0]) / length for c, length in zip(grid.centers, grid.lengths, strict=True)]
    mesh = np.meshgrid(*phases, indexing="ij")
    u = 0.3 + sum(np.sin(p) + 0.5 * np.cos(2 * p + 1) for p in mesh) + np.sin(sum(mesh))
    return torch.from_numpy(u)[None, None]


# -- tableaux


@pytest.mark.parametrize("name", TABLEAUX)
def test_order_on_an_ordinary_equation(name):
    """The logistic equation u' = u - u^2 with u = 1 / (1 + (1/u0 - 1) e^{-t})."""
    start = torch.tensor([[[0.2, 0.7, 1.6]]], dtype=torch.float64)
    exact = 1 / (1 + (1 / start - 1) * np.exp(-1.0))
    errors = []
    for steps in (16, 32):
        u = start
        for _ in range(steps):
            u = TABLEAUX[name].advance(lambda v: v - v**2, u, 1 / steps)
        errors.append(float((u - exact).abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(TABLEAUX[name].order, abs=0.15)


@pytest.mark.parametrize("name", TABLEAUX)
def test_rows_are_consistent(name):
    """sum_i b_i c_i^n = 1 / (n + 1) for n below the order, c_i = sum_j a_ij."""
    tableau = TABLEAUX[name]
    nodes, b = np.array([sum(row) for row in tableau.a]), np.array(tableau.b)
    for power in range(tableau.order):
        assert b @ nodes**power == pytest.approx(1 / (power + 1))
    assert [len(row) for row in tableau.a] == list(range(len(b)))


@pytest.mark.parametrize("name", TABLEAUX)
def test_amplification_is_the_truncated_exponential(name):
    """Each of these has as many stages as its order, so P(z) = sum_{n <= p} z^n / n!."""
    z = np.array([0.3 + 0.4j, -1.0, 2j])
    terms = [1, z, z**2 / 2, z**3 / 6, z**4 / 24]
    expected = sum(terms[: TABLEAUX[name].order + 1])
    np.testing.assert_allclose(TABLEAUX[name].amplification(z), expected, rtol=1e-14)


# -- linear


@pytest.mark.parametrize("name", TABLEAUX)
@pytest.mark.parametrize("shape", [(11,), (6, 7)])
def test_solver_multiplies_waves_by_its_symbol(name, shape):
    grid = Grid.regular(shape)
    equation = AdvectionDiffusion(*((0.4, 0.1) if len(shape) == 1 else ((0.3, -0.4), TENSOR)))
    solver, u = Solver(equation, grid, 0.8, name, substeps=3, accuracy=4), field(2, 1, *shape)
    axes = tuple(range(2, u.ndim))
    expected = np.fft.ifftn(solver.symbol(modes(shape)) * np.fft.fftn(u.numpy(), axes=axes), axes=axes).real
    np.testing.assert_allclose(solver(u).numpy(), expected, atol=1e-13)


def test_euler_is_ftcs():
    grid, equation, u = Grid.regular((5, 8)), AdvectionDiffusion((0.3, -0.4), TENSOR), field(1, 1, 5, 8)
    torch.testing.assert_close(
        Solver(equation, grid, 0.5, "euler")(u), linear_scheme("ftcs", equation, grid, 0.5)(u)
    )


@pytest.mark.parametrize("accuracy", [2, 4, 6])
def test_order_in_space(accuracy):
    equation = AdvectionDiffusion((1.0, -0.5), TENSOR)
    errors = []
    for n in (24, 48):
        grid = Grid.regular((n, n - 1), (6.0, 5.0))
        exact = linear_scheme("exact", equation, grid, 0.05)(smooth(grid))
        solver = Solver(equation, grid, 0.05, "rk4", substeps=8, accuracy=accuracy)
        errors.append(float((solver(smooth(grid)) - exact).abs().max()))
    assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.2)


@pytest.mark.parametrize("name", TABLEAUX)
def test_order_in_time(name):
    """Against the exponential of the same spatial operator."""
    grid, equation = Grid.regular(16, 6.0), AdvectionDiffusion(0.7, 0.1)
    theta = modes((16,))
    exact = np.exp(0.8 * equation.operator(grid).symbol(theta))
    errors = [np.abs(Solver(equation, grid, 0.8, name, n).symbol(theta) - exact).max() for n in (16, 32)]
    assert np.log2(errors[0] / errors[1]) == pytest.approx(TABLEAUX[name].order, abs=0.2)


@pytest.mark.parametrize("name", ["ssprk3", "rk4"])
@pytest.mark.parametrize("equation", [((1.0, -2.0), 0), ((0, 0), TENSOR), ((1.0, -2.0), TENSOR)])
def test_stable_step_of_the_equation_holds_for_higher_orders(name, equation):
    grid, equation = Grid.regular((8, 6)), AdvectionDiffusion(*equation)
    solver = Solver(equation, grid, equation.stable_step(grid), name)
    assert np.abs(solver.symbol(modes((32, 34)))).max() <= 1 + 1e-12


# -- Burgers


def cole_hopf(x: np.ndarray, t: float, viscosity: float) -> np.ndarray:
    """u = -2 nu phi_x / phi with phi = 1 + e^{-nu t} cos(x) / 2, which solves the heat equation."""
    wave = 0.5 * np.exp(-viscosity * t)
    return 2 * viscosity * wave * np.sin(x) / (1 + wave * np.cos(x))


@pytest.mark.parametrize(
    ("flux", "accuracy", "order"), [("engquist-osher", 2, 1), ("central", 2, 2), ("central", 4, 4)]
)
def test_burgers_converges_to_the_cole_hopf_solution(flux, accuracy, order):
    errors = []
    for n in (32, 64):
        grid = Grid.regular(n, 2 * np.pi)
        x = grid.centers[0]
        solver = Solver(Burgers(0.2, flux), grid, 0.5, substeps=n // 2, accuracy=accuracy)
        after = solver(torch.from_numpy(cole_hopf(x, 0.0, 0.2))[None, None])[0, 0].numpy()
        errors.append(np.abs(after - cole_hopf(x, 0.5, 0.2)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("name", ["euler", "heun", "ssprk3"])
def test_fronts_make_no_new_extrema(name):
    grid = Grid.regular(31, 1.0)
    u = field(2, 1, 31).sign()
    equation = Burgers(0.01)
    after = rollout(Solver(equation, grid, equation.stable_step(grid), name), u, 40)
    assert after.abs().max() <= 1 + 1e-12
    spread = (after - after.roll(1, -1)).abs().sum(-1)[:, :, 0]
    assert (spread.diff(dim=1) <= 1e-12).all()


def test_jacobian_of_an_engquist_osher_step():
    """J(i, i-1) = k max(u_{i-1}, 0), J(i, i+1) = -k min(u_{i+1}, 0), J(i, i) = 1 - k |u_i|."""
    n, dt = 7, 0.1
    grid = Grid.regular(n, 3.5)
    step, u, k = Solver(Burgers(0.0), grid, dt, "euler"), field(n), dt / 0.5
    jacobian = torch.autograd.functional.jacobian(lambda v: step(v[None, None])[0, 0], u)
    expected = torch.diag(1 - k * u.abs())
    for i in range(n):
        expected[i, (i - 1) % n] = k * u[(i - 1) % n].clamp(min=0)
        expected[i, (i + 1) % n] = -k * u[(i + 1) % n].clamp(max=0)
    torch.testing.assert_close(jacobian, expected)
    torch.testing.assert_close(jacobian.sum(0), torch.ones(n, dtype=torch.float64))


@pytest.mark.parametrize("flux", ["engquist-osher", "central"])
def test_mass_is_conserved(flux):
    u = field(3, 1, 13) + 0.3
    after = repeat(Solver(Burgers(0.1, flux), Grid.regular(13, 13.0), 0.1), u, 20)
    torch.testing.assert_close(after.sum(-1), u.sum(-1))
    assert (after - u).abs().max() > 0.1


def test_single_precision_follows_double():
    solver, u = Solver(Burgers(0.1), Grid.regular((5, 7)), 0.2), field(3, 2, 5, 7)
    single = solver(u.float())
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), solver(u), atol=1e-5, rtol=0)


# -- an independent library


@pytest.fixture
def interpreted(monkeypatch):
    """py-pde compiles its stencils by numba, which takes a minute; a few steps need no compiler."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)


def by_pde(
    equations: dict[str, str], states: list[np.ndarray], grid: Grid, dt: float, steps: int
) -> list[np.ndarray]:
    """The final fields of py-pde's own grid, differences and RK4."""
    mesh = pde.CartesianGrid([(0, length) for length in grid.lengths], grid.shape, periodic=True)
    start = pde.FieldCollection([pde.ScalarField(mesh, u) for u in states])
    end = pde.PDE(equations).solve(
        start, dt * steps, dt, tracker=None, solver="runge-kutta", adaptive=False, backend="numpy"
    )
    return [part.data for part in end]


@pytest.mark.usefixtures("interpreted")
def test_agrees_with_py_pde_on_advection_diffusion():
    line = Grid.regular(23, 6.0)
    ours = Solver(AdvectionDiffusion(0.7, 0.1), line, 0.2, substeps=4)(smooth(line))
    (theirs,) = by_pde({"u": "-0.7*d_dx(u) + 0.1*laplace(u)"}, [smooth(line)[0, 0].numpy()], line, 0.05, 4)
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_agrees_with_py_pde_in_two_dimensions():
    plane = Grid.regular((13, 16), (5.0, 6.0))
    ours = Solver(AdvectionDiffusion((0.7, -0.4), 0.1), plane, 0.2, substeps=4)(smooth(plane))
    equation = {"u": "-0.7*d_dx(u) + 0.4*d_dy(u) + 0.1*laplace(u)"}
    (theirs,) = by_pde(equation, [smooth(plane)[0, 0].numpy()], plane, 0.05, 4)
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_agrees_with_py_pde_on_burgers():
    line = Grid.regular(23, 6.0)
    ours = Solver(Burgers(0.2, "central"), line, 0.2, substeps=4)(smooth(line))
    equation = {"u": "-d_dx(u**2)/2 + 0.2*laplace(u)"}
    (theirs,) = by_pde(equation, [smooth(line)[0, 0].numpy()], line, 0.05, 4)
    np.testing.assert_allclose(ours[0, 0].numpy(), theirs, atol=1e-12)


@pytest.mark.usefixtures("interpreted")
def test_agrees_with_py_pde_on_burgers_in_two_dimensions():
    plane = Grid.regular((13, 16), (5.0, 6.0))
    u, v = smooth(plane)[0, 0].numpy(), 0.5 * smooth(plane).flip(2)[0, 0].numpy()
    ours = Solver(Burgers(0.2, "central"), plane, 0.1, substeps=4)(torch.from_numpy(np.stack([u, v]))[None])
    # Its first axis is called x; ours carries v along the first axis and u along the last.
    equations = {
        "u": "-d_dy(u**2)/2 - v*d_dx(u) + 0.2*laplace(u)",
        "v": "-d_dx(v**2)/2 - u*d_dy(v) + 0.2*laplace(v)",
    }
    theirs = by_pde(equations, [u, v], plane, 0.025, 4)
    np.testing.assert_allclose(ours[0].numpy(), theirs, atol=1e-12)


# -- the step


def test_solver_is_a_step():
    solver = Solver(Burgers(0.1), Grid.regular((5, 7)), 1)
    assert isinstance(solver, Step)
    assert solver.variables == ("u", "v")


def test_substeps_are_shorter_steps():
    grid, equation, u = Grid.regular(11), Burgers(0.1), field(1, 1, 11)
    whole = Solver(equation, grid, 0.6, substeps=3)(u)
    torch.testing.assert_close(whole, repeat(Solver(equation, grid, 0.2), u, 3))


def test_a_large_batch_is_stepped_in_blocks(monkeypatch):
    grid, u = Grid.regular((5, 7)), field(5, 2, 5, 7)
    solver = Solver(Burgers(0.1), grid, 0.2, substeps=2)
    whole = solver(u)
    monkeypatch.setattr("gridvit.physics.solve.BLOCK", 150)
    torch.testing.assert_close(solver(u), whole, atol=0, rtol=0)


def test_warmth_leaves_through_cold_walls_only():
    grid, u = Grid.regular(11, periodic=False), field(1, 1, 11).abs()
    kept = repeat(Solver(Diffusion(0.2), grid, 1.0, boundary="neumann"), u, 30)
    torch.testing.assert_close(kept.sum(), u.sum())
    assert repeat(Solver(Diffusion(0.2), grid, 1.0, boundary="dirichlet"), u, 30).sum() < 0.9 * u.sum()


def test_refusals():
    grid = Grid.regular(5)
    with pytest.raises(
        InputError,
        match="expected one of the tableaux euler, heun, ssprk3, rk4, etdrk4, .*, got 'rk45': use 'rk4'",
    ):
        Solver(Burgers(0.1), grid, 1.0, "rk45")
    with pytest.raises(
        InputError, match=r"expected a positive dt and at least one substep, got dt=1.0, substeps=0"
    ):
        Solver(Burgers(0.1), grid, 1.0, substeps=0)
    with pytest.raises(InputError, match=r"got dt=-1.0, substeps=1: correct them"):
        Solver(Burgers(0.1), grid, -1.0)
    with pytest.raises(
        InputError, match="expected an explicit tableau to fuse, got etdrk4: take one of euler, heun"
    ):
        Solver(Burgers(0.1), grid, 1.0, "etdrk4", fused=True)
    with pytest.raises(InputError, match="expected a field"):
        Solver(Burgers(0.1), grid, 1.0)(torch.zeros(1, 1, 6))
    with pytest.raises(
        InputError, match="expected a linear equation, got Burgers: probe the solver at a state"
    ):
        Solver(Burgers(0.1), grid, 1.0).symbol(np.zeros((1, 1)))
