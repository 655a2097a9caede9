"""The expected error of one step against one that is measured, and against algebra on dense matrices."""

from __future__ import annotations

from math import prod

import numpy as np
import pytest
import torch
from test_bloch import Dense, patch_periodic

from gridvit.analysis.onestep import (
    PatchLinear,
    bloch_distance,
    by_alias,
    from_alias,
    one_step_error,
    ratio_of_means,
)
from gridvit.analysis.probe import patch_cells, probe
from gridvit.analysis.symbol import grid_symbol
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil


def rows_of(matrix: np.ndarray, shape: tuple[int, ...], patch: tuple[int, ...]) -> Stencil:
    step = Dense(Grid.regular(shape), matrix)
    return probe(step, torch.zeros(1, 1, *shape), patch_cells(patch))


@pytest.mark.parametrize(("shape", "patch"), [((12,), (3,)), ((4, 15), (2, 5)), ((7, 6), (1, 2))])
def test_waves_go_beside_their_aliases_and_back(
    rng: np.random.Generator, shape: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    values = rng.normal(size=(2, *shape))
    beside = by_alias(values, patch)
    assert beside.shape == (2, prod(shape) // prod(patch), prod(patch))
    np.testing.assert_array_equal(from_alias(beside, shape, patch), values)
    # base 1 along the last axis: its aliases are n / P apart
    n, p = shape[-1], patch[-1]
    assert beside[0, 1, :p].tolist() == [
        values[(0, *[0] * (len(shape) - 1), 1 + m * n // p)] for m in range(p)
    ]


@pytest.mark.parametrize(("shape", "patch"), [((12,), (3,)), ((4, 6), (2, 3))])
def test_the_linear_part_of_an_affine_step_is_the_step(
    rng: np.random.Generator, shape: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    """SCIENCE 16: an operator that knows its patches, applied by its alias matrices."""
    matrix, constant = patch_periodic(rng, shape, patch), rng.normal(size=patch)
    tiled = np.tile(constant, [n // p for n, p in zip(shape, patch, strict=True)])
    before = rng.normal(size=(5, *shape))
    after = (before.reshape(5, -1) @ matrix.T).reshape(5, *shape) + tiled
    found = PatchLinear.of(rows_of(matrix, shape, patch), before, after, patch)
    np.testing.assert_allclose(found.constant, constant, atol=1e-11)
    np.testing.assert_allclose(found(before), after, atol=1e-11)


def test_the_distance_of_blocks_is_the_trace_over_the_covariance(rng: np.random.Generator) -> None:
    """SCIENCE 22: E|(J - S) u + c|^2 = tr (J - S) C (J - S)^T + |c + (J - S) m|^2 with the dense covariance C."""
    n, p, mean = 12, 3, 0.7
    matrix, scheme = (
        patch_periodic(rng, (n,), (p,)),
        Stencil(np.array([[-1], [0]]), np.array([0.4, 0.5]), np.ones(1)),
    )
    energy = np.exp(-np.abs(np.fft.fftfreq(n, 1 / n)))
    covariance = np.array([[np.fft.ifft(energy).real[(i - j) % n] * n for j in range(n)] for i in range(n)])
    dense, constant = scheme.matrix(Grid.regular((n,))).toarray(), np.array([0.1, -0.2, 0.3])
    step = PatchLinear(PatchLinear.of(rows_of(matrix, (n,), (p,)), np.zeros((1, n)), np.zeros((1, n)), (p,)).matrices,
                       constant, (n,))  # fmt: skip
    found = bloch_distance(step, grid_symbol(scheme, (n,)), energy, mean)
    gap, flat = matrix - dense, np.full(n, mean)
    scale = np.trace(dense @ covariance @ dense.T) + (dense @ flat) @ (dense @ flat)
    left = gap @ flat + np.tile(constant, n // p)
    assert found["waves"] == pytest.approx(np.trace(gap @ covariance @ gap.T) / scale, rel=1e-10)
    assert found["constant"] == pytest.approx(left @ left / scale, rel=1e-10)


def test_expected_and_measured_agree_where_part_of_the_step_is_not_linear(rng: np.random.Generator) -> None:
    """SCIENCE 22: F(u) = J u + c + 0.3 (u^2 - 1) / sqrt 2 of white Gaussian u, with which the last part is
    not correlated."""
    shape, patch, many = (12,), (3,), 4000
    matrix, constant = 0.3 * patch_periodic(rng, shape, patch), np.tile([0.1, -0.2, 0.3], 4)
    before = rng.normal(size=(many, *shape))
    after = before @ matrix.T + constant + 0.3 * (before**2 - 1) / np.sqrt(2)
    scheme = Stencil(np.array([[-1], [0]]), np.array([0.4, 0.6]), np.ones(1))
    schemes = {"upwind": scheme, "still": Stencil.identity(1)}
    rows, energy = rows_of(matrix, shape, patch), np.full(shape, 1 / 12)
    found = one_step_error(rows, before, after, schemes, patch, energy)
    assert (found.scheme.values.tolist(), found.one_step_expected.units) == (["upwind", "still"], "1")
    gap = np.abs(found.one_step_expected - found.one_step_measured)
    assert (gap < 3 * found.one_step_standard_error).all()
    assert (found.one_step_standard_error < 0.02 * found.one_step_measured).all()
    assert float(found.error_of_state.sel(scheme="still")) == pytest.approx(0.09, rel=0.05)
    assert float(found.error_of_constant.sel(scheme="still")) == pytest.approx(0.14 / 3, rel=0.05)
    # without any of its parts it would not
    parts = found[["error_of_waves", "error_of_constant", "error_of_state"]].to_array()
    assert (parts > 3 * found.one_step_standard_error).all()


def test_the_standard_error_counts_clusters() -> None:
    error, power = np.array([1.0, 1.0, 3.0, 3.0]), np.ones(4)
    assert ratio_of_means(error, power)[0] == 2.0
    assert ratio_of_means(error, power)[1] == pytest.approx(np.std(error, ddof=1) / 2)
    # two clusters of two: the mean of two values 1 and 3
    assert ratio_of_means(error, power, np.array([5, 5, 9, 9]))[1] == pytest.approx(
        np.std([1, 3], ddof=1) / np.sqrt(2)
    )
    assert np.isnan(ratio_of_means(error, power, np.zeros(4))[1])


def test_systems_are_refused() -> None:
    system = Stencil(np.array([[0]]), np.ones((1, 1, 2, 2, 1)), np.ones(1), ("state", "cell"))
    with pytest.raises(InputError, match="expected a step of one variable, got 2: take"):
        one_step_error(system, np.ones((1, 3)), np.ones((1, 3)), {}, (1,), np.ones(3))
