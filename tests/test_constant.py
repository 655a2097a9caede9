"""Operators of constant coefficients: stencils, symbols and waves between walls."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import AdvectionDiffusion, Operator, Wave
from gridvit.physics.constant import bilaplacian, laplacian
from gridvit.physics.derivatives import Derivatives
from gridvit.physics.fourier import Waves, mixer
from gridvit.stencil import modes


def noise(*shape: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(6).standard_normal(shape))


def test_terms_of_laplacians():
    assert laplacian(2, 3) == {(2, 0): 3, (0, 2): 3}
    assert bilaplacian(1) == {(4,): 1}
    assert bilaplacian(2, -0.5) == {(4, 0): -0.5, (2, 2): -1, (0, 4): -0.5}


def test_stencil_of_a_system_by_hand():
    stencil = Wave(3.0).linear(1).stencil(Grid.regular(7, 3.5))
    assert stencil.offsets.tolist() == [[-1], [0], [1]]
    np.testing.assert_allclose(stencil.weights, [[[0, 0, 0], [0, 1, 0]], [[36, -72, 36], [0, 0, 0]]])


@pytest.mark.parametrize("accuracy", [2, 4, "spectral"])
@pytest.mark.parametrize("shape", [(11,), (12,), (5, 6), (6, 7)])
def test_tendency_multiplies_waves_by_the_symbol(accuracy, shape):
    grid = Grid.regular(shape, [1.5 * n for n in shape])
    operator = Operator(
        (({}, {(1,) * len(shape): 2.0}), (laplacian(len(shape), 0.3), {(0,) * len(shape): -1.0}))
    )
    u, axes = noise(2, 2, *shape), tuple(range(2, len(shape) + 2))
    symbol = operator.symbol(modes(shape), grid, accuracy)
    expected = np.einsum("...oi,bi...->bo...", symbol, np.fft.fftn(u.numpy(), axes=axes))
    found = operator.tendency(grid, accuracy)(u)
    np.testing.assert_allclose(found.numpy(), np.fft.ifftn(expected, axes=axes).real, atol=1e-12)


def test_spectral_derivatives_of_a_wave_are_exact():
    grid = Grid.regular((8, 9), (2 * np.pi, 2 * np.pi))
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    u = torch.from_numpy(np.sin(2 * x - 3 * y))[None, None]
    found = Operator.diagonal({(1, 2): 1.0, (4, 0): 0.5}).tendency(grid, "spectral")(u)
    expected = 12 * np.cos(2 * x - 3 * y) + 40.5 * np.sin(2 * x - 3 * y)
    np.testing.assert_allclose(found[0, 0].numpy(), expected, atol=1e-11)


def test_an_even_axis_cannot_say_the_slope_of_its_shortest_wave():
    u = torch.tensor([[[1.0, -1.0, 1.0, -1.0]]], dtype=torch.float64)
    assert Operator.diagonal({(1,): 1.0}).tendency(Grid.regular(4), "spectral")(u).abs().max() == 0
    second = Operator.diagonal({(2,): 1.0}).tendency(Grid.regular(4), "spectral")(u)
    torch.testing.assert_close(second, -(np.pi**2) * u)


@pytest.mark.parametrize("boundary", ["dirichlet", "neumann", ("neumann", "dirichlet")])
@pytest.mark.parametrize("accuracy", [2, 4])
def test_between_walls_fourier_space_does_what_the_stencil_does(boundary, accuracy):
    grid = Grid.regular((6, 7), periodic=False)
    operator, u = Operator.diagonal(laplacian(2)), noise(2, 3, 6, 7)
    waves = Waves(grid, boundary)
    mix = mixer(operator.symbol(waves.theta, grid, accuracy))
    torch.testing.assert_close(
        waves.back(mix(waves.forward(u))), operator.tendency(grid, accuracy, boundary)(u)
    )


def test_a_slip_wall_turns_the_velocity_across_it():
    grid = Grid.regular((5, 4), periodic=(False, True))
    u = noise(1, 3, 5, 4)
    slope = Operator.diagonal({(2, 0): 1.0})
    found = slope.tendency(grid, 2, "wall", (None, 1, 0))(u)
    free, stopped = (slope.tendency(grid, 2, side)(u) for side in ("neumann", "dirichlet"))
    torch.testing.assert_close(found, torch.cat([free[:, :2], stopped[:, 2:]], dim=1))


def test_spectral_walls_differentiate_sines_and_cosines():
    grid = Grid.regular(9, np.pi, periodic=False)
    x = grid.centers[0]
    for boundary, u, slope in (
        ("dirichlet", np.sin(2 * x), 2 * np.cos(2 * x)),
        ("neumann", np.cos(2 * x), -2 * np.sin(2 * x)),
    ):
        d = Derivatives.gradient(grid, "spectral", boundary)
        found = d.inside(d(0, d.pad(torch.from_numpy(u)[None, None])))
        np.testing.assert_allclose(found[0, 0].numpy(), slope, atol=1e-13)


def test_products_are_not_aliased():
    """cos(4 x)^2 = (1 + cos(8 x)) / 2, which nine cells would take for cos(x)."""
    grid = Grid.regular(9, 2 * np.pi)
    d = Derivatives.gradient(grid, "spectral")
    u = torch.from_numpy(np.cos(4 * grid.centers[0]))[None, None]
    assert (d(0, d.pad(u) ** 2)).abs().max() > 0.4
    wave = torch.from_numpy(np.cos(2 * grid.centers[0]))[None, None]
    torch.testing.assert_close(
        d.inside(d(0, d.pad(wave) * 0.5)), -torch.from_numpy(np.sin(2 * grid.centers[0]))[None, None]
    )
    assert d.inside(d(0, d.pad(u))).abs().max() < 1e-13


@pytest.mark.parametrize("accuracy", [2, 4, "spectral"])
def test_derivatives_of_derivatives(accuracy):
    errors = []
    for n in (16, 32):
        grid = Grid.regular((n, n + 1), (2 * np.pi, 2 * np.pi))
        y, x = np.meshgrid(*grid.centers, indexing="ij")
        d = Derivatives.gradient(grid, accuracy, levels=2)
        found = d.inside(d(0, d(1, d.pad(torch.from_numpy(np.sin(x + 2 * y))[None, None]))))
        errors.append(np.abs(found[0, 0].numpy() + 2 * np.sin(x + 2 * y)).max())
    if accuracy == "spectral":
        assert max(errors) < 1e-12
    else:
        assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, abs=0.2)


def test_radius_is_the_fastest_rate():
    """c |k| of a wave is 2 c / h at its shortest; a diffusion's rate 4 D / h^2."""
    assert Wave(3.0).linear(1).radius(Grid.regular(9, 4.5)) == pytest.approx(2 * 3 / 0.5)
    assert AdvectionDiffusion(0.0, 0.2).linear(1).radius(Grid.regular(9, 4.5)) == pytest.approx(0.8 / 0.25)
    third = Operator.diagonal({(3,): 1.0})
    assert third.radius(Grid.regular(9)) == pytest.approx(1.5 * 3**0.5)


def test_refusals():
    bounded = Grid.regular(5, periodic=False)
    with pytest.raises(
        InputError,
        match="expected periodic axes or reflecting walls for Fourier space, got an open wall of 5 x .*: choose the",
    ):
        Waves(bounded)
    with pytest.raises(
        InputError, match="expected an even order of accuracy for differences, got 3: take 2, 4 or 6"
    ):
        Operator.diagonal({(1,): 1.0}).tendency(bounded, 3)
    with pytest.raises(InputError, match="got 'spectra': take 2, 4 or 6"):
        Operator.diagonal({(1,): 1.0}).tendency(bounded, "spectra")
