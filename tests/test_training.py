"""Training: the loss is the stated one, learning happens, and an interrupted run ends as an uninterrupted one."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gridvit.channels import Channels
from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, Split, TrainingConfig
from gridvit.data.fields import Fields, load
from gridvit.data.samples import Batch, Windows, shuffled
from gridvit.data.simulate import simulate
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep, ViT
from gridvit.training.metrics import COLUMNS, read_metrics
from gridvit.training.objectives import NextStep
from gridvit.training.plan import plan
from gridvit.training.schedule import decayed_groups, learning_rate_factor
from gridvit.training.train import fit

CONFIG = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 8))),
    model=ModelConfig(preset="mini", patch=(4,), width=24, depth=1, heads=2),
    training=TrainingConfig(epochs=4, batch_size=7, warmup_steps=3, shift=("x",), accelerator="cpu"),
)


@pytest.fixture(scope="module")
def fields() -> Fields:
    config = SimulateConfig(
        equation="advection", parameters={"velocity": [0.7]}, shape=(16,), samples=8, steps=6, cutoff=2.0
    )
    return load(simulate(config))


def test_loss_is_the_area_weighted_square_of_the_normalised_increment() -> None:
    grid = Grid.latlon(5, 8, poles=True)
    config = ModelConfig(preset="mini", patch=(2, 2), width=24, depth=1, heads=2)
    numbers = (torch.tensor([value]) for value in (3.0, 2.0, 0.5))
    step = ModelStep(config, grid, Channels(("u",)), 1.0, *numbers)
    objective = NextStep(step, TrainingConfig())
    rng = np.random.default_rng(0)
    before, after = (torch.tensor(rng.standard_normal((3, 1, 5, 8)), dtype=torch.float32) for _ in range(2))
    # untrained: f = 0, so the loss is that of persistence
    bounds = np.deg2rad([-90, -67.5, -22.5, 22.5, 67.5, 90])
    weights = np.diff(np.sin(bounds)) / 2
    expected = ((((after - before).numpy() / 0.5) ** 2).mean((0, 1, 3)) * weights).sum()
    found = objective.loss(Batch(torch.stack([before, after], 1), torch.zeros(3, dtype=torch.float64)), [])
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("offsets", [(0, 1), (-2, 0, 3)])
def test_windows_never_cross_samples(fields: Fields, offsets: tuple[int, ...]) -> None:
    windows = Windows(fields, offsets)
    starts = range(-offsets[0], 7 - offsets[-1])
    assert len(windows) == 8 * len(starts)
    batch = windows.__getitems__(list(range(len(windows))))
    frames = batch.frames.numpy().reshape(8, len(starts), len(offsets), 1, 16)
    for f, k in enumerate(offsets):
        np.testing.assert_array_equal(frames[:, :, f], fields.values[:, starts[0] + k : starts[-1] + 1 + k])
    np.testing.assert_array_equal(batch.time.reshape(8, -1)[5], fields.seconds[list(starts)])


def test_a_batch_moves_as_one() -> None:
    batch = Batch(torch.zeros(2, 2, 1, 7), torch.zeros(2, dtype=torch.float64))
    moved = batch.to(torch.device("meta"))
    assert (moved.frames.device.type, moved.time.device.type, moved.condition) == ("meta", "meta", None)
    told = batch._replace(condition=torch.zeros(2, 3, dtype=torch.float64)).to(torch.device("meta"))
    assert told.condition is not None
    assert told.condition.device.type == "meta"


def test_order_is_a_function_of_seed_and_epoch() -> None:
    assert shuffled(11, 3, 5) == shuffled(11, 3, 5)
    assert sorted(shuffled(11, 3, 5)) == list(range(11))
    assert shuffled(11, 3, 5) != shuffled(11, 3, 6) != shuffled(11, 4, 6)


def test_schedule() -> None:
    factors = [learning_rate_factor(n, 4, 12) for n in range(13)]
    assert factors[:5] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert factors[8] == pytest.approx(0.5)
    assert factors[12] == pytest.approx(0.0)


def test_only_linear_weights_decay() -> None:
    network = ViT(ModelConfig(preset="mini", patch=(4,), width=24, depth=1, heads=2), Grid.regular(16), 1, 1)
    groups = decayed_groups(network, 0.3)
    decayed = {id(p) for p in groups[0]["params"]}
    linear = {id(m.weight) for m in network.modules() if isinstance(m, torch.nn.Linear)}
    assert decayed == linear
    assert groups[0]["weight_decay"] == 0.3
    assert groups[1]["weight_decay"] == 0.0
    assert sum(len(g["params"]) for g in groups) == len(list(network.parameters()))


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_interrupted_run_ends_as_an_uninterrupted_one(
    fields: Fields, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ema: float
) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, ema=ema))
    whole = fit(plan(config, fields), tmp_path / "whole")
    stopped = NextStep.training_step

    def interrupt(self: NextStep, batch: object, index: int) -> object:
        if self.current_epoch == 2 and index == 3:
            raise RuntimeError("power cut")
        return stopped(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(NextStep, "training_step", interrupt)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(plan(config, fields), tmp_path / "cut")
    resumed = fit(plan(config, fields), tmp_path / "cut")
    for (name, one), two in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    rows = [read_metrics(tmp_path / run / "metrics.csv") for run in ("whole", "cut")]
    assert [len(r) for r in rows] == [4, 4]
    for one, two in zip(*rows, strict=True):
        assert {k: v for k, v in one.items() if k != "seconds"} == {
            k: v for k, v in two.items() if k != "seconds"
        }


def test_the_average_of_the_weights_is_kept(
    fields: Fields, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """m_1 = w_1 and m_n = b m_(n-1) + (1 - b) w_n, of parameters alone: what is kept is m after the last epoch."""
    config = replace(CONFIG, training=replace(CONFIG.training, epochs=1, ema=0.8))
    made = plan(config, fields)
    seen: list[torch.Tensor] = []
    weights = made.model.network.blocks[0].attention.value.weight  # type: ignore[union-attr, index]
    step = torch.optim.AdamW.step

    def watched(self: torch.optim.AdamW, closure: object = None) -> object:
        found = step(self, closure)  # type: ignore[arg-type]
        seen.append(weights.detach().clone())
        return found

    monkeypatch.setattr(torch.optim.AdamW, "step", watched)
    kept = fit(made, tmp_path).network.blocks[0].attention.value.weight  # type: ignore[union-attr, index]
    mean = seen[0]
    for w in seen[1:]:
        mean = 0.8 * mean + 0.2 * w
    assert len(seen) > 3
    assert not torch.allclose(mean, seen[-1], atol=1e-4)
    torch.testing.assert_close(kept.detach(), mean, atol=1e-6, rtol=1e-5)


def test_half_precision_learns_as_single_does(fields: Fields, tmp_path: Path) -> None:
    losses = {}
    for precision in ("32", "bf16"):
        training = replace(CONFIG.training, epochs=4, precision=precision)
        fit(plan(replace(CONFIG, training=training), fields), tmp_path / precision)
        losses[precision] = read_metrics(tmp_path / precision / "metrics.csv")[-1]["train_loss"]
    assert losses["bf16"] != losses["32"]
    assert losses["bf16"] == pytest.approx(losses["32"], rel=0.05)


def test_an_average_that_never_moves_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"expected training.ema below 1, got 1.0: take 0.999, or 0 for no average"
    ):
        TrainingConfig(ema=1.0)


def test_it_learns(fields: Fields, tmp_path: Path) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, epochs=20, learning_rate=5e-3))
    fit(plan(config, fields), tmp_path)
    rows = read_metrics(tmp_path / "metrics.csv")
    assert rows[-1]["validate_loss"] < 0.25 < rows[0]["validate_loss"]  # persistence scores about 1
    with (tmp_path / "metrics.csv").open() as file:
        assert next(csv.reader(file)) == list(COLUMNS)


def test_the_error_of_a_series_is_said_before_training(
    fields: Fields, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = replace(CONFIG.model, patch=(2,), bias="linear", spectral=1)
    made = plan(replace(CONFIG, model=model, training=replace(CONFIG.training, epochs=1)), fields)
    with caplog.at_level("INFO", "gridvit"):
        fit(made, tmp_path)
    # distances 0, 1, 2, 3, 4, 3, 2, 1 without their third wave, 1 / 4 sin^2(3 pi / 8) = .29; l is the token spacing
    assert "the series of the distance bias is right within 0.29 of a logit" in caplog.text


def test_shift_along_a_wall_is_refused(fields: Fields) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, shift=("z",)))
    with pytest.raises(
        InputError, match=r"expected training.shift along straight periodic axes \(x\), got 'z': leave it out"
    ):
        plan(config, fields)
