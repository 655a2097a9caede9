"""What ``submit`` and its templates refuse, and what training refuses that a cluster has started; all in a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

import gridvit
from gridvit.cli import main
from gridvit.cluster import Template, choose, refuse_wrong_world
from gridvit.cluster.preflight import first_node
from gridvit.config import RunConfig
from gridvit.errors import InputError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test in a folder of its own, without SLURM's commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("gridvit.cluster.slurm.available", lambda: False)
    return tmp_path


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The sentence with which the command line refuses; nothing is left behind."""
    before = sorted(Path().rglob("*"))
    status = main(arguments)
    out, err = capsys.readouterr()
    assert (status, out, err.count("\n")) == (2, "", 1), err
    assert sorted(Path().rglob("*")) == before
    return err.removeprefix("gridvit: ").rstrip("\n")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--nodes", "0"], "expected --nodes of at least 1, got 0: correct it"),
        (["--chain", "0"], "expected --chain of at least 1, got 0: correct it"),
        (["--nodes", "two"], "expected nodes to be an int, got two: correct the value"),
        (
            ["--time", "soon"],
            "expected --time like 90 (minutes), 12:00:00 or 1-12:00:00, got 'soon': correct it",
        ),
        (["--time"], "expected --time TIME, got none: add --time TIME"),
        (["--time", "0"], "expected --time like 90 (minutes), 12:00:00 or 1-12:00:00, got '0': correct it"),
        (
            ["--time", "1", "--warn", "60"],
            "expected --warn of less than --time 1 (60 s), got 60 s: ask for more time",
        ),
        (
            ["--slurm"],
            "expected sbatch for --slurm, got none on the PATH: load SLURM, or leave --slurm out to run here",
        ),
        (["--slurm", "--local"], "expected --slurm or --local, got both: leave one out"),
        (["--nodes", "2"], "expected SLURM for 2 nodes, got none here: take --nodes 1, with more --tasks"),
        (["--node", "2"], "expected an option that exists, got 'node': did you mean 'nodes'?"),
        (["--template", "no.txt"], "expected a template file, got no file no.txt: check the path"),
        (
            ["--overwrite"],
            "expected no --overwrite, with which a job would lose its run when it starts again, got one: "
            "take another --name",
        ),
        (["--"], "expected a command after --, got none: gridvit submit -- python script.py"),
        (["--", "no-such"], "expected a command that can be found, got 'no-such': give its path"),
        (
            ["--model.depth", "3", "--", "bash"],
            "expected options of a job before --, got '--model.depth': see gridvit submit --help",
        ),
    ],
)
def test_submit_refuses(capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str) -> None:
    assert refused(capsys, "submit", *arguments) == sentence


def test_a_finished_run_is_not_submitted(capsys: pytest.CaptureFixture[str]) -> None:
    Path("runs/x").mkdir(parents=True)
    Path("runs/x/model.safetensors").touch()
    assert refused(capsys, "submit", "--name", "x") == (
        "expected an unfinished run, got runs/x, which is finished: take another --name"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "expected {command} once in FILE, got 0: end the file with srun {command}"),
        (
            "srun {command}\nsrun {command}",
            "expected {command} once in FILE, got 2: end the file with srun {command}",
        ),
        (
            "srun {command} | tee log",
            "expected {command} at the end of FILE, got 'srun {command} | tee log': move what follows before it",
        ),
        (
            "srun {command}\nmodule purge",
            "expected {command} at the end of FILE, got 'module purge': move what follows before it",
        ),
        (
            "{command}",
            "expected srun before {command} in FILE, got '{command}': "
            "add it, without it nothing starts the tasks or passes signals on to them",
        ),
        (
            "#!/bin/csh\nsrun {command}",
            "expected #!/bin/bash at the top of FILE, got '#!/bin/csh': gridvit's lines are bash",
        ),
        (
            "#SBATCH -A a --nodes=2\nsrun {command}",
            "expected #SBATCH lines of the site in FILE, got '#SBATCH -A a --nodes=2': "
            "leave it out, say --nodes to gridvit",
        ),
        (
            "#SBATCH -o x\nsrun {command}",
            "expected #SBATCH lines of the site in FILE, got '#SBATCH -o x': leave it out, gridvit states it itself",
        ),
    ],
)
def test_templates_that_are_refused(text: str, sentence: str) -> None:
    Path("site.txt").write_text(text)
    with pytest.raises(InputError) as error:
        Template.read("site.txt")
    assert str(error.value) == sentence.replace("FILE", "site.txt")


def test_slurm_is_chosen_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [choose(False, False), choose(False, True)] == [False, False]
    monkeypatch.setattr("gridvit.cluster.slurm.available", lambda: True)
    assert [choose(False, False), choose(True, False), choose(False, True)] == [True, True, False]


# --- before training ---

STEP = {
    "SLURM_JOB_ID": "3", "SLURM_STEP_ID": "0", "SLURM_PROCID": "1",
    "SLURM_STEP_NUM_NODES": "2", "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "3(x2)", "SLURM_STEP_NODELIST": "localhost,node[5-9]",
}  # fmt: skip


def test_a_world_of_the_right_size_may_train() -> None:
    refuse_wrong_world(2, 3, STEP)
    refuse_wrong_world(1, 1, {})
    refuse_wrong_world(1, 1, {"SLURM_JOB_ID": "3", "SLURM_PROCID": "0"})  # one process of a batch script
    refuse_wrong_world(
        1, 2, {**STEP, "TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2"}
    )  # torchrun within a step


WRONG = (
    "expected {} processes, as training.nodes and training.devices say, got {}: "
    "start as many (gridvit submit --nodes, --tasks), or set training.nodes and training.devices"
)


@pytest.mark.parametrize(
    ("nodes", "devices", "changed", "sentence"),
    [
        (1, 3, {}, WRONG.format("1 x 3", "6 on 2 nodes")),
        (3, 2, {}, WRONG.format("3 x 2", "6 on 2 nodes")),
        (1, 1, {"SLURM_STEP_NUM_NODES": "1", "SLURM_STEP_NUM_TASKS": "2"}, WRONG.format("1 x 1", "2 on 1 node")),
        (2, 3, {"SLURM_STEP_TASKS_PER_NODE": "2,4"}, WRONG.format("2 x 3", "6 on 2 nodes")),
        (1, 3, {"TORCHELASTIC_RUN_ID": "a", "WORLD_SIZE": "2"}, WRONG.format("1 x 3", "2")),
        (
            2, 3, {"SLURM_STEP_ID": "4294967291"},
            "expected srun to start 2 x 3 processes, got a process of job 3 without it: write srun before it",
        ),
        (
            2, 3, {"MASTER_ADDR": "node5.invalid"},
            "expected an address of the first node that the others can find, got 'node5.invalid': "
            "export MASTER_ADDR in the template, e.g. MASTER_ADDR=$(hostname -f)",
        ),
    ],
)  # fmt: skip
def test_worlds_that_are_refused(nodes: int, devices: int, changed: dict[str, str], sentence: str) -> None:
    with pytest.raises(InputError) as error:
        refuse_wrong_world(nodes, devices, {**STEP, **changed})
    assert str(error.value) == sentence


@pytest.mark.parametrize(
    ("listed", "first"),
    [("node1", "node1"), ("gpu[007-9,12]", "gpu007"), ("a-1,node[2-3]", "a-1"), ("n[3].site", "n3.site")],
)
def test_the_first_node_of_a_list(listed: str, first: str) -> None:
    assert first_node({"SLURM_STEP_NODELIST": listed}) == first
    assert first_node({"SLURM_STEP_NODELIST": listed, "MASTER_ADDR": "m"}) == "m"


def test_training_refuses_before_it_writes_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "a")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(InputError, match="expected 1 x 1 processes, .*, got 3: start as many"):
        gridvit.train(RunConfig())
    assert list(Path().iterdir()) == []
