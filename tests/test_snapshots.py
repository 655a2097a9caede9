"""What a run keeps of its training, and what attention was meanwhile."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.config import DataConfig, ModelConfig, RunConfig, SimulateConfig, TrainingConfig
from gridvit.data.simulate import simulate
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.run import train
from gridvit.run.analyse import analyse
from gridvit.run.folder import RunFolder
from gridvit.run.measures import MEASURES
from gridvit.run.over import attention_over, attention_over_runs, attention_over_training
from gridvit.run.subject import Subject
from gridvit.training.devices import refuse_devices
from gridvit.training.snapshots import snapshots


@pytest.fixture(scope="module")
def data() -> xr.Dataset:
    return simulate(SimulateConfig(shape=(8,), steps=4, samples=13, cutoff=2.0, scheme="upwind"))


def config(root: Path, name: str, **training: object) -> RunConfig:
    return RunConfig(
        name,
        str(root),
        DataConfig(),
        ModelConfig(preset="mini", patch=(2,), width=24, depth=2, heads=2),
        TrainingConfig(
            epochs=3, batch_size=8, learning_rate=1e-2, warmup_steps=1, accelerator="cpu", **training
        ),
    )


@pytest.fixture(scope="module")
def runs(data: xr.Dataset, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    root = tmp_path_factory.mktemp("runs")
    kept = [train(config(root, f"kept_{n}", keep=(0, 1, 3), seed=n), data) for n in (0, 1)]
    return [*kept, train(config(root, "plain"), data)]


def test_weights_are_kept_and_training_is_the_same(runs: list[Path]) -> None:
    kept, _, plain = runs
    assert list(snapshots(kept)) == [0, 1, 3]
    assert snapshots(plain) == {}
    losses = [(run / "metrics.csv").read_text() for run in (kept, plain)]
    columns = [[line.split(",")[:3] for line in text.splitlines()] for text in losses]
    assert columns[0] == columns[1]
    untrained, final = (Forecaster.load(snapshots(kept)[epoch]).step for epoch in (0, 3))
    assert not untrained.network.decode.weight.any()
    assert final.network.decode.weight.any()
    assert (kept / "model.safetensors").is_file()
    assert "snapshots" in {entry.name for entry in kept.iterdir()}
    RunFolder(kept).refuse(RunFolder(kept).config, overwrite=True)  # nothing in it is strange


def test_attention_over_the_training_and_over_runs(runs: list[Path], data: xr.Dataset) -> None:
    kept, other, plain = runs
    found = analyse(kept, data)
    assert found["epoch"].values.tolist() == [0, 1, 3]
    table = found["training_attention_distance"]
    assert table.dims == ("epoch", "layer", "head")
    assert abs(table.diff("epoch")).max() > 1e-3
    (measure,) = (each for each in MEASURES if each.found is attention_over_training)
    assert measure.missing(Subject.of(RunFolder(plain), data)) == "training.keep asked for no snapshots"
    both = attention_over_runs([kept, other], data)
    assert both["run"].values.tolist() == ["kept_0", "kept_1"]
    assert both["attention_distance"].dims == ("run", "epoch", "layer", "head")
    np.testing.assert_allclose(both["attention_distance"].isel(run=0), table, rtol=1e-6)
    alone = attention_over_runs([plain], data)["attention_distance"]
    assert alone.dims == ("run", "layer", "head")


def test_several_models_at_the_same_states(runs: list[Path], data: xr.Dataset) -> None:
    subject = Subject.of(RunFolder(runs[0]), data)
    found = attention_over(subject, {"a": subject.step, "b": runs[0], "c": runs[1]}, "model")
    assert found["model"].values.tolist() == ["a", "b", "c"]
    rows = found["attention_distance"]
    xr.testing.assert_identical(rows.sel(model="a", drop=True), rows.sel(model="b", drop=True))
    assert not np.allclose(rows.sel(model="a"), rows.sel(model="c"))


def test_what_cannot_be_kept_is_refused() -> None:
    with pytest.raises(InputError) as error:
        TrainingConfig(keep=(3, -1))
    assert str(error.value) == "expected training.keep of at least 0, got (3, -1): correct it"
    with pytest.raises(InputError) as error:
        refuse_devices(TrainingConfig(strategy="shard", keep=(3,), accelerator="cpu"))
    assert str(error.value) == (
        "expected no training.keep where training.strategy is shard, got [3]: "
        "leave it out: no process has the whole network"
    )
