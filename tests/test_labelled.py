"""Runs that label: what was planted is found, and the command line leads from labels to scores."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from task_data import LABELLED, TINY, labelled, made, waves
from torch import Tensor

import gridvit
from gridvit import checkpoint
from gridvit.cli import main
from gridvit.config import DataConfig, RunConfig, Split
from gridvit.data.fields import load
from gridvit.data.samples import Windows
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.nn.heads import Detected
from gridvit.rollout import Context
from gridvit.training.objectives.labelled import Detection, cell_offsets
from gridvit.training.plan import plan
from gridvit.training_config import ObjectiveConfig, StartConfig

LOG = math.log


def planned(kind: str, data: xr.Dataset, config: RunConfig | None = None, **options: Any) -> Any:
    config = config or labelled(kind, **options)
    return plan(config, load(data, config.data))


def with_labels(data: xr.Dataset, labels: xr.DataArray) -> xr.Dataset:
    return data.assign(label=labels.astype(float).transpose(*data["u"].dims))


@pytest.fixture(scope="module")
def sign() -> xr.Dataset:
    """On which side of zero a wave is."""
    data = waves()
    return with_labels(data, data["u"] > 0)


def test_offsets_of_cells_in_their_tokens(sign: xr.Dataset) -> None:
    step = planned("detection", sign).model
    offsets = cell_offsets(step)
    assert offsets.shape == (4, 4, 1)
    expected = torch.tensor([-0.375, -0.125, 0.125, 0.375])
    torch.testing.assert_close(offsets[:, :, 0], expected.expand(4, 4))


def test_the_target_of_a_detection_is_the_cell_of_the_label(sign: xr.Dataset) -> None:
    objective = planned("detection", sign).objective()
    assert isinstance(objective, Detection)
    labels = torch.zeros(1, 16)
    labels[0, [2, 7]] = 1  # tokens 0 and 1
    labels[0, 12] = torch.nan  # token 3 is not known
    found = Detected(torch.zeros(1, 4), torch.zeros(1, 4, 1))
    huber = (0.125 - 0.05) + (0.375 - 0.05)
    assert float(objective.against(found, labels, None)) == pytest.approx((3 * LOG(2) + huber) / 2, rel=1e-5)


def test_labels_move_with_the_shifts(sign: xr.Dataset) -> None:
    config = labelled("segmentation")
    ready = planned("segmentation", sign, made(config, shift=("x",)))
    objective = ready.objective()
    torch.nn.init.normal_(objective.head.read[1].weight)
    windows = Windows(ready.parts["train"]).__getitems__(range(5))
    seen: list[Tensor] = []
    against = objective.against

    def watched(found: Tensor, labels: Tensor, taught: Tensor | None) -> Tensor:
        seen.append(labels)
        return against(found, labels, taught)

    objective.against = watched  # type: ignore[method-assign]
    # by whole tokens, of which the network knows no other position than by distance: the loss stays
    losses = [objective.loss(windows, shifts) for shifts in ([], [4], [8])]
    assert torch.equal(seen[1], seen[0].roll(4, -1))
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(losses[0], losses[2])


@pytest.mark.parametrize("ahead", [False, True])
def test_labels_are_those_of_the_state_or_of_a_lead_later(sign: xr.Dataset, ahead: bool) -> None:
    ready = planned("segmentation", sign, ahead=ahead)
    objective = ready.objective()
    windows = Windows(ready.parts["train"]).__getitems__([0, 1])
    seen: list[Tensor] = []
    objective.against = lambda found, labels, taught: seen.append(labels) or found.sum()
    objective.loss(windows, [])
    first = sign["label"].values[0, int(ahead) :]
    np.testing.assert_array_equal(seen[0].numpy(), first[:2])


BUMPS = Grid.regular((6, 10))


def bumps(samples: int, seed: int) -> xr.Dataset:
    """A bump or two at random cells of a torus, two independent states a sample."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((samples, 2, 60))
    for state in labels.reshape(-1, 60):
        state[rng.choice(60, rng.integers(1, 3), replace=False)] = 1
    fields = (labels[..., None] * np.exp(-(BUMPS.distances() ** 2) / 2)).sum(-2).reshape(samples, 2, 6, 10)
    u = fields + 0.05 * rng.standard_normal(fields.shape)
    dims = ("sample", "time", "y", "x")
    coords = {"time": [0.0, 1.0], "y": np.arange(6) + 0.5, "x": np.arange(10) + 0.5}
    return xr.Dataset({"u": (dims, u), "label": (dims, labels.reshape(fields.shape))}, coords)


def test_planted_bumps_are_found(tmp_path: Path) -> None:
    data = bumps(260, 3)
    roles = replace(LABELLED, periodic={"y": True, "x": True})
    split = Split(train=(0, 220), validate=(220, 240), test=(240, 260))
    config = replace(
        labelled("detection"), root=str(tmp_path), data=replace(roles, split=split),
        model=replace(TINY.model, patch=(2, 2), width=32, heads=2),
    )  # fmt: skip
    how = {"epochs": 8, "batch_size": 16, "learning_rate": 6e-3, "warmup_steps": 10}
    path = gridvit.train(made(config, **how), data)
    scores = gridvit.evaluate(path, data)["score"].sel(model="trained")
    assert scores.sel(measure="F1") > 0.9
    assert scores.sel(measure="distance (tokens)") < 0.25  # half a cell of two
    labeller = gridvit.Labeller.load(path)
    said = labeller(data.drop_vars("label").isel(sample=slice(240, 260)))
    assert said["label"].dims == data["label"].dims
    held = said["label_probability"].notnull()
    assert (held.sum(("y", "x")) <= 15).all()
    right = (said["label"] * data["label"].isel(sample=slice(240, 260))).sum() / said["label"].sum()
    assert right > 0.8  # the very cell
    near = np.abs(said["label_x"] - said["x"]).where(said["label"] == 1)
    assert float(near.max()) <= 0.5 + 1e-6


@pytest.fixture(scope="module")
def run(sign: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that tells the sign, by the command line."""
    root = tmp_path_factory.mktemp("sign")
    sign.to_netcdf(root / "sign.nc")
    options = ["--data.predictors", "[u]", "--data.diagnostics", "[label]", "--training.objective.kind", "segmentation",
               "--model.patch", "[4]", "--model.preset", "mini",
               "--model.width", "24", "--model.depth", "1", "--model.heads", "2",
               "--training.epochs", "4", "--training.learning_rate", "1e-2", "--training.warmup_steps", "3",
               "--training.accelerator", "cpu"]  # fmt: skip
    assert main(["train", "--data.path", str(root / "sign.nc"), "--root", str(root), *options]) == 0
    return root / "run"


def test_the_command_line_from_labels_to_scores(
    run: Path, sign: xr.Dataset, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(run)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split() == ["model", "accuracy", "mean", "IoU", "mean", "F1"]
    assert main(["evaluate", str(run), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out)
    trained, common = np.array(scores["data_vars"]["score"]["data"])
    assert trained[0] > 0.85 > common[0]
    # by hand, from what the labeller says of the test part: samples 8 of 9, of whose times the last is no start
    test = sign.isel(sample=[8], time=slice(None, -1))
    said = gridvit.Labeller.load(run)(test.drop_vars("label"))["label"]
    assert float((said == test["label"]).mean()) == pytest.approx(trained[0])
    assert main(["report", str(run)]) == 0
    assert main(["forecast", str(run), str(run.parent / "sign.nc"), "--out", str(run.parent / "f.nc")]) == 2
    assert capsys.readouterr().err == (
        f"gridvit: expected a model that forecasts, got {run}/model.safetensors, trained for training.objective.kind "
        "segmentation: load it as gridvit.Labeller\n"
    )


def test_a_loaded_model_labels_as_the_trained_one(sign: xr.Dataset, run: Path) -> None:
    labeller = gridvit.Labeller.load(run)
    best = torch.load(run / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    for name, value in labeller.labels.head.state_dict().items():
        assert torch.equal(value, best[f"head.{name}"])
    state = torch.randn(3, 2, 16)
    inputs = labeller.labels.step.inputs(state)
    assert torch.equal(labeller.labels(state), labeller.labels.headed(inputs))
    assert labeller.labels(state).shape == (3, 2, 16)


def test_a_model_that_forecasts_does_not_label(tmp_path: Path) -> None:
    path = gridvit.train(replace(made(epochs=1), root=str(tmp_path)), waves())
    with pytest.raises(InputError) as error:
        gridvit.Labeller.load(path)
    assert str(error.value) == (
        f"expected a model that labels, got {path}/model.safetensors, trained for training.objective.kind forecast: "
        "load it as gridvit.Forecaster"
    )


def test_classes_of_states_are_told(tmp_path: Path) -> None:
    """One wave along the circle, or two."""
    rng = np.random.default_rng(4)
    phase, label = rng.random((60, 2, 1)) * 2 * np.pi, rng.integers(0, 2, (60, 2, 1)).astype(float)
    x = np.arange(16) + 0.5
    u = np.sin(2 * np.pi * x / 16 * (1 + label) + phase)
    dims = ("sample", "time", "x")
    fields = {"u": (dims, u), "label": (dims, np.broadcast_to(label, u.shape))}
    data = xr.Dataset(fields, {"time": [0.0, 1.0], "x": x})
    split = Split(train=(0, 40), validate=(40, 50), test=(50, 60))
    config = replace(labelled("classification"), root=str(tmp_path))
    config = replace(config, data=replace(config.data, split=split, periodic={"x": True}))
    path = gridvit.train(made(config, epochs=15, batch_size=8, learning_rate=5e-3), data)
    scores = gridvit.evaluate(path, data)["score"].sel(measure="accuracy")
    assert scores.sel(model="trained") > 0.9 > scores.sel(model="most frequent class")
    said = gridvit.Labeller.load(path)(data)
    assert said["label"].dims == ("sample", "time")


def test_a_labelled_run_starts_from_a_pretrained_one_and_from_its_like(
    sign: xr.Dataset, run: Path, tmp_path: Path
) -> None:
    pretrained = made(objective=ObjectiveConfig(kind="masked"), epochs=1)
    data: DataConfig = replace(TINY.data, variables=("u",))
    model = replace(TINY.model, depth=1)
    first = gridvit.train(replace(pretrained, root=str(tmp_path), data=data, model=model), sign)
    for start, head in ((first, False), (run, True)):
        config = made(
            replace(labelled("segmentation"), model=model), objective=ObjectiveConfig(kind="segmentation"),
            start=StartConfig(run=str(start), train="head"),
        )  # fmt: skip
        ready = planned("", sign, config)
        assert not any(p.requires_grad for p in ready.model.parameters())
        assert ready.model.network.blocks[0].mlp[0].weight.requires_grad is False
        assert all(p.requires_grad for p in ready.head.parameters())
        theirs = checkpoint.read(start / "model.safetensors")[0]
        assert torch.equal(ready.model.network.embed.weight, theirs["network.embed.weight"])
        assert bool(ready.head.read[1].weight.any()) is head


@pytest.mark.parametrize("start", [{}, {"train": "last"}, {"train": "lora", "rank": 1}])
def test_every_weight_that_trains_has_a_gradient(
    start: dict[str, Any], sign: xr.Dataset, tmp_path: Path
) -> None:
    """Else several processes would wait for it."""
    model = replace(TINY.model, patch=(2,), levels=(1,), registers=1)
    config = replace(labelled("segmentation"), model=model)
    given = gridvit.train(replace(made(config, epochs=1), root=str(tmp_path)), sign) if start else ""
    ready = planned("", sign, made(config, start=StartConfig(run=str(given), **start)))
    torch.nn.init.normal_(ready.head.read[1].weight)
    windows = Windows(ready.parts["train"]).__getitems__(range(3))
    objective = ready.objective()
    objective.loss(windows, []).backward()
    trains = {name for name, p in objective.named_parameters() if p.requires_grad}
    assert trains == {name for name, p in objective.named_parameters() if p.grad is not None}
    assert any("blocks" in name or "down" in name for name in trains)


def test_a_run_that_labels_teaches_another(sign: xr.Dataset, run: Path) -> None:
    labels = gridvit.Labeller.load(run).labels
    options = {"trust": 0.25, "temperature": 3.0, "teacher": str(run)}
    ready = plan(labelled("segmentation", **options), load(sign, LABELLED), teacher=labels)
    windows = Windows(ready.parts["train"]).__getitems__(range(4))
    objective = ready.objective()
    # an untrained head gives no class a preference: CE is log 2, KL that to even odds at T = 3
    odds = torch.log_softmax(labels(windows.frames[:, 0]) / 3, 1).double()
    divergence = 9 * (LOG(2) + (odds.exp() * odds).sum(1)).mean()
    expected = 0.75 * LOG(2) + 0.25 * float(divergence.detach())
    assert float(objective.loss(windows, []).detach()) == pytest.approx(expected, rel=1e-5)
    taught = objective.taught(windows.frames[:, 0], Context(windows.time), [])
    assert taught.requires_grad is False


def wrong(data: xr.Dataset, config: RunConfig) -> str:
    with pytest.raises(InputError) as error:
        plan(config, load(data, config.data))
    return str(error.value)


def test_wrong_labels_are_refused(sign: xr.Dataset) -> None:
    segmentation, classification = labelled("segmentation"), labelled("classification")
    assert wrong(sign.assign(label=sign["label"] * 2), segmentation) == (
        "expected labels 0 to 1 or missing in 'label', got 2: correct them, or training.objective.classes"
    )
    assert wrong(sign.assign(label=sign["label"] * 0.5), labelled("detection")) == (
        "expected labels 0 to 1 or missing in 'label', got 0.5: correct the labels"
    )
    assert wrong(sign, classification) == (
        "expected one class for each state in 'label', got several: give it in all cells, or take segmentation"
    )
    assert wrong(sign, made(segmentation, reach=0.1)) == (
        "expected no training.reach for training.objective.kind segmentation, got 0.1: leave it out"
    )
    assert wrong(sign, made(segmentation, strategy="shard")) == (
        "expected training.strategy ddp where weights are frozen, or train beside the network, got shard for "
        "training.objective.kind segmentation and training.start.train all: change it"
    )
    none = replace(segmentation, data=replace(TINY.data, variables=("u",)))
    assert wrong(sign, none) == (
        "expected one label in data.diagnostics for training.objective.kind segmentation, got none: name the variable "
        "that holds it"
    )
    own = replace(segmentation, model=replace(TINY.model, kind="own", patch=(1,)))
    with pytest.raises(InputError, match="expected a network with attention, got one of your own"):
        plan(own, load(sign, own.data), network=torch.nn.Conv1d(1, 1, 1))


def test_a_teacher_of_other_labels_is_refused(
    sign: xr.Dataset, run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--data.predictors", "[u]", "--data.diagnostics", "[label]", "--model.patch", "[4]",
               "--root", str(tmp_path),
               "--training.objective.kind", "segmentation", "--training.objective.teacher", str(run)]  # fmt: skip
    assert (
        main(
            [
                "train",
                "--data.path",
                str(run.parent / "sign.nc"),
                *options,
                "--training.objective.classes",
                "3",
            ]
        )
        == 2
    )
    assert capsys.readouterr().err == (
        "gridvit: expected a teacher of segmentation into 3 classes from label, u, got segmentation into 2 classes "
        "from label, u: train one for the same\n"
    )
    fine = waves(32)
    with_labels(fine, fine["u"] > 0).to_netcdf(tmp_path / "fine.nc")
    assert main(["train", "--data.path", str(tmp_path / "fine.nc"), *options]) == 2
    said = capsys.readouterr().err
    grids = [load(each).grid.describe() for each in (sign, fine)]
    assert said.startswith(
        f"gridvit: expected a teacher on the grid of the run ({grids[1]}), got {grids[0]}: "
    )
