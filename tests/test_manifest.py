"""``gridvit check`` on every file of the manifest: usable, usable after a stated choice, or refused and why.

A usable file is also read, brought to the standard layout and back exactly. The folder is GRIDVIT_REAL_DATA.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridvit.cli import main
from gridvit.config import DataConfig
from gridvit.data.choices import named, open_chosen
from gridvit.data.standard import standardise

ROOT = os.environ.get("GRIDVIT_REAL_DATA")
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(ROOT is None, reason="GRIDVIT_REAL_DATA names no folder of real files"),
]
FOLDER = Path(ROOT or ".")
ERSST, HADGEM = "enso/ersst_raw", "awkward/hadgem2es_360day"
HADGEM_FILE = f"{HADGEM}/tas_Amon_HadGEM2-ES_rcp85_r1i1p1"
MEMBERS = {"select": {"number": 0}, "stack": ["isobaricInhPa"]}
PACKED = ["d2m", "strd", "ssrd", "sp", "tp", "t2m", "tisr", "zust", "ie", "ishf"]
FILES = {"files": [f"{ERSST}/ersst.v5.200711.nc"]}
ONE_TIME = r"at least two time steps along '\w+', got 1: join several files"

# What is usable as it is: the step between its times.
USABLE = {
    "steps/era5_t2m_uk_hourly_2019-03.grib": "1 h",
    "steps/era5_msl_2.5deg_6h_2025-12_2026-02.zarr": "6 h",
    "steps/ncep1_uv10m_daily_2018-01_03.nc": "1 d",
    "awkward/A1B_north_america_360day.nc": "12 months",
    "awkward/geocat_uv300_pm180.nc": "6 month",
    "awkward/aospy_precip_monthly_custom_lon.nc": "1 month",
    "awkward/giss_tas_daily_noleap_2046-2065.nc": "1 d",
    f"{HADGEM_FILE}_200512-203011.nc": "1 month",
    f"{HADGEM_FILE}_203012-205511.nc": "1 month",
    "pde/pinns_burgers_shock.mat": "0.01",
    "pde/pinns_KS.mat": "0.005",
    # several of them, by pattern
    f"{HADGEM}/*.nc": "1 month",
    "enso/eraint_z500anom_nh_1979-2016_*.nc": "1 month",
}
# What is refused with a choice in the sentence, the choice, and the step with which it is usable.
CHOICE: dict[str, tuple[str, dict[str, Any], str]] = {
    **{
        f"enso/eraint_z500anom_nh_1979-2016_{season}.nc": (
            "10 months before .* choose irregular: longest", {"irregular": "longest"}, step,
        )
        # a season of 31, 30 and 31 days has its middles 30.5 days apart: a fixed step where it is one
        for season, step in {"DJF": "1 month", "MAM": "30.5 d", "JJA": "1 month", "SON": "30.5 d"}.items()
    },
    "awkward/regcm_pre_curvilinear_time0.nc": (
        "got 0 at index 1, which is repeated: choose irregular: frames", {"irregular": "frames"}, "1 frame",
    ),
    "awkward/geocat_hgt_months_since.nc": (
        "1 month before 1958-02-01.* choose irregular: longest", {"irregular": "longest"}, "12 months",
    ),
    "awkward/era5_levels_members.grib": (
        r"10 members along 'number': .* \{number: 0\}, or take all as samples with members:", MEMBERS, "12 h",
    ),
    "awkward/cesm2_ta_unmasked_fill.nc": (
        r"2 entries along 'plev': choose one with select: \{plev: 100000\}", {"select": {"plev": 92500}}, "1 month",
    ),
    "awkward/era5_surf_finse_hourly_2018-10_packed.nc": (
        "'z', which does not change in time: leave it out of data.variables", {"variables": PACKED}, "1 h",
    ),
}  # fmt: skip
# Usable with gaps: the share of missing values, and the choice that the file needs besides.
MISSING: dict[str, tuple[str, dict[str, Any]]] = {
    "enso/ersstv5_sst_195001-202012.nc": ("31.4% of sst", {}),
    "awkward/coads_climatology_3mon.nc": ("41.4% of SST", {}),
    "awkward/cfgrib_fields_with_missing_values.grib": ("66.2% of t2m", {}),
    f"{ERSST}/*.nc": ("31.4% of sst, 31.4% of ssta", {"calendar": "standard", "irregular": "months"}),
    f"{ERSST}/ersst.v5.200710.nc": ("31.4% of sst, 31.4% of ssta", FILES),
}
REFUSED = {
    **{
        f"{ERSST}/ersst.v5.{month}.nc": ONE_TIME for month in (200710, 200711, 200712, 200801, 200802, 200803)
    },
    f"{ERSST}/*.nc": "'360_day' in .*200710.nc and 'standard' in .*200801.nc: choose .* calendar: standard",
    "enso/nino34_reyn_smith_oiv2_1982-2015.nc": "at least one space dimension, got no dimension but time",
    "enso/soi_darwin_1866-2013.nc": "at least one space dimension, got no dimension but time",
    "awkward/nemo_1m_2015-01_grid-T.nc": ONE_TIME,
    "awkward/rotated_pole.nc": "'grid_latitude' of a rotated pole: add them as coordinates",
    "awkward/geocat_tamu_sst_edges.nc": ONE_TIME,
    "awkward/geocat_camse_unstructured.nc": "unstructured grids are not supported yet",
    "awkward/cfgrib_lambert_grid.grib": "a time axis, got dimensions y, x",
    "awkward/cfgrib_hpa_and_pa.grib": "isobaricInhPa, isobaricInPa in .*: choose one with group: isobaricInhPa",
    "awkward/cfgrib_era5-levels-corrupted.grib": "message 1 of .*, which is truncated: download it again",
    "awkward/pyferret_non_COARDS.nc": ONE_TIME,
    "awkward/pyferret_bad_taxis.nc": r"got 9.96921e\+36: repair the coordinate",
    "awkward/mozaic_hgroups.nc": "got none in the 7 groups of .*: give a file of gridded fields",
    "awkward/stars_sic_daily_sample.zarr.zip": ONE_TIME,
    "pde/pyro2_dam_x_0081.h5": ONE_TIME,
    "pde/pyro2_gaussian_0164.h5": ONE_TIME,
    "pde/pyro2_sod_x_0076.h5": ONE_TIME,
    "pde/pypde_storage_1.hdf5": "expected a Cartesian grid, got a CylindricalSymGrid",
}


def options(choice: dict[str, Any]) -> list[str]:
    choice = {
        **choice,
        **({"files": [str(FOLDER / f) for f in choice["files"]]} if "files" in choice else {}),
    }
    return [
        part
        for name, v in choice.items()
        for part in (f"--{name}", v if isinstance(v, str) else json.dumps(v))
    ]


def check(capsys: pytest.CaptureFixture[str], name: str, choice: dict[str, Any]) -> dict[str, Any]:
    """The verdict as JSON; a refusal is one sentence on stderr too."""
    pytest.importorskip("cfgrib") if name.endswith(".grib") else None
    status = main(["check", str(FOLDER / name), *options(choice), "--json"])
    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (status, err.count("\n")) == ((0, 0) if found["usable"] else (2, 1)), err
    assert found["usable"] or err == f"gridvit: {found['reason']}\n"
    return found


def comes_back(name: str, choice: dict[str, Any]) -> None:
    """standardise, then restore, gives every value, dimension and coordinate of the file."""
    lists = {key: tuple(v) if isinstance(v, list) else v for key, v in choice.items()}
    with open_chosen(DataConfig(path=str(FOLDER / name), **lists)) as ds:
        standard, _, layout = standardise(ds, named(ds, lists.get("variables", ())) or None)
        restored = layout.restore(standard)
        for variable in layout.dims:
            assert restored[variable].dims == ds[variable].dims
            np.testing.assert_array_equal(restored[variable], ds[variable])
            for name in set(restored.coords) | set(ds[variable].dims) & set(ds.coords):
                np.testing.assert_array_equal(restored[name], ds[name])


@pytest.mark.parametrize("name", USABLE)
def test_usable(capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = check(capsys, name, {})
    assert (found["verdict"], found["time"]["step"]) == ("usable", USABLE[name])
    comes_back(name, {})


@pytest.mark.parametrize("name", CHOICE)
def test_usable_after_a_stated_choice(capsys: pytest.CaptureFixture[str], name: str) -> None:
    sentence, choice, step = CHOICE[name]
    found = check(capsys, name, {})
    assert found["verdict"] == "needs a choice"
    assert re.search(sentence, found["reason"]), found["reason"]
    found = check(capsys, name, choice)
    assert (found["verdict"], found["time"]["step"]) == ("usable after a stated choice", step)
    comes_back(name, choice)


@pytest.mark.parametrize("name", REFUSED)
def test_refused(capsys: pytest.CaptureFixture[str], name: str) -> None:
    found = check(capsys, name, {})
    assert not found["usable"]
    assert re.search(REFUSED[name], found["reason"]), found["reason"]


@pytest.mark.parametrize("name", MISSING)
def test_files_with_gaps_are_usable(capsys: pytest.CaptureFixture[str], name: str) -> None:
    share, choice = MISSING[name]
    found = check(capsys, name, choice)
    assert found["usable"], found
    assert (
        ", ".join(f"{v['missing']:.1%} of {v['name']}" for v in found["variables"] if v["missing"]) == share
    )


def test_every_file_of_the_manifest_is_here() -> None:
    listed: set[str] = set()
    section = ""
    for line in (FOLDER / "MANIFEST.md").read_text().splitlines():
        if heading := re.match(r"## (\w+) - ", line):
            section = heading[1]
        if row := re.match(r"\| (\S+\.\w+) \| ", line):
            listed.add(f"{section}/{row[1]}")
    tables = {name for table in (USABLE, CHOICE, MISSING, REFUSED) for name in table if "*" not in name}
    assert len(listed) == 46
    assert listed == tables
