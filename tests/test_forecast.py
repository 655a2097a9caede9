"""Forecasts come back in the user's own names, order and units, and are those of the Step."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from gridvit import checkpoint
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, ModelConfig
from gridvit.data.fields import load
from gridvit.data.normalise import compute
from gridvit.errors import InputError
from gridvit.forecast import Forecaster
from gridvit.grid import Grid
from gridvit.initial import forecast_array
from gridvit.rollout import Context, Persistence


def dataset(times: int = 5) -> xr.Dataset:
    """Latitude descending, longitude -180..180, dimensions in an odd order, names of the user's."""
    rng = np.random.default_rng(7)
    values = rng.standard_normal((10, times, 6)).cumsum(1).astype("f4")
    return xr.Dataset(
        {"tas": (("X", "when", "Y"), values, {"units": "K", "standard_name": "air_temperature"})},
        {
            "when": ("when", np.datetime64("2001-02-03", "ns") + np.arange(times) * np.timedelta64(6, "h")),
            "Y": ("Y", np.linspace(75, -75, 6), {"units": "degrees_north"}),
            "X": ("X", np.arange(10) * 36.0 - 180, {"units": "degrees_east"}),
        },
        {"title": "made up"},
    )


@pytest.fixture
def forecaster() -> Forecaster:
    fields = load(dataset())
    description = Description.of(
        ModelConfig(preset="mini", patch=(2, 5), width=24, depth=1, heads=2, features=("local_time",)),
        DataConfig(),
        fields,
    )
    torch.manual_seed(5)
    model = checkpoint.build(description, compute(fields)).eval()
    torch.nn.init.normal_(model.network.decode.weight, std=0.1)
    return Forecaster(model, description)


def test_layout_of_the_user(forecaster: Forecaster) -> None:
    ds = dataset()
    out = forecaster(ds.isel(when=[0, 3]), steps=3)
    assert out["tas"].dims == ("init_time", "lead", "X", "Y")
    xr.testing.assert_identical(out["X"], ds["X"])
    xr.testing.assert_identical(out["Y"], ds["Y"])
    assert out["tas"].attrs == ds["tas"].attrs
    assert out["init_time"].values.tolist() == ds["when"].values[[0, 3]].tolist()
    assert out["lead"].values.tolist() == [6.0, 12.0, 18.0]
    assert out["lead"].attrs["units"] == "h"
    assert out["valid_time"].values[1, 2] == ds["when"].values[3] + np.timedelta64(18, "h")


def test_a_forecast_is_the_newest_line_of_the_history(forecaster: Forecaster) -> None:
    out = forecaster(dataset().assign_attrs(history="made by hand", title="t"), steps=2)
    newest, oldest = out.attrs["history"].split("\n")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ gridvit \S+: forecast of 2 steps", newest)
    assert (oldest, out.attrs["title"], out.attrs["Conventions"]) == ("made by hand", "t", "CF-1.11")


def test_values_are_those_of_the_step(forecaster: Forecaster) -> None:
    ds = dataset()
    out = forecaster(ds.isel(when=[1]), steps=2)
    # by hand: (X, Y) to ascending latitude and longitude from 0, one step at 06 UTC, one at 12 UTC
    inside = ds["tas"].isel(when=1).transpose("Y", "X").values[::-1]
    inside = np.roll(inside, -5, axis=1)
    seconds = torch.tensor([(ds["when"].values[1] - np.datetime64(0, "s")) / np.timedelta64(1, "s")])
    with torch.no_grad():
        state = torch.tensor(inside.copy())[None, None]
        first = forecaster.step(state, Context(seconds))
        second = forecaster.step(first, Context(seconds + 21600))
    for lead, expected in enumerate((first, second)):
        back = np.roll(expected[0, 0].numpy(), 5, axis=1)[::-1].T
        np.testing.assert_array_equal(out["tas"].values[0, lead], back)


def test_chunks_do_not_change_the_result() -> None:
    grid = Grid.regular(5)
    states = np.random.default_rng(0).standard_normal((67, 1, 5)).astype("f4")

    class AddsTime(Persistence):
        def __call__(self, state: torch.Tensor, context: Context | None = None) -> torch.Tensor:
            assert context is not None
            return state + context.time.reshape(-1, 1, 1).to(state)

    out = forecast_array(AddsTime(grid, 1.0, ("u",)), states, np.arange(67.0), 2)
    np.testing.assert_array_equal(out[:, 0, 0, 0], states[:, 0, 0] + np.arange(67, dtype="f4"))
    np.testing.assert_allclose(out[:, 1, 0, 0], states[:, 0, 0] + 2 * np.arange(67) + 1, rtol=1e-6)


def test_written_and_read_again(forecaster: Forecaster, tmp_path: Path) -> None:
    out = forecaster(dataset(), steps=2)
    out.to_netcdf(tmp_path / "f.nc")
    with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as again:
        xr.testing.assert_equal(again["tas"], out["tas"])


def test_attention_has_token_geometry(forecaster: Forecaster) -> None:
    weights = forecaster.attention(dataset())
    n = forecaster.token_grid.size
    assert weights.shape == (5, 1, 2, n, n)
    np.testing.assert_allclose(weights.sum(-1), 1, atol=1e-5)


def test_other_grid_is_refused(forecaster: Forecaster) -> None:
    other = dataset().isel(Y=slice(0, 4))
    with pytest.raises(
        InputError, match="expected data on the grid of the model .*: interpolate the data to that grid"
    ):
        forecaster(other, steps=1)
    with pytest.raises(InputError, match="expected at least one forecast step, got 0"):
        forecaster(dataset(), steps=0)
    with pytest.raises(InputError, match="tas"):
        forecaster(dataset().rename(tas="pr"), steps=1)


def test_on_the_grid_of_other_data(forecaster: Forecaster, tmp_path: Path) -> None:
    ds = dataset()
    finer = ds.interp(
        X=np.arange(20) * 18.0 - 180, Y=np.linspace(82.5, -82.5, 12), kwargs={"fill_value": "extrapolate"}
    )
    finer = finer.assign(tas=finer["tas"].astype("f4").assign_attrs(ds["tas"].attrs))
    finer["X"].attrs, finer["Y"].attrs = ds["X"].attrs, ds["Y"].attrs
    moved = forecaster.on(finer)
    assert moved.grid.shape == (12, 20)
    out = moved(finer, steps=2)
    assert out["tas"].sizes == {"init_time": 5, "lead": 2, "X": 20, "Y": 12}
    state = torch.tensor(finer["tas"].isel(when=0).transpose("Y", "X").values[::-1].copy()).roll(-10, 1)[
        None, None
    ]
    seconds = torch.tensor([(ds["when"].values[0] - np.datetime64(0, "s")) / np.timedelta64(1, "s")])
    with torch.no_grad():
        first = forecaster.step.on(moved.grid)(state, Context(seconds))[0, 0]
    np.testing.assert_array_equal(out["tas"].values[0, 0], first.roll(10, 1).numpy()[::-1].T)
    with pytest.raises(InputError, match="expected data on the grid of the model"):
        moved(ds, steps=1)
    checkpoint.save(tmp_path / "moved.safetensors", moved.step, moved.description)
    again = Forecaster.load(tmp_path / "moved.safetensors")
    np.testing.assert_array_equal(again(finer, steps=2)["tas"], out["tas"])


def test_units_and_kind_of_time_are_those_of_training(forecaster: Forecaster) -> None:
    with pytest.raises(
        InputError, match="expected 'tas' in 'K', as the model was trained, got 'degC': convert the data"
    ):
        forecaster(dataset().assign(tas=dataset()["tas"].assign_attrs(units="degC")), steps=1)
    numbered = dataset().assign_coords(when=("when", np.arange(5.0), {"axis": "T", "units": "1"}))
    with pytest.raises(
        InputError, match="expected dates on the time axis, got plain numbers: decode or convert the times"
    ):
        forecaster(numbered, steps=1)
    with pytest.raises(InputError, match="expected at least one time along 'when', got none"):
        forecaster(dataset().isel(when=slice(0, 0)), steps=1)
