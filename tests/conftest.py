"""Types and shapes in the signatures of gridvit are checked while the tests run, and only then."""

from __future__ import annotations

import gc
import math
import os
import sys

# Of the processes that run tests side by side, and of those that a test starts; NumPy reads it when it is loaded.
os.environ["OMP_NUM_THREADS"] = "1"

import numpy as np
import pytest
from jaxtyping import install_import_hook

assert not any(name.split(".")[0] == "gridvit" for name in sys.modules), "the hook must come first"
install_import_hook("gridvit", "checking.checker")
gc.disable()  # until all is imported


def pytest_collection_finish() -> None:
    """What costs time by chance, before the first test.

    What was imported stays: to look for garbage in it again and again takes a twentieth of the time. And no training is
    drawn because the machine is busy: a test that wants figures says so.
    """
    gc.collect()
    gc.freeze()
    gc.enable()
    if pictures := sys.modules.get("gridvit.run.pictures"):
        pictures.SHORT = math.inf


@pytest.fixture
def rng() -> np.random.Generator:
    """The same numbers in every test and run."""
    return np.random.default_rng(20)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    """One thread where torch is loaded: small tensors are slower on many, and sums change their order."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.get_num_threads() != 1:
        torch.set_num_threads(1)
