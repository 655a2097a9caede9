"""Distillation: the loss by hand, a solver's stencil in a network, and teachers that cannot teach."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from task_data import TINY, made, waves
from torch import Tensor, nn

import gridvit
from gridvit.channels import Channels
from gridvit.cli import main
from gridvit.config import ModelConfig, RunConfig, TrainingConfig
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.physics import AdvectionDiffusion, linear_scheme
from gridvit.rollout import Context, Persistence
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import Distilled, NextStep
from gridvit.training_config import ObjectiveConfig

SPHERE = Grid.latlon(5, 8, poles=True)


@dataclass(frozen=True)
class Shift:
    """u moved by one column, plus a constant."""

    grid: Grid
    dt: float = 1.0
    variables: tuple[str, ...] = ("u",)

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        return torch.roll(state, 1, -1) + 0.25


def untrained(channels: Channels | None = None, grid: Grid = SPHERE) -> ModelStep:
    """f = 0."""
    channels = channels or Channels(("u",))
    n, leads = len(channels.frame), len(channels.leads)
    numbers = torch.full((n,), 3.0), torch.full((n,), 2.0), torch.full((leads, n), 0.5)
    return ModelStep(
        ModelConfig(preset="mini", patch=(2, 2), width=24, depth=1, heads=2), grid, channels, 1.0, *numbers
    )


def options(trust: float) -> TrainingConfig:
    return TrainingConfig(objective=ObjectiveConfig(kind="distilled", trust=trust))


def batch(frames: int = 2, variables: int = 1) -> Batch:
    values = torch.randn(3, frames, variables, 5, 8, generator=torch.Generator().manual_seed(1))
    return Batch(values, torch.zeros(3, dtype=torch.float64))


def square(increment: Tensor) -> float:
    """The area-weighted mean of (increment / sigma_d)^2, of (.., row, column), by hand."""
    rows = np.diff(np.sin(np.deg2rad([-90, -67.5, -22.5, 22.5, 67.5, 90]))) / 2
    return float((((increment.double().numpy() / 0.5) ** 2).mean((0, 1, -1)) * rows).sum())


@pytest.mark.parametrize("trust", [0.0, 0.3, 1.0])
def test_the_loss_by_hand(trust: float) -> None:
    given = batch()
    before, after = given.frames[:, :1], given.frames[:, 1:]
    taught = torch.roll(before, 1, -1) + 0.25
    expected = (1 - trust) * square((after - before)[:, 0]) + trust * square((taught - before)[:, 0])
    found = Distilled(untrained(), options(trust), Shift(SPHERE)).loss(given, [])
    assert float(found.detach()) == pytest.approx(expected, rel=1e-5)


def test_later_leads_are_those_of_the_teachers_rollout() -> None:
    step = untrained(Channels(("u",), leads=(2, 6)))
    given = batch(frames=3)
    teacher = Distilled(step, options(1.0), Shift(SPHERE)).taught(given)
    start = given.frames[:, 0]
    assert torch.allclose(teacher[:, 0], torch.roll(start, 1, -1) + 0.25)
    assert torch.allclose(teacher[:, 1], torch.roll(start, 3, -1) + 0.75)


def test_what_the_teacher_does_not_say_is_that_of_the_data() -> None:
    step = untrained(Channels(("u",), ("y",), history=2))
    given = batch(frames=3, variables=2)
    found = Distilled(step, options(0.5), Shift(SPHERE)).taught(given)
    assert torch.equal(found[:, 0, 0], torch.roll(given.frames[:, 1, 0], 1, -1) + 0.25)
    assert torch.equal(found[:, 0, 1], given.frames[:, 2, 1])


def test_without_trust_the_loss_is_the_plain_one_bit_for_bit() -> None:
    step = untrained()
    nn.init.normal_(step.attending.decode.weight)  # type: ignore[arg-type]
    given = batch()
    plain, taught = NextStep(step, options(0.0)), Distilled(step, options(0.0), Shift(SPHERE))
    losses = [objective.loss(given, []) for objective in (plain, taught)]
    assert torch.equal(*losses)
    gradients = [torch.autograd.grad(loss, list(step.parameters()), allow_unused=True) for loss in losses]
    for one, two in zip(*gradients, strict=True):
        assert (one is None and two is None) or torch.equal(one, two)  # type: ignore[arg-type]


def test_a_linear_network_learns_the_stencil_of_a_solver_that_did_not_make_the_data() -> None:
    grid = Grid.regular(16, 16.0)
    # upwind: u_i - c (u_i - u_(i-1)) with c = 0.7; the data are noise, which knows nothing of it
    solver = linear_scheme("upwind", AdvectionDiffusion(velocity=0.7, diffusivity=0.0), grid, 1.0)
    network = nn.Conv1d(1, 1, 5, padding=2, padding_mode="circular", bias=False)
    nn.init.zeros_(network.weight)
    config = ModelConfig(kind="own", patch=(1,))
    numbers = (torch.tensor([value]) for value in (0.0, 1.0, 0.5))
    step = ModelStep(config, grid, Channels(("u",)), 1.0, *numbers, network=network)
    objective = Distilled(step, options(1.0), solver)
    frames = torch.randn(61, 2, 1, 16, generator=torch.Generator().manual_seed(7))
    given = Batch(frames, torch.zeros(61, dtype=torch.float64))
    optimiser = torch.optim.LBFGS(
        step.parameters(), line_search_fn="strong_wolfe", max_iter=100, tolerance_change=0
    )

    def loss() -> Tensor:
        optimiser.zero_grad()
        found = objective.loss(given, [])
        found.backward()
        return found.detach()

    optimiser.step(loss)  # type: ignore[arg-type]
    state = torch.randn(2, 1, 16, dtype=torch.float64)
    found = gridvit.probe(deepcopy(step).double(), state).mean("state").mean("cell")
    weights = dict(zip(found.offsets.ravel().tolist(), found.weights.tolist(), strict=True))
    expected = {-2: 0.0, -1: 0.7, 0: 0.3, 1: 0.0, 2: 0.0}
    assert weights.keys() == expected.keys()
    for offset, weight in expected.items():
        assert weights[offset] == pytest.approx(weight, abs=1e-5)


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return waves()


def test_a_run_and_the_solver_teach_by_name(data: xr.Dataset, tmp_path: Path) -> None:
    """The solver of exact data says what the data say, so that its run is the plain one."""
    config = replace(TINY, root=str(tmp_path))
    plain = gridvit.train(replace(config, name="plain"), data)
    losses = {}
    for name in ("solver", str(plain)):
        objective = ObjectiveConfig(kind="distilled", teacher=name)
        path = gridvit.train(replace(made(config, objective=objective), name=f"by_{Path(name).name}"), data)
        losses[name] = read_metrics(path / "metrics.csv")[-1]["train_loss"]
    assert losses["solver"] == pytest.approx(read_metrics(plain / "metrics.csv")[-1]["train_loss"], rel=1e-3)
    assert losses[str(plain)] < 0.9 * losses["solver"]  # whose answers are nearer to those of a network


def test_a_convolutional_network_of_ones_own_teaches_a_transformer(data: xr.Dataset, tmp_path: Path) -> None:
    def cnn() -> nn.Module:
        return nn.Conv1d(1, 1, 3, padding=1, padding_mode="circular")

    config = replace(TINY, root=str(tmp_path))
    own = replace(made(config, learning_rate=5e-2), name="cnn", model=replace(TINY.model, patch=(1,)))
    path = gridvit.train(own, data, model=cnn())
    teacher = gridvit.Forecaster.load(path, cnn()).step
    before = {name: value.clone() for name, value in teacher.state_dict().items()}
    student = made(
        config, objective=ObjectiveConfig(kind="distilled", trust=1.0), epochs=4, learning_rate=1e-2
    )
    run = gridvit.train(replace(student, name="student"), data, teacher=teacher)
    rows = read_metrics(run / "metrics.csv")
    assert rows[-1]["validate_loss"] < 0.7 * rows[0]["validate_loss"]
    for name, value in before.items():
        assert torch.equal(value, teacher.state_dict()[name])
    by_name = ObjectiveConfig(kind="distilled", teacher=str(path))
    with pytest.raises(InputError) as error:
        gridvit.train(replace(made(config, objective=by_name), name="by_name"), data)
    assert str(error.value) == (
        f"expected a teacher whose file says what it is, got {path}, a network of your own: give its step in Python: "
        "gridvit.train(config, teacher=gridvit.Forecaster.load(run, model).step)"
    )
    saved = gridvit.run.folder.RunFolder(run).config.training.objective
    assert (saved.kind, saved.teacher) == ("distilled", "given")
    with pytest.raises(InputError) as error:
        gridvit.train(
            replace(student, name="again", training=replace(student.training, objective=saved)), data
        )
    assert str(error.value) == (
        "expected the teacher that this run was started with, got none: give it in Python: teacher=..."
    )


def refused(teacher: object, step: ModelStep | None = None) -> str:
    with pytest.raises(InputError) as error:
        Distilled(step or untrained(), options(0.5), teacher)  # type: ignore[arg-type]
    return str(error.value)


def test_teachers_that_cannot_teach_are_refused() -> None:
    other = Grid.latlon(5, 12, poles=True)
    assert refused(Shift(other)) == (
        f"expected a teacher on the grid of the run ({SPHERE.describe()}), got {other.describe()}: train the teacher "
        "on that grid, or move it there (ModelStep.on, gridvit.physics.Coarse)"
    )
    assert refused(Shift(SPHERE, variables=("v",))) == (
        "expected a teacher of u, in this order, got v: choose the same data.variables and data.history"
    )
    assert refused(Shift(SPHERE, dt=0.5)) == (
        "expected a teacher with the run's step of 1, got 0.5: change data.leads or data.stride, or repeat the "
        "teacher's step"
    )
    presence = torch.ones(1, 5, 8)
    presence[0, 0] = 0.5
    numbers = (torch.tensor([value]) for value in (3.0, 2.0, 0.5))
    gaps = ModelStep(ModelConfig(preset="mini",
                                 patch=(2, 2), width=24, depth=1, heads=2), SPHERE, Channels(("u",)), 1.0, *numbers,
                     presence=presence)  # fmt: skip
    assert refused(Persistence(SPHERE, 1.0, ("u",)), gaps) == (
        "expected data without gaps and given boundaries for a teacher that is no gridvit model, got some with: fill "
        "them, or let a trained run teach"
    )


def test_a_teacher_on_another_grid_leaves_nothing_behind(data: xr.Dataset, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a teacher on the grid of the run "):
        gridvit.train(replace(TINY, root=str(tmp_path)), data, teacher=Shift(Grid.regular(17)))
    assert not list(tmp_path.iterdir())


def test_wrong_teachers_are_refused_by_the_command_line(
    data: xr.Dataset, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data.to_netcdf(tmp_path / "made.nc")
    data.drop_attrs().to_netcdf(tmp_path / "found.nc")
    for file, chosen, sentence in (
        (
            "made.nc",
            ["--training.objective.kind", "distilled"],
            "expected a teacher for training.objective.kind distilled, got none: name a run, or solver, in "
            "objective.teacher",
        ),
        (
            "found.nc",
            ["--training.objective.kind", "distilled", "--training.objective.teacher", "solver"],
            "expected a file of gridvit simulate, as it was written and with one solver for all trajectories, got "
            "another: let a run teach, or give a Step in Python: teacher=...",
        ),
        (
            "made.nc",
            ["--training.objective.trust", "0.5", "--training.objective.kind", "distilled",
             "--training.objective.trust", "2"],
            "expected training.objective.trust of at most 1, got 2.0: correct it",
        ),
        (
            "made.nc",
            ["--training.objective.teacher", "solver"],
            "expected training.objective.kind distilled or segmentation or classification where teacher is set, got "
            "next-step: leave it out, or choose the kind",
        ),
    ):  # fmt: skip
        given = [
            "train",
            "--data.path",
            str(tmp_path / file),
            "--root",
            str(tmp_path / "runs"),
            "--model.patch",
            "[4]",
        ]
        assert main([*given, *chosen]) == 2
        assert capsys.readouterr().err == f"gridvit: {sentence}\n"
    assert not (tmp_path / "runs").exists()


def test_the_default_is_no_teacher() -> None:
    assert RunConfig().training.objective == ObjectiveConfig()
    assert ObjectiveConfig().teacher == ""
