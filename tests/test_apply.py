"""Stencils on tensors: against the sparse matrix, the symbol and what can be seen by hand."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import apply
from gridvit.physics.apply import correlation, pad, reach
from gridvit.stencil import Stencil, modes

CONDITIONS = ("open", "dirichlet", "neumann")


def field(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape))


def stencil(ndim: int, spacing: tuple[float, ...], count: int = 7, lead: tuple[int, ...] = ()) -> Stencil:
    rng = np.random.default_rng(3)
    offsets = np.unique(rng.integers(-2, 3, (count, ndim)), axis=0)
    return Stencil(offsets, rng.standard_normal((*lead, len(offsets))), np.array(spacing))


def test_shift_takes_the_neighbour_that_the_offset_names():
    grid = Grid.regular(5)
    u = torch.arange(5.0).reshape(1, 1, 5)
    moved = apply(Stencil.shift((2,), 1.0), u, grid)
    assert moved.flatten().tolist() == [2, 3, 4, 0, 1]


@pytest.mark.parametrize("shape", [(7,), (8,), (5, 8), (6, 7)])
def test_periodic_result_is_multiplication_by_the_symbol(shape):
    grid = Grid.regular(shape)
    s, u = stencil(len(shape), grid.spacing), field(3, 2, *shape)
    axes = tuple(range(2, u.ndim))
    expected = np.fft.ifftn(s.symbol(modes(shape)) * np.fft.fftn(u.numpy(), axes=axes), axes=axes)
    np.testing.assert_allclose(apply(s, u, grid).numpy(), expected.real, atol=1e-13)
    assert np.abs(expected.imag).max() < 1e-13


@pytest.mark.parametrize("periodic", list(itertools.product([True, False], repeat=2)))
@pytest.mark.parametrize("boundary", list(itertools.product(CONDITIONS, repeat=2)))
def test_walls_agree_with_the_matrix(periodic, boundary):
    grid = Grid.regular((5, 6), (1.0, 3.0), periodic=periodic)
    s, u = stencil(2, grid.spacing), field(2, 1, 5, 6)
    expected = s.matrix(grid, boundary) @ u.reshape(2, -1).numpy().T
    np.testing.assert_allclose(apply(s, u, grid, boundary).reshape(2, -1).numpy().T, expected, atol=1e-13)


def test_walls_by_hand():
    grid = Grid.regular(3, periodic=False)
    second = Stencil.derivative(2, spacing=1.0)
    u = torch.tensor([[[1.0, 5.0, 2.0]]])
    assert apply(second, u, grid, "open").flatten().tolist() == [4, -7, 3]
    assert apply(second, u, grid, "neumann").flatten().tolist() == [4, -7, 3]
    assert apply(second, u, grid, "dirichlet").flatten().tolist() == [2, -7, -1]


@pytest.mark.parametrize("boundary", CONDITIONS)
def test_systems_mix_variables_as_their_matrix_does(boundary):
    grid = Grid.regular((5, 7), periodic=(False, True))
    s, u = stencil(2, grid.spacing, lead=(3, 3)), field(2, 3, 5, 7)
    expected = s.matrix(grid, boundary) @ u.reshape(2, -1).numpy().T
    np.testing.assert_allclose(apply(s, u, grid, boundary).reshape(2, -1).numpy().T, expected, atol=1e-13)


def test_diagonal_system_is_the_scalar_on_each_variable():
    grid = Grid.regular(11)
    s, u = stencil(1, grid.spacing, 4), field(1, 2, 11)
    system = Stencil(s.offsets, np.eye(2)[..., None] * s.weights, s.spacing)
    torch.testing.assert_close(apply(system, u, grid), apply(s, u, grid))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("lead", [(), (2, 2)])
def test_precision_is_that_of_the_field(dtype, lead):
    grid = Grid.regular(7)
    u = field(1, 2, 7)
    out = apply(stencil(1, grid.spacing, 4, lead), u.to(dtype), grid)
    assert out.dtype == dtype
    torch.testing.assert_close(
        out.double(), apply(stencil(1, grid.spacing, 4, lead), u, grid), atol=1e-5, rtol=0
    )


def test_gradient_is_the_transpose():
    grid = Grid.regular((5, 4), periodic=(True, False))
    s = stencil(2, grid.spacing)
    u, v = field(1, 1, 5, 4).requires_grad_(), field(1, 1, 5, 4, seed=1)
    (apply(s, u, grid, "dirichlet") * v).sum().backward()
    expected = s.matrix(grid, "dirichlet").T @ v.flatten().numpy()
    np.testing.assert_allclose(u.grad.flatten().numpy(), expected, atol=1e-13)


def test_stencil_wider_than_a_periodic_grid_wraps_more_than_once():
    grid = Grid.regular(3)
    u = field(1, 1, 3)
    torch.testing.assert_close(
        apply(Stencil.shift((7,), 1.0), u, grid), apply(Stencil.shift((1,), 1.0), u, grid)
    )


def test_pad_and_correlate_share_one_width():
    grid = Grid.regular((5, 7))
    left, up = Stencil.shift((0, -2), grid.spacing), Stencil.shift((1, 0), grid.spacing)
    width = reach(left, up)
    assert width == (1, 2)
    u = field(1, 1, 5, 7)
    padded = pad(u, grid, width)
    assert padded.shape == (1, 1, 7, 11)
    torch.testing.assert_close(correlation(left, width)(padded), torch.roll(u, 2, dims=3))
    torch.testing.assert_close(correlation(up, width)(padded), torch.roll(u, -1, dims=2))


def test_field_of_another_grid_is_refused():
    with pytest.raises(
        InputError, match=r"expected a field \(batch, variable, 5\) on the grid, got a tensor of shape"
    ):
        apply(Stencil.identity(1, 1.0), torch.zeros(1, 1, 6), Grid.regular(5))


def test_stencil_of_another_dimension_is_refused():
    with pytest.raises(
        InputError, match="expected one stencil with 2 space axes, got 1 space axes and 0 leading"
    ):
        apply(Stencil.identity(1, 1.0), torch.zeros(1, 1, 5, 3), Grid.regular((5, 3)))


def test_stencil_with_leading_axes_is_refused():
    many = Stencil(np.array([[0]]), np.ones((4, 1)), np.ones(1), ("layer",))
    with pytest.raises(InputError, match="got 1 space axes and 1 leading axes: select one stencil"):
        apply(many, torch.zeros(1, 1, 5), Grid.regular(5))


def test_system_on_other_variables_is_refused():
    system = Stencil(np.array([[0]]), np.ones((2, 2, 1)), np.ones(1))
    with pytest.raises(InputError, match="expected 2 variables, as the stencil has, got 3"):
        apply(system, torch.zeros(1, 3, 5), Grid.regular(5))


def test_wrong_number_of_conditions_is_refused():
    with pytest.raises(InputError, match="expected one boundary condition or 1, one for each axis, got 2"):
        apply(Stencil.identity(1, 1.0), torch.zeros(1, 1, 5), Grid.regular(5), ("open", "open"))
