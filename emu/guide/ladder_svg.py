"""The ladder's pencil: words, lines and signs in layers, and a style sheet of its own for either theme.

Colours are written out, not as custom properties, which editors like Inkscape do not know.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import hypot
from typing import Any

from emu.guide.svg import Point, number
from emu.look import tokens

LAYERS = ("ground", "lines", "pipe-outer", "pipe-gap", "pipe-core", "legs", "marks", "words")
"""From the lowest to the topmost."""
REALMS = ("node", "pod")
PIPE = {"outer": 9.0, "gap": 5.6, "core": 2.4}
LEG = 2.4


@dataclass(frozen=True)
class Style:
    """How words are set: size in pixels, face (``font.em_per_char`` of the look), and the colour's token."""

    size: float
    face: str
    color: str = "ink"

    @property
    def css(self) -> str:
        family = tokens()["font"][self.face.partition("_")[0]]
        return f"font:{650 if 'bold' in self.face else 400} {number(self.size)}px {family}"


STYLES = {
    "headline": Style(21, "sans_bold"),
    "sub": Style(13, "mono", "ink2"),
    "machine": Style(13, "sans_bold"),
    "column": Style(11.5, "mono", "ink2"),
    "time": Style(11.5, "mono", "ink2"),
    "title": Style(13, "sans_bold"),
    "badge": Style(11, "sans_bold", "surface"),
    "tag": Style(11.5, "mono"),
    "why": Style(11.5, "sans", "ink3"),
    "bad": Style(12.5, "sans_bold", "fail"),
    "legend": Style(12, "sans", "ink2"),
}


def width(words: str, style: str) -> float:
    """Pixels that ``words`` take at most, whatever the font falls back to."""
    return len(words) * float(tokens()["font"]["em_per_char"][STYLES[style].face]) * STYLES[style].size


class Pencil:
    """Collects a drawing's markup by layer."""

    def __init__(self) -> None:
        self._layers: dict[str, list[str]] = defaultdict(list)

    def add(self, layer: str, markup: str) -> None:
        self._layers[layer].append(markup)

    def text(self, x: float, y: float, words: str, style: str, anchor: str = "start", css: str = "") -> None:
        """Words whose middle is at ``y``."""
        base = y + 0.35 * STYLES[style].size
        side = "" if anchor == "start" else f' text-anchor="{anchor}"'
        self.add("words", f'<text x="{number(x)}" y="{number(base)}" class="t-{style}{css and f" {css}"}"{side}>'
                          f"{escape(words)}</text>")

    def line(self, layer: str, points: Sequence[Point], css: str) -> None:
        self.add(layer, f'<path d="{_path(points)}" class="{css}"/>')

    def rect(self, layer: str, x: float, y: float, w: float, h: float, css: str, radius: float = 6) -> None:
        self.add(layer, f'<rect x="{number(x)}" y="{number(y)}" width="{number(w)}" height="{number(h)}" '
                        f'rx="{number(radius)}" class="{css}"/>')

    def circle(self, center: Point, radius: float, css: str, layer: str = "marks") -> None:
        self.add(layer, f'<circle cx="{number(center[0])}" cy="{number(center[1])}" r="{number(radius)}" '
                        f'class="{css}"/>')

    def head(self, end: Point, before: Point, css: str, short_by: float = 0) -> None:
        """An arrow head on the line from ``before`` to ``end``, its tip ``short_by`` before the end."""
        length = hypot(end[0] - before[0], end[1] - before[1]) or 1
        x, y = (end[0] - before[0]) / length, (end[1] - before[1]) / length
        tip = (end[0] - short_by * x, end[1] - short_by * y)
        foot = (tip[0] - 11 * x, tip[1] - 11 * y)
        corners = [tip, (foot[0] - 5 * y, foot[1] + 5 * x), (foot[0] + 5 * y, foot[1] - 5 * x)]
        self.add("marks", f'<path d="{_path(corners)}Z" class="{css}"/>')

    def cross(self, center: Point) -> None:
        x, y = number(center[0]), number(center[1])
        self.add("marks", f'<path d="M{x} {y}m-6 -6l12 12m0 -12l-12 12" class="cross"/>')

    def pipe(self, points: Sequence[Point], outer: str, core: str) -> None:
        """A packet in a packet: the outer realm's colour around the inner one's."""
        self.line("pipe-outer", points, f"pipe-outer s-{outer}")
        self.line("pipe-gap", points, "pipe-gap")
        self.line("pipe-core", points, f"pipe-core s-{core}")

    def glyph(self, center: Point, realm: str) -> None:
        """A realm's sign."""
        x, y = center
        shape = tokens()["realm"][realm]["glyph"] if realm else ""
        if shape == "square":
            self.rect("marks", x - 4.5, y - 4.5, 9, 9, f"f-{realm}", 0)
        elif shape == "circle":
            self.circle(center, 5, f"f-{realm}")
        elif shape == "diamond":
            self.add("marks", f'<path d="M{number(x)} {number(y - 6)}l6 6l-6 6l-6 -6Z" class="f-ink"/>')

    def document(self, w: float, h: float, title: str, description: str) -> str:
        """The whole SVG."""
        body = "\n".join(markup for layer in LAYERS for markup in self._layers[layer])
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{number(w)}" height="{number(h)}" '
            f'viewBox="0 0 {number(w)} {number(h)}" role="img" aria-labelledby="walk-title walk-desc">\n'
            f'<title id="walk-title">{escape(title)}</title>\n<desc id="walk-desc">{escape(description)}</desc>\n'
            f"<style>\n{_style()}\n</style>\n"
            f'<rect width="{number(w)}" height="{number(h)}" class="paper"/>\n{body}\n</svg>\n'
        )


def _path(points: Sequence[Point]) -> str:
    return "M" + "L".join(f"{number(x)} {number(y)}" for x, y in points)


def _style() -> str:
    shapes = [f".t-{name}{{{style.css};white-space:pre}}" for name, style in STYLES.items()]
    shapes += [f".pipe-{part}{{stroke-width:{size:g}}}" for part, size in PIPE.items()]
    shapes += [
        ".leg,.pipe-outer,.pipe-gap,.pipe-core{fill:none;stroke-linejoin:round}",
        f".leg{{stroke-width:{LEG:g}}}.wait{{stroke-width:1.6;stroke-dasharray:2 4;fill:none}}",
        ".flood{stroke-dasharray:7 4}.cross{fill:none;stroke-width:3}.ring{stroke-width:1.5}",
        ".leader{stroke-dasharray:1 4}",
        ".t-tag,.t-why,.t-bad{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}",
    ]
    colors: Mapping[str, Mapping[str, Any]] = tokens()["color"]
    dark = "\n".join(_colors(colors["dark"]))
    return "\n".join([*shapes, *_colors(colors["light"]), f"@media (prefers-color-scheme:dark){{\n{dark}\n}}"])


def _colors(color: Mapping[str, str]) -> list[str]:
    """The rules that differ between light and dark."""
    found = [f".t-{name}{{fill:{color[style.color]}}}" for name, style in STYLES.items()]
    for realm, token in (*((realm, realm) for realm in REALMS), ("ink", "ink")):
        found.append(f".f-{realm}{{fill:{color[token]}}}.s-{realm}{{stroke:{color[token]}}}")
    for realm in REALMS:
        found.append(f".box-{realm}{{fill:{color[f'{realm}_tint']};stroke:{color[realm]}}}")
        found.append(f".c-{realm}{{fill:{color[realm]}}}")
    return [
        *found,
        f".paper{{fill:{color['paper']}}}.box-ink{{fill:{color['sunken']};stroke:{color['edge']}}}",
        f".life,.leader{{stroke:{color['edge']};fill:none}}.life{{stroke:{color['rule']}}}",
        f".band{{fill:{color['surface']}}}.pipe-gap{{stroke:{color['surface']}}}.cross{{stroke:{color['fail']}}}",
        f".ring{{fill:{color['mark']};stroke:{color['mark_ink']}}}.quiet{{fill:{color['paper']};stroke:{color['edge']}}}",
        f".t-tag,.t-why,.t-bad{{stroke:{color['paper']}}}",
    ]
