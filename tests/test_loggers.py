"""TensorBoard and Weights & Biases get the rows of metrics.csv, once each, across an interruption too."""

from __future__ import annotations

import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tensorboardX.proto.event_pb2 import Event

from gridvit.cli import main
from gridvit.training import loggers
from gridvit.training.metrics import read_metrics

TINY = ["train", "--data.path", "data.nc", "--model.patch", "[3]", "--model.preset", "mini",
        "--model.width", "24", "--model.depth", "1",
        "--model.heads", "2", "--training.epochs", "3", "--training.accelerator", "cpu"]  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with trajectories in it."""
    monkeypatch.chdir(tmp_path)
    made = ["simulate", "advection", "--shape", "[12]", "--cutoff", "2", "--parameters", "{velocity: [0.4]}"]
    assert main([*made, "--samples", "8", "--steps", "6", "--out", "data.nc"]) == 0
    return tmp_path


def cut_and_resumed(monkeypatch: pytest.MonkeyPatch, *options: str) -> None:
    """A training that is cut after the second epoch is written and before it is saved, and goes on from the first."""
    from gridvit.training.checkpoints import Checkpoints

    save = Checkpoints.on_train_epoch_end

    def cut(self: Checkpoints, trainer: Any, module: Any) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt
        save(self, trainer, module)

    with monkeypatch.context() as patch:
        patch.setattr(Checkpoints, "on_train_epoch_end", cut)
        assert main([*TINY, *options]) == 130
    assert main([*TINY, *options]) == 0


def events(path: Path) -> Iterator[Event]:
    """Of a TensorBoard file: records of 8 bytes of length, 4 of its checksum, the event, and 4 of its checksum."""
    content, at = path.read_bytes(), 0
    while at < len(content):
        (length,) = struct.unpack("<Q", content[at : at + 8])
        yield Event.FromString(content[at + 12 : at + 12 + length])
        at += length + 16


def test_tensorboard_shows_each_epoch_once(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_and_resumed(monkeypatch, "--training.logger.kind", "tensorboard")
    shown: dict[tuple[str, int], list[float]] = {}
    for file in sorted((here / "runs/run/tensorboard").iterdir()):
        for event in events(file):
            if (
                event.session_log.status == event.session_log.START and event.step
            ):  # it hides what lies beyond
                shown = {key: values for key, values in shown.items() if key[1] < event.step}
            for value in event.summary.value:
                shown.setdefault((value.tag, event.step), []).append(value.simple_value)
    rows = read_metrics(here / "runs/run/metrics.csv")
    assert [row["step"] for row in rows] == [5, 10, 15]
    expected = {
        (name, row["step"]): [row[name]] for row in rows for name in row if name not in ("epoch", "step")
    }
    assert expected.keys() == shown.keys()
    for key, values in expected.items():
        assert shown[key] == pytest.approx(values, rel=1e-6), key


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """A module of the interface of Weights & Biases that keeps rows by run id and step, as the service does."""
    module: Any = ModuleType("wandb")
    module.Error, module.runs, module.calls = type("Error", (Exception,), {}), {}, []

    class Run:
        def __init__(self, rows: dict[int, dict[str, float]]) -> None:
            self.rows = rows

        def log(self, row: dict[str, float], step: int) -> None:
            self.rows[step] = row

        def finish(self) -> None:
            module.calls.append("finish")

    def init(**options: Any) -> Run:
        module.calls.append(options)
        return Run(module.runs.setdefault(options["id"], {}))

    module.init = init
    module.__spec__ = __import__("importlib.machinery").machinery.ModuleSpec("wandb", None)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return module


def test_wandb_goes_on_with_its_run(here: Path, monkeypatch: pytest.MonkeyPatch, wandb: Any) -> None:
    cut_and_resumed(monkeypatch, "--training.logger.kind", "wandb", "--training.logger.project", "waves")
    first, closed, second, also = wandb.calls
    assert (closed, also) == ("finish", "finish")
    assert (first["project"], first["name"], first["resume"]) == ("waves", "run", "allow")
    assert first["dir"] == str(Path("runs/run"))
    assert first["config"]["model"]["patch"] == (3,)
    assert first["id"] == second["id"]
    ((found),) = wandb.runs.values()
    rows = read_metrics(here / "runs/run/metrics.csv")
    assert found == {row["epoch"]: {name: row[name] for name in row if name != "epoch"} for row in rows}


def test_wandb_that_cannot_be_reached(wandb: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def init(**options: Any) -> None:
        raise wandb.Error("no API key\nconfigured")

    wandb.init = init
    assert main([*TINY, "--training.logger.kind", "wandb"]) == 2
    assert capsys.readouterr().err.endswith(
        "gridvit: expected Weights & Biases that can be reached, got no API key configured: wandb login, "
        "WANDB_MODE=offline, or training.logger.kind csv\n"
    )


@pytest.mark.parametrize("kind", ["tensorboard", "wandb"])
def test_a_package_that_is_missing_is_refused_before_anything_is_written(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    monkeypatch.setattr(loggers, "find_spec", lambda name: None)
    assert main([*TINY, "--training.logger.kind", kind]) == 2
    assert capsys.readouterr().err == (
        f"gridvit: expected the package {kind} for training.logger.kind {kind}, got none: pip install "
        f"'gridvit[{kind}]', or leave the logger out: metrics.csv is always written\n"
    )
    assert not (here / "runs").exists()
