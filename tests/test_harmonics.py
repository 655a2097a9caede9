"""The transform against SciPy and derivatives by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sphere_data import EQUAL, GAUSS, A, at, harmonic, state

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    Harmonics,
)

# --- the transform


@pytest.mark.parametrize(("grid", "T"), [(GAUSS, 11), (EQUAL, 7), (Grid.gaussian(64, 128), 42)])
def test_truncation_is_the_largest_that_multiplies_exactly(grid: Grid, T: int) -> None:
    """T42 is known to need 64 Gaussian rows and 128 columns; equal steps integrate to one degree per row."""
    assert Harmonics(grid).truncation == T


@pytest.mark.parametrize("grid", [GAUSS, EQUAL], ids=["gaussian", "equal"])
@pytest.mark.parametrize(("n", "m"), [(0, 0), (1, 0), (4, 3), (6, 1), (7, 7), (7, 0)])
def test_harmonics_are_scipys(grid: Grid, n: int, m: int) -> None:
    transform = Harmonics(grid)
    spectrum = transform.analyse(state(harmonic(grid, n, m)))[0, 0].numpy()
    # Y has unit square over 4 pi, P e^{im lon} a mean square of one; its real part is half of m and half of -m,
    # and orthonormal Y have the sign (-1)^m of Condon and Shortley
    expected = np.zeros_like(spectrum)
    expected[m, n] = (-1) ** m / np.sqrt(4 * np.pi) / (2 if m else 1)
    np.testing.assert_allclose(spectrum, expected, atol=1e-14)
    torch.testing.assert_close(transform.truncated(state(harmonic(grid, n, m))), state(harmonic(grid, n, m)))


@pytest.mark.parametrize("grid", [GAUSS, EQUAL], ids=["gaussian", "equal"])
def test_derivatives_by_hand(grid: Grid) -> None:
    """u = sin lat cos lat cos lon: slopes -sin lat sin lon / a and (cos^2 - sin^2) cos lon / a, n = 2."""
    transform, (lat, lon) = Harmonics(grid), at(grid)
    u = state(np.sin(lat) * np.cos(lat) * np.cos(lon))
    spectrum = transform.analyse(u)
    east, north = transform.gradient(spectrum)
    torch.testing.assert_close(A * east, state(-np.sin(lat) * np.sin(lon)))
    torch.testing.assert_close(A * north, state(np.cos(2 * lat) * np.cos(lon)))
    torch.testing.assert_close(A**2 * transform.synthesise(transform.laplacian(spectrum)), -6 * u)
    torch.testing.assert_close(
        transform.synthesise(transform.laplacian(transform.laplacian(spectrum), -1)), u
    )
    torch.testing.assert_close(A**2 * transform.synthesise(transform.divergence(east, north)), -6 * u)
    assert float(transform.curl(east, north).abs().max()) < 1e-14 / A**2
    turned = transform.wind(transform.analyse(-6 * u / A**2))
    torch.testing.assert_close(turned, (-north, east), rtol=1e-10, atol=1e-20)


def test_winds_return(rng: np.random.Generator) -> None:
    transform = Harmonics(GAUSS)
    zeta, delta = (
        transform.analyse(torch.from_numpy(rng.standard_normal((3, 1, *GAUSS.shape)))) for _ in "zd"
    )
    zeta[..., 0, 0] = delta[..., 0, 0] = 0  # no wind has a mean vorticity
    u, v = transform.wind(zeta, delta)
    torch.testing.assert_close(transform.curl(u, v), zeta)
    torch.testing.assert_close(transform.divergence(u, v), delta)


@pytest.mark.parametrize(
    "grid",
    [
        Grid.regular((16, 32)),
        Grid.latlon(17, 36, poles=True),
        Grid.from_centers(
            (np.arange(-60.0, 61.0, 10), np.arange(0.0, 360.0, 10)),
            names=("latitude", "longitude"),
            units=("degrees_north", "degrees_east"),
            periodic=(False, True),
            radius=6371.0,
        ),
    ],
    ids=["plane", "poles", "band"],
)
def test_other_grids_are_refused(grid: Grid) -> None:
    with pytest.raises(
        InputError, match="expected the whole sphere in equal steps of longitude without rows"
    ):
        Harmonics(grid)


def test_too_few_cells_are_refused() -> None:
    with pytest.raises(
        InputError, match="expected at least 4 rows and 4 columns, Gaussian or in equal steps"
    ):
        Harmonics(Grid.latlon(3, 36))
