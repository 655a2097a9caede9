"""Alias matrices against the dense Fourier transform of an operator that knows its patches."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import pytest
import torch

from gridvit.analysis.bloch import alias_matrices, bloch, phase_average
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import grid_symbol
from gridvit.errors import InputError
from gridvit.grid import Grid


@dataclass(frozen=True)
class Dense:
    """u' = J u for a matrix over (variable, cell)."""

    grid: Grid
    matrix: np.ndarray
    variables: tuple[str, ...] = ("u",)
    dt: float = 1.0

    def __call__(self, state: torch.Tensor, context: object = None) -> torch.Tensor:
        flat = state.reshape(len(state), -1) @ torch.tensor(self.matrix, dtype=state.dtype).T
        return flat.reshape(state.shape)


def patch_periodic(
    rng: np.random.Generator, shape: tuple[int, ...], patch: tuple[int, ...], variables: int = 1
) -> np.ndarray:
    """A random matrix that commutes with shifts by the patch, made by averaging over them."""
    n = prod(shape)
    blocks = tuple(s // p for s, p in zip(shape, patch, strict=True))
    matrix = rng.normal(size=(variables, *shape, variables, *shape))
    total = np.zeros_like(matrix)
    ndim = len(shape)
    for index in np.ndindex(*blocks):
        shift = [i * p for i, p in zip(index, patch, strict=True)]
        rows = np.roll(matrix, shift, tuple(range(1, ndim + 1)))
        total += np.roll(rows, shift, tuple(range(ndim + 2, 2 * ndim + 2)))
    return total.reshape(variables * n, variables * n) / prod(blocks)


def matching(one: np.ndarray, two: np.ndarray) -> float:
    """The largest distance after pairing each eigenvalue with the nearest one left."""
    left, worst = list(two), 0.0
    for value in one:
        gaps = np.abs(np.array(left) - value)
        worst = max(worst, gaps.min())
        left.pop(int(gaps.argmin()))
    return worst


CASES = [((12,), (3,), 1), ((15,), (5,), 1), ((4, 6), (2, 3), 1), ((6, 3), (2, 3), 2)]


@pytest.mark.parametrize(("shape", "patch", "variables"), CASES)
def test_alias_matrices_hold_all_eigenvalues_and_the_symbol(rng, shape, patch, variables) -> None:
    """SCIENCE 16, 17."""
    matrix = patch_periodic(rng, shape, patch, variables)
    step = Dense(Grid.regular(shape), matrix, tuple("uv"[:variables]))
    state = torch.zeros(1, variables, *shape)
    rows = probe(step, state, patch_cells(patch)).isel(state=0)
    found = alias_matrices(rows, shape, patch)
    assert found.shape == (prod(shape) // prod(patch), prod(patch) * variables, prod(patch) * variables)
    assert matching(np.linalg.eigvals(found).ravel(), np.linalg.eigvals(matrix)) < 1e-9
    assert np.linalg.norm(found) == pytest.approx(np.linalg.norm(matrix), rel=1e-12)
    if variables == 1:
        diagonal = np.einsum("kmm->km", found).ravel()
        assert matching(diagonal, grid_symbol(phase_average(rows), shape).ravel()) < 1e-12


def test_alias_matrices_are_the_blocks_of_the_dense_fourier_matrix(rng: np.random.Generator) -> None:
    """N = 24, P = 4: a wave 5 becomes 5, 11, 17 and 23 only."""
    n, p = 24, 4
    matrix = patch_periodic(rng, (n,), (p,))
    waves = np.exp(2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n)
    hat = waves.conj().T @ matrix @ waves / n
    assert np.flatnonzero(np.abs(hat[:, 5]) > 1e-10).tolist() == [5, 11, 17, 23]
    rows = probe(Dense(Grid.regular((n,)), matrix), torch.zeros(1, 1, n), patch_cells((p,))).isel(state=0)
    found = alias_matrices(rows, (n,), (p,))
    np.testing.assert_allclose(found[5], hat[5::6, 5::6], atol=1e-12)


def test_bloch_finds_the_growth_that_the_averaged_symbol_misses(rng: np.random.Generator) -> None:
    matrix = patch_periodic(rng, (12,), (3,))
    step = Dense(Grid.regular((12,)), matrix)
    found = bloch(step, torch.zeros(1, 1, 12), (3,))
    assert float(found.spectral_radius) == pytest.approx(np.abs(np.linalg.eigvals(matrix)).max(), rel=1e-10)
    assert float(found.sigma_max) == pytest.approx(np.linalg.norm(matrix, 2), rel=1e-10)
    assert float(found.site_defect) < 1e-12
    rows = probe(step, torch.zeros(1, 1, 12), patch_cells((3,))).isel(state=0)
    assert np.abs(grid_symbol(phase_average(rows), (12,))).max() < float(found.spectral_radius)
    aliased = 1 - np.linalg.norm(grid_symbol(phase_average(rows), (12,))) ** 2 / np.linalg.norm(matrix) ** 2
    assert float(found.imprint) == pytest.approx(np.sqrt(aliased), rel=1e-10)


@pytest.mark.parametrize("variables", [1, 2])
def test_a_convolution_leaves_no_imprint(rng: np.random.Generator, variables: int) -> None:
    """SCIENCE 17."""
    shape = (4, 6)
    step = Dense(Grid.regular(shape), patch_periodic(rng, shape, (1, 1), variables), tuple("uv"[:variables]))
    found = bloch(step, torch.zeros(1, variables, *shape), (2, 3))
    assert float(found.imprint) < 1e-14
    assert found.imprint.units == "1"


def test_a_step_that_depends_on_the_place_shows_a_site_defect(rng: np.random.Generator) -> None:
    step = Dense(Grid.regular((12,)), rng.normal(size=(12, 12)))
    assert float(bloch(step, torch.zeros(1, 1, 12), (3,)).site_defect) > 0.5


def test_bounded_grids_and_wrong_patches_are_refused(rng: np.random.Generator) -> None:
    step = Dense(Grid.regular((6,), periodic=False), np.eye(6))
    with pytest.raises(
        InputError, match=r"expected a plane that is periodic along every axis, .*: use the probe alone"
    ):
        bloch(step, torch.zeros(1, 1, 6), (2,))
    rows = probe(Dense(Grid.regular((6,)), np.eye(6)), torch.zeros(1, 1, 6), patch_cells((2,))).isel(state=0)
    with pytest.raises(InputError, match=r"expected 3 rows on a grid that \(3,\) divides, got 2 rows"):
        alias_matrices(rows, (6,), (3,))
