"""A run that ends before its time goes on as if it had not: killed, told to stop, out of room, or without its data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.fields import load
from gridvit.data.samples import Batch
from gridvit.data.simulate import simulate
from gridvit.training.interruption import MARKER, REQUEUE_EXIT, Interrupted
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import NextStep
from gridvit.training.plan import plan
from gridvit.training.train import fit

WAVES = SimulateConfig(
    equation="advection", parameters={"velocity": [0.7]}, shape=(16,), samples=8, steps=6, cutoff=2.0
)
CONFIG = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 8))),
    model=ModelConfig(patch=(4,), width=24, depth=1, heads=2),
    training=TrainingConfig(epochs=3, batch_size=7, warmup_steps=3, shift=("x",), ema=0.9, accelerator="cpu"),
)
STEPS = 15  # 30 windows in batches of 7, three times


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return simulate(WAVES)


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that draws random numbers, as dropout would; not from ``random``, from which beartype draws too."""
    quiet = NextStep.loss

    def loss(self: NextStep, batch: Batch, shifts: list[int]) -> torch.Tensor:
        draws = torch.rand(()) + np.random.random()  # noqa: NPY002
        return quiet(self, batch, shifts) * (1 + 0.1 * draws if self.training else 1)

    monkeypatch.setattr(NextStep, "loss", loss)


def after_step(step: int, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Act when that many steps of training have been made, before the callbacks see the last of them."""
    made = NextStep.training_step

    def watched(self: NextStep, batch: Batch, index: int) -> torch.Tensor:
        if self.global_step + 1 == step:
            act()
        return made(self, batch, index)

    monkeypatch.setattr(NextStep, "training_step", watched)


def assert_same_run(one: Path, two: Path) -> None:
    """Weights of every checkpoint and rows of the metrics, bit for bit, but for the seconds."""
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in read_metrics(p / "metrics.csv")]
            for p in (one, two)]  # fmt: skip
    assert rows[0] == rows[1]
    for name in ("best.ckpt", "last.ckpt"):
        states = [torch.load(p / "checkpoints" / name, weights_only=True) for p in (one, two)]
        for key in ("state_dict", "current_model_state"):
            for weight in states[0][key]:
                assert torch.equal(states[0][key][weight], states[1][key][weight]), (name, key, weight)


@pytest.mark.usefixtures("noisy")
def test_a_signal_at_any_step_changes_nothing(
    waves: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = load(waves)
    fit(plan(CONFIG, fields), tmp_path / "whole")
    assert read_metrics(tmp_path / "whole" / "metrics.csv")[-1]["step"] == STEPS
    for step in range(1, STEPS):
        cut = tmp_path / f"cut{step}"
        with monkeypatch.context() as patch:
            after_step(step, lambda: os.kill(os.getpid(), signal.SIGUSR1), patch)
            with pytest.raises(Interrupted) as caught:
                fit(plan(CONFIG, fields), cut)
        assert caught.value.code == REQUEUE_EXIT
        assert (cut / MARKER).exists()
        assert torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == step
        fit(plan(CONFIG, fields), cut)
        assert not (cut / MARKER).exists()
        assert_same_run(tmp_path / "whole", cut)
