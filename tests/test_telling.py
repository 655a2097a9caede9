"""What a training tells: the skill by hand, a line an epoch, one bar on a terminal, once among processes."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path
from unittest.mock import Mock

import lightning as L
import numpy as np
import pytest
import torch
from rich.console import Console

from gridvit.channels import Channels
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.fields import Fields, load
from gridvit.data.simulate import simulate
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.training import telling
from gridvit.training.clock import Clock, spoken
from gridvit.training.metrics import read_metrics
from gridvit.training.persistence import skill, still
from gridvit.training.plan import plan
from gridvit.training.train import fit

CONFIG = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 8))),
    model=ModelConfig(preset="mini", patch=(4,), width=24, depth=1, heads=2),
    training=TrainingConfig(epochs=2, batch_size=7, warmup_steps=3, accelerator="cpu"),
)


@pytest.fixture(scope="module")
def fields() -> Fields:
    config = SimulateConfig(
        equation="advection", parameters={"velocity": [0.7]}, shape=(16,), samples=8, steps=6, cutoff=2.0
    )
    return load(simulate(config))


def test_skill_is_one_minus_the_loss_over_that_of_persistence(fields: Fields, tmp_path: Path) -> None:
    fit(plan(CONFIG, fields), tmp_path)
    increments = np.diff(fields.array.astype(np.float64), axis=1)
    unit = (increments[:5] ** 2).mean() - increments[:5].mean() ** 2  # sigma_d^2, of the training part
    persistence = (increments[5:7] ** 2).mean() / unit
    row = read_metrics(tmp_path / "metrics.csv")[-1]
    assert row["persistence_loss"] == pytest.approx(persistence, rel=1e-5)
    assert row["validate_skill"] == pytest.approx(1 - row["validate_loss"] / persistence, rel=1e-5)
    assert 0 < row["validate_skill"] < 1


def test_files_without_a_skill_are_read(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text(
        "epoch,step,train_loss,validate_loss,learning_rate,seconds\n0,3,1,.9,.1,2\n"
    )
    row = read_metrics(tmp_path / "metrics.csv")[0]
    assert (row["epoch"], row["validate_loss"], math.isnan(row["validate_skill"])) == (0, 0.9, True)
    assert math.isnan(skill(0.3, 0.0))


@pytest.mark.parametrize("leads", ["channels", "condition"])
def test_a_still_step_is_persistence_and_then_itself_again(leads: str) -> None:
    config = ModelConfig(preset="mini", patch=(2,), width=24, depth=1, heads=2, leads=leads)  # type: ignore[arg-type]
    numbers = torch.ones(3), torch.ones(3), torch.ones(2, 3)
    channels = Channels(("u", "v"), diagnostic=("w",), leads=(1, 3))
    step = ModelStep(config, Grid.regular(14), channels, 1.0, *numbers)
    for parameter in step.parameters():
        torch.nn.init.normal_(parameter)
    state = torch.randn(5, 2, 14)
    before = step.predict(state)
    with still(step):
        found = step.predict(state)
    for lead in range(2):
        torch.testing.assert_close(found[:, lead, :2], state)
        torch.testing.assert_close(found[:, lead, 2], torch.ones(5, 14))  # the mean
    assert not torch.equal(before, found)
    torch.testing.assert_close(step.predict(state), before, rtol=0, atol=0)


def test_time_left_is_that_of_the_whole_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([100.0, 104.0, 111.0, 111.0])
    monkeypatch.setattr("gridvit.training.clock.time.monotonic", lambda: next(now))
    clock = Clock(30, 130)  # resumed at step 30: its 4 s made 20 steps
    assert clock.told(50) == "5 steps/s, about 16 s left"
    assert clock.told(130) == "9.09 steps/s, 11 s in all"
    times = {0.25: "0.2 s", 99.4: "99 s", 600.0: "10 min", 11_640.0: "3 h 14 min", 190_000.0: "2 d 4 h"}
    assert {seconds: spoken(seconds) for seconds in times} == times


def test_a_line_an_epoch_with_skill_and_time_left(
    fields: Fields, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gridvit"):
        fit(plan(CONFIG, fields), tmp_path)
    lines = [message for message in caplog.messages if message.startswith("epoch")]
    number = r"-?[\d.e-]+"
    losses = rf"train {number}  validate {number}  skill -?\d\.\d{{3}}  {number} s, {number} steps/s"
    assert re.fullmatch(rf"epoch 1/2  {losses}, about {number} s left", lines[0]), lines
    assert re.fullmatch(rf"epoch 2/2  {losses}, {number} s in all", lines[1]), lines
    assert len(lines) == 2


def test_one_bar_tells_the_same_and_fits_80_columns(
    fields: Fields, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=80, color_system=None)
    monkeypatch.setattr(telling, "Console", lambda stderr: console)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    fit(plan(CONFIG, fields), tmp_path)
    shown = re.sub(r"\x1b\[[\d?;]*[a-zA-Z]", "", screen.getvalue()).replace("\r", "\n").split("\n")
    row = read_metrics(tmp_path / "metrics.csv")[-1]
    told = f"train {row['train_loss']:.4g}  validate {row['validate_loss']:.4g}  skill {row['validate_skill']:.3f}"
    assert any(line.strip() == told for line in shown), shown
    assert any(re.match(r"epoch 2/2 ━{16} \S+ steps/s, .* s in all", line) for line in shown), shown
    assert any(re.match(r"epoch 1/2 .* steps/s, about .* s left", line) for line in shown), shown
    assert max(map(len, shown)) <= 80


def test_of_several_processes_one_shows_a_bar() -> None:
    trainer = Mock(spec=L.Trainer, is_global_zero=False, global_step=0, estimated_stepping_batches=10)
    bar = telling.Bar(Console(file=io.StringIO(), force_terminal=True))
    bar.setup(trainer, Mock(spec=L.LightningModule), "fit")
    bar.on_train_start(trainer, Mock(spec=L.LightningModule))
    assert bar.bar is None
