"""Files of every kind, good and bad; the sentences are literal."""

from __future__ import annotations

import os
from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from gridvit.data.sources import open_dataset, standardise
from gridvit.errors import InputError

NETCDF = ["NETCDF4", "NETCDF4_CLASSIC", "NETCDF3_CLASSIC", "NETCDF3_64BIT"]
ERA5 = "steps/era5_msl_2.5deg_6h_2025-12_2026-02.zarr"
NCEP = "steps/ncep1_uv10m_daily_2018-01_03.nc"


def make(**extra: tuple) -> xr.Dataset:
    """u and t2m along (time, lat, lon) of sizes 3, 5, 7, and what is ``extra``."""
    rng = np.random.default_rng(3)
    fields = {name: (("time", "lat", "lon"), rng.normal(size=(3, 5, 7))) for name in ("u", "t2m")}
    coords = {
        "time": np.datetime64("2001-01-01", "ns") + np.arange(3) * np.timedelta64(1, "D"),
        "lat": ("lat", np.linspace(-72.0, 72.0, 5), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(7) * 360 / 7, {"units": "degrees_east"}),
    }
    return xr.Dataset({**fields, **extra}, coords)


@pytest.mark.parametrize("kind", NETCDF)
@pytest.mark.parametrize("name", ["a.nc", "no_suffix"])
def test_netcdf_of_any_kind_and_name(tmp_path: Path, kind: str, name: str) -> None:
    make().to_netcdf(tmp_path / name, format=kind, engine="netcdf4")
    with open_dataset(tmp_path / name) as ds:
        assert ds["u"].chunks is not None  # lazy
        xr.testing.assert_allclose(ds, make())


@pytest.mark.parametrize(("version", "consolidated"), [(2, True), (2, False), (3, True), (3, False)])
@pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part")
def test_zarr_of_both_versions(tmp_path: Path, version: int, consolidated: bool) -> None:
    make().to_zarr(tmp_path / "store", zarr_format=version, consolidated=consolidated)
    with open_dataset(tmp_path / "store") as ds:
        assert ds["u"].chunks is not None
        xr.testing.assert_allclose(ds, make())


@pytest.mark.parametrize("kind", NETCDF)
@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_truncated_files_are_refused(tmp_path: Path, kind: str, share: float) -> None:
    make().to_netcdf(tmp_path / "whole.nc", format=kind, engine="netcdf4", unlimited_dims=["time"])
    whole = (tmp_path / "whole.nc").read_bytes()
    (tmp_path / "part.nc").write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"part.nc, which .*: download or write it again"):
        open_dataset(tmp_path / "part.nc")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            b"year,u\n2001,3.5\n",
            "a NetCDF, HDF5, GRIB or MATLAB file or a Zarr store, got .*x.nc, which is a text file: conv",
        ),
        (b"", "x.nc, which is empty: convert it to NetCDF or Zarr first"),
        (b"GRIB\x00\x00\x01" + bytes(9), "message 1 of .*x.nc, which is truncated: download it again"),
        (b"PK\x03\x04\x14\x00\x00\x00", "x.nc, which fails with 'File is not a zip file'"),
        (b"MATLAB 5.0", "a readable MATLAB file, got .*x.nc, which fails with"),
        (b"\x00\x01\x02\x03\xff", "x.nc, which is of another format"),
    ],
)
def test_other_formats_named_nc_are_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "x.nc").write_bytes(content)
    with pytest.raises(InputError, match=sentence):
        open_dataset(tmp_path / "x.nc")


def test_nothing_and_a_plain_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"a Zarr store, got .*absent.nc, where there is nothing: check the path"
    ):
        open_dataset(tmp_path / "absent.nc")
    with pytest.raises(
        InputError, match=r"got the folder .* without zarr.json or .zgroup: give the store itself"
    ):
        open_dataset(tmp_path)


def test_times_that_no_calendar_explains_are_refused(tmp_path: Path) -> None:
    ds = make().assign_coords(time=("time", [0, 1, 2], {"units": "moons since 1958-1-1"}))
    ds.to_netcdf(tmp_path / "m.nc")
    with pytest.raises(
        InputError, match=r"read as dates, got units 'moons since 1958-1-1' in .*m.nc: rewrite them"
    ):
        open_dataset(tmp_path / "m.nc")


def test_plain_number_time_stays_plain(tmp_path: Path) -> None:
    make().assign_coords(time=("time", [0.0, 0.5, 1.0], {"units": "h"})).to_netcdf(tmp_path / "p.nc")
    with open_dataset(tmp_path / "p.nc") as ds:
        assert ds["time"].dtype == np.float64
        assert ds["time"].attrs["units"] == "h"


def test_dates_beyond_numpy_become_cftime(tmp_path: Path) -> None:
    days = [cftime.DatetimeNoLeap(4, 2, day) for day in (26, 27, 28)]
    make().assign_coords(time=days).to_netcdf(tmp_path / "c.nc")
    with open_dataset(tmp_path / "c.nc") as ds:
        assert ds["time"].values.tolist() == days


def test_only_moving_numbers_on_the_grid_are_taken() -> None:
    ds = make(
        mask=(("lat", "lon"), np.ones((5, 7))),
        series=("time", np.zeros(3)),
        lat_bnds=(("lat", "bnds"), np.zeros((5, 2))),
        label=(("time", "lat", "lon"), np.full((3, 5, 7), "a")),
    )
    standard, _, layout = standardise(ds)
    assert list(standard.data_vars) == ["u", "t2m"]
    assert list(layout.dims) == ["u", "t2m"]


def test_variables_come_in_the_order_asked_for() -> None:
    assert list(standardise(make(), ["t2m", "u"])[0].data_vars) == ["t2m", "u"]
    assert list(standardise(make(), ["t2m"])[0].data_vars) == ["t2m"]


def test_a_named_variable_is_read_although_another_has_a_second_grid() -> None:
    ds = make(other=(("time", "lat2", "lon"), np.zeros((3, 6, 7))))
    ds = ds.assign_coords(lat2=("lat2", np.linspace(-75.0, 75.0, 6), {"units": "degrees_north"}))
    assert standardise(ds, ["u"])[1].shape == (5, 7)
    assert standardise(ds, ["other"])[1].shape == (6, 7)
    with pytest.raises(
        InputError, match="expected one latitude axis, got 'lat' and 'lat2': select the variables"
    ):
        standardise(ds)


def test_cell_bounds_of_the_file_are_kept_with_a_named_variable() -> None:
    edges = np.array([-90.0, -60, -20, 10, 50, 90])
    ds = make(edges=(("lat", "bnds"), np.stack([edges[:-1], edges[1:]], axis=-1)))
    ds["lat"].attrs["bounds"] = "edges"
    for variables in (None, ["t2m"]):
        np.testing.assert_array_equal(standardise(ds, variables)[1].bounds[0], edges)


def test_standardise_reads_nothing(tmp_path: Path) -> None:
    make().isel(lat=slice(None, None, -1)).to_netcdf(tmp_path / "l.nc")
    with open_dataset(tmp_path / "l.nc") as ds:
        assert standardise(ds)[0]["u"].chunks is not None


def level(size: int) -> tuple:
    return ("time", "level", "lat", "lon"), np.zeros((3, size, 5, 7))


@pytest.mark.parametrize(
    ("ds", "variables", "sentence"),
    [
        (
            make().isel(time=0, drop=True),
            None,
            "expected a time axis, got dimensions lat, lon: give a file with times",
        ),
        (
            make().drop_vars("time"),
            None,
            "expected times along the dimension 'time', got none: add a coordinate 'time', dates or numbers",
        ),
        (make(), ["T2m"], "expected one of the variables u, t2m, got 'T2m': did you mean 't2m'?"),
        (make(), ["t2"], "got 't2': did you mean 't2m'?"),
        (make(), ["pressure"], "expected one of the variables u, t2m, got 'pressure': choose one of them"),
        (
            make(m=(("lat", "lon"), np.ones((5, 7)))),
            ["u", "m"],
            "at every time, got 'm' without time: leave it out",
        ),
        (
            make(z=level(2)),
            None,
            "time and space alone, got 'z' with 2 entries along 'level': choose one with select",
        ),
        (
            make(z=level(2)),
            ["z"],
            r"choose one with select: {level: 0}, take all as channels with stack: \[level\], or name other var",
        ),
        (
            make(z=(("time", "number", "lat", "lon"), np.zeros((3, 4, 5, 7)))),
            ["z"],
            "got 4 members along 'number': choose one with select: {number: 0}",
        ),
        (
            make(z=(("sample", "time", "lat", "lon"), np.zeros((2, 3, 5, 7)))),
            None,
            "numbers on the grid at every time, got 'u' without sample: leave it out",
        ),
        (
            make(s=("time", np.zeros(3)), m=(("lat", "lon"), np.ones((5, 7)))).drop_vars(["u", "t2m"]),
            None,
            r"a variable along lat, lon, time, got s\(time\); m\(lat, lon\): check the file's dimensions",
        ),
    ],
)
def test_what_cannot_be_standardised_is_refused(
    ds: xr.Dataset, variables: list[str] | None, sentence: str
) -> None:
    with pytest.raises(InputError, match=sentence):
        standardise(ds, variables)


def test_one_member_or_level_is_no_hindrance() -> None:
    ds = make(z=(("time", "number", "level", "lat", "lon"), np.zeros((3, 1, 1, 5, 7))))
    assert standardise(ds, ["z"])[0]["z"].dims == ("time", "latitude", "longitude")


@pytest.mark.real
@pytest.mark.skipif("GRIDVIT_REAL_DATA" not in os.environ, reason="GRIDVIT_REAL_DATA is not set")
class TestRealFiles:
    folder = Path(os.environ.get("GRIDVIT_REAL_DATA", ""))

    @pytest.mark.parametrize(
        "name", [ERA5, NCEP, "awkward/geocat_uv300_pm180.nc", "awkward/A1B_north_america_360day.nc"]
    )
    def test_real_files_come_back_exactly(self, name: str) -> None:
        with open_dataset(self.folder / name) as ds:
            standard, grid, layout = standardise(ds)
            restored = layout.restore(standard)
            names = list(layout.dims)
            assert (standard["latitude"].diff("latitude") > 0).all()
            assert grid.periodic == (False, not name.startswith("awkward/A1B"))
            for variable in names:
                assert restored[variable].dims == ds[variable].dims
                np.testing.assert_array_equal(restored[variable], ds[variable])
                for dim in ds[variable].dims:
                    np.testing.assert_array_equal(restored[dim], ds[dim])

    def test_era5_has_its_poles_and_no_seam(self) -> None:
        with open_dataset(self.folder / ERA5) as ds:
            standard, grid, _ = standardise(ds)
        assert standard["msl"].dims == ("time", "latitude", "longitude")
        assert grid.shape == (73, 144)
        assert (grid.centers[0][0], grid.centers[1][-1]) == (-90.0, 357.5)
