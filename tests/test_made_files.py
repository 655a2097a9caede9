"""Made files of every order, convention, chunking and packing: loading gives the array they were made from, exactly."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from gridvit.data.fields import load
from gridvit.data.sources import open_dataset

AXES = ("time", "lat", "lon")
FILL = -32768


@st.composite
def arrays(draw: st.DrawFn) -> np.ndarray:
    """u[t, i, j] (float32) = 10 + k / 4, k of 16 bits, so that packing loses nothing; some of them missing."""
    shape = draw(st.tuples(st.integers(2, 5), st.integers(2, 5), st.integers(3, 8)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = (10 + rng.integers(-32767, 32768, shape) / 4).astype("f4")
    gaps = rng.random(shape) < draw(st.sampled_from([0.0, 0.0, 0.4]))
    gaps[:, 0, 0] = False  # a variable has a value at every time
    return np.where(gaps, np.float32(np.nan), values)


@st.composite
def longitudes(draw: st.DrawFn, n: int) -> np.ndarray:
    """n longitudes, or n + 1 of which the last repeats the first, in any of the conventions and from any start."""
    turn = draw(st.integers(-n, n)) + np.arange(n)
    convention = draw(st.sampled_from(["on and on", "0..360", "-180..180", "rolled"]))
    turn = {
        "on and on": turn,
        "0..360": np.arange(n),
        "-180..180": np.sort((turn + n // 2) % n - n // 2),
        "rolled": turn % n,
    }[convention]
    rises = (np.diff(turn) > 0).all()
    turn = np.append(turn, turn[0] + n) if rises and draw(st.booleans()) else turn
    return turn * (360 / n)


def made(values: np.ndarray, longitude: np.ndarray, falling: bool, kind: str) -> xr.Dataset:
    """A file of u[t, i, j], i from the south and j from longitude 0."""
    times, rows, columns = values.shape
    j = np.rint(longitude * columns / 360).astype(int) % columns
    i = np.arange(rows)[::-1] if falling else np.arange(rows)
    latitude = (np.arange(rows) + 0.5) * (180 / rows) - 90
    coords = {
        "time": np.datetime64("2001-01-31T06", "ns") + np.arange(times) * np.timedelta64(6, "h"),
        "lat": ("lat", latitude[i].astype(kind), {"units": "degrees_north"}),
        "lon": ("lon", longitude.astype(kind), {"units": "degrees_east"}),
    }
    return xr.Dataset({"u": (AXES, values[:, i][:, :, j], {"units": "m s-1", "long_name": "wind"})}, coords)


def written(ds: xr.Dataset, path: Path, store: str, chunks: dict[str, int], packed: bool) -> Path:
    """NetCDF or Zarr, in chunks along the dimensions as they are, as numbers of 16 bits where ``packed``."""
    sizes = tuple(min(chunks[str(d)], n) for d, n in ds["u"].sizes.items())
    how: dict[str, Any] = {"chunksizes" if store == "netcdf" else "chunks": sizes}
    how |= {"dtype": "i2", "scale_factor": 0.25, "add_offset": 10.0, "_FillValue": FILL} if packed else {}
    if store == "netcdf":
        ds.to_netcdf(path / "u", encoding={"u": how})
    else:
        ds.to_zarr(
            path / "u", zarr_format=2 if store == "zarr 2" else 3, encoding={"u": how}, consolidated=False
        )
    return path / "u"


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    values=arrays(),
    order=st.permutations(AXES),
    falling=st.booleans(),
    kind=st.sampled_from(["f4", "f8"]),
    store=st.sampled_from(["netcdf", "netcdf", "zarr 2", "zarr 3"]),
    chunks=st.fixed_dictionaries({name: st.integers(1, 9) for name in AXES}),
    packed=st.booleans(),
)
def test_load_gives_the_array_and_restore_the_file(
    data, values, order, falling, kind, store, chunks, packed
) -> None:  # type: ignore[no-untyped-def]
    longitude = data.draw(longitudes(values.shape[-1]))
    ds = made(values, longitude, falling, kind).transpose(*order)
    with tempfile.TemporaryDirectory() as folder:
        path = written(ds, Path(folder), store, chunks, packed)
        fields = load(path)
        with open_dataset(path) as again:
            theirs = again.load()
    np.testing.assert_array_equal(fields.values[0, :, 0], values)
    np.testing.assert_allclose(
        fields.grid.centers[1], np.arange(values.shape[-1]) * 360 / values.shape[-1], atol=1e-4
    )
    restored = fields.layout.restore(fields.to_dataset())
    assert restored["u"].dims == tuple(order)
    xr.testing.assert_equal(restored, theirs)
    xr.testing.assert_equal(restored, ds)
    assert restored["lon"].dtype == ds["lon"].dtype
    assert restored["u"].attrs == ds["u"].attrs
