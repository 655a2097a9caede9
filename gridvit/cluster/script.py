"""A batch script that people can read, change and submit by hand."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import abspath

from gridvit.cluster.job import Job
from gridvit.cluster.template import Template
from gridvit.config import MODEL_FILE, REQUEUE_FILE

CORES = """\
if [ -n "${SLURM_CPUS_PER_TASK:-}" ]; then export SRUN_CPUS_PER_TASK=$SLURM_CPUS_PER_TASK; fi"""
START = """\
if [ -e "$finished" ]; then
    echo "$finished is there: nothing is left to do"
    exit 0
fi
rm -f "$requeue\""""
LOST = """\
# srun says 0 after a lost node too, but then SLURM has taken the job back
if [ "$status" = 0 ] && [ ! -e "$requeue" ] && [ "$(squeue -h -j "$SLURM_JOB_ID" -o %T)" = RUNNING ]; then
    touch "$finished"
fi"""
ASKED = '[ -e "$requeue" ]'
ASKED_EARLY = '{ [ -e "$requeue" ] || [ "$status" = 138 ]; }'  # 138: SIGUSR1 before training could answer it
END = """\
# The files tell how it ended. The status of srun does not: it is 143 after a signal, and 0 after a lost node.
if [ -e "$finished" ]; then exit 0; fi
if %s && [ "${SLURM_RESTART_COUNT:-0}" -lt 100 ]; then
    # the number of the job alone would be the whole array
    scontrol requeue "${SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}${SLURM_ARRAY_TASK_ID:+_$SLURM_ARRAY_TASK_ID}" &&
        sleep 60  # SLURM ends this script meanwhile
fi"""
FILES = f"""\
exec >>"$run.log" 2>&1
finished=$run/{MODEL_FILE}
requeue=$run/{REQUEUE_FILE}
failed=$run.failed"""
FAILED = '[ -e "$requeue" ] || echo "$status" >"$failed"'
EXIT = "[ $status != 0 ] || status=1\nexit $status"


@dataclass(frozen=True)
class Element:
    """One run of an array: the number of its line in the sweep, its folder, and its own options."""

    number: int
    run: str
    options: Sequence[str]


@dataclass(frozen=True)
class Place:
    """Where a job runs and what it leaves: working folder, name, log."""

    folder: str
    name: str
    log: str
    again: str  # the command that submits it once more


def training_script(job: Job, template: Template, place: Place, run: str, command: Sequence[str]) -> str:
    """A job that trains the run in the folder ``run``."""
    files = f"finished={quoted(f'{run}/{MODEL_FILE}')}\nrequeue={quoted(f'{run}/{REQUEUE_FILE}')}"
    call = _call(template, _text(command))
    return _joined(
        _header(job, template, place, job.warning), files, START, CORES, call, END % ASKED_EARLY, EXIT
    )


def plain_script(job: Job, template: Template, place: Place, stem: str, command: Sequence[str]) -> str:
    """A job of any command; ``stem`` begins the names of the files that tell how it ended."""
    finished, requeue = f"{stem}.finished", f"{stem}.{REQUEUE_FILE}"
    files = (
        f"finished={quoted(finished)}\nrequeue={quoted(requeue)}\n"
        f"export GRIDVIT_REQUEUE={quoted(abspath(requeue))}  # a command that makes this file is started again"
    )
    call = _call(template, _text(command))
    return _joined(
        _header(job, template, place, job.warn), files, START, CORES, call, LOST, END % ASKED, EXIT
    )


def array_script(
    job: Job,
    template: Template,
    place: Place,
    elements: Sequence[Element],
    together: int,
    command: Sequence[str],
) -> str:
    """An array of jobs, one for each line of a sweep, at most ``together`` at once (0 for any number)."""
    header = f"{_header(job, template, place, job.warning)}\n#SBATCH --array={array_of(elements, together)}"
    cases = [f"{e.number}) run={quoted(e.run)} options=({_text(e.options)}) ;;" for e in elements]
    which = "\n".join(
        ["# each element of the array runs a line", "case $SLURM_ARRAY_TASK_ID in", *cases, "esac"]
    )
    call = _call(template, f'{_text(command)} --name "${{run##*/}}" "${{options[@]}}"')
    start, end = f'{FILES}\n\n{START} "$failed"', f"{FAILED}\n{EXIT}"
    return _joined(header, which, start, CORES, call, END % ASKED_EARLY, end)


def array_of(elements: Sequence[Element], together: int) -> str:
    """The numbers of the elements as SLURM reads them, e.g. ``1,2,4%2``."""
    limit = f"%{together}" if together else ""
    return ",".join(str(element.number) for element in elements) + limit


def _header(job: Job, template: Template, place: Place, warning: int | None) -> str:
    """The lines that SLURM reads; of two that disagree the later counts, so the site's come first."""
    wanted = {
        "job-name": place.name,
        "chdir": place.folder,
        "output": place.log,
        "open-mode": "append",
        "nodes": job.nodes,
        "ntasks-per-node": job.tasks,
        "cpus-per-task": job.cpus,
        "gpus-per-node": job.gpus,
        "time": job.time or None,
        "partition": job.partition or None,
        "signal": f"USR1@{warning}" if warning else None,
    }
    lines = [f"#SBATCH --{name}={quoted(str(value))}" for name, value in wanted.items() if value is not None]
    top = f"{template.shell}\n# Written by gridvit. Submit it again: {place.again}"
    return "\n".join([top, *template.options, *lines, "#SBATCH --requeue"])


def _call(template: Template, command: str) -> str:
    return "\n".join([*template.before, "status=0", f"{template.calling(command)} || status=$?"])


def _text(command: Sequence[str]) -> str:
    return " ".join(quoted(part) for part in command)


def quoted(text: str) -> str:
    """As the shell and SLURM read it."""
    return shlex.quote(text)


def _joined(*parts: str) -> str:
    return "\n\n".join(parts) + "\n"
