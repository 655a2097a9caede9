"""What a simulation holds on its way to a file."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

from gridvit.config import SimulateConfig
from gridvit.data import simulate_portions
from gridvit.data.simulate_portions import simulate_to


@pytest.mark.parametrize("suffix", [".nc", ".zarr"])
def test_memory_does_not_grow_with_the_trajectories(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 3 and of 24 trajectories: less than two more are held, of those that NumPy would have to hold."""
    monkeypatch.setattr("gridvit.data.simulate.STATES", 8 * 64 * 61)
    monkeypatch.setattr(simulate_portions, "PORTIONS", 2)
    config = SimulateConfig("advection", shape=(64, 61), steps=30, samples=3)
    each = 4 * 31 * 64 * 61  # bytes
    simulate_to(config, tmp_path / f"first{suffix}")  # what is imported or tabled once
    peaks = []
    for samples in (3, 24):
        tracemalloc.start()
        simulate_to(replace(config, samples=samples), tmp_path / f"{samples}{suffix}")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] > each / 2  # a trajectory is seen at all
    assert peaks[1] - peaks[0] < 2 * each, peaks
