"""The catalog of public sources as text or JSON, and a fetched source with what its user needs to know."""

from __future__ import annotations

import json
import os
import textwrap
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gridvit.data import catalog


def fetch(name: str, out: str | os.PathLike[str] = ".") -> dict[str, Any]:
    """A local copy of a public source: its ``path`` (None for a store opened in place only) and how to ``open`` it."""
    source = catalog.find(name, catalog.catalog())
    path = catalog.fetch(name, Path(out))
    in_place = source.is_store and path is None
    return {
        "name": name,
        "path": None if path is None else str(path),
        "open": source.how_to_open() if in_place else source.open,
        "licence": source.licence,
        "citation": source.citation,
    }


def listed(name: str = "", as_json: bool = False) -> str:
    """The catalog, or one entry of it."""
    sources = catalog.catalog()
    shown = [catalog.find(name, sources)] if name else list(sources.values())
    if as_json:
        return json.dumps([asdict(source) for source in shown], indent=2)
    return "\n\n".join(_text(source) for source in shown)


def _text(source: catalog.Source) -> str:
    rows = {
        "variables": "; ".join(f"{key} ({what})" if what else key for key, what in source.variables.items()),
        "grid": source.grid,
        "time": source.time,
        "size": source.size,
        "licence": source.licence,
        "citation": source.citation,
        "address": source.address if source.verified else f"{source.address} (not verified)",
        "checksum": source.checksum or "none known; recorded at the first download",
        "open": source.how_to_open() if source.is_store else source.open,
    }
    if source.is_store:
        rows["checksum"] = "none; a store that changes has none"
        rows["fetch"] = _copied(source)
    return "\n".join([f"{source.name}: {source.title}", *(_row(key, value) for key, value in rows.items())])


def _copied(source: catalog.Source) -> str:
    if not source.subset:
        return "copies nothing; says how to open the store in place"
    first, last = source.subset["time"]
    return f"copies {', '.join(source.subset['variables'])} from {first} to {last}"


def _row(key: str, value: str) -> str:
    return textwrap.fill(
        value,
        100,
        initial_indent=f"  {key:<10}",
        subsequent_indent=" " * 12,
        break_long_words=False,
        break_on_hyphens=False,
    )
