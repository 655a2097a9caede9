"""The repeated end of a periodic axis: dropped inside, back outside, and never taken from a field that cannot tell."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit import checkpoint
from gridvit.checkpoint import Description
from gridvit.config import DataConfig, ModelConfig
from gridvit.data.fields import load
from gridvit.data.normalise import compute
from gridvit.data.standard import standardise
from gridvit.errors import InputError
from gridvit.forecast import Forecaster

ROOT = os.environ.get("GRIDVIT_REAL_DATA")


def plane(values: np.ndarray) -> xr.Dataset:
    """u(time, x) at x = 0, 1/2, 1, ..."""
    return xr.Dataset(
        {"u": (("time", "x"), values)},
        {"time": np.arange(float(len(values))), "x": ("x", np.arange(values.shape[1]) / 2, {"axis": "X"})},
    )


def wave(points: int, shift: float = 0.3) -> np.ndarray:
    """sin(2 pi (i / 7 - shift t)) at t = 0, 1, 2: 7 points are one period, and the eighth is the first."""
    i, t = np.arange(points) % 7, np.arange(3)[:, None]
    return np.sin(2 * np.pi * (i / 7 - shift * t - 0.1))


@pytest.mark.parametrize("falling", [False, True])
def test_the_repeated_end_is_dropped_and_comes_back(falling: bool, caplog: pytest.LogCaptureFixture) -> None:
    ds = plane(wave(8))
    ds = ds.isel(x=slice(None, None, -1)) if falling else ds
    with caplog.at_level(logging.INFO, "gridvit"):
        standard, grid, layout = standardise(ds, periodic={"x": True})
    assert caplog.messages == ["took the last of the 8 points along 'x' for the first, a period later"]
    assert (grid.shape, grid.periodic, grid.lengths) == ((7,), (True,), (3.5,))
    expected = ds["u"].values[:, ::-1][:, 1:] if falling else ds["u"].values[:, :7]
    np.testing.assert_array_equal(standard["u"], expected)
    xr.testing.assert_identical(layout.restore(standard), ds)


def test_a_second_axis_and_a_later_time_count() -> None:
    values = np.stack([wave(8), 2 * wave(8)], axis=-1)
    ds = plane(wave(8)).assign(u=(("time", "x", "y"), values)).assign_coords(y=[0.0, 1.0])
    assert load(ds, DataConfig(periodic={"x": True})).grid.shape == (2, 7)
    values[2, -1, 1] += 1e-12
    assert load(ds, DataConfig(periodic={"x": True})).grid.shape == (2, 8)
    two = plane(wave(8)).assign(v=(("time", "x"), np.arange(24.0).reshape(3, 8)))
    assert load(two, DataConfig(periodic={"x": True})).grid.shape == (8,)
    assert load(two, DataConfig(variables=("u",), periodic={"x": True})).grid.shape == (7,)


@pytest.mark.parametrize(
    ("values", "wraps"),
    [
        (wave(8), False),  # periodicity is not stated
        (wave(7), True),  # no end is repeated
        (np.ones((3, 8)), True),  # constants
        (np.abs(np.arange(8) - 3.5) * np.ones((3, 1)), True),  # the same in both directions
        (np.where(np.isin(np.arange(8), (0, 7)), np.nan, wave(8)), True),  # no value at the ends
        (np.array([0, 0, 1, 5, 2, 1, 0, 0]) * np.ones((3, 1)), True),  # nothing near the ends
    ],
)
def test_no_end_is_dropped_without_reason(
    values: np.ndarray, wraps: bool, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "gridvit"):
        _, grid, _ = standardise(plane(values), periodic={"x": wraps})
    assert (grid.shape, caplog.messages) == (values.shape[1:], [])


def test_a_model_knows_its_period(caplog: pytest.LogCaptureFixture) -> None:
    """A state that reads the same in both directions tells nothing; the model's grid does."""
    ds = plane(wave(8)).rename(x="s")
    fields = load(ds, DataConfig(periodic={"s": True}))
    description = Description.of(
        ModelConfig(preset="mini", patch=(1,), width=16, depth=1, heads=2), DataConfig(), fields
    )
    forecaster = Forecaster(checkpoint.build(description, compute(fields)).eval(), description)
    even = ds.isel(time=[0]).assign(u=(("time", "s"), np.abs(np.arange(8.0) - 3.5)[None]))
    caplog.clear()
    with caplog.at_level(logging.INFO, "gridvit"):
        out = forecaster(even, 2)
    assert (out["u"].dims, caplog.messages) == (("init_time", "lead", "s"), [])
    xr.testing.assert_identical(out["s"], ds["s"])
    np.testing.assert_array_equal(out["u"][..., 0], out["u"][..., -1])
    with pytest.raises(InputError, match="expected data on the grid of the model"):
        forecaster(even.assign_coords(s=("s", ds["s"].values * 1.1, {"axis": "X"})), 2)


def test_of_a_longitude_the_coordinate_tells() -> None:
    coords = {"time": np.arange(3.0), "lon": ("lon", np.arange(8) * 45.0, {"units": "degrees_east"})}
    fields = load(xr.Dataset({"u": (("time", "lon"), wave(8))}, coords))
    assert (fields.grid.shape, fields.grid.periodic) == ((8,), (True,))


@pytest.mark.parametrize("when", [0, 2])
def test_copies_of_a_seam_column_that_disagree_are_said(when: int, caplog: pytest.LogCaptureFixture) -> None:
    values = np.arange(3 * 2 * 7.0).reshape(3, 2, 7)
    values[..., -1] = values[..., 0]
    coords = {
        "time": np.arange(3.0),
        "lat": ("lat", [-45.0, 45.0], {"units": "degrees_north"}),
        "lon": ("lon", np.linspace(-180, 180, 7), {"units": "degrees_east"}),
    }
    ds = xr.Dataset({"u": (("time", "lat", "lon"), values)}, coords)
    with caplog.at_level(logging.INFO, "gridvit"):
        standardise(ds)
        assert caplog.messages == []
        ds["u"][when, 1, -1] = -1.0
        standard = standardise(ds)[0]
    assert caplog.messages == [
        "expected u at lon = 180 to repeat those at -180, got others: the first are used in both places"
    ]
    np.testing.assert_array_equal(standard["u"].sel(longitude=180), values[..., 0])


@pytest.mark.real
@pytest.mark.skipif(ROOT is None, reason="GRIDVIT_REAL_DATA names no folder of real files")
def test_kuramoto_sivashinsky_has_512_points_of_513() -> None:
    path = Path(ROOT or ".") / "pde/pinns_KS.mat"
    fields = load(path, DataConfig(periodic={"x": True}))
    assert (fields.grid.shape, fields.grid.lengths) == ((512,), (2.0,))
    assert load(path).grid.shape == (513,)
    restored = fields.layout.restore(fields.to_dataset())
    assert restored["uu"].dims == ("x", "time")
    np.testing.assert_array_equal(restored["uu"][0], restored["uu"][-1])
    np.testing.assert_array_equal(restored["x"][[0, -1]], [-1, 1])
