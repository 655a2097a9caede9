"""The benchmark of attention on a GPU runs as far as it can where there is none."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

FOLDER = Path(__file__).parents[1] / "experiments/benchmarks/attention"


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("attention_gpu", FOLDER / "gpu.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "attention_gpu", module)
    spec.loader.exec_module(module)
    return module


def test_every_part_runs_at_a_toy_size(gpu: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    gpu.main(["--device", "cpu", "--toy"])
    out = capsys.readouterr().out
    assert "| 64 | chordal, areas, 2 parts |" in out
    assert "| mini | True | nan |" in out
    assert "32 tokens, mini:" in out
    ratio = float(out.split("ratio ")[1])
    assert ratio == pytest.approx(1, abs=0.05)


def test_operations_by_hand(gpu: ModuleType) -> None:
    network = gpu.ViT(gpu.ModelConfig(preset="mini", patch=(1, 1)), gpu.Grid.regular((4, 6)), 1, 1)
    parameters = sum(p.numel() for p in network.parameters())
    # 24 tokens, width 128, 4 layers: scores and averages are 4 N^2 width a layer forwards, and twice that backwards
    assert gpu.operations(network) == 6 * parameters * 24 + 3 * 4 * 24 * 24 * 128 * 4


def test_without_a_gpu_it_says_so(
    gpu: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    gpu.main([])
    assert capsys.readouterr().out == (
        "There is no CUDA device here: nothing is measured (--device cpu --toy tries the script out).\n"
    )
