"""Random fields: their spectrum, their moments, their seeds."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.fft
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Harmonics, random_field


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


def test_standing_waves_between_walls():
    """Sines vanish on the wall faces, cosines have no slope there: the series of DST-II and DCT-II says so."""
    grid = Grid.regular((12, 16), periodic=(False, True))
    u = random_field(grid, 4, seed=1, cutoff=2, boundary=("dirichlet", "open")).numpy()[:, 0]
    v = random_field(grid, 4, seed=1, cutoff=2, boundary="neumann").numpy()[:, 0]
    for field, transform in ((u, scipy.fft.dst), (v, scipy.fft.dct)):
        power = transform(field, type=2, axis=1) ** 2
        assert power[:, 8:].max() < 1e-3 * power.max()  # eight half waves are four cycles, twice the cutoff
    for field, transform in ((v, scipy.fft.dst), (u, scipy.fft.dct)):
        power = transform(field, type=2, axis=1) ** 2
        assert power[:, 8:].max() > 1e-3 * power.max()  # a wave of the other kind would need short waves
    np.testing.assert_allclose((u**2).mean((1, 2)), 1)
    np.testing.assert_allclose(v.mean((1, 2)), 0, atol=1e-14)


def test_no_field_is_refused():
    with pytest.raises(InputError, match="expected at least one field and variable, got 0 and 1"):
        random_field(Grid.regular(7), 0, seed=0, cutoff=2)


@pytest.mark.parametrize("grid", [Grid.regular((7, 8)), Grid.gaussian(8, 16)], ids=["plane", "sphere"])
def test_fields_are_the_same_however_they_are_divided(grid):
    whole = random_field(grid, 5, seed=5, cutoff=2, variables=2)
    parts = [
        random_field(grid, n, seed=5, cutoff=2, variables=2, first=k) for k, n in ((0, 2), (2, 1), (3, 2))
    ]
    assert torch.equal(torch.cat(parts), whole)
    assert not torch.allclose(whole[0], whole[1])


@pytest.mark.parametrize("grid", [Grid.gaussian(17, 36), Grid.latlon(24, 36)], ids=["gaussian", "equal"])
def test_fields_on_the_sphere_have_zero_mean_and_unit_variance(grid):
    u = random_field(grid, 3, seed=1, cutoff=3, variables=2)
    assert u.shape == (3, 2, *grid.shape)
    weights = torch.from_numpy(grid.areas / grid.areas.sum())
    assert (
        float((u * weights).sum((-2, -1)).abs().max()) < 2e-3
    )  # areas are the quadrature of Gaussian rows alone
    torch.testing.assert_close((u**2 * weights).sum((-2, -1)), torch.ones(3, 2, dtype=torch.float64))


def test_power_on_the_sphere_falls_as_a_gaussian_of_the_degree():
    """E|c_nm|^2 ~ exp(-2 (n / 8)^2) for every order m; unit variance ties the first degrees to the rest."""
    transform = Harmonics(Grid.gaussian(32, 64))
    fields = random_field(transform.grid, 1500, seed=2, cutoff=8)
    spectrum = (transform.analyse(fields)[:, 0].abs() ** 2).numpy()
    n = np.arange(22)
    ratio = spectrum.mean(axis=0) * np.exp(2 * n**2 / 64)
    held = np.triu(np.ones((22, 22), dtype=bool))
    held[:, :3] = False
    np.testing.assert_allclose(ratio[held] / ratio[held].mean(), 1, atol=0.13)
    assert spectrum[:, np.tril(np.ones((22, 22), dtype=bool), -1)].max() == 0


def test_a_field_is_the_same_on_every_sphere_that_holds_it():
    """Through the harmonics of both: a finer grid adds waves that the cutoff leaves next to nothing."""
    coarse, fine = (Harmonics(grid) for grid in (Grid.gaussian(32, 64), Grid.latlon(80, 128)))
    T = coarse.truncation
    assert fine.truncation > T
    first, second = (
        h.analyse(random_field(h.grid, 2, seed=7, cutoff=4, variables=2))[..., : T + 1, : T + 1]
        for h in (coarse, fine)
    )
    torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-5)


def test_a_cutoff_beyond_the_truncation_is_refused():
    with pytest.raises(
        InputError, match="up to 21 degrees of the harmonics, the grid's shortest wave, got 22"
    ):
        random_field(Grid.gaussian(32, 64), 1, seed=0, cutoff=22)
