"""One HTML file that needs nothing else: no network, images and the few lines of script within it, fit to print."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import matplotlib
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gridvit.errors import InputError
from gridvit.report import plates as moving
from gridvit.report.canvas import STYLE
from gridvit.report.plates import Plates, plates_html, sprite
from gridvit.report.tables import Table

CSS = """
:root { color-scheme: light; }
body { max-width: 56rem; margin: 2rem auto; padding: 0 1rem; background: #fff; color: #1a1a1a;
       font: 16px/1.55 system-ui, sans-serif; }
h1 { font-size: 1.7rem; margin-bottom: .3rem; } h2 { font-size: 1.25rem; margin-top: 2.5rem;
     border-bottom: 1px solid #ccc; padding-bottom: .2rem; }
nav ol { columns: 2; padding-left: 1.4rem; } a { color: #005a8c; }
figure { margin: 1.5rem 0; } figure img { width: 100%; height: auto; }
figcaption { font-size: .9rem; color: #333; margin: .4rem 0; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .88rem; }
th, td { padding: .22rem .5rem; border-bottom: 1px solid #ddd; text-align: right;
         font-variant-numeric: tabular-nums; }
thead th { border-bottom: 2px solid #888; vertical-align: bottom; } tbody th { font-weight: 500; }
td, tbody th { white-space: nowrap; } small { font-weight: 400; color: #444; }
th:first-child { text-align: left; }
pre { background: #f6f6f4; padding: .8rem; overflow-x: auto; font-size: .82rem; white-space: pre-wrap; }
summary { cursor: pointer; }
ul.verdict { border-left: 4px solid #0072B2; background: #f2f7fb; padding: .6rem 1rem .6rem 2rem; margin: 1rem 0; }
ul.verdict li { margin: .25rem 0; }
@media screen and (max-width: 40rem) { nav ol { columns: 1; } body { margin: 1rem auto; }
  .picture { overflow-x: auto; } figure .picture img { width: auto; min-width: 34rem; } }
@media print { body { max-width: none; margin: 0; font-size: 11pt; } figure, table { break-inside: avoid; }
  h2 { break-after: avoid; } .wide { overflow: visible; } table { font-size: 8pt; }
  nav { display: none; } a { color: inherit; } ::details-content { display: block; content-visibility: visible; }
  ul.verdict { print-color-adjust: exact; break-inside: avoid; } pre { columns: 2; } }
"""


UNFOLDED = 8  # lines


@dataclass(frozen=True)
class Section:
    """A heading, paragraphs (parted by blank lines), figures and tables by caption, text as it was typed by name, what
    the numbers say in words, and plates by caption. Words come first on the page, plates after the figures.
    """

    title: str
    text: str = ""
    figures: dict[str, Figure] = field(default_factory=dict)
    tables: dict[str, Table] = field(default_factory=dict)
    details: dict[str, str] = field(default_factory=dict)
    words: Sequence[str] = ()
    plates: dict[str, Plates] = field(default_factory=dict)


def png(figure: Figure) -> bytes:
    """The figure as PNG; the same figure gives the same bytes (no date, no version in it).

    It is laid out and then drawn once: ``savefig`` would draw it twice, the first time for the layout's sake.
    """
    out, engine = io.BytesIO(), figure.get_layout_engine()
    with matplotlib.rc_context(STYLE):
        figure.set_dpi(STYLE["savefig.dpi"])
        canvas = FigureCanvasAgg(figure)
        if engine is not None:
            engine.execute(figure)
            figure.set_layout_engine("none")
        canvas.print_png(out, metadata={"Software": None})
        if engine is not None:
            figure.set_layout_engine(engine)
    return out.getvalue()


def write_page(path: str | Path, title: str, sections: Sequence[Section]) -> Path:
    """Write the page to ``path`` and each figure to ``figures/<label>.png`` beside it; return the path.

    Equal sections give equal bytes. A figure is named by ``Figure.set_label``, else by its place on the page.

    Raises:
        InputError: there is no section, or two figures have one label.
    """
    if not sections:
        raise InputError("at least one section", "none", "pass what is to be on the page")
    path = Path(path)
    images = _images(sections)
    folder = path.parent / "figures"
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images.items():
        (folder / f"{name}.png").write_bytes(image)
    path.write_text(_html(title, sections, iter(images.values())), encoding="utf-8", newline="\n")
    return path


def _images(sections: Sequence[Section]) -> dict[str, bytes]:
    """PNG by name, in the order of the page."""
    figures = [figure for section in sections for figure in section.figures.values()]
    labels = [str(figure.get_label()) or f"figure_{i}" for i, figure in enumerate(figures, 1)]
    names = [re.sub(r"[^\w.-]+", "_", name) for name in labels]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(
            "a label of its own on each figure", f"{twice} twice", "call set_label on one of them"
        )
    return {name: png(figure) for name, figure in zip(names, figures, strict=True)}


def _html(title: str, sections: Sequence[Section], images: Iterable[bytes]) -> str:
    rest = iter(images)
    contents = "\n".join(
        f'<li><a href="#{slug(part.title)}">{escape(part.title)}</a></li>' for part in sections
    )
    body = "\n".join(_section(part, [next(rest) for _ in part.figures]) for part in sections)
    script = f"<script>{moving.SCRIPT}</script>\n" if any(part.plates for part in sections) else ""
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{CSS}{moving.CSS if script else ''}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1></header>\n"
        f'<nav aria-label="Contents"><ol>\n{contents}\n</ol></nav>\n'
        f"<main>\n{body}\n</main>\n{script}</body>\n</html>\n"
    )


def slug(title: str) -> str:
    """The anchor of a heading: lower case, hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")


def _section(section: Section, images: Sequence[bytes]) -> str:
    paragraphs = [f"<p>{escape(part.strip())}</p>" for part in section.text.split("\n\n") if part.strip()]
    figures = [_figure(caption, image) for caption, image in zip(section.figures, images, strict=True)]
    films = [plates_html(plates, caption, sprite(plates)) for caption, plates in section.plates.items()]
    tables = [_table(caption, *table) for caption, table in section.tables.items()]
    words = "".join(f"<li>{escape(sentence)}</li>" for sentence in section.words)
    said = [f'<ul class="verdict">{words}</ul>'] if words else []
    unfold = [_details(name, text) for name, text in section.details.items()]
    parts = [*paragraphs, *said, *figures, *films, *tables, *unfold]
    heading = f'<section id="{slug(section.title)}">\n<h2>{escape(section.title)}</h2>'
    return "\n".join([heading, *parts, "</section>"])


def _details(name: str, text: str) -> str:
    """Text as it was typed, to unfold where it is more than a few lines."""
    state = " open" if text.count("\n") < UNFOLDED else ""
    return f"<details{state}><summary>{escape(name)}</summary>\n<pre>{escape(text)}</pre></details>"


def _figure(caption: str, image: bytes) -> str:
    data = base64.b64encode(image).decode("ascii")
    alt = escape(caption.split(". ")[0])
    image_tag = f'<img src="data:image/png;base64,{data}" alt="{alt}">'
    return (
        f'<figure><div class="picture">{image_tag}</div><figcaption>{escape(caption)}</figcaption></figure>'
    )


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Further lines of a cell stand small below the first; so do the units of a column."""
    head = "".join(f'<th scope="col">{_cell(name.replace(" (", chr(10) + "("))}</th>' for name in columns)
    body = "\n".join(
        f'<tr><th scope="row">{_cell(first)}</th>{"".join(f"<td>{_cell(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    table = f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table>"
    return f'<figure><figcaption>{escape(caption)}</figcaption>\n<div class="wide">{table}</div></figure>'


def _cell(text: str) -> str:
    first, *rest = escape(text).split("\n")
    return "".join([first, *(f"<br><small>{line}</small>" for line in rest)])
