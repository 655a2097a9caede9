"""Stable steps against their known closed forms, and what happens on either side of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import (
    SCHEMES,
    Advection,
    AdvectionDiffusion,
    AllenCahn,
    Burgers,
    DamBreak,
    Diffusion,
    FitzHughNagumo,
    KortewegDeVries,
    Solver,
    Wave,
    diverges,
    linear_scheme,
    stable_step,
)
from gridvit.rollout import repeat


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize(
    "equation", [Advection(1.5), Diffusion(0.4), AdvectionDiffusion(1.5, 0.4), AdvectionDiffusion(-1.5, 0.02)]
)
def test_stable_steps_in_one_dimension(name, equation):
    h = 0.5
    velocity, tensor = equation.coefficients(1)
    speed, d = abs(velocity[0]), tensor[0, 0]
    inf = float("inf")
    diffusive = min(h**2 / (2 * d), 2 * d / speed**2 if speed else inf) if d else 0.0
    expected = {
        "ftcs": diffusive,
        "upwind": 1 / (speed / h + 2 * d / h**2),
        "lax-friedrichs": 0.0 if d else h / speed,
        "crank-nicolson": inf,
        "btcs": inf,
        "exact": inf,
    }
    if not d:
        expected |= {"lax-wendroff": h / speed, "beam-warming": 2 * h / speed}
    if not speed:
        expected |= {"lax-wendroff": diffusive, "beam-warming": diffusive}
    found = stable_step(name, equation, Grid.regular(7, 3.5))
    assert found == pytest.approx(expected.get(name, found), rel=1e-4)
    assert found == inf or found < 10


def test_lax_wendroff_with_diffusion_pays_for_it():
    """1-D: |G| <= 1 at theta = pi asks 2 c^2 + 4 r <= 2."""
    h, a, d = 0.5, 1.5, 0.4
    dt = stable_step("lax-wendroff", AdvectionDiffusion(a, d), Grid.regular(7, 3.5))
    assert 2 * (a * dt / h) ** 2 + 4 * d * dt / h**2 == pytest.approx(2, rel=1e-4)


@pytest.mark.parametrize("ratio", [1.0, 0.5, 0.0])
def test_stable_steps_of_advection_in_two_dimensions(ratio):
    grid = Grid.regular((5, 7), (5.0, 14.0))
    speeds = (1.0, -2.0 * ratio)
    limits = {
        "upwind": 1 / (1 + ratio),
        "lax-friedrichs": np.sqrt(1 / (2 * (1 + ratio**2))),
        "lax-wendroff": (1 + ratio ** (2 / 3)) ** -1.5,
        "beam-warming": 2 / (1 + ratio),
        "ftcs": 0.0,
    }
    for name, limit in limits.items():
        assert stable_step(name, Advection(speeds), grid) == pytest.approx(limit, rel=3e-3), name


def test_stable_step_of_diffusion_in_two_dimensions():
    grid = Grid.regular((5, 7), (5.0, 14.0))
    dt = stable_step("ftcs", Diffusion((0.3, 0.8)), grid)
    assert dt * (0.3 + 0.8 / 4) == pytest.approx(0.5, rel=1e-5)


def test_steps_within_the_limit_decay_and_beyond_it_grow():
    grid, equation = Grid.regular(12), AdvectionDiffusion(0.5, 0.3)
    u = torch.from_numpy(np.random.default_rng(0).standard_normal((1, 1, 12)))
    for name in ("ftcs", "upwind", "lax-wendroff", "beam-warming"):
        dt = stable_step(name, equation, grid)
        assert repeat(linear_scheme(name, equation, grid, 0.99 * dt), u, 60).abs().max() < 3
        assert repeat(linear_scheme(name, equation, grid, 1.5 * dt), u, 60).abs().max() > 1e3


def test_nothing_to_do_is_always_stable():
    assert stable_step("ftcs", AdvectionDiffusion(0.0, 0.0), Grid.regular(7)) == float("inf")


def test_only_linear_equations_and_known_schemes_have_one():
    with pytest.raises(
        InputError, match="expected a linear equation for a named scheme, got Burgers: solve it by"
    ):
        stable_step("ftcs", Burgers(0.1), Grid.regular(5))
    with pytest.raises(InputError, match="got 'upwin': use 'upwind'"):
        stable_step("upwin", Diffusion(0.1), Grid.regular(5))


REAL, IMAGINARY = 2.7852936, 2 * 2**0.5  # where |P| = 1 for RK4


@pytest.mark.parametrize(
    ("equation", "limit"),
    [
        (AllenCahn(0.7), REAL / (8 * 0.7)),
        (Wave(1.5), IMAGINARY / (1.5 * 8**0.5)),
        # the shortest wave's matrix is [[-8, -1], [0.5, -0.05]]
        (FitzHughNagumo(recovery=0.5, decay=0.1), REAL / (4.025 + (3.975**2 - 0.5) ** 0.5)),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("boundary", ["periodic", "dirichlet"])
def test_steps_that_no_wave_survives(equation, limit, boundary):
    """What is refused is a tenth beyond the limit; up to it nothing is, however long."""
    grid = Grid.regular((10, 14), periodic=boundary == "periodic")
    walls = "open" if boundary == "periodic" else boundary

    def grows(factor, steps=10**4):
        return diverges(Solver(equation, grid, factor * limit, "rk4", boundary=walls), steps)

    assert not grows(0.999 / 0.9)
    assert grows(1.01 / 0.9)
    assert not grows(1.01 / 0.9, steps=2)
    assert not diverges(Solver(equation, grid, 4 * limit, "etdrk4", boundary=walls), 10**4)


def test_a_run_a_little_beyond_the_linear_limit_lives_and_is_not_refused():
    """SSPRK3 on the imaginary axis: sqrt(3) = dt 1.5 sqrt(3) beta / h^3; the flow breaks up what would grow."""
    grid, beta = Grid.regular(64, 2.0), 0.05**2
    limit = 3**0.5 / (1.5 * 3**0.5 * beta * 32**3)
    solver = Solver(KortewegDeVries(beta), grid, 1.02 * limit, "ssprk3")
    u = torch.from_numpy(0.7 * np.cos(np.pi * grid.centers[0]))[None, None]
    assert repeat(solver, u, 400).abs().max() < 5
    assert not diverges(solver, 400)
    beyond = Solver(KortewegDeVries(beta), grid, 1.25 * limit, "ssprk3")
    assert not torch.isfinite(repeat(beyond, u, 400)).all()
    assert diverges(beyond, 400)


def test_where_nothing_is_known_nothing_is_refused():
    open_line, line = Grid.regular(16, periodic=False), Grid.regular(16)
    for solver in (
        Solver(AllenCahn(), open_line, 100.0, boundary="open"),
        Solver(KortewegDeVries(), open_line, 100.0, boundary="neumann"),
        Solver(DamBreak(), line, 100.0),
    ):
        assert not diverges(solver, 10**4)
