"""A run that ends before its time goes on as if it had not: killed, told to stop, out of room, or without its data."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit import run
from gridvit.cli import main
from gridvit.config import (
    REQUEUE_FILE,
    DataConfig,
    ModelConfig,
    RunConfig,
    SimulateConfig,
    Split,
    TrainingConfig,
)
from gridvit.data.choices import open_chosen
from gridvit.data.fields import Fields, load, stored
from gridvit.data.samples import Batch
from gridvit.data.simulate import simulate
from gridvit.data.stream import Stream, StreamLoader
from gridvit.errors import InputError
from gridvit.parsing import save_config
from gridvit.training.interruption import REQUEUE_EXIT, Interrupted
from gridvit.training.metrics import read_metrics
from gridvit.training.objectives import NextStep
from gridvit.training.plan import plan
from gridvit.training.train import fit

WAVES = SimulateConfig(
    equation="advection", parameters={"velocity": [0.7]}, shape=(16,), samples=8, steps=6, cutoff=2.0
)
CONFIG = RunConfig(
    data=DataConfig(split=Split(train=(0, 5), validate=(5, 7), test=(7, 8))),
    model=ModelConfig(preset="mini", patch=(4,), width=24, depth=1, heads=2),
    training=TrainingConfig(epochs=3, batch_size=7, warmup_steps=3, shift=("x",), ema=0.9, accelerator="cpu"),
)
STEPS = 15  # 30 windows in batches of 7, three times
STREAMED = replace(
    CONFIG,
    data=DataConfig(
        path="waves.zarr",
        loading="stream",
        buffer=1e-4,
        split=Split(train=(0, 32), validate=(32, 41), test=(41, 48)),
    ),
)


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    return simulate(WAVES)


def streamed(folder: Path) -> Fields:
    """One trajectory in a store of chunks of 5 times."""
    path = folder / "waves.zarr"
    if not path.exists():
        waves = simulate(replace(WAVES, samples=1, steps=47))
        waves.to_zarr(path, encoding={"u": {"chunks": (1, 5, 16)}}, zarr_format=2, consolidated=True)
    data = replace(STREAMED.data, path=str(path))
    return stored(open_chosen(data, direct=True), data)


def often(config: RunConfig) -> RunConfig:
    """With a checkpoint after every step."""
    return replace(config, training=replace(config.training, checkpoint_minutes=1e-9))


@pytest.fixture
def noisy(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loss that draws random numbers, as dropout would; not from ``random``, from which beartype draws too."""
    quiet = NextStep.loss

    def loss(self: NextStep, batch: Batch, shifts: list[int]) -> torch.Tensor:
        draws = torch.rand(()) + np.random.random()  # noqa: NPY002
        return quiet(self, batch, shifts) * (1 + 0.1 * draws if self.training else 1)

    monkeypatch.setattr(NextStep, "loss", loss)


def after_step(step: int, act: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Act when that many steps of training have been made, before the callbacks see the last of them."""
    made = NextStep.training_step

    def watched(self: NextStep, batch: Batch, index: int) -> torch.Tensor:
        if self.global_step + 1 == step:
            act()
        return made(self, batch, index)

    monkeypatch.setattr(NextStep, "training_step", watched)


def assert_same_run(one: Path, two: Path) -> None:
    """Weights of every checkpoint and rows of the metrics, bit for bit, but for the seconds."""
    rows = [[{k: v for k, v in row.items() if k != "seconds"} for row in read_metrics(p / "metrics.csv")]
            for p in (one, two)]  # fmt: skip
    assert rows[0] == rows[1]
    for name in ("best.ckpt", "last.ckpt"):
        states = [torch.load(p / "checkpoints" / name, weights_only=True) for p in (one, two)]
        for key in ("state_dict", "current_model_state"):
            for weight in states[0][key]:
                assert torch.equal(states[0][key][weight], states[1][key][weight]), (name, key, weight)


@pytest.mark.usefixtures("noisy")
def test_a_signal_at_any_step_changes_nothing(
    waves: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = load(waves)
    fit(plan(CONFIG, fields), tmp_path / "whole")
    assert read_metrics(tmp_path / "whole" / "metrics.csv")[-1]["step"] == STEPS
    for step in range(1, STEPS):
        cut = tmp_path / f"cut{step}"
        with monkeypatch.context() as patch:
            after_step(step, lambda: os.kill(os.getpid(), signal.SIGUSR1), patch)
            with pytest.raises(Interrupted) as caught:
                fit(plan(CONFIG, fields), cut)
        assert caught.value.code == REQUEUE_EXIT
        assert (cut / REQUEUE_FILE).exists()
        assert torch.load(cut / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == step
        fit(plan(CONFIG, fields), cut)
        assert not (cut / REQUEUE_FILE).exists()
        assert_same_run(tmp_path / "whole", cut)


def test_ctrl_c_saves_and_goes_on(
    waves: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fields, before = load(waves), signal.getsignal(signal.SIGINT)
    with monkeypatch.context() as patch, caplog.at_level("INFO", "gridvit"):
        after_step(3, lambda: os.kill(os.getpid(), signal.SIGINT), patch)
        with pytest.raises(KeyboardInterrupt):
            fit(plan(CONFIG, fields), tmp_path)
    assert "stopped after step 3 by a signal; the same command goes on from there" in caplog.text
    assert not (tmp_path / REQUEUE_FILE).exists()  # nobody starts again what a person has stopped
    assert torch.load(tmp_path / "checkpoints/last.ckpt", weights_only=True)["global_step"] == 3
    assert signal.getsignal(signal.SIGINT) is before
    assert signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL


def test_no_room_for_a_checkpoint_costs_the_work_since_the_one_before(
    waves: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """No file may be longer than 50 kB from step 6 to step 12: a real write fails in its middle."""
    fields = load(waves)
    fit(plan(CONFIG, fields), tmp_path / "whole")
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    with monkeypatch.context() as patch:
        after_step(6, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1])), patch)
        after_step(12, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit), patch)
        fit(plan(often(CONFIG), fields), tmp_path / "full")
    checkpoints = tmp_path / "full" / "checkpoints"
    assert (
        f"{checkpoints / 'last.ckpt'} was not written ([Errno 27] File too large): training goes on"
        in caplog.text
    )
    assert not list(checkpoints.glob("*.tmp"))
    assert_same_run(tmp_path / "whole", tmp_path / "full")
    with monkeypatch.context() as patch:
        after_step(6, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, limit[1])), patch)
        after_step(9, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        with pytest.raises(Interrupted):
            fit(plan(often(CONFIG), fields), tmp_path / "cut")
    resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    last = torch.load(tmp_path / "cut/checkpoints/last.ckpt", weights_only=True)
    assert last["global_step"] == 5
    fit(plan(CONFIG, fields), tmp_path / "cut")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


def test_a_run_that_ends_on_a_full_disk_is_finished_by_the_same_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulate(WAVES).to_netcdf(tmp_path / "waves.nc")
    config = replace(CONFIG, root=str(tmp_path), data=replace(CONFIG.data, path=str(tmp_path / "waves.nc")))
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    full = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (20_000, limit[1]))
    run.train(replace(config, name="whole"))
    for name, begin in (("early", 1), ("late", STEPS + 1)):
        cut = tmp_path / name
        with monkeypatch.context() as patch:
            after_step(begin, full, patch)
            patch.setattr(run.verbs, "fit", then(run.verbs.fit, full))
            with pytest.raises(InputError) as caught:
                run.train(replace(config, name=name))
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        lacking = cut / ("checkpoints/best.ckpt" if name == "early" else "model.safetensors")
        assert str(caught.value).startswith(f"expected a disk that takes {lacking}, got ")
        assert str(caught.value).partition(": make room; ")[2].startswith("the same command goes on")
        assert not list(cut.rglob("*.tmp"))
        run.train(replace(config, name=name))
        files = [(tmp_path / each / "model.safetensors").read_bytes() for each in ("whole", name)]
        assert files[0] == files[1]


def then(act: Callable[..., Any], more: Callable[[], Any]) -> Callable[..., Any]:
    """The one, then the other, and what the one gives."""

    def both(*arguments: Any) -> Any:
        found = act(*arguments)
        more()
        return found

    return both


def test_a_damaged_checkpoint_is_left_out(
    waves: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    fields = load(waves)
    fit(plan(CONFIG, fields), tmp_path / "whole")
    with monkeypatch.context() as patch:
        after_step(8, lambda: os.kill(os.getpid(), signal.SIGTERM), patch)
        with pytest.raises(Interrupted):
            fit(plan(CONFIG, fields), tmp_path / "cut")
    last, previous = (tmp_path / "cut/checkpoints" / name for name in ("last.ckpt", "previous.ckpt"))
    content = bytearray(last.read_bytes())
    content[len(content) // 2] ^= 1  # a bit on the disk has turned
    last.write_bytes(content)
    fit(plan(CONFIG, fields), tmp_path / "cut")
    assert f"{last} is damaged, and is left out" in caplog.text
    assert_same_run(tmp_path / "whole", tmp_path / "cut")
    for path in (last, previous):
        path.write_bytes(path.read_bytes()[:1000])  # half-written
    with pytest.raises(InputError) as caught:
        fit(plan(CONFIG, fields), tmp_path / "cut")
    assert str(caught.value) == (
        f"expected a checkpoint in {last.parent} that can be read, got damaged ones alone: start again with --overwrite"
    )


@pytest.mark.parametrize("workers", [0, 2])
def test_a_stream_begins_at_any_batch(tmp_path: Path, workers: int) -> None:
    fields = streamed(tmp_path)
    loader = StreamLoader(Stream(fields, (0, 1), 5, 40 * 2**10, seed=3), workers)
    loader.sampler.set_epoch(2)
    whole = [batch.frames.clone() for batch in loader]
    for first in range(len(loader)):
        loader.go_on_from({"done": first, "parts": (1, workers)})
        assert loader.position()["done"] == first
        rest = [batch.frames.clone() for batch in loader]
        assert len(rest) == len(whole) - first
        assert all(torch.equal(one, two) for one, two in zip(rest, whole[first:], strict=True))
    with pytest.raises(InputError) as caught:
        loader.go_on_from({"done": 3, "parts": (2, 1)})
    assert str(caught.value) == (
        f"expected as many processes and workers (2 and 1) as the streamed epoch was begun with, got 1 and {workers}: "
        "set them back: the order of its windows depends on them"
    )


def test_data_that_vanish_stop_the_run_until_they_are_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = streamed(tmp_path)
    config = replace(STREAMED, data=replace(STREAMED.data, path=str(tmp_path / "waves.zarr")))
    fit(plan(config, fields), tmp_path / "whole")
    store, away = tmp_path / "waves.zarr", tmp_path / "away.zarr"
    with monkeypatch.context() as patch:
        after_step(7, lambda: store.rename(away), patch)
        with pytest.raises(InputError) as caught:
            fit(plan(often(config), fields), tmp_path / "cut")
    assert str(caught.value) == (
        f"expected {store} as long as it is streamed, got nothing there: put it back: the same command goes on"
    )
    assert torch.load(tmp_path / "cut/checkpoints/last.ckpt", weights_only=True)["global_step"] >= 7
    away.rename(store)
    fit(plan(config, streamed(tmp_path)), tmp_path / "cut")
    assert_same_run(tmp_path / "whole", tmp_path / "cut")


@pytest.mark.parametrize("loading", ["memory", "stream"])
def test_killed_three_times_it_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loading: str
) -> None:
    """Killed by -9 after a random number of checkpoints and a random wait, as likely as not while it writes one."""
    streamed(tmp_path)
    monkeypatch.chdir(tmp_path)
    command = ["train", "config.yaml", "--data.path", "waves.zarr", "--data.loading", loading]
    save_config(often(STREAMED), tmp_path / "config.yaml")
    assert main([*command, "--name", "whole", "--training.checkpoint_minutes", "0"]) == 0
    chance = np.random.default_rng(7)
    last = tmp_path / "runs/cut/checkpoints/last.ckpt"
    for _ in range(3):
        process = get_context("fork").Process(target=main, args=([*command, "--name", "cut"],))
        process.start()
        for _ in range(chance.integers(1, 4)):
            written = last.stat().st_mtime_ns if last.exists() else 0
            while not last.exists() or last.stat().st_mtime_ns == written:
                assert process.is_alive()
                time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.02))
        process.kill()
        process.join()
        assert not (tmp_path / "runs/cut/model.safetensors").exists()
    assert main([*command, "--name", "cut"]) == 0
    assert_same_run(tmp_path / "runs/whole", tmp_path / "runs/cut")
    assert (tmp_path / "runs/whole/model.safetensors").read_bytes() == (
        tmp_path / "runs/cut/model.safetensors"
    ).read_bytes()
