"""Orders of accuracy of simulations, and choices that are refused before anything is solved."""

from __future__ import annotations

from math import ceil, pi
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridvit.config import SimulateConfig
from gridvit.data.fields import load
from gridvit.data.simulate import exact_step, generating_step, prepared, simulate
from gridvit.data.simulate_files import write
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    AdvectionDiffusion,
    AllenCahn,
    FitzHughNagumo,
    KortewegDeVries,
    KuramotoSivashinsky,
    Solver,
    damping_cells,
)

KDV = SimulateConfig("korteweg-de-vries", shape=(67,), samples=2, steps=3, accuracy="spectral")


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_a_file_knows_its_accuracy(suffix: str, tmp_path: Path) -> None:
    found = load(write(simulate(KDV), tmp_path / f"u{suffix}"))
    step = generating_step(found.attrs, found.grid)
    plain = generating_step({k: v for k, v in found.attrs.items() if k != "gridvit_accuracy"}, found.grid)
    assert step is not None
    assert plain is not None
    u = torch.from_numpy(found.values).double()
    before, after = u[:, :-1].flatten(0, 1), u[:, 1:].flatten(0, 1)
    substeps = int(found.attrs["gridvit_substeps"])
    solver = Solver(KortewegDeVries(), found.grid, 0.02, "etdrk4", substeps, "spectral")
    torch.testing.assert_close(step(before), solver(before), rtol=0, atol=0)
    torch.testing.assert_close(step(before), after, rtol=0, atol=2e-6)
    assert float((plain(before) - after).abs().max()) > 1e-3  # without a word, differences of order two


def test_orders_are_whole_numbers_in_a_file_too(tmp_path: Path) -> None:
    config = SimulateConfig("kuramoto-sivashinsky", samples=1, steps=2, accuracy=4)
    found = load(write(simulate(config), tmp_path / "u.nc"))
    step = generating_step(found.attrs, found.grid)
    assert step is not None
    u = torch.from_numpy(found.values).double()
    torch.testing.assert_close(step(u[:, 1]), u[:, 2], rtol=0, atol=1e-5)


def test_the_stable_step_is_that_of_the_accuracy() -> None:
    """4 D / h^2 is the fastest rate of order two, pi^2 D / h^2 the exact one; 1.7 of it is stable."""
    for accuracy, rate in ((2, 2.0), ("spectral", pi**2 / 1.7)):
        config = SimulateConfig(
            "diffusion", {"diffusivity": 1.0}, (24,), dt=3.0, scheme="rk4", accuracy=accuracy
        )
        assert prepared(config).substeps == ceil(3 * rate)


@pytest.mark.parametrize(
    ("name", "options", "sentence"),
    [
        (
            "korteweg-de-vries",
            {"accuracy": 3},
            "expected an accuracy of an even order or 'spectral', got 3: take 2, 4, 6 or 'spectral'",
        ),
        (
            "korteweg-de-vries",
            {"accuracy": "spectre"},
            "expected an accuracy of an even order or 'spectral', got 'spectre': take 2, 4, 6 or 'spectral'",
        ),
        (
            "advection",
            {"accuracy": 4},
            "expected accuracy 2 for the scheme exact, which has its own, got 4: leave it out or choose a method, "
            "such as scheme rk4",
        ),
        (
            "sphere-advection",
            {"accuracy": "spectral"},
            "expected accuracy 2 for sphere-advection, which has its own, got 'spectral': leave it out",
        ),
        (
            "kuramoto-sivashinsky",
            {"shape": (49,)},
            "expected cells along x so narrow that the shortest wave of kuramoto-sivashinsky is damped, got 49 in a "
            "length of 100: take at least 50",
        ),
        (
            "kuramoto-sivashinsky",
            {"parameters": {"damping": 0.0}},
            "expected cells along x so narrow that the shortest wave of kuramoto-sivashinsky is damped, got 128 in a "
            "length of 100: choose other parameters",
        ),
        (
            "advection",
            {"scheme": "euler", "shape": (24,)},
            "expected a step of euler up to 0, where it is stable, got 1: choose another scheme",
        ),
        (
            "burgers",
            {"parameters": {"viscosity": {"from": "a", "to": 2}}},
            "expected a number or a list of numbers where the range of viscosity is 'from', got 'a': correct it",
        ),
        (
            "burgers",
            {"parameters": {"viscosity": {"from": 1, "to": [1, [2]]}}},
            "expected a number or a list of numbers where the range of viscosity is 'to', got [1, [2]]: correct it",
        ),
    ],
)
def test_what_cannot_be_solved_is_refused(name: str, options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        prepared(SimulateConfig(name, samples=1, **options))
    assert str(error.value) == sentence


def test_lengths_are_positive() -> None:
    with pytest.raises(InputError) as error:
        SimulateConfig(lengths=(-1.0, 1.0))
    assert str(error.value) == "expected simulate.lengths above 0 and finite, got (-1.0, 1.0): correct it"


def test_heuns_method_takes_enough_substeps_by_itself() -> None:
    """|P(i y)|^2 = 1 + y^4 / 4, with y = a dt / h = 1 of the wave that is fastest on four cells."""
    config = SimulateConfig("advection", {"velocity": [1.0]}, (24,), scheme="heun", samples=1)
    n = prepared(config).substeps

    def grown(n: int) -> float:
        return (1 + n**-4 / 4) ** (n / 2) - 1

    assert grown(n) < 1e-6 < grown(n // 2)


@pytest.mark.parametrize(
    ("accuracy", "ndim", "cells"),
    [(2, 1, 50), ("spectral", 1, 32), (2, 2, 50)],  # 100 / 2 sqrt(b / a), 100 / pi sqrt(b / a)
)
def test_the_cells_that_damp_the_shortest_wave(accuracy: int | str, ndim: int, cells: int) -> None:
    grid = Grid.regular((11, 60)[:ndim], (100.0,) * ndim)
    assert damping_cells(KuramotoSivashinsky(), grid, accuracy) == (cells, 60)[:ndim]
    narrow = KuramotoSivashinsky(growth=1.0, damping=4.0)
    if (accuracy, ndim) == (2, 1):
        assert damping_cells(narrow, grid, 2) == (25,)


def test_equations_without_growth_ask_for_no_cells() -> None:
    grid = Grid.regular((7, 10), (700.0, 1.0))
    for equation in (AdvectionDiffusion((1.0, 2.0), 0.1), FitzHughNagumo(), AllenCahn()):
        assert damping_cells(equation, grid) == grid.shape
    assert damping_cells(KortewegDeVries(), Grid.regular((7,))) == (7,)


@pytest.mark.parametrize("speed", [0.3, 1.0, 1.5, 2.0])
def test_rates_of_reactions_bound_their_slopes(speed: float) -> None:
    """|d (u - u^3) / du| = |1 - 3 u^2| for |u| up to the speed, or up to the phases, which every state reaches."""
    u = np.linspace(0, max(1.0, speed), 1001)
    slope = np.abs(1 - 3 * u**2).max()
    grid = Grid.regular((5, 7))
    assert AllenCahn(rate=0.7).nonlinear_rate(grid, speed) == pytest.approx(0.7 * slope)
    assert FitzHughNagumo().nonlinear_rate(grid, speed) == pytest.approx(slope)


def test_the_default_flow_is_resolved_to_its_end() -> None:
    """Power in the shortest four shells against that of the strongest; with a viscosity of 0.001 it is 0.004."""
    w = simulate(SimulateConfig("vorticity", samples=1))["w"].isel(sample=0, time=-1).values
    power = np.abs(np.fft.fft2(w)) ** 2
    shell = np.rint(np.hypot(*np.meshgrid(*2 * [np.fft.fftfreq(64, 1 / 64)])))
    spectrum = np.array([power[shell == k].sum() for k in range(1, 33)])
    assert spectrum[-4:].mean() < 1e-6 * spectrum.max()


@pytest.mark.parametrize(
    ("name", "parameters", "degree", "factor"),
    [
        ("sphere-diffusion", {"diffusivity": 2e6}, 3, np.exp(-2e6 * 12 / 6371008.8**2 * 21600)),
        ("sphere-advection", {"tilt": 0.0}, 4, np.exp(-1j * 2 * 2 * pi / 48)),
    ],
)
def test_harmonics_that_go_by_themselves_have_an_exact_step(
    name: str, parameters: dict[str, Any], degree: int, factor: complex
) -> None:
    """Y_n^2, n even and odd, in closed form: cos^2 lat (sin lat, or 7 sin^2 lat - 1) cos 2 lon.

    Over six hours, in which the rotation of twelve days makes a 48th of a turn.
    """
    ds = simulate(SimulateConfig(name, parameters, (17, 36), samples=2, steps=2, cutoff=3.0, substeps=20))
    found = load(ds)
    exact = exact_step(found.attrs, found.grid)
    assert exact is not None
    lat, lon = np.meshgrid(*(np.deg2rad(c) for c in found.grid.centers), indexing="ij")
    z = np.sin(lat)
    wave = np.cos(lat) ** 2 * (z if degree == 3 else 7 * z**2 - 1) * np.exp(2j * lon)
    after = exact(torch.from_numpy(wave.real)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(after, (factor * wave).real, atol=1e-12)
    u = torch.from_numpy(found.values).double()
    torch.testing.assert_close(exact(u[:, 0]), u[:, 1], rtol=0, atol=2e-6)
    twice = exact_step(found.attrs, found.grid, stride=2)
    assert twice is not None
    torch.testing.assert_close(twice(u[:, 0]), exact(exact(u[:, 0])), rtol=0, atol=1e-12)


def test_a_tilted_rotation_mixes_harmonics() -> None:
    ds = simulate(SimulateConfig("sphere-advection", shape=(8, 16), samples=1, steps=1, cutoff=2.0))
    assert exact_step(ds.attrs, load(ds).grid) is None
