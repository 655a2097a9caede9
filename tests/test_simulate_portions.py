"""Simulations on their way to a file: in portions, in parallel, interrupted and gone on with; drawn coefficients."""

from __future__ import annotations

import pickle
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.config import SimulateConfig
from gridvit.data import simulate_portions
from gridvit.data.fields import load
from gridvit.data.simulate import batches, exact_step, generating_step, prepared, simulate
from gridvit.data.simulate_portions import simulate_to
from gridvit.errors import InputError
from gridvit.physics import EQUATIONS

CONFIG = SimulateConfig("burgers", {"viscosity": 0.05}, (23,), (23.0,), 0.2, 4, 37, 3.0, 5)
DRAWN = {"from": 0.01, "to": 1.0, "log": True}


def contents(path: Path) -> dict[str, bytes]:
    """Every byte of a file or store."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return {str(p.relative_to(path)): p.read_bytes() for p in files}


def interrupted(monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    """Ctrl-C once ``after`` batches are solved."""
    solve, calls = simulate_portions.solve, []

    def until(*arguments: object) -> np.ndarray:
        if len(calls) == after:
            raise KeyboardInterrupt
        calls.append(arguments)
        return solve(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(simulate_portions, "solve", until)


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_file_holds_what_memory_would(tmp_path: Path, suffix: str) -> None:
    reports: list[tuple[int, int]] = []
    path = simulate_to(CONFIG, tmp_path / f"u{suffix}", progress=lambda *report: reports.append(report))
    expected = simulate(CONFIG)
    with xr.open_dataset(path, decode_times=False, engine="zarr" if suffix == ".zarr" else None) as found:
        np.testing.assert_array_equal(found["u"].values, expected["u"].values)
        assert found.attrs == expected.attrs
    assert reports == [(0, 37), (16, 37), (32, 37), (37, 37)]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_gone_on_with_it_is_the_same_to_the_last_bit(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = contents(simulate_to(CONFIG, tmp_path / "whole" / f"u{suffix}"))
    path = tmp_path / "parts" / f"u{suffix}"
    with monkeypatch.context() as patch:
        interrupted(patch, after=2)
        with pytest.raises(KeyboardInterrupt):
            simulate_to(CONFIG, path)
    assert not path.exists()
    reports: list[tuple[int, int]] = []
    with monkeypatch.context() as patch:
        interrupted(patch, after=1)  # no more than the one batch that is missing is solved
        simulate_to(CONFIG, path, progress=lambda *report: reports.append(report))
    assert reports == [(32, 37), (37, 37)]
    assert contents(path) == whole
    assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_two_processes_make_the_same_file(tmp_path: Path) -> None:
    config = SimulateConfig("sphere-diffusion", shape=(8, 16), samples=35, steps=2, cutoff=2.0)
    one = simulate_to(config, tmp_path / "one.nc")
    two = simulate_to(replace(config, workers=2), tmp_path / "two.nc")
    assert contents(one)["."] == contents(two)["."]


def test_a_killed_process_costs_a_portion(tmp_path: Path) -> None:
    """SIGKILL leaves no time to tidy up."""
    path = tmp_path / "u.nc"
    config = SimulateConfig("burgers", shape=(12, 12), steps=40, samples=32, scheme="rk4", cutoff=2.0)
    command = [sys.executable, "-m", "gridvit.cli", "simulate", "burgers", "--out", str(path), "--shape", "[12,12]",
               "--steps", "40", "--samples", "32", "--scheme", "rk4", "--cutoff", "2"]  # fmt: skip
    with subprocess.Popen(command, stderr=subprocess.PIPE) as process:
        until = time.monotonic() + 120
        while not list(tmp_path.glob(".u.nc.parts/*.npy")) and time.monotonic() < until:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    assert not path.exists()
    ready = len(list(tmp_path.glob(".u.nc.parts/*.npy")))
    assert ready >= 1
    reports: list[tuple[int, int]] = []
    simulate_to(config, path, progress=lambda *report: reports.append(report))
    assert reports[0] == (16 * ready, 32)
    expected = simulate(replace(config, samples=16))
    np.testing.assert_array_equal(load(path).values[:16, :, 1], expected["v"].values)


def test_another_simulation_under_the_same_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "u.nc"
    with monkeypatch.context() as patch:
        interrupted(patch, after=1)
        with pytest.raises(KeyboardInterrupt):
            simulate_to(CONFIG, path)
    other = replace(CONFIG, dt=0.1, seed=6)
    sentence = (
        rf"expected the options of the simulation that was interrupted on its way to {path}, got others for dt, "
        "seed: repeat them to go on with it, choose another name, or add --overwrite to begin anew"
    )
    with pytest.raises(InputError, match=sentence):
        simulate_to(other, path)
    simulate_to(other, path, overwrite=True)
    np.testing.assert_array_equal(load(path).values[:, :, 0], simulate(other)["u"].values)
    with pytest.raises(InputError, match="expected an output that does not exist yet"):
        simulate_to(other, path)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_solution_that_blows_up_is_said_and_leaves_nothing(tmp_path: Path, workers: int) -> None:
    config = replace(CONFIG, parameters={"viscosity": 0.001}, dt=50.0, steps=9, substeps=1, workers=workers)
    with pytest.raises(InputError, match="got one that blew up before frame 2: take more substeps"):
        simulate_to(config, tmp_path / "u.nc")
    assert list(tmp_path.iterdir()) == []


def test_a_refusal_survives_the_way_from_another_process() -> None:
    error = InputError("an apple", "a pear", "look again")
    assert str(pickle.loads(pickle.dumps(error))) == str(error) == "expected an apple, got a pear: look again"


def test_large_states_are_solved_a_few_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    config = prepared(SimulateConfig("diffusion", shape=(16, 16), samples=5, steps=1))
    assert batches(config) == [(0, 5)]
    monkeypatch.setattr("gridvit.data.simulate.STATES", 2 * 8 * 16 * 16)  # two states of float64
    assert batches(config) == [(0, 2), (2, 2), (4, 1)]


# --- coefficients drawn for each trajectory


def test_each_trajectory_has_its_own_coefficients(tmp_path: Path) -> None:
    config = replace(CONFIG, parameters={"viscosity": DRAWN}, samples=6)
    ds = simulate(config)
    assert ds["viscosity"].dims == ("sample",)
    assert ds["viscosity"].attrs["long_name"] == "viscosity of burgers"
    values = ds["viscosity"].values
    assert len(set(values)) == 6
    assert ((values >= 0.01) & (values < 1)).all()
    for k in (0, 5):
        alone = replace(
            config, parameters={"viscosity": float(values[k])}, substeps=int(ds.attrs["gridvit_substeps"])
        )
        np.testing.assert_array_equal(simulate(alone)["u"][k], ds["u"][k])
    np.testing.assert_array_equal(simulate(replace(config, samples=3))["viscosity"], values[:3])
    fields = load(simulate_to(config, tmp_path / "u.nc"))
    assert fields.names == ("u",)
    assert generating_step(fields.attrs, fields.grid) is None
    assert exact_step(fields.attrs, fields.grid) is None


def test_draws_are_uniform_or_uniform_in_their_logarithm() -> None:
    from gridvit.data.simulate_drawn import parameters_of

    ranges = {"velocity": {"from": [0.0, -1.0], "to": [2.0, -1.0]}, "diffusivity": DRAWN}
    config = SimulateConfig("advection-diffusion", ranges, seed=3)
    drawn = [parameters_of(config, k) for k in range(2000)]
    velocity = np.array([d["velocity"] for d in drawn])
    power = np.log10([d["diffusivity"] for d in drawn])
    for values in (velocity[:, 0], power + 2):
        np.testing.assert_allclose(
            np.quantile(values, [0, 0.25, 0.5, 0.75, 1]), [0, 0.5, 1, 1.5, 2], atol=0.06
        )
    assert (velocity[:, 1] == -1).all()
    assert abs(np.corrcoef(velocity[:, 0], power)[0, 1]) < 0.07
    ds = simulate(replace(config, shape=(8, 8), samples=3, steps=1, cutoff=2.0))
    assert ds["velocity"].dims == ("sample", "velocity_1")
    np.testing.assert_array_equal(ds["velocity"], velocity[:3])


@pytest.mark.parametrize(
    ("span", "sentence"),
    [
        (
            {"from": 1.0},
            r"expected a range {from: .., to: .., log: true or false} of viscosity, got the keys from: give",
        ),
        ({"from": 1.0, "to": 2.0, "lg": True}, "got the keys from, to, lg: give both ends"),
        (
            {"from": 2.0, "to": 1.0},
            "expected a range of viscosity whose ends ascend, got from 2.0 to 1.0: correct",
        ),
        (
            {"from": 0.0, "to": 1.0, "log": True},
            "expected a range of viscosity whose ends ascend and are positive, got from 0.0 to 1.0: correct its ends",
        ),
    ],
)
def test_bad_ranges_are_refused(span: dict, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        simulate(replace(CONFIG, parameters={"viscosity": span}))


# --- every equation, walls, the sphere


def largest_error(ds: xr.Dataset) -> float:
    """Of the next frame by the step that the file names, of each variable relative to its largest change."""
    fields = load(ds)
    u = torch.from_numpy(fields.values).double()
    step = generating_step(fields.attrs, fields.grid)
    assert step is not None
    assert step.variables == fields.names
    following = step(u[:, :-1].flatten(0, 1)).unflatten(0, u[:, :-1].shape[:2])
    kept = tuple(a for a in range(u.ndim) if a != 2)
    scale = (u[:, 1:] - u[:, :-1]).abs().amax(kept)
    return float(((following - u[:, 1:]).abs().amax(kept) / scale).max())


@pytest.mark.parametrize(
    "equation", sorted(set(EQUATIONS) - {"forced-burgers"})
)  # which is told its force in its own
def test_every_equation_alone_is_enough(equation: str) -> None:
    ds = simulate(SimulateConfig(equation, samples=2, steps=2))
    assert ds.sizes["time"] == 3
    assert largest_error(ds) < 1e-3  # float32 frames of states that change little in a step


@pytest.mark.parametrize("latitudes", ["gaussian", "equal"])
def test_the_sphere_is_a_sphere_in_the_file(latitudes: str, tmp_path: Path) -> None:
    config = SimulateConfig("sphere-shallow-water", shape=(16, 32), steps=2, samples=2, latitudes=latitudes)  # type: ignore[arg-type]
    fields = load(simulate_to(config, tmp_path / "w.nc"))
    assert fields.grid.is_sphere
    assert fields.names == ("u", "v", "height")
    assert fields.dt_seconds == 21600
    assert str(fields.step) == "21600 s"
    with xr.open_dataset(tmp_path / "w.nc", decode_times=False) as ds:
        assert [ds[name].attrs["units"] for name in fields.names] == ["m s-1", "m s-1", "m"]
        assert ds["time"].attrs["units"] == "s"
    assert largest_error(fields.to_dataset()) < 1e-3


def test_walls() -> None:
    """Between cold walls the longest sine decays by 4 D / h^2 sin^2(pi h / 2 L); insulated ones keep the mean."""
    config = SimulateConfig(
        "diffusion", shape=(24,), boundary="dirichlet", steps=5, samples=3, seed=2, cutoff=2.0
    )
    cold = simulate(config)
    assert cold["x"].attrs["periodic"] == "false"
    longest = (cold["u"] * np.sin(np.pi * cold["x"] / 24)).sum("x")
    decay = np.exp(-4 * 0.2 * np.sin(np.pi / 48) ** 2 * cold["time"])
    np.testing.assert_allclose(longest, longest[:, :1].values * decay.values, rtol=1e-5)
    insulated = simulate(replace(config, boundary="neumann"))
    np.testing.assert_allclose(insulated["u"].mean("x"), 0, atol=1e-7)
    for ds in (cold, insulated, simulate(replace(config, equation="burgers", boundary="neumann"))):
        assert largest_error(ds) < 1e-4


def test_a_wall_along_one_axis() -> None:
    walls = ("neumann", "periodic")
    ds = simulate(SimulateConfig("diffusion", shape=(12, 16), boundary=walls, steps=1, samples=1, cutoff=2.0))
    assert [ds[name].attrs["periodic"] for name in ("y", "x")] == ["false", "true"]
    assert largest_error(ds) < 1e-4


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            replace(CONFIG, boundary="periodc"),
            "boundary conditions periodic, dirichlet, neumann, wall, open, got 'periodc'",
        ),
        (
            replace(CONFIG, boundary=("open", "open")),
            "one boundary condition for all axes or 1, got 2",
        ),
        (
            SimulateConfig("sphere-diffusion", shape=(16, 32), lengths=(1.0, 1.0)),
            r"expected rows and columns of a sphere for sphere-diffusion, and neither lengths nor walls, got shape",
        ),
        (
            SimulateConfig("sphere-diffusion", shape=(16,)),
            r"got shape \(16,\), lengths \(\), boundary periodic: give",
        ),
        (
            SimulateConfig("sphere-diffusion", shape=(16, 32), cutoff=11.0),
            "up to 10 degrees of the harmonics",
        ),
        (
            SimulateConfig("diffusion", {"diffusivity": 1.0}, (16,), scheme="rk4", dt=2.0, substeps=1),
            "expected a step of rk4 up to 0.5, where it is stable, got 2: take at least 4 substeps",
        ),
        (
            SimulateConfig("sphere-diffusion", shape=(16, 32), dt=1e7, substeps=1, steps=50),
            # 1.7 (6371008.8 m)^2 / (1e6 m^2/s * 10 * 11)
            r"blew up before frame \d+: take more substeps, or a smaller dt, to get from steps of 1e\+07 to 6.273e\+05",
        ),
    ],
)
def test_bad_input_is_refused(config: SimulateConfig, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        simulate(config)


@pytest.mark.parametrize("field", ["steps", "samples", "workers"])
def test_numbers_below_one_are_refused(field: str) -> None:
    with pytest.raises(InputError, match=f"expected simulate.{field} of at least 1, got 0: correct it"):
        SimulateConfig(**{field: 0})  # type: ignore[arg-type]
