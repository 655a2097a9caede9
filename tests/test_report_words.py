"""Sentences and tables say what the numbers say; what no section knows is shown by its shape."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from report_data import SESSIONS, filled, make_attention, make_plane, make_scores

from gridvit.report import figures, further, heads, making, maps, scheme_tables, sections, tables, words
from gridvit.report.tables import number as tables_number

pytestmark = pytest.mark.xdist_group("report")


def test_skill_is_told_at_both_ends_with_the_best_rival() -> None:
    scores = make_scores()
    for name, value in (("ratio", 0.5), ("ratio_low", 0.25), ("ratio_high", 0.75)):
        scores[name].loc[{"model": "emulator", "variable": "msl"}] = value
    scores["ratio"].loc[{"variable": "msl", "lead": 30, "model": ["persistence", "climatology"]}] = [1.0, 0.4]
    first, second = words.skill_words(scores)
    assert first == (
        "msl: the emulator's error is 0.5 (0.25 to 0.75) at lead 6 h and 0.5 (0.25 to 0.75) at lead 30 h of that of "
        "persistence. At the last lead climatology is better, with 0.4."
    )
    assert second.startswith("t2m: ")
    scores["ratio"].loc[{"model": "climatology", "variable": "msl"}] = 0.625
    assert words.skill_words(scores)[0].endswith(
        "At the last lead climatology is the best beside it, with 0.625."
    )
    assert words.skill_words(scores.drop_vars("ratio")) == []


def test_the_verdict_names_the_nearest_scheme_and_where_it_is_heading() -> None:
    analysis = make_plane(("x",)).assign_attrs(generating_scheme="lax-wendroff")
    analysis["distance_weighted"].values[:] = [0.0, 0.0125, 0.25]
    analysis["velocity"].values[:] = [[0.5], [0.25], [0.25]]
    analysis["diffusivity"].values[:] = [[[0.1]], [[0.2]], [[0.3]]]
    analysis["spectral_radius"].values[...] = 1.5
    assert words.scheme_words(analysis) == [
        "On waves that the data hold, one step is nearest to lax-wendroff, the scheme that made its data: 1.25 % "
        "apart. From the exact solution it is 25 % apart.",
        "Velocity in m s⁻¹: x 0.5 (that of lax-wendroff 0.25).",
        "Diffusivity in m² s⁻¹: xx 0.1 (that of lax-wendroff 0.2).",
        "Repeated without end, small disturbances would grow without bound: the largest eigenvalue of a step is 1.5.",
    ]
    analysis["distance_weighted"].values[:] = [0.0, 0.5, 0.25]
    assert words.scheme_words(analysis)[0] == (
        "On waves that the data hold, one step is nearest to exact: 25 % apart."
    )
    assert words.scheme_words(analysis[["spectral_radius"]] * 0.5) == [
        "Repeated without end, small disturbances would die out: the largest eigenvalue of a step is 0.75."
    ]
    assert words.scheme_words(make_attention()) == []


def test_the_heads_at_both_ends_are_named() -> None:
    analysis = make_attention(2, 3)
    analysis["attention_ratio"].values[:] = [[0.5, 0.25, 1.0], [1.5, 0.75, 1.0]]
    analysis["attention_distance"].values[:] = [[1, 2000, 3], [4, 5, 6]]
    assert words.attention_words(analysis) == [
        "The most local is head 1 of layer 0, 2000 km on average, 0.25 of even attention; the one that looks farthest "
        "is head 0 of layer 1, 4 km on average, 1.5 of even attention."
    ]
    assert words.attention_words(analysis.isel(layer=[0], head=[0])) == []


def test_the_command_is_told_as_it_is_typed() -> None:
    assert making.commands(SESSIONS * 2) == "gridvit train --name 'a b'"
    assert making.command(["study.py", "--fast"]) == "study.py --fast"
    columns, ((started, *_, seed),) = making.sessions_table(SESSIONS)
    assert (columns[0], started, seed) == ("started (UTC)", "2026-01-02 03:04:05", "7")


def unknown() -> xr.Dataset:
    """A variable of each shape, none of which any section knows."""
    globe = {
        "latitude": ("latitude", [-45.0, 0.0, 45.0], {"units": "degrees_north"}),
        "longitude": ("longitude", [0.0, 120.0, 240.0, 300.0], {"units": "degrees_east"}),
    }
    share = filled(("state", "lead"), (2, 5), "share", "1", 2)
    return xr.Dataset(
        {
            "response": filled(("lag", "latitude", "longitude"), (2, 3, 4), "response", "K", 1),
            "share": share,
            "share_low": 0.5 * share,
            "share_high": 2.0 * share,
            "loss": filled(("ablation",), (3,), "loss that it costs", "1", 3).assign_attrs(
                comment="More is worse."
            ),
            "p_value": filled(("ablation",), (3,), "p", "1", 4),
            "by_layer": filled(("layer", "head", "part"), (2, 3, 2), "part of the variance", "1", 5),
            "note": ("ablation", ["a", "b", "c"]),
            "single": xr.DataArray(2.5, attrs={"long_name": "one number", "units": "K"}),
        },
        {
            "lead": np.arange(5.0),
            "ablation": ["mean", "even", "none"],
            "part": ["static", "content"],
            **globe,
        },
    )


def test_what_no_section_knows_is_shown_by_its_shape() -> None:
    analysis = xr.merge([unknown(), make_attention(2, 3)])
    shown, listed = further.drawn_by_shape(analysis, further.left(analysis))
    assert list(shown) == ["Response.", "Share."]
    assert [panel.get_title() for panel in shown["Response."].axes[:2]] == ["lag 0", "lag 1"]
    lines = shown["Share."].axes[0].lines
    assert np.array_equal([line.get_ydata() for line in lines], analysis["share"])
    assert len(shown["Share."].axes[0].collections) == 2  # the intervals
    (ablation, about), (parts, numbers), (one, value) = listed.items()
    assert ablation == "By ablation: loss that it costs, p, note. More is worse."
    assert about[0] == [
        "ablation",
        "loss that it costs (dimensionless)",
        "p (dimensionless)",
        "note (dimensionless)",
    ]
    assert [row[0] for row in about[1]] == ["mean", "even", "none"]
    assert [row[3] for row in about[1]] == ["a", "b", "c"]
    assert parts == "By layer, head: part of the variance."
    assert numbers[0] == ["layer, head", "static (dimensionless)", "content (dimensionless)"]
    assert [row[0] for row in numbers[1]][3] == "layer 1, head 0"
    assert numbers[1][3][2] == tables_number(float(analysis["by_layer"][1, 0, 1]))
    assert (one, value[1]) == ("Single numbers: one number.", [["value", "2.5"]])


def test_rows_beyond_a_page_are_left_out_and_said() -> None:
    many = xr.Dataset({"p": ("row", np.arange(1000))})
    ((title, (_, rows)),) = further.drawn_by_shape(many, ["p"])[1].items()
    assert title == "By row: p. The first 48 of 1,000 rows."
    assert rows[-1] == ["row 47", "47"]


def test_a_table_shows_the_interval_that_a_number_has() -> None:
    ends = {f"d_{end}": ("scheme", [value]) for end, value in (("low", 0.5), ("high", 2.0))}
    found = xr.Dataset({"d": ("scheme", [1.0]), **ends}, {"scheme": ["upwind"]})
    assert further.left(found) == ["d"]
    assert further.table(found, ("scheme",), ["d"])[1] == [["upwind", "1\n[0.5, 2]"]]


def test_nothing_further_makes_no_section() -> None:
    assert not sections.filled(sections.other(xr.merge([make_attention(), make_plane()])))


def measured() -> xr.Dataset:
    """What is measured of a step beyond its stencil, with answers written down."""
    analysis = make_plane().assign_attrs(generating_scheme="lax-wendroff")
    three, axis = ("scheme",), ("scheme", "axis")
    waves = ("scheme", "direction", "theta", "step")
    about = {"long_name": "velocity of the modified equation", "units": "m s-1"}
    found = {
        "modified_velocity": (axis, [[0.5, 0.25], [0.4, 0.2], [0.3, 0.1]], about),
        "modified_velocity_low": ("axis", [0.25, 0.125], {"units": "m s-1"}),
        "modified_velocity_high": ("axis", [0.75, 0.5], {"units": "m s-1"}),
        "modified_velocity_spread": ("axis", [0.1, 0.1], {"units": "m s-1"}),
        "one_step_expected": (three, [0.0, 0.25, 1.0]),
        "one_step_measured": (three, [0.0, 0.5, 2.0]),
        "one_step_standard_error": (three, [0.0, 0.125, 0.5]),
        "mass_defect": ((), 0.5, {"long_name": "what a cell adds"}),
        "shift_defect": ("axis", [0.25, 2e-8], {"long_name": "error of a shift"}),
        "state_share": ((), 0.25),
        "routing_share": ((), 0.125),
        "n_step_error": filled(waves, (3, 2, 13, 4), "error of a wave", "1", 3),
        "signed_stencil": filled(("layer", "head", "dy", "dx"), (2, 3, 7, 7), "signed", "1", 4) - 1,
    }
    return analysis.assign(found).assign_coords(step=[1, 4, 16, 64])


def test_the_modified_equation_has_each_component_with_its_interval() -> None:
    columns, rows = scheme_tables.modified_table(measured())
    assert columns == ["coefficient", "emulator", "lax-wendroff", "exact"]
    assert rows == [
        ["velocity y (m s⁻¹)", "0.5\n[0.25, 0.75]", "0.4", "0.3"],
        ["velocity x (m s⁻¹)", "0.25\n[0.125, 0.5]", "0.2", "0.1"],
    ]


def test_one_step_errors_and_defects_are_listed_and_told() -> None:
    analysis = measured()
    assert scheme_tables.one_step_table(analysis)[1] == [
        ["lax-wendroff", "0.25", "0.5", "0.125"], ["exact", "1", "2", "0.5"],
    ]  # fmt: skip
    defects = scheme_tables.defect_table(analysis)[1]
    assert defects == [["what a cell adds", "0.5"], ["error of a shift", "y 0.25, x 2e\N{MINUS SIGN}8"]]
    told = words.scheme_words(analysis)
    assert (
        "With all that its patches mix, a one-step error of 0.25 (relative mean square) against lax-wendroff is "
        "expected; measured it is 0.5 ± 0.125."
    ) in told
    assert (
        "Of its Jacobian 25 % depend on the state, and 12.5 % come from where heads look rather than from what they "
        "move."
    ) in told
    names = {row[0].removesuffix(" (dimensionless)") for row in tables.scalar_table(analysis)[1]}
    assert names == {"state share", "routing share", "spectral radius"}
    assert not sections.filled(sections.other(analysis))


def test_errors_of_waves_have_a_row_for_each_direction() -> None:
    analysis = measured()
    axes = figures.wave_errors(analysis).axes
    assert [panel.get_title() for panel in axes[:4]] == ["n = 1", "n = 4", "n = 16", "n = 64"]
    assert axes[4].get_ylabel() == "along diagonal"
    line = next(line for line in axes[6].lines if line.get_label() == "exact")
    assert np.array_equal(line.get_ydata(), analysis["n_step_error"].sel(scheme="exact", step=16)[1])


def test_signed_stencils_share_one_scale_about_zero() -> None:
    analysis = measured()
    axes = maps.signed_stencils(analysis).axes[:6]
    norms = {(panel.collections[0].norm.vmin, panel.collections[0].norm.vmax) for panel in axes}
    peak = float(abs(analysis["signed_stencil"]).max())
    assert norms == {(-peak, peak)}
    line = heads.signed_profiles(analysis.isel(dy=3, drop=True)).axes[1].lines[1]
    assert np.array_equal(line.get_ydata(), analysis["signed_stencil"][1, 0, 3])


def test_the_head_that_is_most_nearly_a_stencil_is_named() -> None:
    shares = np.array([[0.1, 0.2, 0.3], [0.25, 0.75, np.nan]])
    analysis = make_attention(2, 3).assign(attention_static=(("layer", "head"), shares))
    assert words.attention_words(analysis)[1] == (
        "Most nearly a fixed stencil is head 1 of layer 1: 75 % of its attention's variance is the same at every place "
        "and in every state."
    )
