"""The sphere's harmonics and equations against closed forms, and the standard tests of Williamson et al. 1992."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    BarotropicVorticity,
    Harmonics,
    Solver,
    SphereAdvection,
    SphereDiffusion,
    SphereShallowWater,
    random_states,
)

DAY, OMEGA, G = 86400.0, 7.292e-5, 9.80616
A = 6371008.8
GAUSS, EQUAL = Grid.gaussian(17, 36), Grid.latlon(23, 36)


def at(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Latitude and longitude of every cell, radians."""
    lat, lon = np.meshgrid(*(np.deg2rad(c) for c in grid.centers), indexing="ij")
    return lat, lon


def state(*fields: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(fields))[None]


def harmonic(grid: Grid, n: int, m: int) -> np.ndarray:
    """Re Y_n^m by SciPy."""
    lat, lon = at(grid)
    return sph_harm_y(n, m, np.pi / 2 - lat, lon).real


def mean(grid: Grid, field: np.ndarray) -> float:
    """Over the area, by the quadrature of the rows."""
    nodes = np.sin(np.deg2rad(grid.centers[0]))
    basis = np.polynomial.legendre.legvander(nodes, len(nodes) - 1)
    weights = np.linalg.solve(basis.T, np.eye(len(nodes))[0])
    return float(weights @ field.mean(axis=-1))


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


# --- Williamson's case 1: a cosine bell, carried around the sphere


def bell(grid: Grid, lon0: float = 3 * np.pi / 2) -> np.ndarray:
    """Equation 79: height 1000 m, radius a / 3, on the equator."""
    lat, lon = at(grid)
    r = np.arccos(np.clip(np.cos(lat) * np.cos(lon - lon0), -1, 1))
    return np.where(r < 1 / 3, 500 * (1 + np.cos(3 * np.pi * r)), 0.0)


def l2(grid: Grid, found: np.ndarray, true: np.ndarray) -> float:
    """Equation 83."""
    return float(np.sqrt(mean(grid, (found - true) ** 2) / mean(grid, true**2)))


@pytest.mark.parametrize("tilt", [0.0, 90.0])
def test_a_bell_returns_after_twelve_days_over_the_poles(tilt: float) -> None:
    """The error is that of the truncation, which falls by more than its square; nothing is lost on the way."""
    errors = []
    for rows, substeps in ((23, 250), (46, 500)):
        grid = Grid.gaussian(rows, 2 * rows)
        true = bell(grid)
        start = Harmonics(grid).truncated(state(true))
        step = Solver(SphereAdvection(tilt=tilt), grid, 12 * DAY, "rk4", substeps)
        found = step(start)
        np.testing.assert_allclose(
            mean(grid, found[0, 0].numpy()), mean(grid, start[0, 0].numpy()), rtol=1e-12
        )
        torch.testing.assert_close(found, start, rtol=0, atol=2.0)  # of 1000 m, by the time step alone
        errors.append(l2(grid, found[0, 0].numpy(), true))
    assert errors[1] < 0.03  # Williamson et al. and Jakob-Chien et al. 1995: 0.02 to 0.03 at T42
    assert errors[0] / errors[1] > 4


def test_the_bell_is_where_it_should_be_on_the_way() -> None:
    """Three days along a meridian: over the pole, centred where the axis of rotation says."""
    grid = Grid.gaussian(48, 96)
    start = Harmonics(grid).truncated(state(bell(grid)))
    found = Solver(SphereAdvection(tilt=90.0), grid, 3 * DAY, "rk4", 100)(start)[0, 0].numpy()
    lat, _ = at(grid)
    distance = np.pi / 2 - np.abs(lat)
    true = np.where(distance < 1 / 3, 500 * (1 + np.cos(3 * np.pi * distance)), 0.0)
    northern, southern = true * (lat > 0), true * (lat < 0)
    assert min(l2(grid, found, northern), l2(grid, found, southern)) < 0.05
    assert max(l2(grid, found, northern), l2(grid, found, southern)) > 1


def test_advection_is_of_the_tableaus_order() -> None:
    grid = Grid.gaussian(16, 32)
    start = state(harmonic(grid, 5, 3))
    turned = state(sph_harm_y(5, 3, np.pi / 2 - at(grid)[0], at(grid)[1] - np.pi / 2).real)
    for tableau, order in (("heun", 2), ("ssprk3", 3), ("rk4", 4)):
        error = [
            float((Solver(SphereAdvection(tilt=0.0), grid, 3 * DAY, tableau, n)(start) - turned).abs().max())
            for n in (20, 40)
        ]
        assert np.log2(error[0] / error[1]) == pytest.approx(order, abs=0.15)


# --- diffusion


@pytest.mark.parametrize(("n", "m"), [(1, 0), (3, 2), (7, 5)])
@pytest.mark.parametrize("grid", [GAUSS, EQUAL], ids=["gaussian", "equal"])
def test_a_harmonic_decays_by_its_degree(grid: Grid, n: int, m: int) -> None:
    equation, start = SphereDiffusion(2e6), state(harmonic(grid, n, m))
    found = Solver(equation, grid, 5 * DAY, "rk4", 20)(start)
    torch.testing.assert_close(
        found, np.exp(-2e6 * n * (n + 1) / A**2 * 5 * DAY) * start, rtol=1e-6, atol=1e-9
    )


def test_the_stable_step_of_diffusion_is_one() -> None:
    """RK4 bears dt |lambda| = 2.785 on the real axis; what is named stays below, and thrice of it blows up."""
    equation, start = SphereDiffusion(1e6), state(harmonic(GAUSS, 11, 4))
    limit = equation.stable_step(GAUSS)
    assert limit == pytest.approx(1.7 / (1e6 * 11 * 12 / A**2))
    assert float(Solver(equation, GAUSS, limit, "rk4")(start).abs().max()) < float(start.abs().max())
    assert float(Solver(equation, GAUSS, 3 * limit, "rk4")(start).abs().max()) > float(start.abs().max())


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
    assert float(-moved) / 4 > 0  # to the east


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


# --- all of them


EQUATIONS = [SphereAdvection(), SphereDiffusion(), BarotropicVorticity(), SphereShallowWater()]


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda e: type(e).__name__)
def test_batches_single_precision_and_gradients(equation) -> None:  # type: ignore[no-untyped-def]
    u = random_states(equation, GAUSS, 3, seed=2, cutoff=3)
    step = Solver(equation, GAUSS, 600.0, "rk4")
    together = step(u)
    torch.testing.assert_close(together[1:2], step(u[1:2]), rtol=1e-13, atol=1e-13)
    single = step(u.float())
    assert single.dtype == torch.float32
    for c in range(u.shape[1]):
        scale = float(u[:, c].abs().max())
        torch.testing.assert_close(single[:, c].double(), together[:, c], rtol=0, atol=1e-5 * scale)
    u.requires_grad_(True)
    step(u).square().sum().backward()
    assert u.grad is not None
    assert torch.isfinite(u.grad).all()


@pytest.mark.parametrize("equation", EQUATIONS, ids=lambda e: type(e).__name__)
def test_a_stable_step_is_stable(equation) -> None:  # type: ignore[no-untyped-def]
    u = random_states(equation, GAUSS, 1, seed=4, cutoff=4)
    found = Solver(equation, GAUSS, equation.stable_step(GAUSS), "ssprk3", 50)(u)
    assert torch.isfinite(found).all()
    dt = equation.stable_step(GAUSS)
    found = Solver(equation, GAUSS, 50 * dt, "ssprk3", 50)(u)
    for c in range(u.shape[1]):
        assert float(found[:, c].abs().max()) < 3 * float(u[:, c].abs().max())


def test_bad_coefficients_and_states_are_refused() -> None:
    with pytest.raises(
        InputError, match="expected a diffusivity of zero or more, got -1.0: correct its sign or size"
    ):
        SphereDiffusion(-1)
    with pytest.raises(
        InputError, match="expected a rotation that is finite, got nan: correct its sign or size"
    ):
        BarotropicVorticity(rotation=float("nan"))
    with pytest.raises(
        InputError, match="expected the variables u, v, height of SphereShallowWater, got 1: give"
    ):
        SphereShallowWater().rhs(GAUSS)(torch.zeros(1, 1, *GAUSS.shape))
