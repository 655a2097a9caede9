"""Attention as numerical analysis: what a layer can be, exactly, and what its Jacobian is."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from bias_data import CASES, contents, random_bias
from torch import Tensor

from gridvit.grid import Grid
from gridvit.nn.attention import Attention, folded_attention, masked_attention
from gridvit.nn.bias import AreaWeighted, NoBias, Plane, make_bias


def tabled(n: int, tables: np.ndarray) -> Plane:
    """The Fourier bias of a ring of ``n`` tokens whose head h is ``tables[h]`` up to a constant, in float64."""
    bias = make_bias("fourier", Grid.regular(n), len(tables), n // 2).double()
    assert isinstance(bias, Plane)
    phase = 2 * math.pi / n * np.outer(np.arange(n) + 0.5, np.arange(1, n // 2 + 1))
    bias.wave = torch.from_numpy(np.stack([np.cos(phase), np.sin(phase)], -1))[:, :, None]
    waves = np.fft.rfft(tables)[:, 1:] / n * 2
    if n % 2 == 0:
        waves[:, -1] /= 2
    amplitudes = torch.from_numpy(np.stack([waves.real, -waves.imag], -1))[:, :, None]
    bias.table.data = amplitudes / bias.scale[:, None, :, None]
    return bias


def peak(n: int, *offsets: int) -> np.ndarray:
    """A table that softmax turns into an even choice of keys at these offsets, to rounding."""
    table = np.full(n, -60.0)
    table[list(offsets)] = 0
    return table


def test_two_signed_heads_are_lax_wendroff() -> None:
    """SCIENCE 10."""
    # S = S+ - S-, each a positive stencil times its sum: u + c terms at offsets -1, 0, 1
    n, c = 12, 0.4
    plus, minus = np.array([c * (1 + c) / 2, 1 - c**2, 0]), c * (1 - c) / 2
    near = peak(n, -1, 0)
    near[[-1, 0]] = np.log(plus[:2])
    bias = tabled(n, np.stack([near, peak(n, 1)]))
    u = torch.from_numpy(np.random.default_rng(1).standard_normal(n))
    flat = torch.zeros(1, 2, n, 1, dtype=torch.float64)
    out = folded_attention(flat, flat, u.expand(1, 2, n)[..., None].contiguous(), bias.fold())[0, :, :, 0]
    found = plus.sum() * out[0] - minus * out[1]
    # u - c/2 (u(+1) - u(-1)) + c^2/2 (u(+1) - 2 u + u(-1))
    left, right = u.roll(1), u.roll(-1)
    expected = u - c / 2 * (right - left) + c**2 / 2 * (right - 2 * u + left)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)
    each = torch.eye(n, dtype=torch.float64).expand(1, 2, n, n)
    rows = folded_attention(flat, flat, each, bias.fold())[0]
    matrix = plus.sum() * rows[0] - minus * rows[1]
    # its worst amplification of a field is the sum of the sizes of its weights
    torch.testing.assert_close(
        matrix.abs().sum(1), torch.full((n,), 1 + c * (1 - c), dtype=torch.float64), atol=1e-12, rtol=0
    )


@pytest.mark.parametrize("c", [1.0, 0.2, 0.7])
def test_upwind_of_cells_by_attention_of_patches(c: float) -> None:
    """SCIENCE 14, 15."""
    # A_0 x ((1 - c) I + c N) + A_-1 x c e_1 e_P^T: the attention is the same for every c, a shift by one cell at c = 1
    tokens, cells, width = 6, 4, 16
    layer = Attention(width, 2, tabled(tokens, np.stack([peak(tokens, 0), peak(tokens, -1)]))).double()
    shift, carry = np.eye(cells, k=-1), np.zeros((cells, cells))
    carry[0, -1] = 1
    for parameter in layer.parameters():
        if parameter is not layer.bias.table:
            parameter.data.zero_()
    layer.value.weight.data[:4, :4] = layer.value.weight.data[8:12, :4] = torch.eye(4)
    layer.out.weight.data[:4, :4] = torch.from_numpy((1 - c) * np.eye(cells) + c * shift)
    layer.out.weight.data[:4, 8:12] = torch.from_numpy(c * carry)
    u = torch.from_numpy(np.random.default_rng(2).standard_normal(tokens * cells))
    patches = torch.cat([u.reshape(1, tokens, cells), torch.zeros(1, tokens, width - cells).double()], -1)
    weights = torch.cat([w for _, w in layer.weights(patches)], 2)[0]
    expected = torch.stack([torch.eye(tokens), torch.eye(tokens).roll(1, 0)]).double()
    torch.testing.assert_close(weights, expected, atol=1e-12, rtol=0)
    after = layer(patches)[0, :, :cells].flatten()
    torch.testing.assert_close(after, (1 - c) * u + c * u.roll(1), atol=1e-12, rtol=0)


@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_attention_is_an_average(kind: str, grid: Grid) -> None:
    """SCIENCE 13."""
    bias = random_bias(kind, grid)
    query, key, value = contents(grid)
    fold = bias.fold()

    def mix(values: Tensor) -> Tensor:
        if fold is None:
            return masked_attention(query, key, values, bias.logits)
        return folded_attention(query, key, values, fold)

    out = mix(value)
    assert (out <= value.amax(2, keepdim=True) + 1e-5).all()
    assert (out >= value.amin(2, keepdim=True) - 1e-5).all()
    torch.testing.assert_close(mix(torch.ones_like(value)), torch.ones_like(value))


def jacobian(layer: Attention, x: Tensor, frozen: Tensor | None = None) -> Tensor:
    """d (x + attention(x)) / dx, with the attention held where it is given."""
    replace = None if frozen is None else lambda _layer, _weights: frozen
    found = torch.autograd.functional.jacobian(lambda y: y + layer(y, 0, replace), x)
    return found.reshape(x.numel(), x.numel())


def test_jacobian_with_frozen_attention_is_routing_times_values() -> None:
    """SCIENCE 18."""
    # I + sum_h A_h x W_O^h W_V^h; the whole Jacobian where queries and keys have no content
    torch.manual_seed(0)
    layer = Attention(16, 2, make_bias("distance", Grid.regular(7), 2, 2)).double()
    x = torch.randn(1, 7, 16, dtype=torch.float64)
    for content in (True, False):
        if not content:
            layer.query_key.weight.data.zero_()
        weights = torch.cat([w for _, w in layer.weights(x)], 2).detach()
        values = layer.value.weight.reshape(2, 8, 16)
        outs = layer.out.weight.reshape(16, 2, 8)
        expected = torch.eye(7 * 16).double() + sum(
            torch.kron(weights[0, h], outs[:, h] @ values[h]) for h in range(2)
        )
        torch.testing.assert_close(jacobian(layer, x, weights), expected, atol=1e-12, rtol=0)
        same = torch.allclose(jacobian(layer, x), expected, atol=1e-9)
        assert same is not content


def test_splitting_a_cell_changes_nothing() -> None:
    """SCIENCE 34."""

    def line(edges: list[float]) -> Grid:
        middle = [(a + b) / 2 for a, b in itertools.pairwise(edges)]
        return Grid.from_centers((middle,), names=("x",), units=("1",), periodic=(False,), bounds=(edges,))

    coarse, fine = line([0, 1, 3, 4, 7]), line([0, 1, 1.5, 3, 4, 7])
    source = torch.tensor([0, 1, 1, 2, 3])
    generator = torch.Generator().manual_seed(1)
    query, key, value = (torch.randn(1, 2, 4, d, generator=generator) for d in (3, 3, 5))
    outs = []
    for grid, take in ((coarse, torch.arange(4)), (fine, source)):
        fold = AreaWeighted(NoBias(grid, 2), grid).fold()
        outs.append(folded_attention(query[:, :, take], key[:, :, take], value[:, :, take], fold))
    torch.testing.assert_close(outs[1], outs[0][:, :, source], atol=1e-6, rtol=1e-5)
