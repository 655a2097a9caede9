"""What is checked in every process before it trains, because what goes wrong here hangs or trains alone in silence."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Mapping

from gridvit.errors import InputError

SPECIAL_STEP = (
    0xFFFFFFF0  # SLURM's numbers from here on are no steps of srun: batch script, interactive shell, ...
)


def in_step(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether ``srun`` started this process."""
    return (
        int(environment.get("SLURM_STEP_ID", SPECIAL_STEP)) < SPECIAL_STEP and "SLURM_PROCID" in environment
    )


def in_job(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is part of a SLURM job, however it was started."""
    return "SLURM_JOB_ID" in environment


def launched(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether torchrun started this process, or what sets its variables."""
    return "TORCHELASTIC_RUN_ID" in environment


def place(environment: Mapping[str, str] = os.environ) -> int:
    """The number of this process among those that train together, before they have met; 0 of the first, or alone."""
    if launched(environment):
        return int(environment["RANK"])
    return int(environment.get("SLURM_PROCID" if in_step(environment) else "LOCAL_RANK", "0"))


def helping(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the first process started this one, and takes any exit status but 0 for a failure of the whole."""
    return place(environment) > 0 and not launched(environment) and not in_step(environment)


def refuse_wrong_world(nodes: int, devices: int, environment: Mapping[str, str] = os.environ) -> None:
    """Refuse to train unless there are ``nodes`` x ``devices`` processes that can find each other.

    Raises:
        InputError: another number of processes; several inside SLURM without ``srun``; an address of the first node
            that no name server knows.
    """
    if launched(environment):
        count = int(environment["WORLD_SIZE"])
        if count != nodes * devices:
            raise _of_another_size(nodes, devices, f"{count}")
    elif in_step(environment):
        _refuse_step(nodes, devices, environment)
    elif in_job(environment) and nodes * devices > 1:
        job = environment["SLURM_JOB_ID"]
        raise InputError(
            f"srun to start {nodes} x {devices} processes",
            f"a process of job {job} without it",
            "write srun before it",
        )


def _refuse_step(nodes: int, devices: int, environment: Mapping[str, str]) -> None:
    """``SLURM_STEP_TASKS_PER_NODE`` is 2(x3),1 for two tasks on three nodes and one on a fourth."""
    count = int(environment.get("SLURM_STEP_NUM_TASKS", environment.get("SLURM_NTASKS", "1")))
    machines = int(environment.get("SLURM_STEP_NUM_NODES", environment.get("SLURM_NNODES", "1")))
    each = environment.get("SLURM_STEP_TASKS_PER_NODE", "")
    even = not each or re.fullmatch(rf"{devices}(\(x{nodes}\))?", each)
    if (machines, count) != (nodes, nodes * devices) or not even:
        raise _of_another_size(nodes, devices, f"{count} on {machines} node{'s' * (machines > 1)}")
    if count > 1:
        _refuse_unknown(first_node(environment))


def _of_another_size(nodes: int, devices: int, got: str) -> InputError:
    return InputError(
        f"{nodes} x {devices} processes, as training.nodes and training.devices say",
        got,
        "start as many (gridvit submit --nodes, --tasks), or set training.nodes and training.devices",
    )


def first_node(environment: Mapping[str, str]) -> str:
    """MASTER_ADDR, or the first of SLURM's list of nodes, such as ``node[3-5,8]`` or ``login,node1``."""
    listed = environment.get("SLURM_STEP_NODELIST", environment.get("SLURM_NODELIST", "127.0.0.1"))
    first = re.match(r"([^,\[]*)(?:\[(\d+)[^\]]*\])?([^,\[]*)", listed)
    return environment.get("MASTER_ADDR", "".join(part or "" for part in first.groups()) if first else listed)


def _refuse_unknown(address: str) -> None:
    try:
        socket.getaddrinfo(address, None)
    except OSError:
        raise InputError(
            "an address of the first node that the others can find",
            repr(address),
            "export MASTER_ADDR in the template, e.g. MASTER_ADDR=$(hostname -f)",
        ) from None
