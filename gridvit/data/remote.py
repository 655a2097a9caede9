"""Zarr stores at an address, read in place through fsspec: what is there, and what keeps it from being read."""

from __future__ import annotations

import json
from typing import Any

from gridvit.errors import InputError

WANTED = "a Zarr store at an address"


def remote_options(address: str, group: str = "") -> dict[str, Any]:
    """How xarray opens the store at ``address``: its format, and whether all metadata are in one place.

    Raises:
        InputError: no library for this kind of address, nothing that answers, no Zarr store there.
    """
    import fsspec

    inner = f"{address.rstrip('/')}/{group}".rstrip("/")
    try:
        files, root = fsspec.core.url_to_fs(inner)
        held = {name: files.exists(f"{root}/{name}") for name in ("zarr.json", ".zmetadata", ".zgroup")}
        metadata = json.loads(files.cat_file(f"{root}/zarr.json")) if held["zarr.json"] else {}
    except (ImportError, ValueError) as error:
        raise InputError(
            "an address that fsspec can read", f"{address} ({error})", "install that library"
        ) from None
    except Exception as error:  # each protocol has its own
        raise unreachable(address, error) from error
    if not any(held.values()):
        raise InputError(
            WANTED,
            f"{inner}, where there is none",
            "check the address and the network; download files of other formats, such as NetCDF, first",
        )
    joined = metadata.get("consolidated_metadata") is not None if metadata else held[".zmetadata"]
    options = {"engine": "zarr", "zarr_format": 3 if metadata else 2, "consolidated": joined}
    return options | ({"group": group} if group else {})


def unreachable(address: str, error: Exception) -> InputError:
    """What a user can do about an error of the network or of the store."""
    reason = (str(error).splitlines() or [""])[0] or type(error).__name__
    return InputError(WANTED, f"{address}, which fails with {reason!r}", "check the address and the network")
