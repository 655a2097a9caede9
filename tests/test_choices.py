"""Choices about a file: levels, members, groups, irregular times, several files; GRIB, MATLAB and ZIP beside them."""

from __future__ import annotations

import sys
import zipfile
from pathlib import Path

import cftime
import h5py
import numpy as np
import pytest
import xarray as xr
from scipy.io import savemat

from gridvit.config import DataConfig
from gridvit.data.calendars import decode, in_calendar, month_starts, regular_stretch
from gridvit.data.choices import named, open_chosen, selected, stacked
from gridvit.data.fields import load
from gridvit.data.sources import open_dataset, standardise
from gridvit.errors import InputError


def weather(days: int = 5, start: str = "2001-01-01", **units: str) -> xr.Dataset:
    """t and z along (time, level, lat, lon) of sizes days, 2, 5, 7."""
    rng = np.random.default_rng(7)
    fields = {n: (("time", "level", "lat", "lon"), rng.normal(size=(days, 2, 5, 7))) for n in ("t", "z")}
    coords = {
        "time": np.datetime64(start, "ns") + np.arange(days) * np.timedelta64(1, "D"),
        "level": ("level", np.array([850.0, 500.0], dtype="f4")),
        "lat": ("lat", np.linspace(72.0, -72.0, 5), {"units": "degrees_north"}),
        "lon": ("lon", np.arange(7) * 360 / 7, {"units": "degrees_east"}),
    }
    return xr.Dataset(fields, coords)


def test_a_level_is_chosen_by_value_and_comes_back() -> None:
    ds = weather()
    standard, _, layout = standardise(selected(ds, {"level": 500}))
    assert standard["t"].dims == ("time", "latitude", "longitude")
    xr.testing.assert_identical(
        layout.restore(standard)["t"].drop_attrs(), ds["t"].isel(level=[1]).drop_attrs()
    )


@pytest.mark.parametrize(
    ("select", "sentence"),
    [
        ({"level": 700}, "expected one of 850, 500 along 'level', got 700: choose one of them"),
        ({"plev": 500}, r"expected select along one of time \(5\), level \(2\), .*got 'plev'"),
    ],
)
def test_a_level_that_is_not_there(select: dict[str, float], sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        selected(weather(), select)


def test_levels_become_channels_in_order() -> None:
    ds = weather()
    flat = stacked(ds, ["level"])
    assert list(flat) == ["t_850", "t_500", "z_850", "z_500"]
    assert named(flat, ("z", "t_500")) == ("z_850", "z_500", "t_500")
    np.testing.assert_array_equal(flat["z_500"], ds["z"].sel(level=500))
    with pytest.raises(InputError, match="expected stack along one of"):
        stacked(ds, ["plev"])


def test_a_group_and_a_missing_one(tmp_path: Path) -> None:
    weather().isel(level=0).to_netcdf(tmp_path / "g.nc", group="forecast/day", mode="w")
    with pytest.raises(
        InputError, match="fields in the file's root, .*choose a group with group: forecast/day"
    ):
        open_dataset(tmp_path / "g.nc")
    with open_chosen(DataConfig(path=str(tmp_path / "g.nc"), group="forecast/day")) as ds:
        assert load(ds).names == ("t", "z")
    with pytest.raises(InputError, match="expected one of the groups /, forecast, forecast/day, got 'x'"):
        open_dataset(tmp_path / "g.nc", "x")


def test_files_are_joined_in_the_order_of_time(tmp_path: Path) -> None:
    whole = weather(6).isel(level=0, drop=True)
    whole.isel(time=slice(3, 6)).to_netcdf(tmp_path / "a.nc")
    whole.isel(time=slice(0, 3)).to_netcdf(tmp_path / "b.nc")
    with open_dataset(str(tmp_path / "*.nc")) as ds:
        xr.testing.assert_equal(ds, whole)
    data = DataConfig(path=str(tmp_path / "a.nc"), files=(str(tmp_path / "b.nc"),))
    with open_chosen(data) as ds:
        xr.testing.assert_equal(ds, whole)
    with pytest.raises(InputError, match=r"\*.grib, which fits no file: check the pattern"):
        open_dataset(str(tmp_path / "*.grib"))


def test_files_that_do_not_fit_are_named(tmp_path: Path) -> None:
    whole = weather().isel(level=0, drop=True)
    paths = [tmp_path / "a.nc", tmp_path / "b.nc"]
    whole.to_netcdf(paths[0])
    whole.isel(lat=slice(0, 4)).to_netcdf(paths[1])
    with pytest.raises(
        InputError, match="grid of .*a.nc in each file, got .*b.nc, which differs along 'lat'"
    ):
        open_dataset(paths)
    whole.drop_vars("z").to_netcdf(paths[1])
    with pytest.raises(InputError, match="variables of .*a.nc in each file, got .*b.nc, which differs in z"):
        open_dataset(paths)


def test_calendars_are_joined_by_choice_alone(tmp_path: Path) -> None:
    one, two = weather(2).isel(level=0, drop=True), weather(2, "2001-01-03").isel(level=0, drop=True)
    one["time"] = [cftime.Datetime360Day(2001, 1, d) for d in (1, 2)]
    one.to_netcdf(tmp_path / "a.nc")
    two.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(InputError, match="'360_day' in .*a.nc and 'standard' in .*b.nc: choose the one"):
        open_dataset(str(tmp_path / "*.nc"))
    data = DataConfig(path=str(tmp_path / "*.nc"), calendar="standard")
    with open_chosen(data) as ds:
        assert str(load(ds).step) == "1 d"


def test_dates_that_a_calendar_lacks() -> None:
    with pytest.raises(InputError, match="dates that the calendar 'noleap' has"):
        in_calendar(np.array(["2000-02-29"], dtype="datetime64[ns]"), "noleap")


def test_months_and_the_year_zero_are_decoded_by_the_calendar() -> None:
    found = decode(np.array([0.0, 1, 13, -1]), "months since 1958-1-31 06:00:00")
    assert found.astype("datetime64[h]").astype(str).tolist() == [
        "1958-01-31T06", "1958-02-28T06", "1959-02-28T06", "1957-12-31T06",
    ]  # fmt: skip
    january, march = decode(np.array([366.0, 1440.0]), "hour since 0000-01-01 00:00:00")
    assert (january.year, january.month, january.day, january.hour) == (0, 1, 16, 6)
    assert (march.month, march.day) == (3, 1)  # 60 days: the year 0 is a leap year
    assert decode(np.array([1.0]), "years since 1-1-1", "noleap")[0].year == 2


@pytest.mark.parametrize(
    ("number", "units"), [(0.5, "months since 1958-1-1"), (1.0, "fortnights since 1958-1-1")]
)
def test_times_without_a_meaning_are_refused(number: float, units: str) -> None:
    with pytest.raises(InputError, match=f"read as dates, got units '{units}' in the file: rewrite them"):
        decode(np.array([number]), units)


def test_irregular_times_by_choice(tmp_path: Path) -> None:
    ds = weather(11).isel(level=0, drop=True).isel(time=[0, 2, 3, 4, 5, 8, 10])
    ds.to_netcdf(tmp_path / "i.nc")
    with pytest.raises(InputError, match="choose irregular: longest .* or irregular: frames"):
        load(open_chosen(DataConfig(path=str(tmp_path / "i.nc"))))
    with open_chosen(DataConfig(path=str(tmp_path / "i.nc"), irregular="longest")) as found:
        np.testing.assert_array_equal(found["time"], ds["time"][1:5])
    with open_chosen(DataConfig(path=str(tmp_path / "i.nc"), irregular="frames")) as found:
        fields = load(found)
        assert (fields.n_times, str(fields.step)) == (7, "1 frame")


def test_stretches_and_month_starts() -> None:
    months = np.array(["2001-01-16", "2001-02-15", "2001-03-16", "2001-06-16"], dtype="datetime64[ns]")
    assert regular_stretch(months) == slice(0, 3)
    assert regular_stretch(np.array([0.0, 0, 1, 2, 9])) == slice(1, 4)
    assert regular_stretch(np.zeros(3)) == slice(0, 1)
    assert month_starts(months)[1] == np.datetime64("2001-02-01")
    with pytest.raises(InputError, match="expected dates along 'time' for irregular: months, got numbers"):
        month_starts(np.zeros(2))


def test_matlab_axes_by_the_lengths_of_vectors(tmp_path: Path) -> None:
    u = np.random.default_rng(3).normal(size=(7, 5))
    held = {"x": np.arange(7.0)[:, None], "tt": np.arange(5.0)[None] / 2, "usol": u, "nu": 0.1}
    savemat(tmp_path / "u.dat", held)
    fields = load(tmp_path / "u.dat")
    assert (fields.names, fields.grid.names, fields.step.seconds) == (("usol",), ("x",), 0.5)
    np.testing.assert_array_equal(fields.values[0, :, 0], u.T.astype("f4"))
    savemat(tmp_path / "u.dat", {**held, "y": np.arange(7.0)})
    with pytest.raises(
        InputError, match="one vector as long as each axis of 'usol', got x and y of 7 entries"
    ):
        open_dataset(tmp_path / "u.dat")
    savemat(tmp_path / "u.dat", {"usol": u})
    with pytest.raises(InputError, match=r"named t and x, got usol\(7, 5\) in .*: save the vectors"):
        open_dataset(tmp_path / "u.dat")


def matlab_73(path: Path, **held: np.ndarray) -> None:
    """A file as MATLAB's ``save -v7.3`` writes it: HDF5 after 512 bytes, each array with its dimensions in reverse."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in held.items():
            file[name] = values.T
            file[name].attrs["MATLAB_class"] = np.bytes_("double")
        file["note"] = np.frombuffer(b"a note", dtype="u1").astype("u2")[:, None]
        file["note"].attrs["MATLAB_class"] = np.bytes_("char")
        file["empty"] = np.array([0, 7], dtype="u8")  # an empty array keeps its shape, 0 x 7, as its values
        file["empty"].attrs.update({"MATLAB_class": np.bytes_("double"), "MATLAB_empty": np.uint8(1)})
    header = (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created on: Sat Jan  1 00:00:00 2022 HDF5 schema 1.00 ."
    )
    with path.open("r+b") as file:
        file.write(header.ljust(124) + b"\x00\x02IM")


def test_matlab_73_has_its_dimensions_in_reverse(tmp_path: Path) -> None:
    u = np.random.default_rng(3).normal(size=(7, 11, 5))  # u(y, x, t), as MATLAB shows it
    axes = {"x": np.arange(11.0)[None], "y": np.arange(7.0)[:, None] * 2, "tt": np.arange(5.0)[None] / 2}
    matlab_73(tmp_path / "u.dat", u=u, nu=np.array([[0.1]]), **axes)
    with open_dataset(tmp_path / "u.dat") as ds:
        assert (list(ds.data_vars), ds["u"].dims, ds["u"].chunks is not None) == (
            ["u"],
            ("y", "x", "time"),
            True,
        )
        fields = load(ds)
    assert (fields.grid.names, fields.step.seconds) == (("y", "x"), 0.5)
    np.testing.assert_array_equal(fields.values[0, :, 0], np.moveaxis(u, -1, 0).astype("f4"))
    np.testing.assert_array_equal(fields.grid.centers[0], np.arange(7) * 2)


def test_matlab_73_as_version_5_gives_it(tmp_path: Path) -> None:
    held = {"x": np.arange(7.0)[:, None], "t": np.arange(5.0)[None], "usol": np.arange(35.0).reshape(7, 5)}
    savemat(tmp_path / "5.mat", held)
    matlab_73(tmp_path / "73.mat", **held)
    with open_dataset(tmp_path / "5.mat") as five, open_dataset(tmp_path / "73.mat") as later:
        xr.testing.assert_identical(later.load(), five)


def test_matlab_files_that_are_no_grid_or_too_old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matlab_73(tmp_path / "u.mat", u=np.zeros((7, 5)), t=np.arange(5.0)[None])
    with pytest.raises(InputError) as refusal:
        open_dataset(tmp_path / "u.mat")
    assert str(refusal.value) == (
        f"expected an array whose axes are as long as vectors named t and x, got t(1, 5), u(7, 5) in "
        f"{tmp_path}/u.mat: save the vectors with the array"
    )
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(
        InputError, match="the package h5py to tell HDF5 layouts, got .*u.mat without it: pip"
    ):
        open_dataset(tmp_path / "u.mat")
    savemat(tmp_path / "4.mat", {"u": np.zeros((7, 5))}, format="4")
    with pytest.raises(InputError, match="4.mat, which is of another format: convert it to NetCDF or Zarr"):
        open_dataset(tmp_path / "4.mat")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("top", ["", "store.zarr/"])
def test_zipped_zarr_with_and_without_its_folder(tmp_path: Path, version: int, top: str) -> None:
    weather().to_zarr(tmp_path / "s", zarr_format=version, consolidated=False)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for path in sorted((tmp_path / "s").rglob("*")):
            if path.is_file():
                archive.write(path, top + str(path.relative_to(tmp_path / "s")))
    with open_dataset(tmp_path / "s.zip") as ds:
        xr.testing.assert_equal(ds, weather())


def test_zip_without_a_store(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        archive.writestr("readme.txt", "no store")
    with pytest.raises(InputError, match="s.zip, which is a ZIP archive: unpack it"):
        open_dataset(tmp_path / "s.zip")


def test_address_of_a_store(tmp_path: Path) -> None:
    weather().to_zarr(tmp_path / "s", zarr_format=2, consolidated=True)
    with open_dataset(f"file://{tmp_path}/s") as ds:
        xr.testing.assert_equal(ds, weather())


def test_grib_without_cfgrib_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.nc").write_bytes(b"GRIB" + bytes(12))
    monkeypatch.setitem(sys.modules, "cfgrib", None)
    with pytest.raises(
        InputError, match=r"the package cfgrib to read GRIB, .* pip install 'gridvit\[grib\]'"
    ):
        open_dataset(tmp_path / "x.nc")


def test_cells_never_written_are_missing(tmp_path: Path) -> None:
    ds = weather(2).isel(level=0, drop=True).astype("f4")
    ds["t"][0, 0, 0] = np.float32(9.969209968386869e36)
    ds.to_netcdf(tmp_path / "f.nc", encoding={n: {"_FillValue": None} for n in ds.data_vars})
    with open_dataset(tmp_path / "f.nc") as found:
        assert int(found["t"].isnull().sum()) == 1
        assert found["t"].dtype == np.float32
