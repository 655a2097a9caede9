"""The best linear predictor, the theta scheme and the nearest scheme, of schemes that are known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from gridvit.analysis.nearness import best_linear, nearest, nearest_theta_scheme, theta_symbol
from gridvit.analysis.symbol import grid_symbol
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.equations import AdvectionDiffusion
from gridvit.physics.schemes import SCHEMES
from gridvit.stencil import Stencil, modes


@pytest.mark.parametrize("shape", [(11,), (12,), (5, 6)])
def test_the_best_linear_predictor_of_a_schemes_data_is_the_scheme(
    rng: np.random.Generator, shape: tuple[int, ...]
) -> None:
    scheme = Stencil(rng.integers(-2, 3, (5, len(shape))), rng.normal(size=5), np.ones(len(shape)))
    before = rng.normal(size=(7, *shape))
    after = np.stack([(scheme.matrix(Grid.regular(shape)) @ u.ravel()).reshape(shape) for u in before])
    np.testing.assert_allclose(best_linear(before, after), grid_symbol(scheme, shape), atol=1e-12)
    noisy = best_linear(before, after + rng.normal(size=after.shape))
    assert np.abs(noisy - grid_symbol(scheme, shape)).max() > 0.05  # so the data matter


def test_waves_that_are_not_there_stay_unknown() -> None:
    x = 2 * np.pi * np.arange(8) / 8
    wave = np.cos(x)[None]
    found = best_linear(wave, 0.5 * wave)
    np.testing.assert_allclose(found[[1, 7]], 0.5)
    assert not found[[0, 2, 3, 4, 5, 6]].any()


@pytest.mark.parametrize(("name", "implicitness"), [("ftcs", 0.0), ("crank-nicolson", 0.5), ("btcs", 1.0)])
def test_the_theta_scheme_of_a_named_scheme_is_itself(name: str, implicitness: float) -> None:
    grid, shape = Grid.regular((16, 19)), (16, 19)
    c, r = np.array([0.3, -0.2]), np.array([[0.12, 0.04], [0.04, 0.2]])
    equation = AdvectionDiffusion(velocity=tuple(c), diffusivity=tuple(map(tuple, r)))
    theta = modes(shape).reshape(-1, 2)
    used = (np.abs(theta) < 2.0).all(axis=-1) & theta.any(axis=-1)
    symbol = SCHEMES[name](equation, grid, 1.0).symbol(theta[used])
    np.testing.assert_allclose(theta_symbol(theta[used], c, r, implicitness), symbol, atol=1e-12)
    found = nearest_theta_scheme(theta[used], symbol, np.exp(-(theta[used] ** 2).sum(-1)))
    np.testing.assert_allclose(found.theta_courant, c, atol=1e-7)
    np.testing.assert_allclose(found.theta_diffusion, r, atol=1e-7)
    assert float(found.theta_implicitness) == pytest.approx(implicitness, abs=1e-6)
    assert float(found.theta_distance) < 1e-9


def test_the_nearest_is_the_smallest_distance_of_those_that_count() -> None:
    distances = xr.DataArray([0.0, 0.3, np.nan, 0.2], {"scheme": ["emulator", "a", "b", "c"]}, "scheme")
    assert nearest(distances, ("emulator",)) == "c"
    assert nearest(distances, ("emulator", "c")) == "a"
    with pytest.raises(InputError, match="expected a distance from some scheme, got none"):
        nearest(distances, ("emulator", "a", "c"))
