"""Text for the terminal."""

from __future__ import annotations

import json

import numpy as np
import xarray as xr

from gridvit.printing import as_json, table, tables_text


def test_table_is_aligned() -> None:
    assert table(["a", "long"], [["bb", 1]]) == "a   long\n--  ----\nbb     1"
    assert table(["a", "a heading of many words"], [["b", "1\n[0, 2]"]]) == (
        "   a heading of\na    many words\n-  ------------\nb      1 [0, 2]"
    )


def test_titles_stand_above_their_tables() -> None:
    text = tables_text({"first": (["a"], [["1"]]), "second": (["b"], [])})
    assert text == "first\na\n-\n1\n\nsecond\nb\n-"


def test_json_is_strict() -> None:
    ds = xr.Dataset({"x": ("n", [1.5, np.nan, np.inf])}, attrs={"cases": 3})
    found = json.loads(as_json(ds), parse_constant=lambda name: name)
    assert found["data_vars"]["x"]["data"] == [1.5, None, None]
    assert found["attrs"]["cases"] == 3
