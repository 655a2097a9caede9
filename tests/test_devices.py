"""Two processes on CPUs train as one with the same batches; they go on together, and write once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from gridvit.cli import main
from gridvit.config import REQUEUE_FILE
from gridvit.data.sharing import batch_edges, part_of, run_edges
from gridvit.errors import InputError
from gridvit.training.datamodule import EpochBatches
from gridvit.training.devices import refuse_devices
from gridvit.training.interruption import REQUEUE_EXIT
from gridvit.training.metrics import read_metrics
from gridvit.training_config import TrainingConfig

# 37 windows in batches of 12: the last has one, and the first process none of it
OPTIONS = ["--data.path", "data.nc", "--data.split.train", "[0,37]", "--data.split.validate", "[37,42]",
           "--data.split.test", "[42,43]", "--model.patch", "[4]", "--model.preset", "mini",
           "--model.width", "16", "--model.depth", "1",
           "--model.heads", "2", "--training.batch_size", "12", "--training.warmup_steps", "3",
           "--training.shift", "[x]", "--training.accelerator", "cpu", "--evaluation.leads", "1",
           "--training.ema", "0.8"]  # fmt: skip
TWO = ["--training.devices", "2"]
pytestmark = pytest.mark.xdist_group("devices")  # of runs that are made once
COMPARED = ("epoch", "step", "train_loss", "validate_loss", "persistence_loss", "learning_rate")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With the data, and a run of one process."""
    path = tmp_path_factory.mktemp("devices")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        data = [
            "--shape",
            "[16]",
            "--samples",
            "43",
            "--steps",
            "1",
            "--cutoff",
            "2",
            "--parameters",
            "{velocity: [0.7]}",
        ]
        assert main(["simulate", "advection", "--out", "data.nc", *data]) == 0
        assert main(["train", *OPTIONS, "--training.epochs", "4", "--name", "one"]) == 0
    return path


def start(folder: Path, name: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gridvit", "train", *OPTIONS, *options, "--name", name]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **pipes)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def two(folder: Path) -> tuple[int, str, str]:
    """Status, output and log of a run of two processes, in runs/two."""
    process = start(folder, "two", *TWO, "--training.epochs", "4")
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def curve(run: Path) -> np.ndarray:
    """Of what does not depend on the clock."""
    return np.array([[row[name] for name in COMPARED] for row in read_metrics(run / "metrics.csv")])


def weights(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]


def test_two_processes_train_as_one_and_write_once(folder: Path, two: tuple[int, str, str]) -> None:
    status, out, err = two
    assert status == 0, err
    assert out == "runs/two\n"
    lines = err.splitlines()
    assert [line.partition("  ")[0] for line in lines[1:]] == [f"epoch {n}/4" for n in (1, 2, 3, 4)]
    assert lines[0].endswith("37 training windows")
    np.testing.assert_allclose(curve(folder / "runs/two"), curve(folder / "runs/one"), rtol=2e-6)
    for name, one in weights(folder / "runs/one").items():
        torch.testing.assert_close(weights(folder / "runs/two")[name], one, rtol=1e-4, atol=1e-6)
    assert (folder / "runs/two/model.safetensors").is_file()


@pytest.mark.usefixtures("two")
def test_two_processes_that_are_told_to_stop_go_on_as_if_they_had_not(folder: Path) -> None:
    process = start(folder, "cut", *TWO, "--training.epochs", "4", "--training.checkpoint_minutes", "1e-9")
    last = folder / "runs/cut/checkpoints/last.ckpt"
    while not last.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    process.send_signal(signal.SIGUSR1)  # to the first process alone
    _, err = process.communicate(timeout=300)
    assert process.returncode == REQUEUE_EXIT, err
    assert "by a signal; the same command goes on from there" in err
    assert "Traceback" not in err
    assert (folder / "runs/cut" / REQUEUE_FILE).exists()
    assert torch.load(last, weights_only=True)["global_step"] < 16
    process = start(folder, "cut", *TWO, "--training.epochs", "4")
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    np.testing.assert_array_equal(curve(folder / "runs/cut"), curve(folder / "runs/two"))
    for name, one in weights(folder / "runs/two").items():
        assert torch.equal(weights(folder / "runs/cut")[name], one), name


def test_shards_train_as_whole_models(folder: Path) -> None:
    options = ["--training.strategy", "shard", "--training.ema", "0", "--training.epochs", "2"]
    process = start(folder, "shard", *TWO, *options)
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert out == "runs/shard\n"
    assert "Warning" not in err
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["train", *OPTIONS, *options[2:], "--name", "plain"]) == 0
    np.testing.assert_allclose(curve(folder / "runs/shard"), curve(folder / "runs/plain"), rtol=2e-6)
    for name, one in weights(folder / "runs/plain").items():
        torch.testing.assert_close(weights(folder / "runs/shard")[name], one, rtol=1e-4, atol=1e-6)


def test_two_processes_share_a_stream(folder: Path) -> None:
    options = ["--data.loading", "stream", "--training.epochs", "6", "--training.ema", "0"]
    process = start(folder, "stream", *TWO, *options)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    rows = read_metrics(folder / "runs/stream/metrics.csv")
    assert [row["step"] for row in rows] == [4, 8, 12, 16, 20, 24]
    one = read_metrics(folder / "runs/one/metrics.csv")[0]
    assert rows[0]["persistence_loss"] == pytest.approx(one["persistence_loss"], rel=1e-6)
    assert rows[-1]["validate_loss"] < rows[0]["validate_loss"]


@pytest.mark.parametrize(("windows", "size", "ranks"), [(37, 12, 2), (30, 7, 3), (11, 5, 5), (17, 17, 4)])
def test_every_window_is_in_one_process(windows: int, size: int, ranks: int) -> None:
    edges = batch_edges(windows, size)
    assert np.diff(edges).tolist() == [size] * (windows // size) + (
        [windows % size] if windows % size else []
    )
    alone = list(EpochBatches(windows, size, 3))
    shared = [EpochBatches(windows, size, 3, (rank, ranks)) for rank in range(ranks)]
    for i, (batch, parts) in enumerate(zip(alone, zip(*shared, strict=True), strict=True)):
        own = [[] if each.standing_in == i else part for each, part in zip(shared, parts, strict=True)]
        assert [n for part in own for n in part] == batch
        assert all(len(part) in (len(batch) // ranks, -(-len(batch) // ranks)) for part in own)
        assert all(len(part) > 0 for part in parts)
    runs = [run_edges(windows, size, rank, ranks) for rank in range(ranks)]
    assert len({len(run) for run in runs}) == 1
    assert [run[0] for run in runs] == [part_of(0, windows, rank, ranks)[0] for rank in range(ranks)]
    assert [run[-1] for run in runs] == [*[run[0] for run in runs[1:]], windows]
    assert all(np.diff(run).min() > 0 and np.ptp(np.diff(run)) <= 1 for run in runs)


def test_a_batch_larger_than_the_split_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(["train", *OPTIONS, "--training.batch_size", "38", "--name", "large"]) == 2
    assert capsys.readouterr().err == (
        "gridvit: expected training.batch_size of at most 37, the windows of the training part, got 38: "
        "take smaller batches\n"
    )
    assert not (folder / "runs/large").exists()


def test_what_devices_cannot_do_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError) as caught:
        refuse_devices(TrainingConfig(batch_size=2, devices=3, accelerator="cpu"))
    assert str(caught.value) == (
        "expected training.batch_size of at least 3, a window for each device, got 2: "
        "enlarge it, or train on fewer devices"
    )
    with pytest.raises(InputError) as caught:
        refuse_devices(TrainingConfig(strategy="shard", ema=0.9, accelerator="cpu"))
    assert str(caught.value) == (
        "expected training.ema of 0 where training.strategy is shard, got 0.9: take strategy ddp, or no average"
    )
    with pytest.raises(InputError) as caught:
        refuse_devices(TrainingConfig(strategy="shard", precision="16", accelerator="cpu"))
    assert str(caught.value) == (
        "expected training.precision bf16 or 32 where training.strategy is shard, got 16: take bf16, or strategy ddp"
    )
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InputError) as caught:
        refuse_devices(TrainingConfig(devices=4, accelerator="cuda"))
    assert str(caught.value) == (
        "expected at most 1 CUDA device, as this machine has, got training.devices 4: "
        "ask for fewer, or for training.accelerator cpu"
    )
