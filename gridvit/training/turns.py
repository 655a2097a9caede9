"""The first process of a run prepares its folder while the others wait: files are written and data measured once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from lightning.fabric.plugins.environments import SLURMEnvironment
from torch.distributed import PrefixStore, Store, TCPStore

from gridvit.cluster.preflight import in_step, launched, place

START, MEASURE = timedelta(minutes=30), timedelta(days=7)
"""How long processes may take to start, and the first one to measure the data."""
READY, REFUSED, KEY = "ready", "refused", "folder"


class Turn:
    """Whether this process is the first of ``count``, and where it tells the others that they may go on.

    Those that Lightning starts on this machine come when the first has prepared all. Those of ``srun`` and ``torchrun``
    start together, and meet at a port beside the one that they train by.
    """

    def __init__(self, count: int) -> None:
        self.number = place()
        self._store = _store(self.number == 0) if count > 1 and (launched() or in_step()) else None

    @property
    def first(self) -> bool:
        """Whether this is the one that writes."""
        return self.number == 0

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """In the first process; the others go on at its end, or leave where it refuses."""
        said = REFUSED
        try:
            yield
            said = READY
        finally:
            if self._store is not None:
                self._store.set(KEY, said)

    def wait(self) -> None:
        """In the others, until then."""
        if self._store is None:
            return
        try:
            self._store.wait([KEY], MEASURE)
            said = self._store.get(KEY)
        except RuntimeError as error:  # the first process is gone
            raise SystemExit(2) from error
        if said.decode() != READY:  # it has said why
            raise SystemExit(2)


def _store(first: bool) -> Store:
    if launched() and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True":
        store = TCPStore(
            os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False, timeout=START
        )
        return PrefixStore(f"gridvit {os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}", store)
    if launched():
        address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    else:
        found = SLURMEnvironment(auto_requeue=False)
        address, port = found.main_address, found.main_port  # 15000 and the end of the job's number
    port = 1024 + (port + 10_000 - 1024) % 64_000
    return TCPStore(address, port, is_master=first, timeout=START, wait_for_workers=False)
