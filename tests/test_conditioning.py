"""Networks that are told coefficients: they start as those that are not, learn what differs, and keep it in files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from attention_data import looked
from test_blocks import CHOICES, SMALL, SPHERE, TORUS, fields

from gridvit.cli import main
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.fields import load, stored
from gridvit.data.roles import channels
from gridvit.data.samples import Windows
from gridvit.data.simulate import simulate
from gridvit.data.stream import Stream
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.grid import Grid
from gridvit.nn import ViT
from gridvit.rollout import Context, rollout
from gridvit.run.cases import Cases
from gridvit.run.solvers import solved
from gridvit.training.plan import plan
from gridvit.training.train import fit

pytestmark = pytest.mark.xdist_group("conditioning")  # one process makes what its tests share
DRAWN = SimulateConfig(
    equation="advection-diffusion",
    parameters={"velocity": {"from": [-1.5], "to": [1.5]}, "diffusivity": {"from": 0.01, "to": 0.1}},
    shape=(20,), dt=1.0, scheme="exact", samples=40, steps=5, cutoff=2.0,
)  # fmt: skip
CONFIG = RunConfig(
    data=DataConfig(
        parameters=("velocity", "diffusivity"), split=Split(train=(0, 30), validate=(30, 35), test=(35, 40))
    ),
    model=ModelConfig(preset="mini", patch=(2,), width=32, depth=2, heads=2),
    training=TrainingConfig(epochs=8, batch_size=15, warmup_steps=10, learning_rate=5e-3, accelerator="cpu"),
)  # fmt: skip


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return simulate(DRAWN)


def network(config: ModelConfig, grid: Grid, conditions: int) -> ViT:
    torch.manual_seed(5)
    made = ViT(
        replace(config, window=7000.0) if config.window and grid.is_sphere else config,
        grid,
        2,
        2,
        conditions=conditions,
    )
    for weight in (made.decode.weight, made.skip.weight):
        torch.nn.init.normal_(weight, std=0.1, generator=torch.Generator().manual_seed(9))
    return made


@pytest.mark.parametrize("config", CHOICES.values(), ids=CHOICES)
@pytest.mark.parametrize("grid", [TORUS, SPHERE], ids=["torus", "sphere"])
def test_starts_as_the_network_that_is_told_nothing(config: ModelConfig, grid: Grid) -> None:
    x = fields(grid)
    told, plain = (network(config, grid, conditions) for conditions in (3, 0))
    assert torch.equal(told(x, condition=torch.randn(2, 3)), plain(x))
    assert "conditioner" not in {name.split(".")[0] for name in plain.state_dict()}


@pytest.mark.parametrize("how", [{}, {"norm": "post"}])
def test_a_block_by_its_formula(how: dict[str, object]) -> None:
    made, x = network(replace(SMALL, depth=1, **how), TORUS, 1), torch.randn(2, 30, 48)
    block = made.blocks[0]
    torch.nn.init.normal_(made.conditioner.blocks[0].weight, std=0.3)
    (first, second), = made.conditioner(torch.randn(2, 1))  # fmt: skip
    found = block(x, told=(first, second))
    for n in range(2):  # the states of a batch are told different things
        (s1, b1, g1), (s2, b2, g2) = first[:, n], second[:, n]
        here = x[n : n + 1]
        if block.post:
            here = block.norm_1(here + (1 + g1) * block.attention((1 + s1) * here + b1))
            here = block.norm_2(here + (1 + g2) * block.mlp((1 + s2) * here + b2))
        else:
            here = here + (1 + g1) * block.attention((1 + s1) * block.norm_1(here) + b1)
            here = here + (1 + g2) * block.mlp((1 + s2) * block.norm_2(here) + b2)
        torch.testing.assert_close(found[n : n + 1], here, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_every_weight_learns_once_it_is_told_something(checkpointing: bool) -> None:
    made, condition = (
        network(replace(SMALL, checkpointing=checkpointing), TORUS, 3),
        torch.randn(2, 3, requires_grad=True),
    )
    for block in made.conditioner.blocks:
        torch.nn.init.normal_(block.weight, std=0.1)
    made(fields(), condition=condition).square().sum().backward()
    for name, weight in (*made.named_parameters(), ("condition", condition)):
        assert weight.grad is not None, name
        assert weight.grad.abs().max() > 0, name


def test_maps_and_statistics_are_those_of_the_state_that_is_told() -> None:
    made, x, condition = network(SMALL, TORUS, 3), fields(), torch.randn(2, 3)
    for block in made.conditioner.blocks:
        torch.nn.init.normal_(block.weight, std=0.5)
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        made(x, lambda _, weights: seen.append(weights) or weights, condition)
    for layer, rows, weights in made.attention_maps(x, 30, condition):
        torch.testing.assert_close(weights, seen[layer][:, :, rows], atol=1e-5, rtol=1e-4)
    found = (looked(made, x, condition=told)["attention_distance"] for told in (condition, -condition))
    assert abs(next(found) - next(found)).max() > 1e-3


def test_a_condition_of_the_wrong_shape_is_refused() -> None:
    made = network(SMALL, TORUS, 3)
    for condition, got in ((None, "none"), (torch.zeros(2, 2), r"shape \(2, 2\)")):
        with pytest.raises(
            InputError, match=f"expected a condition \\(batch, 3\\), got {got}: give one row for each state"
        ):
            made(fields(), condition=condition)


def test_parameters_come_with_their_windows(data: xr.Dataset) -> None:
    found = load(data, CONFIG.data)
    assert found.parameter_names == ("velocity", "diffusivity")
    own = np.stack([data["velocity"].values[:, 0], data["diffusivity"].values], 1)
    np.testing.assert_array_equal(found.parameters, own)
    part = found.select(slice(30, 35), "sample")
    windows = Windows(part)
    batch = windows.__getitems__([0, 4, 5, 24])
    np.testing.assert_array_equal(batch.condition, own[[30, 30, 31, 34]])
    assert Windows(load(data)).__getitems__([0]).condition is None


def test_streamed_windows_have_those_of_their_sample(data: xr.Dataset, tmp_path: Path) -> None:
    data.to_netcdf(tmp_path / "d.nc")
    with xr.open_dataset(tmp_path / "d.nc") as ds:
        whole, held = load(data, CONFIG.data), stored(ds, CONFIG.data)
        count = 0
        for batch in Stream(held, (0, 1), 7, 2**20):
            for frames, own in zip(batch.frames.numpy(), batch.condition.numpy(), strict=True):
                sample, time = np.argwhere((whole.values == frames[0]).all((2, 3)))[0]
                np.testing.assert_array_equal(whole.values[sample, time + 1], frames[1])
                np.testing.assert_array_equal(whole.parameters[sample], own)
                count += 1
        assert count == 40 * 5


def test_a_told_network_learns_what_the_other_cannot(data: xr.Dataset, tmp_path: Path) -> None:
    errors = []
    for names in (CONFIG.data.parameters, ()):
        config = replace(CONFIG, data=replace(CONFIG.data, parameters=names))
        planned = plan(config, load(data, config.data))
        step, test = fit(planned, tmp_path / str(len(names))), planned.parts["test"]
        u = torch.from_numpy(test.array)
        own = None if test.parameters is None else torch.from_numpy(test.parameters).repeat_interleave(5, 0)
        with torch.no_grad():
            found = step(u[:, :-1].flatten(0, 1), Context(torch.zeros(25).double(), None, own))
        truth = u[:, 1:].flatten(0, 1)
        errors.append(float((found - truth).square().mean() / (u[:, 1:] - u[:, :-1]).square().mean()))
    assert errors[0] < 0.1 * errors[1]


def test_the_river_of_a_run_that_is_told(
    data: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    data.to_netcdf("d.nc")
    tiny = [
        "--model.preset",
        "mini",
        "--model.width",
        "24",
        "--model.depth",
        "1",
        "--model.heads",
        "2",
        "--training.epochs",
        "1",
    ]
    told = [
        "--data.parameters",
        "[velocity, diffusivity]",
        "--training.accelerator",
        "cpu",
        "--evaluation.states",
        "2",
    ]
    assert main(["train", "--data.path", "d.nc", "--model.patch", "[2]", *tiny, *told]) == 0
    assert main(["forecast", "runs/run", "d.nc", "--steps", "2", "--init", "first", "--out", "f.nc"]) == 0
    for verb in ("evaluate", "analyse"):
        assert main([verb, "runs/run"]) == 0, capsys.readouterr().err
    forecaster = Forecaster.load("runs/run")
    own = np.stack([data["velocity"].values[:, 0], data["diffusivity"].values], 1)
    statistics = forecaster.step.parameter_statistics.numpy()
    np.testing.assert_allclose(statistics, [own[:28].mean(0), own[:28].std(0)], rtol=1e-6)
    start, times = torch.from_numpy(data["u"].values[:, :1]), torch.zeros(40).double()
    torch.nn.init.normal_(forecaster.step.network.conditioner.blocks[0].weight)
    with torch.no_grad():
        expected = rollout(forecaster.step, start, 2, Context(times, None, torch.from_numpy(own)))[:, 1:, 0]
    out = forecaster(data.isel(time=[0]), steps=2)
    np.testing.assert_allclose(
        out["u"].transpose("sample", "lead", "x", ...).values[..., 0], expected, atol=1e-5
    )
    one = forecaster(data.isel(time=[0], sample=7), steps=2)  # its coefficients are single numbers then
    np.testing.assert_allclose(one["u"].values[0], expected[7], atol=1e-5)
    assert not np.allclose(
        forecaster(data.isel(time=[0]).assign_coords(diffusivity=0.3), steps=2)["u"], out["u"]
    )
    with pytest.raises(InputError, match="expected numbers of each sample among velocity, got 'diffusivity'"):
        forecaster(data.isel(time=[0]).drop_vars("diffusivity"), steps=2)
    with pytest.raises(InputError) as error:
        forecaster.step(start)
    assert str(error.value) == (
        "expected velocity, diffusivity of each state, got none: give them as the condition of the context"
    )


def test_what_cannot_be_told_is_refused(data: xr.Dataset) -> None:
    def said(ds: xr.Dataset, *names: str) -> str:
        with pytest.raises(InputError) as error:
            plan(
                replace(CONFIG, data=replace(CONFIG.data, parameters=names)),
                load(ds, DataConfig(parameters=names)),
            )
        return str(error.value)

    assert said(data, "difusivity") == (
        "expected numbers of each sample among diffusivity, velocity, got 'difusivity': did you mean 'diffusivity'?"
    )
    assert said(data, "u") == (
        "expected numbers of each sample among diffusivity, velocity, got 'u': correct data.parameters"
    )
    assert said(data.drop_vars(["velocity", "diffusivity"]), "nu") == (
        "expected numbers of each sample among none, which this file has, got 'nu': correct data.parameters"
    )
    assert said(data.assign_coords(diffusivity=0.3), "diffusivity") == (
        "expected data.parameters that vary over the samples of the training part, "
        "got 'diffusivity', which is 0.3 in all: leave it out"
    )
    holes = data.assign_coords(diffusivity=data["diffusivity"].where(data["sample"] > 3))
    assert said(holes, "diffusivity") == (
        "expected a value of 'diffusivity' in every sample, got missing ones: leave those samples out"
    )


def test_solvers_know_the_coefficients_of_each_trajectory(
    data: xr.Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    read = load(data, CONFIG.data)
    cases = Cases.of(read, (1, 3), channels(read.variables, read.statics, CONFIG.data))
    found, truth = solved(cases, 1), cases.truth
    np.testing.assert_allclose(found["exact"](cases), truth, atol=3e-6)
    some = cases.take(np.array([7, 2]))
    np.testing.assert_allclose(found["exact"](some), truth[[7, 2]], atol=3e-6)
    assert np.abs(truth[1:] - truth[:-1]).max() > 0.1

    half = replace(CONFIG.data, parameters=("velocity",))
    read = load(data, half)
    with caplog.at_level("INFO", "gridvit"):
        assert solved(Cases.of(read, (1,), channels(read.variables, read.statics, half)), 1) == {}
    assert caplog.messages[-1] == (
        "left out the solver: each trajectory has its own diffusivity, not in data.parameters"
    )
