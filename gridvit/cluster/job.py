"""What a batch system is asked for."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from gridvit.errors import InputError

WARNING = 300  # seconds before the limit; SLURM may signal a minute earlier than it is asked to


@dataclass(frozen=True)
class Job:
    """What SLURM is asked for, for each run.

    Args:
        nodes: machines; those of training.nodes where it is left out, one for a script.
        tasks: processes on each node, one for each device; training.devices where it is left out, one for a script.
        cpus: cores for each process; the site's default where it is left out.
        gpus: GPUs of each node; what the template asks for where it is left out.
        time: limit as SLURM writes it: minutes, 12:00:00 or 1-12:00:00; the partition's where it is left out.
        partition: where to queue; the site's default where it is left out.
        warn: seconds before the limit at which training saves and queues itself again: enough for a validation, two
            steps, a checkpoint and a minute of SLURM's own; 300 where it is left out, or a third of a shorter limit.
            A script is sent SIGUSR1 only where it is given.
        chain: jobs in a row, each started when the one before has ended; for sites that let no job queue itself again.
        template: text file of the site's lines, the last of which is srun ... {command}.
        python: the Python of the job; this one where it is left out. In a container often python3.
    """

    nodes: int | None = None
    tasks: int | None = None
    cpus: int | None = None
    gpus: int | None = None
    time: str = ""
    partition: str = ""
    warn: int | None = None
    chain: int = 1
    template: str = ""
    python: str = sys.executable

    def __post_init__(self) -> None:
        for name in ("nodes", "tasks", "cpus", "gpus", "warn", "chain"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"--{name} of at least 1", str(value), "correct it")
        limit = seconds(self.time)
        if limit is not None and self.warn is not None and self.warn >= limit:
            raise InputError(
                f"--warn of less than --time {self.time} ({limit} s)", f"{self.warn} s", "ask for more time"
            )

    @property
    def warning(self) -> int:
        """Seconds before the limit at which training is told to save."""
        limit = seconds(self.time)
        automatic = WARNING if limit is None else max(1, min(WARNING, limit // 3))
        return automatic if self.warn is None else self.warn


def seconds(time: str) -> int | None:
    """The limit in seconds: "90" is minutes, "30:00" minutes and seconds, "1-12" a day and a half; none for "".

    Raises:
        InputError: another format, or no time at all.
    """
    if not time:
        return None
    found = re.fullmatch(r"(?:(\d+)-(\d+)(?::(\d+))?(?::(\d+))?)|(?:(\d+)(?::(\d+))?(?::(\d+))?)", time)
    if found:
        days, hours, minutes, rest, *plain = (int(part) if part else 0 for part in found.groups())
        if "-" not in time:
            hours, minutes, rest = plain if time.count(":") == 2 else (0, *plain[:2])
        total = ((days * 24 + hours) * 60 + minutes) * 60 + rest
        if total > 0:
            return total
    raise InputError("--time like 90 (minutes), 12:00:00 or 1-12:00:00", repr(time), "correct it")
