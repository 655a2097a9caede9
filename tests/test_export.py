"""Exported graphs: every family and shape of step, checked against the model, and never written wrong."""

from __future__ import annotations

import logging
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import jaxtyping
import numpy as np
import pytest
import torch
import xarray as xr

import gridvit
from gridvit.channels import Channels
from gridvit.cli import main
from gridvit.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, TrainingConfig
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.run.export import LARGEST_ERROR, write

TORUS, SPHERE = Grid.regular((6, 10), (3.0, 5.0)), Grid.latlon(7, 12, poles=True)
pytestmark = pytest.mark.xdist_group("export")  # one process makes what its tests share
WALLS = Grid.regular((7, 11), periodic=(False, False))
SIZE = {"width": 40, "depth": 1, "heads": 2}
CASES = {
    "torus": (TORUS, {"patch": (2, 2)}, {}),
    "torus, fourier": (TORUS, {"patch": (2, 2), "bias": "fourier", "harmonics": 1}, {}),
    "torus, linear": (TORUS, {"patch": (2, 2), "bias": "linear"}, {}),
    "torus, radial": (TORUS, {"patch": (2, 2), "bias": "radial", "registers": 1, "qk_norm": True}, {}),
    "torus, none": (TORUS, {"patch": (2, 2), "bias": "none", "norm": "post"}, {}),
    "torus, window": (TORUS, {"patch": (1, 1), "window": 1.1, "registers": 2}, {}),
    "torus, history": (TORUS, {"patch": (2, 2)}, {"history": 2, "diagnostic": ("c",)}),
    "walls, gaussian": (WALLS, {"patch": (2, 3), "bias": "gaussian"}, {}),
    "sphere, harmonics, gaps": (SPHERE, {"patch": (2, 3), "bias": "harmonics"}, {"gaps": True}),
    "sphere, gaussian": (
        SPHERE,
        {"patch": (2, 3), "bias": "gaussian"},
        {"index": ("c",), "diagnostic": ("c",)},
    ),
    "sphere, window, gaps": (SPHERE, {"patch": (1, 2), "window": 7000.0}, {"gaps": True}),
}


def made(grid: Grid, config: dict, more: dict) -> tuple[ModelStep, torch.Tensor]:
    """A step with random weights everywhere, and states with gaps where it knows them."""
    torch.manual_seed(3)
    gaps = more.get("gaps", False)
    channels = Channels(("a", "b"), **{key: value for key, value in more.items() if key != "gaps"})
    count = len(channels.frame)
    presence = torch.rand(count, *grid.shape)
    presence[:, 0, :3] = 0
    numbers = torch.randn(count), torch.rand(count) + 1, torch.rand(1, count) + 0.5
    step = ModelStep(
        ModelConfig(preset="mini", **SIZE, **config),
        grid,
        channels,
        1.0,
        *numbers,
        presence=presence if gaps else None,
    ).eval()
    for weight in (step.network.decode.weight, step.network.skip.weight):
        torch.nn.init.normal_(weight, std=0.1)
    state = torch.randn(3, len(channels.state), *grid.shape)
    if gaps:
        state[torch.rand(state.shape) < 0.2] = torch.nan
        state[..., 0, :3] = torch.nan
    return step, state


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_graphs_are_the_model(case: tuple, tmp_path: Path) -> None:
    step, state = made(*case)
    path = tmp_path / "step.pt2"
    assert write(step, {"state": state}, path) <= 1e-6
    other = torch.cat([state, state.flip(0)])[:5]
    loaded = torch.export.load(path).module()
    torch.testing.assert_close(loaded(state=other), step(other), equal_nan=True)


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs the extra onnx")
@pytest.mark.parametrize("name", ["torus, history", "sphere, window, gaps"])
def test_onnx_is_the_model(name: str, tmp_path: Path) -> None:
    step, state = made(*CASES[name])
    assert write(step, {"state": state}, tmp_path / "step.onnx") < LARGEST_ERROR / 3


def test_compiled_without_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # the checks of types cannot be traced
    step, state = made(*CASES["torus"])  # as traced; the C++ of it takes half a minute to compile
    compiled = torch.compile(step, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(state), step(state))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, xr.Dataset]:
    """A model with land, swaths, a forcing and the time of day."""
    rng = np.random.default_rng(11)
    values = 5 + rng.standard_normal((2, 23, 7, 10)).cumsum(1).astype("f4")
    values[:, :, :3, :5] = np.nan
    values[0, np.arange(23), :, np.arange(23) * 3 % 10] = np.nan
    ds = xr.Dataset(
        {
            name: (("time", "lat", "lon"), field, {"units": "K"})
            for name, field in zip("tf", values, strict=True)
        },
        {
            "time": np.datetime64("2001-02-03", "ns") + np.arange(23) * np.timedelta64(6, "h"),
            "lat": ("lat", np.linspace(-60, 60, 7), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(10) * 36.0, {"units": "degrees_east"}),
        },
    )
    folder = tmp_path_factory.mktemp("export")
    config = RunConfig(
        root=str(folder),
        data=DataConfig(path=str(folder / "data.nc"), variables=("t",), forcings=("f",)),
        model=ModelConfig(preset="mini", patch=(3, 5), features=("local_time",), **SIZE),
        training=TrainingConfig(epochs=2, learning_rate=1e-2, accelerator="cpu"),
        evaluation=EvaluationConfig(leads=1, states=2),
    )
    ds.to_netcdf(folder / "data.nc")
    return gridvit.train(config), ds


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs the extra onnx")
def test_of_a_run_with_gaps_a_forcing_and_time(
    run: tuple[Path, xr.Dataset],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    import onnxruntime

    caplog.set_level(logging.INFO, "gridvit")
    target = tmp_path / "new" / "step.onnx"
    assert main(["export", str(run[0]), "--to", str(target)]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    assert "standard deviations of the model at states of the test part" in caplog.text
    session = onnxruntime.InferenceSession(target)
    assert [entry.name for entry in session.get_inputs()] == ["state", "known", "time"]
    forecaster, ds = gridvit.Forecaster.load(run[0]), run[1]
    wanted = forecaster(ds.isel(time=[4]), 1, ds)["t"].values[0, 0]
    fields = np.stack([ds["t"].values[4:5], ds["f"].values[4:5]], 1)
    given = {
        "state": fields[:, :1],
        "known": np.stack([fields[:, 1:], ds["f"].values[None, 5:6]], 1),
        "time": ds["time"].values[4:5].astype("datetime64[s]").astype(float),
    }
    assert {name: value.ndim for name, value in given.items()} == {"state": 4, "known": 5, "time": 1}
    found = session.run(None, {**given, "known": given["known"].reshape(1, 2, 1, 7, 10)})[0]
    np.testing.assert_allclose(found[0, 0], wanted, atol=1e-4)
    assert np.isnan(wanted).sum() == 15


def test_refusals(run: tuple[Path, xr.Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, module = tmp_path / "step.pt2", import_module("gridvit.run.export")

    def sentence(to: Path = target, **how: object) -> str:
        with pytest.raises(InputError) as error:
            gridvit.export(run[0], to, **how)
        return str(error.value)

    assert sentence(tmp_path / "step.pth") == (
        f"expected a file ending in .onnx or .pt2, got {tmp_path / 'step.pth'}: choose one of them"
    )
    assert sentence(batch=-1) == (
        "expected --batch of at least 0, got -1: correct it, or leave it out for any number"
    )
    with monkeypatch.context() as patch:
        patch.setattr(module, "LARGEST_ERROR", -1.0)
        assert sentence().startswith("expected a graph within -1 standard deviations of the model, got ")
        assert list(tmp_path.iterdir()) == []
        patch.setattr(module, "find_spec", lambda name: None)
        assert sentence(tmp_path / "step.onnx") == (
            "expected the packages onnx, onnxscript, onnxruntime to write .onnx, got no onnx: "
            "pip install 'gridvit[onnx]', or write a .pt2 file"
        )
    gridvit.export(run[0], target, batch=1)
    before = target.read_bytes()
    assert sentence() == (
        f"expected an output that does not exist yet, got {target}: choose another name or add --overwrite"
    )
    assert target.read_bytes() == before
    gridvit.export(run[0], target, overwrite=True)
    assert target.read_bytes() != before


class Stubborn(torch.nn.Module):
    """Looks at values: no graph can follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if float(x.sum()) > 0 else -x


def test_a_network_that_cannot_be_followed() -> None:
    numbers = torch.zeros(1), torch.ones(1), torch.ones(1)
    own = ModelConfig(kind="own", patch=(1, 1))
    step = ModelStep(own, TORUS, Channels(("a",)), 1.0, *numbers, network=Stubborn())
    with pytest.raises(InputError) as error:
        write(step, {"state": torch.randn(2, 1, 6, 10)}, Path("step.pt2"))
    assert str(error.value).startswith(
        "expected a network that torch.export can follow, got one that it cannot ("
    )
    assert str(error.value).endswith("): simplify the network, or export with --batch 1")
