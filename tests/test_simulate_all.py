"""Every equation by its name alone: a file that is usable, and whose solver makes its next frame."""

from __future__ import annotations

from dataclasses import MISSING, fields, replace
from math import ceil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.cli import main
from gridvit.config import SimulateConfig
from gridvit.data.fields import load
from gridvit.data.simulate import generating_step, prepared, simulate
from gridvit.errors import InputError
from gridvit.physics import EQUATIONS, METHODS, Semilinear, equation_from, good_of
from gridvit.rollout import Context


@pytest.mark.parametrize("name", EQUATIONS)
def test_a_name_gives_a_usable_file(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "u.nc"
    assert main(["simulate", name, "--samples", "2", "--steps", "3", "--out", str(path)]) == 0
    capsys.readouterr()
    assert main(["check", str(path)]) == 0
    assert "usable" in capsys.readouterr().out
    with xr.open_dataset(path, decode_times=False) as ds:
        assert all(
            ds[variable].attrs["units"] for variable in (*ds.data_vars, *ds.dims) if variable != "sample"
        )
    found = load(path)
    step = generating_step(found.attrs, found.grid)
    assert step is not None
    u, force = torch.from_numpy(found.values).double().tensor_split([len(step.variables)], 2)
    before, after = u[:, :-1].flatten(0, 1), u[:, 1:].flatten(0, 1)
    context = Context(torch.zeros(6), torch.stack([force[:, :-1], force[:, 1:]], 2).flatten(0, 1))
    space = (0, *range(2, after.ndim))
    miss, size = ((after - by).abs().amax(space) for by in (step(before, context), torch.zeros_like(after)))
    assert (miss <= 1e-5 * size).all()
    assert ((after - before).abs().amax(space) > 1e-4 * size).any()  # a step that does nothing would miss
    assert (u[0] != u[1]).any()


def test_coefficients_without_defaults_have_good_values_cut_to_the_axes() -> None:
    for kind in EQUATIONS.values():
        own = {field.name for field in fields(kind)}
        wanted = {field.name for field in fields(kind) if field.default is MISSING}
        assert wanted <= set(good_of(kind).parameters) <= own, kind
    config = prepared(SimulateConfig("advection", shape=(16, 12)))
    assert config.parameters == {"velocity": [0.5, 0.25]}
    config = prepared(SimulateConfig("advection-diffusion", {"velocity": [1.0]}, shape=(16,)))
    assert config.parameters == {"velocity": [1.0], "diffusivity": 0.05}


@pytest.mark.parametrize("method", METHODS)
def test_every_method_solves_and_is_known_from_the_file(method: str) -> None:
    ds = simulate(SimulateConfig("allen-cahn", shape=(12, 14), samples=1, steps=2, scheme=method, cutoff=2.0))
    found = load(ds)
    step = generating_step(found.attrs, found.grid)
    assert step is not None
    u = torch.from_numpy(found.values).double()
    torch.testing.assert_close(step(u[:, 1]), u[:, 2], rtol=0, atol=2e-6)


def test_substeps_of_stiff_methods_are_limited_by_what_is_not_linear() -> None:
    # rate r (3 u^2 - 1) = 0.5 * (3 * 1.5^2 - 1) = 2.875; D plays no part
    config = SimulateConfig("allen-cahn", {"diffusivity": 100.0}, shape=(12, 14), dt=4.0, scheme="etdrk4")
    assert prepared(config).substeps == 12
    linear = SimulateConfig("diffusion", {"diffusivity": 100.0}, (12,), dt=4.0, scheme="etdrk4")
    assert prepared(linear).substeps == 1


@pytest.mark.parametrize("name", ["dam-break", "shallow-water"])
def test_water_between_walls_stays(name: str) -> None:
    ds = simulate(SimulateConfig(name, shape=(20, 22), boundary="wall", samples=2, steps=4))
    found = load(ds)
    assert found.grid.periodic == (False, False)
    water = ds[next(iter(ds.data_vars))].sum(("y", "x"), dtype="f8")
    assert float(abs(water - water[:, :1].values).max()) < 1e-3  # rounding of 440 cells in float32
    step = generating_step(found.attrs, found.grid)
    assert step is not None
    u = torch.from_numpy(found.values).double()
    torch.testing.assert_close(step(u[:, 3]), u[:, 4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", [n for n, kind in EQUATIONS.items() if not issubclass(kind, Semilinear)])
def test_stiff_methods_want_a_linear_part(name: str) -> None:
    kind = type(equation_from(name, {})).__name__
    sentence = (
        f"expected an equation with a linear part for etdrk4, ars222, ars443, got {kind}: take an explicit"
    )
    with pytest.raises(InputError, match=sentence):
        prepared(SimulateConfig(name, scheme="etdrk4"))


# The largest step by hand: 1 / (fastest rate of the linear part / 1.7 + that of the rest).
H = 2 * np.pi / 64
EXPLICIT = {
    # beta |d^3| is at most (3 sqrt(3) / 2) beta / h^3, and N's rate 2 * 3 / h with h = 2 / 256
    "korteweg-de-vries": ({}, 0.02, 1.5 * 3**0.5 * 0.022**2 * 128**3 / 1.7 + 6 * 128),
    "kuramoto-sivashinsky": ({}, 1.0, (16 / 0.78125**4 - 4 / 0.78125**2) / 1.7 + 6 / 0.78125),
    "gray-scott": ({}, 20.0, (8 * 0.16 + 0.035) / 1.7 + 3),
    "vorticity": ({"viscosity": 1.0}, 0.1, 8 / H**2 / 1.7 + 2 * 2 * 4 / H),
}


@pytest.mark.parametrize("name", EXPLICIT)
def test_an_explicit_step_that_is_certainly_unstable_is_refused_before_it_is_taken(name: str) -> None:
    parameters, dt, rate = EXPLICIT[name]
    config = SimulateConfig(name, parameters, scheme="rk4", substeps=1, samples=1, steps=3)
    enough = ceil(dt * rate)
    sentence = (
        f"expected a step of rk4 up to {1 / rate:.4g}, where it is stable, got {dt:g}: "
        f"take at least {enough} substeps"
    )
    with pytest.raises(InputError) as error:
        prepared(config)
    assert str(error.value) == sentence
    simulate(replace(config, substeps=enough))  # does not blow up


def test_substeps_that_are_asked_for_are_enough_for_methods_that_let_waves_grow() -> None:
    """Heun's method: a wave grows by z^4 / 8 in a step, so that 1.7 / rate is far from enough."""
    config = SimulateConfig("wave", scheme="heun", substeps=1, samples=1, steps=100)
    with pytest.raises(InputError, match=r"take at least (\d+) substeps") as error:
        prepared(config)
    enough = int(str(error.value).split()[-2])
    assert enough > 4  # 2 sqrt(8) / 1.7
    largest = float(abs(simulate(replace(config, substeps=enough))["u"]).max())
    assert largest < 10
