"""Maps towards a number of a forecast, of a step whose every response is known, and of a run."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
from torch import Tensor

import gridvit as gv
from gridvit.analysis.attribution import Readout, region_weights
from gridvit.analysis.towards import Blocks, Seen, block_maps, gradient_maps
from gridvit.config import (
    DataConfig,
    EvaluationConfig,
    Index,
    ModelConfig,
    PlantedConfig,
    RunConfig,
    Split,
    TrainingConfig,
)
from gridvit.data.simulate_planted import world_of
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics.planted_data import dataset
from gridvit.rollout import Context
from gridvit.run.towards import years_of

GRID = Grid.latlon(5, 6)
NAMES = ("y", "a", "b", "a@-1", "b@-1")
SPREADS = np.array([2.0, 0.5])
MIX = torch.from_numpy(np.random.default_rng(3).standard_normal((30, 150)))
SEEN = Seen(np.array([[1, 2], [3, 4]]), ("a", "b"), SPREADS)


@dataclass(frozen=True)
class Made:
    """y -> M u, the rest as it is."""

    grid: Grid = GRID
    dt: float = 1.0
    variables: tuple[str, ...] = NAMES

    def __call__(self, state: Tensor, context: Context | None = None) -> Tensor:
        y = (state.flatten(1) @ MIX.to(state).T).reshape(-1, 1, *GRID.shape)
        return torch.cat([y, state[:, 1:]], 1)


@pytest.fixture
def setting() -> tuple[Readout, Tensor, np.ndarray]:
    """f, some states, and df/du by hand, (channel, *space)."""
    region = np.zeros(GRID.shape, dtype=bool)
    region[1:3, 2:4] = True
    weights = region_weights(GRID, NAMES, "y", region)
    slope = (weights[0].flatten() @ MIX).reshape(5, *GRID.shape).numpy()
    states = torch.from_numpy(np.random.default_rng(4).standard_normal((3, 5, *GRID.shape)))
    return Readout(Made(), weights), states, slope


def test_the_gradient_of_a_linear_step(setting: tuple[Readout, Tensor, np.ndarray]) -> None:
    readout, states, slope = setting
    found = gradient_maps(readout, states, SEEN)
    share = GRID.areas / GRID.areas.sum()
    assert found["gradient"].dims == ("frame", "input", "latitude", "longitude")
    for frame, pair in enumerate(((1, 2), (3, 4))):
        for place, spread, name in zip(pair, SPREADS, ("a", "b"), strict=True):
            got = found["gradient"].sel(input=name, frame=-frame).values
            np.testing.assert_allclose(got, spread * slope[place] / share, rtol=1e-12)
    np.testing.assert_allclose(found["gradient_spread"], 0, atol=1e-12)
    assert found["gradient"].attrs == {
        "long_name": "gradient of the target, in standard deviations, per share of the area", "units": "1"
    }  # fmt: skip


def test_pulse_and_occlusion_are_sums_of_the_gradient(setting: tuple[Readout, Tensor, np.ndarray]) -> None:
    readout, states, slope = setting
    blocks = Blocks(GRID, (2, 3))
    found = block_maps(readout, states, SEEN, blocks)
    assert found["pulse"].dims == ("input", "block_latitude", "block_longitude")
    anomaly = (states - states.mean(0)).numpy() * slope
    for n, cells in enumerate(blocks.masks()):
        at = np.unravel_index(n, blocks.coarse.shape)
        for place, spread, name in zip((1, 2), SPREADS, ("a", "b"), strict=True):
            assert found["pulse"].sel(input=name).values[at] == pytest.approx(
                spread * slope[place][cells].sum()
            )
        change = anomaly[:, :, cells].sum(axis=(1, 2))
        assert found["occlusion"].values[at] == pytest.approx(np.sqrt((change**2).mean()))
    assert "knock_out" not in found


def test_blocks_tile_the_grid_and_are_few_enough() -> None:
    blocks = Blocks.within(Grid.latlon(10, 12), (2, 2), 7)
    # tokens (5, 6): twice (3, 3) are nine, thrice (2, 2) four
    assert (blocks.patch, blocks.coarse.shape) == ((6, 6), (2, 2))
    np.testing.assert_array_equal(blocks.masks().sum(axis=0), 1)
    assert Blocks.within(Grid.latlon(10, 14), (2, 2), 8).patch == (
        4,
        14,
    )  # seven tokens around have no smaller part
    assert Blocks.within(Grid.latlon(10, 12), (2, 2), 100).patch == (2, 2)
    assert Blocks.within(Grid.latlon(10, 12), (2, 2), 1).coarse.size == 1


def test_replacements_are_for_all_blocks(setting: tuple[Readout, Tensor, np.ndarray]) -> None:
    readout, states, _ = setting
    sentence = "expected none or 6 replacements, got 1: give one for each block"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        block_maps(readout, states, SEEN, Blocks(GRID, (3, 2)), [lambda layer, weights: weights])


def configured(tmp_path: Path) -> RunConfig:
    box = {"latitude": (-43, -7), "longitude": (27, 63)}
    return RunConfig(
        root=str(tmp_path),
        data=DataConfig(
            variables=("x",), indices={"early": Index("x", box)}, history=2, leads=(1, 2),
            split=Split("time", (0, 150), (155, 170), (175, 230)),
        ),
        model=ModelConfig(preset="mini", patch=(2, 4), width=16, depth=1, heads=2, registers=1, bias="none"),
        training=TrainingConfig(epochs=1, batch_size=16, accelerator="cpu"),
        evaluation=EvaluationConfig(states=2, regions={"south": Index("x", {"latitude": (-90, -60)})}, lags=(3,)),
    )  # fmt: skip


def test_a_run_is_read_towards_its_index_and_a_region(tmp_path: Path) -> None:
    world = world_of(PlantedConfig(shape=(8, 12), steps=230))
    data = dataset(world, 230, seed=1)
    config = configured(tmp_path)
    run = gv.train(config, data)
    found = gv.analyse(run, data)
    assert found["towards"].values.tolist() == ["early in 1", "early in 2", "south in 3"]
    assert found["target"].values.tolist() == ["early", "early", "south"]
    assert found["towards_lead"].values.tolist() == [1, 2, 3]
    for name in ("towards_gradient", "towards_pulse", "towards_knock_out", "towards_occlusion"):
        assert np.isfinite(found[name]).all(), name
        assert {"units", "long_name"} <= set(found[name].attrs), name
    assert (found["towards_knock_out"] >= 0).all()
    assert found["towards_knock_out"].max() > 0
    south = found["towards_pulse"].sel(towards="south in 3", input="x").isel(block_latitude=0)
    assert (south > 0).all()  # what is there now stays, for a network that has hardly learned
    best = (
        found["towards_correlation"]
        .sel(towards="early in 1", input="x")
        .stack(cell=("map_latitude", "map_longitude"))
    )
    latitude, longitude = best["cell"].values[int(np.argmax(best.values))]
    assert -43 <= latitude <= -7  # nothing foretells a region as it does itself
    assert 27 <= longitude <= 63
    assert set(found["hypothesis_target"].values.tolist()) <= {"early", "south"}
    assert found.sizes["hypothesis"] == 9
    sources = [str(s) for s in found["hypothesis_source"].values]
    assert not any(s.startswith("x at -67.5") for s, t in zip(sources, found["hypothesis_target"].values, strict=True)
                   if t == "south")  # fmt: skip
    assert ((found["hypothesis_p"] >= 0) & (found["hypothesis_p"] <= 1)).all()
    other = replace(
        config, name="other", evaluation=replace(config.evaluation, regions={"z": Index("z", {})})
    )
    with pytest.raises(
        InputError, match=r"^expected evaluation.regions of x, early, which the run predicts, got 'z'"
    ):
        gv.analyse(gv.train(other, data), data)


def test_years_of_times_with_and_without_a_calendar() -> None:
    days = np.datetime64("2001-11-01", "ns") + np.arange(7) * np.timedelta64(20, "D")
    np.testing.assert_array_equal(years_of(days), [31, 31, 31, 31, 32, 32, 32])
    np.testing.assert_array_equal(years_of(np.arange(20.0)), np.repeat(np.arange(10), 2))
    np.testing.assert_array_equal(years_of(days[:3]), [0, 3, 6])
    dates = xr.date_range("2001-11-01", periods=3, freq="60D", calendar="noleap", use_cftime=True).values
    np.testing.assert_array_equal(years_of(dates), [2001, 2001, 2002])
