"""The keystone for systems: a solver's stencils come back from the probe, worked out by hand at constant states."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.analysis.probe import patch_cells, probe
from gridvit.grid import Grid
from gridvit.physics import (
    AllenCahn,
    DamBreak,
    Equation,
    FitzHughNagumo,
    GrayScott,
    KortewegDeVries,
    KuramotoSivashinsky,
    ShallowWater,
    Solver,
    Vorticity,
    Wave,
)
from gridvit.stencil import Stencil

DT = 0.1


def noise(grid: Grid, variables: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(9).standard_normal((2, variables, *grid.shape)))


def constant(grid: Grid, *values: float) -> torch.Tensor:
    return (
        torch.tensor(values, dtype=torch.float64)[None, :, None, None].expand(1, -1, *grid.shape).contiguous()
    )


def gap(measured: Stencil, known: Stencil) -> float:
    return float(np.abs((measured - known).weights).max())


def derivative(order: tuple[int, int], grid: Grid) -> Stencil:
    return Stencil.derivative(order, spacing=grid.spacing)


@pytest.mark.parametrize("shape", [(13,), (14,), (7, 9), (8, 10)])
@pytest.mark.parametrize("stages", ["euler", "rk4"])
def test_a_linear_system_gives_its_stencil_back(shape, stages):
    """1 + dt S, or the exponential series of dt S to fourth order, composed stencil by stencil."""
    grid = Grid.regular(shape, [0.5 * n for n in shape])
    equation = Wave(0.8)
    z = DT * equation.linear(grid.ndim).stencil(grid)
    known = Stencil.identity(grid.ndim, grid.spacing) + z
    if stages == "rk4":
        known = known + z @ z / 2 + z @ z @ z / 6 + z @ z @ z @ z / 24
    cells = np.stack([np.zeros(len(shape), dtype=int), np.array(shape) // 2])
    measured = probe(Solver(equation, grid, DT, stages), noise(grid, 2), cells)
    assert measured.weights.shape[:4] == (2, 2, 2, 2)
    assert gap(measured, known) < 1e-12


@pytest.mark.parametrize("shape", [(6,), (7,), (5, 6)])
@pytest.mark.parametrize("name", ["etdrk4", "ars443"])
def test_a_split_step_gives_back_the_kernel_of_its_symbol(shape, name):
    """The inverse Fourier sum of exp(dt Lambda), or of the method's rational function of it, at every offset."""
    grid, equation = Grid.regular(shape), Wave(0.8)
    measured = probe(Solver(equation, grid, DT, name), noise(grid, 2))
    rates, count = equation.linear(len(shape)).stencil(grid), np.prod(shape)
    matrix = rates.matrix(grid).toarray() * DT
    one = np.eye(len(matrix))
    if name == "etdrk4":
        values, vectors = np.linalg.eig(matrix + 0j)
        series = [one]
        for n in range(1, 30):
            series.append(series[-1] @ matrix / n)
        known = sum(series)
        assert len(values) == len(vectors)
    else:
        g = np.linalg.inv(one - matrix / 2)
        k1 = matrix @ g
        k2 = matrix @ g @ (one + k1 / 6)
        k3 = matrix @ g @ (one - k1 / 2 + k2 / 2)
        known = g @ (one + 1.5 * k1 - 1.5 * k2 + 0.5 * k3)
    centre = np.array(shape) // 2
    for offset, weights in zip(measured.offsets, np.moveaxis(measured.weights[0, 0], -1, 0), strict=True):
        row, column = (int(np.ravel_multi_index(tuple(c % shape), shape)) for c in (centre, centre + offset))
        block = known[[row, count + row]][:, [column, count + column]]
        np.testing.assert_allclose(weights, block, atol=1e-13)


def test_allen_cahn_at_a_constant_state():
    """u + dt (D lap + r (1 - 3 u^2))."""
    grid = Grid.regular((5, 7), (2.5, 7.0))
    measured = probe(Solver(AllenCahn(0.3, 1.2), grid, DT, "euler"), constant(grid, 0.4))
    one = Stencil.identity(2, grid.spacing)
    lap = derivative((2, 0), grid) + derivative((0, 2), grid)
    assert gap(measured, one + DT * (0.3 * lap + 1.2 * (1 - 3 * 0.16) * one)) < 1e-14


def test_gray_scott_at_a_constant_state():
    """[[D_u lap - v^2 - F, -2 u v], [v^2, D_v lap + 2 u v - F - k]]."""
    grid = Grid.regular((5, 7))
    u, v, F, k = 0.6, 0.3, 0.04, 0.06
    measured = probe(Solver(GrayScott(0.16, 0.08, F, k), grid, DT, "euler"), constant(grid, u, v))
    one, lap = Stencil.identity(2, grid.spacing), derivative((2, 0), grid) + derivative((0, 2), grid)
    known = Stencil.block(
        [
            [one + DT * (0.16 * lap - (v**2 + F) * one), DT * (-2 * u * v) * one],
            [DT * v**2 * one, one + DT * (0.08 * lap + (2 * u * v - F - k) * one)],
        ]
    )
    assert gap(measured, known) < 1e-14


def test_fitzhugh_nagumo_at_a_constant_state():
    """[[D_u lap + 1 - 3 u^2, -1], [e, D_v lap - e g]]."""
    grid = Grid.regular((5, 7))
    equation = FitzHughNagumo(0.4, 0.1, 0.2, 0.5, 0.7)
    measured = probe(Solver(equation, grid, DT, "euler"), constant(grid, 0.5, -0.2))
    one, lap = Stencil.identity(2, grid.spacing), derivative((2, 0), grid) + derivative((0, 2), grid)
    known = Stencil.block(
        [
            [one + DT * (0.4 * lap + (1 - 0.75) * one), -DT * one],
            [DT * 0.2 * one, one + DT * (0.1 * lap - 0.1 * one)],
        ]
    )
    assert gap(measured, known) < 1e-14


def test_korteweg_de_vries_at_a_constant_state():
    """u + dt (-U d_x - beta d_x^3 + nu d_x^2): the split flow has the slope U, as it must."""
    grid = Grid.regular(11, 5.5)
    measured = probe(
        Solver(KortewegDeVries(0.2, 0.1), grid, DT, "euler"), torch.full((1, 1, 11), 0.7, dtype=torch.float64)
    )
    d = [Stencil.derivative(n, spacing=0.5) for n in (1, 2, 3)]
    known = Stencil.identity(1, 0.5) + DT * (-0.7 * d[0] + 0.1 * d[1] - 0.2 * d[2])
    assert gap(measured, known) < 1e-13


def test_kuramoto_sivashinsky_on_a_slope_is_carried_up_and_down():
    """At a state of constant slope s (but at the seam): -s d_x - a d_x^2 - b d_x^4, and s / n for the mean held."""
    n, s = 17, 0.3
    grid = Grid.regular(n)
    ramp = torch.arange(n, dtype=torch.float64)[None, None] * s
    slope = probe(Solver(KuramotoSivashinsky(1.0, 0.5), grid, DT, "euler"), ramp)
    d = {m: Stencil.derivative(m, spacing=1.0) for m in (1, 2, 4)}
    known = Stencil.identity(1) + DT * (-s * d[1] - d[2] - 0.5 * d[4])
    difference = (slope - known).weights[0, 0]
    # The held mean sees (u_{i+1} - u_{i-1})^2 / 8 / n summed: its gradient is -u_xx's difference, zero but at the seam.
    seam = np.abs(slope.offsets[:, 0]) > 5
    assert np.abs(difference[~seam]).max() < 1e-14


def test_vorticity_at_rest_and_in_a_parallel_flow():
    """At rest 1 + dt (nu lap - mu). In the flow of w = cos(y) the eddies' rows add to those of nu lap - mu."""
    grid = Grid.regular((6, 8))
    equation = Vorticity(0.1, 0.05, 0.3, 1)
    measured = probe(Solver(equation, grid, DT, "euler"), torch.zeros(1, 1, 6, 8, dtype=torch.float64))
    one, lap = Stencil.identity(2, grid.spacing), derivative((2, 0), grid) + derivative((0, 2), grid)
    assert gap(measured, one + DT * (0.1 * lap - 0.05 * one)) < 1e-14


@pytest.mark.parametrize("size", [(5, 7), (6, 8)])
def test_shallow_water_at_a_constant_state(size):
    """Advection by (u, v) and gravity waves on the depth H + eta, rotation and viscosity; the spin sees only the flow
    across it: v v_x - v v_x leaves -v u_y of the vorticity's and u u_x + v v_x of the energy's gradient."""
    grid = Grid.regular(size, [0.5 * n for n in size])
    g, depth, f, nu, eta, u, v = 2.0, 1.5, 0.7, 0.1, 0.2, 0.3, -0.4
    equation = ShallowWater(g, depth, f, viscosity=nu)
    measured = probe(Solver(equation, grid, DT, "euler"), constant(grid, eta, u, v))
    one, x, y = Stencil.identity(2, grid.spacing), derivative((0, 1), grid), derivative((1, 0), grid)
    carried = -u * x - v * y
    own = carried + nu * (derivative((2, 0), grid) + derivative((0, 2), grid))
    rates = Stencil.block(
        [
            [carried, -(depth + eta) * x, -(depth + eta) * y],
            [-g * x, own, f * one],
            [-g * y, -f * one, own],
        ]
    )
    assert gap(measured, one + DT * rates) < 1e-13


def test_still_water_of_the_dam_break_scheme():
    """HLL at h = H, u = 0: s = +-c, so d(h, hu)/dt has the central flux and c h / 2 of diffusion on both."""
    grid, g, H = Grid.regular(9, 4.5), 2.0, 1.3
    c = np.sqrt(g * H)
    state = torch.stack([torch.full((9,), H), torch.zeros(9)])[None].double()
    measured = probe(Solver(DamBreak(g, "none"), grid, DT, "euler"), state)
    x, xx = (Stencil.derivative(n, spacing=0.5) for n in (1, 2))
    smear = c * 0.5 / 2 * xx
    known = Stencil.identity(1, 0.5) + DT * Stencil.block([[smear, -1.0 * x], [-g * H * x, smear]])
    assert gap(measured, known) < 1e-7


@pytest.mark.parametrize(
    ("equation", "variables"),
    [(GrayScott(), 2), (ShallowWater(viscosity=0.1), 3), (Vorticity(0.1), 1), (KuramotoSivashinsky(), 1)],
)
def test_at_any_state_the_probe_is_the_whole_jacobian(equation: Equation, variables: int):
    grid = Grid.regular((3, 4))
    step, state = Solver(equation, grid, 0.05, "etdrk4"), 0.5 * noise(grid, variables)[:1]
    whole = torch.autograd.functional.jacobian(step, state)[0, :, :, :, 0].numpy()
    cells = patch_cells(grid.shape)
    measured = probe(step, state, cells).isel(state=0)
    for cell, weights in zip(cells, measured.weights, strict=True):
        for offset, block in zip(measured.offsets, np.moveaxis(weights, -1, 0), strict=True):
            y, x = (cell + offset) % grid.shape
            np.testing.assert_allclose(block, whole[:, cell[0], cell[1], :, y, x].squeeze(), atol=1e-13)
