"""Members of an ensemble as samples: by a stated choice, split along time alone, and forecast under their own names."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit import run
from gridvit.config import DataConfig, EvaluationConfig, ModelConfig, RunConfig, Split, TrainingConfig
from gridvit.data.choices import open_chosen
from gridvit.data.fields import load
from gridvit.data.standard import standardise
from gridvit.data.windows import resolve
from gridvit.errors import InputError
from gridvit.forecast import Forecaster

pytestmark = pytest.mark.xdist_group("members")  # one process makes what its tests share
ROOT = os.environ.get("GRIDVIT_REAL_DATA")
NAMES = np.array(["r1i1p1", "r2i1p1", "r3i1p1"])


def ensemble(alike: bool = False) -> xr.Dataset:
    """tas(lon, realization, time, lat), latitude falling: 3 members, alike or not, of 31 days."""
    rng = np.random.default_rng(11)
    values = rng.standard_normal((6, 3, 31, 4)).cumsum(axis=2).astype("f4")
    values = np.repeat(values[:, :1], 3, axis=1) if alike else values
    days = np.datetime64("2001-01-01", "ns") + np.arange(31) * np.timedelta64(1, "D")
    coords = {
        "realization": ("realization", NAMES, {"standard_name": "realization"}),
        "time": days,
        "lat": ("lat", [67.5, 22.5, -22.5, -67.5], {"units": "degrees_north"}),
        "lon": ("lon", np.arange(6) * 60.0, {"units": "degrees_east"}),
    }
    return xr.Dataset({"tas": (("lon", "realization", "time", "lat"), values, {"units": "K"})}, coords)


def test_members_are_refused_with_both_ways_out() -> None:
    with pytest.raises(InputError) as refusal:
        load(ensemble())
    assert str(refusal.value) == (
        "expected variables along time and space alone, got 3 members along 'realization': choose one with select: "
        "{realization: r1i1p1}, or take all as samples with members: samples"
    )


def test_members_as_samples_and_back() -> None:
    ds = ensemble()
    fields = load(ds, DataConfig(members="samples"))
    inside = ds["tas"].transpose("realization", "time", "lat", "lon").values[:, :, None, ::-1]
    np.testing.assert_array_equal(fields.values, inside)
    assert fields.layout.members
    standard, _, layout = standardise(ds, members=True)
    xr.testing.assert_identical(layout.restore(standard), ds)


def test_one_member_is_no_ensemble() -> None:
    fields = load(ensemble().isel(realization=[1]), DataConfig(members="samples"))
    assert (fields.n_samples, fields.layout.members) == (1, False)
    assert not load(ensemble().rename(realization="sample")).layout.members


def test_members_are_split_along_time_alone() -> None:
    fields = load(ensemble(), DataConfig(members="samples"))
    along, parts = resolve(Split(), fields)
    assert (along, parts["test"]) == ("time", slice(26, 31))
    with pytest.raises(InputError) as refusal:
        resolve(Split(along="sample"), fields)
    assert str(refusal.value) == (
        "expected split.along auto or time where members along 'realization' are samples, got sample: they share "
        "their weather (leakage): set split.along to time"
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on three members that are the same weather."""
    config = RunConfig(
        root=str(tmp_path_factory.mktemp("runs")),
        data=DataConfig(members="samples"),
        model=ModelConfig(preset="mini", patch=(2, 2), width=8, depth=1, heads=2),
        training=TrainingConfig(epochs=1, accelerator="cpu"),
        evaluation=EvaluationConfig(leads=2),
    )
    return run.train(config, ensemble(alike=True))


def test_the_forecast_has_the_files_member_dimension(folder: Path) -> None:
    ds = ensemble()
    forecaster = Forecaster.load(folder)
    out = forecaster(ds.isel(time=[3, 7]), steps=2)
    assert out["tas"].dims == ("init_time", "lead", "lon", "realization", "lat")
    xr.testing.assert_identical(out["realization"], ds["realization"])
    alone = forecaster(ds.isel(time=[3, 7], realization=[1]), steps=2)
    np.testing.assert_allclose(out["tas"].isel(realization=[1]), alone["tas"], rtol=1e-5, atol=1e-5)


def test_members_that_are_alike_make_no_interval_narrower(folder: Path) -> None:
    ds = ensemble(alike=True)
    one, three = run.evaluate(folder, ds.isel(realization=[0])), run.evaluate(folder, ds)
    assert (one.attrs["cases"], three.attrs["cases"]) == (3, 9)
    for name in ("rmse", "rmse_low", "rmse_high", "ratio_low", "ratio_high"):
        for model in ("emulator", "persistence"):
            np.testing.assert_allclose(three[name].sel(model=model), one[name].sel(model=model), rtol=1e-6)
    assert "bootstrap over blocks of 2 initial times" in three.attrs["statement"]


@pytest.mark.real
@pytest.mark.skipif(ROOT is None, reason="GRIDVIT_REAL_DATA names no folder of real files")
def test_members_of_a_grib_file() -> None:
    pytest.importorskip("cfgrib")
    path = Path(ROOT or ".") / "awkward/era5_levels_members.grib"
    data = DataConfig(path=str(path), select={"isobaricInhPa": 500}, members="samples")
    with open_chosen(data) as ds:
        fields = load(ds, DataConfig(members="samples"))
        assert fields.values.shape == (10, 4, 2, 61, 120)
        assert resolve(Split(train=(0, 2), validate=(2, 3), test=(3, 4)), fields, 0)[0] == "time"
        standard, _, layout = standardise(ds, members=True)
        restored = layout.restore(standard)
        for name in ("z", "t"):
            assert restored[name].dims == ("number", "time", "isobaricInhPa", "latitude", "longitude")
            np.testing.assert_array_equal(restored[name], ds[name])
        np.testing.assert_array_equal(restored["number"], np.arange(10))
        one = open_chosen(replace(data, select={**data.select, "number": 7}, members="refuse"))
        np.testing.assert_array_equal(load(one).values[0], fields.values[7])
