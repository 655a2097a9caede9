"""What is set beside the emulator: the right schemes, at the same states and cells, or none."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.analysis.attention import attention_distance, attention_stencil, radial_lift, zonal_stencil
from gridvit.analysis.bloch import phase_average
from gridvit.analysis.compare import compare
from gridvit.analysis.probe import patch_cells, probe
from gridvit.channels import Channels
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig
from gridvit.data.fields import load
from gridvit.data.simulate import simulate
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.nn.bias import make_bias
from gridvit.rollout import Context
from gridvit.run.cases import Cases
from gridvit.run.looks import attention, token_stencils
from gridvit.run.references import energetic, first_variable, schemes
from gridvit.run.solvers import solvers
from gridvit.run.subject import LATITUDES, Subject, inside
from gridvit.stencil import Stencil


@pytest.fixture(scope="module")
def burgers() -> xr.Dataset:
    return simulate(
        SimulateConfig(
            equation="burgers",
            parameters={"viscosity": 0.02},
            shape=(8, 12),
            lengths=(2.0, 3.0),
            dt=0.05,
            steps=6,
            samples=3,
            cutoff=2.0,
            substeps=4,
        )
    )


@pytest.fixture(scope="module")
def linear() -> xr.Dataset:
    return simulate(
        SimulateConfig(
            parameters={"velocity": [0.4, 0.2], "diffusivity": 0.05},
            shape=(8, 12),
            steps=6,
            samples=3,
            cutoff=2.0,
            scheme="upwind",
        )
    )


def test_a_solver_measured_as_the_emulator_is_no_distance_from_itself(burgers: xr.Dataset) -> None:
    fields = load(burgers)
    states = torch.tensor(fields.values[[0, -1], 3])
    known = solvers(fields, 1)
    solver = known["ssprk3, 4 substeps"]
    measured = first_variable(phase_average(probe(solver, states, patch_cells((2, 3)))))
    references, courant = schemes(known, fields.grid, states, (2, 3))
    assert (list(references), courant) == (["ssprk3, 4 substeps"], None)
    table = compare(measured, references, fields.grid, fields.step.seconds)
    np.testing.assert_allclose(table["distance_unweighted"], 0, atol=1e-12)


def test_linear_references_are_the_schemes_stable_at_this_step(linear: xr.Dataset) -> None:
    fields = load(linear)
    references, courant = schemes(solvers(fields, 1), fields.grid, torch.tensor(fields.values[0, :2]), (2, 3))
    assert list(references)[:2] == ["upwind", "exact"]
    assert "lax-friedrichs" not in references  # never stable with diffusion
    assert courant == pytest.approx([0.4, 0.2])


def test_no_solver_for_what_the_file_no_longer_is(burgers: xr.Dataset, linear: xr.Dataset) -> None:
    assert list(solvers(load(burgers), 1)) == ["ssprk3, 4 substeps"]
    assert solvers(load(burgers, DataConfig(variables=("v", "u"))), 1) == {}
    assert solvers(load(burgers, DataConfig(variables=("u",))), 1) == {}
    assert solvers(load(linear, DataConfig(periodic={"y": False})), 1) == {}
    assert list(solvers(load(linear), 1)) == ["upwind", "exact"]
    assert solvers(load(linear.isel(time=slice(None, None, 2))), 1) == {}
    assert solvers(load(linear.drop_attrs(deep=False)), 1) == {}
    strided = solvers(load(linear, DataConfig(stride=2)), 2)
    assert [step.dt for step in strided.values()] == [2.0, 2.0]


def test_the_sphere_and_walls_have_their_solver_too() -> None:
    config = SimulateConfig("barotropic-vorticity", shape=(8, 16), samples=1, steps=2, cutoff=2.0, substeps=1)
    assert list(solvers(load(simulate(config)), 1)) == ["rk4"]
    walls = SimulateConfig("diffusion", shape=(8,), boundary="neumann", samples=1, steps=2, cutoff=2.0)
    assert list(solvers(load(simulate(walls)), 1)) == ["ssprk3"]
    assert solvers(load(simulate(walls), DataConfig(periodic={"x": True})), 1) == {}


def test_cases_are_the_windows_of_the_test_part(linear: xr.Dataset) -> None:
    fields = load(linear)
    cases = Cases(fields, np.array([[0, 1], [2, 3]]), (1, 2), Channels(("u",)))
    values = fields.values
    np.testing.assert_array_equal(cases.states, [values[0, 1], values[2, 3]])
    np.testing.assert_array_equal(cases.truth[1], values[2, 4:6])
    assert cases.valid_times.tolist() == [[2, 3], [4, 5]]
    assert (cases.seconds.tolist(), cases.times.tolist()) == ([1, 3], [1, 3])


def test_cases_of_a_model_with_history_and_a_longer_step(linear: xr.Dataset) -> None:
    cases = Cases.of(load(linear), (1, 2), Channels(("u",), history=2, leads=(2,)))
    values = cases.fields.values
    assert cases.index[:3].tolist() == [[0, 0], [0, 1], [1, 0]]
    np.testing.assert_array_equal(cases.frames(slice(1, 2))[0], values[0, 1:3])
    np.testing.assert_array_equal(cases.states[1], values[0, 2])
    np.testing.assert_array_equal(cases.truth[1], values[0, [4, 6]])
    assert cases.valid_times[:2].tolist() == [[3, 5], [4, 6]]


def test_energy_is_kept_on_the_fewest_waves() -> None:
    x = np.arange(12) * 2 * np.pi / 12
    field = 3 * np.cos(x) + 0.1 * np.cos(4 * x)
    energy = energetic(field[None], 1, 0.99)
    assert np.flatnonzero(energy).tolist() == [1, 11]
    assert energy[1] == pytest.approx(9 / 4)


def test_token_stencil_as_a_map() -> None:
    tokens = Grid.regular((4, 6))
    stencil = Stencil(np.array([[0, 0], [1, -2]]), np.array([[[0.25, 0.75]]]), np.ones(2), ("layer", "head"))
    found = token_stencils(stencil, tokens)["attention_stencil"]
    assert found.dims == ("layer", "head", "token_dy", "token_dx")
    assert found.sel(token_dy=1, token_dx=-2).item() == 0.75


def shares(weights: np.ndarray, tokens: Grid) -> dict[str, np.ndarray]:
    """SCIENCE 23: the mean squares of (s - w), (b - s), (A - b), by moving every row of the matrix by itself."""
    deviation = weights.astype(np.float64) - tokens.areas.ravel() / tokens.areas.sum()
    box = deviation.reshape(*weights.shape[:3], *tokens.shape, *tokens.shape)
    axes = [axis for axis, wraps in enumerate(tokens.periodic) if wraps]
    static = np.zeros_like(box[0])
    turns = list(np.ndindex(*(tokens.shape[axis] for axis in axes)))
    for turn in turns:
        both = [axis + 2 for axis in axes] + [axis + 2 + tokens.ndim for axis in axes]
        static += np.roll(box.mean(axis=0), turn * 2, both) / len(turns)
    parts = {
        "static": static[None],
        "position": box.mean(axis=0, keepdims=True) - static,
        "content": box - box.mean(axis=0),
    }
    sizes = {k: (v**2).mean(axis=(0, *range(3, v.ndim))) for k, v in parts.items()}
    total = (box**2).mean(axis=(0, *range(3, box.ndim)))
    np.testing.assert_allclose(sum(sizes.values()), total, rtol=1e-12)
    return {k: v / total for k, v in sizes.items()}


@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize(
    "grid", [Grid.regular((6, 10)), Grid.latlon(7, 12, poles=True)], ids=["torus", "sphere"]
)
def test_attention_by_blocks_is_that_of_whole_matrices(
    grid: Grid, gaps: bool, linear: xr.Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(import_module("gridvit.run.subject"), "HELD", 7 * 3 * 3 * 30)  # blocks of 7 tokens
    torch.manual_seed(2)
    config = ModelConfig(preset="mini", patch=(1, 2), width=48, depth=2, heads=3)
    presence = torch.full((1, *grid.shape), 0.5) if gaps else None
    step = ModelStep(config, grid, Channels(("u",)), 1.0, *torch.ones(3, 1), presence=presence).eval()
    states = torch.randn(3, 1, *grid.shape)
    states[0, :, :2, :4] = torch.nan if gaps else 0.5
    context = Context(torch.zeros(3, dtype=torch.float64))
    found = attention(Subject(step, states, context, load(linear), load(linear), RunConfig()))
    weights, tokens = step.attention_weights(states).numpy(), step.token_grid
    share = step.token_share(states).numpy() if gaps else None
    expected = attention_distance(weights, tokens, share=share)
    expected["attention_radial"] = radial_lift(weights, tokens, share=share)
    if grid.is_sphere:
        names = {
            "latitude": "token_query_latitude",
            "key_latitude": "token_key_latitude",
            "dlon": "token_dlon",
        }
        rows = [int(np.abs(tokens.centers[0] - x).argmin()) for x in inside(LATITUDES, tokens)]
        zonal = zonal_stencil(weights, tokens).isel(latitude=rows).rename(names)
        expected = expected.merge(zonal.to_dataset(name="attention_zonal"))
    else:
        whole = token_stencils(attention_stencil(weights, tokens), tokens)
        expected = expected.merge(whole)
    split = shares(weights, tokens)
    for name in ("static", "position", "content"):
        np.testing.assert_allclose(found[f"attention_{name}"], split[name], rtol=1e-5, atol=1e-8)
    alone = {"bias_distance", "bias_rms", "bias_effective_area_fraction", "attention_over_bias"}
    beside = {*alone, *(f"attention_{name}" for name in split), "bias_kernel", "bias_length"}
    assert set(found) - beside == set(expected)
    for name, table in expected.items():
        xr.testing.assert_allclose(found[name], table, rtol=1e-6, atol=1e-6)
        assert found[name].attrs == table.attrs


def test_latitudes_inside_a_region() -> None:
    assert inside((-50.0, 0.0, 50.0), Grid.latlon(18, 36)) == [-50.0, 0.0, 50.0]
    region = Grid.from_centers(
        (np.arange(60.0, 70.0), np.arange(0.0, 12.0)), names=("latitude", "longitude"),
        units=("degrees_north", "degrees_east"), periodic=(False, False), radius=6371.0,
    )  # fmt: skip
    assert inside((-50.0, 0.0, 50.0), region) == [65.0]


def test_a_plane_whose_axes_have_no_common_unit_has_no_distance_bias() -> None:
    grid = Grid.regular((4, 6), units=("m", "km"))
    with pytest.raises(
        ValueError, match="expected one unit for all axes, got m and km: convert the coordinates"
    ):
        make_bias("distance", grid, 2, 1)
    assert torch.equal(make_bias("none", grid, 2, 1).logits(), torch.zeros(2, 24, 24))
