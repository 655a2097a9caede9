"""Means, energy and enstrophy of states that are known, and what the Judge makes of forecasts that drift."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.analysis.bootstrap import Bootstrap
from gridvit.analysis.judge import Judge
from gridvit.analysis.quantities import Flow, product, quantities_of
from gridvit.analysis.score_table import Labels
from gridvit.grid import EARTH_RADIUS, Grid
from gridvit.physics import Solver, Vorticity
from gridvit.rollout import rollout

TURN = 2 * np.pi


def numbers(grid: Grid, variables: dict[str, str], flowing: Flow, state: np.ndarray) -> dict[str, float]:
    found = quantities_of(grid, variables, flowing)
    return {name: float(quantity.of(state)) for name, quantity in found.items()}


@pytest.mark.parametrize("shape", [(11, 13), (10, 14)])
def test_taylor_green_by_its_vorticity_and_by_its_velocities(shape: tuple[int, int]) -> None:
    """SCIENCE 45: u = -cos x sin y, v = sin x cos y, w = 2 cos x cos y; E = 1/4, Z = 1/2."""
    grid = Grid.regular(shape, (TURN, TURN), units="m")
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    w, u, v = 2 * np.cos(x) * np.cos(y), -np.cos(x) * np.sin(y), np.sin(x) * np.cos(y)
    found = numbers(grid, {"w": "s-1"}, Flow(vorticity=0), w[None])
    assert found == pytest.approx({"mean of w": 0, "kinetic energy": 0.25, "enstrophy": 0.5}, abs=1e-14)
    other = numbers(grid, {"t": "K", "v": "m s-1", "u": "m s-1"}, Flow((2, 1)), np.stack([0 * x + 3, v, u]))
    assert other["kinetic energy"] == pytest.approx(0.25)
    assert other["enstrophy"] == pytest.approx(0.5)
    assert other["mean of t"] == pytest.approx(3)
    assert other["half mean square of t"] == pytest.approx(4.5)
    assert set(other) == {
        "mean of t",
        "mean of v",
        "mean of u",
        "half mean square of t",
        "kinetic energy",
        "enstrophy",
    }
    units = {name: q.units for name, q in quantities_of(grid, {"w": "s-1"}, Flow(vorticity=0)).items()}
    assert units == {"mean of w": "s-1", "kinetic energy": "m2 s-2", "enstrophy": "s-2"}


def test_the_decay_of_taylor_green() -> None:
    """SCIENCE 45: E = 1/4 e^(-4 nu t), which the equation's own Fourier derivatives give to rounding of the step."""
    grid, nu, dt = Grid.regular((12, 12), (TURN, TURN)), 0.1, 0.5
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    start = torch.from_numpy(2 * np.cos(x) * np.cos(y))[None, None]
    step = Solver(Vorticity(nu), grid, dt, "etdrk4", accuracy="spectral")
    states = rollout(step, start, 3)[0].numpy()
    energy = quantities_of(grid, {"w": "1"}, Flow(vorticity=0))["kinetic energy"]
    np.testing.assert_allclose(energy.of(states), 0.25 * np.exp(-4 * nu * dt * np.arange(4)), rtol=1e-10)


@pytest.mark.parametrize("grid", [Grid.gaussian(12, 25), Grid.latlon(23, 24)])
def test_solid_rotation_of_the_sphere(grid: Grid) -> None:
    """u = s cos lat, w = 2 s sin lat / a: E = s^2 / 3, Z = 2 s^2 / (3 a^2), and so by either."""
    lat, lon = np.meshgrid(*(np.deg2rad(c) for c in grid.centers), indexing="ij")
    s, radius = 40.0, 1000 * EARTH_RADIUS
    u, w = s * np.cos(lat), 2 * s * np.sin(lat) / radius
    expected = {"kinetic energy": s**2 / 3, "enstrophy": 2 * s**2 / (3 * radius**2)}
    rtol = 1e-3 if grid == Grid.latlon(23, 24) else 1e-12  # areas of equal rows integrate to second order
    by_wind = numbers(grid, {"u": "m s-1", "v": "m s-1"}, Flow((0, 1)), np.stack([u, 0 * lon]))
    by_curl = numbers(grid, {"w": "s-1"}, Flow(vorticity=0), w[None])
    for name, value in expected.items():
        assert by_wind[name] == pytest.approx(value, rel=3 * rtol)
        assert by_curl[name] == pytest.approx(value, rel=3 * rtol)
    found = quantities_of(grid, {"u": "m s-1", "v": "m s-1"}, Flow((0, 1)))
    assert found["enstrophy"].units == "s-2"


def test_what_needs_slopes_is_left_out_where_there_are_none() -> None:
    walls = Grid.regular((5, 7), periodic=False)
    assert set(quantities_of(walls, {"w": "1"}, Flow(vorticity=0))) == {"mean of w", "enstrophy"}
    velocities = quantities_of(walls, {"u": "1", "v": "1"}, Flow((0, 1)))
    assert set(velocities) == {"mean of u", "mean of v", "kinetic energy"}


@pytest.mark.parametrize(
    ("factors", "expected"),
    [
        ((("m s-1", 2),), "m2 s-2"),
        ((("s-1", 2), ("m", 2)), "s-2 m2"),
        ((("m s-1", 2), ("m", -2)), "s-2"),
        ((("1", 2),), "1"),
        ((("kg/m2", 2),), "(kg/m2)2"),
    ],
)
def test_units_to_their_powers(factors: tuple[tuple[str, int], ...], expected: str) -> None:
    assert product(*factors) == expected


@pytest.fixture
def waves() -> tuple[Grid, np.ndarray, np.ndarray]:
    """Cases that start as a + cos x + cos 2 y and do not move: 7 cases, 3 leads, on a plane of 8 by 9."""
    grid = Grid.regular((8, 9), (TURN, TURN), units="m")
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    start = (np.arange(7.0)[:, None, None] + np.cos(x) + np.cos(2 * y))[:, None]
    return grid, start, np.repeat(start[:, None], 3, axis=1)


def judged(grid: Grid, start: np.ndarray, truth: np.ndarray, forecast: np.ndarray):
    judge = Judge(truth, start, grid, Labels([1, 2, 3], {"t": "K"}), Flow(), Bootstrap(block=1))
    return judge.table({"emulator": judge.measure(forecast)})


def test_drift_is_counted_from_the_start_and_spectra_from_the_truth(waves: tuple) -> None:
    """f = u + 0.1 l at lead l, and half of the wave 2 y: the error has (0.1 l)^2 in k = 0 and 1/8 in |k| = 2."""
    grid, start, truth = waves
    lead = np.array([1, 2, 3])[:, None, None, None]
    y = grid.centers[0][:, None]
    found = judged(grid, start, truth, truth + 0.1 * lead - 0.5 * np.cos(2 * y))
    assert found.source.values.tolist() == ["truth", "emulator"]
    own = found.sel(source="emulator")
    np.testing.assert_allclose(own.drift.sel(quantity="mean of t"), [0.1, 0.2, 0.3])
    np.testing.assert_allclose(found.drift.sel(source="truth"), 0, atol=1e-13)
    np.testing.assert_allclose(found.quantity_mean.sel(source="truth", quantity="mean of t"), 3)
    # <u^2> / 2 of a + cos x + cos 2 y is (a^2 + 1) / 2, a^2 being 13 on average
    np.testing.assert_allclose(found.quantity_mean.sel(source="truth", quantity="half mean square of t"), 7)
    shift = 0.01 * np.array([1, 4, 9])
    zero, eighth = np.zeros(3), np.full(3, 0.125)
    errors = own.isotropic_error.isel(variable=0), own.zonal_error.isel(variable=0)
    np.testing.assert_allclose(errors[0][:, :3], np.stack([shift, zero, eighth], axis=1), atol=1e-13)
    np.testing.assert_allclose(errors[1][:, :2], np.stack([shift + eighth, zero], axis=1), atol=1e-13)
    np.testing.assert_allclose(
        found.isotropic_spectrum.sel(source="truth")[0, 0, :3], [13, 0.5, 0.5], atol=1e-12
    )
    assert (
        found.quantity_mean_low.sel(quantity="mean of t") < found.quantity_mean.sel(quantity="mean of t")
    ).all()
    assert found.quantity_units.values.tolist() == ["K", "K2"]
    assert found.zonal_spectrum.units == "square of K"
    assert all({"long_name", "units"} <= set(found[name].attrs) for name in found.data_vars)


def test_the_error_spectrum_adds_up_to_the_square_of_the_rmse(rng: np.random.Generator) -> None:
    """By area on the sphere: parts in 3 by 5 by 2 fields of noise."""
    grid = Grid.latlon(6, 11)
    truth, forecast = rng.standard_normal((2, 3, 5, 2, 6, 11))
    judge = Judge(truth, truth[:, 0], grid, Labels(range(5), {"u": "1", "v": "1"}), Flow(), Bootstrap())
    rows = np.diff(np.sin(np.deg2rad(np.linspace(-90, 90, 7)))) / 2
    square = ((forecast - truth) ** 2).mean(axis=(0, -1)) @ rows
    np.testing.assert_allclose(
        judge.measure(forecast).zonal_error.sum("zonal_wavenumber"), square, rtol=1e-12
    )


def test_gaps_leave_means_and_no_waves(waves: tuple) -> None:
    grid, start, truth = waves
    truth = truth.copy()
    truth[..., 0, 0] = np.nan
    found = judged(grid, start, truth, np.where(np.isnan(truth), 1e9, truth))
    assert "zonal_spectrum" not in found
    np.testing.assert_allclose(found.drift.sel(source="emulator"), 0, atol=1e-13)


def test_leads_that_are_not_forecast_stay_empty(waves: tuple) -> None:
    grid, start, truth = waves
    forecast = truth.copy()
    forecast[:, 1] = np.nan
    found = judged(grid, start, truth, forecast).sel(source="emulator")
    for name in ("zonal_spectrum", "isotropic_error", "drift", "quantity_mean"):
        assert np.isnan(found[name].isel(lead=1)).all()
        assert np.isfinite(found[name].isel(lead=[0, 2])).all()
