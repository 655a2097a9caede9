"""Heads times what they do with the cells of a token, against cell stencils that they are made to be."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.signed import signed_stencil
from gridvit.errors import InputError
from gridvit.stencil import Stencil


def upwind_heads(cells: int, c: float) -> tuple[Stencil, np.ndarray]:
    """Two heads, at the own token and at the one before, and the kernels that make upwind of them."""
    tokens = Stencil(
        np.array([[-1], [0]]), np.array([[[0.0, 1.0], [1.0, 0.0]]]), np.array([4.0]), ("layer", "head")
    )
    carry = np.zeros((cells, cells))
    carry[0, -1] = c
    return tokens, np.stack([(1 - c) * np.eye(cells) + c * np.eye(cells, k=-1), carry])[None]


@pytest.mark.parametrize("c", [1.0, 0.2, 0.7])
def test_two_heads_are_upwind_of_cells(c: float) -> None:
    """SCIENCE 14, 15: a shift by a cell is A_0 x N_P + A_-1 x e_1 e_P^T; upwind of any c has the same attention."""
    heads, kernels = upwind_heads(4, c)
    found = signed_stencil(heads, kernels, (4,))
    assert (found.dims, found.spacing.tolist()) == (("layer", "head"), [1.0])
    total = (found.isel(layer=0, head=0) + found.isel(layer=0, head=1)).trimmed(1e-15)
    want = Stencil(np.array([[-1], [0]]), np.array([c, 1 - c]), np.ones(1)).trimmed()
    np.testing.assert_array_equal(total.offsets, want.offsets)
    np.testing.assert_allclose(total.weights, want.weights, atol=1e-15)


@pytest.mark.parametrize(("tokens", "patch"), [((5,), (3,)), ((3, 4), (2, 3))])
def test_it_is_the_phase_average_of_the_dense_operator(
    rng: np.random.Generator, tokens: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    """SCIENCE 17: J = A x M in dense form, averaged over the rows of a patch."""
    size, ndim = int(np.prod(patch)), len(patch)
    kernel, inner = rng.normal(size=tokens), rng.normal(size=(size, size))
    found = signed_stencil(Stencil.from_array(kernel, np.ones(ndim)), inner, patch)
    shape = tuple(n * p for n, p in zip(tokens, patch, strict=True))
    want = np.zeros(shape)
    for p in np.ndindex(*patch):
        for q in np.ndindex(*patch):
            for token in np.ndindex(*tokens):
                place = [(t * w + b - a) % n for t, w, a, b, n in zip(token, patch, p, q, shape, strict=True)]
                want[tuple(place)] += (
                    kernel[token] * inner[np.ravel_multi_index(p, patch), np.ravel_multi_index(q, patch)]
                )
    got = np.zeros(shape)
    np.add.at(got, tuple((found.offsets % shape).T), found.weights)
    np.testing.assert_allclose(got, want / size, atol=1e-13)


def test_the_sign_is_that_of_the_values() -> None:
    """SCIENCE 10: u - c/2 (u(+1) - u(-1)) + c^2/2 (...) of two heads, the second of negative sign."""
    c = 0.4
    plus = np.array([c * (1 + c) / 2, 1 - c**2, 0.0])
    minus = c * (1 - c) / 2
    heads = Stencil(
        np.array([[-1], [0], [1]]), np.stack([plus / plus.sum(), [0, 0, 1.0]]), np.ones(1), ("head",)
    )
    found = signed_stencil(heads, np.array([plus.sum(), -minus])[:, None, None], (1,))
    total = found.isel(head=0) + found.isel(head=1)
    np.testing.assert_allclose(total.weights, [c * (1 + c) / 2, 1 - c**2, -c * (1 - c) / 2], atol=1e-15)
    assert np.abs(total.weights).sum() == pytest.approx(1 + c * (1 - c))


def test_kernels_of_another_patch_are_refused() -> None:
    heads, kernels = upwind_heads(4, 0.5)
    with pytest.raises(InputError, match=r"expected kernels \(..., 3, 3\) of every head, got \(1, 2, 4, 4\)"):
        signed_stencil(heads, kernels, (3,))
