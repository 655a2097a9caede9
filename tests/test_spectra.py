"""Spectra that add up, in odd and even numbers of cells, on lines, planes and spheres."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.analysis.skill import area_weights
from gridvit.analysis.spectra import (
    degree_spectrum,
    power_spectrum,
    shell_spectrum,
    spectra_of,
    zonal_spectrum,
)
from gridvit.grid import Grid
from gridvit.physics import Harmonics


@pytest.mark.parametrize("n", [11, 12])
def test_the_spectrum_adds_up_to_the_mean_square(rng: np.random.Generator, n: int) -> None:
    """SCIENCE 44."""
    values = rng.normal(size=(3, n))
    energy = power_spectrum(values)
    assert energy.shape == (3, n // 2 + 1)
    np.testing.assert_allclose(energy.sum(axis=-1), (values**2).mean(axis=-1), rtol=1e-12)


def test_the_spectrum_counts_nyquist_once_and_other_waves_twice() -> None:
    """SCIENCE 44."""
    x = np.arange(8)
    energy = power_spectrum(1 + 2 * np.cos(np.pi * x / 4) + 3 * np.cos(np.pi * x))
    np.testing.assert_allclose(energy, [1, 2, 0, 0, 9], atol=1e-14)


@pytest.mark.parametrize("cells", [(12,), (13,), (8, 11), (9, 10)])
def test_shells_add_up_to_the_mean_square(cells: tuple[int, ...], rng: np.random.Generator) -> None:
    """SCIENCE 44."""
    u = rng.standard_normal((2, 3, *cells)) + 0.5
    for lengths in (None, (3.0, 5.0)[: len(cells)]):
        found = shell_spectrum(u, len(cells), lengths)
        np.testing.assert_allclose(found.sum(-1), (u**2).mean(tuple(range(2, u.ndim))))
    if len(cells) == 1:
        np.testing.assert_allclose(found, power_spectrum(u), atol=1e-15)


def test_shells_hold_the_waves_nearest_to_them() -> None:
    y, x = np.meshgrid(np.arange(16) / 16, np.arange(15) / 15, indexing="ij")
    u = 3 + np.cos(2 * np.pi * (3 * x + 4 * y)) + 2 * np.sin(2 * np.pi * (x - y))
    wanted = np.zeros(12)
    wanted[[0, 5, 1]] = 9, 0.5, 2  # |(3, 4)| = 5, |(1, 1)| = 1.41
    np.testing.assert_allclose(shell_spectrum(u, 2)[:12], wanted, atol=1e-14)


def test_shells_of_an_oblong_plane_are_round_in_space() -> None:
    """On 6 by 2 the first wave along the short side is as short as the third along the long one."""
    y, x = np.meshgrid(2 * np.pi * np.arange(9) / 9, 2 * np.pi * np.arange(20) / 20, indexing="ij")
    found = shell_spectrum(np.cos(y) + 2 * np.cos(3 * x), 2, (2.0, 6.0))
    np.testing.assert_allclose(found[:5], [0, 0, 0, 0.5 + 2, 0], atol=1e-14)
    np.testing.assert_allclose(shell_spectrum(np.cos(y + 4 * x), 2, (2.0, 6.0))[5], 0.5)  # |(3, 4)| = 5


@pytest.mark.parametrize("columns", [10, 13])
def test_zonal_waves_add_up_by_area(columns: int, rng: np.random.Generator) -> None:
    grid = Grid.latlon(7, columns, poles=True)
    u = rng.standard_normal((3, 7, columns))
    found = zonal_spectrum(u, grid)
    np.testing.assert_allclose(found.sum(-1), (u**2 * area_weights(grid)).mean((1, 2)), rtol=1e-12)
    # A wave in one row counts by that row's share of the area.
    u = np.zeros((7, columns))
    u[0] = np.cos(2 * 2 * np.pi * np.arange(columns) / columns)
    share = (1 - np.sin(np.deg2rad(75))) / 2
    np.testing.assert_allclose(zonal_spectrum(u, grid)[:4], [0, 0, share / 2, 0], atol=1e-15)


@pytest.mark.parametrize("grid", [Grid.gaussian(9, 20), Grid.latlon(16, 17)])
def test_degrees_of_harmonics(grid: Grid, rng: np.random.Generator) -> None:
    """sin^2 lat = 1/3 + 2/3 P_2: mean squares 1/9 and 4/9 / 5. cos lat cos lon has <u^2> = 1/3, of degree one."""
    transform = Harmonics(grid)
    lat, lon = (np.deg2rad(c) for c in grid.centers)
    u = np.stack([np.sin(lat)[:, None] ** 2 + 0 * lon, np.cos(lat)[:, None] * np.cos(lon)])
    found = degree_spectrum(u, transform)
    np.testing.assert_allclose(found[0, :4], [1 / 9, 0, 4 / 45, 0], atol=1e-14)
    np.testing.assert_allclose(found[1, :4], [0, 1 / 3, 0, 0], atol=1e-14)
    noise = rng.standard_normal((2, 3, *grid.shape))
    held = transform.truncated(torch.from_numpy(noise)).numpy()
    rows = transform._weights
    power = (held**2).mean(-1) @ rows  # exact: the square's degree is within what the rows integrate
    np.testing.assert_allclose(degree_spectrum(noise, transform).sum(-1), power, rtol=1e-12)


@pytest.mark.parametrize(
    ("grid", "names"),
    [
        (Grid.regular(7), ["zonal"]),
        (Grid.regular(7, periodic=False), []),
        (Grid.regular((5, 7)), ["zonal", "isotropic"]),
        (Grid.regular((5, 7), periodic=(False, True)), ["zonal"]),
        (Grid.regular((5, 7), periodic=(True, False)), []),
        (Grid.gaussian(7, 12), ["zonal", "isotropic"]),
        (Grid.latlon(7, 12, poles=True), ["zonal"]),
    ],
)
def test_which_spectra_a_grid_has(grid: Grid, names: list[str], rng: np.random.Generator) -> None:
    found = spectra_of(grid)
    assert [spectrum.name for spectrum in found] == names
    u = rng.standard_normal((2, *grid.shape))
    for spectrum in found:
        assert spectrum.waves(u).shape[:-1] == (2,)


def test_cells_of_unequal_width_have_no_waves() -> None:
    centers = (np.array([0.5, 1.5, 2.7, 4.0]), np.array([0.0, 1.0, 2.5, 3.0, 5.0]))
    bounds = (None, np.array([-0.5, 0.5, 1.6, 2.7, 4.0, 6.0]))
    how = {"names": ("y", "x"), "units": ("1", "1"), "periodic": (False, True)}
    assert spectra_of(Grid.from_centers(centers, **how, bounds=bounds)) == []
