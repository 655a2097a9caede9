"""What a run was made with, session by session: versions, git states, machine, data, command, how it ended."""

from __future__ import annotations

import datetime
import json
import logging
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from glob import glob
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_only

import gridvit
from gridvit.config import DataConfig, RunConfig
from gridvit.data.measure import Measured, state_of
from gridvit.errors import InputError
from gridvit.files import put
from gridvit.training.interruption import Interrupted
from gridvit.training.watch import DO, Diverged

log = logging.getLogger("gridvit")
RECORD = "record.json"
PACKAGES = ("torch", "lightning", "numpy", "xarray", "netCDF4", "zarr", "dask", "scipy", "cf-xarray", "h5py",
            "cfgrib", "jsonargparse", "safetensors")  # fmt: skip
DIVERGED = "diverged"
SAME = (
    "gridvit",
    "versions",
    "python",
    "device",
    "processes",
    "threads",
    "data",
)  # make a session repeat itself
PATIENCE = 10  # seconds that git may take


def session(config: RunConfig, measured: Measured) -> dict[str, Any]:
    """A session of training that begins now.

    ``data`` holds the fingerprint of what trains, and bytes, count and time of modification (ns) of the local files
    that the configuration names; ``working_folder`` is the git state of the folder that the command was given in.
    """
    return {
        "started": _now(),
        "ended": None,
        "outcome": "running",
        "command": sys.argv,
        "seed": config.training.seed,
        "gridvit": {"version": gridvit.__version__, **_own_state()},
        "working_folder": git_state(Path.cwd()),
        "versions": {name: found for name in PACKAGES if (found := _version(name))},
        "python": platform.python_version(),
        "platform": platform.platform(),
        "device": _device(config.training.accelerator),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
        "threads": torch.get_num_threads(),
        "data": {"fingerprint": measured.fingerprint, "files": _files(config.data)},
    }


@contextmanager
def recorded(folder: Path, found: dict[str, Any]) -> Iterator[None]:
    """Append a session to ``record.json`` and say how it ended; one that is killed stays "running".

    Of several processes the first one writes.
    """
    _append(folder / RECORD, found)
    outcome = "finished"
    try:
        yield
    except BaseException as error:
        outcome = _outcome(error)
        raise
    finally:
        _append(folder / RECORD, {**found, "ended": _now(), "outcome": outcome})


def sessions(folder: Path) -> list[dict[str, Any]]:
    """All sessions of a run, the first one first; none where nothing is recorded."""
    path = folder / RECORD
    return json.loads(path.read_text())["sessions"] if path.is_file() else []


def _append(path: Path, found: dict[str, Any]) -> None:
    """Put a session last, in the place of itself as it was."""
    if rank_zero_only.rank != 0:
        return
    before = [one for one in sessions(path.parent) if one["started"] != found["started"]]
    put(path, json.dumps({"sessions": [*before, found]}, indent=2) + "\n")


def _outcome(error: BaseException) -> str:
    if isinstance(error, KeyboardInterrupt | Interrupted):
        return "interrupted"
    kind = f"failed, {type(error).__name__}" if not isinstance(error, InputError) else "stopped"
    kind = DIVERGED if isinstance(error, Diverged) else kind
    return f"{kind}: {' '.join(str(error).split())}"


def refuse_repeated(folder: Path, now: dict[str, Any]) -> None:
    """A session that diverged is not repeated, as it would diverge again.

    Raises:
        InputError: the last session diverged, with the data, the machine and the versions of ``now``.
    """
    last = (sessions(folder) or [{"outcome": ""}])[-1]
    if not last["outcome"].startswith(DIVERGED):
        return
    if all(last[key] == now[key] for key in SAME):
        had = last["outcome"].removesuffix(f": {DO}").partition(", got ")[2]
        raise InputError(
            "a run that can go on",
            f"{folder}, which had {had}, and would again",
            "take another --name with a lower training.learning_rate or training.clip, or --overwrite to lose the run",
        )
    log.info("%s diverged, with other data or versions: going on from its last checkpoint", folder)


def git_state(folder: Path) -> dict[str, Any] | None:
    """The commit that is checked out in a folder, and whether tracked files differ from it; None without git."""
    commit = _git(folder, "rev-parse", "HEAD")
    if commit is None:
        return None
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "--untracked-files=no"))}


def _own_state() -> dict[str, Any]:
    """That of gridvit's own checkout: an environment inside another repository does not count."""
    package = Path(gridvit.__file__).resolve().parent
    top = _git(package, "rev-parse", "--show-toplevel")
    own = top is not None and Path(top).resolve() == package.parent
    return (git_state(package) if own else None) or {}


def _git(folder: Path, *arguments: str) -> str | None:
    """What git says, None where it is not there or does not answer."""
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _files(data: DataConfig) -> dict[str, list[int]]:
    named = [name for name in (data.path, *data.files, data.static_file) if name and "://" not in name]
    found = [path for name in named for path in (sorted(glob(name)) if "*" in name else [name])]
    return {path: state_of(path) for path in found}


def _device(accelerator: str) -> str:
    if accelerator != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"{platform.machine()}, {os.cpu_count()} cores"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
