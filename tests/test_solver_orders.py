"""Orders in space and time of every equation, against solutions by other means.

In space: the equation written once more as in the books, its derivatives by NumPy's Fourier transform, stepped by
SciPy's eighth-order method; on the sphere a finer truncation.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp

from gridvit.grid import Grid
from gridvit.physics import (
    EQUATIONS,
    METHODS,
    SPLITTINGS,
    TABLEAUX,
    Advection,
    AdvectionDiffusion,
    AllenCahn,
    BarotropicVorticity,
    Burgers,
    DamBreak,
    Diffusion,
    Equation,
    FitzHughNagumo,
    GrayScott,
    Harmonics,
    KortewegDeVries,
    KuramotoSivashinsky,
    LinearEquation,
    Semilinear,
    ShallowWater,
    Solver,
    SphereAdvection,
    SphereDiffusion,
    SphereShallowWater,
    Spherical,
    Vorticity,
    Wave,
    random_states,
)

SIDE, DAY = 2 * np.pi, 86400.0
Fields = np.ndarray
Slopes = Callable[..., Fields]
"""d(field, n along x, m along y): the derivative, y being the first axis of a plane."""


def slopes(shape: tuple[int, ...]) -> Slopes:
    waves = np.meshgrid(*[np.fft.fftfreq(n, 1 / n) for n in shape], indexing="ij")

    def d(field: Fields, x: int, y: int = 0) -> Fields:
        factor = (1j * waves[-1]) ** x * ((1j * waves[0]) ** y if y else 1)
        return np.fft.ifftn(factor * np.fft.fftn(field)).real

    return d


def lap(d: Slopes, u: Fields) -> Fields:
    return d(u, 2) + d(u, 0, 2) if u.ndim == 2 else d(u, 2)


def burgers(d: Slopes, u: Fields, v: Fields) -> list[Fields]:
    return [0.3 * lap(d, w) - u * d(w, 1) - v * d(w, 0, 1) for w in (u, v)]


def kuramoto(d: Slopes, u: Fields) -> list[Fields]:
    steep = (d(u, 1) ** 2 + d(u, 0, 1) ** 2) / 2
    return [steep.mean() - steep - 0.3 * lap(d, u) - 0.05 * lap(d, lap(d, u))]


def vorticity(d: Slopes, w: Fields) -> list[Fields]:
    k = np.fft.fftfreq(w.shape[0], 1 / w.shape[0])
    square = k[:, None] ** 2 + k**2
    square[0, 0] = np.inf
    psi = np.fft.ifftn(-np.fft.fftn(w) / square).real
    y = (np.arange(w.shape[0]) * SIDE / w.shape[0])[:, None]
    force = -0.4 * 2 * np.cos(2 * y)
    return [force + 0.1 * lap(d, w) - 0.2 * w - d(psi, 1) * d(w, 0, 1) + d(psi, 0, 1) * d(w, 1)]


def shallow(d: Slopes, eta: Fields, u: Fields, v: Fields) -> list[Fields]:
    depth = 0.8 + eta
    return [
        -d(depth * u, 1) - d(depth * v, 0, 1),
        0.6 * v - u * d(u, 1) - v * d(u, 0, 1) - 1.3 * d(eta, 1) + 0.05 * lap(d, u) - 0.1 * u,
        -0.6 * u - u * d(v, 1) - v * d(v, 0, 1) - 1.3 * d(eta, 0, 1) + 0.05 * lap(d, v) - 0.1 * v,
    ]


def dam(d: Slopes, h: Fields, hu: Fields, hv: Fields) -> list[Fields]:
    return [
        -d(hu, 1) - d(hv, 0, 1),
        -d(hu**2 / h + 0.65 * h**2, 1) - d(hu * hv / h, 0, 1),
        -d(hu * hv / h, 1) - d(hv**2 / h + 0.65 * h**2, 0, 1),
    ]


TENSOR = ((0.2, 0.05), (0.05, 0.1))  # in the grid's order: along y, along x
PLANE: dict[str, tuple[Equation, Callable[..., list[Fields]]]] = {
    "advection": (Advection((0.7, -0.4)), lambda d, u: [0.4 * d(u, 1) - 0.7 * d(u, 0, 1)]),
    "diffusion": (Diffusion(TENSOR), lambda d, u: [0.1 * d(u, 2) + 0.1 * d(u, 1, 1) + 0.2 * d(u, 0, 2)]),
    "advection-diffusion": (
        AdvectionDiffusion((0.7, -0.4), 0.1),
        lambda d, u: [0.4 * d(u, 1) - 0.7 * d(u, 0, 1) + 0.1 * lap(d, u)],
    ),
    "burgers": (Burgers(0.3, "central"), burgers),
    "wave": (Wave(1.2), lambda d, u, v: [v, 1.44 * lap(d, u)]),
    "korteweg-de-vries": (
        KortewegDeVries(0.1, 0.05),
        lambda d, u: [0.05 * d(u, 2) - 0.1 * d(u, 3) - u * d(u, 1)],
    ),
    "kuramoto-sivashinsky": (KuramotoSivashinsky(0.3, 0.05), kuramoto),
    "kuramoto-sivashinsky, slope": (
        KuramotoSivashinsky(0.3, 0.05, "slope"),
        lambda d, u: [-u * d(u, 1) - 0.3 * d(u, 2) - 0.05 * d(u, 4)],
    ),
    "allen-cahn": (AllenCahn(0.2, 0.8), lambda d, u: [0.2 * lap(d, u) + 0.8 * (u - u**3)]),
    "gray-scott": (
        GrayScott(0.2, 0.1, 0.3, 0.2),
        lambda d, u, v: [
            0.2 * lap(d, u) - u * v**2 + 0.3 * (1 - u),
            0.1 * lap(d, v) + u * v**2 - 0.5 * v,
        ],
    ),
    "fitzhugh-nagumo": (
        FitzHughNagumo(0.2, 0.1, 0.3, 0.5, 0.2),
        lambda d, u, v: [0.2 * lap(d, u) + u - u**3 - v + 0.2, 0.1 * lap(d, v) + 0.3 * (u - 0.5 * v)],
    ),
    "vorticity": (Vorticity(0.1, 0.2, 0.4, 2), vorticity),
    "shallow-water": (ShallowWater(1.3, 0.8, 0.6, 0.0, 0.05, 0.1), shallow),
    "dam-break": (DamBreak(1.3, "van-leer"), dam),
}
T = 0.3
WIDTHS = {"kuramoto-sivashinsky": 23, "shallow-water": 51}
"""Points of the reference along each axis: few where the fourth derivative is stiff, more where nothing damps."""


def start(equation: Equation, mesh: list[Fields]) -> Fields:
    """Long waves (variable, *space) of no mean; where dams break, water of depth one that flows."""
    count = len(equation.variables(len(mesh)))
    total = np.add.reduce([n * p for n, p in enumerate(mesh, start=1)])
    fields = [0.3 * sum(np.sin(p + 2 * i) for p in mesh) + 0.1 * np.cos(total - i) for i in range(count)]
    if isinstance(equation, DamBreak):
        return np.stack([1 + 0.2 * fields[0], *(0.5 + 0.2 * f for f in fields[1:])])
    return np.stack(fields) * (0.3 if isinstance(equation, ShallowWater) else 1)


@cache
def reference(name: str, width: int) -> Callable[[tuple[int, ...]], Fields]:
    """The solution at T at the centres of the cells of any grid."""
    equation, rates = PLANE[name]
    shape = (width,) * dimensions(equation)
    points = np.meshgrid(*[np.arange(n) * SIDE / n for n in shape], indexing="ij")
    d, u0 = slopes(shape), start(equation, points)

    def flat(t: float, u: Fields) -> Fields:
        return np.stack(rates(d, *u.reshape(u0.shape))).ravel()

    u = solve_ivp(flat, (0, T), u0.ravel(), "DOP853", rtol=1e-10, atol=1e-12).y[:, -1].reshape(u0.shape)

    def at(cells: tuple[int, ...]) -> Fields:
        values = u
        for axis, (n, m) in enumerate(zip(shape, cells, strict=True), start=1):
            x = (np.arange(m) + 0.5) * SIDE / m
            k = np.fft.fftfreq(n, 1 / n)
            waves = np.fft.fft(values, axis=axis) / n
            values = np.moveaxis(np.tensordot(waves, np.exp(1j * np.outer(k, x)), (axis, 0)), -1, axis)
        assert np.abs(values.imag).max() < 1e-9
        return values.real

    return at


def dimensions(equation: Equation) -> int:
    line = isinstance(equation, KortewegDeVries) or getattr(equation, "form", "") == "slope"
    return 1 if line else 2


@pytest.mark.parametrize("name", PLANE)
def test_order_in_space(name: str) -> None:
    equation, _ = PLANE[name]
    ndim, limited = dimensions(equation), isinstance(equation, DamBreak)
    true = reference(name, WIDTHS.get(name, 35))
    for accuracy in (2,) if limited else (2, 4, 6):
        errors = []
        for n in (24, 48):
            cells = (n, n + 1)[:ndim]
            grid = Grid.regular(cells, (SIDE,) * ndim)
            u = torch.from_numpy(start(equation, np.meshgrid(*grid.centers, indexing="ij")))[None]
            method = "ssprk3" if limited else "etdrk4"
            after = Solver(equation, grid, T, method, 40 if limited else 12, accuracy)(u)[0].numpy()
            errors.append(np.abs(after - true(cells)).mean())
        assert np.log2(errors[0] / errors[1]) == pytest.approx(accuracy, rel=0.07)


SPECTRAL = [name for name, (e, _) in PLANE.items() if not isinstance(e, Burgers | DamBreak)]


@pytest.mark.parametrize("name", SPECTRAL)
def test_spectral_derivatives_leave_the_error_of_time(name: str) -> None:
    equation, _ = PLANE[name]
    cells = (34, 35)[-dimensions(equation) :]
    grid = Grid.regular(cells, (SIDE,) * len(cells))
    u = torch.from_numpy(start(equation, np.meshgrid(*grid.centers, indexing="ij")))[None]
    after = Solver(equation, grid, T, "etdrk4", 20, "spectral")(u)[0].numpy()
    np.testing.assert_allclose(after, reference(name, WIDTHS.get(name, 35))(cells), atol=2e-9)


# --- the sphere


@pytest.mark.parametrize(
    "equation", [BarotropicVorticity(), SphereShallowWater()], ids=["vorticity", "water"]
)
def test_errors_on_the_sphere_fall_faster_than_any_power(equation: Spherical) -> None:
    """Truncations 7 and 11 against 18; h^2 would fall by 2.5. Advection and diffusion do not mix degrees."""
    found = []
    for rows in (12, 18, 28):
        grid = Grid.gaussian(rows, 2 * rows)
        lat, lon = np.meshgrid(*(np.deg2rad(c) for c in grid.centers), indexing="ij")
        x, y, z = np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)
        noise = torch.from_numpy(np.exp(0.7 * x + 0.5 * z) - np.exp(y - 0.3 * z))
        u = equation.states(noise.expand(1, len(equation.variables(2)), *grid.shape), grid)  # type: ignore[attr-defined]
        later = Solver(equation, grid, 0.25 * DAY, "rk4", 16)(u)
        found.append(Harmonics(grid).analyse(later[:, -1:])[0, 0, :8, :8])
    errors = [float((spectrum - found[-1]).abs().square().sum().sqrt()) for spectrum in found[:-1]]
    assert errors[0] > 1e-12 * float(found[-1].abs().max())
    assert errors[1] < errors[0] / 30


# --- in time

ALL: dict[str, Equation] = {name: e for name, (e, _) in PLANE.items() if name != "dam-break"}
ALL |= {
    "dam-break": DamBreak(1.3, "none"),
    "sphere-advection": SphereAdvection(tilt=90.0),
    "sphere-diffusion": SphereDiffusion(),
    "sphere-shallow-water": SphereShallowWater(),
    "barotropic-vorticity": BarotropicVorticity(),
}
ORDERS = {name: tableau.order for name, tableau in TABLEAUX.items()} | {"etdrk4": 4, "ars222": 2, "ars443": 3}
PAIRS = [(n, m) for n, e in ALL.items() for m in METHODS if m in TABLEAUX or isinstance(e, Semilinear)]


def test_no_equation_is_left_out() -> None:
    """What is forced has its own tests."""
    assert set(EQUATIONS) - {"forced-burgers"} == set(ALL) - {"kuramoto-sivashinsky, slope"}


def state(equation: Equation) -> tuple[Grid, torch.Tensor]:
    if isinstance(equation, Spherical):
        grid = Grid.gaussian(8, 17)
        return grid, random_states(equation, grid, 1, seed=1, cutoff=2)
    ndim = dimensions(equation)
    grid = Grid.regular((7, 8)[-ndim:], (SIDE,) * ndim)
    return grid, torch.from_numpy(start(equation, np.meshgrid(*grid.centers, indexing="ij")))[None]


@cache
def after(name: str, method: str, steps: int) -> torch.Tensor:
    """Two of the largest stable explicit steps on."""
    equation = ALL[name]
    grid, u = state(equation)
    time = 2 * equation.stable_step(grid, 30.0 if isinstance(equation, Spherical) else 1.5)
    scale = u.abs().amax(tuple(range(2, u.ndim)), keepdim=True)
    return Solver(equation, grid, time, method, steps)(u) / scale


@pytest.mark.parametrize(("name", "method"), PAIRS)
def test_order_in_time(name: str, method: str) -> None:
    """The exponential step of a linear equation is exact; the smaller and larger of the dam break's speeds have
    kinks, beyond which no method sees."""
    errors = [float((after(name, method, n) - after(name, "rk4", 48)).abs().max()) for n in (8, 16)]
    found = np.log2(errors[0] / errors[1])
    if method == "etdrk4" and (name == "wave" or isinstance(ALL[name], LinearEquation)):
        assert errors[0] < 1e-7
    elif name == "dam-break" and ORDERS[method] > 2:
        assert found > 2
    else:
        assert found == pytest.approx(ORDERS[method], abs=0.25)


@pytest.mark.parametrize("method", SPLITTINGS)
@pytest.mark.parametrize(("name", "stiff"), [("korteweg-de-vries", 8), ("kuramoto-sivashinsky, slope", 160)])
def test_order_in_time_of_stiff_equations(name: str, stiff: int, method: str) -> None:
    """At dt |lambda| far beyond what an explicit step bears; where it is large, a part of the order is lost."""
    equation, grid = ALL[name], Grid.regular(64, SIDE)
    assert equation.linear(1).radius(grid) / 32 > stiff  # type: ignore[attr-defined]
    u = torch.from_numpy(start(equation, list(grid.centers)))[None]
    true = Solver(equation, grid, 0.5, "etdrk4", 64)(u)
    errors = [float((Solver(equation, grid, 0.5, method, n)(u) - true).abs().max()) for n in (8, 16)]
    assert ORDERS[method] - 0.6 < np.log2(errors[0] / errors[1]) < ORDERS[method] + 0.2
