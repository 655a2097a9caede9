"""Who started this process, and its neighbours: what Lightning would otherwise guess."""

from __future__ import annotations

import os

from lightning.fabric.plugins.environments import (
    ClusterEnvironment,
    LightningEnvironment,
    SLURMEnvironment,
    TorchElasticEnvironment,
)

from gridvit.cluster.preflight import in_job, in_step, launched


def plugins(devices: int) -> list[ClusterEnvironment]:
    """The cluster environment to give the Trainer; none where nothing but this process was started.

    Under SLURM never Lightning's own requeueing: it saves inside the signal's handler, where it hangs or keeps weights
    of another step. A job without ``srun`` is one process, although SLURM's variables may name more.
    """
    if launched():
        return [TorchElasticEnvironment()]
    if in_step():
        # the shape of the step has been checked, and Lightning wants it said
        os.environ["SLURM_NTASKS_PER_NODE"] = str(devices)
        return [SLURMEnvironment(auto_requeue=False)]
    return [LightningEnvironment()] if in_job() else []
