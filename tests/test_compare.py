"""The comparison of stencils against distances and moments known beforehand."""

from __future__ import annotations

import numpy as np
import pytest

from gridvit.analysis.compare import compare, symbol_distance
from gridvit.analysis.symbol import grid_symbol, mode_energy
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.stencil import Stencil, modes


def shift_mix(c: float) -> Stencil:
    """Upwind along x in two dimensions."""
    return Stencil(np.array([[0, -1], [0, 0]]), np.array([c, 1 - c]), np.ones(2))


def low_energy(shape: tuple[int, ...]) -> np.ndarray:
    energy = np.exp(-3 * (modes(shape) ** 2).sum(axis=-1))
    return np.where(energy > 1e-3, energy, 0.0)


def test_the_unweighted_distance_is_that_of_the_weights(rng: np.random.Generator) -> None:
    """SCIENCE 22."""
    grid = Grid.regular((7, 10))
    one, two = (Stencil.from_array(rng.normal(size=(7, 10)), np.ones(2)) for _ in range(2))
    found = compare(one, {"other": two}, Grid.regular((7, 10)), energy=low_energy(grid.shape))
    want = np.linalg.norm(one.weights - two.weights) / np.linalg.norm(two.weights)
    assert float(found.distance_unweighted.sel(scheme="other")) == pytest.approx(want, rel=1e-12)
    assert float(found.distance_unweighted.sel(scheme="emulator")) == 0.0


def test_the_weighted_distance_is_the_expected_one_step_error(rng: np.random.Generator) -> None:
    """SCIENCE 22."""
    n = 16
    filtered = np.fft.ifft(
        np.fft.fft(rng.normal(size=(4000, n))) * np.exp(-np.abs(np.fft.fftfreq(n, 1 / n)) / 3)
    ).real
    one, two = (Stencil(np.array([[-1], [0]]), np.array([c, 1 - c]), np.ones(1)) for c in (0.4, 0.5))
    found = symbol_distance(grid_symbol(one, (n,)), grid_symbol(two, (n,))[None], mode_energy(filtered, 1))
    matrices = [s.matrix(Grid.regular((n,))).toarray() for s in (one, two)]
    after = [filtered @ m.T for m in matrices]
    assert found[0] ** 2 == pytest.approx(
        ((after[0] - after[1]) ** 2).sum() / (after[1] ** 2).sum(), rel=1e-10
    )


def test_waves_without_energy_change_nothing(rng: np.random.Generator) -> None:
    """SCIENCE 22."""
    shape = (8, 9)
    energy = low_energy(shape)
    symbol = grid_symbol(shift_mix(0.3), shape)
    noise = np.where(energy == 0, rng.normal(size=shape) + 0j, 0)
    before, after = (symbol_distance(symbol + extra, symbol[None], energy) for extra in (0 * noise, noise))
    assert before[0] == after[0] == 0.0
    assert symbol_distance(symbol + noise, symbol[None])[0] > 0.1


def test_the_table_has_the_shape_that_reports_read() -> None:
    grid = Grid.regular((16, 19), (8.0, 38.0), units="m")
    c = 0.3
    found = compare(
        shift_mix(c), {"upwind": shift_mix(c), "still": Stencil.identity(2)}, grid, 0.5,
        energy=low_energy(grid.shape), courant=(0.0, c), window=2, time_units="s",
    )  # fmt: skip
    assert found.scheme.values.tolist() == ["emulator", "upwind", "still"]
    assert found.stencil.dims == ("scheme", "dy", "dx")
    assert found.cumulant.dims == ("scheme", "order")
    assert found.velocity.dims == ("scheme", "axis")
    assert found.diffusivity.dims == ("scheme", "axis", "axis_2")
    assert found.amplification.dims == ("scheme", "direction", "theta")
    assert found.velocity.axis.values.tolist() == ["y", "x"]
    assert found.velocity.units == "m / s"
    assert all({"units", "long_name"} <= set(v.attrs) for v in found.values())
    window = found.stencil.sel(scheme="emulator")
    np.testing.assert_allclose(window.sel(dy=0), [0, c, 1 - c, 0, 0], atol=1e-15)
    assert float(np.abs(window).sum()) == pytest.approx(1.0, abs=1e-13)


def test_cumulants_and_coefficients_are_those_of_upwind() -> None:
    grid, c, dt = Grid.regular((32, 64), (8.0, 128.0)), 0.4, 0.5
    found = compare(shift_mix(c), {}, grid, dt, energy=low_energy(grid.shape)).sel(scheme="emulator")
    cumulants = found.cumulant
    assert float(cumulants.sel(order="0,1")) == pytest.approx(-c, abs=1e-6)
    assert float(cumulants.sel(order="0,2")) == pytest.approx(c * (1 - c), abs=1e-4)
    assert float(cumulants.sel(order="0,3")) == pytest.approx(-c * (1 - c) * (1 - 2 * c), abs=1e-3)
    np.testing.assert_allclose(cumulants.sel(order=["0,0", "1,0", "2,0", "1,1"]), 0.0, atol=1e-6)
    assert float(found.velocity.sel(axis="x")) == pytest.approx(c * 2.0 / dt, rel=0.02)
    assert float(found.diffusivity.sel(axis="x", axis_2="x")) == pytest.approx(
        c * (1 - c) / 2 * 4.0 / dt, rel=0.05
    )
    assert float(found.velocity.sel(axis="y")) == pytest.approx(0.0, abs=1e-9)


def test_leading_axes_are_averaged_and_one_dimension_works() -> None:
    offsets = np.array([[-1], [0]])
    pair = Stencil(offsets, np.array([[[0.2, 0.8]], [[0.6, 0.4]]]), np.ones(1), ("state", "cell"))
    found = compare(pair, {"mean": Stencil(offsets, np.array([0.4, 0.6]), np.ones(1))}, Grid.regular((11,)))
    assert float(found.distance_unweighted.sel(scheme="mean")) == pytest.approx(0.0, abs=1e-14)
    assert found.stencil.dims == ("scheme", "dx")
    assert "velocity" not in found
    assert "distance_weighted" not in found


@pytest.mark.parametrize(("n", "want"), [(8, list(range(-4, 4))), (9, list(range(-4, 5)))])
def test_the_window_shows_each_cell_of_a_small_grid_once(n: int, want: list[int]) -> None:
    found = compare(Stencil.shift((-4,)), {}, Grid.regular((n,)), window=20)
    assert found.dx.values.tolist() == want
    assert float(found.stencil.sel(dx=-4)[0]) == pytest.approx(1.0)


@pytest.mark.parametrize(("n", "highest"), [(3, 1), (5, 3), (7, 4)])
def test_small_grids_have_fewer_cumulants(n: int, highest: int) -> None:
    found = compare(Stencil.shift((-1,)), {}, Grid.regular((n,))).cumulant
    assert found.order.values.tolist() == [str(k) for k in range(highest + 1)]
    np.testing.assert_allclose(found[0], [0, -1, 0, 0, 0][: highest + 1], atol=1e-9)


def test_systems_and_bounded_grids_are_refused() -> None:
    system = Stencil(np.array([[0]]), np.ones((2, 2, 1)), np.ones(1))
    with pytest.raises(InputError, match=r"got a system of 2: compare component\(out, into\) by component"):
        compare(system, {}, Grid.regular((9,)))
    with pytest.raises(InputError, match="expected a plane that is periodic along every axis"):
        compare(Stencil.identity(1), {}, Grid.regular((9,), periodic=False))
