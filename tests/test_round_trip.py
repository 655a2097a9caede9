"""Every usable file of the manifest: read, forecast by persistence, written and read again, it is what it was.

What comes back is compared with the file as xarray reads it, after the choices that the file needs. The folder is
GRIDVIT_REAL_DATA.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from test_manifest import CHOICE, FOLDER, MISSING, USABLE, pytestmark  # noqa: F401  the marks are for this module

from gridvit.axes import find_axes
from gridvit.config import DataConfig
from gridvit.data.choices import open_chosen
from gridvit.data.fields import Fields, load
from gridvit.forecast import forecast_dataset
from gridvit.initial import forecast_array
from gridvit.rollout import Persistence

FILES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in USABLE},
    **{name: (name, choice) for name, (_, choice, _) in CHOICE.items()},
    **{name: (name, choice) for name, (_, choice) in MISSING.items()},
    "KS, periodic": ("pde/pinns_KS.mat", {"periodic": {"x": True}}),
    "members as samples": (
        "awkward/era5_levels_members.grib", {"select": {"isobaricInhPa": 850}, "members": "samples"},
    ),
}  # fmt: skip


def options(name: str, choice: dict[str, Any]) -> DataConfig:
    lists = {key: tuple(v) if isinstance(v, list) else v for key, v in choice.items()}
    lists |= {"files": tuple(str(FOLDER / f) for f in lists["files"])} if "files" in lists else {}
    return DataConfig(path=str(FOLDER / name), **lists)


def persisted(fields: Fields, time: int) -> xr.Dataset:
    """Two steps of persistence from one time."""
    step = Persistence(fields.grid, fields.dt_seconds, fields.names)
    states, seconds = fields.values[:, time], np.repeat(fields.seconds[time], fields.n_samples)
    values = forecast_array(step, states, seconds, 2)[:, None]
    at = fields.times[[time]]
    return forecast_dataset(
        values, at, fields.step, fields.variables, fields.grid, fields.layout, fields.attrs
    )


@pytest.mark.filterwarnings("ignore:Unable to decode time axis")  # beyond NumPy's dates: cftime has them
@pytest.mark.parametrize("case", FILES)
def test_a_forecast_by_persistence_is_the_file(case: str, tmp_path: Path) -> None:
    name, choice = FILES[case]
    pytest.importorskip("cfgrib") if name.endswith(".grib") else None
    data = options(name, choice)
    with open_chosen(data) as ds:
        fields = load(None, data)
        time = fields.n_times - 2
        persisted(fields, time).to_netcdf(tmp_path / "f.nc")
        with xr.open_dataset(tmp_path / "f.nc", decode_timedelta=False) as again:
            assert again.attrs.keys() == ds.attrs.keys()
            same(again, ds, fields, time)


def same(again: xr.Dataset, ds: xr.Dataset, fields: Fields, time: int) -> None:
    """Values, names, units, dimensions, positions and dates of the forecast are those of the file at that time."""
    names = list(fields.names)
    axes = find_axes(ds[names])
    assert list(again.data_vars) == names
    for name in names:
        theirs, ours = ds[name], again[name]
        assert ours.dims == ("init_time", "lead", *(d for d in theirs.dims if d != axes.time))
        assert ours.dtype == np.float32
        assert ours.attrs["units"] == (theirs.attrs.get("units") or "1")
        expected = theirs.isel({axes.time: time}).values.astype("f4")
        for lead in range(2):
            np.testing.assert_array_equal(ours.values[0, lead], expected)
    kept = {d for name in names for d in ds[name].dims} & set(ds.coords) - {axes.time, fields.layout.sample}
    for dim in kept:
        xr.testing.assert_equal(again[dim].variable, ds[dim].variable)
        assert (again[dim].dtype, again[dim].attrs.get("units")) == (
            ds[dim].dtype,
            ds[dim].attrs.get("units"),
        )
    start, valid, clock = again["init_time"][0], again["valid_time"][0, 0], ds[axes.time_coordinate]
    assert start.values == clock.values[time]
    if fields.step.months:  # the same day a month later, where the file has the middles of the months
        following = clock[time + 1].dt
        assert (valid.dt.year, valid.dt.month) == (following.year, following.month)
    else:
        assert valid.values == clock.values[time + 1]
    if fields.step.dates:
        assert start.dt.calendar == clock.dt.calendar
