"""Checkpoint files: written so that a crash leaves the one before, checked before they are gone on from."""

from __future__ import annotations

import logging
import os
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from gridvit.errors import InputError

log = logging.getLogger("gridvit")
LAST, PREVIOUS, BEST = "last.ckpt", "previous.ckpt", "best.ckpt"


class Storage(TorchCheckpointIO):
    """Writes beside the file, waits for the disk, and renames; ``last.ckpt`` becomes ``previous.ckpt`` before.

    A write that fails (a full disk) says so, leaves the older files as they were, and sets ``failed``: the training
    goes on and tries again. It must not raise, since the other processes of the run wait for its end.
    """

    failed = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any = None
    ) -> None:
        """Write, or warn."""
        target = Path(path)
        temporary = target.with_name(f"{target.name}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with temporary.open("wb") as file:
                torch.save(checkpoint, file)
                file.flush()
                os.fsync(file.fileno())
            _put(temporary, target)
            self.failed = False
        except (OSError, RuntimeError) as error:  # torch turns what the disk says into a RuntimeError
            temporary.unlink(missing_ok=True)
            self.failed = True
            log.warning(
                "%s was not written (%s): training goes on, older checkpoints remain", target, _first(error)
            )

    def link(self, source: Path, target: Path) -> bool:
        """Have a file that is just written under another name too; False where the file system cannot."""
        temporary = target.with_name(f"{target.name}.tmp")
        try:
            temporary.unlink(missing_ok=True)
            os.link(source, temporary)
            _put(temporary, target)
        except OSError:
            return False
        return True


def _put(temporary: Path, target: Path) -> None:
    """Rename, with the last file kept as the previous one."""
    if target.name == LAST and target.exists():
        os.replace(target, target.with_name(PREVIOUS))
    os.replace(temporary, target)
    _wait_for_names(target.parent)


def _wait_for_names(folder: Path) -> None:
    """Until the renames in a folder are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _first(error: Exception) -> str:
    """What the system said, if it was the system."""
    cause = error.__context__ if isinstance(error.__context__, OSError) else error
    return str(cause).partition("\n")[0]


def newest(folder: Path) -> Path | None:
    """The checkpoint to go on from: the last, or the one before where the last is damaged; None where there is none.

    Raises:
        InputError: there are some and all are damaged.
    """
    there = [folder / name for name in (LAST, PREVIOUS) if (folder / name).exists()]
    for path in there:
        if whole(path):
            return path
        log.warning("%s is damaged, and is left out", path)
    if there:
        raise InputError(
            f"a checkpoint in {folder} that can be read", "damaged ones alone", "start again with --overwrite"
        )
    return None


def whole(path: Path) -> bool:
    """Whether every part of a checkpoint has the checksum that it was written with."""
    try:
        with zipfile.ZipFile(path) as file:
            return file.testzip() is None
    except (zipfile.BadZipFile, EOFError, NotImplementedError):
        return False
