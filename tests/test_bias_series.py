"""Series in place of a curve of distance: their coefficients and errors in closed form."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import torch
import xarray as xr
from bias_data import SPHERE
from scipy.special import spherical_in

from gridvit.channels import Channels
from gridvit.config import ModelConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.nn.bias import AreaWeighted, Fourier, Legendre, Linear, OfDistance, make_bias
from gridvit.run.looks import bias_curves
from gridvit.training.train import bias_error


def distance(points: torch.Tensor) -> torch.Tensor:
    """One head, whose bias is the distance."""
    return points[None]


def degree(series: Legendre, curve: object) -> np.ndarray:
    return series.double().coefficients(curve)[0].numpy() / series.radius


def test_the_distance_on_the_sphere_by_legendre_polynomials() -> None:
    # g = pi / 2 - (3 pi / 8) P_1 - (7 pi / 128) P_3 - ...; no even ones
    found = degree(Legendre(SPHERE, 4), distance)
    expected = [math.pi / 2, -3 * math.pi / 8, 0, -7 * math.pi / 128, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)
    # the largest error is at zero distance: the sum of what is left out
    grid = Grid.latlon(18, 36)
    for most, error in ((1, math.pi / 2 - 3 * math.pi / 8), (9, 0.095)):
        assert float(Legendre(grid, most).error(distance)) / grid.radius == pytest.approx(error, rel=6e-3)


def test_a_von_mises_fisher_curve_by_legendre_polynomials() -> None:
    # exp(k cos g) = sum_l (2 l + 1) i_l(k) P_l
    series, k = Legendre(SPHERE, 5), 4.0
    found = series.double().coefficients(lambda d: torch.exp(k * torch.cos(d / series.radius))[None])[0]
    expected = [(2 * n + 1) * spherical_in(n, k) for n in range(6)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("n", [8, 11])
@pytest.mark.parametrize("wraps", [True, False], ids=["ring", "interval"])
def test_all_waves_are_the_curve_at_the_tokens(n: int, wraps: bool) -> None:
    grid = Grid.regular(n, 3.0, periodic=wraps)
    series = Fourier(grid, n // 2 if wraps else n)
    assert float(series.error(lambda d: d.sqrt()[None])) < 2e-6


@pytest.mark.parametrize("n", [8, 12])
def test_the_distance_on_a_ring_by_its_fourier_transform(n: int) -> None:
    # sum_j min(j, n - j) exp(2 pi i m j / n) = -1 / sin^2(pi m / n) for odd m, 0 for even m, n^2 / 4 for m = 0
    series = Fourier(Grid.regular(n), n // 2)
    order = np.arange(1, n // 2 + 1)
    twice = np.where(order == n // 2, 1, 2)
    expected = [n / 4, *(-twice / n * (order % 2) / np.sin(np.pi * order / n) ** 2)]
    np.testing.assert_allclose(series.double().coefficients(distance)[0], expected, atol=1e-6)


def test_the_error_of_one_wave_on_a_long_ring() -> None:
    # |x| = L / 4 - (2 L / pi^2) (cos t + cos 3 t / 9 + ...): what is left out is greatest at zero
    grid = Grid.regular(256, 1.0)
    assert float(Fourier(grid, 1).error(distance)) == pytest.approx(1 / 4 - 2 / math.pi**2, rel=1e-3)
    assert float(Fourier(grid, 3).error(distance)) == pytest.approx(1 / 4 - 20 / 9 / math.pi**2, rel=2e-3)


@pytest.mark.parametrize(
    "grid",
    [Grid.regular((6, 7), (2.0, 3.0)), Grid.regular((5, 4), (2.0, 2.0), periodic=(False, True))],
    ids=["torus", "channel"],
)
def test_waves_of_two_axes_are_least_squares(grid: Grid) -> None:
    # the truncated transform is the best fit of its own waves over all displacements of the lattice
    waves = 2
    series = Fourier(grid, waves)
    periods = [
        length * (1 if wraps else 2) for length, wraps in zip(grid.lengths, grid.periodic, strict=True)
    ]
    counts = [n * (1 if wraps else 2) for n, wraps in zip(grid.shape, grid.periodic, strict=True)]
    steps = np.stack([m.ravel() for m in np.meshgrid(*(np.arange(n) for n in counts), indexing="ij")], -1)
    shift = np.minimum(steps, counts - steps) * np.array(periods) / counts
    target = np.exp(-np.linalg.norm(shift, axis=1))
    phase = steps / counts @ (series.vectors.numpy() * periods).T
    design = np.concatenate([np.ones((len(steps), 1)), np.cos(phase)], 1)
    best = np.linalg.lstsq(design, target, rcond=None)[0]
    found = series.double().coefficients(lambda d: torch.exp(-d)[None])[0]
    found = torch.cat([found[:1], found[series.which[: len(series.vectors)]]])
    np.testing.assert_allclose(design @ found.numpy(), design @ best, atol=1e-6)
    wanted = {(a, b) for a in range(-2, 3) for b in range(-2, 3) if (a, b) > (0, 0)}
    scale = max(periods) / np.array(periods)
    wanted = {m for m in wanted if np.linalg.norm(m * scale) <= waves + 1e-9}
    numbers = series.vectors.numpy() * periods / (2 * np.pi)
    assert {tuple(int(x) for x in row.round()) for row in numbers} == wanted


def test_series_run_on_more_tokens_than_a_matrix_can() -> None:
    bias = make_bias("radial", Grid.regular((100, 100)), 2, 2, spectral=2)
    query, key = bias.fold()
    assert query.shape == (2, 10000, bias.dims)
    assert key.shape == (10000, bias.dims)
    assert bias.dims == 12  # (0, 1), (0, 2), (1, 0), (2, 0), (1, 1) and (1, -1), two each


def test_the_error_is_that_of_the_logits() -> None:
    grid = Grid.latlon(5, 8)
    exact, series = (make_bias("linear", grid, 4, 2, spectral=waves) for waves in (0, 3))
    assert isinstance(series, AreaWeighted)
    expected = (exact.logits() - series.logits()).abs().amax((1, 2))
    torch.testing.assert_close(series.approximation_error(), expected, atol=1e-5, rtol=1e-5)
    assert (expected[:3] > 0.1).all()
    assert expected[3] == 0  # a head without a bias
    assert exact.approximation_error().abs().max() == 0
    along = series.kernel(torch.from_numpy(grid.distances()[0]).float())
    area = torch.from_numpy(np.log(grid.areas / grid.areas.mean())).float().flatten()
    torch.testing.assert_close(series.logits()[:, 0], along + area, atol=1e-4, rtol=1e-5)


def test_a_curve_is_learned_through_its_series() -> None:
    bias = make_bias("radial", Grid.regular((5, 7)), 2, 1, spectral=2)
    assert isinstance(bias, OfDistance)
    query, key = bias.fold()
    (query @ key.T).softmax(-1)[:, 0, 0].sum().backward()
    assert bias.last.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("kind", "grid", "waves", "sentence"),
    [
        (
            "distance",
            SPHERE,
            2,
            "expected model.bias linear or radial with model.spectral, got distance: set model.spectral to 0, or "
            "change the bias",
        ),
        (
            "linear",
            SPHERE,
            6,
            "expected model.spectral of at most 5, which the tokens resolve, got 6: lower it, or lower model.patch",
        ),
        (
            "radial",
            Grid.regular((5, 7), (9.0, 3.0)),
            3,
            "expected model.spectral of at most 2, which the tokens resolve, got 3: lower it, or lower model.patch",
        ),
    ],
)
def test_refused_at_construction(kind: str, grid: Grid, waves: int, sentence: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        make_bias(kind, grid, 2, 2, spectral=waves)


def test_a_head_too_small_for_a_series() -> None:
    config = ModelConfig(preset="mini", patch=(1, 1), width=48, heads=2, depth=1, bias="linear", spectral=4)
    with pytest.raises(
        InputError, match="^expected heads wider than the 25 dimensions of the distance bias, got 24"
    ):
        ViT(config, SPHERE, 1, 1)


def test_a_steeper_line_is_told_by_its_series() -> None:
    bias = make_bias("linear", Grid.regular(64), 1, 2, spectral=8)
    assert isinstance(bias, Linear)
    points = torch.arange(5.0, 25.0)
    for strength in (1.0, -2.0):
        bias.strength.data.fill_(strength)
        slope = -torch.diff(bias.kernel(points)[0]).mean()
        assert float(slope.detach()) == pytest.approx(strength, rel=0.02)  # l is the token spacing, 1


def test_the_error_is_said_before_training_and_written_by_the_analysis() -> None:
    numbers = torch.zeros(1), torch.ones(1), torch.ones(1)
    points = xr.DataArray(np.linspace(0, 9000, 5), dims="distance", attrs={"units": "km"})
    for waves in (0, 2):
        config = ModelConfig(
            preset="mini", patch=(1, 1), width=48, heads=3, depth=2, bias="linear", spectral=waves
        )
        step = ModelStep(config, SPHERE, Channels(("u",)), 1.0, *numbers)
        curves = bias_curves(step, points)
        assert ("bias_error" in curves) == (waves > 0)
        if waves:
            assert curves.bias_error.dims == ("layer", "head")
            assert bias_error(step) == float(curves.bias_error.max())
            assert bias_error(step) > 0.1
        else:
            assert bias_error(step) == 0
