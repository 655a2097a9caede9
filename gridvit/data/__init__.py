"""Fields from files: opened, standardised, split and measured; trajectories are in ``data.simulate``."""

from gridvit.data.choices import open_chosen
from gridvit.data.fields import Fields, load
from gridvit.data.layout import Layout
from gridvit.data.normalise import Statistics, compute
from gridvit.data.roles import Variable
from gridvit.data.sources import open_dataset, standardise
from gridvit.data.times import TimeStep
from gridvit.data.windows import partition, resolve, windows

__all__ = [
    "Fields",
    "Layout",
    "Statistics",
    "TimeStep",
    "Variable",
    "compute",
    "load",
    "open_chosen",
    "open_dataset",
    "partition",
    "resolve",
    "standardise",
    "windows",
]
