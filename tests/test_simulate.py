"""Trajectories against the solution worked out in Fourier space, and files that come whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.config import SimulateConfig
from gridvit.data.fields import load
from gridvit.data.simulate import exact_step, generating_step, simulate
from gridvit.data.simulate_files import refuse_existing, write
from gridvit.data.simulate_steps import Substeps
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.rollout import Step, rollout

LINEAR = SimulateConfig(
    equation="advection-diffusion",
    parameters={"velocity": [0.3, -0.2], "diffusivity": [0.05, 0.02]},
    shape=(7, 10),
    lengths=(7.0, 5.0),
    dt=0.4,
    steps=5,
    samples=3,
    cutoff=2.0,
    seed=11,
)
BURGERS = SimulateConfig("burgers", {"viscosity": 0.05}, (23,), (23.0,), 0.2, 4, 2, 3.0, 5)


def frames(ds: xr.Dataset) -> torch.Tensor:
    return torch.from_numpy(load(ds).values)


def largest_error(ds: xr.Dataset, step: Step) -> float:
    """Of the next frame, from every frame, relative to the largest value."""
    u = frames(ds).double()
    following = step(u[:, :-1].flatten(0, 1)).unflatten(0, u[:, :-1].shape[:2])
    return float((following - u[:, 1:]).abs().max() / u.abs().max())


def test_the_exact_solution_by_hand() -> None:
    """Each mode turns by -a.k t and decays by k.D k t; the even axis' shortest wave is left out."""
    ds = simulate(LINEAR)
    u = ds["u"].values.astype(np.float64)
    ky, kx = np.meshgrid(
        2 * np.pi * np.fft.fftfreq(7, 1.0), 2 * np.pi * np.fft.fftfreq(10, 0.5), indexing="ij"
    )
    for n in range(6):
        t = 0.4 * n
        factor = np.exp(-1j * t * (0.3 * ky - 0.2 * kx) - t * (0.05 * ky**2 + 0.02 * kx**2))
        start = np.fft.fft2(u[:, 0])
        start[..., 5] = 0  # the shortest wave of 10 cells, whose phase a grid cannot say
        expected = np.fft.ifft2(factor * start).real
        found = np.fft.fft2(u[:, n])
        found[..., 5] = 0
        np.testing.assert_allclose(np.fft.ifft2(found).real, expected, atol=2e-6)


@pytest.mark.parametrize(
    "config",
    [
        LINEAR,
        replace(LINEAR, scheme="lax-wendroff"),
        replace(LINEAR, scheme="upwind", substeps=3),
        replace(LINEAR, scheme="crank-nicolson", substeps=2),
        replace(LINEAR, scheme="rk4", substeps=2),
        replace(
            LINEAR, shape=(11,), lengths=(), parameters={"velocity": 0.7, "diffusivity": 0.1}, scheme="btcs"
        ),
        BURGERS,
        replace(BURGERS, shape=(6, 11), lengths=(6.0, 11.0), cutoff=2.0, scheme="rk4", substeps=2),
    ],
    ids=lambda c: f"{c.equation}-{c.scheme}-{len(c.shape)}d",
)
@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_the_scheme_rebuilt_from_the_file_makes_the_next_frame(
    config: SimulateConfig, suffix: str, tmp_path: Path
) -> None:
    path = write(simulate(config), tmp_path / f"u{suffix}")
    fields = load(path)
    assert fields.values.shape == (config.samples, config.steps + 1, len(fields.names), *config.shape)
    assert fields.dt_seconds == pytest.approx(config.dt)
    assert all(fields.grid.periodic)
    ds = fields.to_dataset()
    step = generating_step(fields.attrs, fields.grid)
    assert step is not None
    assert step.dt == pytest.approx(config.dt)
    assert 0 < largest_error(ds, step) < 5e-7
    twice = generating_step(fields.attrs, fields.grid, stride=2)
    assert twice is not None
    assert largest_error(ds.isel(time=slice(None, None, 2)), twice) < 1e-6


def test_a_wrong_step_is_seen() -> None:
    """The check above can fail: another scheme, and the scheme of another stride, miss by far more."""
    ds = simulate(replace(LINEAR, scheme="upwind"))
    grid = load(ds).grid
    assert largest_error(ds, generating_step({**ds.attrs, "gridvit_scheme": "ftcs"}, grid)) > 1e-2  # type: ignore[arg-type]
    assert largest_error(ds, generating_step(ds.attrs, grid, stride=2)) > 1e-2  # type: ignore[arg-type]


def test_the_exact_step_is_known_for_linear_equations_alone() -> None:
    ds = simulate(replace(LINEAR, scheme="exact", substeps=2, shape=(7, 9)))  # odd: no wave is its own alias
    grid = load(ds).grid
    exact = exact_step(ds.attrs, grid)
    assert exact is not None
    assert largest_error(ds, exact) < 5e-7  # substeps do not matter to it
    assert exact_step(ds.attrs, grid, stride=3).dt == pytest.approx(1.2)  # type: ignore[union-attr]
    burgers = simulate(BURGERS)
    assert exact_step(burgers.attrs, load(burgers).grid) is None


def test_files_of_others_have_no_generating_step() -> None:
    grid = Grid.regular((5,))
    assert generating_step({"title": "ERA5"}, grid) is None
    assert exact_step({}, grid) is None


def test_another_grid_has_no_generating_step() -> None:
    """Every second column, walls where there were none, half of the domain: other problems."""
    ds = simulate(LINEAR)
    grid = Grid.regular((7, 10), (7.0, 5.0))
    assert generating_step(ds.attrs, grid) is not None
    for other in (
        Grid.regular((7, 5), (7.0, 5.0)),
        Grid.regular((7, 10), (7.0, 5.0), periodic=(False, True)),
        Grid.regular((7, 10), (7.0, 2.5)),
    ):
        assert generating_step(ds.attrs, other) is None
        assert exact_step(ds.attrs, other) is None


def test_substeps_know_symbol_and_stencil() -> None:
    ds = simulate(replace(LINEAR, scheme="upwind", substeps=3))
    step = generating_step(ds.attrs, load(ds).grid)
    assert isinstance(step, Substeps)
    theta = np.array([[0.3, -0.7], [1.1, 2.0]])
    np.testing.assert_allclose(step.symbol(theta), step.scheme.symbol(theta) ** 3, rtol=1e-12)
    np.testing.assert_allclose(step.stencil().symbol(theta), step.symbol(theta), rtol=1e-12)
    u = frames(ds).double()[:, 0]
    expected = rollout(step.scheme, u, 3)[:, -1]
    torch.testing.assert_close(step(u), expected, rtol=0, atol=0)


def test_the_dataset_speaks_cf_and_repeats_itself() -> None:
    ds = simulate(LINEAR)
    assert ds["u"].dims == ("sample", "time", "y", "x")
    assert ds["u"].dtype == np.float32
    assert ds.attrs["Conventions"] == "CF-1.11"
    assert (ds["x"].attrs["axis"], ds["y"].attrs["axis"], ds["time"].attrs["axis"]) == ("X", "Y", "T")
    assert ds["x"].attrs["periodic"] == "true"
    np.testing.assert_allclose(ds["x"], 0.25 + 0.5 * np.arange(10))
    np.testing.assert_allclose(ds["time"], 0.4 * np.arange(6))
    xr.testing.assert_identical(ds, simulate(LINEAR))
    more = simulate(replace(LINEAR, samples=19))
    np.testing.assert_array_equal(more["u"][:3], ds["u"])
    assert not np.array_equal(simulate(replace(LINEAR, seed=12))["u"], ds["u"])


@pytest.mark.parametrize(
    ("config", "sentence"),
    [
        (
            replace(LINEAR, equation="advection-difusion"),
            "got 'advection-difusion': use 'advection-diffusion'",
        ),
        (
            replace(LINEAR, parameters={"velocity": 1.0, "speed": 2}),
            "expected one of the advection-diffusion parameters velocity, diffusivity, got 'speed'",
        ),
        (replace(LINEAR, scheme="laxwendroff"), "got 'laxwendroff': use 'lax-wendroff'"),
        (
            replace(LINEAR, scheme="upwind", dt=10.0, substeps=1),
            # 1 / (0.3 / 1 + 0.2 / 0.5 + 2 * 0.05 / 1^2 + 2 * 0.02 / 0.5^2)
            "expected a step of upwind up to 1.042, where it is stable, got 10: take at least 10 substeps",
        ),
        (
            replace(LINEAR, equation="advection", parameters={"velocity": [1.0, 0.0]}, scheme="ftcs"),
            "a step of ftcs up to 0, where it is stable, got 0.4: choose another scheme",
        ),
        (
            replace(BURGERS, parameters={"viscosity": 0.001}, dt=50.0, steps=9, substeps=1),
            # 1 / (4 / 1 + 2 * 0.001 / 1^2), where |u| is at most four standard deviations; viscosity alone allows it
            "a solution that stays finite, got one that blew up before frame 2: take more substeps, or a "
            "smaller dt, to get from steps of 50 to 0.2499 or less",
        ),
        (replace(LINEAR, cutoff=5.0), "up to 3.5 cycles per domain"),
    ],
)
def test_bad_simulations_are_refused(config: SimulateConfig, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        simulate(config)


@pytest.mark.parametrize("equation", ["advection", "diffusion", "advection-diffusion", "burgers"])
@pytest.mark.parametrize("shape", [(24,), (8, 12)])
def test_an_equation_alone_is_enough(equation: str, shape: tuple[int, ...]) -> None:
    ds = simulate(SimulateConfig(equation=equation, shape=shape, steps=3, samples=2, cutoff=2.0))
    first, second = ds["u"].isel(time=0), ds["u"].isel(time=1)
    assert 0.01 < float(((second - first) ** 2).mean() ** 0.5) < 1  # something moves, and nothing blows up


def test_substeps_are_as_few_as_are_stable() -> None:
    # upwind at a = 2, h = 1, D = 0 is stable up to dt = 1 / 2
    config = SimulateConfig(equation="advection", parameters={"velocity": [2.0]}, shape=(24,), scheme="upwind",
                            steps=1, samples=1, cutoff=2.0)  # fmt: skip
    for dt, substeps in ((0.5, 1), (0.51, 2), (1.0, 2), (2.6, 6)):
        assert simulate(replace(config, dt=dt)).attrs["gridvit_substeps"] == substeps


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_existing_output_is_refused_and_overwritten_when_asked(tmp_path: Path, suffix: str) -> None:
    one, other = simulate(LINEAR), simulate(replace(LINEAR, seed=3))
    path = write(one, tmp_path / "deep" / f"u{suffix}")
    with pytest.raises(
        InputError, match=r"expected an output that does not exist yet, got .*u\..*: choose another name"
    ):
        write(other, path)
    np.testing.assert_array_equal(load(path).values, load(one).values)
    write(other, path, overwrite=True)
    np.testing.assert_array_equal(load(path).values, load(other).values)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
@pytest.mark.parametrize("there", [True, False])
def test_a_write_that_fails_leaves_what_was_there(
    tmp_path: Path, suffix: str, there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, ds = tmp_path / f"u{suffix}", simulate(LINEAR)
    if there:
        write(ds, path)

    def broken(self: xr.Dataset, temporary: Path, **options: object) -> None:
        del self, options
        temporary.mkdir() if suffix == ".zarr" else temporary.write_bytes(b"CDF\x01 half of it")
        raise OSError("disk full")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", broken)
    monkeypatch.setattr(xr.Dataset, "to_zarr", broken)
    with pytest.raises(OSError, match="disk full"):
        write(ds, path, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ([path.name] if there else [])
    if there:
        np.testing.assert_array_equal(load(path).values, load(ds).values)


def test_an_unknown_suffix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"an output ending in .nc, .nc4, .cdf or .zarr, got .*u.csv: choose one"
    ):
        refuse_existing(tmp_path / "u.csv")
