"""Transport on the sphere against closed forms and case 1 of Williamson et al. 1992; what all equations share."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import sph_harm_y
from sphere_data import DAY, EQUAL, GAUSS, A, at, harmonic, mean, state

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


def test_half_a_turn_over_the_pole_shows_the_truncation() -> None:
    """A hill between the cells, not turned back into the ripples that it began with: against its closed form."""
    grid = Grid.gaussian(32, 64)
    lat, lon = at(grid)
    start, end = (np.exp(40 * (np.cos(lat) * np.cos(lon - where) - 1)) for where in (2, -2))
    found = Solver(SphereAdvection(tilt=90.0), grid, 6 * DAY, "rk4", 192)(state(start))[0, 0].numpy()
    assert 1e-3 < np.abs(found - end).max() < 2e-3  # after a full turn a tenth of it
    assert np.abs(found - start).max() > 0.9


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
