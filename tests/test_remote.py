"""Zarr stores at an address, in fsspec's memory: read in place; what fails says so in one sentence."""

from __future__ import annotations

import re

import numpy as np
import pytest
import xarray as xr

from gridvit.data.fields import load
from gridvit.data.sources import open_dataset
from gridvit.errors import InputError

pytestmark = pytest.mark.filterwarnings("ignore:Consolidated metadata is currently not part:UserWarning")


def dataset() -> xr.Dataset:
    u = np.random.default_rng(0).normal(size=(5, 6)).astype("f4")
    return xr.Dataset({"u": (("time", "x"), u)}, {"time": np.arange(5.0), "x": np.arange(6.0)})


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("consolidated", [True, False])
@pytest.mark.parametrize("group", ["", "inner/most"])
def test_a_store_at_an_address(version: int, consolidated: bool, group: str) -> None:
    ds, address = dataset(), f"memory://{version}{consolidated}{group}.zarr"
    ds.to_zarr(address, mode="w", zarr_format=version, consolidated=consolidated, group=group or None)
    with open_dataset(address, group) as found:
        np.testing.assert_array_equal(load(found).values[0, :, 0], ds["u"])


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("memory://none.zarr",
         "expected a Zarr store at an address, got memory://none.zarr, where there is none: check the address and the "
         "network; download files of other formats, such as NetCDF, first"),
        ("nowhere://a.zarr",
         "expected an address that fsspec can read, got nowhere://a.zarr (Protocol not known: nowhere): install that"),
        ("http://127.0.0.1:9/a.zarr", "check the address and the network"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_said(address: str, sentence: str) -> None:
    with pytest.raises(InputError, match=re.escape(sentence)):
        open_dataset(address)


def test_a_damaged_store_is_said() -> None:
    import fsspec

    dataset().to_zarr("memory://bad.zarr", mode="w", consolidated=False)
    fsspec.filesystem("memory").pipe("/bad.zarr/u/zarr.json", b"{}")
    with pytest.raises(
        InputError, match=r"expected a Zarr store at an address, got memory://bad\.zarr, which fails with"
    ):
        open_dataset("memory://bad.zarr")
