"""The benchmark of the training loop runs, and both of its loops end with the same weights."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "experiments/benchmarks/training/benchmark.py"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("training_benchmark", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "training_benchmark", module)
    spec.loader.exec_module(module)
    return module


def test_every_part_runs_at_a_toy_size(benchmark: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    """The script itself refuses two loops that end with different weights."""
    benchmark.main(["--toy", "--runs", "1"])
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if " 912 " in line]
    steps, checkpoint = rows
    assert steps[:3] == ["toy", "912", "2"]
    bare, whole, extra = float(steps[3]), float(steps[4]), float(steps[5].split(" (")[0])
    assert extra == pytest.approx(whole - bare, abs=2e-3)
    assert all(float(cell.split(" (")[0]) > 0 for cell in checkpoint[2:])


def test_other_weights_are_noticed(benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(step: int, warmup: int, total: int) -> float:
        return 0.5

    monkeypatch.setattr(benchmark, "learning_rate_factor", half)
    with pytest.raises(AssertionError, match="the two loops did not train the same"):
        benchmark.steps("toy", *benchmark.TOY, 1)


def test_time_between_epochs_is_no_step(benchmark: ModuleType) -> None:
    ends = [0.0, 2.0, 3.0, 50.0, 55.0, 58.0]  # two epochs of three steps
    assert benchmark.Clock(None, ends, ends).step(3) == (2500.0, 2750.0)  # median and mean of 2, 1, 5, 3 s
