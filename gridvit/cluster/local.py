"""Jobs without SLURM: processes of this machine."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from gridvit.errors import InputError

PATIENCE = 120.0  # seconds in which stopped processes may save
GRACE = 10.0  # seconds in which processes end whose neighbour has failed
STOPPING = [getattr(signal, name) for name in ("SIGTERM", "SIGUSR1") if hasattr(signal, name)]


class Group:
    """The processes of one run, which end together.

    Args:
        command: what each of them runs.
        tasks: how many; they find each other by the variables that torchrun sets too.
        log: file that their output is appended to; this process's output without it.
        environment: variables besides those of this process.
    """

    def __init__(
        self,
        command: Sequence[str],
        tasks: int = 1,
        log: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        given = {**os.environ, **(environment or {})}
        ranks = [given] if tasks == 1 else [{**given, **ranked} for ranked in _ranks(tasks)]
        self._log = log.open("ab") if log else None
        self._status, self._failed = 0, 0.0
        self._processes = [self._started(command, rank) for rank in ranks]

    def _started(self, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        errors = self._log and subprocess.STDOUT
        try:
            return subprocess.Popen(list(command), env=environment, stdout=self._log, stderr=errors)
        except OSError as error:
            raise InputError(
                "a command that can be started", f"{command[0]} ({error.strerror})", "correct it"
            ) from None

    def poll(self) -> int | None:
        """The status of the first that fails, 0 where none does, once all have ended; none while they run."""
        states = [process.poll() for process in self._processes]
        if not self._status and any(states):
            status = next(state for state in states if state)
            self._status, self._failed = status if status > 0 else 128 - status, time.monotonic()
        if None in states:
            if self._status and time.monotonic() - self._failed > GRACE:
                self.signal(signal.SIGKILL)
            return None
        if self._log:
            self._log.close()
        return self._status

    def signal(self, number: int) -> None:
        """Pass a signal on to all that run."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(number)

    def end(self) -> None:
        """Let all save and end, and kill those that do not."""
        self.signal(signal.SIGTERM)
        deadline = time.monotonic() + PATIENCE
        while self.poll() is None:
            if time.monotonic() > deadline:
                self.signal(signal.SIGKILL)
            time.sleep(0.05)


def _ranks(tasks: int) -> list[dict[str, str]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(tasks),
        "LOCAL_WORLD_SIZE": str(tasks),
        "GROUP_RANK": "0",
        "TORCHELASTIC_RUN_ID": "gridvit",
    }
    return [{**shared, "RANK": str(rank), "LOCAL_RANK": str(rank)} for rank in range(tasks)]


class Told:
    """Whether this process has been told to stop, and the groups that are told with it, by number."""

    def __init__(self) -> None:
        self.stop = False
        self.groups: dict[int, Group] = {}

    def note(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal."""
        self.stop = True
        for group in list(self.groups.values()):
            group.signal(number)

    def start(self, number: int, start: Callable[[], Group]) -> None:
        """Add a group; it is told what came while it started."""
        self.groups[number] = start()
        if self.stop:
            self.groups[number].signal(signal.SIGTERM)

    def ended(self) -> list[tuple[int, int]]:
        """Numbers and statuses of the groups that have ended since."""
        found = [
            (number, status) for number, group in self.groups.items() if (status := group.poll()) is not None
        ]
        for number, _ in found:
            del self.groups[number]
        return found


@contextmanager
def listening() -> Iterator[Told]:
    """Signals that ask for an end go to the groups that run; whatever happens here, none of them is left behind."""
    told = Told()
    before = {number: signal.signal(number, told.note) for number in STOPPING}
    try:
        yield told
    finally:
        for group in told.groups.values():
            group.end()
        for number, handler in before.items():
            signal.signal(number, handler)


def run_each(
    starts: Sequence[Callable[[], Group]], together: int, ended: Callable[[int, int, bool], None]
) -> None:
    """Run groups of processes, ``together`` at once; none is started any more once this process is told to stop.

    Args:
        starts: what starts each of them.
        together: how many run at once.
        ended: called with the index of one that has ended, its status, and whether it was told to.
    """
    waiting = list(enumerate(starts))
    with listening() as told:
        while told.groups or (waiting and not told.stop):
            while waiting and not told.stop and len(told.groups) < together:
                told.start(*waiting.pop(0))
            for index, status in told.ended():
                ended(index, status, told.stop)
            time.sleep(0.02)


def run(command: Sequence[str], tasks: int, environment: Mapping[str, str]) -> tuple[int, bool]:
    """The status of ``tasks`` processes that run ``command`` here and now, and whether they were told to stop."""
    found = [(128 + signal.SIGTERM, True)]  # told before they could start

    def ended(index: int, status: int, stopped: bool) -> None:
        found[0] = status, stopped

    run_each([lambda: Group(command, tasks, environment=environment)], 1, ended)
    return found[0]
