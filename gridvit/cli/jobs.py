"""The verbs of a cluster: ``submit`` one run or script, ``sweep`` many."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from gridvit.cli.options import flag, say, value
from gridvit.cluster import Job, Sweep, choose, plain, training
from gridvit.cluster.table import FAILED, FINISHED, text
from gridvit.config import RunConfig
from gridvit.errors import InputError
from gridvit.parsing import keys_of, parse, parser_of

ALSO = ("dry-run", "slurm", "local", "replace", "network", "jobs", "gather")
log = logging.getLogger("gridvit")
SUBMIT = "gridvit submit CONFIG [options of train] [options] | gridvit submit [--name NAME] [options] -- COMMAND ..."
SUBMIT_TEXT = """Write a readable batch script, ROOT/NAME.sbatch, and submit it to SLURM; where there is none, run
it here. Training saves and queues itself again before the time limit and after preemption, and a finished run ends at
once. A command is started again if it makes the file that $GRIDVIT_REQUEUE names before it ends."""
SWEEP = "gridvit sweep CONFIG SWEEP.txt [options of train] [options] [--jobs N] [--gather]"
SWEEP_TEXT = """Train one run for each line of overrides in a text file, such as
--training.learning_rate 0.01 --model.depth 4, as an array of SLURM jobs, --jobs N at once; where there is no SLURM, in
processes of this machine. Runs, logs and the table are in ROOT/SWEEP; --gather shows the table, and runs nothing. The
same command goes on with what is not finished."""
MORE = """
Options of train: see gridvit train --help. --dry-run prints the batch script and does nothing; --slurm never runs here,
--local always; --replace writes over a batch script of other content."""


def submit(arguments: Sequence[str]) -> int:
    """One run, or one command, as a job."""
    if _helped(SUBMIT, SUBMIT_TEXT, arguments):
        return 0
    rest, command = _split(arguments)
    network = value(rest, "--network", "package.module:factory", "")
    chosen, job = _chosen(rest), _job(rest)
    if command is None:
        prepared = training(_run_config(rest, SUBMIT), job, network)
    else:
        named = [value(rest, "--name", "NAME", ""), value(rest, "--root", "FOLDER", "runs")]
        if rest:
            raise InputError("options of a job before --", repr(rest[0]), "see gridvit submit --help")
        prepared = plain(command, job, *named)
    if chosen.dry:
        say(prepared.text.rstrip())
    elif choose(chosen.slurm, chosen.local):
        _submitted(prepared.submit(chosen.replacing), str(prepared.path))
    else:
        return prepared.run(chosen.replacing)
    return 0


def sweep(arguments: Sequence[str]) -> int:
    """Many runs as an array of jobs, or here; 1 if one has failed."""
    if _helped(SWEEP, SWEEP_TEXT, arguments):
        return 0
    rest = list(arguments)
    network = value(rest, "--network", "package.module:factory", "")
    chosen, job = _chosen(rest), _job(rest)
    gathering, together = flag(rest, "--gather"), value(rest, "--jobs", "N", "0")
    if not together.isdecimal():
        raise InputError("--jobs N, a number of runs at once", repr(together), "correct it")
    runs = Sweep.read(*_sweep_file(rest), job, network, int(together))
    if chosen.dry:
        say(runs.text().rstrip())
        return 0
    submitting = not gathering and choose(chosen.slurm, chosen.local)
    if submitting and runs.left():
        _submitted(runs.submit(chosen.replacing), str(runs.folder))
        return 0
    if not submitting and not gathering:
        runs.run()
    return _tabled(runs, gathering)


def _tabled(runs: Sweep, gathering: bool) -> int:
    """Show the table, and name on stderr what is not finished; while jobs run, only a failure is bad."""
    rows = runs.gather()
    say(text(rows))
    bad = [row for row in rows if row.state == FAILED or (row.state != FINISHED and not gathering)]
    for row in bad:
        sys.stderr.write(
            f"gridvit: line {row.line} ({row.name}) {row.state}, see {runs.folder / row.name}.log\n"
        )
    return 1 if bad else 0


@dataclass(frozen=True)
class _Chosen:
    dry: bool
    slurm: bool
    local: bool
    replacing: bool


def _chosen(rest: list[str]) -> _Chosen:
    """Take the flags out of the arguments."""
    if flag(rest, "--overwrite"):
        raise InputError(
            "no --overwrite, with which a job would lose its run when it starts again",
            "one",
            "take another --name",
        )
    return _Chosen(*(flag(rest, name) for name in ("--dry-run", "--slurm", "--local", "--replace")))


def _job(rest: list[str]) -> Job:
    """Take the options of a job out of the arguments."""
    given: list[str] = []
    for key in keys_of(Job):
        found = value(rest, f"--{key}", key.upper(), "")
        given += [f"--{key}={found}"] if found else []
    return parse(Job, given)


def _split(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """What stands before --, and the command after it, if any."""
    given = list(arguments)
    if "--" not in given:
        return given, None
    place = given.index("--")
    return given[:place], given[place + 1 :]


def _run_config(rest: list[str], prog: str) -> RunConfig:
    return parse(RunConfig, _configured(rest), prog, also=(*keys_of(Job), *ALSO))


def _sweep_file(rest: list[str]) -> tuple[str, list[str]]:
    """The sweep file, and the options of all its runs."""
    named = [word for word in rest[:2] if not word.startswith("-")]
    if not named or rest[: len(named)] != named:
        raise InputError("CONFIG SWEEP.txt", " ".join(rest) or "none", "gridvit sweep CONFIG SWEEP.txt")
    options = rest[len(named) :]
    return named[-1], _configured([*named[:-1], *options])


def _configured(rest: list[str]) -> list[str]:
    return ["--config", *rest] if rest and not rest[0].startswith("-") else rest


def _submitted(jobs: Sequence[str], what: str) -> None:
    log.info("submitted %s", what)
    say("\n".join(jobs))


def _helped(prog: str, description: str, arguments: Sequence[str]) -> bool:
    """Print the options of a job, if asked for before --."""
    if not {"-h", "--help"} & set(_split(arguments)[0]):
        return False
    parser_of(Job, prog, f"{description}\n{MORE}").print_help()
    return True
