"""Plates: many frames of a few maps in one picture, of which the page shows one at a time: a film, or a map per place.

What is drawn is one PNG with a palette, the frames below each other and the panels side by side. The page holds it once
and a few lines of its own script cut the frame to show out of it: no network, no library, and print shows one frame.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.colors import Normalize
from PIL import Image

from gridvit.report.coast import Lines, path_data
from gridvit.report.tables import number

MISSING = (208, 208, 208)
TICKS = 5
SHARP = 480  # pixels that a panel has at least, so that cells keep their edges in print

CSS = """
.panels { display: grid; gap: .5rem; grid-template-columns:
          repeat(auto-fill, minmax(max(var(--least), calc(100% / var(--columns) - .5rem)), 1fr)); }
.panels span { display: block; font-size: .78rem; color: #333; }
.face { position: relative; border: 1px solid #888; }
.face canvas, .face svg { position: absolute; inset: 0; width: 100%; height: 100%; image-rendering: pixelated; }
.face i { position: absolute; width: 11px; height: 11px; margin: -7px; border: 2px solid #000; border-radius: 50%;
          box-shadow: 0 0 0 1.5px #fff; pointer-events: none; }
.plates .store { position: absolute; width: 0; height: 0; }
.places .face { cursor: crosshair; }
.bars { display: flex; flex-wrap: wrap; gap: .4rem 2rem; margin: .6rem 0; font-size: .78rem; }
.bars div { flex: 1 1 14rem; max-width: 28rem; } .bars img { width: 100%; height: .7rem; display: block; }
.bars p { display: flex; justify-content: space-between; margin: 0; }
.controls { display: flex; flex-wrap: wrap; gap: .2rem .8rem; align-items: center; margin: .3rem 0; }
.controls input { flex: 1 1 8rem; min-width: 5rem; } .controls button { font: inherit; min-width: 5rem; }
.controls output { flex: 0 0 auto; font-size: .9rem; font-variant-numeric: tabular-nums; }
.span { font-size: .78rem; color: #333; margin: .2rem 0; }
@media print { .controls button, .controls input { display: none; } .face, .bars img { print-color-adjust: exact; }
  .panels { grid-template-columns: repeat(var(--columns), 1fr); } }
"""

SCRIPT = """
document.querySelectorAll("figure.plates").forEach(function (figure) {
  var known = JSON.parse(figure.querySelector("script").textContent), sprite = figure.querySelector("img.sprite");
  var faces = figure.querySelectorAll(".face"), slider = figure.querySelector("input");
  var told = figure.querySelector("output"), button = figure.querySelector("button"), timer = 0;
  function show(frame) {
    slider.value = frame;
    told.textContent = known.told[frame];
    faces.forEach(function (face, panel) {
      var canvas = face.querySelector("canvas"), pen = canvas.getContext("2d"), here = face.querySelector("i");
      pen.imageSmoothingEnabled = false;
      pen.drawImage(sprite, panel * known.width, frame * known.height, known.width, known.height,
                    0, 0, canvas.width, canvas.height);
      if (here) { here.style.left = 100 * known.at[frame][0] + "%"; here.style.top = 100 * known.at[frame][1] + "%"; }
    });
  }
  function stop() { clearInterval(timer); timer = 0; if (button) button.textContent = "Play"; }
  slider.addEventListener("input", function () { stop(); show(+slider.value); });
  if (button) button.addEventListener("click", function () {
    if (timer) return stop();
    button.textContent = "Pause";
    timer = setInterval(function () { show((+slider.value + 1) % known.told.length); }, 350);
  });
  if (known.at.length) faces.forEach(function (face) {
    face.addEventListener("click", function (event) {
      var box = face.getBoundingClientRect(), best = 0, least = Infinity;
      known.at.forEach(function (place, frame) {
        var far = Math.hypot(box.left + place[0] * box.width - event.clientX,
                             box.top + place[1] * box.height - event.clientY);
        if (far < least) { least = far; best = frame; }
      });
      show(best);
    });
  });
  sprite.decode().then(function () { show(known.start); });
});
"""


@dataclass(frozen=True, eq=False)
class Scale:
    """Colours of values: a norm, a palette's name, and the quantity with its unit."""

    norm: Normalize
    palette: str
    text: str

    def ticks(self) -> list[str]:
        """Values at even steps along the colours."""
        places = np.linspace(0, 1, TICKS)
        return [number(value, 3) for value in self.norm.inverse(places).tolist()]


@dataclass(frozen=True, eq=False)
class Face:
    """What every panel is a map of.

    edges: of the cells along y and x, ascending.
    span:  what the axes are, one line.
    coast: lines of (longitude, latitude) over it.
    """

    edges: tuple[np.ndarray, np.ndarray]
    span: str = ""
    coast: Lines = ()

    @property
    def aspect(self) -> float:
        """Height over width, within what a page can show."""
        height, width = (float(edge[-1] - edge[0]) for edge in self.edges)
        return float(np.clip(height / width, 0.2, 2.0))


@dataclass(frozen=True, eq=False)
class Plates:
    """Frames of maps side by side.

    name:    that tells it from others on the page.
    frames:  (frame, panel, y, x), rows upwards; NaN where there is no value.
    panels:  title of each panel, and its scale; panels that share a scale share its colour bar.
    told:    what each frame is, one line.
    face:    what the panels are maps of.
    places:  (frame, 2), y and x that a click near shows the frame of; without them the plates are a film.
    start:   the frame shown first, and printed.
    columns: panels in a row of a wide page.
    """

    name: str
    frames: Float[np.ndarray, "frame panel y x"]
    panels: Sequence[tuple[str, Scale]]
    told: Sequence[str]
    face: Face
    places: Float[np.ndarray, "frame 2"] | None = None
    start: int = 0
    columns: int = 3

    @property
    def titles(self) -> list[str]:
        """Of each panel."""
        return [title for title, _ in self.panels]

    @property
    def scales(self) -> list[Scale]:
        """Of each panel."""
        return [scale for _, scale in self.panels]


def sprite(plates: Plates) -> bytes:
    """The PNG of all frames: frame f of panel p has its upper left corner at (p width, f height)."""
    frames, panels, height, width = plates.frames.shape
    whole = np.zeros((frames, height, panels, width), dtype=np.uint8)
    known, levels = _palette(plates.scales)
    for panel, scale in enumerate(plates.scales):
        codes = _codes(plates.frames[:, panel], scale, levels)
        first = 1 + levels * known.index(scale)
        whole[:, :, panel] = np.where(codes < 0, 0, first + codes)[:, ::-1]
    return _indexed(whole.reshape(frames * height, panels * width), _colours(known, levels))


def _palette(scales: Sequence[Scale]) -> tuple[list[Scale], int]:
    """The scales, once each, and the colours that each gets of a palette of 255."""
    known = list(dict.fromkeys(scales))
    return known, 255 // len(known)


def _codes(values: np.ndarray, scale: Scale, levels: int) -> np.ndarray:
    """Number of the colour of each value, -1 where there is none."""
    there = np.isfinite(values)
    codes = np.full(values.shape, -1)
    shares = np.asarray(scale.norm(values[there]))  # of values along a line, as norms want them
    codes[there] = np.clip((shares * levels).astype(int), 0, levels - 1)
    return codes


def _colours(scales: Sequence[Scale], levels: int) -> UInt8[np.ndarray, "colour 3"]:
    tables = [matplotlib.colormaps[s.palette](np.linspace(0, 1, levels))[:, :3] for s in scales]
    return np.concatenate([[MISSING], *(np.round(255 * table) for table in tables)]).astype(np.uint8)


def _indexed(codes: UInt8[np.ndarray, "y x"], colours: UInt8[np.ndarray, "colour 3"]) -> bytes:
    image, out = Image.fromarray(codes), io.BytesIO()
    image.putpalette(colours.ravel().tolist())
    image.save(out, format="png", optimize=True)
    return out.getvalue()


def plates_html(plates: Plates, caption: str, image: bytes) -> str:
    """The figure: panels, colour bars, the control, what the script reads, and the caption."""
    places = plates.places is not None
    least = "7rem" if places else "14rem"
    button = "" if places else '<button type="button">Play</button>'
    last = len(plates.told) - 1
    slider = f'<input type="range" min="0" max="{last}" value="{plates.start}" aria-label="frame to show">'
    shown = f"<output>{escape(plates.told[plates.start])}</output>"
    span = f'<p class="span">{escape(plates.face.span)}</p>\n' if plates.face.span else ""
    return (
        f'<figure class="plates{" places" if places else ""}" style="--columns: {plates.columns}; --least: {least}">\n'
        f"{_coast(plates)}"
        f'<div class="panels">\n{_faces(plates)}\n</div>\n{span}'
        f'<p class="controls">{button}{slider}{shown}</p>\n<div class="bars">{_bars(plates.scales)}</div>\n'
        f'<img class="sprite" hidden src="{_data(image)}" alt="all frames of the figure">\n'
        f'<script type="application/json">{_told(plates)}</script>\n'
        f"<noscript><p>Frames are shown by a script within this page, which does not run here.</p></noscript>\n"
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _data(image: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(image).decode('ascii')}"


def _coast(plates: Plates) -> str:
    """The coast, once, for every panel to use."""
    data = path_data(plates.face.coast, *plates.face.edges)
    path = (
        f'<path d="{data}" fill="none" stroke="#fff" stroke-width="2.2" vector-effect="non-scaling-stroke"/>'
    )
    line = path.replace("#fff", "#000").replace("2.2", "0.9")
    return (
        f'<svg class="store" aria-hidden="true"><g id="coast-{plates.name}">{path}{line}</g></svg>\n'
        if data
        else ""
    )


def _faces(plates: Plates) -> str:
    height, width = plates.frames.shape[2:]
    factor = -(-SHARP // width)
    canvas = (
        f'<canvas width="{factor * width}" height="{factor * height}" role="img" aria-label="{{}}"></canvas>'
    )
    over = ""
    if len(plates.face.coast):
        box = 'viewBox="0 0 1000 1000" preserveAspectRatio="none"'
        over += f'<svg {box} aria-hidden="true"><use href="#coast-{plates.name}"/></svg>'
    if plates.places is not None:
        over += "<i></i>"
    face = f'<div class="face" style="aspect-ratio: 1 / {plates.face.aspect:.4g}">{canvas}{over}</div>'
    titles = [escape(title) for title in plates.titles]
    return "\n".join(f"<div><span>{title}</span>{face.format(title)}</div>" for title in titles)


def _bars(scales: Sequence[Scale]) -> str:
    known, levels = _palette(scales)
    colours, parts = _colours(known, levels), []
    for index, scale in enumerate(known):
        codes = np.arange(1 + levels * index, 1 + levels * (index + 1), dtype=np.uint8)[None]
        ticks = "".join(f"<span>{tick}</span>" for tick in scale.ticks())
        strip = f'<img src="{_data(_indexed(codes, colours))}" alt="colours of {escape(scale.text)}">'
        parts.append(f"<div>{strip}<p>{ticks}</p>{escape(scale.text)}</div>")
    return "".join(parts)


def _told(plates: Plates) -> str:
    """What the script reads; "<" is written so that no text can end the element."""
    height, width = plates.frames.shape[2:]
    known = {
        "width": width,
        "height": height,
        "told": list(plates.told),
        "at": _fractions(plates),
        "start": plates.start,
    }
    return json.dumps(known).replace("<", "\\u003c")


def _fractions(plates: Plates) -> list[list[float]]:
    """Places as shares of a panel's width from the left and of its height from the top."""
    if plates.places is None:
        return []
    y, x = (
        np.interp(at, edge, np.linspace(0, 1, len(edge)))
        for at, edge in zip(plates.places.T, plates.face.edges, strict=True)
    )
    return np.round(np.stack([x, 1 - y], axis=1), 4).tolist()
