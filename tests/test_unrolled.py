"""Unrolled and pushforward training: the loss is that of the model's own rollout, its gradient as by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gridvit.channels import Channels
from gridvit.config import (
    DataConfig,
    EvaluationConfig,
    ModelConfig,
    RunConfig,
    SimulateConfig,
    Split,
    TrainingConfig,
)
from gridvit.data.fields import Fields, load
from gridvit.data.samples import Batch, Windows
from gridvit.data.simulate import simulate
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.parsing import parse
from gridvit.rollout import Context, rollout
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import NextStep, Objective, Unrolled
from gridvit.training.objectives.unrolled import rollout_steps
from gridvit.training.plan import plan
from gridvit.training.train import fit
from gridvit.training_config import ObjectiveConfig

PLANE = Grid.regular((5, 6), (2.5, 6.0), periodic=(False, True))
SPHERE = Grid.latlon(5, 8, poles=True)
MODEL = ModelConfig(preset="mini", patch=(1, 2), width=24, depth=1, heads=2)


def unrolled(steps: int, gradient: str = "through", grow: float = 0.0, **others: object) -> TrainingConfig:
    objective = ObjectiveConfig(kind="unrolled", steps=steps, gradient=gradient, grow=grow)
    return TrainingConfig(objective=objective, accelerator="cpu", **others)


def step_of(grid: Grid, channels: Channels, presence: Tensor | None = None) -> ModelStep:
    """Random weights; statistics that differ in every channel."""
    torch.manual_seed(3)
    count = len(channels.frame)
    numbers = torch.arange(count) + 0.5, torch.arange(count) * 0.25 + 1, (torch.arange(count) + 1)[None] * 0.1
    step = ModelStep(replace(MODEL, registers=2), grid, channels, 2.0, *numbers, presence).double()
    for name, weight in step.named_parameters():
        if "decode" in name or "skip" in name or "conditioner" in name:
            torch.nn.init.normal_(weight, std=0.2)
    return step


CASES = {
    "plane": (PLANE, Channels(("u", "v"), ("y",), history=2, forcing=("f",), boundary=1)),
    "sphere": (SPHERE, Channels(("u",), ("y", "i"), index=("i",), history=2, forcing=("f",), parameters=("nu",))),
    "alone": (SPHERE, Channels(("u", "v"))),
}  # fmt: skip


@pytest.mark.parametrize("gradient", ["through", "last"])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_loss_is_that_of_the_rollout(case: str, gaps: bool, gradient: str) -> None:
    grid, channels = CASES[case]
    generator = torch.Generator().manual_seed(8)
    count, targets, moving = len(channels.frame), len(channels.targets), len(channels.prognostic)
    frames = torch.randn(3, channels.history + 3, count, *grid.shape, generator=generator).double()
    presence = torch.ones(count, *grid.shape)
    land = torch.zeros(grid.shape, dtype=torch.bool)
    if gaps:
        land[2, 3:5] = True
        presence[:, 1:] = 0.5
        presence[:targets, land] = 0
        frames[:, :, 0, 1:3, :2] = torch.nan  # of u alone, at all times
        frames[1, 2, :, 2, 1] = torch.nan
        frames[:, :, :targets, land] = torch.nan
    step = step_of(grid, channels, presence)
    objective = Unrolled(step, unrolled(3, gradient)).double()
    batch = Batch(frames, torch.arange(3.0).double(), torch.tensor([[0.1], [0.2], [0.4]]).double())
    batch = batch if channels.parameters else batch._replace(condition=None)
    assert objective.offsets == (*range(1 - channels.history, 1), 1, 2, 3)

    context = Context(batch.time, step.known_of(frames[:, channels.history - 1 :]), batch.condition)
    start = step.state_of(frames)
    whole = rollout(step, start, 3, context)[:, 1:, :targets].detach().numpy()
    scale = step.scale[0].numpy()
    errors = (whole - frames[:, channels.history :, :targets].numpy()) / scale
    if gaps:  # what was filled at the start counts in units of the state
        filled = np.isnan(start[:, :moving].numpy())
        ratio = (step.increment_std[0] / step.std).numpy()[:moving]
        errors[:, :, :moving] *= np.where(filled, ratio, 1.0)[:, None]
    weights = np.broadcast_to(grid.areas, errors.shape).copy()
    if channels.boundary:
        for edge in (0, -1):
            weights[:, :, :moving, edge] = 0.0
    weights[np.isnan(errors)] = 0.0
    square = np.nan_to_num(errors) ** 2
    axes = tuple(range(3, errors.ndim))
    expected = ((weights * square).sum(axes) / weights.sum(axes)).mean()
    found = objective.loss(batch, [])
    assert float(found.detach()) == pytest.approx(expected, rel=1e-6)
    found.backward()
    assert all(torch.isfinite(p.grad).all() for p in step.parameters() if p.grad is not None)


def test_a_rollout_that_is_rolled_by_whole_patches_is_the_same() -> None:
    step = step_of(*CASES["plane"])
    objective = Unrolled(step, unrolled(3, shift=("x",))).double()
    frames = torch.randn(2, 5, 4, *PLANE.shape, generator=torch.Generator().manual_seed(8)).double()
    batch = Batch(frames, torch.zeros(2).double())
    here = float(objective.loss(batch, []).detach())
    assert float(objective.loss(batch, [4]).detach()) == pytest.approx(here, rel=1e-6)
    assert float(objective.loss(batch, [1]).detach()) != pytest.approx(here, rel=1e-4)


def test_one_step_is_next_step() -> None:
    step = step_of(*CASES["sphere"])
    frames = torch.randn(2, 3, 4, *SPHERE.shape, generator=torch.Generator().manual_seed(8)).double()
    batch = Batch(frames, torch.zeros(2).double(), torch.ones(2, 1).double())
    one, other = (
        kind.double().loss(batch, [])
        for kind in (Unrolled(step, unrolled(1)), NextStep(step, TrainingConfig()))
    )
    torch.testing.assert_close(one, other)


def test_checkpointing_saves_the_memory_of_rollouts_and_nothing_else() -> None:
    frames = torch.randn(2, 4, 2, *SPHERE.shape, generator=torch.Generator().manual_seed(8)).double()
    gradients = []
    for checkpointing in (False, True):
        step = step_of(*CASES["alone"])
        step.network.config = replace(step.network.config, checkpointing=checkpointing)
        Unrolled(step, unrolled(3)).double().loss(Batch(frames, torch.zeros(2).double()), []).backward()
        gradients.append(step.network.blocks[0].attention.value.weight.grad)
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 1e-3


class Scale(nn.Module):
    """f(x) = a x."""

    def __init__(self, a: float) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(a, dtype=torch.float64))

    def forward(self, x: Tensor) -> Tensor:
        return self.a * x


@pytest.mark.parametrize("gradient", ["through", "last"])
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_gradients_of_a_scale_by_hand(steps: int, gradient: str) -> None:
    """u_k = g^k u_0, g = 1 + s a, of data c^k u_0: through all steps the gradient of an error has k where it has 1."""
    a, s, c = 0.3, 0.5, 0.9
    grid, network = Grid.regular((7,)), Scale(a)
    numbers = torch.zeros(1), torch.ones(1), torch.full((1, 1), s)
    config = ModelConfig(kind="own", patch=(1,))
    step = ModelStep(config, grid, Channels(("u",)), 1.0, *numbers, network=lambda *_: network).double()
    u = torch.randn(3, 1, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    batch = Batch(torch.stack([c**k * u for k in range(steps + 1)], 1), torch.zeros(3).double())
    loss = Unrolled(step, unrolled(steps, gradient)).double().loss(batch, [])
    loss.backward()
    g, unit, times = 1 + s * a, float(u.square().mean()) / s**2, range(1, steps + 1)
    assert float(loss.detach()) == pytest.approx(
        unit * np.mean([(g**k - c**k) ** 2 for k in times]), rel=1e-6
    )
    factor = (lambda k: k) if gradient == "through" else (lambda k: 1)
    slope = np.mean([2 * (g**k - c**k) * factor(k) * g ** (k - 1) * s for k in times])
    assert float(network.a.grad) == pytest.approx(unit * slope, rel=1e-6)


def test_rollouts_grow_with_the_epochs() -> None:
    assert [rollout_steps(epoch, 8, 4, 0.5) for epoch in range(8)] == [1, 1, 2, 3, 4, 4, 4, 4]
    assert [rollout_steps(epoch, 6, 3, 0.9) for epoch in range(6)] == [1, 1, 1, 2, 2, 2]
    assert [rollout_steps(epoch, 3, 5, 0.0) for epoch in range(3)] == [5, 5, 5]
    assert [rollout_steps(epoch, 10, 2, 0.7) for epoch in (6, 7)] == [
        1,
        2,
    ]  # .7 * 10 is more than 7 in binary


def test_validation_has_all_steps_from_the_first_epoch_on(monkeypatch: pytest.MonkeyPatch) -> None:
    step = step_of(*CASES["alone"])
    objective = Unrolled(step, unrolled(4, grow=0.5, epochs=8)).double()
    frames = torch.randn(2, 5, 2, *SPHERE.shape, generator=torch.Generator().manual_seed(8)).double()
    batch = Batch(frames, torch.zeros(2).double())
    for epoch, steps in ((0, 1), (2, 2), (4, 4), (7, 4)):
        monkeypatch.setattr(Objective, "current_epoch", epoch)
        assert torch.equal(objective.minimised(batch, []), objective.unrolled(batch, [], steps))
        assert torch.equal(objective.loss(batch, []), objective.unrolled(batch, [], 4))


CONFIG = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 8))),
    model=ModelConfig(preset="mini", patch=(4,), width=24, depth=1, heads=2),
    training=unrolled(3, grow=0.6, epochs=4, batch_size=7, warmup_steps=3, shift=("x",)),
)


@pytest.fixture(scope="module")
def fields() -> Fields:
    config = SimulateConfig(
        equation="advection", parameters={"velocity": [0.7]}, shape=(16,), samples=8, steps=6, cutoff=2.0
    )
    return load(simulate(config))


def test_an_interrupted_run_goes_on_with_its_length(
    fields: Fields, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gridvit"):
        whole = fit(plan(CONFIG, fields), tmp_path / "whole")
    grown = [r.message for r in caplog.records if "rollouts" in r.message]
    assert grown == [
        "epoch 1: rollouts of 1 step",
        "epoch 3: rollouts of 2 steps",
        "epoch 4: rollouts of 3 steps",
    ]
    assert "20 training windows" in caplog.text  # 5 samples of 7 times, 4 frames each
    stopped = Objective.training_step

    def interrupt(self: Objective, batch: Batch, index: int) -> Tensor:
        if self.current_epoch == 2 and index == 1:
            raise RuntimeError("power cut")
        return stopped(self, batch, index)

    with monkeypatch.context() as patch:
        patch.setattr(Objective, "training_step", interrupt)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(plan(CONFIG, fields), tmp_path / "cut")
    resumed = fit(plan(CONFIG, fields), tmp_path / "cut")
    for (name, one), two in zip(whole.state_dict().items(), resumed.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    rows = [read_metrics(tmp_path / run / "metrics.csv") for run in ("whole", "cut")]
    assert [r["train_loss"] for r in rows[0]] == [r["train_loss"] for r in rows[1]]


def test_windows_hold_the_whole_rollout(fields: Fields) -> None:
    made = plan(CONFIG, fields)
    windows = Windows(fields, Unrolled(made.model, CONFIG.training).offsets)
    assert (len(windows), windows[0].frames.shape) == (8 * 4, (1, 4, 1, 16))
    assert [kind(made.model, CONFIG.training).passes for kind in (NextStep, Unrolled)] == [1, 3]


def test_a_rollout_longer_than_the_trajectories_is_refused(fields: Fields) -> None:
    config = replace(CONFIG, training=unrolled(7), evaluation=EvaluationConfig(leads=1))
    with pytest.raises(InputError) as error:
        plan(config, fields)
    assert str(error.value) == (
        "expected training.objective.steps that fit into the 7 times of the train part, got 7, which take 8: "
        "take fewer steps, or longer trajectories"
    )
    assert plan(replace(config, training=unrolled(6, batch_size=5)), fields).model is not None


@pytest.mark.parametrize(
    ("channels", "sentence"),
    [
        (
            Channels(("u",), predictor=("p",)),
            "expected one step, as p is not known beyond the present, got training.objective.kind unrolled: "
            "take next-step, or make it a forcing or a variable",
        ),
        (
            Channels(("u",), leads=(1, 3)),
            "expected one of data.leads where training.objective.kind is unrolled, got [1, 3]: "
            "leave the others out: they are steps of the rollout",
        ),
        (
            Channels(("u",), leads=(2,), history=3),
            "expected frames a step of the model apart (data.leads [2]) in rollouts, "
            "got data.history 3 of frames a step of the data apart: "
            "set data.stride to the lead and data.leads to [1], or data.history to 1",
        ),
    ],
)
def test_what_cannot_be_rolled_out_is_refused(channels: Channels, sentence: str) -> None:
    with pytest.raises(InputError) as error:
        Unrolled.refuse(CONFIG, channels, {})
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            ["--training.objective.steps", "3"],
            "expected training.objective.kind unrolled where steps is set, got next-step: "
            "leave it out, or choose the kind",
        ),
        (
            ["--training.objective.kind", "unrolled", "--training.objective.steps", "0"],
            "expected training.objective.steps of at least 1, got 0: correct it",
        ),
        (
            ["--training.objective.kind", "unrolled", "--training.objective.grow", "1"],
            "expected training.objective.grow below 1, got 1.0: leave epochs for the whole length",
        ),
    ],
)
def test_options_are_refused_in_a_sentence(options: list[str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        parse(RunConfig, options)
    assert str(error.value) == sentence
