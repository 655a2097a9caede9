"""Reproducibility: what a run was made with is in its folder, and its configuration makes it again, bit for bit."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import gridvit
from gridvit.cli import main
from gridvit.run.record import git_state, sessions
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import NextStep

TINY = ["--model.patch", "[3]", "--model.preset", "mini",
        "--model.width", "24", "--model.depth", "1", "--model.heads", "2",
        "--training.epochs", "3", "--training.accelerator", "cpu", "--training.shift", "[x]"]  # fmt: skip


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with trajectories in it."""
    monkeypatch.chdir(tmp_path)
    made = ["simulate", "advection", "--shape", "[12]", "--cutoff", "2", "--parameters", "{velocity: [0.4]}"]
    assert main([*made, "--samples", "8", "--steps", "6", "--out", "data.nc"]) == 0
    return tmp_path


def test_a_run_is_repeated_from_its_own_configuration(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["train", "--name", "x", "--data.path", "data.nc", *TINY]) == 0
    assert main(["train", "runs/x/config.yaml"]) == 2
    assert capsys.readouterr().err.endswith(
        "gridvit: expected an unfinished run, got runs/x, which is finished: take another --name, or --overwrite to "
        "lose the run\n"
    )
    (here / "elsewhere").mkdir()
    monkeypatch.chdir(here / "elsewhere")  # the path of the data was relative to another folder
    assert main(["train", "../runs/x/config.yaml", "--name", "y"]) == 0
    x, y = here / "runs" / "x", here / "elsewhere" / "runs" / "y"
    assert (x / "model.safetensors").read_bytes() == (y / "model.safetensors").read_bytes()
    rows = [[{**row, "seconds": 0} for row in read_metrics(run / "metrics.csv")] for run in (x, y)]
    assert len(rows[0]) == 3
    assert rows[0] == rows[1]
    configs = [(run / "config.yaml").read_text().splitlines() for run in (x, y)]
    assert [pair for pair in zip(*configs, strict=True) if pair[0] != pair[1]] == [("name: x", "name: y")]


def test_each_session_is_recorded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["gridvit", "train", "--seed-of-the-test"])
    learned = NextStep.training_step

    def stop(self: NextStep, batch: Any, index: int) -> torch.Tensor:
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return learned(self, batch, index)

    arguments = ["train", "--data.path", "data.nc", "--training.seed", "7", *TINY]
    with monkeypatch.context() as patch:
        patch.setattr(NextStep, "training_step", stop)
        assert main(arguments) == 130
    assert main(arguments) == 0
    first, second = sessions(here / "runs" / "run")
    assert (first["outcome"], first["resumed"]) == ("interrupted", False)
    assert (second["outcome"], second["resumed"]) == ("finished", True)
    times = [first["started"], first["ended"], second["started"], second["ended"]]
    assert sorted(map(datetime.datetime.fromisoformat, times)) == list(
        map(datetime.datetime.fromisoformat, times)
    )
    assert second["command"] == ["gridvit", "train", "--seed-of-the-test"]
    assert (second["seed"], second["threads"], second["processes"]) == (7, 1, 1)
    assert second["gridvit"]["version"] == gridvit.__version__
    assert second["versions"]["torch"] == torch.__version__
    assert second["python"] == sys.version.split()[0]
    data = here / "data.nc"
    assert second["data"]["files"] == {str(data): [data.stat().st_size, 1, data.stat().st_mtime_ns]}
    assert second["data"]["fingerprint"]["shape"] == [6, 7, 1, 12]
    assert json.loads((here / "runs/run/record.json").read_text()) == {"sessions": [first, second]}


def test_a_refusal_while_training_is_recorded(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: NextStep, batch: Any, index: int) -> torch.Tensor:
        raise gridvit.InputError("a", "b", "c")

    monkeypatch.setattr(NextStep, "training_step", fail)
    assert main(["train", "--data.path", "data.nc", *TINY]) == 2
    assert sessions(here / "runs" / "run")[-1]["outcome"] == "stopped: expected a, got b: c"


def test_git_states(tmp_path: Path) -> None:
    assert git_state(tmp_path) is None

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init")
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-m", "one")
    clean = {"commit": git("rev-parse", "HEAD"), "dirty": False}
    assert git_state(tmp_path) == clean
    (tmp_path / "untracked").write_text("2")
    assert git_state(tmp_path) == clean
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {**clean, "dirty": True}
