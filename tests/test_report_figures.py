"""Figures of the report show the numbers they are given, on axes labelled with units."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from report_data import METRICS, make_attention, make_forecast, make_plane, make_scores, make_sphere

from gridvit.errors import InputError
from gridvit.report import figures, forecasts, heads, maps
from gridvit.report.canvas import balanced, colour, label, named, panels, pretty


def texts(figure: Figure) -> list[str]:
    """Every label and title that a reader of the figure sees."""
    own = [
        text.get_text()
        for text in (figure._supxlabel, figure._supylabel, figure._suptitle)
        if text is not None
    ]
    parts = [(axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) for axes in figure.axes]
    shown = [*own, *(text for part in parts for text in part)]
    return [" ".join(text.split()) for text in shown if text]


CASES: list[tuple[Callable[[xr.Dataset], Figure], xr.Dataset, set[str]]] = [
    (figures.scores_by_lead, make_scores(), {"lead time (h)", "root mean square error (Pa)", "msl", "t2m"}),
    (figures.ratio_to_persistence, make_scores(), {"lead time (h)", "ratio to persistence (dimensionless)"}),
    (figures.relative_error_by_lead, make_scores(), {"lead time (h)", "relative error (dimensionless)"}),
    (
        heads.attention_distance,
        make_attention(),
        {"mean attention distance (km)", "effective area fraction (dimensionless)"},
    ),
    (
        heads.bias_kernels,
        make_attention(),
        {"distance (km)", "bias logit (dimensionless)", "layer 0", "layer 1"},
    ),
    (heads.radial_attention, make_attention(), {"distance (km)", "attention over uniform (dimensionless)"}),
    (heads.attention_profiles, make_plane(("x",)), {"dx (cells)", "attention (dimensionless)", "layer 1"}),
    (figures.symbol, make_plane(), {"phase angle (rad)", "amplification (dimensionless)", "along diagonal"}),
    (figures.symbol, make_plane(), {"relative phase speed (dimensionless)"}),
    (
        figures.zonal_waves,
        make_sphere(),
        {
            "eastward phase speed (m s⁻¹)",
            "amplification per step (dimensionless)",
            "wavenumber (dimensionless)",
        },
    ),
    (
        maps.attention_stencils,
        make_plane(),
        {"dx (cells)", "layer 1 dy (cells)", "head 2"},
    ),
    (maps.cell_stencils, make_plane(), {"dx (cells)", "dy (cells)", "weight (dimensionless)"}),
    (maps.cell_stencils, make_plane(("x",)), {"dx (cells)", "weight (dimensionless)"}),
    (maps.jacobian_rows, make_sphere(), {"dlon (°)", "dlat (°)", "Jacobian row (dimensionless)"}),
]


@pytest.mark.parametrize(("draw", "dataset", "expected"), CASES)
def test_axes_carry_names_and_units_of_the_data(
    draw: Callable[[xr.Dataset], Figure], dataset: xr.Dataset, expected: set[str]
) -> None:
    assert expected <= set(texts(draw(dataset)))


def test_lines_are_the_numbers_given() -> None:
    scores = make_scores()
    panel = figures.scores_by_lead(scores).axes[1]
    lines = {line.get_label(): line for line in panel.lines}
    expected = scores["rmse"].sel(model="climatology", variable="t2m")
    assert np.array_equal(lines["climatology"].get_ydata(), expected)
    assert np.array_equal(lines["climatology"].get_xdata(), [6, 12, 18, 24, 30])


def test_ratio_draws_persistence_as_the_line_at_one() -> None:
    figure = figures.ratio_to_persistence(make_scores())
    lines = {line.get_label(): line for line in figure.axes[0].lines}
    assert set(lines) == {"emulator", "climatology", "persistence = 1"}
    assert set(np.ravel(lines["persistence = 1"].get_ydata())) == {1.0}
    assert len(figure.legends) == 1


def test_loss_columns_are_drawn_where_they_have_numbers() -> None:
    assert figures.losses(METRICS) == ["train_loss", "validate_loss"]
    lines = figures.loss_curves(METRICS).axes[0].lines
    assert np.array_equal(lines[1].get_xdata(), [10, 20])
    assert np.array_equal(lines[1].get_ydata(), [0.5, 0.375])
    with pytest.raises(
        InputError, match=r"^expected a column with loss in its name, got none with numbers: "
    ):
        figures.loss_curves([{"step": 1, "train_loss": ""}])


def test_dots_stand_by_layer_and_head() -> None:
    analysis = make_attention(layers=2, heads=5)
    dots = np.asarray(heads.attention_distance(analysis).axes[0].collections[0].get_offsets())
    assert np.allclose(dots[:, 0], [-0.28, -0.14, 0, 0.14, 0.28, 0.72, 0.86, 1, 1.14, 1.28])
    assert np.array_equal(dots[:, 1], analysis["attention_distance"].values.ravel())


def test_stencils_share_one_scale_and_the_difference_is_from_the_generating_scheme() -> None:
    analysis = make_plane()
    axes = maps.cell_stencils(analysis).axes[:4]
    assert [panel.get_title().split("\n")[0] for panel in axes][:3] == ["emulator", "lax-wendroff", "exact"]
    meshes = [panel.collections[0] for panel in axes]
    assert len({id(mesh.norm) for mesh in meshes}) == 1
    shown = np.asarray(meshes[3].get_array()).reshape(7, 7)
    emulator, scheme = (analysis["stencil"].sel(scheme=name).values for name in ("emulator", "lax-wendroff"))
    assert np.array_equal(shown, emulator - scheme)


def test_generating_scheme_is_stated_or_the_first_beside_the_emulator() -> None:
    analysis = make_plane()
    assert maps.generating_scheme(analysis) == "lax-wendroff"
    assert maps.generating_scheme(analysis.assign_attrs(generating_scheme="exact")) == "exact"
    assert maps.generating_scheme(analysis.sel(scheme=["emulator"])) is None
    assert len(maps.cell_stencils(analysis.sel(scheme=["emulator"])).axes) == 2  # the stencil, the colour bar


@pytest.mark.parametrize(
    "dims", [("init_time", "lead", "latitude", "longitude"), ("longitude", "lead", "latitude")]
)
def test_forecast_rows_are_latitude_whatever_the_order(dims: tuple[str, ...]) -> None:
    forecast, truth = make_forecast(0, dims), make_forecast(1, dims)
    figure = forecasts.forecast_panels(forecast, truth, "msl")
    meshes = [panel.collections[0] for panel in figure.axes[:12]]
    first = {dim: 0 for dim in dims if dim == "init_time"}
    want = (forecast - truth)["msl"].isel(first | {"lead": 6}).transpose("latitude", "longitude")
    assert np.allclose(np.asarray(meshes[11].get_array()).reshape(11, 17), want)
    assert {"longitude (°E)", "latitude (°N)", "mean sea level pressure (Pa)", "error (Pa)"} <= set(
        texts(figure)
    )
    assert figure.axes[11].get_title() == "forecast \N{MINUS SIGN} truth, lead 42 h"
    assert ("init time 2020-03-01T06:00" in texts(figure)) == ("init_time" in dims)


def test_forecast_without_truth_and_on_a_line() -> None:
    alone = forecasts.forecast_panels(make_forecast(0, ("sample", "lead", "y", "x")), None, "msl")
    assert {"x (m)", "y (m)", "forecast, lead 6 h", "sample 0"} <= set(texts(alone))
    line = ("sample", "lead", "x")
    figure = forecasts.forecast_panels(make_forecast(0, line), make_forecast(1, line), "msl")
    error = figure.axes[1].lines[0].get_ydata()
    assert np.allclose(error, (make_forecast(0, line) - make_forecast(1, line))["msl"][0, 0])
    assert {"x (m)", "mean sea level pressure (Pa)"} <= set(texts(figure))


def test_forecast_leads_may_be_time_differences() -> None:
    forecast = make_forecast().assign_coords(lead=np.arange(1, 8) * np.timedelta64(12, "h"))
    assert forecasts.forecast_panels(forecast, None, "msl").axes[0].get_title() == "forecast, lead 12 h"


def test_truth_of_another_shape_is_refused() -> None:
    sentence = "expected truth of shape (7, 11, 17), got (5, 11, 17): pass truth at the forecast's times"
    with pytest.raises(InputError, match=f"^{re.escape(sentence)}$"):
        forecasts.forecast_panels(make_forecast(), make_forecast().isel(lead=slice(5)), "msl")


def test_extra_dimensions_of_a_forecast_are_refused() -> None:
    sentence = (
        "expected one or two space dimensions, got ('level', 'latitude', 'longitude'): select one entry"
    )
    forecast = make_forecast().expand_dims(level=3)
    with pytest.raises(InputError, match=re.escape(sentence)):
        forecasts.forecast_panels(forecast, None, "msl")


def test_wrong_dimensions_are_refused_by_name() -> None:
    sentence = "expected attention_distance over (layer, head), got (layer, channel): write it again with"
    with pytest.raises(InputError, match=re.escape(sentence)):
        heads.attention_distance(make_attention().rename(head="channel"))


def test_jacobian_panels_name_latitude_and_share_one_label() -> None:
    figure = maps.jacobian_rows(make_sphere())
    titles = [panel.get_title() for panel in figure.axes[:3]]
    assert titles == ["latitude 45 °S", "latitude 0 °N", "latitude 45 °N"]
    assert texts(figure).count("dlat (°)") == 1


def test_zonal_waves_are_a_line_per_latitude_and_where_nothing_changes() -> None:
    sphere = make_sphere()
    figure = figures.zonal_waves(sphere)
    for panel, name, still in zip(figure.axes, ("phase_speed", "amplification"), (0, 1), strict=True):
        rest, *lines = panel.lines
        assert set(np.ravel(rest.get_ydata())) == {still}
        assert [line.get_label() for line in lines] == ["45 °S", "0 °N", "45 °N"]
        assert np.array_equal([line.get_ydata() for line in lines], sphere[f"zonal_{name}"])
        assert np.array_equal(lines[0].get_xdata(), np.arange(1, 12))
        assert len({line.get_color() for line in lines}) == 3
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["45 °S", "0 °N", "45 °N"]


@pytest.mark.parametrize(
    ("units", "shown"),
    [
        ("m2 s-1", "m² s⁻¹"),
        ("m s**-1", "m s⁻¹"),
        ("kg m^-2", "kg m⁻²"),
        ("m^2 / s", "m² / s"),
        ("1^2 / 1", "dimensionless"),
        ("1", "dimensionless"),
        ("degrees_north", "°N"),
        ("Pa", "Pa"),
        ("hours since 1900-01-01", "hours since 1900-01-01"),
    ],
)
def test_units_read_as_written_by_hand(units: str, shown: str) -> None:
    assert pretty(units) == shown


def test_labels_fall_back_to_the_name() -> None:
    assert label(xr.DataArray(0.0, name="bias_kernel")) == "bias kernel (dimensionless)"
    assert label(xr.DataArray(0.0, name="dx"), "tokens") == "dx (tokens)"
    assert named(xr.DataArray(np.zeros((2, 3)), dims=("layer", "head")), "head", 2) == "head 2"


def test_models_keep_their_colours() -> None:
    names = ["persistence", "emulator", "climatology", "local ridge", "exact"]
    shades = {name: colour(name, names) for name in names}
    assert len(set(shades.values())) == 5
    assert shades["emulator"] == colour("emulator", ["emulator"])


def test_spare_panels_are_taken_away() -> None:
    figure, axes = panels(5, 3, 2.0, sharex=True)
    assert len(axes) == len(figure.axes) == 5


def test_rows_of_panels_are_as_full_as_they_can_be() -> None:
    assert [balanced(count) for count in range(1, 10)] == [1, 2, 3, 4, 3, 3, 4, 4, 3]


def test_forecast_that_grows_without_bound_does_not_hide_the_truth() -> None:
    forecast, truth = make_forecast(0), make_forecast(1)
    forecast["msl"][0, 6] = np.inf
    forecast["msl"][0, 4] *= 1e20
    figure = forecasts.forecast_panels(forecast, truth, "msl")
    figure.canvas.draw()
    norm = figure.axes[0].collections[0].norm
    assert (norm.vmin, norm.vmax) == (truth["msl"][0, ::2].min(), truth["msl"][0, ::2].max())


def test_axes_end_where_lines_no_longer_matter() -> None:
    analysis, scores = make_attention(), make_scores()
    analysis["attention_radial"][0, 0, 0], scores["rmse"][1, 0, 0] = 1e-30, 1e-12
    assert heads.radial_attention(analysis).axes[0].get_ylim()[0] == 1e-3
    least = scores["rmse"].sel(model="emulator", variable="msl").min()
    assert np.isclose(figures.scores_by_lead(scores).axes[0].get_ylim()[0], 0.01 * least)


def test_lines_cross_bins_of_distance_that_hold_nothing() -> None:
    analysis = make_attention()
    analysis["attention_radial"][0, 0, 1::2] = np.nan
    line = heads.radial_attention(analysis).axes[0].lines[1]
    assert np.array_equal(line.get_xdata(), analysis["distance"][::2])
    assert np.array_equal(line.get_ydata(), analysis["attention_radial"][0, 0, ::2])


def test_legend_fits_the_page() -> None:
    names = (
        "emulator",
        "persistence",
        "climatology (hour of day)",
        "damped persistence",
        "local ridge",
        "exact",
    )
    figure = figures.scores_by_lead(make_scores(names))
    figure.canvas.draw()
    box = figure.legends[0].get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.x1


def test_many_heads_are_not_numbered() -> None:
    few, many = (heads.attention_distance(make_attention(4, count)).axes[0] for count in (12, 13))
    assert (len(few.texts), len(many.texts)) == (48, 0)


def test_a_line_that_the_axis_leaves_out_is_said_to_be_below():
    kept = make_scores()[["nrmse"]].sel(model=["emulator", "persistence"])
    tiny = 1e-8 * kept.isel(model=[0]).assign_coords(model=["rk4"])
    scores = xr.concat([kept, tiny], "model", combine_attrs="override")
    (legend,) = figures.relative_error_by_lead(scores).legends
    names = [text.get_text() for text in legend.get_texts()]
    assert "rk4 (below the axis)" in names
    assert {"emulator", "persistence"} <= set(names)
