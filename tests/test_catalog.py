"""The catalog of public sources, and fetching from servers on this machine."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import socket
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from gridvit.cli import main
from gridvit.data import catalog
from gridvit.errors import InputError

CONTENT = b"eleven bytes"
SHA256 = hashlib.sha256(CONTENT).hexdigest()
README = Path(__file__).parents[1] / "data" / "README.md"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        """Nothing on the test's standard error."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """A folder and the address at which it is served."""
    folder = tmp_path / "served"
    folder.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    thread.join()
    server.server_close()


def closed_address() -> str:
    """An address on this machine at which nothing listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{probe.getsockname()[1]}"


def source(address: str, **changes: Any) -> dict[str, catalog.Source]:
    """A catalog of one source."""
    example = catalog.catalog()["xarray-air-temperature"]
    return {"one": dataclasses.replace(example, name="one", address=address, **changes)}


def test_every_entry_is_complete() -> None:
    for name, entry in catalog.catalog().items():
        assert re.fullmatch(r"[a-z0-9][a-z0-9.-]*", name)
        assert re.match(r"(https|gs|s3)://[a-z0-9.-]+/\S+$", entry.address)
        assert entry.reachable.startswith("https://")
        assert isinstance(entry.verified, bool)
        assert entry.variables
        for text in (
            entry.title,
            entry.grid,
            entry.time,
            entry.licence,
            entry.citation,
            entry.size,
            entry.evidence,
        ):
            assert text.strip()
        if entry.checksum is not None:
            algorithm, value = entry.checksum.split(":")
            assert len(value) == {"sha256": 64, "md5": 32}[algorithm]
            assert re.fullmatch(r"[0-9a-f]+", value)


def test_local_names_are_distinct() -> None:
    names = [entry.filename for entry in catalog.catalog().values()]
    assert len(set(names)) == len(names)


def test_the_readme_names_every_entry_and_no_other() -> None:
    assert set(re.findall(r"^\| `(\S+)` \|", README.read_text(), re.MULTILINE)) == set(catalog.catalog())


def test_a_wrong_entry_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "catalog.yaml"
    path.write_text(catalog.CATALOG.read_text().replace("  licence:", "  license:", 1))
    with pytest.raises(InputError, match="'ersst-v5' that differs in licence, license: correct it"):
        catalog.catalog(path)


def test_an_unknown_name_suggests_the_nearest() -> None:
    sentence = (
        "expected a name in the catalog, got 'ersst5': "
        "did you mean 'ersst-v5'? gridvit fetch --list shows them all"
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        catalog.find("ersst5", catalog.catalog())


@pytest.mark.parametrize("checksum", [None, f"sha256:{SHA256}", f"md5:{hashlib.md5(CONTENT).hexdigest()}"])
def test_a_file_is_fetched_once(served: tuple[Path, str], tmp_path: Path, checksum: str | None) -> None:
    folder, address = served
    (folder / "a.nc").write_bytes(CONTENT)
    sources = source(f"{address}/a.nc", checksum=checksum)
    found = catalog.fetch("one", tmp_path / "new" / "out", sources)
    assert found == tmp_path / "new" / "out" / "a.nc"
    assert found.read_bytes() == CONTENT
    assert catalog.record(found).exists() == (checksum is None)
    (folder / "a.nc").unlink()  # so that a second download would fail
    assert catalog.fetch("one", tmp_path / "new" / "out", sources) == found


def test_the_recorded_checksum_is_that_of_the_bytes(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "a.nc").write_bytes(CONTENT)
    found = catalog.fetch("one", tmp_path, source(f"{address}/a.nc", checksum=None))
    assert found is not None
    assert catalog.record(found).read_text() == f"{SHA256}  a.nc\n"


def test_other_bytes_are_refused_and_removed(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    (folder / "a.nc").write_bytes(b"other bytes")
    sentence = (
        f"expected a.nc with the checksum sha256:{SHA256}, got other bytes from {address}/a.nc: "
        "nothing was kept; try again, and if it stays so, the publisher has changed the file"
    )
    with pytest.raises(InputError, match=re.escape(sentence)):
        catalog.fetch("one", tmp_path / "out", source(f"{address}/a.nc", checksum=f"sha256:{SHA256}"))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("recorded", [False, True])
def test_an_existing_file_is_never_overwritten(
    served: tuple[Path, str], tmp_path: Path, recorded: bool
) -> None:
    folder, address = served
    (folder / "a.nc").write_bytes(CONTENT)
    mine = tmp_path / "a.nc"
    mine.write_bytes(b"mine")
    if recorded:
        catalog.record(mine).write_text(f"{SHA256}  a.nc\n")
    got = f"one without the checksum sha256:{SHA256}" if recorded else "one of unknown origin"
    with pytest.raises(InputError, match=f"{got}.*: move it away, or give another --out"):
        catalog.fetch("one", tmp_path, source(f"{address}/a.nc", checksum=None))
    assert mine.read_bytes() == b"mine"


def test_no_network_is_one_sentence(tmp_path: Path) -> None:
    address = closed_address()
    sentence = (
        f"expected an answer from {address[7:]}, got none (ConnectionError): "
        f"is there a network? If not, fetch {address}/a.nc where there is one and copy it here"
    )
    with pytest.raises(InputError, match=re.escape(sentence)) as caught:
        catalog.fetch("one", tmp_path / "out", source(f"{address}/a.nc"))
    assert caught.value.__suppress_context__
    assert not (tmp_path / "out").exists()


def test_a_moved_file_tells_its_status(served: tuple[Path, str], tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"got HTTP status 404 from 127\.0\.0\.1:\d+: the publisher may have moved"
    ):
        catalog.fetch("one", tmp_path / "out", source(f"{served[1]}/a.nc"))


def store(folder: Path) -> xr.Dataset:
    """A Zarr store of 13 days and two variables, in chunks that no subset keeps."""
    times = np.datetime64("2019-01-01", "ns") + np.arange(13) * np.timedelta64(24, "h")
    values = np.arange(13 * 5 * 3, dtype="f4").reshape(13, 5, 3)
    ds = xr.Dataset({"a": (("time", "x", "y"), values), "b": (("time", "x", "y"), -values)}, {"time": times})
    ds.chunk(time=4).to_zarr(folder / "s.zarr", zarr_format=2, consolidated=True)
    return ds


SUBSET = {"variables": ["a"], "time": ["2019-01-03", "2019-01-08"]}


def test_the_subset_of_a_remote_store_is_copied(served: tuple[Path, str], tmp_path: Path) -> None:
    folder, address = served
    whole = store(folder)
    sources = source(f"{address}/s.zarr", subset=SUBSET, file="part.zarr")
    found = catalog.fetch("one", tmp_path / "out", sources)
    assert found == tmp_path / "out" / "part.zarr"
    with xr.open_zarr(found) as copied:
        xr.testing.assert_equal(copied.load(), whole[["a"]].isel(time=slice(2, 8)))
    with pytest.raises(InputError, match=r"part\.zarr, got one already: move it away, or give another --out"):
        catalog.fetch("one", tmp_path / "out", sources)


def test_a_store_without_subset_is_not_copied(tmp_path: Path) -> None:
    assert catalog.fetch("wb2-era5-240x121", tmp_path / "out") is None
    assert not (tmp_path / "out").exists()


def test_no_network_for_a_store(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"expected an answer from 127\.0\.0\.1:\d+, got none"):
        catalog.fetch("one", tmp_path / "out", source(f"{closed_address()}/s.zarr", subset=SUBSET))
    assert not (tmp_path / "out").exists()


def test_the_command_line_lists_and_explains(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fetch", "--list", "--json"]) == 0
    assert [entry["name"] for entry in json.loads(capsys.readouterr().out)] == list(catalog.catalog())
    assert main(["fetch", "--list", "ersst-v5"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("ersst-v5: NOAA Extended Reconstructed")
    assert "none known; recorded at the first download" in told
    assert main(["fetch", "wb2-era5-240x121"]) == 0
    assert capsys.readouterr().out.startswith('xr.open_zarr("https://storage.googleapis.com/')
    assert main(["fetch", "ersst5"]) == 2
    assert "did you mean 'ersst-v5'?" in capsys.readouterr().err
