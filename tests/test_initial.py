"""Random fields: their spectrum, their moments, their seeds."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import random_field


@pytest.mark.parametrize("shape", [(29,), (32,), (23, 16)])
def test_every_field_has_zero_mean_and_unit_variance(shape):
    u = random_field(Grid.regular(shape), 5, seed=1, cutoff=3, variables=2)
    assert u.shape == (5, 2, *shape)
    assert u.dtype == torch.float64
    space = tuple(range(2, u.ndim))
    torch.testing.assert_close(u.mean(space), torch.zeros(5, 2, dtype=torch.float64), atol=1e-14, rtol=0)
    torch.testing.assert_close(u.var(space, correction=0), torch.ones(5, 2, dtype=torch.float64))


def test_amplitude_falls_as_a_gaussian_of_the_wavenumber():
    cutoff, shape = 4.0, (31, 32)
    u = random_field(Grid.regular(shape, (2.0, 5.0)), 400, seed=2, cutoff=cutoff).numpy()[:, 0]
    power = (np.abs(np.fft.fft2(u)) ** 2).mean(axis=0)
    ky, kx = np.meshgrid(*(np.fft.fftfreq(n, 1 / n) for n in shape), indexing="ij")
    square = kx**2 + ky**2
    ratio = power * np.exp(2 * square / cutoff**2)
    rings = [
        ratio[(square > 0) & (square >= low**2) & (square < (low + 2) ** 2)].mean() for low in range(0, 12, 2)
    ]
    np.testing.assert_allclose(rings / np.mean(rings), 1, atol=0.05)


def test_directions_are_alike():
    u = random_field(Grid.regular((16, 16)), 600, seed=3, cutoff=2).numpy()[:, 0]
    power = (np.abs(np.fft.fft2(u)) ** 2).mean(axis=0)
    np.testing.assert_allclose(power[2, 0] / power[0, 2], 1, atol=0.15)
    np.testing.assert_allclose(power[1, 1] / power[1, -1], 1, atol=0.15)


def test_the_seed_decides():
    grid = Grid.regular((7, 8))
    first = random_field(grid, 3, seed=5, cutoff=2)
    assert torch.equal(first, random_field(grid, 3, seed=5, cutoff=2))
    assert torch.equal(first, random_field(grid, 5, seed=5, cutoff=2)[:3])
    assert not torch.allclose(first, random_field(grid, 3, seed=6, cutoff=2))


def test_a_tiny_cutoff_leaves_the_longest_wave():
    u = random_field(Grid.regular(13), 2, seed=0, cutoff=0.01).numpy()[:, 0]
    power = np.abs(np.fft.rfft(u)) ** 2
    np.testing.assert_allclose(power[:, 1] / power.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("cutoff", [0, -1.0, 3.6, float("nan")])
def test_a_cutoff_that_the_grid_does_not_resolve_is_refused(cutoff):
    with pytest.raises(
        InputError, match=r"expected a cutoff above 0 and up to 3.5 cycles per domain.*lower the cutoff"
    ):
        random_field(Grid.regular((7, 11)), 1, seed=0, cutoff=cutoff)


@pytest.mark.parametrize("grid", [Grid.latlon(5, 8), Grid.regular((5, 7), periodic=(True, False))])
def test_only_a_periodic_plane_will_do(grid):
    with pytest.raises(InputError, match="expected a periodic plane, got"):
        random_field(grid, 1, seed=0, cutoff=2)


def test_no_field_is_refused():
    with pytest.raises(InputError, match="expected at least one field and variable, got 0 and 1"):
        random_field(Grid.regular(7), 0, seed=0, cutoff=2)
