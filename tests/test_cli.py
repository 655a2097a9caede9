"""The command line: one sentence and status 2 for bad input, nothing lost, strict JSON."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit import __version__
from gridvit.cli import main


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    status = main(arguments)
    out, err = capsys.readouterr()
    return status, out, err


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which the command line refuses."""
    status, out, err = run(capsys, *arguments)
    assert (status, out) == (2, "")
    assert err.startswith("gridvit: expected ")
    assert err.count("\n") == 1, err
    return err.removeprefix("gridvit: ").rstrip("\n")


@pytest.fixture
def weather(tmp_path: Path) -> Path:
    """A small global file, six-hourly."""
    rng = np.random.default_rng(0)
    values = rng.standard_normal((40, 7, 12)).cumsum(0).astype("f4")
    ds = xr.Dataset(
        {"msl": (("time", "lat", "lon"), values, {"units": "Pa"})},
        {
            "time": np.datetime64("2001-01-01", "ns") + np.arange(40) * np.timedelta64(6, "h"),
            "lat": ("lat", np.linspace(90, -90, 7), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(12) * 30.0, {"units": "degrees_east"}),
        },
    )
    ds.to_netcdf(tmp_path / "weather.nc")
    return tmp_path / "weather.nc"


def test_help_is_quick_and_lists_every_verb() -> None:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "gridvit.cli", "--help"], capture_output=True, text=True, check=True
    )
    assert time.perf_counter() - start < 5  # the promise is half a second; a loaded machine is slower
    for verb in ("simulate", "check", "train", "forecast", "evaluate", "analyse", "report", "export"):
        assert f"\n  {verb} " in done.stdout


def test_the_package_itself_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gridvit", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{__version__}\n"
    wrong = subprocess.run([sys.executable, "-m", "gridvit", "trian"], capture_output=True, check=False)
    assert wrong.returncode == 2


def test_unknown_verb(capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, "trian").endswith("got 'trian': did you mean 'train'?")


def test_unknown_key(capsys: pytest.CaptureFixture[str], weather: Path) -> None:
    sentence = refused(capsys, "train", "--data.path", str(weather), "--model.dept", "3")
    assert sentence == "expected an option that exists, got 'model.dept': did you mean 'model.depth'?"


def test_unknown_option_of_a_plain_verb(capsys: pytest.CaptureFixture[str], weather: Path) -> None:
    sentence = refused(capsys, "check", str(weather), "--jsn")
    assert sentence == "expected an option that exists, got 'jsn': did you mean 'json'?"


def test_check_tells_what_it_sees(capsys: pytest.CaptureFixture[str], weather: Path) -> None:
    status, out, _ = run(capsys, "check", str(weather))
    assert status == 0
    assert "usable" in out
    assert "every 6 h" in out
    found = json.loads(run(capsys, "check", str(weather), "--json")[1])
    assert found["usable"] is True
    assert found["grid"]["kind"] == "sphere"
    latitude, longitude = found["grid"]["axes"]
    assert (latitude["in_file"], latitude["cells"], latitude["periodic"]) == ("lat", 7, False)
    assert (longitude["periodic"], longitude["patches"]) == (True, [1, 2, 3, 4, 6, 12])
    assert found["time"]["steps"] == 40
    assert found["variables"][0]["units"] == "Pa"


def bad_files(folder: Path, weather: Path) -> dict[str, Path]:
    with xr.open_dataset(weather) as ds:
        ds = ds.load()
    cases = {
        "no time": ds.isel(time=0, drop=True),
        "one step": ds.isel(time=[0]),
        "two latitudes": ds.assign(b=(("time", "lat2", "lon"), ds["msl"].values)).assign_coords(
            lat2=("lat2", ds["lat"].values, {"units": "degrees_north"})
        ),
        "gap": ds.where(ds["time"] != ds["time"][1]),
    }
    paths = {}
    for name, case in cases.items():
        paths[name] = folder / f"{name.replace(' ', '_')}.nc"
        case.to_netcdf(paths[name])
    paths["truncated"] = folder / "truncated.nc"
    paths["truncated"].write_bytes(weather.read_bytes()[: weather.stat().st_size // 2])
    paths["text"] = folder / "text.nc"
    paths["text"].write_text("time,lat,lon\n")
    paths["nothing"] = folder / "nothing.nc"
    return paths


@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("no time", "expected a time axis"),
        ("one step", "at least two time steps"),
        ("two latitudes", "lat2"),
        ("gap", "expected values of 'msl' at every time, got none at "),
        ("truncated", "expected a readable NetCDF file or Zarr store, got "),
        ("text", "text.nc, which "),
        ("nothing", "nothing.nc, where there is nothing: check the path"),
    ],
)
def test_bad_files(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, weather: Path, case: str, says: str
) -> None:
    path = bad_files(tmp_path, weather)[case]
    assert says in refused(capsys, "check", str(path))
    assert says in refused(capsys, "train", "--data.path", str(path), "--root", str(tmp_path))
    assert not (tmp_path / "run").exists()


def test_unknown_variable(capsys: pytest.CaptureFixture[str], weather: Path) -> None:
    assert "msl" in refused(capsys, "check", str(weather), "--variables", "[mls]")


@pytest.mark.parametrize(
    ("patch", "says"),
    [
        ("[8,3]", "expected a patch of 1 to 7 cells along 'latitude', got 8: choose a smaller patch"),
        ("[2,5]", "got 5: use one of 1, 2, 3, 4, 6, 12"),
        ("[2]", "expected one patch size for all axes or 2, got 1: give one per axis"),
    ],
)
def test_patches_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, weather: Path, patch: str, says: str
) -> None:
    sentence = refused(
        capsys, "train", "--data.path", str(weather), "--root", str(tmp_path), "--model.patch", patch
    )
    assert says in sentence
    assert not (tmp_path / "run").exists()


def test_missing_arguments(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "expected a data file, got none" in refused(capsys, "train", "--root", str(tmp_path))
    assert "expected --out FILE, got none: add --out FILE" in refused(capsys, "simulate", "burgers")
    assert "config.yaml" in refused(capsys, "evaluate", str(tmp_path / "none"))
    assert "config.yaml" in refused(capsys, "report", str(tmp_path))
    assert refused(capsys, "analyse") == "expected the arguments run, got none: add them, see --help"


def test_simulate_refuses(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = str(tmp_path / "b.nc")
    assert "burgers" in refused(capsys, "simulate", "burger", "--out", out).rpartition(": ")[2]
    sentence = refused(capsys, "simulate", "burgers", "--out", out, "--parameters", "{viscosty: 0.1}")
    assert (
        "expected one of the burgers parameters viscosity, flux, got 'viscosty': use 'viscosity'" in sentence
    )
    Path(out).write_text("mine")
    assert "--overwrite" in refused(capsys, "simulate", "burgers", "--out", out)
    assert Path(out).read_text() == "mine"


def test_interrupt_and_go_on(tmp_path: Path, weather: Path) -> None:
    command = [sys.executable, "-m", "gridvit.cli", "train", "--data.path", str(weather), "--root", str(tmp_path),
               "--model.patch", "[4,4]", "--model.preset", "mini",
               "--model.width", "32", "--model.depth", "1", "--model.heads", "2",
               "--training.epochs", "400", "--training.accelerator", "cpu"]  # fmt: skip
    metrics = tmp_path / "run/metrics.csv"
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 120
        while time.monotonic() < until and not (metrics.exists() and metrics.read_text().count("\n") > 2):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("gridvit: interrupted; without --overwrite the same command goes on where it was\n")
    assert not (tmp_path / "run/model.safetensors").exists()
    assert (tmp_path / "run/checkpoints/last.ckpt").exists()


def test_check_with_a_config_estimates_what_a_run_costs(
    capsys: pytest.CaptureFixture[str], weather: Path, tmp_path: Path
) -> None:
    (tmp_path / "c.yaml").write_text(
        "model: {preset: mini, patch: [2, 3], width: 32, depth: 1, heads: 2}\ntraining: {batch_size: 4}\n"
    )
    status, out, err = run(capsys, "check", str(weather), "--config", str(tmp_path / "c.yaml"), "--json")
    assert status == 0, err
    cost = json.loads(out)["estimate"]
    # 7 latitudes in patches of 2 and 12 longitudes of 3; 28 training times in batches of 4 windows
    assert (cost["tokens"], cost["training_windows"], cost["batches_an_epoch"]) == (16, 27, 7)
    assert cost["seconds_an_epoch"] == pytest.approx(7 * cost["seconds_a_batch"])
    assert "s an epoch" in run(capsys, "check", str(weather), "--config", str(tmp_path / "c.yaml"))[1]


def test_check_refused_is_json_too(capsys: pytest.CaptureFixture[str], weather: Path) -> None:
    status, out, err = run(capsys, "check", str(weather), "--select", '{"level": 500}', "--json")
    found = json.loads(out)
    assert (status, found["usable"], err) == (2, False, f"gridvit: {found['reason']}\n")
    assert "expected select along one of time (40), lat (7), lon (12), got 'level'" in err
    assert "irregular to be one of 'refuse'" in run(capsys, "check", str(weather), "--irregular", "x")[2]


def test_a_chosen_level_goes_through_train_and_forecast(
    capsys: pytest.CaptureFixture[str], weather: Path, tmp_path: Path
) -> None:
    with xr.open_dataset(weather) as ds:
        levels = xr.concat([ds, 2 * ds], xr.Variable("level", [850, 500])).assign_coords(level=[850, 500])
        levels.to_netcdf(tmp_path / "levels.nc")
    path, root = str(tmp_path / "levels.nc"), str(tmp_path)
    tiny = [
        "--model.patch",
        "[2,3]",
        "--model.preset",
        "mini",
        "--model.width",
        "32",
        "--model.depth",
        "1",
        "--model.heads",
        "2",
    ]
    choice = ["--data.stack", "[level]", "--training.epochs", "1"]
    status, _, err = run(capsys, "train", "--data.path", path, "--root", root, *tiny, *choice)
    assert status == 0, err
    out = str(tmp_path / "f.nc")
    assert run(capsys, "forecast", f"{root}/run", path, "--steps", "2", "--out", out)[0] == 0
    with xr.open_dataset(out, decode_timedelta=False) as forecast:
        assert set(forecast.data_vars) == {"msl_850", "msl_500"}
        assert forecast["msl_500"].dims == ("init_time", "lead", "lat", "lon")
