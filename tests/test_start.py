"""Starting from another run: what is taken over, what starts anew, what trains, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import xarray as xr
from task_data import TINY, made, waves
from torch import nn

import gridvit
from gridvit import checkpoint
from gridvit.cli import main
from gridvit.config import RunConfig
from gridvit.data.fields import load
from gridvit.errors import InputError
from gridvit.nn.lora import LowRank
from gridvit.training.objectives import NextStep
from gridvit.training.plan import Plan, plan
from gridvit.training.train import fit
from gridvit.training_config import ObjectiveConfig, StartConfig

PER_BLOCK = 24 + 2 * 2 * 8 + 2 * (24 + 24) + 2 * (24 + 96)  # heads of 12, of which 4 are the bias's
DECODER = 24 * 4 + 4 + 4 * 4  # weights and biases of the decoder, and the skip


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return waves()


@pytest.fixture(scope="module")
def runs(data: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs that others start from: "steps" and "masked"."""
    root = tmp_path_factory.mktemp("runs")
    gridvit.train(replace(made(TINY), root=str(root), name="steps"), data)
    masked = made(objective=ObjectiveConfig(kind="masked"))
    gridvit.train(replace(masked, root=str(root), name="masked"), data)
    return root


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return checkpoint.read(path / "model.safetensors")[0]


def planned(data: xr.Dataset, run: Path, config: RunConfig = TINY, **start: Any) -> Plan:
    return plan(made(config, start=StartConfig(run=str(run), **start)), load(data, config.data))


def trains(model: nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_all_is_taken_over_bit_for_bit(
    data: xr.Dataset, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gridvit"):
        model = planned(data, runs / "steps").model
    for name, value in tensors(runs / "steps").items():
        assert torch.equal(model.state_dict()[name], value), name
    count = sum(p.numel() for p in model.parameters())
    assert f"steps/model.safetensors; anew: nothing; {count} of {count} parameters train" in caplog.text


def test_the_decoder_of_a_pretrained_run_starts_anew(
    data: xr.Dataset, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "gridvit"):
        model = planned(data, runs / "masked").model
    assert "anew: decode, skip;" in caplog.text
    found, taken = model.state_dict(), tensors(runs / "masked")
    assert taken["network.decode.weight"].any()
    for name, value in taken.items():
        if name.startswith(("network.decode", "network.skip")):
            assert not found[name].any()
        else:
            assert torch.equal(found[name], value), name


def test_other_inputs_have_a_new_embedding_that_trains(data: xr.Dataset, runs: Path) -> None:
    config = replace(TINY, data=replace(TINY.data, history=2))
    model = planned(data, runs / "steps", config, train="head").model
    assert {name.split(".")[1] for name in trains(model)} == {"embed", "decode", "skip"}
    same = {
        n
        for n, v in tensors(runs / "steps").items()
        if n in model.state_dict() and n.startswith("network.blocks")
    }
    assert same
    for name in same:
        assert torch.equal(model.state_dict()[name], tensors(runs / "steps")[name])


@pytest.mark.parametrize(
    ("start", "parts", "count"),
    [
        ({"train": "head"}, {"decode", "skip"}, DECODER),
        ({"train": "lora", "rank": 3}, {"blocks", "decode", "skip"}, DECODER + 3 * 2 * PER_BLOCK),
    ],
)
def test_parameters_that_train_are_as_many_as_by_hand(
    data: xr.Dataset, runs: Path, start: dict[str, Any], parts: set[str], count: int
) -> None:
    model = planned(data, runs / "steps", **start).model
    assert {name.split(".")[1] for name in trains(model)} == parts
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == count


def test_the_last_blocks_train(data: xr.Dataset, runs: Path) -> None:
    for blocks, first in ((1, {"1"}), (2, {"0", "1"})):
        names = trains(planned(data, runs / "steps", train="last", blocks=blocks).model)
        assert {name.split(".")[2] for name in names if ".blocks." in name} == first
        assert {name.split(".")[1] for name in names} == {"blocks", "norm", "decode", "skip"}


@pytest.mark.parametrize("train", ["head", "last", "lora"])
@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_what_is_frozen_does_not_move_by_a_bit(
    data: xr.Dataset, runs: Path, tmp_path: Path, train: str, ema: float
) -> None:
    ready = planned(
        data, runs / "steps", made(learning_rate=1e-2, weight_decay=0.5, ema=ema), train=train, rank=2
    )
    before = {name: value.clone() for name, value in ready.model.state_dict().items()}
    moves = trains(ready.model)
    objective = ready.objective()
    found: dict[str, torch.Tensor] = {}
    finish = objective.__class__.on_train_end

    def look(self: NextStep) -> None:
        found.update({name: value.clone() for name, value in self.step.state_dict().items()})
        finish(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NextStep, "on_train_end", look)
        fit(ready, tmp_path)
    assert found.keys() == before.keys()
    moved = {name for name, value in before.items() if not torch.equal(found[name], value)}
    assert moved <= moves
    assert {name.split(".")[1] for name in moved} == {name.split(".")[1] for name in moves}


def test_a_file_of_low_rank_updates_is_plain_and_forecasts_as_it_was_trained(
    data: xr.Dataset, runs: Path, tmp_path: Path
) -> None:
    start = StartConfig(run=str(runs / "steps"), train="lora", rank=2)
    config = replace(made(start=start, learning_rate=1e-2), root=str(tmp_path), name="low")
    path = gridvit.train(config, data)
    plain, low = tensors(runs / "steps"), tensors(path)
    assert {n: v.shape for n, v in plain.items()} == {n: v.shape for n, v in low.items()}
    name = "network.blocks.1.attention.value.weight"
    difference = torch.linalg.svdvals(low[name] - plain[name])
    assert difference[1] > 1e-4 > 1e3 * difference[2]  # of rank two
    assert torch.equal(low["network.blocks.1.norm_1.weight"], plain["network.blocks.1.norm_1.weight"])
    best = torch.load(path / "checkpoints" / "best.ckpt", weights_only=True)["state_dict"]
    again = plan(config, load(data, config.data))
    again.objective().load_state_dict(best)
    state = torch.randn(5, 1, 16)
    forecaster = gridvit.Forecaster.load(path)
    torch.testing.assert_close(forecaster.step(state), again.model.eval()(state), atol=1e-6, rtol=1e-5)


def test_an_interrupted_fine_tuning_ends_as_an_uninterrupted_one(
    data: xr.Dataset, runs: Path, tmp_path: Path
) -> None:
    def ready() -> Plan:
        return planned(data, runs / "steps", made(epochs=3), train="lora", rank=2)

    whole = fit(ready(), tmp_path / "whole")
    stopped = NextStep.training_step

    def interrupt(self: NextStep, batch: object, index: int) -> object:
        if self.current_epoch == 1 and index == 2:
            raise RuntimeError("power cut")
        return stopped(self, batch, index)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(NextStep, "training_step", interrupt)
        with pytest.raises(RuntimeError, match="power cut"):
            fit(ready(), tmp_path / "cut")
    for (name, one), two in zip(
        whole.state_dict().items(), fit(ready(), tmp_path / "cut").state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name


def test_a_start_on_another_grid_is_the_moved_model(runs: Path) -> None:
    fine = waves(32)
    model = planned(fine, runs / "steps").model
    moved = gridvit.Forecaster.load(runs / "steps").step.on(model.grid)
    for (name, ours), theirs in zip(
        model.network.state_dict().items(), moved.network.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, theirs), name
    assert not torch.equal(model.increment_std, moved.increment_std)  # statistics are those of the new data


REFUSED: list[tuple[Callable[[], tuple[xr.Dataset, RunConfig, dict[str, Any]]], str]] = [
    (
        lambda: (waves(), replace(TINY, model=replace(TINY.model, depth=3, bias="none")), {}),
        "expected the model of {run}/model.safetensors (model.depth 2, model.bias distance), got model.depth 3, "
        "model.bias none: set them as they are there, or start from another run",
    ),
    (
        lambda: (waves().assign_coords(x=waves()["x"] * 2), TINY, {}),
        "expected a grid of the metric and the periods of the model's ({grid}), got {other}: train on that grid",
    ),
    (
        lambda: (waves(), TINY, {"train": "last", "blocks": 3}),
        "expected training.start.blocks of at most 2, got 3: take fewer, or train all",
    ),
    (
        lambda: (waves().where(lambda ds: ds["u"] < 1.5), TINY, {}),
        "expected the network of {run}/model.safetensors, of as many gaps and of tokens of equal areas or not, as "
        "there, got one that differs in blocks.0.attention.bias.",
    ),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_cannot_be_started_from_is_refused(runs: Path, number: int) -> None:
    make, sentence = REFUSED[number]
    data, config, start = make()
    with pytest.raises(InputError) as error:
        planned(data, runs / "steps", config, **start)
    grids = gridvit.Forecaster.load(runs / "steps").grid.describe(), load(data, config.data).grid.describe()
    expected = sentence.format(run=runs / "steps", grid=grids[0], other=grids[1])
    assert str(error.value).startswith(expected)
    if not expected.endswith("."):
        assert str(error.value) == expected


def test_a_network_of_ones_own_starts_whole(data: xr.Dataset, tmp_path: Path) -> None:
    def network(cells: int) -> nn.Module:
        return nn.Conv1d(1, 1, cells, padding=cells // 2, padding_mode="circular")

    given = network(3)
    config = replace(TINY, model=replace(TINY.model, patch=(1,), kind="own"), root=str(tmp_path), name="cnn")
    path = gridvit.train(made(config), data, model=given)

    def ready(cells: int, **start: Any) -> Plan:
        config_ = made(config, start=StartConfig(run=str(path), **start))
        return plan(config_, load(data), network=network(cells))

    assert torch.equal(ready(3).model.network.network.weight, given.weight)  # type: ignore[union-attr]
    with pytest.raises(InputError) as error:
        ready(5)
    assert str(error.value) == (
        f"expected the network of {path}/model.safetensors, got one that differs in network.weight: give that one"
    )
    with pytest.raises(
        InputError, match="expected training.start.train all for a network of your own, got head: "
    ):
        ready(3, train="head")


def test_bad_options_are_refused_by_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    waves().to_netcdf(tmp_path / "data.nc")
    given = ["train", "--data.path", str(tmp_path / "data.nc"), "--root", str(tmp_path)]
    for options, sentence in (
        (
            ["--training.start.train", "head"],
            "gridvit: expected a trained run in training.start.run for training.start.train head, got none: name one\n",
        ),
        (
            ["--training.start.run", str(tmp_path / "gone")],
            f"gridvit: expected a trained run, got no {tmp_path}/gone: name the folder of a finished run\n",
        ),
        (
            ["--training.start.run", "x", "--training.start.rank", "0"],
            "gridvit: expected training.start.rank of at least 1, got 0: correct it\n",
        ),
    ):
        assert main([*given, "--model.patch", "[4]", *options]) == 2
        assert capsys.readouterr().err == sentence
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["data.nc"]


def test_low_rank_layers_are_those_of_the_blocks(data: xr.Dataset, runs: Path) -> None:
    model = planned(data, runs / "steps", train="lora", rank=1).model
    low = {name for name, module in model.network.named_modules() if isinstance(module, LowRank)}
    parts = ("attention.query_key", "attention.value", "attention.out", "mlp.0", "mlp.2")
    assert low == {f"blocks.{n}.{part}" for n in range(2) for part in parts}
