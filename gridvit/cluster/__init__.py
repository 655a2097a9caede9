"""Runs on a cluster, and the same on one machine: readable batch scripts, chains, arrays of runs and their table."""

from gridvit.cluster.job import Job
from gridvit.cluster.preflight import refuse_wrong_world
from gridvit.cluster.slurm import choose
from gridvit.cluster.submit import Prepared, plain, training
from gridvit.cluster.sweep import Sweep
from gridvit.cluster.template import Template

__all__ = ["Job", "Prepared", "Sweep", "Template", "choose", "plain", "refuse_wrong_world", "training"]
