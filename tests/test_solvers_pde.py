"""Agreement of the equations with py-pde: its grids, differences and RK4, to rounding."""

from __future__ import annotations

import numba
import numpy as np
import pde
import pytest
import torch

from gridvit.grid import Grid
from gridvit.physics import (
    AllenCahn,
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
from gridvit.physics.vorticity import streamfunction


@pytest.fixture(autouse=True)
def interpreted(monkeypatch):
    """py-pde compiles its stencils by numba, which takes a minute; a few steps need no compiler."""
    monkeypatch.setattr(numba.config, "DISABLE_JIT", True)


def smooth(grid: Grid, count: int) -> np.ndarray:
    """A few long waves (variable, *space)."""
    phases = [2 * np.pi * (c - c[0]) / length for c, length in zip(grid.centers, grid.lengths, strict=True)]
    mesh = np.meshgrid(*phases, indexing="ij")
    fields = [
        0.2 + 0.3 * sum(np.sin(p + i) for p in mesh) + 0.1 * np.cos(sum(mesh) - 2 * i) for i in range(count)
    ]
    return np.stack(fields)


def by_pde(
    equations: dict[str, str], fields: np.ndarray, grid: Grid, t: float, steps: int, walls: str = ""
) -> np.ndarray:
    mesh = pde.CartesianGrid(
        [(0, length) for length in grid.lengths], grid.shape, periodic=list(grid.periodic)
    )
    start = pde.FieldCollection([pde.ScalarField(mesh, u) for u in fields])
    conditions = {"neumann": {"derivative": 0}, "dirichlet": {"value": 0}, "": "auto_periodic_neumann"}
    problem = pde.PDE(equations, bc=conditions[walls])
    end = problem.solve(
        start, t, t / steps, tracker=None, solver="runge-kutta", adaptive=False, backend="numpy"
    )
    return np.stack([part.data for part in end])


LINE, PLANE = Grid.regular(23, 12.0), Grid.regular((11, 13), (8.0, 9.0))
# py-pde calls the first axis x; ours calls the last one so.
SHALLOW = {
    "h": "-d_dy((0.9+h)*u) - d_dx((0.9+h)*v)",
    "u": "(0.7 + d_dy(v) - d_dx(u))*v - d_dy(1.2*h + (u**2+v**2)/2) + 0.05*laplace(u)",
    "v": "-(0.7 + d_dy(v) - d_dx(u))*u - d_dx(1.2*h + (u**2+v**2)/2) + 0.05*laplace(v)",
}
CASES: dict[str, tuple[Equation, Grid, dict[str, str]]] = {
    "wave": (Wave(1.3), PLANE, {"u": "v", "v": "1.69*laplace(u)"}),
    "korteweg-de vries": (
        KortewegDeVries(0.0, 0.2),
        LINE,
        {"u": "-(d_dx(u**2) + u*d_dx(u))/3 + 0.2*laplace(u)"},
    ),
    "allen-cahn": (AllenCahn(0.3, 0.8), PLANE, {"u": "0.3*laplace(u) + 0.8*(u - u**3)"}),
    "gray-scott": (
        GrayScott(0.16, 0.08, 0.035, 0.06),
        PLANE,
        {"u": "0.16*laplace(u) - u*v**2 + 0.035*(1-u)", "v": "0.08*laplace(v) + u*v**2 - 0.095*v"},
    ),
    "fitzhugh-nagumo": (
        FitzHughNagumo(0.4, 0.1, 0.2, 0.5, 0.1),
        PLANE,
        {"u": "0.4*laplace(u) + u - u**3 - v + 0.1", "v": "0.1*laplace(v) + 0.2*(u - 0.5*v)"},
    ),
    "shallow water": (ShallowWater(1.2, 0.9, 0.7, viscosity=0.05), PLANE, SHALLOW),
}


@pytest.mark.parametrize("name", CASES)
def test_same_differences_and_same_method(name):
    equation, grid, theirs = CASES[name]
    fields = smooth(grid, len(theirs))
    ours = Solver(equation, grid, 0.2, substeps=4)(torch.from_numpy(fields)[None])[0].numpy()
    assert np.abs(ours - fields).max() > 1e-2
    np.testing.assert_allclose(ours, by_pde(theirs, fields, grid, 0.2, 4), atol=1e-12)


@pytest.mark.parametrize("walls", ["neumann", "dirichlet"])
@pytest.mark.parametrize("name", ["wave", "allen-cahn", "fitzhugh-nagumo"])
def test_same_walls(name, walls):
    """Each condition on a grid of its own: py-pde's NumPy backend keeps the operators of the first for equal grids."""
    equation, _, theirs = CASES[name]
    grid = Grid.regular({"neumann": (7, 8), "dirichlet": (9, 6)}[walls], (5.0, 6.0), periodic=False)
    fields = smooth(grid, len(theirs))
    ours = Solver(equation, grid, 0.2, substeps=4, boundary=walls)(torch.from_numpy(fields)[None])[0].numpy()
    np.testing.assert_allclose(ours, by_pde(theirs, fields, grid, 0.2, 4, walls), atol=1e-12)


def test_kuramoto_sivashinsky_on_a_line():
    """Its fourth derivative is the second one twice: ours of second order is the same five points."""
    fields = smooth(LINE, 1)
    ours = Solver(KuramotoSivashinsky(1.0, 0.4, "slope"), LINE, 0.1, substeps=20)(
        torch.from_numpy(fields)[None]
    )
    theirs = {"u": "-(d_dx(u**2) + u*d_dx(u))/3 - laplace(u) - 0.4*laplace(laplace(u))"}
    np.testing.assert_allclose(ours[0].numpy(), by_pde(theirs, fields, LINE, 0.1, 20), atol=1e-11)


def test_kuramoto_sivashinsky_on_a_plane():
    """But for the mean, which falls there; d_x^2 d_y^2 is the product of second differences in both."""
    fields = smooth(PLANE, 1)
    ours = Solver(KuramotoSivashinsky(1.0, 0.3), PLANE, 0.1, substeps=20)(torch.from_numpy(fields)[None])[
        0
    ].numpy()
    theirs = by_pde(
        {"u": "-(d_dx(u)**2 + d_dy(u)**2)/2 - laplace(u) - 0.3*laplace(laplace(u))"}, fields, PLANE, 0.1, 20
    )
    np.testing.assert_allclose(ours - ours.mean(), theirs - theirs.mean(), atol=1e-11)
    assert theirs.mean() < fields.mean() - 1e-3


def test_korteweg_de_vries_with_dispersion():
    """The third difference of second order is the first one of the second one."""
    fields = smooth(LINE, 1)
    ours = Solver(KortewegDeVries(0.2), LINE, 0.1, substeps=10)(torch.from_numpy(fields)[None])[0].numpy()
    theirs = {"u": "-(d_dx(u**2) + u*d_dx(u))/3 - 0.2*d_dx(laplace(u))"}
    np.testing.assert_allclose(ours, by_pde(theirs, fields, LINE, 0.1, 10), atol=1e-12)


def test_poisson_and_vorticity_right_hand_side():
    """Its Poisson solver gives the stream function, its differences the three forms of the Jacobian."""
    grid = Grid.regular((10, 12), (5.0, 6.0))
    w = smooth(grid, 1)
    w -= w.mean()
    mesh = pde.CartesianGrid([(0, 5), (0, 6)], [10, 12], periodic=True)
    psi = pde.solve_poisson_equation(pde.ScalarField(mesh, w[0]), bc="periodic")
    ours = streamfunction(grid)(torch.from_numpy(w)[None])[0, 0].numpy()
    np.testing.assert_allclose(psi.data - psi.data.mean(), ours, atol=1e-10)
    field = pde.ScalarField(mesh, w[0])

    def slope(f: pde.ScalarField, axis: int) -> pde.ScalarField:
        return f.gradient("periodic")[axis]

    py, px, wy, wx = slope(psi, 0), slope(psi, 1), slope(field, 0), slope(field, 1)
    three = (
        px * wy
        - py * wx
        + slope(psi * wy, 1)
        - slope(psi * wx, 0)
        + slope(field * px, 0)
        - slope(field * py, 1)
    )
    expected = 0.1 * field.laplace("periodic") - three / 3
    found = Vorticity(0.1).rhs(grid)(torch.from_numpy(w)[None])[0, 0].numpy()
    np.testing.assert_allclose(found, expected.data, atol=1e-10)
