"""SVG for the stage: shapes as strings in layers, words whose boxes are known, and a search for free room.

Coordinates are pixels, y downwards. Widths of words are those of the widest fallback font (``font.em_per_char`` of
the look), so that what does not overlap here overlaps nowhere.
"""

from __future__ import annotations

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Literal

from emu.look import tokens

Layout = Literal["wide", "narrow"]
Point = tuple[float, float]
LAYERS = ("medium", "cards", "inside", "legs", "plates", "words", "packets")
"""From the lowest to the topmost."""

RADIUS = 9.0
"""Of a leg's corners."""


@dataclass(frozen=True)
class Rect:
    """A rectangle by its edges."""

    left: float
    top: float
    right: float
    bottom: float

    @staticmethod
    def around(x: float, y: float, width: float, height: float) -> Rect:
        """A rectangle with its centre at (x, y)."""
        return Rect(x - width / 2, y - height / 2, x + width / 2, y + height / 2)

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def x(self) -> float:
        """The centre's x."""
        return (self.left + self.right) / 2

    @property
    def y(self) -> float:
        """The centre's y."""
        return (self.top + self.bottom) / 2

    def grown(self, by: float) -> Rect:
        return Rect(self.left - by, self.top - by, self.right + by, self.bottom + by)

    def overlaps(self, other: Rect) -> bool:
        across = self.left < other.right and other.left < self.right
        return across and self.top < other.bottom and other.top < self.bottom

    def holds(self, other: Rect) -> bool:
        """Whether ``other`` lies inside."""
        across = self.left <= other.left and other.right <= self.right
        return across and self.top <= other.top and other.bottom <= self.bottom

    def has(self, point: Point) -> bool:
        return self.left <= point[0] <= self.right and self.top <= point[1] <= self.bottom


@dataclass(frozen=True)
class Style:
    """How words are set: CSS classes, the entry of ``type`` in the look, and the face (``font.em_per_char``)."""

    css: str
    size: str
    face: str


NAME = Style("nm", "name", "sans_bold")
LABEL = Style("lb", "label", "sans_bold")
SMALL = Style("sm", "small", "sans")
MONO = Style("sm mono", "small", "mono")
BOLD_MONO = Style("sm mono strong", "small", "mono")
ADDRESS = Style("ad", "address", "mono")
TINY = Style("tiny mono", "tiny", "mono")
LATENCY = Style("lat", "latency", "mono")
PORT = Style("sm port-t", "port", "sans")
PROCESS = Style("port-t mono", "port", "mono")
PILL = Style("pill-t", "port", "sans_bold")
Words = tuple[str, Style, str]
"""Words, their style, and further CSS classes."""


def number(value: float) -> str:
    """A coordinate with as few digits as it needs."""
    return f"{round(value, 1):g}"


def path_through(points: Sequence[Point], radius: float = RADIUS) -> str:
    """Path data of an orthogonal line with rounded corners."""
    parts = [f"M{_pair(points[0])}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        bend = min(radius, _length(before, corner) / 2, _length(corner, after) / 2)
        parts.append(f"L{_pair(toward(corner, before, bend))}Q{_pair(corner)} {_pair(toward(corner, after, bend))}")
    return "".join(parts) + f"L{_pair(points[-1])}"


def head_at(tip: Point, before: Point, length: float, half_width: float) -> str:
    """Path data of an arrow head that comes from ``before``."""
    x, y = toward(tip, before, length)
    across = (0.0, half_width) if before[1] == tip[1] else (half_width, 0.0)
    return f"M{_pair(tip)}L{_pair((x + across[0], y + across[1]))}L{_pair((x - across[0], y - across[1]))}Z"


def toward(start: Point, end: Point, distance: float) -> Point:
    """The point ``distance`` from ``start`` on the way to ``end``; ``start`` if they coincide."""
    length = _length(start, end)
    if not length:
        return start
    part = distance / length
    return start[0] + (end[0] - start[0]) * part, start[1] + (end[1] - start[1]) * part


def _length(a: Point, b: Point) -> float:
    return abs(a[0] - b[0]) + abs(a[1] - b[1])


def _pair(point: Point) -> str:
    return f"{number(point[0])} {number(point[1])}"


class Sheet:
    """A drawing under construction: markup by layer, and the room that is taken."""

    def __init__(self, layout: Layout, floor: float = 0.0) -> None:
        """``floor``: the lower edge of all that has a fixed place."""
        self.layout = layout
        self.overflow = 0.0
        """The height of what found no room and was put under the floor."""
        self._floor = floor
        self._layers: dict[str, list[str]] = defaultdict(list)
        self._words: list[Rect] = []
        self._solid: list[Rect] = []

    @property
    def markup(self) -> str:
        """All layers, the lowest first."""
        return "\n".join(part for layer in LAYERS for part in self._layers[layer])

    @property
    def lowest(self) -> float:
        """The lower edge of the lowest word."""
        return max((box.bottom for box in self._words), default=0.0)

    def size(self, style: Style) -> float:
        return float(tokens()["type"][self.layout][style.size][0])

    def line(self, style: Style) -> float:
        """The height of a line."""
        return float(tokens()["type"][self.layout][style.size][1])

    def width(self, words: str, style: Style) -> float:
        return len(words) * float(tokens()["font"]["em_per_char"][style.face]) * self.size(style)

    def wrap(self, words: str, style: Style, width: float) -> list[str]:
        """Lines no wider than ``width``, except for single words that are."""
        return textwrap.wrap(words, max(1, int(width / self.width("n", style))), break_long_words=False)

    def fitting(self, words: str, width: float, *styles: Style) -> Style:
        """The first style in which ``words`` are no wider than ``width``; the last if there is none."""
        return next((style for style in styles if self.width(words, style) <= width), styles[-1])

    def add(self, layer: str, markup: str) -> None:
        self._layers[layer].append(markup)

    def mark(self, layer: str) -> int:
        """A place in a layer, for ``insert``."""
        return len(self._layers[layer])

    def insert(self, layer: str, mark: int, markup: str) -> None:
        """Put something under what was added to ``layer`` since ``mark``."""
        self._layers[layer].insert(mark, markup)

    def rect(self, layer: str, box: Rect, css: str, radius: float = 0.0) -> None:
        self.add(layer, rect(box, css, radius))

    def path(self, layer: str, data: str, css: str) -> None:
        self.add(layer, f'<path d="{data}" class="{css}"/>')

    def circle(self, layer: str, center: Point, radius: float, css: str) -> None:
        x, y = center
        self.add(layer, f'<circle cx="{number(x)}" cy="{number(y)}" r="{number(radius)}" class="{css}"/>')

    def text(
        self, layer: str, x: float, y: float, words: str, style: Style, css: str = "", anchor: str = "start"
    ) -> Rect:
        """Words on the base line ``y``; their box is taken from then on."""
        if not words:
            return Rect(x, y, x, y)
        classes = f"{style.css} {css}".strip()
        side = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self.add(layer, f'<text x="{number(x)}" y="{number(y)}" class="{classes}"{side}>{escape(words)}</text>')
        width, size = self.width(words, style), self.size(style)
        left = {"start": x, "middle": x - width / 2, "end": x - width}[anchor]
        box = Rect(left, y - 0.8 * size, left + width, y + 0.22 * size)
        self._words.append(box)
        return box

    def pair(self, layer: str, x: float, y: float, first: Words, second: Words) -> None:
        """Two sets of words side by side, centred together on ``x``."""
        spans = [
            f'<tspan class="{f"{style.css} {css}".strip()}"{dx}>{escape(words)}</tspan>'
            for (words, style, css), dx in ((first, ""), (second, ' dx="7"'))
        ]
        self.add(layer, f'<text x="{number(x)}" y="{number(y)}" text-anchor="middle">{"".join(spans)}</text>')
        width = self.width(first[0], first[1]) + 7 + self.width(second[0], second[1])
        self._words.append(Rect.around(x, y - 0.3 * self.size(first[1]), width, self.size(first[1])))

    def glyph(self, layer: str, realm: str, x: float, y: float, radius: float) -> None:
        """The sign of a realm with its centre at (x, y)."""
        shape = tokens()["realm"][realm]["glyph"]
        if shape == "square":
            self.rect(layer, Rect.around(x, y, 2 * radius, 2 * radius), f"f-{realm}")
        elif shape == "circle":
            self.circle(layer, (x, y), radius * 1.08, f"f-{realm}")
        elif shape == "diamond":
            r = number(radius * 1.3)
            self.path(layer, f"M{number(x)} {number(y)}m0 -{r}l{r} {r}l-{r} {r}l-{r} -{r}z", "f-ink")
        else:
            self.circle(layer, (x, y), radius, "ring")
            self.circle(layer, (x, y), radius * 0.4, "f-ink")

    def take(self, box: Rect) -> None:
        """Nothing that ``settle`` places will touch ``box``."""
        self._solid.append(box)

    def take_line(self, points: Sequence[Point], half_width: float) -> None:
        """Nothing that ``settle`` places will touch the line through ``points``."""
        for a, b in pairwise(points):
            box = Rect(min(a[0], b[0]), min(a[1], b[1]), max(a[0], b[0]), max(a[1], b[1]))
            self.take(box.grown(half_width))

    def is_free(self, box: Rect) -> bool:
        return not any(box.overlaps(other) for other in (*self._words, *self._solid))

    def settle(self, width: float, height: float, choices: Iterable[Point]) -> Rect | None:
        """The first free room of this size among those with their upper left corner at ``choices``; takes it."""
        for x, y in choices:
            box = Rect(x, y, x + width, y + height)
            if self.is_free(box):
                self.take(box)
                return box
        return None

    def place(self, width: float, height: float, choices: Iterable[Point]) -> Rect:
        """``settle``, or else room under everything."""
        box = self.settle(width, height, choices)
        if box is None:
            top = max(self._floor, self.lowest) + 8
            box = Rect(4, top, 4 + width, top + height)
            self.overflow += height + 8
            self.take(box)
        return box


def rect(box: Rect, css: str, radius: float = 0.0) -> str:
    """A rectangle's element."""
    corner = f' rx="{number(radius)}"' if radius else ""
    return (
        f'<rect x="{number(box.left)}" y="{number(box.top)}" width="{number(box.width)}" '
        f'height="{number(box.height)}"{corner} class="{css}"/>'
    )


def scan(zone: Rect, width: float, height: float, from_right: bool = False, step: float = 4.0) -> Iterable[Point]:
    """Upper left corners of all rooms of this size in ``zone``: line by line from its top."""
    y = zone.top
    while y + height <= zone.bottom:
        x = zone.right - width if from_right else zone.left
        while zone.left <= x <= zone.right - width:
            yield x, y
            x += -step if from_right else step
        y += step
