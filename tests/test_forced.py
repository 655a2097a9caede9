"""Equations driven from outside: solutions by hand, the force that is drawn, files of it, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from gridvit.analysis.probe import probe
from gridvit.config import DataConfig, SimulateConfig
from gridvit.data.fields import load
from gridvit.data.roles import channels
from gridvit.data.simulate import generating_step, simulate
from gridvit.data.simulate_portions import simulate_to
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import METHODS, Burgers, Coarse, ForcedBurgers, Solver, Vorticity
from gridvit.rollout import Context, rollout
from gridvit.run.cases import Cases
from gridvit.run.references import schemes
from gridvit.run.solvers import solved, solvers

SIDE = 2 * np.pi
CONFIG = SimulateConfig("forced-burgers", {"viscosity": 0.05}, (23,), (SIDE,), 0.2, 4, 19, 3.0, 5, spinup=3)
ROLES = DataConfig(variables=("u",), forcings=("force",))


def told(*forces: torch.Tensor) -> Context:
    """The force (variable, x) at each frame."""
    return Context(torch.zeros(1, dtype=torch.float64), torch.stack(forces)[None])


def cells(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values)[None]


@pytest.mark.parametrize("method", METHODS)
def test_what_a_straight_force_adds_up_to(method: str) -> None:
    """A force that is alike everywhere lifts u = 0 by its integral: dt (f0 + f1) / 2, exactly from order two on."""
    grid, one = Grid.regular(7, SIDE), torch.ones(1, 7, dtype=torch.float64)
    step = Solver(ForcedBurgers(), grid, 0.4, method, 3)
    (after,) = rollout(
        step, torch.zeros(1, 1, 7, dtype=torch.float64), 2, told(0.3 * one, 0.7 * one, -0.1 * one)
    )
    wanted = torch.tensor([0.0, 0.2, 0.2 + 0.12], dtype=torch.float64)
    if method == "euler":  # which takes the force at the beginning of each of three steps
        wanted = wanted - torch.tensor([0.0, 0.4 * 0.4 / 6, 0.4 * (0.4 - 0.8) / 6], dtype=torch.float64)
    torch.testing.assert_close(after[:, 0, 0], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("method", "order"), [("heun", 2), ("rk4", 4), ("ars443", 3), ("etdrk4", None)])
def test_order_in_time_against_the_solution_by_hand(method: str, order: int | None) -> None:
    """Of weak flow u_t = -r u + f + g t at each wave: u = (a - p) e^(-r t) + p + g t / r, p = f / r - g / r^2."""
    grid, a, f, g, t, errors = Grid.regular(16, SIDE), 0.2, 0.5, -0.3, 2.0, []
    wave = 1e-7 * np.sin(grid.centers[0])  # so that u u_x is nothing
    r = 0.8 * (2 - 2 * np.cos(grid.spacing[0])) / grid.spacing[0] ** 2  # nu times the second difference's
    p = f / r - g / r**2
    true = (a - p) * np.exp(-r * t) + p + g * t / r
    for n in (8, 16):
        step = Solver(ForcedBurgers(0.8, "central"), grid, t, method, n)
        after = step(cells(a * wave)[None], told(cells(f * wave), cells((f + g * t) * wave)))[0, 0].numpy()
        errors.append(np.abs(after - true * wave).max() / 1e-7)
    if order is None:  # exact where nothing but a straight force is not linear
        assert max(errors) < 1e-6
    else:
        assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.3)


@pytest.mark.parametrize(
    ("flux", "accuracy"), [("engquist-osher", 2), ("central", 2), ("central", 4), ("central", 6)]
)
def test_order_in_space_against_a_wave_that_stays(flux: str, accuracy: int) -> None:
    """u = 2 + sin(x) stays where it is under f = u u_x - nu u_xx = (2 + sin(x)) cos(x) + nu sin(x)."""
    errors = []
    for n in (32, 64):
        x = Grid.regular(n, SIDE).centers[0]
        force = cells((2 + np.sin(x)) * np.cos(x) + 0.5 * np.sin(x))
        step = Solver(ForcedBurgers(0.5, flux), Grid.regular(n, SIDE), 1.0, "etdrk4", 40, accuracy)
        errors.append(
            float((step(cells(2 + np.sin(x))[None], told(force, force)) - cells(2 + np.sin(x))).abs().max())
        )
    order = 1 if flux == "engquist-osher" else accuracy
    assert np.log2(errors[0] / errors[1]) == pytest.approx(order, abs=0.15)


def test_energy_is_what_the_force_puts_in() -> None:
    """d/dt sum u^2 / 2 = sum u f without viscosity, for smooth u: the central flux adds (h^2) little."""
    grid = Grid.regular(64, SIDE)
    x, dt = grid.centers[0], 1e-3
    u, force = cells(np.sin(x))[None], cells(np.cos(2 * x) + 0.5 * np.sin(x))
    step = Solver(ForcedBurgers(0.0, "central"), grid, dt, "rk4")
    after = step(u, told(force, force))
    gained = float(((after**2).mean() - (u**2).mean()) / (2 * dt))
    assert gained == pytest.approx(0.25, abs=5e-3)  # <sin x (cos 2x + sin x / 2)>


def test_without_a_force_it_is_burgers_and_each_state_has_its_own(rng: np.random.Generator) -> None:
    grid = Grid.regular(11, SIDE)
    u, force = (torch.from_numpy(rng.standard_normal((2, n, 11))) for n in (1, 2))
    known = torch.stack([0 * force[:, :1], 0 * force[:, :1]], 1)
    known[1] = force[1].unflatten(0, (2, 1))
    step, burgers = (Solver(e, grid, 0.1, "ssprk3", 5) for e in (ForcedBurgers(0.1), Burgers(0.1)))
    after = step(u, Context(torch.zeros(2), known))
    torch.testing.assert_close(after[:1], burgers(u[:1]), rtol=0, atol=1e-14)
    assert (after[1] - burgers(u)[1]).abs().max() > 0.01


def test_the_probe_sees_the_response_to_the_state_alone() -> None:
    """A force that does not know of u shifts no Jacobian where the flow is weak: it is that of Burgers."""
    grid = Grid.regular(9, SIDE)
    u, force = 1e-9 * torch.ones(1, 1, 9, dtype=torch.float64), 1e-9 * torch.ones(1, 9, dtype=torch.float64)
    step, burgers = (Solver(e, grid, 0.1, "rk4", 2) for e in (ForcedBurgers(0.3), Burgers(0.3)))
    found, wanted = (probe(e, u, np.array([[4]]), told(force, force)) for e in (step, burgers))
    np.testing.assert_allclose(found.weights, wanted.weights, atol=1e-8)


def test_a_coarse_solver_is_told_the_force_on_its_own_cells() -> None:
    fine = Grid.regular(24, SIDE)
    coarse = Coarse(Solver(ForcedBurgers(0.0), Grid.regular(9, SIDE), 1e-3, "rk4"), fine)
    force = cells(np.sin(2 * fine.centers[0]))
    after = coarse(torch.zeros(1, 1, 24, dtype=torch.float64), told(force, force))
    torch.testing.assert_close(after[0], 1e-3 * force, rtol=0, atol=1e-8)


def test_the_force_is_a_sum_of_the_waves_that_are_allowed() -> None:
    grid = Grid.regular(64, 3.0)
    draw = ForcedBurgers(amplitude=0.7, frequency=0.0, longest=2, shortest=4, terms=3).draw
    force = draw(grid, np.random.default_rng(1))
    spectrum = np.abs(np.fft.rfft(force(0.0)[0])) / 32
    assert set(np.flatnonzero(spectrum > 1e-12)) <= {2, 3, 4}
    assert 0 < spectrum.sum() <= 3 * 0.7
    np.testing.assert_array_equal(force(0.0), force(5.0))  # of no frequency
    moving = ForcedBurgers(terms=1).draw(grid, np.random.default_rng(1))
    omega = np.random.default_rng(1)
    amplitude = omega.uniform(-0.5, 0.5)
    rate = np.hypot(moving(0.0), (moving(1e-4) - moving(-1e-4)) / 2e-4 / omega.uniform(-0.4, 0.4))
    np.testing.assert_allclose(rate, abs(amplitude), rtol=1e-6)  # sin^2 + cos^2


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_file_holds_the_force_and_its_solver_makes_the_next_frame(suffix: str, tmp_path: Path) -> None:
    path = simulate_to(CONFIG, tmp_path / f"u{suffix}")
    whole = simulate(CONFIG)
    fields = load(path, ROLES)
    np.testing.assert_array_equal(fields.values[:, :, 0], whole["u"].values)
    np.testing.assert_array_equal(fields.values[:, :, 1], whole["force"].values)
    np.testing.assert_allclose(fields.times, 0.2 * (3 + np.arange(5)), atol=1e-12)
    step = generating_step(fields.attrs, fields.grid)
    assert isinstance(step, Solver)
    values = torch.from_numpy(fields.array).double()
    ends = Context(torch.zeros(19, dtype=torch.float64), values[:, :, 1:])
    after = rollout(step, values[:, 0, :1], 4, ends)
    assert float((after - values[:, :, :1]).abs().max()) < 2e-6
    assert float((step(values[:, 0, :1], ends.advanced(0.2)) - values[:, 1, :1]).abs().max()) > 1e-3
    assert len(np.unique(whole["force"].values[:, 0, 0])) == 19  # each trajectory its own


def cases_of(data: DataConfig) -> Cases:
    fields = load(simulate(CONFIG), data)
    return Cases.of(fields, (1, 2), channels(fields.variables, fields.statics, data))


def test_the_solver_is_scored_and_probed_where_it_can_be_told_the_force(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cases = cases_of(ROLES)
    ((name, made),) = solved(cases, 1).items()
    assert name == "ssprk3, 4 substeps"  # 0.2 (4 / h + 2 nu / h^2) = 3.2 with h = 2 pi / 23
    assert float(np.abs(made(cases) - cases.truth).max()) < 2e-6
    part, fields = slice(2), cases.fields
    context = Context(torch.from_numpy(cases.seconds[part]), torch.from_numpy(cases.known(part)).double())
    states = torch.from_numpy(cases.states[part]).double()
    stencils, courant = schemes(solvers(fields, 1), fields.grid, states, (1,), context)
    assert list(stencils) == [name]
    assert courant is None
    caplog.set_level("INFO", "gridvit")
    for data, sentence in (
        (
            DataConfig(variables=("u",)),
            "left out the solver: data.forcings are not force alone, which drove the data",
        ),
        (
            DataConfig(variables=("u",), forcings=("force",), stride=2),
            "left out the solver: force between the ends of a step of 2 frames is not known",
        ),
    ):
        cases = cases_of(data)
        assert solved(cases, data.stride) == solvers(cases.fields, data.stride) == {}
        assert caplog.messages[-1] == sentence


def test_spun_up_frames_are_those_of_a_longer_simulation() -> None:
    late = simulate(CONFIG)
    early = simulate(SimulateConfig(**{**vars(CONFIG), "spinup": 0, "steps": 7}))
    for name in ("u", "force"):
        np.testing.assert_array_equal(late[name], early[name][:, 3:])
    np.testing.assert_allclose(late["time"], early["time"][3:])


def test_other_trajectories_and_coefficients_have_the_forces_that_they_would_have_alone() -> None:
    few = simulate(SimulateConfig(**{**vars(CONFIG), "samples": 2}))
    np.testing.assert_array_equal(few["force"], simulate(CONFIG)["force"][:2])
    strong = {"viscosity": 0.05, "amplitude": {"from": 1.0, "to": 2.0}}
    drawn = simulate(SimulateConfig(**{**vars(CONFIG), "samples": 2, "parameters": strong}))
    ratio = drawn["force"] / few["force"]  # the same numbers in (-1, 1), times the amplitude of each
    np.testing.assert_allclose(ratio, (drawn["amplitude"] / 0.5).broadcast_like(ratio), rtol=1e-4)


def test_kolmogorovs_force_is_in_the_file_as_what_stays() -> None:
    parameters = {"forcing": 0.5, "wavenumber": 2}
    config = SimulateConfig("vorticity", parameters, (8, 9), steps=1, samples=2, cutoff=2.0)
    ds = simulate(config)
    assert ds["force"].dims == ("y", "x")
    y = SIDE / 8 * (np.arange(8) + 0.5)
    np.testing.assert_allclose(ds["force"], np.tile(-np.cos(2 * y)[:, None], 9), atol=1e-6)
    drawn = {"forcing": {"from": 0.1, "to": 0.5}}
    for other in ({}, drawn):
        assert "force" not in simulate(SimulateConfig(**{**vars(config), "parameters": other}))
    assert Vorticity().forcing == 0


def test_refusals() -> None:
    step = Solver(ForcedBurgers(), Grid.regular(5), 0.1)
    u, end = torch.zeros(2, 1, 5), torch.zeros(2, 1, 1, 5)
    sentence = (
        r"expected force at both ends of a step of ForcedBurgers, \(2, 2, 1, 5\) in all, got {}: give them as the "
        "known fields of the context"
    )
    for context, got in (
        (None, "none"),
        (Context(torch.zeros(2)), "none"),
        (Context(torch.zeros(2), end), r"known fields of shape \(2, 1, 1, 5\)"),
        (Context(torch.zeros(2), end.expand(2, 2, 3, 5)), r"known fields of shape \(2, 2, 3, 5\)"),
    ):
        with pytest.raises(InputError, match=sentence.format(got)):
            step(u, context)
    with pytest.raises(
        InputError, match="expected one dimension for ForcedBurgers, got 2: give a grid with one"
    ):
        Solver(ForcedBurgers(), Grid.regular((5, 6)), 0.1)(torch.zeros(1, 1, 5, 6))
    with pytest.raises(InputError, match=r"expected an amplitude of zero or more, got -1\.0"):
        ForcedBurgers(amplitude=-1)
    with pytest.raises(InputError, match="got 'godunov': use"):
        ForcedBurgers(flux="godunov")
    with pytest.raises(
        InputError,
        match="expected at least one term, of whole waves from longest to shortest, got 20 of 5 to 4 waves: correct",
    ):
        ForcedBurgers(longest=5, shortest=4)
    with pytest.raises(InputError, match="expected simulate.spinup of at least 0, got -1: correct it"):
        SimulateConfig(spinup=-1)
