"""Korteweg-de Vries and Kuramoto-Sivashinsky: solitons, invariants, growth rates and special cases."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Burgers, KortewegDeVries, KuramotoSivashinsky, Solver
from gridvit.rollout import repeat


def batch(u: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(u)[None, None]


def soliton(x: np.ndarray, c: float, beta: float) -> np.ndarray:
    return 3 * c / np.cosh(np.sqrt(c / beta) * x / 2) ** 2


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4)])
def test_soliton_converges(accuracy, order):
    errors = []
    for n in (120, 240):
        grid = Grid.regular(n, 40.0)
        x = grid.centers[0] - 20
        after = Solver(KortewegDeVries(1.0), grid, 2.0, "etdrk4", 80, accuracy)(
            batch(soliton(x + 1, 1.0, 1.0))
        )
        errors.append(np.abs(after[0, 0].numpy() - soliton(x - 1, 1.0, 1.0)).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


def test_spectral_soliton():
    grid = Grid.regular(160, 40.0)
    x = grid.centers[0] - 20
    solver = Solver(KortewegDeVries(0.5), grid, 2.0, "etdrk4", 160, "spectral")
    after = solver(batch(soliton(x + 2, 2.0, 0.5)))[0, 0].numpy()
    np.testing.assert_allclose(after, soliton(x - 2, 2.0, 0.5), atol=2e-4)


def test_solitons_pass_through_each_other():
    """The faster is put forward by 2 ln((a1 + a2) / (a1 - a2)) / a1, the slower back, with a = sqrt(c / beta)."""
    grid = Grid.regular(216, 72.0)
    x = grid.centers[0]
    start = soliton(x - 8, 1.44, 1.0) + soliton(x - 26, 0.36, 1.0)
    after = Solver(KortewegDeVries(1.0), grid, 30.0, "etdrk4", 500, "spectral")(batch(start))[0, 0].numpy()
    ratio = (1.2 + 0.6) / (1.2 - 0.6)
    fast, slow = 8 + 1.44 * 30 + 2 * np.log(ratio) / 1.2, 26 + 0.36 * 30 - 2 * np.log(ratio) / 0.6
    np.testing.assert_allclose(after, soliton(x - fast, 1.44, 1.0) + soliton(x - slow, 0.36, 1.0), atol=0.02)


@pytest.mark.parametrize("accuracy", [2, 4, "spectral"])
def test_the_flow_keeps_mass_and_square(accuracy, rng):
    u = torch.from_numpy(rng.standard_normal((3, 1, 24)))
    waves = torch.fft.rfft(u)
    waves[..., 8:] = 0  # what a spectral product keeps
    u = torch.fft.irfft(waves, 24)
    change = KortewegDeVries(0.3).rhs(Grid.regular(24), accuracy)(u)
    assert change.sum(-1).abs().max() < 1e-12
    assert (u * change).sum(-1).abs().max() < 1e-12


def test_without_dispersion_it_is_burgers():
    """Both tend to the same solution, with second-order differences as h^2."""
    gaps = []
    for n in (32, 64):
        grid = Grid.regular(n, 2 * np.pi)
        u = batch(np.sin(grid.centers[0]) + 0.3)
        ours = Solver(KortewegDeVries(0.0, 0.3), grid, 0.5, substeps=40)(u)
        burgers = Solver(Burgers(0.3, "central"), grid, 0.5, substeps=40)(u)
        gaps.append(float((ours - burgers).abs().max()))
    assert np.log2(gaps[0] / gaps[1]) == pytest.approx(2, abs=0.15)
    spectral = Solver(KortewegDeVries(0.0, 0.3), grid, 0.5, "etdrk4", 20, "spectral")(u)
    fine = Solver(Burgers(0.3, "central"), grid, 0.5, "etdrk4", 20, 8)(u)
    torch.testing.assert_close(spectral, fine, atol=1e-5, rtol=0)


def test_small_waves_of_kdv_disperse():
    """u = e exp(i (k x - w t)) with w = -beta k^3."""
    grid = Grid.regular(32, 2 * np.pi)
    x = grid.centers[0]
    solver = Solver(KortewegDeVries(0.7), grid, 0.9, "etdrk4", 4, "spectral")
    after = solver(batch(1e-9 * np.cos(3 * x)))[0, 0].numpy()
    np.testing.assert_allclose(after / 1e-9, np.cos(3 * x + 0.7 * 27 * 0.9), atol=1e-7)


@pytest.mark.parametrize("form", ["height", "slope"])
def test_small_waves_of_ks_grow_at_their_rate(form):
    """exp((a k^2 - b k^4) t)."""
    grid = Grid.regular(32, 4 * np.pi)
    x = grid.centers[0]
    solver = Solver(KuramotoSivashinsky(1.2, 0.8, form), grid, 2.0, "etdrk4", 4, "spectral")
    after = solver(batch(1e-9 * np.sin(x / 2)))[0, 0].numpy()
    np.testing.assert_allclose(after / 1e-9, np.exp(2 * (1.2 / 4 - 0.8 / 16)) * np.sin(x / 2), atol=1e-7)


def test_oblique_waves_of_ks_grow_at_their_rate():
    grid = Grid.regular((16, 17), (4 * np.pi, 4 * np.pi))
    y, x = np.meshgrid(*grid.centers, indexing="ij")
    wave = np.sin(x / 2 + y)
    after = Solver(KuramotoSivashinsky(), grid, 2.0, "etdrk4", 4, "spectral")(batch(1e-9 * wave))[
        0, 0
    ].numpy()
    np.testing.assert_allclose(after / 1e-9, np.exp(2 * (1.25 - 1.25**2)) * wave, atol=1e-7)


def test_slope_is_the_derivative_of_height():
    grid = Grid.regular(64, 32.0)
    k = 2 * np.pi / 32
    x = grid.centers[0]
    height, slope = np.cos(k * x) + 0.5 * np.sin(3 * k * x), -k * np.sin(k * x) + 1.5 * k * np.cos(3 * k * x)
    high = Solver(KuramotoSivashinsky(), grid, 10.0, "etdrk4", 80, "spectral")(batch(height))
    steep = Solver(KuramotoSivashinsky(form="slope"), grid, 10.0, "etdrk4", 80, "spectral")(batch(slope))
    waves = 1j * k * torch.arange(33) * torch.fft.rfft(high)
    torch.testing.assert_close(torch.fft.irfft(waves, 64), steep, atol=1e-5, rtol=0)


@pytest.mark.parametrize("form", ["height", "slope"])
def test_ks_keeps_its_mean_and_stays_bounded(form, rng):
    grid = Grid.regular(48, 32.0)
    u = 0.1 * torch.from_numpy(rng.standard_normal((2, 1, 48))) + 0.25
    after = repeat(Solver(KuramotoSivashinsky(form=form), grid, 5.0, "etdrk4", 10), u, 12)
    torch.testing.assert_close(after.mean(-1), u.mean(-1))
    assert 1 < after.std() < 5


@pytest.mark.parametrize(("accuracy", "order"), [(2, 2), (4, 4)])
@pytest.mark.parametrize("form", ["height", "slope"])
def test_ks_right_hand_side_converges(accuracy, order, form):
    errors = []
    for n in (32, 64):
        grid = Grid.regular(n, 2 * np.pi)
        x = grid.centers[0]
        found = KuramotoSivashinsky(0.5, 0.1, form).rhs(grid, accuracy)(batch(np.sin(2 * x)))[0, 0].numpy()
        flow = -np.cos(4 * x) if form == "height" else -np.sin(4 * x)
        errors.append(np.abs(found - (2.0 - 1.6) * np.sin(2 * x) - flow).max())
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.2)


@pytest.mark.parametrize("equation", [KortewegDeVries(0.3), KuramotoSivashinsky(0.1, 1.0)])
def test_explicit_stable_step(equation, rng):
    grid, u = Grid.regular(24), 0.01 * torch.from_numpy(rng.standard_normal((1, 1, 24)))
    limit = equation.stable_step(grid, 0.03)
    assert repeat(Solver(equation, grid, limit, "rk4"), u, 100).abs().max() < 0.05
    assert not repeat(Solver(equation, grid, 2 * limit, "rk4"), u, 100).abs().max() < 10


def test_refusals():
    with pytest.raises(
        InputError, match="expected one dimension for KortewegDeVries, got 2: give a grid with one ax"
    ):
        Solver(KortewegDeVries(), Grid.regular((5, 7)), 0.1)(torch.zeros(1, 1, 5, 7))
    with pytest.raises(InputError, match="expected one dimension for KuramotoSivashinsky, got 2"):
        KuramotoSivashinsky(form="slope").variables(2)
    with pytest.raises(InputError, match="expected one of the forms height, slope, got 'steep': use 'slope'"):
        KuramotoSivashinsky(form="steep")
    with pytest.raises(
        InputError, match="expected a dispersion that is finite, got nan: correct its sign or size"
    ):
        KortewegDeVries(float("nan"))
