"""Public sources by name, from ``catalog.yaml`` beside this module: fetched with checksums, never over what exists."""

from __future__ import annotations

import difflib
import hashlib
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from gridvit.errors import InputError

CATALOG = Path(__file__).with_name("catalog.yaml")
TIMEOUT = 30  # seconds without an answer
CHUNK = 64  # times per chunk of a copied subset


@dataclass(frozen=True)
class Source:
    """One public data source, as the catalog describes it.

    ``address`` is the published one (https, gs or s3); ``https`` the same store for those without the
    cloud's own client. ``checksum`` is ``algorithm:digest`` or None where none is known for certain;
    ``verified`` says whether the address was, and ``evidence`` how. ``subset`` is what ``fetch`` copies of a
    remote Zarr store.
    """

    name: str
    title: str
    variables: Mapping[str, str]
    grid: str
    time: str
    licence: str
    citation: str
    address: str
    size: str
    checksum: str | None
    verified: bool
    evidence: str
    open: str
    https: str = ""
    file: str = ""
    subset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_store(self) -> bool:
        """Whether it is a Zarr store, opened in place, rather than one file."""
        return self.address.endswith(".zarr")

    @property
    def filename(self) -> str:
        """The name that its local copy gets."""
        return self.file or (f"{self.name}.zarr" if self.is_store else Path(self.address).name)

    @property
    def reachable(self) -> str:
        """The address that needs no more than HTTP, where there is one."""
        return self.https or self.address

    def how_to_open(self) -> str:
        """Python that opens a store in place."""
        return f'xr.open_zarr("{self.reachable}", chunks={{}})'


def catalog(path: Path = CATALOG) -> dict[str, Source]:
    """Every source of a catalog file, by name.

    Raises:
        InputError: an entry with a key that is missing or unknown.
    """
    entries = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: _source(name, entry) for name, entry in entries.items()}


def _source(name: str, entry: Mapping[str, Any]) -> Source:
    known = {f.name for f in fields(Source)} - {"name"}
    needed = known - {"https", "file", "subset"}
    wrong = sorted(needed - set(entry)) + sorted(set(entry) - known)
    if wrong:
        raise InputError(
            f"an entry with {', '.join(sorted(needed))}",
            f"{name!r} that differs in {', '.join(wrong)}",
            "correct it",
        )
    return Source(name=name, **entry)


def find(name: str, sources: Mapping[str, Source]) -> Source:
    """The source of that name.

    Raises:
        InputError: there is none; the nearest name is suggested.
    """
    if name in sources:
        return sources[name]
    near = difflib.get_close_matches(name, sources, n=1, cutoff=0.0)
    raise InputError(
        "a name in the catalog", repr(name), f"did you mean {near[0]!r}? gridvit fetch --list shows them all"
    )


def fetch(name: str, out: Path, sources: Mapping[str, Source] | None = None) -> Path | None:
    """The local copy of a source in the folder ``out``, downloaded if it is not there.

    A file without a known checksum gets its own, written beside it (``FILE.sha256``, as ``sha256sum -c`` reads it),
    which the next call compares. A remote Zarr store is copied only as far as its entry's ``subset`` says; without
    one nothing is written and None is returned (``Source.how_to_open``).

    Raises:
        InputError: an unknown name; no network; a checksum that does not agree (the download is removed); a file of
            that name that is something else.
    """
    source = find(name, catalog() if sources is None else sources)
    target = out / source.filename
    if source.is_store:
        return _store(source, target) if source.subset else None
    if target.exists():
        return _present(source, target)
    downloaded = _download(source, target)
    if source.checksum is None:
        record(downloaded).write_text(f"{digest(downloaded, 'sha256')}  {downloaded.name}\n")
    return downloaded


def record(path: Path) -> Path:
    """Where the checksum of a first download is kept."""
    return path.with_name(f"{path.name}.sha256")


def digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file, read in pieces."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, algorithm).hexdigest()


def _present(source: Source, target: Path) -> Path:
    """A copy from before, if its bytes are the known ones."""
    known = source.checksum
    if known is None and record(target).is_file():
        known = f"sha256:{record(target).read_text().split()[0]}"
    algorithm, _, value = (known or "sha256:").partition(":")
    if target.is_file() and value and digest(target, algorithm) == value:
        return target
    got = f"one without the checksum {known}" if known else "one of unknown origin (no checksum is recorded)"
    raise InputError(f"no {target}, or the file of the catalog", got, "move it away, or give another --out")


def _download(source: Source, target: Path) -> Path:
    import pooch
    import requests

    pooch.get_logger().setLevel("ERROR")
    downloader = pooch.HTTPDownloader(timeout=TIMEOUT, progressbar=sys.stderr.isatty())
    new = not target.parent.exists()
    try:
        found = pooch.retrieve(
            source.address, source.checksum, fname=target.name, path=target.parent, downloader=downloader
        )
    except (requests.exceptions.RequestException, OSError) as error:
        raise _unreachable(source, error) from None
    except ValueError:  # pooch removes what it downloaded
        raise InputError(
            f"{source.filename} with the checksum {source.checksum}",
            f"other bytes from {source.address}",
            "nothing was kept; try again, and if it stays so, the publisher has changed the file",
        ) from None
    finally:
        if new and target.parent.is_dir() and not any(target.parent.iterdir()):
            target.parent.rmdir()
    return Path(found)


def _unreachable(source: Source, error: Exception) -> InputError:
    status = getattr(getattr(error, "response", None), "status_code", None) or getattr(error, "status", None)
    host = urlsplit(source.reachable).netloc
    if status:
        return InputError(
            f"{source.name} at {source.reachable}",
            f"HTTP status {status} from {host}",
            "the publisher may have moved it: see the entry in the catalog",
        )
    return InputError(
        f"an answer from {host}",
        f"none ({type(error).__name__})",
        f"is there a network? If not, fetch {source.reachable} where there is one and copy it here",
    )


def _store(source: Source, target: Path) -> Path:
    """Write the subset of a remote store that its entry names."""
    import xarray as xr

    if target.exists():
        raise InputError(f"no {target}", "one already", "move it away, or give another --out")
    partial = target.with_name(f".{target.name}.partial")
    try:
        remote = xr.open_zarr(source.reachable, chunks={})
        chosen = remote[list(source.subset["variables"])].sel(time=slice(*source.subset["time"]))
        for variable in chosen.variables.values():
            variable.encoding.clear()  # the chunks of the whole store need not fit the subset
        partial.parent.mkdir(parents=True, exist_ok=True)
        chosen.chunk(time=CHUNK).to_zarr(partial, mode="w", zarr_format=2, consolidated=True)
    except Exception as error:
        if not _is_of_the_network(error):
            raise
        raise _unreachable(source, error) from None
    partial.rename(target)
    return target


def _is_of_the_network(error: Exception) -> bool:
    """HTTP clients of fsspec have their own errors; they are told by their module, so that none need be imported."""
    return isinstance(error, OSError) or type(error).__module__.startswith("aiohttp")
