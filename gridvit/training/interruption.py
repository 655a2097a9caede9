"""Signals that end a run before its time: noted when they come, obeyed where the run can go on exactly."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

REQUEUE_EXIT = 85
"""Exit status of a run that was told to stop by SIGUSR1 or SIGTERM, and goes on when it is started again."""
CTRL_C_EXIT = 130

NOTHING, SAVE, REQUEUE, LEAVE = range(4)
WISHES = {signal.SIGUSR1: REQUEUE, signal.SIGTERM: REQUEUE, signal.SIGINT: LEAVE}


class Signals:
    """What signals have asked for: ``wish`` is NOTHING, REQUEUE (SIGUSR1, SIGTERM) or LEAVE (SIGINT, Ctrl+C).

    A handler may run between any two instructions, so it does nothing but note; a second Ctrl+C ends at once.
    """

    def __init__(self) -> None:
        self.wish = NOTHING
        self._before: dict[int, Any] = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        if number == signal.SIGINT and self.wish == LEAVE:
            raise KeyboardInterrupt
        self.wish = max(self.wish, WISHES[signal.Signals(number)])

    def listen(self) -> None:
        """Take the signals; again where Lightning has put a handler of its own, which waits for other processes."""
        if threading.current_thread() is not threading.main_thread():
            return  # Python runs handlers in the main thread alone
        for number in WISHES:
            before = signal.signal(number, self._note)
            if before != self._note:
                self._before.setdefault(number, before)

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Note the signals inside, and give them back."""
        self.listen()
        try:
            yield
        finally:
            for number, before in self._before.items():
                signal.signal(number, before)
            self._before = {}


class Interrupted(SystemExit):
    """The run has stopped as it was told to, and its work is kept; a script that lets it pass ends with ``code``."""
