"""The page holds what it is given, with units, in one file that needs nothing else."""

from __future__ import annotations

import re
import struct
from html.parser import HTMLParser
from pathlib import Path

import matplotlib
import numpy as np
import pytest
import xarray as xr
from report_data import (
    METRICS,
    SESSIONS,
    make_attention,
    make_forecast,
    make_places,
    make_plane,
    make_scores,
    make_sphere,
)

from gridvit.errors import InputError
from gridvit.report import Findings, Section, build, figures, tables, write_page
from gridvit.report.page import png, slug
from gridvit.report.tables import number

pytestmark = pytest.mark.xdist_group("report")  # one process makes what its tests share
VOID = {"meta", "img", "br", "hr", "link", "input"}


class Reader(HTMLParser):
    """Tags must nest and close; headings, links, ids and sources are kept."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.kept: dict[str, list[str]] = {"id": [], "href": [], "src": [], "alt": []}
        self.headings: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs if tag not in ("g", "use") else ():
            self.kept.get(name, []).append(value or "")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.open and self.open[-1] == "h2":
            self.headings.append(data)


def read(path: Path) -> Reader:
    reader = Reader()
    reader.feed(path.read_text(encoding="utf-8"))
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    places = make_places({"latitude": 5, "longitude": 8})
    analysis = xr.merge([make_attention(2, 3), make_plane(), make_sphere(), places])
    path = tmp_path_factory.mktemp("run") / "report.html"
    forecast, truth = (make_forecast(seed).isel(lead=slice(2)) for seed in (0, 1))
    config = "name: <demo>\nurl: a & b\n"
    found = Findings(make_scores(), analysis, METRICS, forecast, truth, config, SESSIONS)
    return build(found, path, "A & B", [np.array([[350.0, 0.0], [370.0, 30.0]])])


SECTIONS = [
    "Skill by lead time",
    "A forecast",
    "The learned scheme",
    "Response around a point",
    "Attention",
    "Training",
    "How it was made",
]


def test_page_holds_every_section_and_its_contents_point_at_them(page: Path) -> None:
    reader = read(page)
    assert reader.headings == SECTIONS
    assert reader.kept["href"] == [f"#{name}" for name in reader.kept["id"]]
    assert reader.kept["id"][0] == "skill-by-lead-time"
    assert "Means over <all> cases & leads." in reader.text
    assert "spectral radius (dimensionless)0.9975" in reader.text
    assert "name: <demo>\nurl: a & b" in reader.text
    assert "details" in reader.tags
    assert "gridvit train --name 'a b'" in reader.text
    assert "2026-01-02 03:04:05finished0.1.00123456789+torch 2.6a machine7" in reader.text


def test_page_needs_no_network_and_its_script_is_within_it(page: Path) -> None:
    reader = read(page)
    assert not re.search(r"https?:|url\(|@import", page.read_text(encoding="utf-8"))
    assert {"link", "iframe"}.isdisjoint(reader.tags)
    assert not re.search(r"<script[^>]* src|fetch\(|XMLHttp|import\(", page.read_text(encoding="utf-8"))
    assert all(source.startswith("data:image/png;base64,") for source in reader.kept["src"])
    assert all(reader.kept["alt"])


def test_page_and_folder_hold_the_same_figures(page: Path) -> None:
    names = {path.stem for path in (page.parent / "figures").iterdir()}
    expected = {
        "ratio_to_persistence",
        "scores_by_lead",
        "relative_error_by_lead",
        "forecast_msl",
        "cell_stencils",
    }
    expected |= {
        "symbol",
        "jacobian_rows",
        "zonal_waves",
        "attention_distance",
        "bias_kernels",
        "radial_attention",
    }
    assert names == expected | {"attention_stencils", "loss_curves"}
    text = page.read_text(encoding="utf-8")
    assert text.count('<div class="picture"><img') == len(names)
    assert text.count('<figure class="plates') == 2  # the film of msl, attention from places
    for path in (page.parent / "figures").iterdir():
        width, height = struct.unpack(">II", path.read_bytes()[16:24])
        assert width == 1200
        assert 250 < height < 2400


def test_equal_input_gives_equal_bytes(tmp_path: Path) -> None:
    found = Findings(analysis=make_sphere(), metrics=METRICS)
    pages = [build(found, tmp_path / name / "r.html") for name in "ab"]
    first, second = (sorted(page.parent.rglob("*.*")) for page in pages)
    assert [path.name for path in first][-1] == "r.html"
    assert len(first) == 4
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


def test_absent_data_leave_their_figures_out(tmp_path: Path) -> None:
    scores = make_scores().drop_vars(["nrmse", "ratio", "ratio_low", "ratio_high", "rmse_low"])
    del scores.attrs["statement"]
    path = build(Findings(scores, xr.Dataset(), [{"step": 1}]), tmp_path / "report.html")
    reader = read(path)
    assert reader.headings == ["Skill by lead time"]
    assert "Scores are over 11 cases." in reader.text
    assert [file.name for file in (tmp_path / "figures").iterdir()] == ["scores_by_lead.png"]


def test_nothing_to_show_is_refused(tmp_path: Path) -> None:
    sentence = (
        "expected scores, analysis, metrics or a forecast, got none of them: evaluate or analyse the run"
    )
    with pytest.raises(InputError, match=f"^{re.escape(sentence)} first$"):
        build(Findings(analysis=xr.Dataset(), config="name: a"), tmp_path / "report.html")
    assert not (tmp_path / "report.html").exists()


def test_units_may_differ_by_variable() -> None:
    scores = make_scores().assign_coords(variable_units=("variable", ["Pa", "K"]))
    labels = [panel.get_ylabel() for panel in figures.scores_by_lead(scores).axes]
    assert labels == ["root mean square error (Pa)", "root mean square error (K)"]
    assert any("t2m: root mean square error (K)" in caption for caption in tables.score_tables(scores))


def test_score_table_shows_interval_and_units() -> None:
    scores = make_scores()
    scores["rmse"][0, 0, 0], scores["rmse_low"][0, 0, 0], scores["rmse_high"][0, 0, 0] = 123.456, 99.0, 150.0
    caption = "msl: root mean square error (Pa), by lead; 95 % interval in brackets"
    columns, rows = tables.score_tables(scores)[caption]
    assert columns == ["model", "6 h", "12 h", "18 h", "24 h", "30 h"]
    assert rows[0][:2] == ["emulator", "123.5\n[99, 150]"]
    assert [row[0] for row in rows] == ["emulator", "persistence", "climatology"]


def test_recovered_table_has_components_with_units() -> None:
    analysis = make_plane()
    analysis["velocity"][1, 0], analysis["diffusivity"][1, 0, 1] = -1.25, 0.03125
    columns, rows = tables.recovered_table(analysis)
    assert columns[1:3] == ["velocity y (m s⁻¹)", "velocity x (m s⁻¹)"]
    assert columns[3:] == [f"diffusivity {pair} (m² s⁻¹)" for pair in ("yy", "yx", "xx")]
    assert rows[1][:2] == ["lax-wendroff", "\N{MINUS SIGN}1.25"]
    assert rows[1][4] == "0.03125"
    rate = xr.DataArray([0.5, 0, 0], dims="scheme", attrs={"long_name": "growth", "units": "s-1"})
    assert tables.recovered_table(analysis.assign(reaction=rate))[0][-1] == "growth (s⁻¹)"
    assert tables.recovered_table(analysis.assign(reaction=0 * rate))[0] == columns
    assert tables.recovered_table(analysis.drop_vars("velocity"))[0][1] == "diffusivity yy (m² s⁻¹)"


def test_other_tables() -> None:
    columns, rows = tables.distance_table(make_plane())
    assert columns == ["scheme", "distance (dimensionless)", "data-weighted distance (dimensionless)"]
    assert [row[0] for row in rows] == ["lax-wendroff", "exact"]
    title = "distance of the emulator's step from each scheme"
    assert title in tables.analysis_tables(make_plane())
    assert title not in tables.analysis_tables(make_plane().sel(scheme=["emulator"]))
    columns, rows = tables.cumulant_table(make_plane())
    assert columns == ["order (y, x)", "emulator", "lax-wendroff", "exact"]
    assert [row[0] for row in rows] == ["1,0", "0,1"]
    assert tables.scalar_table(make_plane())[1] == [["spectral radius (dimensionless)", "0.9975"]]
    columns, rows = tables.zonal_table(make_sphere())
    assert columns == ["latitude", "m = 2", "m = 4", "m = 6", "m = 8", "m = 10"]
    assert [row[0] for row in rows] == ["45 °S", "0 °N", "45 °N"]
    assert rows[0][2] == "7.25\n[0.75]"
    assert rows[1][5].startswith("\N{MINUS SIGN}3.5\n[")
    heads = make_attention(2, 3).assign(zero=(("layer", "head"), np.zeros((2, 3))))
    ((columns, rows),) = tables.attention_tables(heads)
    assert [row[0] for row in rows] == ["0, 0", "0, 1", "0, 2", "1, 0", "1, 1", "1, 2"]
    assert columns[-1] == "length scale of the bias (km)"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (0.123456, "0.1235"),
        (-2.0, "\N{MINUS SIGN}2"),
        (np.nan, "\N{EN DASH}"),
        (1e-7, "1e\N{MINUS SIGN}7"),
        (99999.6, "100000"),
        (2.5e6, "2.5e6"),
    ],
)
def test_numbers_have_four_digits(value: float, shown: str) -> None:
    assert number(value) == shown


def test_drawing_leaves_the_settings_of_the_caller_alone() -> None:
    with matplotlib.rc_context({"font.size": 31.0}):
        before = dict(matplotlib.rcParams)
        first = png(figures.zonal_waves(make_sphere()))
        assert dict(matplotlib.rcParams) == before
    assert first == png(figures.zonal_waves(make_sphere()))


def test_sections_are_escaped_and_names_are_unique(tmp_path: Path) -> None:
    part = Section(
        "1 < 2", "a & b\n\nc", tables={"<t>": (["n", "m (s)"], [["<r>", "1\n2"]])}, details={"d": "<x>"}
    )
    reader = read(write_page(tmp_path / "new" / "page.html", "<i>", [part]))
    assert reader.headings == ["1 < 2"]
    assert {"t", "r", "x", "i"}.isdisjoint(set(reader.tags))
    assert (reader.tags.count("p"), reader.tags.count("br")) == (2, 2)
    assert slug("1 < 2") == "1-2"
    twice = Section(
        "t", figures={"a": figures.zonal_waves(make_sphere()), "b": figures.zonal_waves(make_sphere())}
    )
    with pytest.raises(
        InputError, match=r"^expected a label of its own on each figure, got zonal_waves twice: call"
    ):
        write_page(tmp_path / "page.html", "t", [twice])
    with pytest.raises(InputError, match=r"^expected at least one section, got none: pass what is to be on"):
        write_page(tmp_path / "page.html", "t", [])
