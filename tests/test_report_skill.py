"""Figures and tables of an evaluation: what stands in them is what was measured."""

from __future__ import annotations

import numpy as np
from report_data import make_scores, make_skill

from gridvit.report import costs, sections
from gridvit.report.skill_tables import skill_tables
from gridvit.report.tables import number


def lines(panel) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    return {str(line.get_label()): (line.get_xdata(), line.get_ydata()) for line in panel.lines}


def test_error_stands_against_both_costs() -> None:
    scores = make_skill()
    figure = costs.cost_error(scores)
    for panel, cost, best in zip(figure.axes, ("seconds", "operations"), ([0, 2], [1, 2]), strict=True):
        x, y = lines(panel)["the best of them"]
        at = np.array(best)[np.argsort(scores[f"solver_{cost}"].values[best])]
        assert np.array_equal(x, scores[f"solver_{cost}"].values[at])
        assert np.array_equal(y, scores["solver_error"].values[at, -1])
        dots = {str(c.get_label()): np.asarray(c.get_offsets()) for c in panel.collections}
        expected = [[float(scores[cost][0]), float(scores["scaled_error"][0, -1])]]
        assert np.array_equal(dots["emulator"], expected)
        assert len(dots["solver on fewer cells or in longer steps"]) == 3
        assert panel.get_xscale() == panel.get_yscale() == "log"
    assert figure.axes[0].get_xlabel() == "processor time (s)"


def test_models_alone_have_costs_too_and_an_exact_repeat_hides_nothing() -> None:
    scores = make_skill()[["scaled_error", "seconds", "operations"]]
    scores["scaled_error"][1] = 1e-12
    figure = costs.cost_error(scores)
    assert not figure.axes[0].lines
    assert np.isclose(figure.axes[0].get_ylim()[0], 1e-3 * float(scores["scaled_error"][0, -1]))


def test_spectra_are_those_of_the_last_lead() -> None:
    scores = make_skill()
    first, second = costs.spectra(scores).axes
    drawn = lines(second)
    power = scores["zonal_spectrum"].sel(variable="t2m", source="truth").isel(lead=-1)
    assert np.array_equal(drawn["truth"][1], power[1:])
    assert np.array_equal(drawn["truth"][0], np.arange(1, 7))
    error = scores["zonal_error"].sel(variable="t2m", source="emulator").isel(lead=-1)
    assert np.array_equal(drawn["error of the emulator"][1], error[1:])
    assert (first.get_title(), first.get_xlabel()) == ("msl", "waves (dimensionless)")


def test_quantities_by_lead_with_their_units() -> None:
    scores = make_skill()
    first, second = costs.quantities(scores).axes
    assert (first.get_title(), first.get_ylabel()) == ("mean of t", "K")
    assert (second.get_title(), second.get_ylabel()) == ("kinetic energy", "m² s⁻²")
    expected = scores["quantity_mean"].sel(source="persistence", quantity="kinetic energy")
    assert np.array_equal(lines(second)["persistence"][1], expected)


def test_every_table_has_its_numbers() -> None:
    scores = make_skill()
    scores["valid_time"][1, 0, 0] = np.nan
    found = skill_tables(scores)
    title = "valid prediction time (h): error below 0.5 of the spread; the share valid to the last lead in brackets"
    columns, rows = found[title]
    time, share = (float(scores[name][0, 0, 1]) for name in ("valid_time", "valid_share"))
    assert columns == ["model", "msl", "t2m"]
    assert rows[0][2] == f"{number(time)} ({share:.0%})\n[{number(0.9 * time, 3)}, {number(1.1 * time, 3)}]"
    assert rows[1][1] == "–"
    columns, rows = found["mean and, below, root mean square drift since the start, at lead 30 h"]
    assert columns == ["", "mean of t (K)", "kinetic energy (m² s⁻²)"]
    assert [row[0] for row in rows] == ["truth", "emulator", "persistence"]
    both = (float(scores[name].isel(source=1, lead=-1, quantity=0)) for name in ("quantity_mean", "drift"))
    assert rows[1][1] == "\n".join([number(next(both), 6), number(next(both), 3)])
    columns, rows = found["cost of a forecast and its error, at lead 30 h"]
    assert columns == [
        "model",
        "processor time (s)",
        "operations (dimensionless)",
        "scaled error (dimensionless)",
    ]
    assert rows[0][1] == number(float(scores["seconds"][0]), 3)
    columns, rows = found["solvers that none beats in both operations and error, at lead 30 h"]
    order = scores["solver_operations"].values[[1, 2]].argsort()
    assert [row[0] for row in rows] == [["16 cells, rk4", "32 cells, rk4"][i] for i in order]
    (definitions,) = (table for title, table in found.items() if title.startswith("definitions: e ="))
    assert definitions[1][0] == ["root mean square error", "sqrt(mean e)"]
    assert any(title.startswith("t2m: anomaly correlation (dimensionless), by lead") for title in found)


def test_old_scores_are_shown_as_far_as_they_go() -> None:
    assert set(skill_tables(make_scores())) == {
        f"{v}: {n}, by lead{i}"
        for v, units in (("msl", "Pa"), ("t2m", "Pa"))
        for n, i in (
            ("ratio to persistence (dimensionless)", "; 95 % interval in brackets"),
            (f"root mean square error ({units})", "; 95 % interval in brackets"),
            ("relative error (dimensionless)", ""),
        )
    }
    section = sections.skill(make_skill())
    assert len(section.figures) == 7
