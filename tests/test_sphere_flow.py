"""Barotropic vorticity and shallow water: exact waves, invariants, and cases 2 and 6 of Williamson et al. 1992."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sphere_data import DAY, EQUAL, GAUSS, OMEGA, A, G, at, mean, state

from gridvit.grid import Grid
from gridvit.physics import (
    BarotropicVorticity,
    Harmonics,
    Solver,
    SphereShallowWater,
    random_states,
)

# --- barotropic vorticity: case 6


def rossby_haurwitz(grid: Grid, days: float = 0.0) -> torch.Tensor:
    """Vorticity of equations 140-142; its phase turns at the rate of equation 143 (Haurwitz 1940)."""
    R, omega = 4, 7.848e-6
    rate = (R * (3 + R) * omega - 2 * OMEGA) / ((1 + R) * (2 + R))
    lat, lon = at(grid)
    lon = lon - rate * days * DAY
    return state(
        2 * omega * np.sin(lat)
        - omega * np.sin(lat) * np.cos(lat) ** R * (R**2 + 3 * R + 2) * np.cos(R * lon)
    )


@pytest.mark.parametrize("grid", [GAUSS, EQUAL], ids=["gaussian", "equal"])
def test_a_rossby_haurwitz_wave_turns_at_its_rate(grid: Grid) -> None:
    start, true = rossby_haurwitz(grid), rossby_haurwitz(grid, 2.0)
    equation = BarotropicVorticity(hyperviscosity=0)
    errors = [
        float((Solver(equation, grid, 2 * DAY, "rk4", n)(start) - true).abs().max() / true.abs().max())
        for n in (16, 32)
    ]
    assert errors[1] < 1e-6
    assert np.log2(errors[0] / errors[1]) == pytest.approx(4, abs=0.1)


def test_energy_and_enstrophy_are_lost_to_the_order_of_the_step_alone() -> None:
    grid = Grid.gaussian(32, 64)
    transform, equation = Harmonics(grid), BarotropicVorticity(hyperviscosity=0)
    start = random_states(equation, grid, 2, seed=3, cutoff=6)

    def invariants(zeta: torch.Tensor) -> np.ndarray:
        u, v = transform.wind(transform.analyse(zeta))
        fields = (zeta, (u**2 + v**2) / 2, zeta**2 / 2)
        return np.array([[mean(grid, row[0]) for row in field.numpy()] for field in fields])

    before, lost = invariants(start), []
    for substeps in (24, 48):
        after = invariants(Solver(equation, grid, DAY, "rk4", substeps)(start))
        assert np.abs(after[0] - before[0]).max() < 1e-15 * 2e-5
        lost.append(np.abs(after[1:] / before[1:] - 1).max(axis=1))
    assert (lost[1] < 1e-5).all()
    assert (np.log2(lost[0] / lost[1]) > 4.5).all()  # fifth order: RK4 damps a wave by (dt omega)^6 a step


# --- shallow water


def steady_zonal_flow(grid: Grid, tilt: float) -> torch.Tensor:
    """Equations 90-95, whose Coriolis parameter is tilted with the flow."""
    (lat, lon), alpha, u0 = at(grid), np.deg2rad(tilt), 2 * np.pi * A / (12 * DAY)
    u = u0 * (np.cos(lat) * np.cos(alpha) + np.cos(lon) * np.sin(lat) * np.sin(alpha))
    v = -u0 * np.sin(lon) * np.sin(alpha)
    axis = -np.cos(lon) * np.cos(lat) * np.sin(alpha) + np.sin(lat) * np.cos(alpha)
    return state(u, v, (2.94e4 - (A * OMEGA * u0 + u0**2 / 2) * axis**2) / G)


@pytest.mark.parametrize("tilt", [0.0, 87.1])
def test_a_steady_flow_stays(tilt: float) -> None:
    """Case 2 for five days: the flow is of degree two, so that what remains is rounding."""
    equation = SphereShallowWater(hyperviscosity=0, tilt=tilt)
    start = steady_zonal_flow(GAUSS, tilt)
    found = Solver(equation, GAUSS, 5 * DAY, "rk4", 200)(start)
    for name, scale, drift in zip(("u", "v", "h"), (40.0, 40.0, 3000.0), (found - start)[0], strict=True):
        assert float(drift.abs().max()) < 1e-11 * scale, name


def test_a_flow_about_another_axis_does_not_stay() -> None:
    start = steady_zonal_flow(GAUSS, 45.0)
    found = Solver(SphereShallowWater(hyperviscosity=0), GAUSS, DAY, "rk4", 96)(start)
    assert float((found - start)[0, 2].abs().max()) > 50


def test_the_wave_of_case_6_keeps_mass_energy_and_its_symmetry() -> None:
    """Winds of the Rossby-Haurwitz wave, balanced: four-fold all along, mass to rounding, energy to 1e-6."""
    grid = Grid.gaussian(23, 48)
    transform, equation = Harmonics(grid), SphereShallowWater(hyperviscosity=0)
    noise = rossby_haurwitz(grid) / 2e-5
    start = equation.states(noise.expand(1, 3, -1, -1), grid)
    # Equation 146 at the equator, with the coefficients A, B, C of case 6 there
    lat, lon = at(grid)
    w, R, c = 7.848e-6, 4, np.cos(lat)
    first = w / 2 * (2 * OMEGA + w) * c**2 + w**2 / 4 * c ** (2 * R) * (
        (R + 1) * c**2 + 2 * R**2 - R - 2 - 2 * R**2 / c**2
    )
    second = 2 * (OMEGA + w) * w / ((R + 1) * (R + 2)) * c**R * (R**2 + 2 * R + 2 - (R + 1) ** 2 * c**2)
    third = w**2 / 4 * c ** (2 * R) * ((R + 1) * c**2 - (R + 2))
    height = A**2 / G * (first + second * np.cos(R * lon) + third * np.cos(2 * R * lon))
    np.testing.assert_allclose(start[0, 2] - start[0, 2, 0, 0], height - height[0, 0], atol=1e-6)

    def energy(u: torch.Tensor) -> float:
        return mean(grid, (u[0, 2] * (u[0, 0] ** 2 + u[0, 1] ** 2) / 2 + G * u[0, 2] ** 2 / 2).numpy())

    found = Solver(equation, grid, DAY, "rk4", 90)(start)
    np.testing.assert_allclose(mean(grid, found[0, 2].numpy()), mean(grid, start[0, 2].numpy()), rtol=1e-13)
    np.testing.assert_allclose(energy(found), energy(start), rtol=1e-6)
    torch.testing.assert_close(found, found.roll(12, dims=-1), rtol=0, atol=1e-8)
    assert float((found - start)[0, 2].abs().max()) > 50
    phase = [transform.analyse(h[:, 2:])[0, 0, 4, 4].angle() for h in (start, found)]
    moved = phase[1] - phase[0]
    # To the east at some 12 degrees a day, as Haurwitz says; the divergence slows it by some per cent.
    haurwitz = (R * (3 + R) * w - 2 * OMEGA) / ((1 + R) * (2 + R)) * DAY
    assert 0.88 < float(-moved) / 4 / haurwitz < 1


def test_without_gravity_waves_shallow_water_is_barotropic_vorticity() -> None:
    """A layer ever deeper lets no divergence be: the vorticity of both moves alike."""
    grid = Grid.gaussian(16, 32)
    transform, vorticity = Harmonics(grid), BarotropicVorticity()
    start = random_states(vorticity, grid, 1, seed=0, cutoff=3)
    expected = Solver(vorticity, grid, DAY / 4, "rk4", 20)(start)
    gaps = []
    for height in (3e4, 3e5):
        water = SphereShallowWater(height=height)
        began = water.states((start / 2e-5).expand(1, 3, -1, -1), grid)
        ended = Solver(water, grid, DAY / 4, "rk4", 20 * int(np.sqrt(height / 1e4)))(began)
        found = transform.synthesise(transform.curl(ended[:, :1], ended[:, 1:2]))
        gaps.append(float((found - expected).abs().max() / (start - expected).abs().max()))
    assert gaps[1] < gaps[0] / 5
    assert gaps[1] < 0.03


def test_random_states_begin_in_balance() -> None:
    water, grid = SphereShallowWater(), Grid.gaussian(32, 64)
    u = random_states(water, grid, 3, seed=1, cutoff=6)
    assert u.shape == (3, 3, 32, 64)
    transform = Harmonics(grid)
    rate = water.rhs(grid)(u)
    settled = transform.divergence(rate[:, :1], rate[:, 1:2]).abs().max()
    assert float(settled) < 1e-10 * float(transform.curl(rate[:, :1], rate[:, 1:2]).abs().max())
    np.testing.assert_allclose([mean(grid, h) for h in u[:, 2].numpy()], 8000, rtol=1e-12)


@pytest.mark.parametrize("cutoff", [2.0, 4.0, 8.0])
def test_the_speeds_of_random_states_are_within_those_of_the_step(cutoff: float) -> None:
    """Wind, and wind and gravity wave together, of a hundred states: no margin of the stable step is spent on them."""
    flow, water = BarotropicVorticity(), SphereShallowWater()
    vorticity, layer = (random_states(e, GAUSS, 100, seed=7, cutoff=cutoff) for e in (flow, water))
    transform = Harmonics(GAUSS)
    wind = torch.cat(transform.wind(transform.analyse(vorticity)), dim=1).norm(dim=1).max()
    assert 80 < wind < flow.good.largest
    waves = layer[:, :2].norm(dim=1) + (G * layer[:, 2]).sqrt()
    assert 80 < waves.max() - (G * water.height) ** 0.5 < water.good.largest
