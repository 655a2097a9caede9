"""Error against cost of solvers, where what a coarse grid loses is known wave by wave."""

from __future__ import annotations

from math import log2

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.analysis.cost import Rung, Spent, climbed, cost_table, frontier, rungs, thinned
from gridvit.config import DataConfig, SimulateConfig
from gridvit.data.fields import load
from gridvit.data.roles import channels
from gridvit.data.simulate import simulate
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import AdvectionDiffusion, Burgers, Coarse, DamBreak, Solver, SphereAdvection, Vorticity
from gridvit.rollout import rollout
from gridvit.run.cases import Cases
from gridvit.run.cost import Cost, costed, model_costs, scaled_error, solver_costs, spread_out
from gridvit.run.solvers import ALL, Solved, solved, stepped

LINE = SimulateConfig(
    equation="advection-diffusion", parameters={"velocity": [0.7], "diffusivity": 0.05}, shape=(20,),
    dt=1.0, scheme="exact", samples=3, steps=4, cutoff=4.0,
)  # fmt: skip
STEP = (
    2 * 5 * 20 * log2(20) + 6 * 20 + 1
)  # of "exact": transforms there and back, complex products, the clock


def cases_of(config: SimulateConfig, leads: tuple[int, ...], **data) -> Cases:
    chosen = DataConfig(**data)
    fields = load(simulate(config), chosen)
    return Cases.of(fields, leads, channels(fields.variables, fields.statics, chosen))


def test_a_coarse_exact_solver_errs_by_the_waves_that_it_does_not_hold() -> None:
    """Ten cells hold |k| <= 4, five |k| <= 2: the rest of the truth is the error."""
    cases = cases_of(LINE, (1, 3))
    found = solver_costs(solved(cases, 1)["exact"], cases, cases.truth, np.array([0.25]))
    waves = np.abs(np.fft.fft(cases.truth[:, :, 0].astype(np.float64)) / 20) ** 2
    k = np.abs(np.fft.fftfreq(20, 1 / 20))
    for cells, most in ((10, 4), (5, 2)):
        lost = np.sqrt(waves[..., k > most].sum(-1).mean(0) / 0.25)
        own = found.sel(solver=f"{cells} cells, exact")
        np.testing.assert_allclose(own.solver_error, lost, rtol=1e-5)
        assert float(own.solver_error[-1]) > 1e-3
    whole = found.sel(solver="20 cells, exact")
    assert float(whole.solver_error.max()) < 1e-5
    assert float(whole.solver_operations) == pytest.approx(3 * STEP)
    assert (found.solver_seconds > 0).all()
    best = found.solver[found.solver_best_operations.values].values.tolist()
    assert "20 cells, exact" in best
    differences = [
        float(found.solver_error.sel(solver=s)[-1])
        for s in found.solver.values
        if s.startswith("20 cells, rk4")
    ]
    assert max(differences) > 10 * min(differences)  # of order two and spectral


def test_trajectories_with_their_own_coefficients_are_solved_by_them() -> None:
    """Velocities drawn for each trajectory: the exact solver has no error, one that took all alike would."""
    drawn = {"velocity": {"from": [-1.5], "to": [1.5]}, "diffusivity": 0.05}
    config = SimulateConfig(**{**vars(LINE), "parameters": drawn, "shape": (8,), "cutoff": 1.0, "samples": 2})
    cases = cases_of(config, (1, 2), parameters=("velocity",)).take(np.array([0, 4]))
    maker = solved(cases, 1)["exact"]
    found = solver_costs(maker, cases, cases.truth, np.ones(1))
    assert float(found.solver_error.sel(solver="8 cells, exact").max()) < 1e-5
    alike = Solved({ALL: maker.steps[0]})(cases)
    assert float(np.abs(alike - cases.truth).max()) > 0.1


def test_a_solver_on_the_sphere() -> None:
    config = SimulateConfig(equation="sphere-advection", shape=(8, 16), samples=2, steps=2, cutoff=1.0)
    cases = cases_of(config, (1, 2))
    (maker,) = (made for name, made in solved(cases, 1).items() if name != "exact")
    found = solver_costs(maker, cases, cases.truth, np.ones(1))
    assert {name.split(",")[0] for name in found.solver.values} == {
        "8 x 16 cells",
        "4 x 8 cells",
        "4 x 4 cells",
    }
    whole = found.sel(solver=[name.startswith("8 x 16") for name in found.solver.values])
    assert float(whole.solver_error.min()) < 1e-4


def test_a_coarse_solver_stays_on_its_grid_between_the_leads(rng: np.random.Generator) -> None:
    """The same as a rollout that goes down and up at every step, since R P = 1."""
    fine, coarse = Grid.regular(24, 2.0), Grid.regular(8, 2.0)
    step = Coarse(Solver(Burgers(0.1), coarse, 0.05, "ssprk3"), fine, "means")
    config = SimulateConfig(
        equation="burgers", parameters={"viscosity": 0.1}, shape=(24,), lengths=(2.0,), dt=0.05, samples=2, steps=4,
        cutoff=2.0,
    )  # fmt: skip
    cases = cases_of(config, (1, 3))
    found = stepped(step, cases.states.astype(np.float64), cases)
    expected = rollout(step, torch.from_numpy(cases.states).double(), 3)[:, [1, 3]]
    np.testing.assert_allclose(found, expected, atol=1e-13)


def test_costs_of_models_are_of_one_forecast() -> None:
    cases = cases_of(LINE, (1, 3))
    cost = costed(lambda some: some.truth * 2, cases)
    assert cost.seconds < 0.1
    assert np.isnan(cost.operations)  # NumPy's
    ((_, maker),) = solved(cases, 1).items()
    cost = costed(maker, cases)
    assert cost.operations == pytest.approx(3 * STEP)
    errors = np.array([[[4.0, 9.0]], [[0.0, 9.0]]])
    error = scaled_error(errors, np.array([2.0, 9.0]))
    np.testing.assert_allclose(error, np.sqrt([(2 + 1 + 0 + 1) / 4]))
    found = model_costs({"emulator": Cost(0.5, 7.0)}, {"emulator": error}, 3)
    assert found.seconds.item() == 0.5
    assert found.seconds.attrs == {"long_name": "processor time of one forecast of 3 steps", "units": "s"}
    assert spread_out(11, 4).tolist() == [0, 3, 7, 10]
    assert spread_out(3, 8).tolist() == [0, 1, 2]
    assert spread_out(3, 0).tolist() == []


def test_the_frontier_is_what_nothing_beats() -> None:
    cost, error = np.array([1.0, 2.0, 2.0, 3.0, 4.0]), np.array([9.0, 5.0, 6.0, 5.0, 1.0])
    assert frontier(cost, error).tolist() == [True, True, False, False, True]
    assert frontier(np.ones(2), np.ones(2)).tolist() == [True, True]


def spent(*error: float) -> Spent:
    return Spent(np.array(error), 1.0, 1.0)


def test_substeps_double_from_the_least_that_stay_finite_while_it_helps() -> None:
    """Known to be stable with 32: tried from 4, of which the forecasts are not finite; 16 no better than 8."""
    errors = {4: None, 8: spent(9.0, 1.0), 16: spent(9.0, 0.5), 32: spent(9.0, 0.49), 64: spent(9.0, 0.1)}
    found = list(climbed(Rung((8,), "rk4"), 32, lambda rung: errors[rung.substeps]))
    assert [rung.substeps for rung, _ in found] == [8, 16, 32]
    assert [rung.substeps for rung, _ in climbed(Rung((8,), "exact"), 1, lambda rung: spent(1.0))] == [1]
    assert list(climbed(Rung((8,), "rk4"), 1, lambda rung: spent(np.inf))) == []


def test_the_ways_of_an_equation() -> None:
    plane, line = Grid.regular((16, 24)), Grid.regular(64)
    linear = list(rungs(AdvectionDiffusion((0.5,), 0.1), line))
    assert {rung.shape for rung in linear} == {(8,), (16,), (32,), (64,)}
    assert {(rung.method, rung.accuracy) for rung in linear} == {
        ("exact", 2), ("rk4", 2), ("rk4", 4), ("rk4", 6), ("rk4", "spectral")}  # fmt: skip
    burgers = list(rungs(Burgers(0.1), line))
    assert {(r.method, r.accuracy, r.flux, r.by) for r in burgers if r.shape == (64,)} == {
        ("rk4", 2, "central", "waves"), ("rk4", 4, "central", "waves"), ("rk4", 6, "central", "waves"),
        ("etdrk4", 6, "central", "waves"), ("ssprk3", 2, "engquist-osher", "waves")}  # fmt: skip
    assert ("ssprk3", "means") in {(r.method, r.by) for r in burgers if r.shape == (32,)}
    assert ("etdrk4", "spectral") in {(r.method, r.accuracy) for r in rungs(Vorticity(), plane)}
    assert {rung.shape for rung in rungs(Vorticity(), plane)} == {(16, 24), (8, 12), (4, 6), (4, 4)}
    assert {(r.method, r.by) for r in rungs(DamBreak(), line)} == {("ssprk3", "waves"), ("ssprk3", "means")}
    assert {r.method for r in rungs(SphereAdvection(), Grid.gaussian(8, 16))} == {"rk4", "ssprk3"}


def test_a_rung_says_what_it_is_and_refuses_what_cannot_be() -> None:
    grid = Grid.regular(24, 2.0, periodic=False, origin=-1.0)
    rung = Rung((8,), "ssprk3", 2, "engquist-osher", "means", 3)
    assert rung.name == "8 cells, ssprk3, 2 order, engquist-osher, means, 3 substeps"
    assert Rung((8, 6), "exact").name == "8 x 6 cells, exact"
    assert Rung((8,), "rk4", "spectral").name == "8 cells, rk4, spectral"
    step = rung.step(Burgers(0.1, "central"), grid, 0.1, "neumann")
    assert isinstance(step, Coarse)
    assert step.solver.equation.flux == "engquist-osher"
    assert step.solver.substeps == 3
    assert step.solver.grid == thinned(grid, (8,))
    np.testing.assert_allclose(step.solver.grid.centers[0], np.linspace(-1, 1, 17)[1::2])
    assert isinstance(Rung((24,), "rk4").step(Burgers(0.1), grid, 0.1, "neumann"), Solver)
    with pytest.raises(InputError, match="open wall"):
        Rung((8,), "etdrk4", 6, "central").step(Burgers(0.1), grid, 0.1)
    # dt = 1 / (1 / h + 2 nu / h^2) with h = 1/4, u at most 4: 1 / (16 + 3.2)
    assert Rung((8,), "ssprk3").enough(Burgers(0.1), grid, 1.0) == 20
    assert Rung((8,), "exact").enough(AdvectionDiffusion((0.5,), 0.1), grid, 100.0) == 1


def test_the_table_has_names_units_and_the_best() -> None:
    ways = [(Rung((8,), "exact"), Spent(np.array([1.0, 2.0]), 3.0, 40.0)),
            (Rung((16,), "exact"), Spent(np.array([0.5, 0.1]), 2.0, 80.0))]  # fmt: skip
    found = cost_table(ways, 5)
    assert isinstance(found, xr.Dataset)
    assert found.solver_best_seconds.values.tolist() == [False, True]
    assert found.solver_best_operations.values.tolist() == [True, True]
    assert found.solver_seconds.attrs == {
        "long_name": "processor time of one forecast of 5 steps",
        "units": "s",
    }
    np.testing.assert_allclose(found.solver_error, [[1, 2], [0.5, 0.1]])


def test_solvers_of_some_cases_keep_their_order() -> None:
    cases = cases_of(LINE, (2,))
    maker = solved(cases, 1)["exact"]
    assert isinstance(maker, Solved)
    some = np.array([5, 1])
    np.testing.assert_allclose(maker(cases.take(some)), cases.truth[some], atol=1e-5)
