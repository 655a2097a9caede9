"""Masked patches: what is hidden is not seen, only what is hidden is learned, and the rest of a run goes on from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from task_data import LABELLED, TINY, made, waves
from torch import Tensor

import gridvit
from gridvit import checkpoint
from gridvit.channels import Channels
from gridvit.cli import main
from gridvit.config import DataConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.data.fields import load
from gridvit.data.samples import Batch
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn import ModelStep
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import Masked, NextStep
from gridvit.training.objectives import masked as home
from gridvit.training.plan import plan
from gridvit.training.train import fit
from gridvit.training_config import ObjectiveConfig, StartConfig

SMALL = ModelConfig(preset="mini", patch=(2, 3), width=32, depth=1, heads=2)
TORUS, SPHERE = Grid.regular((8, 12)), Grid.latlon(7, 12, poles=True)


def objective(
    config: ModelConfig = SMALL, grid: Grid = TORUS, channels: Channels | None = None, share: float = 0.6,
    presence: Tensor | None = None,
) -> Masked:  # fmt: skip
    channels = channels or Channels(("u", "v"))
    frame = len(channels.frame)
    torch.manual_seed(2)
    numbers = torch.arange(1.0, frame + 1), torch.arange(2.0, frame + 2), torch.ones(1, frame)
    step = ModelStep(config, grid, channels, 1.0, *numbers, presence=presence)
    return Masked(step, TrainingConfig(seed=5, objective=ObjectiveConfig(kind="masked", share=share)))


def batch(frames: int = 2, variables: int = 2, grid: Grid = TORUS, windows: int = 3) -> Batch:
    values = torch.randn(windows, frames, variables, *grid.shape, generator=torch.Generator().manual_seed(4))
    return Batch(values, torch.zeros(windows, dtype=torch.float64))


def hidden_cells(masked: Masked, windows: int = 3) -> Tensor:
    """By hand: the patch of each cell."""
    grid, (rows, columns) = masked.step.grid, masked.step.token_grid.shape
    patch = [-(-n // m) for n, m in zip(grid.shape, (rows, columns), strict=True)]
    token = (torch.arange(grid.shape[0]) // patch[0])[:, None] * columns + torch.arange(
        grid.shape[1]
    ) // patch[1]
    return masked.hidden(windows)[:, token]


@pytest.mark.parametrize("grid", [TORUS, SPHERE])
def test_the_loss_by_hand(grid: Grid) -> None:
    masked, given = objective(grid=grid), batch(grid=grid)
    state = given.frames[:, 0].double().numpy()
    normal = (state - np.array([1, 2])[:, None, None]) / np.array([2, 3])[:, None, None]
    edges = np.deg2rad([-90, -75, -45, -15, 15, 45, 75, 90])
    area = np.ones(8) if grid is TORUS else np.diff(np.sin(edges))
    hidden = hidden_cells(masked).numpy()
    weights = area[:, None] * hidden
    # untrained: f = 0; each window and variable is a mean over its own hidden cells
    expected = (normal**2 * weights[:, None]).sum((2, 3)) / weights.sum((1, 2))[:, None]
    assert float(masked.loss(given, []).detach()) == pytest.approx(expected.mean(), rel=1e-5)


def test_cells_that_are_seen_give_no_gradient() -> None:
    masked, given = objective(), batch()
    seen: list[Tensor] = []
    outputs = masked.step.outputs

    def watched(*args: object, **kwargs: object) -> Tensor:
        seen.append(outputs(*args, **kwargs).requires_grad_())  # type: ignore[arg-type]
        seen[0].retain_grad()
        return seen[0]

    masked.step.outputs = watched  # type: ignore[method-assign]
    masked.loss(given, []).backward()
    gradient, hidden = seen[0].grad, hidden_cells(masked)
    assert gradient is not None
    gradient = gradient[:, 0].abs().amax(1)
    assert not gradient[~hidden].any()
    assert (gradient[hidden] > 0).all()


@pytest.mark.parametrize(
    ("config", "channels"),
    [
        (SMALL, Channels(("u", "v"))),
        (replace(SMALL, embed="conv", decode="conv", channels=5), Channels(("u", "v"))),
        (replace(SMALL, patch=(2, 3), sizes=(1, 3), width=34), Channels(("u", "v"))),
        (replace(SMALL, patch=(2, 3), levels=(1,)), Channels(("u", "v"))),
        (replace(SMALL, tokens="frame"), Channels(("u",), predictor=("v",), history=2)),
    ],
)
def test_what_is_hidden_cannot_be_seen(config: ModelConfig, channels: Channels) -> None:
    masked = objective(config, channels=channels)
    for name, parameter in masked.step.named_parameters():
        if "decode" in name or "skip" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    found: list[Tensor] = []
    outputs = masked.step.outputs

    def watched(*args: object, **kwargs: object) -> Tensor:
        found.append(outputs(*args, **kwargs))  # type: ignore[arg-type]
        return found[-1]

    masked.step.outputs = watched  # type: ignore[method-assign]
    given = batch(frames=channels.history + 1)
    hidden = hidden_cells(masked)[:, None, None]
    for frames in (
        given.frames,
        torch.where(hidden, 10.0, given.frames),
        torch.where(hidden, given.frames, 10.0),
    ):
        masked.loss(given._replace(frames=frames), [])
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[0], found[2])


def test_the_network_is_told_which_tokens_are_hidden() -> None:
    masked, given = objective(), batch()
    torch.nn.init.normal_(masked.step.attending.decode.weight)  # type: ignore[arg-type]
    before = float(masked.loss(given, []).detach())
    masked.loss(given, []).backward()
    assert masked.token.grad is not None
    assert masked.token.grad.any()
    with torch.no_grad():
        masked.token.normal_()
    assert float(masked.loss(given, []).detach()) != before
    assert not masked.step.attending.embed._forward_hooks  # nothing stays behind


@pytest.mark.parametrize(("share", "count"), [(0.6, 10), (0.001, 1), (0.999, 15)])
def test_as_many_patches_are_hidden_as_asked(share: float, count: int) -> None:
    hidden = objective(share=share).hidden(7)
    assert hidden.shape == (7, 16)
    assert (hidden.sum(1) == count).all()


def test_what_is_hidden_is_a_function_of_seed_and_step() -> None:
    masked, other = objective(), objective()
    assert torch.equal(masked.hidden(5), other.hidden(5))
    assert not torch.equal(masked.hidden(5)[0], masked.hidden(5)[1])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Masked, "global_step", 1)
        assert not torch.equal(masked.hidden(5), other.eval().hidden(5))
        later = masked.train().hidden(5)
    assert not torch.equal(later, masked.hidden(5))
    other.config = replace(other.config, seed=6)
    assert not torch.equal(masked.hidden(5), other.train().hidden(5))


def test_several_processes_hide_what_one_would() -> None:
    masked = objective()
    whole = masked.hidden(7)
    for number, rows in enumerate((slice(0, 3), slice(3, 7))):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(home, "world", lambda: 2)
            patch.setattr(home, "rank", lambda number=number: number)
            patch.setattr(home, "summed", lambda windows: windows.new_tensor(7.0))
            assert torch.equal(masked.hidden(rows.stop - rows.start), whole[rows])


def test_each_patch_is_hidden_as_often_as_any_other() -> None:
    share = objective(share=0.25).hidden(4000).double().mean(0)
    assert (share - 0.25).abs().max() < 0.03  # four standard deviations of sqrt(3 / 16 / 4000)


def test_missing_cells_are_no_targets() -> None:
    presence = torch.ones(2, 8, 12)
    presence[0, :, :3] = 0  # land of u
    masked, given = objective(presence=presence), batch()
    frames = given.frames.clone()
    frames[:, :, 0, :, :3] = torch.nan
    hidden = hidden_cells(masked).numpy()
    normal = (frames[:, 0].numpy() - np.array([1, 2])[:, None, None]) / np.array([2, 3])[:, None, None]
    there = hidden[:, None] & ~np.isnan(normal)
    expected = [(normal[b, c][there[b, c]] ** 2).mean() for b in range(3) for c in range(2)]
    assert float(masked.loss(given._replace(frames=frames), []).detach()) == pytest.approx(
        np.mean(expected), rel=1e-5
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pretrained run."""
    config = made(objective=ObjectiveConfig(kind="masked"))
    return gridvit.train(replace(config, root=str(tmp_path_factory.mktemp("masked"))), waves())


def test_a_pretrained_run_forecasts_nothing(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", str(run)]) == 2
    assert capsys.readouterr().err == (
        f"gridvit: expected a model that forecasts, got {run}/model.safetensors, trained for training.objective.kind "
        "masked: start another run from it: training.start.run\n"
    )
    names = checkpoint.read(run / "model.safetensors")[0]
    assert names.keys() == plan(TINY, load(waves())).model.state_dict().keys()


def test_an_interrupted_pretraining_ends_as_an_uninterrupted_one(tmp_path: Path) -> None:
    config, fields = made(objective=ObjectiveConfig(kind="masked"), shift=("x",), epochs=3), load(waves())
    whole = fit(plan(config, fields), tmp_path / "whole")
    stopped = Masked.training_step

    def interrupt(self: Masked, given: Batch, index: int) -> Tensor:
        if self.current_epoch == 1 and index == 2:
            raise RuntimeError("power cut")
        return stopped(self, given, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Masked, "training_step", interrupt)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(plan(config, fields), tmp_path / "cut")
    again = fit(plan(config, fields), tmp_path / "cut")
    for (name, one), two in zip(whole.state_dict().items(), again.state_dict().values(), strict=True):
        assert torch.equal(one, two), name
    rows = [read_metrics(tmp_path / name / "metrics.csv") for name in ("whole", "cut")]
    assert [row["validate_loss"] for row in rows[0]] == [row["validate_loss"] for row in rows[1]]


def test_what_cannot_be_hidden_is_refused() -> None:
    data = waves()
    config = made(objective=ObjectiveConfig(kind="masked"))
    blind = replace(config, data=replace(TINY.data, predictors=("u",), diagnostics=("w",)))
    for wrong, given, sentence in (
        (
            blind,
            data.assign(w=data["u"] ** 2),
            "expected data.variables to fill in for training.objective.kind masked, got none: name what the model "
            "will see",
        ),
        (
            replace(config, model=replace(TINY.model, patch=(16,))),
            data,
            "expected two or more patches, of which some are hidden, got one: lower model.patch",
        ),
    ):
        with pytest.raises(InputError) as error:
            plan(wrong, load(given, wrong.data))
        assert str(error.value) == sentence
    for share in (0.0, 1.0):
        with pytest.raises(
            InputError, match=f"expected training.objective.share between 0 and 1, got {share}: "
        ):
            ObjectiveConfig(kind="masked", share=share)


def noisy(samples: int, seed: int) -> xr.Dataset:
    """Waves under noise of twice their size, and on which side of zero they are."""
    data = waves(32, samples, seed=seed)
    u = data["u"] / data["u"].std()
    noise = np.random.default_rng(seed).standard_normal(u.shape)
    return data.assign(u=u + 2 * noise, label=(u > 0).astype(float))


def test_a_pretrained_start_is_better_than_a_cold_one_at_an_equal_small_budget(tmp_path: Path) -> None:
    """Many states without labels, then few with. To fill in a patch is to see through noise, so it serves both.

    It is no law: of states whose neighbours say all, as those of the advection alone, a cold start learns the next
    step faster.
    """
    model = replace(TINY.model, patch=(2,), width=32)
    base = replace(TINY, model=model, root=str(tmp_path))

    def run(config: RunConfig, name: str, data: xr.Dataset, roles: DataConfig, *ends: int) -> Path:
        first, second, third = ends
        split = Split(train=(0, first), validate=(first, second), test=(second, third))
        return gridvit.train(replace(config, name=name, data=replace(roles, split=split)), data)

    options = {"epochs": 12, "batch_size": 32, "learning_rate": 4e-3, "warmup_steps": 10}
    hidden = made(base, objective=ObjectiveConfig(kind="masked", share=0.25), **options)
    seen = replace(TINY.data, variables=("u",))
    first = run(hidden, "first", noisy(80, 1), seen, 72, 76, 80)
    losses = {}
    for start in ("", str(first)):
        labels = ObjectiveConfig(kind="segmentation")
        second = made(base, objective=labels, start=StartConfig(run=start), epochs=4, learning_rate=3e-3)
        path = run(second, f"second{bool(start)}", noisy(12, 2), LABELLED, 3, 11, 12)
        losses[start] = min(row["validate_loss"] for row in read_metrics(path / "metrics.csv"))
    assert losses[str(first)] < losses[""] - 0.03


def test_next_step_has_no_hidden_token() -> None:
    assert not hasattr(NextStep(objective().step, TrainingConfig()), "token")
