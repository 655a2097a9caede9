"""Right-hand sides against exact derivatives, hand-written differences and each other."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import EQUATIONS, Advection, AdvectionDiffusion, Diffusion, Spherical, equation_from
from gridvit.stencil import modes

TENSOR = ((0.3, 0.1), (0.1, 0.2))


def batch(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)[None, None]


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(4).standard_normal(shape))


def weights(stencil) -> dict[tuple[int, ...], float]:
    return {tuple(map(int, d)): float(w) for d, w in zip(stencil.offsets, stencil.weights, strict=True) if w}


def test_central_operator_by_hand():
    grid = Grid.regular(7, 3.5)
    found = weights(AdvectionDiffusion(2.0, 0.25).operator(grid))
    assert found == pytest.approx({(-1,): 2 + 1, (0,): -2, (1,): -2 + 1})


@pytest.mark.parametrize(("velocity", "expected"), [(2.0, {(-1,): 4, (0,): -4}), (-2.0, {(0,): -4, (1,): 4})])
def test_upwind_operator_looks_where_the_flow_comes_from(velocity, expected):
    assert weights(Advection(velocity).operator(Grid.regular(7, 3.5), upwind=True)) == pytest.approx(expected)


def test_two_dimensional_operator_by_hand():
    grid = Grid.regular((5, 7), (5.0, 14.0))
    found = weights(AdvectionDiffusion((1.0, 3.0), TENSOR).operator(grid))
    cross = 2 * 0.1 / (4 * 1 * 2)
    expected = {(0, 0): -0.6 - 0.1, (-1, 0): 0.5 + 0.3, (1, 0): -0.5 + 0.3}
    expected |= {(0, -1): 0.75 + 0.05, (0, 1): -0.75 + 0.05}
    expected |= {(1, 1): cross, (-1, -1): cross, (1, -1): -cross, (-1, 1): -cross}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("accuracy", [2, 4])
def test_right_hand_side_converges_to_the_derivatives(accuracy):
    errors = []
    for n in (24, 48):
        grid = Grid.regular((n, n + 1), (2 * np.pi, 2 * np.pi))
        y, x = np.meshgrid(*grid.centers, indexing="ij")
        found = AdvectionDiffusion((0.5, -1.0), TENSOR).rhs(grid, accuracy)(batch(np.sin(2 * x + y)))
        exact = -(0.5 - 2.0) * np.cos(2 * x + y) - (0.3 + 4 * 0.1 + 4 * 0.2) * np.sin(2 * x + y)
        errors.append(np.abs(found[0, 0].numpy() - exact).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.15)


def test_special_cases_meet():
    grid = Grid.regular((5, 8))
    u = noise(2, 1, 5, 8)
    both = AdvectionDiffusion((0.7, -0.2), TENSOR).rhs(grid)(u)
    parts = Advection((0.7, -0.2)).rhs(grid)(u) + Diffusion(TENSOR).rhs(grid)(u)
    torch.testing.assert_close(both, parts)
    still = AdvectionDiffusion((0.7, -0.2), 0).rhs(grid)(u)
    torch.testing.assert_close(still, Advection((0.7, -0.2)).rhs(grid)(u))
    torch.testing.assert_close(
        AdvectionDiffusion((0, 0), TENSOR).rhs(grid)(u), Diffusion(TENSOR).rhs(grid)(u)
    )


def test_number_axes_and_tensor_say_the_same_diffusivity():
    forms = (0.4, (0.4, 0.4), ((0.4, 0.0), (0.0, 0.4)))
    tensors = [Diffusion(form).coefficients(2)[1] for form in forms]
    for tensor in tensors:
        np.testing.assert_array_equal(tensor, 0.4 * np.eye(2))


def test_nothing_moves_without_coefficients():
    grid = Grid.regular(7)
    equation = AdvectionDiffusion(0, 0)
    assert equation.rhs(grid)(noise(1, 1, 7)).abs().max() == 0
    assert equation.stable_step(grid) == float("inf")


def test_exact_symbol_moves_and_damps_a_wave():
    theta = np.array([[0.3, -0.7]])
    spacing = np.array([0.5, 2.0])
    found = AdvectionDiffusion((0.5, -1.0), TENSOR).exact_symbol(theta, spacing, 1.5)
    ky, kx = 0.6, -0.35
    damping = 0.3 * ky**2 + 2 * 0.1 * ky * kx + 0.2 * kx**2
    expected = np.exp(-1.5 * damping) * np.exp(-1.5j * (0.5 * ky - 1.0 * kx))
    np.testing.assert_allclose(found, [expected], rtol=1e-14)


def test_operator_symbol_tends_to_the_exact_rate():
    grid = Grid.regular((8, 9), (2.0, 5.0))
    equation = AdvectionDiffusion((0.5, -1.0), TENSOR)
    theta = 1e-4 * modes(grid.shape)
    rate = np.log(equation.exact_symbol(theta, np.array(grid.spacing), 1.0))
    np.testing.assert_allclose(equation.operator(grid).symbol(theta), rate, atol=1e-10)


@pytest.mark.parametrize("boundary", ["neumann", "open"])
def test_closed_walls_keep_what_diffuses(boundary):
    u = noise(1, 1, 11)
    assert Diffusion(0.3).rhs(Grid.regular(11, periodic=False), boundary=boundary)(u).sum().abs() < 1e-13


def test_cold_walls_let_a_sine_decay_alone():
    grid = Grid.regular(11, 1.0, periodic=False)
    u = batch(np.sin(np.pi * grid.centers[0]))
    rate = -((2 / grid.spacing[0] * np.sin(np.pi / 22)) ** 2)
    torch.testing.assert_close(Diffusion(1.0).rhs(grid, boundary="dirichlet")(u), rate * u)


def test_stable_step_of_linear_equations():
    grid = Grid.regular((4, 4), (2.0, 4.0))
    assert AdvectionDiffusion((1.0, -3.0), (0.5, 0.25)).stable_step(grid) == pytest.approx(
        1 / (2 + 3 + 4 + 0.5)
    )


def test_equations_are_values():
    assert AdvectionDiffusion([1, 2], np.array(TENSOR)) == AdvectionDiffusion((1.0, 2.0), TENSOR)
    assert len({Advection((1.0, 2.0)), Advection([1, 2])}) == 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("advection", {"velocity": [1.0, 0.5]}),
        ("diffusion", {"diffusivity": 0.1}),
        ("advection-diffusion", {"velocity": [1.0, 0.5], "diffusivity": [[0.3, 0.1], [0.1, 0.2]]}),
        ("burgers", {"viscosity": 0.01, "flux": "central"}),
    ],
)
def test_names_and_parameters_survive_json(name, parameters):
    equation = equation_from(name, parameters)
    assert type(equation) is EQUATIONS[name]
    assert equation_from(name, json.loads(json.dumps(vars(equation)))) == equation


def test_unknown_equation_names_the_nearest():
    with pytest.raises(
        InputError, match=r"expected one of the equations advection, .*, got 'burger': use 'burgers'"
    ):
        equation_from("burger", {})


def test_unknown_parameter_names_the_nearest():
    with pytest.raises(
        InputError,
        match="expected one of the gray-scott parameters diffusivity_u, .*, got 'fed': use 'feed'",
    ):
        equation_from("gray-scott", {"fed": 1.0})


def test_missing_parameter_is_refused():
    with pytest.raises(
        InputError, match="expected the parameters velocity of advection, got none: give each"
    ):
        equation_from("advection", {})


@pytest.mark.parametrize("name", EQUATIONS)
def test_every_equation_has_a_right_hand_side_and_a_stable_step(name):
    given = {"velocity": (0.5, 0.25), "diffusivity": 0.1, "viscosity": 0.01}
    sphere = issubclass(EQUATIONS[name], Spherical)
    ndim = 1 if name in ("korteweg-de-vries", "forced-burgers") else 2
    own = {field.name for field in dataclasses.fields(EQUATIONS[name])}
    equation = equation_from(name, {key: value for key, value in given.items() if key in own})
    grid = Grid.gaussian(8, 16) if sphere else Grid.regular((11, 8)[:ndim])
    state = 1 + 0.1 * noise(2, len(equation.variables(ndim)), *grid.shape)
    change = equation.rhs(grid)(state)
    assert change.shape == state.shape
    assert change.abs().max() > 0
    assert 0 < equation.stable_step(grid, 2) <= equation.stable_step(grid, 1) < float("inf")


@pytest.mark.parametrize("velocity", [1.0, (1.0, 2.0, 3.0), (1.0, float("nan"))])
def test_velocity_of_another_dimension_is_refused(velocity):
    with pytest.raises(InputError, match="expected a finite velocity with 2 components, one for each axis"):
        Advection(velocity).operator(Grid.regular((5, 7)))


@pytest.mark.parametrize(
    "diffusivity", [-0.1, (0.1, -0.1), (0.1, 0.2, 0.3), ((1.0, 2.0), (2.0, 1.0)), ((1.0, 0.1), (0.2, 1.0))]
)
def test_diffusivity_that_is_negative_or_misshapen_is_refused(diffusivity):
    with pytest.raises(
        InputError, match="expected a diffusivity of 1, 2 or, symmetric, 2 x 2 numbers, not negative"
    ):
        Diffusion(diffusivity).operator(Grid.regular((5, 7)))


def test_sphere_is_refused():
    with pytest.raises(
        InputError, match=r"expected a plane grid for this equation, got a sphere: .*Grid\.regular"
    ):
        Diffusion(0.1).operator(Grid.latlon(5, 8))
