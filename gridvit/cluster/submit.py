"""Runs, scripts and sweeps as jobs: what is written beside the run, and what is submitted or run here."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from gridvit.cluster import local, script, slurm
from gridvit.cluster.job import Job
from gridvit.cluster.template import Template
from gridvit.config import MODEL_FILE, REQUEUE_FILE, RunConfig
from gridvit.errors import InputError
from gridvit.files import put
from gridvit.parsing import differences, load_config, save_config

MARKER = "GRIDVIT_REQUEUE"  # tells a command the file that asks for another start
log = logging.getLogger("gridvit")


@dataclass(frozen=True)
class Prepared:
    """A job before anything is written.

    Args:
        job: what SLURM is asked for, nodes and tasks filled in.
        path: of the batch script.
        text: of the batch script.
        command: what each process runs.
        finished: file that says that nothing is left to do.
        requeue: file that asks for another start.
        config: what the command trains, if it does.
    """

    job: Job
    path: Path
    text: str
    command: Sequence[str]
    finished: Path
    requeue: Path
    config: RunConfig | None = None

    def submit(self, replacing: bool = False) -> list[str]:
        """Write and submit it; the numbers of its jobs.

        Raises:
            InputError: script or configuration are there and say something else, without ``replacing``; it is in the
                queue; SLURM refuses it.
        """
        slurm.refuse_queued(self.path)
        self._keep(replacing)
        put_script(self.path, self.text, replacing)
        return slurm.submit(self.path, self.job.chain)

    def run(self, replacing: bool = False) -> int:
        """Run it on this machine instead, again while it asks for that; its status.

        Raises:
            InputError: more than one node; a configuration is there and says something else, without ``replacing``.
        """
        refuse_nodes(self.job)
        self._keep(replacing)
        log.info("on this machine, without SLURM: %s", shlex.join(self.command))
        while True:
            self.requeue.unlink(missing_ok=True)
            status, stopped = local.run(
                self.command, self.job.tasks or 1, {MARKER: os.path.abspath(self.requeue)}
            )
            if stopped or not self.requeue.exists():
                return status

    def _keep(self, replacing: bool) -> None:
        """Keep the configuration. A command says anew whether it is finished: who submits it wants it to run."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.config is None:
            self.finished.unlink(missing_ok=True)
        else:
            keep(self.config, _kept(self.path), replacing, "take another --name, or --replace the file")


def keep(config: RunConfig, path: Path, replacing: bool, do: str) -> None:
    """Write the configuration that a job will read, so that what is queued cannot change.

    Raises:
        InputError: another one is there, without ``replacing``: ``do`` something about it.
    """
    if path.exists() and not replacing:
        changed = differences(load_config(RunConfig, path), config)
        if changed:
            raise InputError(f"the configuration in {path}", f"other values of {', '.join(changed)}", do)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_config(config, path)


def put_script(path: Path, text: str, replacing: bool) -> None:
    """Write a batch script.

    Raises:
        InputError: another one is there, without ``replacing``.
    """
    if path.exists() and path.read_text() != text and not replacing:
        raise InputError(
            f"no {path}, or the same", "another script", "take another --name, or --replace the file"
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    put(path, text)


def refuse_nodes(job: Job) -> None:
    """One machine has one node."""
    if (job.nodes or 1) > 1:
        raise InputError(f"SLURM for {job.nodes} nodes", "none here", "take --nodes 1, with more --tasks")


def training(config: RunConfig, job: Job, network: str = "") -> Prepared:
    """The job that trains a run; its configuration is kept beside the folder of the run.

    Raises:
        InputError: the run is finished; the template is refused.
    """
    job, run = placed(config, job), Path(config.root) / config.name
    path, finished = beside(run, ".sbatch"), run / MODEL_FILE
    if finished.exists():
        raise InputError("an unfinished run", f"{run}, which is finished", "take another --name")
    command = training_command(job, _kept(path), network)
    text = script.training_script(
        job, Template.read(job.template), _place(config.name, run), str(run), command
    )
    return Prepared(job, path, text, command, finished, run / REQUEUE_FILE, config)


def plain(command: Sequence[str], job: Job, name: str = "", root: str = "runs") -> Prepared:
    """The job of any command, named after the first of its files unless ``name`` is given.

    Raises:
        InputError: no command, or one that cannot be found; the template is refused.
    """
    if not command:
        raise InputError("a command after --", "none", "gridvit submit -- python script.py")
    if shutil.which(command[0]) is None and not job.template:
        raise InputError("a command that can be found", repr(command[0]), "give its path")
    job = replace(job, nodes=job.nodes or 1, tasks=job.tasks or 1)
    name = name or _stem(command)
    stem = Path(root) / name
    finished, requeue = beside(stem, ".finished"), beside(stem, f".{REQUEUE_FILE}")
    text = script.plain_script(job, Template.read(job.template), _place(name, stem), str(stem), command)
    return Prepared(job, beside(stem, ".sbatch"), text, command, finished, requeue)


def placed(config: RunConfig, job: Job) -> Job:
    """The job with nodes and processes: its own, or those of the configuration."""
    training = config.training
    return replace(job, nodes=job.nodes or training.nodes, tasks=job.tasks or training.devices)


def training_command(job: Job, config: Path, network: str) -> list[str]:
    """``gridvit train`` in the Python of the job, on the job's nodes."""
    spread = ["--training.nodes", str(job.nodes), "--training.devices", str(job.tasks)]
    own = ["--network", network] if network else []
    return [job.python, "-m", "gridvit", "train", str(config), *spread, *own]


def beside(run: Path, suffix: str) -> Path:
    """runs/name.yaml for runs/name."""
    return run.with_name(run.name + suffix)


def _place(name: str, run: Path) -> script.Place:
    again = f"sbatch {script.quoted(str(beside(run, '.sbatch')))}"
    return script.Place(os.getcwd(), name, str(beside(run, ".log")), again)


def _stem(command: Sequence[str]) -> str:
    files = [word for word in command if re.search(r"\.(py|sh|jl|R)$", word)]
    return Path((files or command)[0]).stem


def _kept(path: Path) -> Path:
    """Where the configuration of a batch script is."""
    return path.with_suffix(".yaml")
