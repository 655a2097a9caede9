"""The whole river at toy size, by the command line alone, from simulate to report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.cli import main

TINY = ["--model.preset", "mini",
        "--model.width", "32", "--model.depth", "1", "--model.heads", "2", "--training.epochs", "2",
        "--training.batch_size", "8", "--training.accelerator", "cpu", "--evaluation.states", "2"]  # fmt: skip
Run = Callable[..., str]


@pytest.fixture
def gridvit(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a verb in an empty folder; it must succeed. Returns what it printed."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> str:
        status = main(arguments)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    return call


def simulate(gridvit: Run, name: str, *options: str) -> None:
    gridvit("simulate", name, "--out", "data.nc", "--samples", "8", "--steps", "6", *options)


def test_linear_pde(gridvit: Run) -> None:
    parameters = "{velocity: [0.4, 0.2], diffusivity: 0.05}"
    simulate(
        gridvit,
        "advection-diffusion",
        "--shape",
        "[8,12]",
        "--scheme",
        "upwind",
        "--cutoff",
        "2",
        "--parameters",
        parameters,
    )
    gridvit("check", "data.nc")
    gridvit("train", "--data.path", "data.nc", "--model.patch", "[2,3]", "--training.shift", "[y,x]", *TINY)
    gridvit("forecast", "runs/run", "data.nc", "--steps", "3", "--init", "first", "--out", "f.nc")
    with xr.open_dataset("f.nc", decode_timedelta=False) as f:
        assert f["u"].sizes == {"init_time": 1, "lead": 3, "sample": 8, "y": 8, "x": 12}
        assert f["valid_time"].values.tolist() == [[1, 2, 3]]
    scores = json.loads(gridvit("evaluate", "runs/run", "--json"))
    models = scores["coords"]["model"]["data"]
    assert models[:3] == ["emulator", "persistence", "damped persistence"]
    assert models[-2:] == ["upwind", "exact"]
    nrmse = dict(zip(models, scores["data_vars"]["nrmse"]["data"], strict=True))
    assert nrmse["upwind"][0][0] < 1e-6 < nrmse["exact"][0][0]
    assert nrmse["emulator"][0][0] < nrmse["persistence"][0][0]
    assert models[-3] == "best linear predictor"
    assert nrmse["best linear predictor"][0][0] < 1e-5  # a linear scheme on a ring of cells is one
    measured = {
        "acc",
        "vrmse",
        "valid_time",
        "zonal_spectrum",
        "isotropic_error",
        "drift",
        "seconds",
        "operations",
    }
    assert measured | {"solver_error", "solver_seconds", "solver_best_operations"} <= set(scores["data_vars"])
    drift = dict(zip(scores["coords"]["source"]["data"], scores["data_vars"]["drift"]["data"], strict=True))
    assert scores["coords"]["quantity"]["data"] == ["mean of u", "half mean square of u"]
    assert drift["truth"][-1][0] < 1e-6 < drift["emulator"][-1][0]  # the scheme keeps the mean
    assert drift["truth"][-1][1] > 1e-2  # and damps the waves
    gridvit("analyse", "runs/run")
    with xr.open_dataset("runs/run/analysis.nc") as a:
        assert {
            "attention_distance",
            "attention_stencil",
            "bias_kernel",
            "cumulant",
            "spectral_radius",
        } <= set(a)
        assert a["scheme"].values.tolist()[:3] == ["emulator", "upwind", "exact"]
        recovered = a["velocity"].sel(scheme="exact").values
        np.testing.assert_allclose(recovered, [0.4, 0.2], rtol=1e-6)
    page = Path(gridvit("report", "runs/run").strip())
    assert page.name == "report.html"
    text = page.read_text()
    for section in ("Skill by lead time", "The learned scheme", "Attention", "Training", "Configuration"):
        assert section in text


def test_burgers_in_one_dimension(gridvit: Run) -> None:
    simulate(gridvit, "burgers", "--shape", "[24]", "--lengths", "[1.0]", "--cutoff", "2", "--dt", "0.01",
             "--parameters", "{viscosity: 0.01}", "--substeps", "4")  # fmt: skip
    gridvit("train", "--data.path", "data.nc", "--model.patch", "[4]", *TINY, "--evaluation.leads", "2")
    scores = json.loads(gridvit("evaluate", "runs/run", "--json"))
    assert scores["coords"]["model"]["data"][-1] == "ssprk3, 4 substeps"
    analysis = json.loads(gridvit("analyse", "runs/run", "--json"))
    assert analysis["coords"]["scheme"]["data"] == ["emulator", "ssprk3, 4 substeps", "untrained"]
    gridvit("report", "runs/run")


def test_burgers_in_two_dimensions(gridvit: Run) -> None:
    simulate(gridvit, "burgers", "--shape", "[8,12]", "--lengths", "[2.0,3.0]", "--cutoff", "2", "--dt", "0.05",
             "--parameters", "{viscosity: 0.02}", "--substeps", "4")  # fmt: skip
    gridvit(
        "train",
        "--data.path",
        "data.nc",
        "--model.patch",
        "[2,3]",
        *TINY,
        "--evaluation.leads",
        "2",
        "--evaluation.solver_cases",
        "0",
    )
    scores = json.loads(gridvit("evaluate", "runs/run", "--json"))
    assert scores["coords"]["variable"]["data"] == ["u", "v"]
    assert scores["coords"]["quantity"]["data"] == ["mean of u", "mean of v", "kinetic energy", "enstrophy"]
    assert "solver" not in scores["coords"]
    text = gridvit("evaluate", "runs/run")
    assert "v: relative error (dimensionless), by lead" in text
    assert "\ndamped persistence " in text
    for title in (
        "v: anomaly correlation",
        "valid prediction time",
        "cost of a forecast",
        "definitions: e =",
    ):
        assert title in text
    gridvit("analyse", "runs/run")
    gridvit("report", "runs/run")


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """Six-hourly waves that travel east, latitude descending, longitudes from -180, as Zarr."""
    hours = np.arange(60) * 6
    lat, lon = np.linspace(90, -90, 11), np.arange(16) * 22.5 - 180
    wave = np.cos(np.deg2rad(2 * (lon - 2.0 * hours[:, None, None])) + np.deg2rad(lat)[:, None])
    noise = np.random.default_rng(0).standard_normal(wave.shape)
    ds = xr.Dataset(
        {
            "p": (
                ("time", "lat", "lon"),
                (1e5 + 1e3 * wave + 50 * noise).astype("f4"),
                {"units": "Pa", "long_name": "pressure"},
            )
        },
        {
            "time": np.datetime64("2001-01-01", "ns") + hours * np.timedelta64(1, "h"),
            "lat": ("lat", lat, {"units": "degrees_north"}),
            "lon": ("lon", lon, {"units": "degrees_east"}),
        },
    )
    ds.to_zarr(tmp_path / "weather.zarr", zarr_format=2, consolidated=True)
    return tmp_path / "weather.zarr"


def test_sphere(gridvit: Run, weather: Path) -> None:
    gridvit("train", "--data.path", str(weather), "--model.patch", "[4,4]", "--model.features", "[local_time]",
            "--training.shift", "[longitude]", *TINY)  # fmt: skip
    gridvit("forecast", "runs/run", str(weather), "--steps", "2", "--init", "2001-01-03T06", "--out", "f.nc")
    with xr.open_dataset("f.nc", decode_timedelta=False) as f, xr.open_zarr(weather) as ds:
        assert f["p"].dims == ("init_time", "lead", "lat", "lon")
        np.testing.assert_array_equal(f["lat"], ds["lat"])
        np.testing.assert_array_equal(f["lon"], ds["lon"])
        assert str(f["valid_time"].values[0, 1]).startswith("2001-01-03T18")
    scores = json.loads(gridvit("evaluate", "runs/run", "--json"))
    models = scores["coords"]["model"]["data"]
    baselines = ["persistence", "damped persistence", "climatology (hour of day)"]
    assert models == ["emulator", *baselines, "local ridge", "local ridge of anomalies"]
    assert scores["coords"]["lead"]["data"] == [6, 12, 18, 24]
    assert "nrmse" not in scores["data_vars"]
    gridvit("analyse", "runs/run")
    with xr.open_dataset("runs/run/analysis.nc") as a:
        assert a["attention_distance"].attrs["units"] == "km"
        assert a["jacobian"].dims == ("latitude", "dlat", "dlon")
    gridvit("report", "runs/run")
    with xr.open_dataset("runs/run/forecast.nc", decode_timedelta=False) as f:
        assert f["p"].sizes == {"init_time": 1, "lead": 4, "lat": 11, "lon": 16}


def test_bounded_plane_and_regional(gridvit: Run) -> None:
    parameters = "{velocity: [0.4, 0.2], diffusivity: 0.05}"
    simulate(gridvit, "advection-diffusion", "--shape", "[8,12]", "--cutoff", "2", "--parameters", parameters)
    walls = ["--data.periodic", '{"y": false, "x": false}', "--model.patch", "[3,5]", "--name", "walls"]
    gridvit("train", "--data.path", "data.nc", *walls, *TINY, "--evaluation.leads", "2")
    scores = json.loads(gridvit("evaluate", "runs/walls", "--json"))
    assert (
        scores["coords"]["model"]["data"][-1] == "local ridge"
    )  # the periodic solver does not solve a walled problem
    analysis = json.loads(gridvit("analyse", "runs/walls", "--json"))
    assert "attention_distance" in analysis["data_vars"]
    assert "stencil" not in analysis["data_vars"]
    gridvit("report", "runs/walls")


def test_finished_run_is_kept(gridvit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(gridvit, "advection", "--shape", "[12]", "--cutoff", "2", "--parameters", "{velocity: [0.4]}")
    arguments = ["train", "--data.path", "data.nc", "--model.patch", "[3]", *TINY]
    gridvit(*arguments)
    model = Path("runs/run/model.safetensors")
    before = model.read_bytes()
    assert main(arguments) == 2
    assert "expected an unfinished run, got runs/run, which is finished" in capsys.readouterr().err
    assert main([*arguments, "--training.seed", "1"]) == 2
    assert (
        "other values of training.seed: take another --name, or --overwrite to lose the run"
        in capsys.readouterr().err
    )
    assert model.read_bytes() == before
    gridvit(*arguments, "--training.seed", "1", "--overwrite")
    assert model.read_bytes() != before
    assert (
        main([*arguments, "--training.seed", "1", "--evaluation.states", "3"]) == 2
    )  # free to change, but finished
    assert "expected an unfinished run" in capsys.readouterr().err
    Path("exps/re").mkdir(parents=True)
    Path("exps/re/config.yaml").write_text("name: re\nroot: exps\n")
    assert (
        main([*arguments, "--config", "exps/re/config.yaml", "--name", "re", "--root", "exps", "--overwrite"])
        == 2
    )
    assert Path("exps/re/config.yaml").read_text() == "name: re\nroot: exps\n"
    Path("runs/other").mkdir()
    Path("runs/other/notes.txt").write_text("mine")
    assert main([*arguments, "--name", "other", "--overwrite"]) == 2
    assert Path("runs/other/notes.txt").read_text() == "mine"


def test_model_of_another_grid(gridvit: Run, capsys: pytest.CaptureFixture[str]) -> None:
    simulate(gridvit, "advection", "--shape", "[12]", "--cutoff", "2", "--parameters", "{velocity: [0.4]}")
    gridvit("train", "--data.path", "data.nc", "--model.patch", "[3]", *TINY)
    gridvit(
        "simulate",
        "advection",
        "--shape",
        "[15]",
        "--cutoff",
        "2",
        "--parameters",
        "{velocity: [0.4]}",
        "--out",
        "other.nc",
    )
    assert main(["forecast", "runs/run", "other.nc", "--out", "f.nc"]) == 2
    assert "expected data on the grid of the model" in capsys.readouterr().err
    assert not Path("f.nc").exists()
