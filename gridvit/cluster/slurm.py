"""SLURM's own commands."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from gridvit.errors import InputError


def available() -> bool:
    """Whether jobs can be submitted from here."""
    return shutil.which("sbatch") is not None


def choose(slurm: bool, local: bool) -> bool:
    """Whether to submit: where there is SLURM, unless told otherwise.

    Raises:
        InputError: both were asked for, or SLURM where there is none.
    """
    if slurm and local:
        raise InputError("--slurm or --local", "both", "leave one out")
    if slurm and not available():
        raise InputError(
            "sbatch for --slurm", "none on the PATH", "load SLURM, or leave --slurm out to run here"
        )
    return not local and available()


def submit(script: Path, chain: int, array: str = "") -> list[str]:
    """The numbers of ``chain`` jobs of a script, each waiting for the one before to end, however it ends.

    ``array`` are the elements to run, where not all of the script's.

    Raises:
        InputError: SLURM refuses it.
    """
    elements = [f"--array={array}"] if array else []
    jobs: list[str] = []
    for _ in range(chain):
        after = [f"--dependency=afterany:{jobs[-1]}"] if jobs else []
        done = _asked("sbatch", "--parsable", *elements, *after, str(script))
        if done.returncode:
            said = " ".join(done.stderr.replace("sbatch: error:", "").split())
            raise InputError(
                f"a job that SLURM accepts of {script}", said, "correct the option or the template"
            )
        jobs.append(done.stdout.strip().partition(";")[0])
    return jobs


def refuse_queued(script: Path) -> None:
    """Two jobs must not write one run.

    Raises:
        InputError: a job of the script is in the queue.
    """
    listed = _asked("squeue", "--me", "--noheader", "--format=%A %o").stdout
    for line in listed.splitlines():
        number, _, command = line.partition(" ")
        if command and Path(command) == script.resolve():
            raise InputError(
                f"no job of {script} in the queue", f"job {number}", f"wait for it, or scancel {number}"
            )


def _asked(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
