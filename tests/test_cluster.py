"""Batch scripts as they are written and as bash runs them, with commands that stand in for SLURM's; local processes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from gridvit.cli import main
from gridvit.cluster import Job, plain, training
from gridvit.cluster.job import seconds
from gridvit.cluster.script import Element, array_of
from gridvit.cluster.submit import keep, put_script
from gridvit.config import RunConfig
from gridvit.errors import InputError
from gridvit.parsing import load_config
from gridvit.training_config import TrainingConfig

SITE = """\
#!/bin/bash -l
#SBATCH --account=climate
#SBATCH --time=1:00
module load apptainer  # the site's own
srun --kill-on-bad-exit=1 \\
    apptainer exec --env A=${command} image.sif {command}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test in a folder of its own, without SLURM's commands."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.setattr("gridvit.cluster.slurm.available", lambda: False)
    return tmp_path


# --- the script ---


def test_the_script_of_a_training_is_what_a_person_would_write() -> None:
    Path("site.txt").write_text(SITE)
    config = RunConfig(name="a b", training=TrainingConfig(nodes=3, devices=2))
    job = Job(time="2:00:00", cpus=7, gpus=2, partition="gpu", template="site.txt", python="python3")
    lines = training(config, job).text.splitlines()
    assert lines[:17] == [
        "#!/bin/bash -l",
        "# Written by gridvit. Submit it again: sbatch 'runs/a b.sbatch'",
        "#SBATCH --account=climate",
        "#SBATCH --time=1:00",
        "#SBATCH --job-name='a b'",
        f"#SBATCH --chdir={Path.cwd()}",
        "#SBATCH --output='runs/a b.log'",
        "#SBATCH --open-mode=append",
        "#SBATCH --nodes=3",
        "#SBATCH --ntasks-per-node=2",
        "#SBATCH --cpus-per-task=7",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --time=2:00:00",
        "#SBATCH --partition=gpu",
        "#SBATCH --signal=USR1@300",
        "#SBATCH --requeue",
        "",
    ]
    call = lines.index("module load apptainer  # the site's own")
    assert lines[call + 1 : call + 4] == [
        "status=0",
        "srun --kill-on-bad-exit=1 \\",
        "    apptainer exec --env A=${command} image.sif python3 -m gridvit train 'runs/a b.yaml' "
        "--training.nodes 3 --training.devices 2 || status=$?",
    ]


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("90", 5400),
        ("30:07", 1807),
        ("1:00:00", 3600),
        ("2-3", 183600),
        ("1-2:03", 93780),
        ("1-2:03:04", 93784),
    ],
)
def test_times_are_read_as_slurm_reads_them(time: str, expected: int) -> None:
    assert seconds(time) == expected


def test_training_is_warned_in_good_time() -> None:
    assert [Job(time=time).warning for time in ("", "20", "6", "0:02")] == [300, 300, 120, 1]
    assert Job(time="6", warn=17).warning == 17


def test_a_command_is_sent_no_signal_unless_asked() -> None:
    command = [sys.executable, "-c", "pass"]
    assert "--signal" not in plain(command, Job(time="9"), "x").text
    assert "#SBATCH --signal=USR1@31\n" in plain(command, Job(warn=31), "x").text


def test_names_of_commands() -> None:
    assert plain(["python3", "-u", "a/solve.py", "b.py"], Job()).path == Path("runs/solve.sbatch")
    assert plain(["bash"], Job()).path == Path("runs/bash.sbatch")
    assert plain(["bash"], Job(), "other", "there").path == Path("there/other.sbatch")


# --- what bash makes of it ---

STANDS_IN = {
    "srun": '[ "$1" != --kill-on-bad-exit=1 ] || shift\n"$@"',
    "scontrol": 'echo "$@" >>asked',
    "squeue": "echo ${STATE:-RUNNING}",
    "sleep": "true",
}


def batch(script: str, **variables: str) -> int:
    """The status of a batch script among commands that stand in for SLURM's."""
    bin = Path("bin")
    bin.mkdir(exist_ok=True)
    for name, text in STANDS_IN.items():
        (bin / name).write_text(f"#!/bin/bash\n{text}\n")
        (bin / name).chmod(0o755)
    environment = {"PATH": f"{bin.resolve()}:/usr/bin:/bin", "SLURM_JOB_ID": "17", **variables}
    Path("runs").mkdir(exist_ok=True)
    return subprocess.run(
        ["bash", "-c", script], env=environment, check=False, capture_output=True
    ).returncode


def job_of(shell: str, **options: int) -> str:
    return plain(["bash", "-c", shell], Job(**options), "x").text


def test_a_command_that_ends_well_is_not_run_again() -> None:
    script = job_of("echo once >>runs/ran")
    assert [batch(script), batch(script)] == [0, 0]
    assert Path("runs/ran").read_text() == "once\n"
    assert not Path("asked").exists()


def test_a_command_that_fails_fails_the_job() -> None:
    assert batch(job_of("exit 7")) == 7
    assert not Path("runs/x.finished").exists()


def test_a_command_that_asks_for_it_is_queued_again_whatever_its_status() -> None:
    script = job_of('[ -e runs/second ] || { touch runs/second "$GRIDVIT_REQUEUE"; exit 0; }')
    assert batch(script) == 1
    assert Path("asked").read_text() == "requeue 17\n"
    assert batch(script) == 0
    assert not Path("runs/x.requeue").exists()


def test_an_element_of_an_array_queues_itself_alone() -> None:
    script = job_of('touch "$GRIDVIT_REQUEUE"; exit 143')
    assert batch(script, SLURM_ARRAY_JOB_ID="11", SLURM_ARRAY_TASK_ID="5") == 143
    assert Path("asked").read_text() == "requeue 11_5\n"


def test_a_job_that_starts_again_and_again_is_given_up() -> None:
    assert batch(job_of('touch "$GRIDVIT_REQUEUE"; exit 85'), SLURM_RESTART_COUNT="100") == 85
    assert not Path("asked").exists()


def test_srun_says_0_after_a_lost_node_but_nothing_is_finished() -> None:
    assert batch(job_of("true"), STATE="PENDING") == 1
    assert not Path("runs/x.finished").exists()


def trained(shell: str) -> str:
    """The batch script of a training which a line of bash stands in for."""
    Path("python").write_text(f"#!/bin/bash\n{shell}\n")
    Path("python").chmod(0o755)
    return training(RunConfig(name="x"), Job(python="./python")).text


def test_the_model_says_that_training_is_finished() -> None:
    script = trained("echo once >>ran; mkdir -p runs/x; touch runs/x/model.safetensors; exit 143")
    assert [batch(script), batch(script)] == [0, 0]
    assert Path("ran").read_text() == "once\n"


def test_training_without_a_model_has_failed_even_where_srun_says_0() -> None:
    assert batch(trained("exit 0")) == 1


def test_a_warning_before_training_could_answer_queues_it_again() -> None:
    assert batch(trained("kill -USR1 $$")) == 138
    assert Path("asked").read_text() == "requeue 17\n"
    assert not Path("runs/x").exists()


def test_an_old_marker_queues_nothing() -> None:
    Path("runs/x").mkdir(parents=True)
    Path("runs/x/requeue").touch()
    assert batch(trained("exit 2")) == 2
    assert not Path("asked").exists()


def test_cores_are_passed_on_to_the_tasks() -> None:
    assert batch(job_of('[ "$SRUN_CPUS_PER_TASK" = 3 ]'), SLURM_CPUS_PER_TASK="3") == 0


# --- on this machine ---

RANKS = "import os; e = os.environ; open('rank' + e['RANK'], 'w').write(e['WORLD_SIZE'] + e['MASTER_PORT'])"


def test_two_tasks_are_two_processes_that_find_each_other() -> None:
    assert main(["submit", "--tasks", "2", "--", sys.executable, "-c", RANKS]) == 0
    first, second = Path("rank0").read_text(), Path("rank1").read_text()
    assert first == second
    assert first[0] == "2"


def test_a_task_that_fails_ends_the_others_which_may_wait_for_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "gridvit")
    fails = "import os, sys, time; time.sleep(60 * (os.environ['RANK'] == '0')); sys.exit(9)"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gridvit.cluster.local.GRACE", 0.1)
        assert main(["submit", "--tasks", "2", "--", sys.executable, "-c", fails]) == 9
    assert "on this machine, without SLURM" in caplog.text


def test_a_command_that_a_signal_ends_has_a_status_of_the_shell() -> None:
    assert main(["submit", "--", "bash", "-c", "kill -KILL $$"]) == 137


def test_a_dry_run_writes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["submit", "--name", "x", "--nodes", "2", "--dry-run"]) == 0
    assert capsys.readouterr().out == training(RunConfig(name="x"), Job(nodes=2)).text
    assert list(Path().iterdir()) == []


def test_a_command_that_asks_for_it_is_started_again() -> None:
    again = 'echo ran >>ran; [ -e second ] || { touch second "$GRIDVIT_REQUEUE"; exit 85; }'
    assert main(["submit", "--", "bash", "-c", again]) == 0
    assert Path("ran").read_text() == "ran\nran\n"
    assert main(["submit", "--", "bash", "-c", again]) == 0  # whoever submits it again wants it to run
    assert Path("ran").read_text() == "ran\n" * 3


def test_what_is_trained_is_the_configuration_as_it_was_submitted() -> None:
    Path("python").write_text('#!/bin/bash\necho "$@" >ran\n')
    Path("python").chmod(0o755)
    Path("a.yaml").write_text("name: x\ntraining: {epochs: 7}\n")
    assert main(["submit", "a.yaml", "--tasks", "1", "--python", "./python", "--network", "m:f"]) == 0
    spread = "--training.nodes 1 --training.devices 1"
    assert Path("ran").read_text() == f"-m gridvit train runs/x.yaml {spread} --network m:f\n"
    assert "  epochs: 7\n" in Path("runs/x.yaml").read_text()


def test_existing_files_are_not_lost() -> None:
    first, other = RunConfig(), RunConfig(training=TrainingConfig(epochs=7))
    keep(first, Path("x.yaml"), False, "do this")
    keep(first, Path("x.yaml"), False, "do this")
    with pytest.raises(InputError) as caught:
        keep(other, Path("x.yaml"), False, "do this")
    assert str(caught.value) == (
        "expected the configuration in x.yaml, got other values of training.epochs: do this"
    )
    keep(other, Path("x.yaml"), True, "do this")
    assert load_config(RunConfig, Path("x.yaml")) == other
    put_script(Path("x.sbatch"), "one", False)
    put_script(Path("x.sbatch"), "one", False)
    with pytest.raises(InputError) as caught:
        put_script(Path("x.sbatch"), "two", False)
    assert str(caught.value) == (
        "expected no x.sbatch, or the same, got another script: take another --name, or --replace the file"
    )
    put_script(Path("x.sbatch"), "two", True)
    assert Path("x.sbatch").read_text() == "two"


def test_elements_of_an_array() -> None:
    elements = [Element(number, "", ()) for number in (2, 3, 11)]
    assert [array_of(elements, together) for together in (0, 2)] == ["2,3,11", "2,3,11%2"]
