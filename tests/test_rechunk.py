"""A copy in other chunks holds what the file holds."""

from __future__ import annotations

from pathlib import Path

import cftime
import numpy as np
import pytest
import xarray as xr

from gridvit.cli import main
from gridvit.data.rechunk import rechunk
from gridvit.errors import InputError


def contents(dates: bool) -> xr.Dataset:
    """A packed variable with gaps, one in other units, orography, bounds, a level: much that a file may hold."""
    rng = np.random.default_rng(3)
    u = rng.normal(size=(75, 2, 5, 7)).round(2)
    u[3, 0, 1, 2] = np.nan
    times = (
        cftime.num2date(np.arange(75), "days since 2001-02-25", calendar="360_day")
        if dates
        else np.datetime64("2001-02-25", "ns") + np.arange(75) * np.timedelta64(1, "D")
    )
    coords = {
        "time": ("time", times, {"long_name": "valid"}),
        "level": ("level", [500, 850], {"units": "hPa"}),
        "lat": ("lat", np.linspace(60, 20, 5), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(7.0), {"units": "degrees_east"}),
    }
    dims = ("time", "level", "lat", "lon")
    ds = xr.Dataset(
        {"u": (dims, u, {"units": "m s-1"}), "orography": (("lat", "lon"), rng.normal(size=(5, 7)), {"units": "m"}),
         "n": ("time", np.arange(75, dtype=np.int32))},
        coords, {"title": "all of it"},
    )  # fmt: skip
    ds["u"].encoding = {"dtype": "int16", "scale_factor": 0.01, "add_offset": 0.0, "_FillValue": -32768}
    return ds


@pytest.mark.parametrize("dates", [False, True])
def test_the_copy_holds_all_of_the_file(tmp_path: Path, dates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    contents(dates).to_netcdf(tmp_path / "a.nc")
    monkeypatch.setattr("gridvit.data.rechunk.BLOCK", 20_000)
    out = rechunk(tmp_path / "a.nc", tmp_path / "new" / "a.zarr", 16)
    with xr.open_dataset(tmp_path / "a.nc") as before, xr.open_zarr(out, chunks=None) as after:
        xr.testing.assert_identical(before.load(), after.load())
        assert after["u"].encoding["chunks"] == (16, 2, 5, 7)
        assert after["u"].encoding["dtype"] == np.int16
    assert [path.name for path in out.parent.iterdir()] == ["a.zarr"]


def test_a_store_that_exists_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    contents(False).to_netcdf(tmp_path / "a.nc")
    given = ["rechunk", str(tmp_path / "a.nc"), "--out", str(tmp_path / "a.zarr"), "--time", "20"]
    assert main(given) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'a.zarr'}\n"
    assert main(given) == 2
    assert capsys.readouterr().err == (
        f"gridvit: expected no {tmp_path / 'a.zarr'}, got one already: move it away, or give another --out\n"
    )
    with pytest.raises(InputError, match="expected --time of at least 1, got 0: correct it"):
        rechunk(tmp_path / "a.nc", tmp_path / "b.zarr", 0)
