"""The site's part of a batch script, from a text file of the user's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from gridvit.errors import InputError

PLACE = re.compile(r"(?<!\$)\{command\}")  # and not a variable of the shell
# What a script of gridvit states itself: the option of the command that does, if any.
OWN = {
    "nodes": "--nodes", "N": "--nodes", "ntasks-per-node": "--tasks", "ntasks": "--tasks", "n": "--tasks",
    "signal": "--warn", "requeue": "", "no-requeue": "", "open-mode": "", "array": "", "a": "", "job-name": "--name",
    "J": "--name", "dependency": "--chain", "d": "--chain", "output": "", "o": "", "error": "", "e": "", "chdir": "",
    "D": "",
}  # fmt: skip


@dataclass(frozen=True)
class Template:
    """``#SBATCH`` lines, lines of the shell, and the line that starts the processes, which ends with ``{command}``.

    For example, in a container::

        #SBATCH --account=climate
        module load apptainer
        srun --kill-on-bad-exit=1 apptainer exec gridvit.sif {command}
    """

    shell: str = "#!/bin/bash"
    options: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    command: str = "srun --kill-on-bad-exit=1 {command}"

    @classmethod
    def read(cls, path: str) -> Template:
        """The template in a file; the one above, without a site's lines, where ``path`` is empty.

        Raises:
            InputError: no file, another shell, not one ``{command}`` at the end, no ``srun`` before it, an option of
                SLURM's that gridvit states.
        """
        if not path:
            return cls()
        if not Path(path).is_file():
            raise InputError("a template file", f"no file {path}", "check the path")
        lines = Path(path).read_text().rstrip().splitlines()
        shell = lines.pop(0) if lines and lines[0].startswith("#!") else cls.shell
        if "bash" not in shell:
            raise InputError(f"#!/bin/bash at the top of {path}", repr(shell), "gridvit's lines are bash")
        options = tuple(line.strip() for line in lines if line.startswith("#SBATCH"))
        for line in options:
            _refuse_own(line, path)
        rest = [line for line in lines if not line.startswith("#SBATCH")]
        first = _refuse_unplaced(rest, path)
        return cls(shell, options, tuple(rest[:first]), "\n".join(rest[first:]))

    def calling(self, command: str) -> str:
        """The line that starts the processes of ``command``."""
        return PLACE.sub(lambda _: command, self.command)


def _refuse_own(line: str, path: str) -> None:
    for name in re.findall(r"(?:^#SBATCH|\s)\s*--?([\w-]+)", line):
        if name in OWN:
            say = f"say {OWN[name]} to gridvit" if OWN[name] else "gridvit states it itself"
            raise InputError(f"#SBATCH lines of the site in {path}", repr(line), f"leave it out, {say}")


def _refuse_unplaced(lines: list[str], path: str) -> int:
    """The index of the first line of the command, which may be continued by backslashes."""
    places = sum(len(PLACE.findall(line)) for line in lines if not line.lstrip().startswith("#"))
    if places != 1:
        raise InputError(f"{{command}} once in {path}", str(places), "end the file with srun {command}")
    if not lines[-1].endswith("{command}"):
        raise InputError(f"{{command}} at the end of {path}", repr(lines[-1]), "move what follows before it")
    first = len(lines) - 1
    while first and lines[first - 1].endswith("\\"):
        first -= 1
    if not re.search(r"\bsrun\b", " ".join(lines[first:])):
        what = "without it nothing starts the tasks or passes signals on to them"
        raise InputError(f"srun before {{command}} in {path}", repr(lines[first]), f"add it, {what}")
    return first
