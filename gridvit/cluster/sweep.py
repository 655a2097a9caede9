"""Many runs from a text file of overrides: an array of jobs, or processes of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridvit.cluster import local, script, slurm
from gridvit.cluster.job import Job
from gridvit.cluster.lines import Line, read_lines
from gridvit.cluster.submit import keep, placed, put_script, refuse_nodes, training_command
from gridvit.cluster.table import FINISHED, Row, failure, rows_of, save, state
from gridvit.cluster.template import Template
from gridvit.config import REQUEUE_FILE, RunConfig
from gridvit.errors import InputError
from gridvit.parsing import parse

RENAME = "rename the text file, or take another --root"
log = logging.getLogger("gridvit")


@dataclass(frozen=True)
class Sweep:
    """The runs of a text file, in a folder of their own named after it.

    Args:
        folder: of the sweep, which holds a folder for each run, their logs and the table.
        base: what all runs share.
        lines: one for each run.
        job: what SLURM is asked for, for each run.
        network: package.module:factory of a network of one's own.
        together: runs at once; 0 for any number on SLURM, for one on this machine.
    """

    folder: Path
    base: RunConfig
    lines: Sequence[Line]
    job: Job
    network: str = ""
    together: int = 0

    @classmethod
    def read(cls, path: str, options: Sequence[str], job: Job, network: str = "", together: int = 0) -> Sweep:
        """The sweep of a text file (see ``read_lines``) over ``options``, those of ``gridvit train``.

        Raises:
            InputError: an option or a line that is refused, with its number; a folder of something else.
        """
        base = parse(RunConfig, list(options))
        folder = Path(base.root) / Path(path).stem
        if (folder / "config.yaml").exists():
            raise InputError("a folder for the sweep", f"the run {folder}", RENAME)
        if together < 0:
            raise InputError("--jobs of at least 0", str(together), "correct it")
        lines = read_lines(Path(path), options, folder)
        return cls(folder, base, lines, placed(base, job), network, together)

    def left(self) -> list[Line]:
        """The lines whose runs are not finished."""
        return [line for line in self.lines if state(self.folder / line.name) != FINISHED]

    def text(self) -> str:
        """The batch script of the array, with an element for each line."""
        name, again = self.folder.name, f"sbatch {script.quoted(str(self._path()))}"
        here = script.Place(os.getcwd(), name, str(self.folder / "slurm.log"), again)
        template, elements = Template.read(self.job.template), self._elements(self.lines)
        return script.array_script(self.job, template, here, elements, self.together, self._command())

    def submit(self, replacing: bool = False) -> list[str]:
        """Submit what is left; the numbers of its jobs.

        Raises:
            InputError: the sweep was begun with another configuration, or with another script without ``replacing``;
                it is in the queue; SLURM refuses it.
        """
        text = self.text()
        slurm.refuse_queued(self._path())
        keep(self.base, self._kept(), False, RENAME)
        put_script(self._path(), text, replacing)
        left = script.array_of(self._elements(self.left()), self.together)
        return slurm.submit(self._path(), self.job.chain, left)

    def run(self) -> None:
        """Run what is left in processes of this machine, ``together`` at once; one that fails stops no other.

        Raises:
            InputError: more than one node; the sweep was begun with another configuration.
        """
        refuse_nodes(self.job)
        keep(self.base, self._kept(), False, RENAME)
        left = self.left()
        log.info(
            "on this machine, without SLURM: %d of %d runs, logs in %s",
            len(left),
            len(self.lines),
            self.folder,
        )

        def ended(index: int, status: int, stopped: bool) -> None:
            self._note(left[index], status, stopped)

        local.run_each([self._starter(line) for line in left], self.together or 1, ended)

    def gather(self) -> list[Row]:
        """The table as it is now, kept as table.csv and table.txt."""
        rows = rows_of(self.lines, self.folder)
        if self.folder.is_dir():
            save(rows, self.folder)
        return rows

    def _kept(self) -> Path:
        return self.folder / "sweep.yaml"

    def _path(self) -> Path:
        return self.folder / "sweep.sbatch"

    def _command(self) -> list[str]:
        """``gridvit train`` without a line's own options."""
        return [*training_command(self.job, self._kept(), self.network), "--root", str(self.folder)]

    def _elements(self, lines: Sequence[Line]) -> list[script.Element]:
        return [script.Element(line.number, str(self.folder / line.name), line.overrides) for line in lines]

    def _starter(self, line: Line) -> Callable[[], local.Group]:
        run, tasks = self.folder / line.name, self.job.tasks or 1
        command = [*self._command(), "--name", line.name, *line.overrides]
        environment = shared_cores(tasks * max(1, self.together))

        def start() -> local.Group:
            failure(run).unlink(missing_ok=True)
            log.info("line %d: %s starts", line.number, line.name)
            return local.Group(command, tasks, run.with_name(f"{line.name}.log"), environment)

        return start

    def _note(self, line: Line, status: int, stopped: bool) -> None:
        """Keep that a run has failed: neither finished nor interrupted."""
        run = self.folder / line.name
        if status and not stopped and state(run) != FINISHED and not (run / REQUEUE_FILE).exists():
            failure(run).write_text(f"{status}\n")
        log.info("line %d: %s %s", line.number, line.name, state(run))


def shared_cores(processes: int) -> dict[str, str]:
    """Variables with which each of several processes takes its share of this machine's cores."""
    if processes == 1 or "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // processes))}
