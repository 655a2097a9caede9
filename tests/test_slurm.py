"""What ``submit`` and ``sweep`` promise, on a real SLURM of two nodes that these tests start on this machine."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from safetensors.numpy import load_file

import gridvit
from gridvit.cli import main
from gridvit.config import DataConfig, RunConfig
from gridvit.data import blocks
from gridvit.data.choices import open_chosen
from gridvit.data.fields import stored
from gridvit.data.measure import measured
from gridvit.parsing import load_config

pytestmark = [pytest.mark.slurm, pytest.mark.xdist_group("slurm")]
COMMANDS = ("slurmctld", "slurmd", "munged", "sbatch", "srun")
SCRIPT = Path(__file__).with_name("slurm.sh")
ENDED = {"COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL"}
PATIENCE = 600.0  # seconds, for a machine that is busy with other things too


class Cluster:
    """SLURM's commands, run in a folder of a test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, *command: str) -> str:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
        return done.stdout.strip()

    def states(self, job: str) -> list[str]:
        """Of a job, or of all elements of an array."""
        return self("squeue", "--noheader", "--array", "--states=all", f"--jobs={job}", "--format=%T").split()

    def wait(self, job: str) -> list[str]:
        """The states of a job that has ended."""
        self.until(lambda: set(self.states(job)) <= ENDED, f"job {job} to end")
        return self.states(job)

    def restarts(self, job: str) -> str:
        return self("scontrol", "show", "job", job).partition("Restarts=")[2].split()[0]

    def until(self, reached: Callable[[], bool], what: str) -> None:
        """Poll; on failure tell what the jobs and SLURM have written."""
        end = time.monotonic() + PATIENCE
        while not reached():
            if time.monotonic() > end:
                logs = [*Path().rglob("*.log"), *self.folder.glob("slurm*.log")]
                said = "\n".join(f"== {log}\n{log.read_text()[-2000:]}" for log in logs)
                pytest.fail(f"waited for {what}\n{self('squeue', '--states=all')}\n{said}")
            time.sleep(0.1)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A SLURM that ends with the tests of this file."""
    if os.geteuid() != 0 or not all(map(shutil.which, COMMANDS)):
        lacking = "needs root, and slurmctld, slurmd, slurm-client and munge installed"
        pytest.fail(lacking) if os.environ.get("GRIDVIT_REQUIRE_SLURM") else pytest.skip(lacking)
    folder = tmp_path_factory.mktemp("cluster") / "slurm"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
        try:
            subprocess.run([SCRIPT, "start", folder], check=True, timeout=120)
            yield Cluster(folder)
        finally:
            subprocess.run([SCRIPT, "stop", folder], check=True, timeout=240)


@pytest.fixture
def slurm(running: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    """The cluster, in a folder of the test's own, with the template that its imaginary names of nodes need."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    Path("site.txt").write_text("export MASTER_ADDR=127.0.0.1\nsrun --kill-on-bad-exit=1 {command}\n")
    return running


@pytest.fixture
def submitted(capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """``gridvit submit ...`` or ``sweep``: the numbers of the jobs."""

    def submit(*arguments: str) -> list[str]:
        assert main(arguments) == 0, capsys.readouterr().err
        return capsys.readouterr().out.split()

    return submit


Submit = Callable[..., list[str]]


def lines(path: str) -> list[str]:
    return Path(path).read_text().split() if Path(path).exists() else []


# --- any command ---

TASK = """
import os, pathlib, signal, sys, time
place = f"{os.environ['SLURM_PROCID']}/{os.environ['SLURM_NTASKS']}@{os.environ['SLURMD_NODENAME']}"
with open("tasks", "a") as file:
    file.write(place + "\\n")
if os.environ.get("SLURM_RESTART_COUNT", "0") == "0":
    told = []
    signal.signal(signal.SIGUSR1, lambda *_: told.append(1))
    pathlib.Path(f"ready{os.environ['SLURM_PROCID']}").touch()
    while not told:
        time.sleep(0.05)
    pathlib.Path(os.environ["GRIDVIT_REQUEUE"]).touch()
    sys.exit(85)
"""


def test_a_script_on_two_nodes_is_started_again_when_it_asks_for_it(
    slurm: Cluster, submitted: Submit
) -> None:
    Path("solve.py").write_text(TASK)
    (job,) = submitted("submit", "--nodes", "2", "--", sys.executable, "solve.py")
    slurm.until(lambda: Path("ready0").exists() and Path("ready1").exists(), "both tasks")
    assert main(["submit", "--nodes", "2", "--", sys.executable, "solve.py"]) == 2  # it is in the queue
    slurm("scancel", "--signal=USR1", job)
    assert slurm.wait(job) == ["COMPLETED"]
    assert slurm.restarts(job) == "1"
    assert sorted(lines("tasks")) == ["0/2@node1", "0/2@node1", "1/2@node2", "1/2@node2"]
    assert Path("runs/solve.finished").exists()


PREEMPTED = """
import os, pathlib, signal, sys, time
if pathlib.Path("second").exists():
    sys.exit(0)
def told(*_):
    pathlib.Path("second").touch()
    pathlib.Path(os.environ["GRIDVIT_REQUEUE"]).touch()
    sys.exit(85)
signal.signal(signal.SIGTERM, told)
pathlib.Path("ready").touch()
time.sleep(600)
"""


def test_a_job_that_makes_room_for_an_urgent_one_comes_back(slurm: Cluster, submitted: Submit) -> None:
    """A job that ends by itself when it is preempted is not queued again by SLURM: its script has to."""
    Path("solve.py").write_text(PREEMPTED)
    everything = ("--nodes", "2", "--cpus", "2")
    (job,) = submitted("submit", *everything, "--", sys.executable, "solve.py")
    slurm.until(lambda: Path("ready").exists(), "the task")
    (urgent,) = submitted(
        "submit", "--partition", "urgent", *everything, "--", "bash", "-c", "echo ran >>urgent"
    )
    assert [slurm.wait(each) for each in (urgent, job)] == [["COMPLETED"], ["COMPLETED"]]
    assert lines("urgent") == ["ran", "ran"]
    assert slurm.restarts(job) == "1"


def test_the_links_of_a_chain_end_at_once_where_nothing_is_left(slurm: Cluster, submitted: Submit) -> None:
    fails_once = "echo ran >>ran; [ -e failed ] || { touch failed; exit 3; }"
    jobs = submitted("submit", "--chain", "3", "--name", "links", "--", "bash", "-c", fails_once)
    assert [slurm.wait(job) for job in jobs] == [["FAILED"], ["COMPLETED"], ["COMPLETED"]]
    assert lines("ran") == ["ran", "ran"]
    assert (
        Path("runs/links.log").read_text().endswith("runs/links.finished is there: nothing is left to do\n")
    )


def test_slurm_refuses_in_a_sentence(slurm: Cluster, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--partition", "none", "--", "bash", "-c", "true"]) == 2
    assert capsys.readouterr().err == (
        "gridvit: expected a job that SLURM accepts of runs/bash.sbatch, got invalid partition specified: none "
        "Batch job submission failed: Invalid partition name specified: correct the option or the template\n"
    )


def test_a_folder_with_a_blank_in_its_name(
    slurm: Cluster, submitted: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("my work").mkdir()
    monkeypatch.chdir("my work")
    (job,) = submitted("submit", "--name", "a b", "--", "bash", "-c", 'echo "$PWD"')
    assert slurm.wait(job) == ["COMPLETED"]
    assert Path("runs/a b.log").read_text() == f"{Path.cwd()}\n"


UNKNOWN = (
    "expected an address of the first node that the others can find, got 'node1': "
    "export MASTER_ADDR in the template, e.g. MASTER_ADDR=$(hostname -f)"
)


def test_what_training_checks_before_it_starts(slurm: Cluster, submitted: Submit) -> None:
    """Two nodes whose names nobody knows; with an address, two processes; without srun, one."""
    check = "from gridvit.cluster import refuse_wrong_world; refuse_wrong_world(2, 1)"
    Path("alone.txt").write_text('srun() { "$@"; }\nsrun {command}\n')
    command = ("--nodes", "2", "--", sys.executable, "-c", check)
    jobs = [
        *submitted("submit", "--name", "unknown", *command),
        *submitted("submit", "--name", "known", "--template", "site.txt", *command),
        *submitted("submit", "--name", "alone", "--template", "alone.txt", *command),
    ]
    assert [slurm.wait(job) for job in jobs] == [["FAILED"], ["COMPLETED"], ["FAILED"]]
    assert UNKNOWN in Path("runs/unknown.log").read_text()
    assert (
        f"expected srun to start 2 x 1 processes, got a process of job {jobs[2]} without it: write srun before it"
    ) in Path("runs/alone.log").read_text()


# --- statistics ---


def test_jobs_of_dask_take_the_statistics(slurm: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mean and standard deviation of a file whose cells all have the same area, worked out with NumPy."""
    dask, jobs = pytest.importorskip("dask"), pytest.importorskip("dask_jobqueue")
    assert jobs is not None
    values = np.random.default_rng(3).normal(7.0, 2.0, (211, 5, 8))
    ds = xr.Dataset(
        {"u": (("time", "y", "x"), values)},
        {"time": np.arange(211.0), "y": np.arange(5.0), "x": np.arange(8.0)},
    )
    ds.to_zarr("u.zarr", encoding={"u": {"chunks": (10, 5, 8)}}, zarr_format=2)
    monkeypatch.setattr(blocks, "BLOCK", 40 * values[0].nbytes)
    data = DataConfig(path="u.zarr", dask="slurm")
    worker = {"cores": 1, "memory": "1GB", "interface": "lo", "worker-extra-args": ["--no-dashboard"]}
    scheduler = {"scheduler-options": {"dashboard_address": ":0"}}  # any port that is free
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in (worker | scheduler).items()}):
        found = measured(stored(open_chosen(data, direct=True), data), (1,), 2**20, data.dask).statistics
    np.testing.assert_allclose(found.mean, [values.mean()], rtol=1e-9)
    np.testing.assert_allclose(found.std, [values.std()], rtol=1e-9)
    assert len(slurm("squeue", "--noheader", "--states=all", "--name=dask-worker").splitlines()) == 4


# --- training ---

CONFIG = """\
data: {path: u.nc, split: {along: sample, train: [0, 7], validate: [7, 9], test: [9, 11]}}
model: {preset: mini, patch: [3], width: 24, depth: 1, heads: 1}
training: {epochs: 2, batch_size: 5, accelerator: cpu, warmup_steps: 3}
evaluation: {leads: 1}
"""


@pytest.fixture
def config(slurm: Cluster) -> None:
    """Waves that move by a cell in a step, and the configuration of a run that learns it."""
    waves = np.random.default_rng(7).normal(size=(11, 1, 15))
    values = np.concatenate([np.roll(waves, step, axis=2) for step in range(6)], axis=1).astype("f4")
    ds = xr.Dataset({"u": (("sample", "time", "x"), values)}, {"time": np.arange(6.0), "x": np.arange(15.0)})
    ds.to_netcdf("u.nc")
    Path("config.yaml").write_text(CONFIG)


@pytest.mark.usefixtures("config")
def test_a_sweep_is_an_array_of_which_each_element_ends_for_itself(
    slurm: Cluster, submitted: Submit, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("sizes.txt").write_text("--training.seed 3\n# a file that is not there\n--data.path none.nc\n")
    sweep = ("sweep", "config.yaml", "sizes.txt", "--template", "site.txt")
    (job,) = submitted(*sweep)
    assert sorted(slurm.wait(job)) == ["COMPLETED", "FAILED"]
    assert main([*sweep, "--gather"]) == 1
    out, err = capsys.readouterr()
    states = {line.split()[0]: line.split()[1:3] for line in out.splitlines()}
    assert states["seed=3"] == ["finished", "2"]
    assert states["path=none.nc"] == ["failed", "0"]
    assert err == "gridvit: line 3 (path=none.nc) failed, see runs/sizes/path=none.nc.log\n"
    assert f"got {Path('none.nc').resolve()}" in Path("runs/sizes/path=none.nc.log").read_text()
    (again,) = submitted(*sweep)
    assert len(slurm.states(again)) == 1  # what is left
    slurm("scancel", "--signal=KILL", "--full", again)
    slurm.wait(again)


LONG = ("--training.epochs", "41")


def epochs(run: str) -> list[dict[str, str]]:
    """The rows of the metrics without what the clock says."""
    path = Path("runs") / run / "metrics.csv"
    if not path.exists():
        return []
    with path.open(newline="") as file:
        return [{key: row[key] for key in row if key != "seconds"} for row in csv.DictReader(file)]


def assert_same(first: str, second: str) -> None:
    """Every weight and every row of two finished runs, bit for bit."""
    ours, theirs = (load_file(Path("runs") / run / "model.safetensors") for run in (first, second))
    assert ours.keys() == theirs.keys()
    for name in ours:
        np.testing.assert_array_equal(ours[name], theirs[name], err_msg=name)
    assert [row["epoch"] for row in epochs(first)] == [str(epoch) for epoch in range(41)]
    assert epochs(first) == epochs(second)


@pytest.mark.usefixtures("config")
def test_training_on_two_nodes_that_is_queued_again_ends_as_if_it_had_not_been(
    slurm: Cluster, submitted: Submit
) -> None:
    """The undisturbed run has two processes too, of this machine: the batch system does not matter either."""
    (job,) = submitted(
        "submit", "config.yaml", "--name", "cut", *LONG, "--nodes", "2", "--template", "site.txt"
    )
    slurm.until(lambda: len(epochs("cut")) > 2, "three epochs")
    slurm("scancel", "--signal=USR1", job)
    assert main(["submit", "config.yaml", "--name", "whole", *LONG, "--tasks", "2", "--local"]) == 0
    assert slurm.wait(job) == ["COMPLETED"]
    assert slurm.restarts(job) == "1"
    assert_same("cut", "whole")


@pytest.mark.usefixtures("config")
def test_a_cancelled_job_leaves_a_run_that_the_same_command_finishes(
    slurm: Cluster, submitted: Submit
) -> None:
    command = ("submit", "config.yaml", "--name", "stopped", *LONG)
    (job,) = submitted(*command)
    slurm.until(lambda: len(epochs("stopped")) > 2, "three epochs")
    slurm("scancel", job)
    assert slurm.wait(job) == ["CANCELLED"]
    assert not Path("runs/stopped/model.safetensors").exists()
    (again,) = submitted(*command)
    assert slurm.wait(again) == ["COMPLETED"]
    gridvit.train(replace(load_config(RunConfig, Path("runs/stopped.yaml")), name="here"))
    assert_same("stopped", "here")
