"""Biases against solvers, series and integrals that are known in closed form."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from bias_data import CASES, SPHERE, TORUS, contents, inner, make

from gridvit.grid import Grid
from gridvit.nn.attention import attention_weights, folded_attention, masked_attention
from gridvit.nn.bias import Aimed, Distances, Harmonics, Linear, make_bias


def test_legendre_series_by_the_addition_theorem() -> None:
    """SCIENCE 31."""
    # P_1 = x, P_2 = (3 x^2 - 1) / 2, P_3 = (5 x^3 - 3 x) / 2, P_4 = (35 x^4 - 30 x^2 + 3) / 8
    bias = Harmonics(SPHERE, 4, 4)
    bias.table.data = torch.eye(4) * (bias.lengths / bias.radius)[:, None] ** 2
    x = torch.from_numpy(SPHERE.positions @ SPHERE.positions.T).clamp(-1, 1)
    expected = torch.stack([x, (3 * x**2 - 1) / 2, (5 * x**3 - 3 * x) / 2, (35 * x**4 - 30 * x**2 + 3) / 8])
    query, key = bias.fold()
    assert bias.dims == 24
    torch.testing.assert_close((query @ key.T).double(), expected, atol=2e-6, rtol=0)
    torch.testing.assert_close(bias.logits().double(), expected, atol=2e-6, rtol=0)
    along = bias.kernel(torch.from_numpy(SPHERE.distances()[0])).double()
    torch.testing.assert_close(along, expected[:, 0], atol=2e-6, rtol=0)


def test_harmonics_start_as_the_von_mises_fisher_bias() -> None:
    start, chordal = make_bias("harmonics", SPHERE, 4, 3), make_bias("distance", SPHERE, 4, 1)
    one, other = start.logits(), chordal.logits()
    torch.testing.assert_close(one - one[:, :, :1], other - other[:, :, :1], atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(start.length(), chordal.length())


def test_an_offset_looks_east_and_north() -> None:
    grid = Grid.latlon(18, 36)  # 10 degrees, rows at -85, -75, ...
    bias = Aimed(grid, 1)
    ten = math.radians(10) * bias.radius / float(bias.lengths[0])
    query = int(np.ravel_multi_index((9, 4), grid.shape))  # 5 N, 40 E
    for offset, place in (((0.0, 0.0), (9, 4)), ((0.0, 2 * ten), (11, 4)), ((3 * ten, 0.0), (9, 7))):
        bias.offset.data = torch.tensor([offset])
        assert int(bias.logits()[0, query].argmax()) == np.ravel_multi_index(place, grid.shape)
    weights = torch.softmax(bias.logits()[0], -1).reshape(18, 36, 18, 36)
    turned = weights.roll((5, 5), (1, 3))  # a turn about the axis changes nothing
    torch.testing.assert_close(weights, turned, atol=1e-6, rtol=1e-4)


def test_linear_bias_of_a_line_is_the_implicit_heat_step() -> None:
    """SCIENCE 7."""
    # softmax(-m |d|) has the symbol 1 / (1 + 4 r sin^2(theta / 2)), r = 1 / (4 sinh^2(m / 2))
    grid = Grid.regular(512)
    bias = Linear(grid, 1, Distances(grid))
    assert float(bias.lengths[0]) == pytest.approx(1)
    bias.strength.data = torch.tensor([0.7])
    row = torch.softmax(bias.logits()[0, 0].double(), -1).detach().numpy()
    angle = 2 * np.pi * np.arange(512) / 512
    expected = 1 / (1 + np.sin(angle / 2) ** 2 / np.sinh(0.35) ** 2)
    np.testing.assert_allclose(np.fft.fft(row).real, expected, atol=1e-6)
    assert 1 / row[0] == pytest.approx(1 / np.tanh(0.35), rel=1e-5)  # the normaliser coth(m / 2)
    assert float(bias.length()[0].detach()) == pytest.approx(1 / 0.7, rel=1e-5)


def test_periodic_linear_bias_is_log_cosh_of_the_periodic_step() -> None:
    """SCIENCE 8."""
    # the row of the periodic implicit step is cosh(m (N / 2 - |d|)): a table that the Fourier series must hold in full
    n, m = 12, 0.6
    bias = make_bias("fourier", Grid.regular(n), 1, n // 2)
    steps = np.minimum(np.arange(n), n - np.arange(n))
    table = np.log(np.cosh(m * (n / 2 - steps)))
    waves = np.fft.rfft(table).real / n * 2
    waves[-1] /= 2
    bias.table.data = torch.tensor(waves[1:]).float()[None, :, None, None] * torch.tensor([1.0, 0.0])
    bias.table.data /= bias.scale[:, None, :, None]
    query, key = bias.fold()
    row = torch.softmax((query @ key.T)[0, 0], -1).detach().numpy()
    r = 1 / (4 * np.sinh(m / 2) ** 2)
    implicit = np.fft.ifft(1 / (1 + 4 * r * np.sin(np.pi * np.arange(n) / n) ** 2)).real
    np.testing.assert_allclose(row, implicit, atol=1e-6)


def test_any_periodic_table_odd_parts_too(rng: np.random.Generator) -> None:
    """SCIENCE 32."""
    n = 11
    table = rng.standard_normal(n)
    bias = make_bias("fourier", Grid.regular(n), 1, 5)
    waves = np.fft.rfft(table)[1:] / n * 2
    bias.table.data = torch.tensor(np.stack([waves.real, -waves.imag], -1)).float()[None, :, None]
    bias.table.data /= bias.scale[:, None, :, None]
    expected = np.array([[table[(j - i) % n] - table.mean() for j in range(n)] for i in range(n)])
    np.testing.assert_allclose(bias.logits()[0].detach(), expected, atol=2e-6)
    query, key = bias.fold()
    np.testing.assert_allclose((query @ key.T)[0].detach(), expected, atol=2e-6)


def test_sampled_gaussian_has_its_variance_and_no_fourth_cumulant() -> None:
    """SCIENCE 9."""
    # a discrete Gaussian of s >= 1.5 cells is diffusion to 1e-14 (Poisson summation)
    grid = Grid.regular(201, periodic=False)
    bias = make_bias("gaussian", grid, 1, 1).double()
    bias.strength.data = torch.tensor([1 / 1.5**2], dtype=torch.float64)
    row = torch.softmax(bias.logits()[0, 100], -1).detach().numpy()
    offset = np.arange(201) - 100
    second, fourth = row @ offset**2, row @ offset**4
    assert second == pytest.approx(1.5**2, abs=1e-12)
    assert fourth - 3 * second**2 == pytest.approx(0, abs=1e-11)


def test_von_mises_fisher_head_on_the_sphere() -> None:
    """SCIENCE 26."""
    # A Y_l = (i_l / i_0) Y_l on a Gauss-Legendre grid, and E[angle] in closed form
    from scipy.special import i0, spherical_in

    grid = Grid.gaussian(24, 48)
    bias = make_bias("distance", grid, 1, 1).double()
    kappa = 4.0
    core = bias.inner
    core.strength.data = torch.tensor([kappa], dtype=torch.float64) * (core.lengths / core.radius) ** 2
    points = torch.from_numpy(grid.positions)
    core.points = points
    bias.log_area = torch.from_numpy(np.log(grid.areas.ravel()))
    weights = torch.softmax(bias.logits()[0], -1).detach()
    z = points[:, 2]
    for degree, wave in ((1, z), (2, (3 * z**2 - 1) / 2), (2, points[:, 0] * points[:, 1])):
        factor = spherical_in(degree, kappa) / spherical_in(0, kappa)
        torch.testing.assert_close(weights @ wave, factor * wave, atol=1e-12, rtol=0)
    angle = torch.from_numpy(grid.distances()) / grid.radius
    mean = math.pi * (i0(kappa) - math.exp(-kappa)) / (2 * math.sinh(kappa))
    torch.testing.assert_close(
        (weights * angle).sum(-1), torch.full((grid.size,), mean).double(), atol=2e-3, rtol=0
    )


@pytest.mark.parametrize("poles", [False, True])
def test_flat_attention_on_the_sphere_reaches_a_quarter_circle(poles: bool) -> None:
    """SCIENCE 24, 25."""
    # D = pi / 2 for every query; E[angle^2] tends to (pi^2 - 4) / 2
    grid = Grid.latlon(16, 32, poles=poles)
    for kind in ("distance", "linear", "harmonics", "gaussian", "radial", "none", "linear-3", "radial-3"):
        bias = make(kind, grid, 1, 2)
        for parameter in bias.parameters():
            parameter.data *= 0
        weights = torch.softmax(bias.logits()[0].double(), -1).detach().numpy()
        angle = grid.distances() / grid.radius
        np.testing.assert_allclose((weights * angle).sum(1), math.pi / 2, rtol=1e-6)
        np.testing.assert_allclose((weights * angle**2).sum(1), (math.pi**2 - 4) / 2, rtol=4e-3)


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "masked"])
@pytest.mark.parametrize(("kind", "grid"), CASES.values(), ids=CASES)
def test_zero_queries_and_zero_bias_give_the_area_mean(kind: str, grid: Grid, gaps: bool) -> None:
    """SCIENCE 34."""
    bias = make(kind, grid, 3, 2, gaps=gaps)
    for parameter in bias.parameters():
        parameter.data *= 0
    query, key, value = contents(grid)
    share = torch.rand(2, grid.size, generator=torch.Generator().manual_seed(2))
    share[:, ::3] = 0
    known = {"share": share} if gaps else {}
    fold = bias.fold(**known)
    if fold is None:
        out = masked_attention(0 * query, key, value, lambda rows: bias.logits(rows, **known))
    else:
        out = folded_attention(0 * query, key, value, fold)
    areas = torch.from_numpy(grid.areas.ravel()) * (share if gaps else torch.ones_like(share))
    areas = (areas / areas.sum(1, keepdim=True)).float()
    mean = torch.einsum("bk,bhkc->bhc", areas, value)[:, :, None]
    torch.testing.assert_close(out, mean.expand_as(out), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("kind", "grid"),
    [("distance", SPHERE), ("linear", SPHERE), ("linear", TORUS), ("linear-2", SPHERE), ("linear-2", TORUS)],
)
def test_mean_distance_falls_with_the_strength_by_its_variance(kind: str, grid: Grid) -> None:
    """SCIENCE 30."""
    # the bias is -s D: dE[D] / ds = -Var(D), D = R^2 chord^2 / 2 l^2, |x|^2 / 2 l^2 or d / l, at fixed queries and keys
    bias = make(kind, grid, 1, 2).double()
    core = inner(bias)
    core.strength.data.fill_(1.0)
    statistic = -core.logits()[0].detach()
    query, key, _ = contents(grid, torch.float64)
    weights = attention_weights(query[:1, :1], key[:1, :1], bias.logits())[0, 0]
    mean = (weights * statistic).sum(-1)
    variance = (weights * statistic**2).sum(-1) - mean**2
    for row in range(0, grid.size, 7):
        (slope,) = torch.autograd.grad(mean[row], core.strength, retain_graph=True)
        assert float(slope) == pytest.approx(-float(variance[row].detach()), rel=1e-9)


@pytest.mark.parametrize(
    ("kind", "grid", "entry"),
    [("harmonics", SPHERE, (0, 1)), ("fourier", TORUS, (0, 1, 0, 0)), ("fourier", TORUS, (0, 0, 1, 1))],
)
def test_mean_of_a_wave_rises_with_its_coefficient_by_its_variance(
    kind: str, grid: Grid, entry: tuple[int, ...]
) -> None:
    # the bias is t D and more: dE[D] / dt = Var(D), D a Legendre polynomial, a cosine or a sine
    bias = make_bias(kind, grid, 1, 2).double()
    table = inner(bias).table
    found = []
    for value in (0.0, 1.0):
        table.data[entry] = value
        found.append(bias.logits()[0].detach())
    wave = found[1] - found[0]
    query, key, _ = contents(grid, torch.float64)
    weights = attention_weights(query[:1, :1], key[:1, :1], bias.logits())[0, 0]
    mean = (weights * wave).sum(-1)
    variance = ((weights * wave**2).sum(-1) - mean**2).detach()
    for row in range(0, grid.size, 7):
        (slope,) = torch.autograd.grad(mean[row], table, retain_graph=True)
        assert float(slope[entry]) == pytest.approx(float(variance[row]), rel=1e-9)


@pytest.mark.parametrize(("shape", "target"), [((11,), (2.0,)), ((5, 7), (-1.0, 3.5))])
def test_a_quadratic_encoding_is_the_bias_towards_an_offset(
    shape: tuple[int, ...], target: tuple[float, ...]
) -> None:
    """SCIENCE 11: n + 1 dimensions of query and key give softmax(-a |x_j - x_i - D|^2), for n axes."""
    grid = Grid.regular(shape, periodic=False)
    bias = make_bias("gaussian", grid, 2, 1).double()
    bias.drift.data = torch.tensor([target]).double() / bias.lengths[:, None]
    query, key = bias.fold()
    assert query.shape[-1] == key.shape[-1] == bias.dims == len(shape) + 1
    gap = grid.positions[None] - grid.positions[:, None] - np.array(target)
    for head, a in enumerate((bias.curvature() / 2).tolist()):
        explicit = np.exp(-a * (gap**2).sum(-1))
        explicit /= explicit.sum(-1, keepdims=True)
        np.testing.assert_allclose(torch.softmax(query[head] @ key.T, -1).detach(), explicit, atol=1e-14)
