"""Symbols, their cumulants and their advection-diffusion fit against closed forms of the schemes."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis import symbol
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil, modes


def upwind(c: float) -> Stencil:
    return Stencil(np.array([[-1], [0]]), np.array([c, 1 - c]), np.ones(1))


def line_waves(n: int, highest: int) -> np.ndarray:
    m = np.arange(1, highest + 1)
    return 2 * np.pi * np.concatenate([m, -m])[:, None] / n


def exact(theta: np.ndarray, c: np.ndarray, r: np.ndarray) -> np.ndarray:
    return np.exp(-1j * theta @ c - np.einsum("mi,ij,mj->m", theta, r, theta))


@pytest.mark.parametrize("shape", [(7,), (8,), (5, 6)])
def test_mode_energy_adds_up_to_the_mean_square(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    fields = rng.normal(size=(3, 2, *shape))
    energy = symbol.mode_energy(fields, len(shape))
    assert energy.shape == shape
    assert energy.sum() == pytest.approx((fields**2).mean(), rel=1e-13)


def test_energy_modes_find_the_planted_waves_with_their_conjugates() -> None:
    y, x = np.meshgrid(np.arange(11), np.arange(12), indexing="ij")
    field = (
        7
        + 3 * np.cos(2 * np.pi * (2 * y / 11 - x / 12))
        + np.cos(2 * np.pi * 3 * x / 12)
        + 0.01 * np.cos(np.pi * x)
    )
    theta, energy = symbol.energy_modes(field[None], 2, share=0.99)
    waves = {tuple(np.round(t * [11, 12] / (2 * np.pi)).astype(int).tolist()) for t in theta}
    assert waves == {(2, -1), (-2, 1), (0, 3), (0, -3)}
    np.testing.assert_allclose(np.sort(energy), np.array([0.5, 0.5, 4.5, 4.5]) / 10.0002 * 1.0001, rtol=2e-4)
    assert len(symbol.energy_modes(field[None], 2, share=0.85)[0]) == 2
    assert len(symbol.energy_modes(field[None], 2, share=1.0)[0]) >= 5


def test_constant_fields_have_no_modes() -> None:
    with pytest.raises(InputError, match="expected fields that vary in space, got constant ones"):
        symbol.energy_modes(np.ones((2, 5)), 1)


@pytest.mark.parametrize("shape", [(7,), (8,), (5, 6)])
def test_the_grid_symbol_is_the_symbol_at_its_modes(rng: np.random.Generator, shape: tuple[int, ...]) -> None:
    offsets = rng.integers(-9, 10, size=(13, len(shape)))
    scalar = Stencil(offsets, rng.normal(size=(2, 13)), np.ones(len(shape)), ("layer",))
    np.testing.assert_allclose(symbol.grid_symbol(scalar, shape), scalar.symbol(modes(shape)), atol=1e-12)
    system = Stencil(offsets, rng.normal(size=(2, 2, 13)), np.ones(len(shape)))
    matrices = np.moveaxis(system.symbol(modes(shape)), (-2, -1), (0, 1))
    np.testing.assert_allclose(symbol.grid_symbol(system, shape), matrices, atol=1e-12)
    with pytest.raises(InputError, match="give the shape of the stencil's grid"):
        symbol.grid_symbol(scalar, (*shape, 3))


def test_a_uniform_floor_only_scales_waves() -> None:
    """SCIENCE 20."""
    floor = Stencil.from_array(np.full(11, 0.02 / 11), 1.0)
    mixed = 0.98 * upwind(0.4) + floor
    np.testing.assert_allclose(
        symbol.grid_symbol(mixed, (11,))[1:], 0.98 * symbol.grid_symbol(upwind(0.4), (11,))[1:], atol=1e-15
    )


@pytest.mark.parametrize(("n", "c"), [(31, 0.4), (32, 7.3), (32, -11.9)])
def test_phases_are_unwrapped_from_zero_outward(n: int, c: float, rng: np.random.Generator) -> None:
    theta = line_waves(n, (n - 1) // 2)
    theta = theta[rng.permutation(len(theta))]
    found = symbol.unwrapped_phase(theta, np.exp(-1j * c * theta[:, 0]))
    np.testing.assert_allclose(found, -c * theta[:, 0], atol=1e-11)
    assert np.abs(found).max() > np.pi or abs(c) < 1


def test_phases_of_a_dispersive_step_stay_on_their_branch() -> None:
    """Crank-Nicolson advection, arg G = -2 atan(c sin(theta) / 2), leaves -c theta by more than 2 pi."""
    theta = line_waves(64, 31)
    c = 9.0
    want = -2 * np.arctan(c * np.sin(theta[:, 0]) / 2)
    assert np.abs(want + c * theta[:, 0]).max() > 2 * np.pi
    np.testing.assert_allclose(symbol.unwrapped_phase(theta, np.exp(1j * want)), want, atol=1e-12)


@pytest.mark.parametrize("reaction", [False, True])
def test_the_fit_gives_back_an_exact_propagator_with_phases_beyond_pi(reaction: bool) -> None:
    theta = modes((24, 31)).reshape(-1, 2)
    theta = theta[(np.linalg.norm(theta, axis=1) < 2.2) & (np.abs(theta).sum(axis=1) > 0)]
    c, r = np.array([2.2, -1.7]), np.array([[0.1, 0.03], [0.03, 0.05]])
    assert np.abs(theta @ c).max() > 1.8 * np.pi
    grown = exact(theta, c, r) * (np.exp(0.07) if reaction else 1.0)
    energy = np.exp(-(theta**2).sum(axis=1))
    found = symbol.fit_advection_diffusion(
        theta, grown, energy, (0.5, 2.0), 0.25, reaction=reaction, units=("m", "s")
    )
    np.testing.assert_allclose(found.velocity, c * [0.5, 2.0] / 0.25, rtol=1e-11)
    np.testing.assert_allclose(found.diffusivity, r * [[0.25, 1.0], [1.0, 4.0]] / 0.25, rtol=1e-10)
    assert float(found.reaction) == pytest.approx(0.28 if reaction else 0.0, rel=1e-10)
    assert float(found.misfit) < 1e-12
    assert found.velocity.units == "m / s"
    assert found.diffusivity.units == "m^2 / s"


@pytest.mark.parametrize("c", [0.4, 0.8])
def test_the_fit_of_upwind_tends_to_its_numerical_diffusion(c: float) -> None:
    """Velocity c h / dt and diffusivity c (1 - c) h^2 / (2 dt), each to second order in theta."""
    errors = []
    for n in (64, 128):
        theta = line_waves(n, 3)
        growth = 1 - c * (1 - np.exp(-1j * theta[:, 0]))
        found = symbol.fit_advection_diffusion(theta, growth, np.ones(6), (1.0,))
        errors.append([float(found.velocity[0]) - c, float(found.diffusivity[0, 0]) - c * (1 - c) / 2])
    assert np.abs(errors[1]).max() < 2e-3
    np.testing.assert_allclose(np.divide(*errors), 4.0, rtol=0.05)


def test_the_fit_of_ftcs_diffusion_at_one_wave_is_its_damping_there() -> None:
    theta = line_waves(17, 1)
    r = 0.2
    growth = 1 - 4 * r * np.sin(theta[:, 0] / 2) ** 2 + 0j
    found = symbol.fit_advection_diffusion(theta, growth, np.ones(2), (3.0,), 2.0)
    want = -np.log(growth.real[0]) / theta[0, 0] ** 2 * 9.0 / 2.0
    assert float(found.diffusivity[0, 0]) == pytest.approx(want, rel=1e-12)
    assert float(found.velocity[0]) == pytest.approx(0.0, abs=1e-12)


def test_the_fit_weighs_waves_by_energy_and_leaves_nyquist_and_dead_waves_aside() -> None:
    theta = np.array([[0.5], [1.0], [np.pi], [-np.pi], [1.5]])
    speeds = np.array([0.3, 0.6, 5.0, 5.0, 0.0])
    growth = np.exp(-1j * speeds * theta[:, 0] - 0.1 * theta[:, 0] ** 2)
    growth[-1] = 0.0
    energy = np.array([8.0, 1.0, 99.0, 99.0, 99.0])
    found = symbol.fit_advection_diffusion(theta, growth, energy, (1.0,))
    assert float(found.velocity[0]) == pytest.approx((8 * 0.25 * 0.3 + 1 * 0.6) / (8 * 0.25 + 1), rel=1e-12)
    assert float(found.diffusivity[0, 0]) == pytest.approx(0.1, rel=1e-12)


def test_too_few_waves_are_refused() -> None:
    theta = np.array([[0.3, 0.0], [-0.3, 0.0]])
    with pytest.raises(InputError, match="got 2 that determine 1: take a larger"):
        symbol.fit_advection_diffusion(theta, np.ones(2) + 0j, np.ones(2), (1.0, 1.0))


def test_cumulants_of_upwind_come_from_three_waves() -> None:
    """SCIENCE 21."""
    c = 0.4
    found = symbol.fit_cumulants(upwind(c), (128,))
    assert found[(0,)] == pytest.approx(0.0, abs=1e-9)
    assert found[(1,)] == pytest.approx(-c, abs=2e-9)
    assert found[(2,)] == pytest.approx(c * (1 - c), abs=1e-6)
    assert found[(3,)] == pytest.approx(-c * (1 - c) * (1 - 2 * c), abs=1e-5)


def test_fitted_cumulants_ignore_a_floor_that_spoils_raw_moments() -> None:
    n, c, floor = 64, 0.4, 0.01
    mixed = (1 - floor) * upwind(c) + Stencil.from_array(np.full(n, floor / n), 1.0)
    found = symbol.fit_cumulants(mixed, (n,))
    assert float(mixed.cumulant(2)) > 3.0
    assert found[(2,)] == pytest.approx(c * (1 - c), abs=1e-4)
    assert found[(0,)] == pytest.approx(np.log(1 - floor), abs=1e-7)


def test_cumulants_of_a_long_two_dimensional_shift_are_unwrapped() -> None:
    """A drift of 9 cells turns the third wave of 32 by 5.3 radians."""
    step = Stencil.shift((-9, 4)) @ Stencil(
        np.array([[-1, 0], [0, 0], [1, 0]]), np.array([0.2, 0.6, 0.2]), np.ones(2)
    )
    found = symbol.fit_cumulants(step, (32, 37))
    assert found[(1, 0)] == pytest.approx(-9, abs=1e-8)
    assert found[(0, 1)] == pytest.approx(4, abs=1e-8)
    assert found[(2, 0)] == pytest.approx(0.4, abs=1e-3)
    assert found[(1, 1)] == pytest.approx(0.0, abs=1e-9)
    assert set(map(sum, found)) == {0, 1, 2, 3, 4}


def test_cumulants_need_cells_and_one_scalar_stencil() -> None:
    with pytest.raises(InputError, match=r"got \(6,\) cells and 3 waves: take fewer waves or orders"):
        symbol.fit_cumulants(upwind(0.4), (6,))
    many = Stencil(np.array([[0]]), np.ones((2, 1)), np.ones(1), ("head",))
    with pytest.raises(InputError, match=r"got leading axes \('head',\): choose one with isel"):
        symbol.fit_cumulants(many, (16,))


def test_the_table_has_modulus_and_phase_speed_of_upwind() -> None:
    n, c = 12, 0.3
    found = symbol.symbol_table({"upwind": upwind(c), "still": Stencil.identity(1)}, Grid.regular((n,)), (c,))
    theta = 2 * np.pi * np.arange(1, 6) / n
    np.testing.assert_allclose(found.theta, theta)
    one = found.sel(scheme="upwind", direction="x")
    np.testing.assert_allclose(one.amplification**2, 1 - 4 * c * (1 - c) * np.sin(theta / 2) ** 2, rtol=1e-12)
    want = np.arctan2(c * np.sin(theta), 1 - c + c * np.cos(theta)) / (c * theta)
    np.testing.assert_allclose(one.phase_speed, want, rtol=1e-12)
    np.testing.assert_allclose(found.sel(scheme="still").phase_speed, 0.0, atol=1e-15)


def test_the_table_unwraps_and_reads_shorter_axes_between_their_waves() -> None:
    grid = Grid.regular((8, 32))
    found = symbol.symbol_table({"shift": Stencil.shift((-1, -5))}, grid, (1.0, 5.0)).sel(scheme="shift")
    np.testing.assert_allclose(found.phase_speed.sel(direction="x"), 1.0, rtol=1e-11)
    along_y = found.phase_speed.sel(direction="y")
    inside = (found.theta >= 2 * np.pi / 8 - 1e-9) & (found.theta <= 6 * np.pi / 8 + 1e-9)
    np.testing.assert_allclose(along_y[inside], 1.0, rtol=1e-11)
    assert np.isnan(along_y[~inside]).all()
    assert symbol.symbol_table({"shift": Stencil.shift((-1, -5))}, grid).phase_speed.isnull().all()
    assert (
        symbol.symbol_table({"a": Stencil.shift((0, 1))}, grid, (0.0, 1.0))
        .phase_speed.sel(direction="y")
        .isnull()
        .all()
    )
