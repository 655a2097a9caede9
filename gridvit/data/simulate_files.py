"""Datasets written whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import xarray as xr

from gridvit.errors import InputError

NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf")


def refuse_existing(path: str | os.PathLike[str], overwrite: bool = False) -> None:
    """Raise InputError where ``write`` could not: the path is taken, or its suffix names no known format."""
    path = Path(path)
    if path.suffix not in (*NETCDF_SUFFIXES, ".zarr"):
        raise InputError(
            f"an output ending in {', '.join(NETCDF_SUFFIXES)} or .zarr", str(path), "choose one of them"
        )
    refuse_existing_file(path, overwrite)


def refuse_existing_file(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Raise InputError where a name is taken."""
    path = Path(path)
    if path.exists() and not overwrite:
        raise InputError(
            "an output that does not exist yet", str(path), "choose another name or add --overwrite"
        )
    return path


def write(ds: xr.Dataset, path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """Write a NetCDF file or a Zarr store, by suffix; whole or not at all.

    It is written under a temporary name beside ``path`` and then renamed, so that an interrupted write leaves
    what was there. Folders on the way are made.

    Raises:
        InputError: ``path`` exists and ``overwrite`` is false, or another suffix.
    """
    path = Path(path)
    refuse_existing(path, overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _beside(path) as temporary:
        if path.suffix == ".zarr":
            ds.to_zarr(temporary, zarr_format=2, consolidated=True)
        else:
            ds.to_netcdf(temporary, engine="netcdf4")
        _replace(temporary, path)
    return path


@contextmanager
def _beside(path: Path) -> Iterator[Path]:
    """A temporary name in the folder of ``path``; what is left under it at the end is removed."""
    temporary = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield temporary
    finally:
        remove(temporary)


def remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(new: Path, path: Path) -> None:
    """Rename ``new`` to ``path``; a folder cannot take another's place, so the old one steps aside first."""
    if not path.is_dir():
        os.replace(new, path)
        return
    with _beside(path.with_stem(f"{path.stem}.old")) as old:
        os.replace(path, old)
        try:
            os.replace(new, path)
        except OSError:
            os.replace(old, path)
            raise
