"""What moves on the page: the picture that holds all frames, films of rollouts, places to choose."""

from __future__ import annotations

import io
import json
import re

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import Normalize
from PIL import Image
from report_data import make_forecast, make_places

from gridvit.report import films, forecasts, heads
from gridvit.report.plates import MISSING, Face, Plates, Scale, plates_html, sprite

pytestmark = pytest.mark.xdist_group("report")
VIRIDIS = ((68, 1, 84), (253, 231, 37))  # its two ends
MINUS = "\N{MINUS SIGN}"


def two_scales() -> Plates:
    """3 frames of 2 panels of 5 x 7 cells, each panel with its own scale."""
    frames = np.random.default_rng(0).uniform(0.2, 0.8, (3, 2, 5, 7))
    frames[1, 0, 0, 6], frames[2, 0, 4, 0], frames[2, 1, 3, 2], frames[0, 1, 4, 6] = 0.0, 1.0, np.nan, 5.0
    scales = [Scale(Normalize(0, 1), "viridis", "u (m)"), Scale(Normalize(-1, 5), "RdBu_r", "e (m)")]
    face = Face((np.linspace(0, 10, 6), np.linspace(0, 7, 8)), "Each map: <so>.")
    places = np.array([[0.0, 0.0], [10.0, 3.5], [5.0, 7.0]])
    panels = list(zip(["<u>", "e"], scales, strict=True))
    return Plates("two", frames, panels, ["a", "b </script>", "c"], face, places, start=2)


def test_the_picture_holds_every_frame_with_rows_upwards() -> None:
    plates = two_scales()
    image = np.asarray(Image.open(io.BytesIO(sprite(plates))).convert("RGB")).astype(int)
    assert image.shape == (3 * 5, 2 * 7, 3)
    assert tuple(image[5 + 4, 6]) == VIRIDIS[0]  # frame 1, panel 0: row 0 is the lowest of five
    assert tuple(image[10 + 0, 0]) == VIRIDIS[1]
    assert tuple(image[10 + 1, 7 + 2]) == MISSING
    red = image[0, 7 + 6]
    assert red[0] > 90 > red[1]  # the end of the other palette, a dark red
    assert len({tuple(pixel) for pixel in image.reshape(-1, 3)}) > 50


def test_colours_tell_values_apart_to_the_hundredth_of_a_scale() -> None:
    values = np.linspace(0, 1, 101).reshape(1, 1, 1, 101)
    face = Face((np.array([0.0, 1.0]), np.arange(102.0)))
    plates = Plates("ramp", values, [("u", Scale(Normalize(0, 1), "viridis", "u"))], ["a"], face)
    pixels = np.asarray(Image.open(io.BytesIO(sprite(plates))))
    assert np.all(np.diff(pixels[0].astype(int)) > 0)


def test_the_figure_tells_the_script_sizes_lines_and_places() -> None:
    plates = two_scales()
    text = plates_html(plates, "A & B", sprite(plates))
    known = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', text)[0])
    assert (known["width"], known["height"], known["start"]) == (7, 5, 2)
    assert known["told"] == ["a", "b </script>", "c"]
    assert known["at"] == [[0.0, 1.0], [0.5, 0.0], [1.0, 0.5]]  # from the left, from the top
    assert text.count("<canvas") == 2
    assert "&lt;u&gt;" in text
    assert "Each map: &lt;so&gt;." in text
    assert "<figcaption>A &amp; B</figcaption>" in text
    assert "<button" not in text  # places are chosen, not played
    assert re.findall(r"<p>(<span>.*?)</p>", text)[1] == "".join(
        f"<span>{tick}</span>" for tick in (f"{MINUS}1", "0.5", "2", "3.5", "5")
    )


@pytest.mark.parametrize("flip", [False, True])
def test_a_film_has_a_frame_for_each_lead_with_north_above(flip: bool) -> None:
    forecast, truth = (make_forecast(seed).isel(lead=slice(5)) for seed in (0, 1))
    given = (forecast, truth) if flip else (forecast.sortby("latitude"), truth.sortby("latitude"))
    film = films.rollout_film(*given, "msl")
    assert film.frames.shape == (5, 3, 11, 17)
    assert film.titles == ["truth", "forecast", f"forecast {MINUS} truth"]
    south = forecast["msl"].isel(init_time=0).sel(latitude=-90).values
    assert np.array_equal(film.frames[:, 1, 0], south)
    assert np.allclose(film.frames[:, 2], film.frames[:, 1] - film.frames[:, 0])
    assert film.told[4] == "lead 30 h"
    assert film.scales[0] is film.scales[1]
    assert film.places is None
    assert film.face.edges[0][[0, -1]].tolist() == [-90, 90]


def test_a_film_without_truth_has_one_panel_and_long_ones_are_thinned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(films, "VALUES", 3 * 11 * 17 * 4)
    film = films.rollout_film(make_forecast(), None, "msl")
    assert film.titles == ["forecast"]
    assert film.told == ["lead 6 h", "lead 18 h", "lead 30 h", "lead 42 h"]


def test_places_stand_where_their_coordinates_say() -> None:
    analysis = make_places({"latitude": 5, "longitude": 8})
    plates = films.attention_places(analysis, [np.array([[10.0, 0.0], [20.0, 5.0]])])
    assert plates.frames.shape == (5, 6, 5, 8)
    assert plates.titles[4] == "layer 1, head 1"
    assert np.array_equal(plates.frames[3, 4], analysis["attention_map"][3, 1, 1])
    assert plates.told[0] == "from latitude 60 °S, longitude 0 °E"
    assert plates.start == 2
    assert plates.columns == 3
    assert plates.face.span == (
        f"Each map: longitude from {MINUS}22.5 to 337.5 °E to the right, latitude from {MINUS}75 to 75 °N upwards."
    )
    assert len(plates.face.coast) == 1
    assert len(films.attention_places(make_places({"y": 3, "x": 7}), [np.zeros((2, 2))]).face.coast) == 0


def test_the_scale_of_attention_ends_at_a_thousandth_of_its_peak() -> None:
    analysis = make_places({"y": 3, "x": 7})
    analysis["attention_map"][0, 0, 0, 0, 0] = 50.0
    norm = films.attention_places(analysis).scales[0].norm
    assert (norm.vmin, norm.vmax) == (0.05, 50.0)


def test_on_a_line_attention_is_a_matrix_for_each_head() -> None:
    analysis = make_places({"x": 5})
    figure = heads.attention_matrices(analysis)
    first = np.asarray(figure.axes[4].collections[0].get_array()).reshape(5, 5)
    assert np.array_equal(first, analysis["attention_map"][:, 1, 1])
    assert figure.axes[4].get_title() == "layer 1, head 1"
    assert figure.axes[3].get_ylabel() == "from x (m)"
    assert figure.axes[3].get_xlabel() == "to x (m)"


def test_on_a_line_the_rollout_is_space_against_time() -> None:
    line = ("sample", "lead", "x")
    forecast, truth = make_forecast(0, line), make_forecast(1, line)
    figure = forecasts.space_time(forecast, truth, "msl")
    meshes = [np.asarray(panel.collections[0].get_array()).reshape(7, 17) for panel in figure.axes[:3]]
    for mesh, want in zip(meshes, (truth, forecast, forecast - truth), strict=True):
        assert np.allclose(mesh, want["msl"][0])
    assert figure.get_label() == "space_time_msl"
    assert figure.axes[0].get_xlabel() == "x (m)"


def test_a_mesh_is_shown_in_tokens() -> None:
    analysis = make_places({"y": 3, "x": 7})
    units = {"units": "tokens"}
    analysis["place_y"].attrs, analysis["place_x"].attrs = units, units
    assert films.attention_places(analysis).told[1] == "from y 3 tokens, x 3 tokens"


def test_fields_with_a_single_row_have_a_height() -> None:
    assert films.edges_of(xr.DataArray(np.zeros((1, 3)), dims=("y", "x")))[0].tolist() == [-0.5, 0.5]
