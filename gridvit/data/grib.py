"""GRIB files through cfgrib (the extra ``grib``), without the index files that it would write beside them."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import xarray as xr

from gridvit.errors import InputError


def open_grib(path: Path, group: str = "") -> xr.Dataset:
    """The messages of a GRIB file on one grid; ``group`` is the type of level where there are several.

    Raises:
        InputError: cfgrib is not installed, several types of level and none chosen, a truncated message.
    """
    cfgrib = _library(path)
    _refuse_truncated(path)
    keys = {"typeOfLevel": group} if group else {}
    try:
        ds = xr.open_dataset(
            path, engine="cfgrib", chunks={}, decode_timedelta=False,
            backend_kwargs={"indexpath": "", "filter_by_keys": keys},
        )  # fmt: skip
    except cfgrib.DatasetBuildError as error:
        raise _several(path, str(error)) from None
    if group and not ds.data_vars:
        raise InputError(f"messages on levels of type {group!r}", f"none in {path}", "leave group out")
    return ds


def _library(path: Path) -> Any:
    try:
        import cfgrib
    except (ImportError, RuntimeError):  # RuntimeError: the package without its ecCodes library
        raise InputError(
            "the package cfgrib to read GRIB", f"{path} without it", "pip install 'gridvit[grib]'"
        ) from None
    logging.getLogger("cfgrib").setLevel(logging.CRITICAL)
    return cfgrib


def _several(path: Path, message: str) -> InputError:
    found = re.findall(r"'typeOfLevel': '(\w+)'", message)
    if found:
        listed = ", ".join(dict.fromkeys(found))
        return InputError(
            "messages on one type of level", f"{listed} in {path}", f"choose one with group: {found[0]}"
        )
    return InputError(
        "messages that form one array for each variable", f"others in {path}", "split them (grib_copy)"
    )


def _refuse_truncated(path: Path) -> None:
    """Every message ends with 7777 after the bytes that it announces; cfgrib would skip one that does not."""
    size = path.stat().st_size
    with path.open("rb") as file:
        start, count = 0, 0
        while start < size:
            file.seek(start)
            head = file.read(16)
            if head[:4] != b"GRIB":
                return  # padding between messages: what follows is left to the library
            length = int.from_bytes(head[4:7] if head[7] == 1 else head[8:16], "big")
            if head[7] == 1 and length & 0x800000:
                return  # the long form of edition 1
            file.seek(start + max(length, 4) - 4)
            if length < 16 or file.read(4) != b"7777":
                raise InputError(
                    "complete GRIB messages",
                    f"message {count + 1} of {path}, which is truncated",
                    "download it again",
                )
            start, count = start + length, count + 1
