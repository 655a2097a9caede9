"""A training that diverges stops, says where that began, keeps what it had, and is not started into it again."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gridvit.cli import main
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.fields import Fields, load
from gridvit.data.samples import shuffled
from gridvit.data.simulate import simulate
from gridvit.run.record import sessions
from gridvit.training import watch
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import NextStep
from gridvit.training.plan import Plan, plan
from gridvit.training.train import fit
from gridvit.training.watch import Diverged

CONFIG = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 8))),
    model=ModelConfig(preset="mini", patch=(4,), width=24, depth=1, heads=2),
    training=TrainingConfig(epochs=2, batch_size=7, warmup_steps=3, accelerator="cpu"),
)
DO = (
    ": the checkpoints before it are kept, and from them it would do so again: take another --name with a lower "
    "training.learning_rate or training.clip, or mend the data there"
)


@pytest.fixture
def made() -> Plan:
    config = SimulateConfig(
        equation="advection",
        parameters={"velocity": [0.7]},
        shape=(16,),
        samples=8,
        steps=6,
        cutoff=2.0,
        dt=0.5,
    )
    fields: Fields = load(simulate(config))
    return plan(CONFIG, fields)


def diverged(made: Plan, folder: Path) -> str:
    """The sentence with which a training stops, without what is to be done."""
    with pytest.raises(Diverged) as error:
        fit(made, folder)
    text = str(error.value)
    assert text.endswith(DO)
    return text.removesuffix(DO)


def test_a_value_that_is_not_finite_is_found(made: Plan, tmp_path: Path) -> None:
    """Windows go sample by sample, six in each: frame 2 of sample 3 is in windows 3 * 6 + 1 and 3 * 6 + 2."""
    made.parts["train"].values[3, 2] = np.inf
    order = shuffled(30, 0, 0)
    first = min((18 + 1, 18 + 2), key=order.index)
    batch, time = order.index(first) // 7, 0.5 * (first - 18)
    both = sum(order.index(n) // 7 == batch for n in (19, 20))
    number = (
        "nan" if 20 in order[7 * batch : 7 * batch + 7] else "inf"
    )  # inf - inf, or inf in the target alone
    assert diverged(made, tmp_path) == (
        f"expected a finite training loss, got {number} at step "
        f"{batch + 1} (epoch 1, batch {batch + 1}), in {both} of its 7 windows, first in the values of 'u', inf "
        f"standard deviations from their mean, from time {time:g} of sample 3 of the train part"
    )


def test_a_gradient_that_overflows_is_found_a_step_later(made: Plan, tmp_path: Path) -> None:
    made = replace(made, config=replace(CONFIG, training=replace(CONFIG.training, clip=0.0)))
    made.model.network.blocks[0].attention.value.weight.register_hook(lambda g: g * np.inf)  # type: ignore[union-attr, index]
    assert diverged(made, tmp_path) == (
        "expected a finite training loss, got nan at step 2 (epoch 1, batch 2), after the gradient of the step before "
        "had made the weights 'step.network.blocks.0.attention.value.weight' so"
    )


def test_a_forecast_that_overflows_is_named(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    learned = NextStep.minimised

    def broken(self: NextStep, batch: Any, shifts: list[int]) -> Tensor:
        if self.global_step == 3:
            torch.nn.init.constant_(self.step.network.norm.weight, 1e38)  # type: ignore[union-attr, arg-type]
            torch.nn.init.constant_(self.step.network.norm.bias, 1e38)  # type: ignore[union-attr, arg-type]
        return learned(self, batch, shifts)

    monkeypatch.setattr(NextStep, "minimised", broken)
    text = diverged(made, tmp_path)
    assert (
        "at step 4 (epoch 1, batch 4), in 7 of its 7 windows, first in the forecast of 'u' from time " in text
    )


def test_a_loss_far_above_that_of_persistence_stops(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "BOUND", 1e-3)
    text = diverged(made, tmp_path / "a")
    assert text.startswith("expected a validation loss of at most 0.001 times that of persistence, got 0.")
    assert "at step 5 (end of epoch 1), most in the forecast of 'u' from time " in text
    assert text.endswith(" of the validate part")
    monkeypatch.setattr(watch, "EVERY", 1)
    text = diverged(made, tmp_path / "b")
    assert text.startswith("expected a training loss of at most 0.001 times that of persistence, got ")
    assert "times it, at step 3 (epoch 1, batch 3), most in the forecast of 'u' from time " in text


def test_what_was_there_is_kept_and_the_run_is_not_repeated(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.chdir(tmp_path)
    made = ["simulate", "advection", "--shape", "[12]", "--cutoff", "2", "--parameters", "{velocity: [0.4]}"]
    assert main([*made, "--samples", "8", "--steps", "6", "--out", "data.nc"]) == 0
    learned = NextStep.minimised

    def broken(self: NextStep, batch: Any, shifts: list[int]) -> Tensor:
        return learned(self, batch, shifts) * (torch.nan if self.current_epoch == 2 else 1)

    arguments = ["train", "--data.path", "data.nc", "--model.patch", "[3]", "--model.preset", "mini",
                 "--model.width", "24", "--model.depth", "1",
                 "--model.heads", "2", "--training.epochs", "4", "--training.accelerator", "cpu"]  # fmt: skip
    with monkeypatch.context() as patch:
        patch.setattr(NextStep, "minimised", broken)
        capsys.readouterr()
        assert main(arguments) == 2
        sentence = capsys.readouterr().err.splitlines()[-1]
        had = "nan at step 11 (epoch 3, batch 1), in none of its windows alone"
        assert sentence == f"gridvit: expected a finite training loss, got {had}{DO}"
    run = Path("runs/run")
    assert [row["epoch"] for row in read_metrics(run / "metrics.csv")] == [0, 1]
    last = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    assert all(value.isfinite().all() for value in last["state_dict"].values())
    assert (run / "checkpoints" / "best.ckpt").is_file()
    assert sessions(run)[-1]["outcome"] == f"diverged: expected a finite training loss, got {had}{DO}"
    assert main(arguments) == 2
    assert capsys.readouterr().err == (
        f"gridvit: expected a run that can go on, got runs/run, which had {had}, and would again: take another --name "
        "with a lower training.learning_rate or training.clip, or --overwrite to lose the run\n"
    )
    os.utime("data.nc", (0, 0))  # the data were mended
    assert main(arguments) == 0
    assert "runs/run diverged, with other data or versions: going on from its last checkpoint" in caplog.text
    assert [session["outcome"].partition(":")[0] for session in sessions(run)] == ["diverged", "finished"]


def test_several_processes_stop_together_with_what_one_has_found(
    made: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This process meets the weights that the gradient of another, whose window was bad, has broken in all."""
    other = (
        "nan at step 1 (epoch 1, batch 1), in 1 of its 4 windows, first in the values of 'u', inf from time 2"
    )
    monkeypatch.setattr(watch, "world", lambda: 2)
    monkeypatch.setattr(watch, "gathered", lambda found: [found, other] if found else ["", ""])
    made = replace(made, config=replace(CONFIG, training=replace(CONFIG.training, clip=0.0)))
    made.model.network.blocks[0].attention.value.weight.register_hook(lambda g: g * np.inf)  # type: ignore[union-attr, index]
    assert diverged(made, tmp_path) == f"expected a finite training loss, got {other} in process 1"
