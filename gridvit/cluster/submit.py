"""Runs, scripts and sweeps as jobs: what is written beside the run, and what is submitted or run here."""

from __future__ import annotations

import logging
import os
import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from gridvit.cluster import local, script, slurm
from gridvit.cluster.job import Job
from gridvit.cluster.table import put
from gridvit.cluster.template import Template
from gridvit.config import RunConfig
from gridvit.errors import InputError
from gridvit.parsing import differences, load_config, save_config

log = logging.getLogger("gridvit")


@dataclass(frozen=True)
class Prepared:
    """A job before anything is written.

    Args:
        job: what SLURM is asked for, nodes and tasks filled in.
        path: of the batch script.
        text: of the batch script.
        command: what each process runs.
        kept: file for the configuration that the command reads, if any, so that what is queued cannot change.
        config: that configuration.
        environment: variables that the batch script sets for its processes.
    """

    job: Job
    path: Path
    text: str
    command: Sequence[str]
    kept: Path | None = None
    config: RunConfig | None = None
    environment: dict[str, str] = field(default_factory=dict)

    def submit(self, replacing: bool = False) -> list[str]:
        """Write and submit it; the numbers of its jobs.

        Raises:
            InputError: script or configuration are there and say something else, without ``replacing``; SLURM refuses.
        """
        self.keep(replacing)
        put_script(self.path, self.text, replacing)
        return slurm.submit(self.path, self.job.chain)

    def run(self, replacing: bool = False) -> int:
        """Run it on this machine instead; its status.

        Raises:
            InputError: more than one node; a configuration is there and says something else, without ``replacing``.
        """
        refuse_nodes(self.job)
        self.keep(replacing)
        log.info("on this machine, without SLURM: %s", shlex.join(self.command))
        tasks = self.job.tasks or 1
        return local.run_each([lambda: local.Group(self.command, tasks, environment=self.environment)])[0]

    def keep(self, replacing: bool, do: str = "take another --name, or --replace the file") -> None:
        """Write the configuration, or say what to ``do`` about another one that is there."""
        if self.kept is None or self.config is None:
            return
        if self.kept.exists() and not replacing:
            changed = differences(load_config(RunConfig, self.kept), self.config)
            if changed:
                got = f"other values of {', '.join(changed)}"
                raise InputError(f"the configuration in {self.kept}", got, do)
        self.kept.parent.mkdir(parents=True, exist_ok=True)
        save_config(self.config, self.kept)


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
    job = placed(config, job)
    run = Path(config.root) / config.name
    _refuse_finished(run / script.MODEL, "take another --name")
    kept = beside(run, ".yaml")
    command = training_command(job, kept, network)
    place = _place(config.name, run)
    text = script.training_script(job, Template.read(job.template), place, str(run), command)
    return Prepared(job, beside(run, ".sbatch"), text, command, kept, config)


def plain(command: Sequence[str], job: Job, name: str = "", root: str = "runs") -> Prepared:
    """The job of any command, named after the first of its files unless ``name`` is given.

    Raises:
        InputError: no command, or one that cannot be found; it is finished; the template is refused.
    """
    if not command:
        raise InputError("a command after --", "none", "gridvit submit -- python script.py")
    if shutil.which(command[0]) is None and not job.template:
        raise InputError("a command that can be found", repr(command[0]), "give its path")
    job = replace(job, nodes=job.nodes or 1, tasks=job.tasks or 1)
    name = name or _stem(command)
    stem = Path(root) / name
    finished = beside(stem, ".finished")
    _refuse_finished(finished, "take another --name, or delete it")
    text = script.plain_script(job, Template.read(job.template), _place(name, stem), str(stem), command)
    marker = {"GRIDVIT_REQUEUE": os.path.abspath(beside(stem, f".{script.REQUEUE}"))}
    return Prepared(job, beside(stem, ".sbatch"), text, command, environment=marker)


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


def _refuse_finished(path: Path, do: str) -> None:
    if path.exists():
        raise InputError("an unfinished run", f"{path}, which says that it is finished", do)
