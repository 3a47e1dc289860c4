"""How figures are drawn: sheets with a title and a caption, CDFs, and rows of points with intervals.

Which figures there are, and what they claim, is in ``figures``. All sizes are inches at final size.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextToPath
from matplotlib.ticker import FixedLocator, NullLocator

from emu.look import tokens
from emu.measure.look import Style, figure_tokens
from emu.measure.words import number

_FIG = figure_tokens()
_COLOR = tokens()["color"]["light"]
INK, INK2, INK3, RULE = (_COLOR[name] for name in ("ink", "ink2", "ink3", "rule"))
WIDTH = float(_FIG["column_in"])
MARGIN = 0.07
LABELS_RIGHT = 0.225 * WIDTH  # where row labels end and the axes begin
AXES_WIDTH = 0.745 * WIDTH
TITLE_PT, UNDER_PT, CAPTION_PT = 8.5, 7.5, 6.6
ROW = 0.2  # height of a row of points
ROWS_WIDTH = AXES_WIDTH - 0.9  # leaves a column for the figures at the right
_TITLE_LINE, _UNDER_LINE, _CAPTION_LINE = 0.145, 0.13, 0.125
DOUBTED_DASH = (2, 1.2)
MOST_POINTS = 30  # up to so many values every one is drawn


@dataclass(frozen=True)
class Row:
    """One design's estimate in a chart of rows. ``doubted``: not to be trusted; ``remark`` tells why, where that
    concerns this row more than others."""

    style: Style
    value: float
    interval: tuple[float, float] | None
    points: Sequence[float]
    text: str
    doubted: bool = False
    remark: str = ""
    band: tuple[float, float] | None = None


class Sheet:
    """A figure of one column: title, a line ``under`` it, parts from top to bottom, caption. Parts are laid out in
    inches."""

    def __init__(self, title: str, caption: str, parts_height: float, mark: str | None, under: str = "") -> None:
        title_lines = _wrapped(title, TITLE_PT, "bold")
        under_lines = _wrapped(under, UNDER_PT, "normal")
        caption_lines = _wrapped(caption, CAPTION_PT, "normal")
        titles = MARGIN + len(title_lines) * _TITLE_LINE + len(under_lines) * _UNDER_LINE
        head = titles + (0.2 if mark else 0.04)
        foot = MARGIN + len(caption_lines) * _CAPTION_LINE + 0.06
        self.height = head + parts_height + foot
        self._top = self.height - head
        self.figure = Figure(figsize=(WIDTH, self.height))
        left = MARGIN / WIDTH
        self.figure.text(left, 1 - MARGIN / self.height, "\n".join(title_lines), fontsize=TITLE_PT, fontweight="bold",
                         va="top", linespacing=1.15)
        self.figure.text(left, 1 - (MARGIN + len(title_lines) * _TITLE_LINE + 0.015) / self.height,
                         "\n".join(under_lines), fontsize=UNDER_PT, va="top", linespacing=1.15)
        self.figure.text(left, MARGIN / self.height, "\n".join(caption_lines), fontsize=CAPTION_PT, color=INK2,
                         va="bottom", linespacing=1.3)
        if mark:
            box = {"facecolor": _COLOR["mark"], "edgecolor": "none", "pad": 1.5}
            y = 1 - (titles + 0.06) / self.height
            self.figure.text(left + 0.01, y, mark, fontsize=6.6, fontweight="bold", va="top",
                             color=_COLOR["mark_ink"], bbox=box)

    def axes(self, above: float, height: float, below: float, width: float = AXES_WIDTH,
             left: float = LABELS_RIGHT) -> Axes:
        """Axes of ``height`` under all earlier parts, with room ``above`` and ``below`` it."""
        bottom = self._top - above - height
        self._top = bottom - below
        return self.figure.add_axes((left / WIDTH, bottom / self.height, width / WIDTH, height / self.height))


def _wrapped(text: str, size_pt: float, weight: str) -> list[str]:
    """Lines that fit between a figure's margins, whatever font this machine has for them."""
    lines: list[str] = []
    for word in filter(None, text.split(" ")):  # a no-break space is within a word
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size_pt, weight) <= WIDTH - 2 * MARGIN:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def text_width(text: str, size_pt: float, weight: str) -> float:
    """How wide a text is, in inches, in the font that this machine has for it."""
    font = FontProperties(size=size_pt, weight=weight)
    width_pt, _, _ = TextToPath().get_text_width_height_descent(text, font, ismath=False)
    return float(width_pt) / 72


def image(figure: Figure, kind: str) -> bytes:
    """A figure as a ``png`` or ``pdf`` file, the same bytes whenever it is drawn."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata={"CreationDate": None} if kind == "pdf" else None)
    return buffer.getvalue()


def plain_ticks(low: float, high: float) -> list[float]:
    """Round numbers (1, 2, 5 times a power of ten) from ``low`` to ``high``, thinned to at most five."""
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [factor * 10.0**power for power in powers for factor in (1, 2, 5)]
    inside = [tick for tick in ticks if low <= tick <= high]
    if len(inside) > 5:
        decades = [tick for tick in inside if f"{tick:e}".startswith("1.0")]
        return decades if len(decades) >= 2 else inside[::2]
    return inside


def log_axis(ax: Axes, low: float, high: float, label: str, wanted: Sequence[float] = ()) -> None:
    """A logarithmic x axis with plain numbers; ``wanted``: which, where they are not to be ``plain_ticks``."""
    texts = {tick: f"{tick:,.0f}" if tick >= 10 else f"{tick:g}" for tick in wanted or plain_ticks(low, high)}
    # A long number at the very end would stick out of the figure.
    ticks = [tick for tick, text in texts.items() if len(text) <= 5 or np.log(tick / low) < 0.95 * np.log(high / low)]
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.xaxis.set_major_locator(FixedLocator(ticks))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([texts[tick] for tick in ticks])
    ax.set_xlabel(label)


def spread_out(wanted: Sequence[float], widths: Sequence[float], low: float, high: float) -> list[float]:
    """Centres for labels of ``widths``, as near to ``wanted`` (ascending) as they can be without overlap.

    Labels that touch are treated as one block, whose middle is where its members want to be on average
    (pool adjacent violators); all stays within ``low`` and ``high`` if the labels fit there at all.
    """
    blocks: list[list[float]] = []  # each: sum of wanted left edges of the block as seen by its members, count, width
    for centre, width in zip(wanted, widths, strict=True):
        block = [centre - width / 2, 1.0, width]
        while blocks and _left(blocks[-1], low, high) + blocks[-1][2] > _left(block, low, high):
            before = blocks.pop()
            block = [before[0] + block[0] - before[2] * block[1], before[1] + block[1], before[2] + block[2]]
        blocks.append(block)
    centres: list[float] = []
    for block in blocks:
        edge = _left(block, low, high)
        for width in widths[len(centres) : len(centres) + round(block[1])]:
            centres.append(edge + width / 2)
            edge += width
    return centres


def _left(block: Sequence[float], low: float, high: float) -> float:
    return max(low, min(block[0] / block[1], high - block[2]))


@dataclass(frozen=True)
class Curve:
    """One design's distribution in a CDF, and the median to print above it."""

    style: Style
    values: Sequence[float]
    median: float
    doubted: bool


def draw_cdf(ax: Axes, curves: Sequence[Curve], height: float, label: str) -> None:
    """The share of values not above x, per design, on a logarithmic axis to a little past the largest p99.

    ``height``: that of ``ax``, with ``CDF_ABOVE`` free above it.
    """
    low = min(min(curve.values) for curve in curves) * 0.92
    high = max(float(np.quantile(curve.values, 0.99)) for curve in curves) * 1.3
    log_axis(ax, low, high, label)
    ax.set_ylim(0, 1)
    ax.set_yticks([0, 0.5, 0.99], ["0", "median", "p99"])
    for quantile in (0.5, 0.99):
        ax.axhline(quantile, color=RULE, lw=0.5, zorder=0)
    for curve in curves:
        style, x = curve.style, np.sort(curve.values)
        ax.step(x, np.arange(1, x.size + 1) / x.size, where="post", color=style.light, lw=_FIG["line_pt"], zorder=3,
                ls=(0, DOUBTED_DASH) if curve.doubted else (0, style.dash) if style.dash else "-")
        for quantile in MARKED:
            ax.plot(np.quantile(x, quantile), quantile, zorder=4, clip_on=False, **marker(style, 0, curve.doubted))
    _label_medians(ax, curves, height)


def _label_medians(ax: Axes, curves: Sequence[Curve], height: float) -> None:
    """Each design's name and median above the axes, joined to its curve, moved sideways where they would collide."""
    low, high = ax.get_xlim()
    ordered = sorted(curves, key=lambda curve: float(np.median(curve.values)))
    inches = [AXES_WIDTH * np.log(np.median(curve.values) / low) / np.log(high / low) for curve in ordered]
    labels = [(curve.style.label.replace(" ", "\n"), number(curve.median)) for curve in ordered]
    widths = [0.07 + 0.062 * max(len(part) for part in (*name.split("\n"), figure)) for name, figure in labels]
    centres = spread_out(inches, widths, -0.25, AXES_WIDTH + 0.03)
    for curve, x, centre, (name, figure) in zip(ordered, inches, centres, labels, strict=True):
        color = curve.style.light
        path = [(x, 0.5), (x, 1.01), (centre, 1 + 0.1 / height)]
        ax.plot([p[0] / AXES_WIDTH for p in path], [p[1] for p in path], transform=ax.transAxes, color=color, lw=0.6,
                ls=(0, (1, 2)), zorder=1, clip_on=False)
        for offset, text, weight in ((0.11, figure, "normal"), (0.225, name, "bold")):
            ax.text(centre / AXES_WIDTH, 1 + offset / height, text, transform=ax.transAxes, ha="center", va="bottom",
                    fontsize=7, color=color, fontweight=weight, linespacing=1.0)


MARKED = (0.25, 0.5, 0.75, 0.99)
"""Quantiles with a design's marker on its curve, by which curves are told apart in grey too."""

CDF_ABOVE = 0.52
"""Room above a CDF for two lines of label and a number."""


def marker(style: Style, more_pt: float, hollow: bool) -> dict[str, Any]:
    """How a design's marker is drawn."""
    size = _FIG["marker_pt"] + more_pt
    if hollow or style.is_open:
        return {"marker": style.marker, "ms": size, "mec": style.light, "mew": 0.9, "color": "white", "ls": ""}
    return {"marker": style.marker, "ms": size, "mec": "white", "mew": 0.6, "color": style.light, "ls": ""}


def draw_rows(ax: Axes, rows: Sequence[Row], heading: str) -> None:
    """One row a design: point, interval, every block below it, the figure at the right."""
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    at_left, figures = ax.get_yaxis_transform(), AXES_WIDTH / ROWS_WIDTH
    ax.text(0, -0.75, heading, transform=at_left, fontsize=7, fontweight="bold", color=INK2, va="bottom")
    for y, row in enumerate(rows):
        color = row.style.light
        if row.band:
            ax.barh(y, row.band[1] - row.band[0], left=row.band[0], height=0.7, color=RULE, alpha=0.7, lw=0, zorder=0)
        if len(row.points) <= MOST_POINTS:
            ax.plot(row.points, np.full(len(row.points), y + 0.3), ls="", marker="o", ms=_FIG["point_pt"], color=color,
                    mec="none", alpha=_FIG["point_alpha"], zorder=2)
        if row.interval:
            ax.plot(row.interval, [y, y], color=color, lw=_FIG["interval_pt"], solid_capstyle="butt", zorder=3,
                    ls=(0, DOUBTED_DASH) if row.doubted else "-")
        ax.plot(row.value, y, zorder=4, **marker(row.style, 0.5, hollow=row.doubted))
        ax.text(-0.02, y, row.style.label, transform=at_left, ha="right", va="center", color=color, fontweight="bold",
                fontsize=7)
        ax.text(figures, y, row.text, transform=at_left, ha="right", va="center", fontsize=7,
                color=INK3 if row.doubted else INK)
        if row.remark:
            ax.text(figures, y + 0.42, row.remark, transform=at_left, ha="right", va="center", fontsize=5.5,
                    style="italic", color=INK2)
