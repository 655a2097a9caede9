"""Files in: opened lazily by what they contain, not by their name."""

from __future__ import annotations

import glob
import json
import os
import re
import warnings
import zipfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import netCDF4
import xarray as xr
from scipy.io import netcdf_file

from gridvit.data.calendars import decoded
from gridvit.data.grib import open_grib
from gridvit.data.hdf5 import SIGNATURE, is_netcdf, open_hdf5
from gridvit.data.joined import join
from gridvit.data.matlab import open_matlab
from gridvit.data.remote import remote_options, unreachable
from gridvit.data.standard import standardise
from gridvit.errors import InputError

__all__ = ["open_dataset", "standardise"]

ZARR_MARKS = ("zarr.json", ".zgroup", ".zmetadata")
CLASSIC = (b"CDF\x01", b"CDF\x02")
WANTED = "a NetCDF, HDF5, GRIB or MATLAB file or a Zarr store"
Source = str | os.PathLike[str]
Chunks = dict[str, int] | None  # of dask arrays: {} those of the file, None for no dask


def open_dataset(
    path: Source | Sequence[Source], group: str = "", calendar: str = "", direct: bool = False
) -> xr.Dataset:
    """Open files lazily; their content decides what they are, not their name.

    NetCDF 3 and 4, Zarr 2 and 3 (also zipped, or at an address such as ``s3://...``), GRIB, MATLAB 5 to 7.3, and
    HDF5 in the layouts of PDEBench, The Well, pyro2 and py-pde. Several files, given as a list or a pattern with ``*``,
    are joined along time. Dates are decoded (cftime where NumPy's range or calendar does not reach, months by
    the calendar), time differences are left as numbers.

    Args:
        path: a file, a store, an address, a pattern or a list of them.
        group: which group of a NetCDF file or Zarr store, which type of level of a GRIB file.
        calendar: in which to read the dates of files that state different ones.
        direct: leave the arrays of one NetCDF file or Zarr store to the library that reads it, without a graph of
            tasks, which costs more than decoding where chunks are small.

    Raises:
        InputError: nothing at ``path``, another format, a truncated or damaged file, no such group, times that
            no calendar explains, files that do not fit together.
    """
    paths = [path] if isinstance(path, str | os.PathLike) else list(path)
    found = [match for each in paths for match in _matches(os.fspath(each))]
    if len(found) == 1:
        return _open(found[0], group, None if direct else {})
    with ExitStack() as files:  # closes what was opened where one of them is refused
        parts = [files.enter_context(_open(each, group, {})) for each in found]
        whole = join(parts, found, calendar)
        whole.set_close(files.pop_all().close)
    return whole


def _matches(path: str) -> list[str]:
    """The files that a pattern names, in the order of their names."""
    path = os.path.expanduser(path)
    if not any(mark in path for mark in "*?[") or os.path.exists(path):
        return [path]
    found = sorted(glob.glob(path))
    if not found:
        raise InputError(WANTED, f"{path}, which fits no file", "check the pattern")
    return found


def _open(name: str, group: str, chunks: Chunks) -> xr.Dataset:
    if "://" in name:
        return _remote(name, group, chunks)
    path = Path(name)
    try:
        return _by_content(path, group, chunks)
    except (OSError, ValueError, KeyError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        if isinstance(error, InputError):
            raise
        raise _explained(str(path), error) from error


def _remote(address: str, group: str, chunks: Chunks) -> xr.Dataset:
    options = remote_options(address, group)
    try:
        return _with_xarray(address, {**options, "chunks": chunks})
    except InputError:
        raise
    except Exception as error:  # of zarr, or of whatever reads this kind of address
        raise unreachable(address, error) from error


def _by_content(path: Path, group: str, chunks: Chunks) -> xr.Dataset:
    if path.is_dir():
        return _zarr(path, group, chunks)
    if not path.is_file():
        raise InputError(WANTED, f"{path}, where there is nothing", "check the path")
    with path.open("rb") as file:
        start = file.read(16)
    if start[:4] == b"GRIB":
        return open_grib(path, group)
    if start[:4] == b"PK\x03\x04":
        return _zipped(path, group, chunks)
    if start[:6] == b"MATLAB":
        return open_matlab(path)
    if start[:8] == SIGNATURE and not is_netcdf(path):
        return open_hdf5(path)
    if start[:4] in CLASSIC:
        _refuse_truncated(path)
    if start[:3] == b"CDF" or start[:8] == SIGNATURE:
        return _netcdf(path, group, chunks)
    raise InputError(WANTED, f"{path}, which is {_other(start)}", "convert it to NetCDF or Zarr first")


def _netcdf(path: Path, group: str, chunks: Chunks) -> xr.Dataset:
    if chunks is None:  # what is read once, in order, needs no cache of 64 MiB for each variable
        netCDF4.set_chunk_cache(size=0)
    gridded = _groups(path)
    if group and group.strip("/") not in gridded:
        raise InputError(f"one of the groups {_some(list(gridded))}", f"{group!r} in {path}", "name one")
    fit = [name for name, ok in gridded.items() if ok]
    if not group and gridded and not gridded[""]:
        if not fit:
            raise InputError(
                "a variable on a grid in some group",
                f"none in the {len(gridded) - 1} groups of {path}",
                "give a file of gridded fields; profiles and tracks are none",
            )
        raise InputError(
            "fields in the file's root", f"none in {path}", f"choose a group with group: {fit[0]}"
        )
    ds = _with_xarray(path, {"engine": "netcdf4", "chunks": chunks, **({"group": group} if group else {})})
    return _unwritten_missing(ds)


def _unwritten_missing(ds: xr.Dataset) -> xr.Dataset:
    """NaN where a variable that states no fill value holds NetCDF's own, that of cells never written."""
    for name, array in ds.data_vars.items():
        stated = {"_FillValue", "missing_value"} & {*array.encoding, *array.attrs}
        if not stated and array.dtype.kind == "f" and array.ndim > 1:
            filled = array.dtype.type(netCDF4.default_fillvals["f4"])
            stating = xr.Variable(array.dims, array.variable._data, {**array.attrs, "_FillValue": filled})
            masked = xr.conventions.decode_cf_variable(name, stating, decode_times=False)
            masked.encoding = array.encoding
            ds[name] = masked
    return ds


def _groups(path: Path) -> dict[str, bool]:
    """Every group, and whether it holds numbers along two dimensions; nothing for a file without groups."""
    with netCDF4.Dataset(path) as file:
        return {group.path.strip("/"): _gridded(group) for group in _walk(file)} if file.groups else {}


def _walk(group: Any) -> list[Any]:
    return [group, *(inner for each in group.groups.values() for inner in _walk(each))]


def _gridded(group: Any) -> bool:
    return any(v.ndim > 1 and getattr(v.dtype, "kind", "O") in "fiu" for v in group.variables.values())


def _zarr(path: Path, group: str, chunks: Chunks) -> xr.Dataset:
    if not any((path / mark).exists() for mark in ZARR_MARKS):
        got = f"the folder {path} without zarr.json or .zgroup"
        raise InputError(WANTED, got, "give the store itself")
    inner = path / group
    if not any((inner / mark).exists() for mark in ZARR_MARKS):
        raise InputError("a group of the Zarr store", f"{group!r} in {path}", "name another group")
    options: dict[str, Any] = {"chunks": chunks, **({"group": group} if group else {})}
    return _with_xarray(path, {"engine": "zarr", "consolidated": _consolidated(inner), **options})


def _zipped(path: Path, group: str, chunks: Chunks) -> xr.Dataset:
    """A Zarr store in a ZIP archive, at its top or in a folder of its own."""
    from zarr.storage import ZipStore

    names = zipfile.ZipFile(path).namelist()
    marked = [name for name in names if name.rpartition("/")[2] in ZARR_MARKS]
    if not marked:
        raise InputError(WANTED, f"{path}, which is a ZIP archive", "unpack it and give the file inside")
    top = min((name.rpartition("/")[0] for name in marked), key=len)
    version = 3 if f"{top}/zarr.json".lstrip("/") in names else 2
    inner = "/".join(part for part in (top, group) if part)
    options = {"engine": "zarr", "zarr_format": version, "consolidated": False, "chunks": chunks}
    return _with_xarray(ZipStore(path, mode="r"), {**options, **({"group": inner} if inner else {})})


def _with_xarray(source: Any, options: dict[str, Any]) -> xr.Dataset:
    with warnings.catch_warnings():
        # xarray announces that dates beyond NumPy's range become cftime dates: both are first class here.
        warnings.simplefilter("ignore", xr.SerializationWarning)
        options = {"decode_timedelta": False, **options}
        try:
            return xr.open_dataset(source, **options)
        except ValueError as error:
            if not re.search(r"time units '([^']*)'", str(error)):
                raise
            raw = xr.open_dataset(source, **options, decode_times=False)
            ds = decoded(raw.copy(), str(source))
            ds.set_close(raw.close)
            return ds


def _explained(path: str, error: Exception) -> InputError:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return InputError(
        "a readable NetCDF file or Zarr store",
        f"{path}, which fails with {reason!r}",
        "download or write it again",
    )


def _consolidated(store: Path) -> bool:
    """Whether the store keeps all metadata in one place; xarray warns where it is left to find out."""
    if not (store / "zarr.json").exists():
        return (store / ".zmetadata").exists()
    try:
        return json.loads((store / "zarr.json").read_text()).get("consolidated_metadata") is not None
    except (OSError, ValueError, AttributeError):
        return False


def _other(start: bytes) -> str:
    if not start:
        return "empty"
    return "a text file" if all(32 <= b < 127 or b in b"\t\r\n" for b in start) else "of another format"


def _some(names: list[str]) -> str:
    shown = ", ".join(name or "/" for name in names[:5])
    return f"{shown} and {len(names) - 5} more" if len(names) > 5 else shown or "none"


def _refuse_truncated(path: Path) -> None:
    """The NetCDF library reads what a truncated classic file lacks as zeros; mapping it into memory fails."""
    try:
        netcdf_file(path, "r", mmap=True).close()
    except (ValueError, TypeError, IndexError, KeyError, OverflowError) as error:
        raise InputError(
            "a complete NetCDF file", f"{path}, which is truncated", "download or write it again"
        ) from error
