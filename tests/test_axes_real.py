"""find_axes on files that nobody here made; the folder is named by GRIDVIT_REAL_DATA."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from gridvit.axes import find_axes
from gridvit.errors import InputError
from gridvit.grid import Grid

REAL = {
    "enso/ersstv5_sst_195001-202012.nc": ((89, 180), True, (-89, 89)),
    "enso/ersst_raw/ersst.v5.200801.nc": ((89, 180), True, (-89, 89)),
    "enso/eraint_z500anom_nh_1979-2016_DJF.nc": ((37, 144), True, (-1.25, 90)),
    "steps/era5_msl_2.5deg_6h_2025-12_2026-02.zarr": ((73, 144), True, (-90, 90)),
    "steps/ncep1_uv10m_daily_2018-01_03.nc": ((94, 192), True, (-90, 90)),
    "awkward/coads_climatology_3mon.nc": ((90, 180), True, (-90, 90)),
    "awkward/A1B_north_america_360day.nc": ((37, 49), False, (14.375, 60.625)),
    "awkward/geocat_hgt_months_since.nc": ((73, 144), True, (-90, 90)),
    "awkward/geocat_uv300_pm180.nc": ((64, 128), True, (-90, 90)),
    "awkward/aospy_precip_monthly_custom_lon.nc": ((64, 128), True, (-90, 90)),
    "awkward/era5_surf_finse_hourly_2018-10_packed.nc": ((7, 10), False, (59.625, 61.375)),
    "awkward/giss_tas_daily_noleap_2046-2065.nc": ((6, 5), False, (40, 64)),
    "awkward/geocat_tamu_sst_edges.nc": ((64, 180), True, (-61.01, 59.9899)),
}
REFUSED = {
    "awkward/rotated_pole.nc": "rotated",
    "awkward/geocat_camse_unstructured.nc": "unstructured",
    "awkward/pyferret_bad_taxis.nc": "a number at each point",
    "awkward/mozaic_hgroups.nc": "at least one space dimension",
    "enso/soi_darwin_1866-2013.nc": "no dimension but time",
}


@pytest.fixture
def real() -> Path:
    folder = os.environ.get("GRIDVIT_REAL_DATA")
    if not folder:
        pytest.skip("GRIDVIT_REAL_DATA names no folder of real files")
    return Path(folder)


def opened(path: Path) -> xr.Dataset:
    with warnings.catch_warnings():  # what these files make xarray say is not what is tested
        warnings.simplefilter("ignore")
        try:
            return xr.open_dataset(path)
        except ValueError:
            return xr.open_dataset(path, decode_times=False)


@pytest.mark.real
@pytest.mark.parametrize("name", REAL)
def test_real_files_have_the_grids_that_their_producers_state(name, real):
    shape, around, (south, north) = REAL[name]
    with opened(real / name) as ds:
        axes, grid = find_axes(ds), Grid.from_dataset(ds)
    assert grid.shape == shape
    assert grid.periodic == (False, around)
    np.testing.assert_allclose(grid.bounds[0][[0, -1]], [south, north], atol=1e-3)
    assert axes.time is not None
    assert set(axes.other) <= {"lev", "plev", "DEPTH"}
    if around:
        zone = np.sin(np.deg2rad(grid.bounds[0][-1])) - np.sin(np.deg2rad(grid.bounds[0][0]))
        assert grid.areas.sum() == pytest.approx(2 * np.pi * grid.radius**2 * zone)


@pytest.mark.real
@pytest.mark.parametrize("name", REFUSED)
def test_real_files_that_are_no_grid_are_refused(name, real):
    with opened(real / name) as ds, pytest.raises(InputError, match=REFUSED[name]):
        Grid.from_dataset(ds)
