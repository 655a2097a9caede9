"""Fields in memory: what is read, in which order, and what is refused."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from gridvit.config import DataConfig
from gridvit.data.fields import Fields, Variable, load
from gridvit.data.times import TimeStep
from gridvit.errors import InputError

ERA5 = "steps/era5_msl_2.5deg_6h_2025-12_2026-02.zarr"
DAY = np.timedelta64(1, "D")


def make(n_time: int = 11, samples: int = 0) -> xr.Dataset:
    """v and u on a plane of 5 x 7 cells whose y descends, daily, with a sample axis where asked for."""
    shape = (*((samples,) if samples else ()), n_time, 5, 7)
    values = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    dims = (*(("sample",) if samples else ()), "time", "y", "x")
    arrays = {
        "v": (dims, -values, {"units": "m s-1", "long_name": "along y", "standard_name": "northward_wind"}),
        "u": (dims, values),
    }
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(n_time) * DAY,
        "y": ("y", np.arange(5.0)[::-1], {"axis": "Y", "units": "m"}),
        "x": ("x", np.arange(7.0), {"axis": "X", "units": "m"}),
    }
    return xr.Dataset(arrays, coords, {"title": "made here", "version": np.int16(3)})


def test_values_are_float32_in_internal_order() -> None:
    fields = load(make())
    assert fields.values.dtype == np.float32
    assert fields.values.shape == (1, 11, 2, 5, 7)
    expected = np.arange(11 * 5 * 7).reshape(11, 5, 7)[:, ::-1]
    np.testing.assert_array_equal(fields.values[0, :, 1], expected)
    np.testing.assert_array_equal(fields.values[0, :, 0], -expected)
    assert fields.names == ("v", "u")
    assert fields.variables[0] == Variable("v", "m s-1", "along y", "northward_wind")
    assert fields.variables[1] == Variable("u")
    assert fields.attrs == {"title": "made here", "version": 3}


def test_samples_stay_apart() -> None:
    fields = load(make(samples=3), DataConfig(variables=("u",)))
    assert fields.values.shape == (3, 11, 1, 5, 7)
    np.testing.assert_array_equal(fields.values[2, :, 0], np.arange(770, 1155).reshape(11, 5, 7)[:, ::-1])


def test_a_stride_takes_every_third_time_and_step() -> None:
    fields = load(make(), DataConfig(stride=3))
    assert fields.step == TimeStep(3 * 86400.0)
    assert fields.dt_seconds == 3 * 86400.0
    assert (fields.times == make()["time"].values[::3]).all()
    np.testing.assert_array_equal(fields.values, load(make()).values[:, ::3])


def test_seconds_follow_the_calendar() -> None:
    days = [cftime.Datetime360Day(1970, 2, day) for day in range(1, 12)]
    fields = load(make().assign_coords(time=days))
    assert fields.seconds.tolist() == [86400.0 * (30 + n) for n in range(11)]
    assert fields.times.tolist() == days


def test_monthly_files_have_a_calendar_step() -> None:
    months = (np.datetime64("2001-01") + np.arange(11)).astype("datetime64[ns]")
    fields = load(make().assign_coords(time=months), DataConfig(stride=2))
    assert fields.step.months == 2
    assert fields.step.after(fields.times[-1], 1) == np.datetime64("2002-01-01")


def test_plain_number_time_keeps_its_unit() -> None:
    fields = load(make().assign_coords(time=("time", np.arange(11) * 0.25, {"units": "h"})))
    assert (fields.dt_seconds, fields.step.unit, fields.step.dates) == (0.25, "h", False)


def test_select_gives_views_of_times_and_samples() -> None:
    fields = load(make(samples=3))
    late, last = fields.select(slice(4, 9), "time"), fields.select(slice(2, 3), "sample")
    assert late.values.shape == (3, 5, 2, 5, 7)
    assert (late.times == fields.times[4:9]).all()
    assert last.values.shape == (1, 11, 2, 5, 7)
    assert np.shares_memory(late.values, fields.values)
    with pytest.raises(InputError, match="expected an axis 'time' or 'sample', got 'x': choose one of them"):
        fields.select(slice(0, 1), "x")


@pytest.mark.parametrize("samples", [0, 3])
def test_back_to_a_dataset_in_the_users_layout(samples: int) -> None:
    ds = make(samples=samples)
    fields = load(ds)
    restored = fields.layout.restore(fields.to_dataset())
    for name in ("v", "u"):
        assert restored[name].dims == ds[name].dims
        np.testing.assert_array_equal(restored[name], ds[name])
    np.testing.assert_array_equal(restored["y"], ds["y"])
    assert restored["v"].attrs == ds["v"].attrs


def with_value(value: float) -> xr.Dataset:
    ds = make()
    ds["u"].values[3, 2, 1] = value
    return ds


def without(times: Sequence[int]) -> xr.Dataset:
    ds = make()
    ds["u"].values[list(times)] = np.nan
    return ds


def test_missing_values_stay_missing() -> None:
    ds = with_value(np.nan)
    fields = load(ds)
    assert np.argwhere(np.isnan(fields.values)).tolist() == [[0, 3, 1, 2, 1]]  # y descends: row 2 of 5 stays
    np.testing.assert_array_equal(fields.layout.restore(fields.to_dataset())["u"], ds["u"])


@pytest.mark.parametrize(
    ("ds", "stride", "sentence"),
    [
        (
            without([2, 5]),
            1,
            r"expected values of 'u' at every time, got none at 2001-01-03T00:00:00 \(2 of 11 times\): select times",
        ),
        (without(range(11)), 1, "expected values of 'u', got none at any time: repair the file or leave"),
        (
            with_value(np.inf),
            1,
            "finite values in the range of float32, got 0.26 % infinite in 'u': repair the file",
        ),
        (with_value(-np.inf), 1, "got 0.26 % infinite in 'u'"),
        (with_value(1e300), 1, "got 0.26 % infinite in 'u'"),
        (make(1), 1, "at least two time steps along 'time', got 1: join several files"),
        (
            make().isel(time=[0, 1, 2, 4, 5]),
            1,
            "equal steps of 1 d along 'time', got 2 d before 2001-01-05T00:00:00",
        ),
        (
            make().isel(time=[0, 2, 1]),
            1,
            "times that ascend along 'time', got 2001-01-02T00:00:00 at index 2",
        ),
        (make().isel(time=[0, 1, 1, 2]), 1, "got 2001-01-02T00:00:00 at index 2, which is repeated"),
        (make(), 11, "expected a stride from 1 to 10, got 11: choose a smaller stride"),
        (make().rename(v="wind"), 1, None),
    ],
)
def test_fields_that_cannot_be_used_are_refused(ds: xr.Dataset, stride: int, sentence: str | None) -> None:
    if sentence is None:
        assert load(ds, DataConfig(stride=stride)).names == ("wind", "u")
        return
    with pytest.raises(InputError, match=sentence):
        load(ds, DataConfig(stride=stride))


def test_a_file_and_an_open_dataset_agree(tmp_path: Path) -> None:
    make().to_netcdf(tmp_path / "f.nc")
    one, other = load(tmp_path / "f.nc"), load(make())
    np.testing.assert_array_equal(one.values, other.values)
    assert one.grid == other.grid
    assert one.layout == other.layout


def test_stated_periodicity_by_either_name() -> None:
    assert load(make(), DataConfig(periodic={"x": True})).grid.periodic == (False, True)
    globe = make().rename(y="lat", x="lon")
    for name, units, values in (
        ("lat", "degrees_north", np.arange(-50.0, 51, 25)[::-1]),
        ("lon", "degrees_east", np.arange(7) * 360 / 7),
    ):
        globe[name] = (name, values, {"units": units})
    assert load(globe).grid.periodic == (False, True)
    for name in ("lon", "longitude"):
        assert load(globe, DataConfig(periodic={name: False})).grid.periodic == (False, False)


@pytest.mark.real
@pytest.mark.skipif("GRIDVIT_REAL_DATA" not in os.environ, reason="GRIDVIT_REAL_DATA is not set")
class TestRealFiles:
    folder = Path(os.environ.get("GRIDVIT_REAL_DATA", ""))

    @pytest.mark.parametrize(
        ("name", "shape", "step"),
        [
            (ERA5, (1, 360, 1, 73, 144), "6 h"),
            ("enso/ersstv5_sst_195001-202012.nc", (1, 852, 1, 89, 180), "1 month"),
            ("steps/ncep1_uv10m_daily_2018-01_03.nc", (1, 71, 2, 94, 192), "1 d"),
            ("awkward/A1B_north_america_360day.nc", (1, 240, 1, 37, 49), "12 months"),
            ("awkward/aospy_precip_monthly_custom_lon.nc", (1, 12, 2, 64, 128), "1 month"),
            ("awkward/giss_tas_daily_noleap_2046-2065.nc", (1, 7300, 1, 6, 5), "1 d"),
            ("awkward/era5_surf_finse_hourly_2018-10_packed.nc", (1, 744, 11, 7, 10), "1 h"),
        ],
    )
    def test_real_files_load(self, name: str, shape: tuple[int, ...], step: str) -> None:
        fields = load(self.folder / name)
        assert isinstance(fields, Fields)
        assert (fields.values.shape, str(fields.step)) == (shape, step)

    @pytest.mark.parametrize(
        ("name", "sentence"),
        [
            ("enso/ersst_raw/ersst.v5.200801.nc", "at least two time steps along 'time', got 1"),
            (
                "enso/eraint_z500anom_nh_1979-2016_DJF.nc",
                "equal steps of 1 month along 'time', got 10 months before 1979-12",
            ),
            ("awkward/geocat_tamu_sst_edges.nc", "at least two time steps along 'TIME', got 1"),
        ],
    )
    def test_real_files_that_must_be_refused(self, name: str, sentence: str) -> None:
        with pytest.raises(InputError, match=sentence):
            load(self.folder / name)
