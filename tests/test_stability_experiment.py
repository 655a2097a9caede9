"""The experiment on long rollouts at toy size: its script runs from data to figures and says what it promises."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

FOLDER = Path(__file__).parents[1] / "experiments/stability"
NETWORK = ("--model.preset", "mini",
           "--model.width", "16", "--model.depth", "1", "--model.heads", "2", "--model.channels", "4", "--model.bias",
           "none", "--training.epochs", "1", "--training.batch_size", "4", "--training.warmup_steps", "1",
           "--data.split.train", "[0,2]", "--data.split.validate", "[2,3]", "--data.split.test", "[3,4]",
           "--evaluation.leads", "1")  # fmt: skip
DATA = ("--samples", "4", "--steps", "3", "--spinup", "2", "--substeps", "4", "--cutoff", "2", "--dt", "0.1")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("stability", FOLDER / "stability.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "stability", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("case", "shape"), [("burgers", "[16]"), ("navier_stokes", "[8,8]")])
def test_the_whole_at_toy_size(
    case: str,
    shape: str,
    script: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    size = script.Size(5, 2, 2, (*DATA, "--shape", shape), NETWORK)
    script.stability([case], size, tmp_path)
    said = capsys.readouterr().out
    assert f"{case}, 5 steps of 0.1, 2 rollouts, 2 solver" in said
    assert "decorrelation time: emulator over solver runs" in said
    assert said.count("$ gridvit") == 3
    for name in ("energy.png", "spectrum.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    found = script.measured(case, size)  # takes what is there
    assert "$ gridvit" not in capsys.readouterr().out
    assert found["energy"].shape == (2, 5)
    assert found["spectrum"].shape == (2, 4 if case == "burgers" else 2)
    assert np.isfinite(found["energy"]).all()


def test_inside_is_within_a_factor_two_of_the_range(script: ModuleType) -> None:
    found = script.inside(np.array([0.9, 1.1, 5.9, 6.1]), np.array([2.0, 3.0]))
    assert found.tolist() == [False, True, True, False]
    by_wave = script.inside(np.array([[0.9, 6.0]]), np.array([[2.0, 20.0], [3.0, 10.0]]))
    assert by_wave.tolist() == [[False, True]]
