"""Matrices of stencils: dense circulants, and boundary rows written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.grid import Grid
from gridvit.stencil import Stencil


@pytest.mark.parametrize("n", [5, 6])
def test_matrix_is_circulant_on_a_periodic_axis(n: int) -> None:
    s = Stencil(
        np.array([[-2], [0], [1], [n + 1]]), np.array([2.0, 3.0, 5.0, 7.0]), np.ones(1)
    )  # the last offset wraps onto 1
    row = np.zeros(n)
    row[[n - 2, 0, 1]] = 2, 3, 12
    dense = np.stack([np.roll(row, i) for i in range(n)])
    assert np.array_equal(s.matrix(Grid.regular(n)).toarray(), dense)


def test_matrix_in_two_dimensions_is_row_major() -> None:
    s = Stencil(np.array([[1, -1], [0, 1]]), np.array([2.0, 3.0]), np.ones(2))
    u = np.random.default_rng(1).normal(size=(3, 4))
    want = 2 * np.roll(u, (-1, 1), axis=(0, 1)) + 3 * np.roll(u, -1, axis=1)
    np.testing.assert_allclose(s.matrix(Grid.regular((3, 4))) @ u.ravel(), want.ravel())


# The 4th-order second derivative at the first cell, its outer neighbours replaced by what the wall says.
A, B, D = -1 / 12, 4 / 3, -5 / 2
WALLS = {
    "dirichlet": ([D - B, B - A, A, 0, 0], [B - A, D, B, A, 0]),
    "neumann": ([D + B, B + A, A, 0, 0], [B + A, D, B, A, 0]),
    "open": ([D + B + A, B, A, 0, 0], [B + A, D, B, A, 0]),
}


@pytest.mark.parametrize("boundary", WALLS)
def test_boundary_rows_written_by_hand(boundary: str) -> None:
    d = Stencil.derivative(2, 4, spacing=1.0)
    matrix = d.matrix(Grid.regular(5, periodic=False), boundary).toarray()
    np.testing.assert_allclose(matrix[:2], WALLS[boundary], atol=1e-15)
    np.testing.assert_allclose(matrix[2], [A, B, D, B, A], atol=1e-15)
    np.testing.assert_allclose(matrix, matrix[::-1, ::-1], atol=1e-15)


def test_each_axis_and_variable_has_its_place_in_the_matrix() -> None:
    grid = Grid.regular((3, 2), periodic=(False, True))
    down = Stencil.shift((1, 0))
    one = down.matrix(grid, "dirichlet").toarray()
    assert np.array_equal(one, np.kron([[0, 1, 0], [0, 0, 1], [0, 0, -1]], np.eye(2)))
    assert np.array_equal(down.matrix(grid, ("dirichlet", "open")).toarray(), one)
    system = Stencil.block([[None, down], [2 * down, None]]).matrix(grid, "dirichlet").toarray()
    assert np.array_equal(system, np.kron([[0, 1], [2, 0]], one))
