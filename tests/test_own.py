"""A network of one's own in the place of gridvit's: the whole river with a small CNN."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor, nn

import gridvit
from gridvit.channels import Channels
from gridvit.cli import main
from gridvit.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    RunConfig,
    SimulateConfig,
    TrainingConfig,
)
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep

pytestmark = pytest.mark.xdist_group("own")  # one process makes what its tests share
CNN = '''
"""Two circular convolutions."""
from torch import nn


class Cnn(nn.Sequential):
    def __init__(self, inputs, outputs, grid):
        assert grid.shape == (7, 11)
        first = nn.Conv2d(inputs, 8, 3, padding=1, padding_mode="circular")
        last = nn.Conv2d(8, outputs, 3, padding=1, padding_mode="circular")
        super().__init__(first, nn.GELU(), last)
'''
NAME = "circular_cnn:Cnn"
TORUS = Grid.regular((7, 11))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, a module, and a run trained with it by the command line."""
    made = tmp_path_factory.mktemp("own")
    equation = SimulateConfig(
        parameters={"velocity": [0.4, 0.2], "diffusivity": 0.05}, shape=(7, 11), steps=6, samples=10,
        cutoff=2.0, scheme="upwind",
    )  # fmt: skip
    gridvit.simulate(equation, made / "data.nc")
    (made / "circular_cnn.py").write_text(CNN)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(made)
        patch.syspath_prepend(made)
        options = ["--model.patch", "[1,1]", "--training.epochs", "10", "--training.learning_rate", "2e-2",
                   "--training.accelerator", "cpu", "--evaluation.leads", "2", "--evaluation.states", "2",
                   "--evaluation.solver_cases", "0"]  # fmt: skip
        assert main(["train", "--data.path", "data.nc", "--network", NAME, *options]) == 0
    return made


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    return capsys.readouterr().err.strip()


def test_the_river(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(folder)
    assert main(["evaluate", "runs/run", "--network", NAME]) == 0
    with xr.open_dataset("runs/run/scores.nc", decode_timedelta=False) as scores:
        error = scores["nrmse"].isel(lead=0, variable=0)
        assert error.sel(model="emulator") < 0.5 * error.sel(model="persistence")
    assert main(["analyse", "runs/run", "--network", NAME]) == 0
    with xr.open_dataset("runs/run/analysis.nc") as found:
        assert "attention_distance" not in found
        both = found["velocity"].sel(scheme=["emulator", "upwind"])
        np.testing.assert_allclose(both[0], both[1], atol=0.1)  # as far as the waves of the data tell
    assert main(["forecast", "runs/run", "data.nc", "--out", "f.nc", "--steps", "2", "--network", NAME]) == 0
    assert main(["report", "runs/run"]) == 0
    capsys.readouterr()
    sentence = refused(capsys, "evaluate", "runs/run")
    assert sentence == (
        "gridvit: expected the network that this run was made with, as model.kind is own, got none: "
        "give it as model=... in Python, or --network package.module:factory"
    )


def test_in_python(folder: Path) -> None:
    def factory(inputs: int, outputs: int, grid: Grid) -> nn.Module:
        first = nn.Conv2d(inputs, 8, 3, padding=1, padding_mode="circular")
        last = nn.Conv2d(8, outputs, 3, padding=1, padding_mode="circular")
        return nn.Sequential(first, nn.GELU(), last)

    ds = xr.open_dataset(folder / "data.nc")
    forecaster = gridvit.Forecaster.load(folder / "runs/run", factory)
    again = gridvit.Forecaster.load(folder / "runs/run", factory(1, 1, TORUS))
    xr.testing.assert_equal(forecaster(ds, 2), again(ds, 2))
    with pytest.raises(InputError) as error:
        forecaster.attention(ds.isel(time=[0]))
    assert str(error.value) == (
        "expected a network with attention, got one of your own: ask for what needs none, such as probe"
    )
    with pytest.raises(InputError, match="^expected the network that this run was made with, got another"):
        gridvit.Forecaster.load(folder / "runs/run", nn.Conv2d(1, 1, 1))
    config = RunConfig(
        root=str(folder), name="module", data=DataConfig(), model=ModelConfig(preset="mini", patch=(1, 1)),
        training=TrainingConfig(epochs=1, accelerator="cpu"), evaluation=EvaluationConfig(leads=1),
    )  # fmt: skip
    made = factory(1, 1, TORUS)
    before = made[0].weight.detach().clone()
    path = gridvit.train(config, ds, model=made)
    assert not torch.equal(made[0].weight, before)
    one = gridvit.evaluate(path, ds, model=made)
    assert "emulator" in one["model"].values
    ds.close()


class Count(nn.Module):
    """Counts what it has seen in training, as batch norms do; of one channel too many."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += self.training
        return torch.cat([x, x], 1)


class Labelled(nn.Conv2d):
    """Adds how it was made to its state, as operators of neuraloperator do."""

    def state_dict(self, *args: object, **kwargs: object) -> dict[str, object]:
        return {**super().state_dict(*args, **kwargs), "_metadata": {"size": 1}}


def step(network: object, config: ModelConfig | None = None) -> ModelStep:
    own = replace(config or ModelConfig(preset="mini", patch=(1, 1)), kind="own")
    numbers = torch.zeros(1), torch.ones(1), torch.ones(1)
    return ModelStep(own, TORUS, Channels(("u",)), 1.0, *numbers, network=network)


def test_a_network_of_another_signature_is_refused() -> None:
    wanted = "expected a network from (batch, 1, 7, 11) to (batch, 1, 7, 11), got"
    counted = Count()
    for network, sentence in (
        (counted, f"{wanted} one to (batch, 2, 7, 11): correct its shapes"),
        (
            nn.Conv2d(1, 1, 3),
            f"{wanted} one to (batch, 1, 5, 9): correct its shapes",
        ),
        (
            lambda inputs, outputs: nn.Conv2d(inputs, outputs, 1),
            "expected a factory of a network that takes inputs, outputs and grid, got one that does not "
            "(too many positional arguments): give it these three arguments",
        ),
        (
            Labelled(1, 1, 1),
            "expected a network whose state_dict() holds tensors alone, got one with '_metadata', a dict: "
            "wrap it, e.g. hold its parts in a ModuleDict and the network itself in a tuple",
        ),
        (lambda *_: 3, "expected a torch.nn.Module, got int: let the factory return one"),
    ):
        with pytest.raises(InputError) as error:
            step(network)
        assert str(error.value) == sentence
    assert (counted.seen, counted.training) == (0, True)
    with pytest.raises(InputError, match=r"^expected a network .* got one that fails there \(Given groups=1"):
        step(nn.Conv2d(2, 1, 3))
    with pytest.raises(InputError, match=r"^expected latitude and longitude for model.features, got a plane"):
        step(nn.Conv2d(3, 1, 1), ModelConfig(preset="mini", patch=(1, 1), features=("longitude",)))


def test_the_step_is_that_of_the_network() -> None:
    made = step(nn.Conv2d(1, 1, 3, padding=1, padding_mode="circular"))
    u = torch.randn(3, 1, 7, 11)
    torch.testing.assert_close(made(u), u + made.network.network(u))
    assert made.period == (1, 1)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("cnn", "got 'cnn': name the module, a colon, and what makes the network in it"),
        ("math:nothing", "got 'math:nothing' (no 'nothing' in math): correct the name"),
        (
            "no_such_module_here:net",
            "got 'no_such_module_here:net' (No module named 'no_such_module_here'): "
            "run it from the folder of the module, or install it",
        ),
    ],
)
def test_names_of_networks(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, name: str, sentence: str
) -> None:
    found = refused(capsys, "evaluate", str(tmp_path), "--network", name)
    assert found == f"gridvit: expected --network like package.module:factory, {sentence}"
