"""A planted world from the command line, and the truth beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.cli import main
from gridvit.config import PlantedConfig
from gridvit.data.simulate_planted import simulate_planted
from gridvit.errors import InputError
from gridvit.grid import Grid
from gridvit.physics import Planted, PlantedTruth

SHAPE = ("--shape", "[10,18]")


def test_the_field_and_its_truth(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    arguments = (
        "simulate",
        "planted",
        "--out",
        "w.nc",
        "--steps",
        "37",
        "--seed",
        "5",
        "--strength",
        "0.2",
        *SHAPE,
    )
    assert main(arguments) == 0
    assert capsys.readouterr().out == "w.nc\n"
    with xr.open_dataset("w.nc") as field, xr.open_dataset("w_truth.nc") as truth:
        grid = Grid.from_dataset(field)
        world = Planted.from_attrs(field.attrs, grid)
        assert world.links == Planted.linear(grid, 0.2).links
        np.testing.assert_allclose(field["x"], world.simulate(37, 5), atol=1e-6)
        known = PlantedTruth(world).effects(3)[0, world.index("late")].reshape(grid.shape)
        np.testing.assert_allclose(truth["effect"].sel(region="late", lead=3), known, rtol=1e-12)
        assert truth["link_source"].values.tolist()[:2] == ["chain_1", "chain_2"]
    assert main(arguments) != 0
    said = "expected an output that does not exist yet, got w.nc: choose another name or add --overwrite"
    assert said in capsys.readouterr().err
    assert main((*arguments, "--overwrite")) == 0


def test_a_truth_that_is_there_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "w_truth.nc").write_text("mine")
    config = PlantedConfig(shape=(10, 18), steps=3)
    with pytest.raises(
        InputError, match=r"^expected an output that does not exist yet, got .*w_truth.nc: choose"
    ):
        simulate_planted(config, tmp_path / "w.nc")
    assert not (tmp_path / "w.nc").exists()
    assert (tmp_path / "w_truth.nc").read_text() == "mine"


def test_a_nonlinear_world_has_its_links_alone_for_truth(tmp_path: Path) -> None:
    config = PlantedConfig(form="nonlinear", shape=(10, 18), steps=11, days=3)
    with xr.open_dataset(simulate_planted(config, tmp_path / "w.nc")) as field:
        assert field["x"].isnull().any()
        assert field["time"].values[1] - field["time"].values[0] == np.timedelta64(3, "D")
    with xr.open_dataset(tmp_path / "w_truth.nc") as truth:
        assert set(truth.data_vars) == {
            f"link_{n}" for n in ("source", "target", "lag", "strength", "rectified", "gated")
        }
        assert truth["link_strength"].values[0] == 0.35


def test_a_shape_of_one_number_is_refused(tmp_path: Path) -> None:
    sentence = r"^expected rows and columns of a planted world, got \[10\]: give two numbers$"
    with pytest.raises(InputError, match=sentence):
        simulate_planted(PlantedConfig(shape=(10,)), tmp_path / "w.nc")
