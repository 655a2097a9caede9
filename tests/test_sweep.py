"""Sweeps: lines of overrides, runs on this machine that a stand-in trains, and the table of what became of them."""

from __future__ import annotations

import csv
import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from gridvit.cli import main
from gridvit.cluster import Job, Sweep
from gridvit.cluster.lines import named

# What stands in for Python, as "PYTHON -m gridvit train FILE --root ROOT --name NAME ...": a width of 5 fails, one of 7
# is interrupted once, all others finish after two epochs with losses that the width decides.
STAND_IN = f"""#!{sys.executable}
import os, sys
option = dict(zip(sys.argv, sys.argv[1:]))
run, width = os.path.join(option["--root"], option["--name"]), int(option["--model.width"])
print("width", width)
with open("order", "a") as file:
    file.write(f"{{width}}\\n")
if width == 5:
    sys.exit(2)
again = os.path.isdir(run)
os.makedirs(run, exist_ok=True)
with open(f"{{run}}/metrics.csv", "w") as file:
    file.write("epoch,step,train_loss,validate_loss\\n0,3,2.0,%s\\n" % (width / 8))
    if width == 7 and not again:
        open(f"{{run}}/requeue", "w").close()
        sys.exit(85)
    file.write("1,6,1.0,%s\\n" % (width / 4))
open(f"{{run}}/model.safetensors", "w").close()
"""
LINES = """\
# three widths

--model.width 3
--model.width 5    # this one fails
--model.width 7 --training.epochs 2
--name last --model.width 11
"""
COLUMNS = [
    "line",
    "name",
    "state",
    "epochs",
    "train_loss",
    "validate_loss",
    "best_validate_loss",
    "overrides",
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the stand-in and a sweep, and no SLURM."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("gridvit.cluster.slurm.available", lambda: False)
    Path("python").write_text(STAND_IN)
    Path("python").chmod(0o755)
    Path("widths.txt").write_text(LINES)
    Path("base.yaml").write_text("training: {epochs: 3}\n")
    return tmp_path


def sweep(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str, str]:
    """Status, table and complaints."""
    status = main(["sweep", "base.yaml", "widths.txt", "--python", "./python", *options])
    out, err = capsys.readouterr()
    return status, out, err


def rows() -> list[list[str]]:
    with Path("runs/widths/table.csv").open(newline="") as file:
        return list(csv.reader(file))


def ran() -> list[int]:
    """Widths in the order in which they were started, since this was asked last."""
    widths = [int(line) for line in Path("order").read_text().split()] if Path("order").exists() else []
    Path("order").unlink(missing_ok=True)
    return widths


def test_one_line_that_fails_stops_no_other_and_the_table_says_what_became_of_all(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, out, err = sweep(capsys)
    assert (status, ran()) == (1, [3, 5, 7, 11])
    assert rows() == [
        COLUMNS,
        ["3", "width=3", "finished", "2", "1.0", "0.75", "0.375", "--model.width 3"],
        ["4", "width=5", "failed", "0", "nan", "nan", "nan", "--model.width 5"],
        [
            "5",
            "width=7_epochs=2",
            "interrupted",
            "1",
            "2.0",
            "0.875",
            "0.875",
            "--model.width 7 --training.epochs 2",
        ],
        ["6", "last", "finished", "2", "1.0", "2.75", "1.375", "--name last --model.width 11"],
    ]
    assert [line.split()[:2] for line in out.splitlines()[-4:]] == [
        ["width=3", "finished"], ["width=5", "failed"], ["width=7_epochs=2", "interrupted"], ["last", "finished"],
    ]  # fmt: skip
    assert Path("runs/widths/table.txt").read_text() == out
    assert err.splitlines()[-2:] == [
        "gridvit: line 4 (width=5) failed, see runs/widths/width=5.log",
        "gridvit: line 5 (width=7_epochs=2) interrupted, see runs/widths/width=7_epochs=2.log",
    ]
    assert Path("runs/widths/width=5.log").read_text() == "width 5\n"


def test_the_same_command_goes_on_with_what_is_not_finished(capsys: pytest.CaptureFixture[str]) -> None:
    sweep(capsys)
    ran()
    status, _, _ = sweep(capsys, "--jobs", "2")
    assert status == 1
    assert sorted(ran()) == [5, 7]
    assert [row[2] for row in rows()[1:]] == ["finished", "failed", "finished", "finished"]
    Path("widths.txt").write_text(LINES.replace("--model.width 5", "--model.width 13"))
    assert sweep(capsys)[0] == 0
    assert ran() == [13]
    assert sweep(capsys)[0] == 0
    assert ran() == []


WAITING = f"""#!{sys.executable}
import os, signal, sys, time
option = dict(zip(sys.argv, sys.argv[1:]))
run = os.path.join(option["--root"], option["--name"])
def told(*_):
    open(f"{{run}}/requeue", "w").close()
    sys.exit(85)
signal.signal(signal.SIGTERM, told)
os.makedirs(run)
time.sleep(600)
"""


def test_a_sweep_that_is_told_to_stop_tells_its_runs_and_starts_no_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("python").write_text(WAITING)

    def tell() -> None:
        while not Path("runs/widths/width=3").exists():
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    teller = threading.Thread(target=tell)
    teller.start()
    status, _, _ = sweep(capsys)
    teller.join()
    assert (status, signal.getsignal(signal.SIGTERM)) == (1, signal.SIG_DFL)
    assert [row[2] for row in rows()[1:]] == ["interrupted", "not started", "not started", "not started"]


def test_gathering_runs_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = sweep(capsys, "--gather")
    assert (status, err) == (0, "")
    assert out.count("not started") == 4
    assert not Path("runs").exists()
    sweep(capsys)
    ran()
    status, _, err = sweep(capsys, "--gather")
    assert (status, ran()) == (1, [])
    assert (
        err == "gridvit: line 4 (width=5) failed, see runs/widths/width=5.log\n"
    )  # the others may be running


def test_what_is_queued_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, _ = sweep(capsys, "--jobs", "2", "--dry-run")
    lines = out.splitlines()
    assert status == 0
    assert "#SBATCH --array=3,4,5,6%2" in lines
    assert "5) run=runs/widths/width=7_epochs=2 options=(--model.width 7 --training.epochs 2) ;;" in lines
    assert (
        "srun --kill-on-bad-exit=1 ./python -m gridvit train runs/widths/sweep.yaml --training.nodes 1 "
        '--training.devices 1 --root runs/widths --name "${run##*/}" "${options[@]}" || status=$?'
    ) in lines
    assert not Path("runs").exists()


def test_names_come_from_the_overrides() -> None:
    assert (
        named(["--training.learning_rate", "1e-3", "--model.patch=[4, 4]"]) == "learning_rate=1e-3_patch=4-4"
    )
    assert named(["--data.path", "../a b/c.nc", "--model.width", "-5"]) == "path=..-a-b-c.nc_width=-5"
    assert len(named(["--data.path", "x" * 300])) == 100


def refused(capsys: pytest.CaptureFixture[str], text: str, *options: str) -> str:
    Path("widths.txt").write_text(text)
    status, out, err = sweep(capsys, *options)
    assert (status, out, err.count("\n"), ran()) == (2, "", 1, []), err
    return err.removeprefix("gridvit: ").rstrip("\n")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("# nothing\n\n", "expected a line of overrides in widths.txt, got none: write one for each run"),
        (
            "--model.width 3\n\n--model.widht 5",
            "expected an option that exists in line 3 of widths.txt, got 'model.widht': did you mean 'model.width'?",
        ),
        (
            "--model.width 3\n--model.width wide",
            "expected model.width to be an int in line 2 of widths.txt, got wide: correct the value",
        ),
        (
            "--model.width 3\n--model.depth 2\n--model.width  3",
            "expected runs of different names in widths.txt, got 'width=3' in lines 1 and 3: "
            "add --name to one of them, or leave it out",
        ),
        (
            "--model.width 3 --root there",
            "expected overrides in line 1 of widths.txt, got --root: "
            "leave it out: all runs start alike, in runs/widths",
        ),
        (
            "--model.width 3\n--training.devices=2",
            "expected overrides in line 2 of widths.txt, got --training.devices=2: "
            "leave it out: all runs start alike, in runs/widths",
        ),
        (
            "--name a/b",
            "expected a --name of letters, digits and - _ . = + in line 1 of widths.txt, got 'a/b': correct it",
        ),
        (
            "--name 'a",
            "expected quotes that are closed in line 1 of widths.txt, got no closing quotation: correct it",
        ),
    ],
)
def test_lines_that_are_refused_before_anything_starts(
    capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    assert refused(capsys, text) == sentence
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--jobs", "few"], "expected --jobs N, a number of runs at once, got 'few': correct it"),
        (
            ["--model.widht", "3"],
            "expected an option that exists, got 'model.widht': did you mean 'model.width'?",
        ),
        (["--nodes", "2"], "expected SLURM for 2 nodes, got none here: take --nodes 1, with more --tasks"),
    ],
)
def test_options_that_are_refused(
    capsys: pytest.CaptureFixture[str], options: list[str], sentence: str
) -> None:
    assert refused(capsys, LINES, *options) == sentence


def test_a_sweep_needs_its_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sweep", "--model.width", "3"]) == 2
    assert capsys.readouterr().err == (
        "gridvit: expected CONFIG SWEEP.txt, got --model.width 3: gridvit sweep CONFIG SWEEP.txt\n"
    )
    assert main(["sweep", "base.yaml", "no.txt"]) == 2
    assert capsys.readouterr().err == (
        "gridvit: expected a text file of overrides, one line for each run, got no file no.txt: check the path\n"
    )


def test_a_sweep_goes_on_with_the_configuration_it_was_begun_with(capsys: pytest.CaptureFixture[str]) -> None:
    sweep(capsys)
    ran()
    assert refused(capsys, LINES, "--training.batch_size", "3") == (
        "expected the configuration in runs/widths/sweep.yaml, got other values of training.batch_size: "
        "rename the text file, or take another --root"
    )


def test_a_run_is_no_sweep(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/widths").mkdir(parents=True)
    Path("runs/widths/config.yaml").touch()
    assert refused(capsys, LINES) == (
        "expected a folder for the sweep, got the run runs/widths: rename the text file, or take another --root"
    )


def test_runs_share_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr("os.cpu_count", lambda: 7)
    Path("python").write_text("#!/bin/sh\necho $OMP_NUM_THREADS\n")
    Path("widths.txt").write_text("--model.width 3")
    Sweep.read("widths.txt", [], Job(python="./python", tasks=1), together=2).run()
    assert Path("runs/widths/width=3.log").read_text() == "3\n"
