"""The river on the sphere: simulate, train, evaluate against the solver that made the file, analyse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.cli import main

TINY = ["--model.preset", "mini",
        "--model.width", "32", "--model.depth", "1", "--model.heads", "2", "--training.epochs", "2",
        "--training.batch_size", "8", "--training.accelerator", "cpu", "--evaluation.states", "2"]  # fmt: skip


def test_the_sphere(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def gridvit(*arguments: str) -> str:
        status = main(arguments)
        out, err = capsys.readouterr()
        assert status == 0, err
        return out

    gridvit("simulate", "barotropic-vorticity", "--shape", "[8,16]", "--samples", "8", "--steps", "6", "--cutoff",
            "2", "--out", "data.nc")  # fmt: skip
    gridvit("train", "--data.path", "data.nc", "--model.patch", "[2,4]", *TINY)
    scores = json.loads(gridvit("evaluate", "runs/run", "--json"))
    models = scores["coords"]["model"]["data"]
    assert models[0] == "emulator"
    assert models[-1].startswith("rk4")
    error = dict(zip(models, scores["data_vars"]["nrmse"]["data"], strict=True))
    assert error[models[-1]][0][0] < 1e-6 < error["persistence"][0][0]  # frames are stored in float32
    assert np.isfinite(error["emulator"][0]).all()
    gridvit("analyse", "runs/run")
    with xr.open_dataset("runs/run/analysis.nc") as a:
        distance = a["attention_distance"]
        assert distance.attrs["units"] == "km"
        assert ((distance > 0) & (distance < np.pi * 6372)).all()
