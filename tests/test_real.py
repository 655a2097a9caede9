"""Real files that nobody here made, by the command line: the whole chain at toy size."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.cli import main

ROOT = os.environ.get("GRIDVIT_REAL_DATA")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(ROOT is None, reason="GRIDVIT_REAL_DATA names no folder of real files"),
]
FOLDER = Path(ROOT or ".")
PRESSURE = FOLDER / "steps/era5_msl_2.5deg_6h_2025-12_2026-02.zarr"
WINDS = FOLDER / "steps/ncep1_uv10m_daily_2018-01_03.nc"
CONFIG = Path(__file__).parents[1] / "experiments/reanalysis/config.yaml"
TINY = ["--model.preset", "mini",
        "--model.width", "32", "--model.depth", "1", "--model.heads", "2", "--training.epochs", "1",
        "--evaluation.states", "2"]  # fmt: skip


def call(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    status = main(arguments)
    out, err = capsys.readouterr()
    assert status == 0, err
    return out


def test_check_sees_the_reanalysis_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(call(capsys, "check", str(PRESSURE), "--json"))
    latitude, longitude = found["grid"]["axes"]
    assert (found["grid"]["kind"], found["time"]["step"], found["time"]["steps"]) == ("sphere", "6 h", 360)
    assert (latitude["cells"], latitude["from"], latitude["to"]) == (73, -90.0, 90.0)
    assert (longitude["cells"], longitude["periodic"], 5 in longitude["patches"]) == (144, True, False)
    assert found["variables"][0]["units"] == "Pa"
    assert 90000 < found["variables"][0]["min"] < 101325 < found["variables"][0]["max"] < 107000


def test_chain_on_the_reanalysis(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = "runs/reanalysis"
    call(capsys, "train", str(CONFIG), "--data.path", str(PRESSURE), *TINY)
    call(capsys, "forecast", run, str(PRESSURE), "--steps", "2", "--out", "f.nc")
    with xr.open_dataset("f.nc", decode_timedelta=False) as f:
        assert f["msl"].dims == ("init_time", "lead", "latitude", "longitude")
        assert f["latitude"].values[0] == 90
        assert f["msl"].attrs["standard_name"] == "air_pressure_at_mean_sea_level"
        assert str(f["valid_time"].values[0, 0]).startswith("2026-03-01T00")
        assert 9e4 < float(f["msl"].min()) < float(f["msl"].max()) < 1.1e5
    scores = json.loads(call(capsys, "evaluate", run, "--json"))
    ratios = dict(zip(scores["coords"]["model"]["data"], scores["data_vars"]["ratio"]["data"], strict=True))
    assert scores["attrs"]["cases"] == 56
    # Worked out before this code was written: one damping factor reaches .99, .97, .94, .92 of persistence.
    np.testing.assert_allclose(ratios["damped persistence"][0], [0.99, 0.97, 0.94, 0.92], atol=0.006)
    call(capsys, "analyse", run)
    with xr.open_dataset(f"{run}/analysis.nc") as a:
        # uniform attention on the whole sphere: a quarter of the great circle for every query
        np.testing.assert_allclose(a["attention_uniform"], 6371.0088 * np.pi / 2, rtol=0.01)
    assert Path(call(capsys, "report", run).strip()).is_file()


def test_two_variables_on_a_gaussian_grid(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    call(
        capsys, "train", "--data.path", str(WINDS), "--model.patch", "[8,8]", *TINY, "--evaluation.leads", "2"
    )
    call(capsys, "forecast", "runs/run", str(WINDS), "--steps", "1", "--out", "f.nc")
    with xr.open_dataset("f.nc", decode_timedelta=False) as f, xr.open_dataset(WINDS) as ds:
        assert {"uwnd", "vwnd"} <= set(f)
        np.testing.assert_array_equal(f["lat"], ds["lat"])
    scores = json.loads(call(capsys, "evaluate", "runs/run", "--json"))
    assert scores["coords"]["variable"]["data"] == ["uwnd", "vwnd"]
    call(capsys, "analyse", "runs/run")
    call(capsys, "report", "runs/run")


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("awkward/geocat_camse_unstructured.nc", "unstructured grids are not supported yet"),
        ("awkward/pyferret_bad_taxis.nc", "got 9.96921e+36: repair the coordinate"),
        ("awkward/rotated_pole.nc", "got 'grid_latitude' of a rotated pole: add them as coordinates"),
        ("enso/soi_darwin_1866-2013.nc", "expected a coordinate along at least one space dimension"),
    ],
)
def test_awkward_files_are_refused_in_one_sentence(
    capsys: pytest.CaptureFixture[str], file: str, says: str
) -> None:
    status = main(["check", str(FOLDER / file)])
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("gridvit: expected ")
    assert says in err
