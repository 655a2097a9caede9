"""The page's section on what precedes a region shows the maps and hypotheses that it is given."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from report_data import make_towards

from gridvit.report import further, towards

FIGURES = {"maps": towards.towards_maps, "blocks": towards.block_panels}


def drawn(figure: Figure) -> list[np.ndarray]:
    """Colours of every panel, row by row; the bars come after."""
    return [np.asarray(axes.collections[0].get_array()) for axes in figure.axes if axes.get_title()]


def test_maps_show_first_and_last_and_what_passes() -> None:
    analysis = make_towards(7)
    figure = towards.towards_maps(analysis)
    shown = [0, 2, 4, 6]
    assert [axes.get_title() for axes in figure.axes[:8:2]] == [f"nino34 in {k + 1}" for k in shown]
    for panels, name in (
        (drawn(figure)[::2], "towards_gradient"),
        (drawn(figure)[1::2], "towards_correlation"),
    ):
        expected = analysis[name].values[shown].reshape(4, -1, 5, 7)[:, 0]
        np.testing.assert_array_equal(panels, expected)
    significant = analysis["towards_significant"].values[:, 0]
    for row, axes in zip(shown, figure.axes[1:8:2], strict=True):
        dots = np.asarray(axes.collections[1].get_offsets())
        at = np.argwhere(significant[row])
        np.testing.assert_allclose(dots, np.stack([360 / 7 * at[:, 1], 30.0 * at[:, 0] - 60], axis=1))
    low, high = figure.axes[0].collections[0].get_clim()
    assert -low == high == np.abs(analysis["towards_gradient"].values[shown, 0]).max()


def test_blocks_that_have_no_sign_start_at_zero() -> None:
    analysis = make_towards(2)
    figure = towards.block_panels(analysis)
    names = ("towards_pulse", "towards_occlusion", "towards_knock_out")
    for column, name in enumerate(names):
        panels = drawn(figure)[column::3]
        np.testing.assert_array_equal(panels, analysis[name].values.reshape(2, 3, 2))
        low, high = figure.axes[column].collections[0].get_clim()
        assert high == np.abs(analysis[name].values).max()
        assert low == (-high if column == 0 else 0)
    assert len(drawn(towards.block_panels(analysis.drop_vars("towards_knock_out")))) == 4


@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("name", FIGURES)
def test_no_label_covers_another(name: str, count: int) -> None:
    figure = FIGURES[name](make_towards(count))
    FigureCanvasAgg(figure).draw()
    texts = [text for axes in figure.axes for text in (axes.title, axes.xaxis.label, axes.yaxis.label)]
    boxes = [(text.get_text(), text.get_window_extent()) for text in texts if text.get_text()]
    assert len(boxes) > 4
    for (_, box), (_, other) in combinations(boxes, 2):
        assert not box.overlaps(other)
    for _, box in boxes:
        assert 0 <= box.x0 < box.x1 <= figure.bbox.x1
        assert 0 <= box.y0 < box.y1 <= figure.bbox.y1
    heights = [axes.get_window_extent().height for axes in figure.axes if axes.get_title()]
    assert min(heights) > 40  # pixels


def test_hypotheses_are_rows() -> None:
    columns, rows = towards.hypothesis_table(make_towards())
    assert columns == ["source", "target", "lag", "sign", "partial correlation", "p", "supported", "skill"]
    assert rows == [
        ["sst at 4, 5", "nino34", "1", "+", "0.31", "0.00025", "yes", "0.12"],
        ["sst at -9, 80", "nino34", "3", "−", "0.062", "0.75", "no", "−0.5"],
    ]  # fmt: skip


def test_what_is_not_there_is_left_out() -> None:
    analysis = make_towards(1)
    stated = [str(name) for name in analysis.data_vars if str(name).startswith("hypothesis")]
    section = towards.section(analysis.drop_vars([*stated, "towards_correlation", "towards_significant"]))
    assert [*section.figures] == [towards.MAPS, towards.BLOCKS]
    assert not further.left(analysis)
    assert len(drawn(section.figures[towards.MAPS])) == 1  # no column of correlations
    assert not section.tables
    assert not towards.section(analysis.drop_vars("towards_gradient")).figures
    lines = towards.section(analysis.isel(map_longitude=0, block_longitude=0))
    assert not lines.figures
    assert [*lines.tables] == [towards.TESTED]
