"""What precedes a region: maps of the model beside those of the data, and the hypotheses. Dataset in, Section out."""

from __future__ import annotations

from functools import partial

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gridvit.report.canvas import (
    DIVERGING,
    SEQUENTIAL,
    colour_bar,
    coloured,
    coordinate,
    drawn,
    label,
    label_outer,
    panels,
    symmetric,
    wrap,
)
from gridvit.report.coast import Lines, draw_coast, on_globe
from gridvit.report.page import Section
from gridvit.report.tables import Table, number

ROWS = 4  # targets and leads of a figure; more would not fit a printed page

MAPS = (
    "What precedes the region, a row for each target and lead. Left, the gradient of the trained network's forecast: "
    "what a change there does to the target, the rest held. Right, the correlation with the target later in the "
    "training part; dots are where it passes the false discovery rate with the effective number of independent "
    "pairs. Correlation also shows what merely shares a cause with the target or moves with it; the gradient shows "
    "what the network uses, which need not act."
)
BLOCKS = (
    "The same network without a derivative, box by box: the response to one standard deviation more in the box, the "
    "change where the box is set to its mean, and where no token attends to it. The last says what attention "
    "carries, the others what the whole network does."
)
TESTED = (
    "The boxes of the greatest gradient outside the region, stated as hypotheses and tested on the test part: partial "
    "correlation given the target's own past, one-sided p with the effective number of pairs, whether it passes the "
    "false discovery rate over all of them, and the share of the error that the box takes off on years left out. "
    "A common cause supports a hypothesis as well as an effect does."
)


def section(analysis: xr.Dataset, coast: Lines = ()) -> Section:
    """Nothing where no maps were drawn."""
    title, text = (
        "What precedes a region",
        "Maps towards the indices that the run predicts and the regions named.",
    )
    if "towards_gradient" not in analysis:
        return Section(title, text)
    shown: dict[str, Figure] = {}
    if analysis["towards_gradient"].ndim == 5:
        shown = {MAPS: towards_maps(analysis, coast), BLOCKS: block_panels(analysis, coast)}
    listed = {TESTED: hypothesis_table(analysis)} if "hypothesis_p" in analysis else {}
    return Section(title, text, shown, listed)


@drawn
def towards_maps(analysis: xr.Dataset, coast: Lines = ()) -> Figure:
    """Gradient at the last frame | correlation, of the first input, a row for each of up to four entries.

    ``towards_gradient`` (towards, frame, input, y, x), ``towards_correlation`` and ``towards_significant``
    (towards, input, y, x) where they are there.
    """
    columns = [analysis["towards_gradient"].isel(input=0, frame=0)]
    if "towards_correlation" in analysis:
        columns.append(analysis["towards_correlation"].isel(input=0))
    figure = _panels(columns, coast)
    if "towards_significant" in analysis:
        for row, panel in zip(_rows(analysis), figure.axes[1 :: len(columns)], strict=False):
            _dots(panel, analysis["towards_significant"].isel(input=0, towards=row))
    return figure


@drawn
def block_panels(analysis: xr.Dataset, coast: Lines = ()) -> Figure:
    """Pulse, occlusion and knock-out by block: ``towards_pulse`` (towards, input, y, x), the others without input."""
    names = [n for n in ("towards_occlusion", "towards_knock_out") if n in analysis]
    return _panels([analysis["towards_pulse"].isel(input=0), *(analysis[name] for name in names)], coast)


def hypothesis_table(analysis: xr.Dataset) -> Table:
    """A row for each hypothesis, in the order in which they were stated."""
    named = partial(_column, analysis)
    columns = ["source", "target", "lag", "sign", "partial correlation", "p", "supported", "skill"]
    signs = ["+" if s > 0 else "\N{MINUS SIGN}" for s in analysis["hypothesis_sign"].values]
    supported = ["yes" if s else "no" for s in analysis["hypothesis_supported"].values]
    numbers = [[number(float(v), 2) for v in named(key)] for key in ("partial", "p", "skill")]
    texts = [[str(v) for v in named(key)] for key in ("source", "target", "lag")]
    return columns, [
        list(row) for row in zip(*texts, signs, *numbers[:2], supported, numbers[2], strict=True)
    ]


def _column(analysis: xr.Dataset, name: str) -> list[float | int | str]:
    return analysis[f"hypothesis_{name}"].values.tolist()


def _rows(analysis: xr.Dataset) -> list[int]:
    """Up to four entries, spread over all."""
    count = analysis.sizes["towards"]
    return np.unique(np.linspace(0, count - 1, ROWS).round().astype(int)).tolist()


def _panels(columns: list[xr.DataArray], coast: Lines) -> Figure:
    """A row for each entry, a column and a scale of its own for each array ``(towards, y, x)``."""
    rows = _rows(columns[0].to_dataset(name="a"))
    height = 1.7 + 0.9 / len(rows)  # of the colour bars below
    figure, axes = panels(len(rows) * len(columns), len(columns), height, sharex=True, sharey=True)
    for column, array in enumerate(columns):
        chosen = axes[column :: len(columns)]
        signed = bool((array.values < 0).any())
        for row, panel in zip(rows, chosen, strict=True):
            norm, palette = symmetric(array.values[rows]), DIVERGING
            if not signed:
                palette, norm.vmin = SEQUENTIAL, 0.0
            mesh = coloured(panel, array.isel(towards=row), norm, palette)
            draw_coast(panel, coast if on_globe(array) else ())
            panel.set_title(str(array["towards"].values[row]), fontsize=8)
        colour_bar(figure, mesh, chosen, wrap(label(array)))
    y, x = (coordinate(columns[0], str(dim)) for dim in columns[0].dims[1:])
    label_outer(axes, len(columns), label(x), label(y))
    figure.draw_without_rendering()  # the first layout knows no shape of the panels yet, and cuts the titles
    return figure


def _dots(panel: Axes, significant: xr.DataArray) -> None:
    """A dot where it passes, in some thirty rows, so that the colours stay seen."""
    y, x = (coordinate(significant, str(dim)).values for dim in significant.dims)
    step = max(1, len(y) // 30)
    at = np.argwhere(significant.values[::step, ::step])
    panel.scatter(x[::step][at[:, 1]], y[::step][at[:, 0]], s=1.2, color="#000000", linewidths=0)
