"""Curves drawn: a figure a chart, above what was measured, below its ratio to bare, over the same axis."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, MaxNLocator, NullLocator

from emu.measure.look import Style, figure_tokens
from emu.measure.plots import (
    DOUBTED_DASH,
    INK2,
    INK3,
    MARGIN,
    WIDTH,
    Sheet,
    marker,
    plain_ticks,
    spread_out,
    text_width,
)
from emu.measure.summary import REFERENCE
from emu.measure.words import conditions
from emu.sweep.curves import Chart, Spot, finding
from emu.sweep.scale import DECADE, Scale, scale_of, thinned

HEADING, GAP, TICKS_AND_LABEL = 0.2, 0.1, 0.4  # inches above and below panels
LEFT = 0.5  # inches left of the panels, for numbers
PANEL, NAME_HEIGHT = 1.15, 0.125  # inches: a panel at the least, and a name beside it
LEADER, NAME = 0.1, 0.2  # inches right of a panel: where a name's marker begins, and the name
LINE_PT, NAME_PT, TICK_PT = 0.9, 7, 7
SIDE = 0.013
"""How far designs stand apart at the same value, as a share of the axis: their intervals would hide each other."""
ROUND_STEPS = (1, 2, 2.5, 5, 10)
UNITS = {"Gbit/s": ("Mbit/s", 1e3), "µs": ("ms", 1e-3)}
"""A unit, the one for other sizes, and by what values are multiplied then."""
SMALL_GBIT, LARGE_US = 0.1, 10_000

Limits = tuple[float, float]
Placed = tuple[Spot, float, "Limits | None"]
"""A spot with its value and interval in a panel."""


@dataclass(frozen=True)
class Row:
    """A design's spots in a panel. ``aside``: how far they stand beside the values' places."""

    style: Style
    aside: float
    spots: Sequence[Placed]


@dataclass(frozen=True)
class Panel:
    """Axes, their size in inches, and the scale they share."""

    ax: Axes
    width: float
    height: float
    scale: Scale


def ratio_limits(charts: Sequence[Chart]) -> Limits | None:
    """Limits of the axis of ratios for charts that are to be compared; ``None`` where there are no ratios."""
    ends = [end for chart in charts for _, spot in chart.spots if spot.cell.design != REFERENCE and spot.cell.ratio
            for end in (spot.cell.ratio.value, *(spot.cell.ratio.interval or ()))]
    return (min([1, *ends]) * 0.93, max([1, *ends]) * 1.07) if ends else None


def draw_chart(chart: Chart, looks: Mapping[str, Style], ratios: Limits | None) -> tuple[str, Figure]:
    """A chart's title and figure. ``looks``: a style for each design; ``ratios``: as from ``ratio_limits``."""
    title = finding(chart, {spec: style.label for spec, style in looks.items()})
    height = max(PANEL, NAME_HEIGHT * len(chart.curves))
    names = max(text_width(looks[spec].label, NAME_PT, "bold") for spec in chart.curves)
    width = WIDTH - LEFT - NAME - names - MARGIN
    panels = 1 if ratios is None else 2
    doubted = sum(spot.doubted for _, spot in chart.spots)
    mark = f"{doubted} of {len(chart.spots)} values not trusted" if doubted else None
    parts_height = panels * (HEADING + height) + (panels - 1) * GAP + TICKS_AND_LABEL
    under = chart.held_text[:1].upper() + chart.held_text[1:]
    sheet = Sheet(title, _caption(chart, doubted > 0), parts_height, mark, under)
    scale = scale_of(chart.axis)

    def panel(below: float) -> Panel:
        return Panel(sheet.axes(HEADING, height, below, width, LEFT), width, height, scale)

    last = panel(TICKS_AND_LABEL if ratios is None else GAP)
    _draw_medians(last, chart, looks)
    if ratios is not None:
        _draw_values_of_axis(last, chart, labelled=False)
        last = panel(TICKS_AND_LABEL)
        _draw_ratios(last, chart, looks, ratios)
    _draw_values_of_axis(last, chart, labelled=True)
    return title, sheet.figure


def _caption(chart: Chart, doubted: bool) -> str:
    blocks = {len(spot.cell.blocks) for _, spot in chart.spots}
    count = f"{min(blocks)}" if len(blocks) == 1 else f"{min(blocks)} to {max(blocks)}"
    swept = "" if chart.axis.workload else chart.axis.name
    return " ".join([
        conditions(chart.run, swept), f"{count} interleaved blocks a value. Marker: median over blocks; bar: its"
        " 95\N{NO-BREAK SPACE}% interval. Designs stand side by side at each value.",
        *(["Lines guide the eye."] if chart.axis.is_numeric else []),
        *(["Hollow or dashed: not to be trusted."] if doubted else []),
    ])


def _draw_medians(panel: Panel, chart: Chart, looks: Mapping[str, Style]) -> None:
    """What was measured, from 0 on, or on a logarithmic axis where it spans a decade."""
    medians = [spot.cell.median.value * chart.question.scale for _, spot in chart.spots]
    unit, factor = chart.question.unit, chart.question.scale
    if (unit == "Gbit/s" and min(medians) < SMALL_GBIT) or (unit == "µs" and max(medians) > LARGE_US):
        unit, factor = UNITS[unit][0], factor * UNITS[unit][1]
    scaled = {spec: [_scaled(spot, factor) for spot in curve] for spec, curve in chart.curves.items()}
    rows = _rows(chart, looks, scaled)
    ends = [end for row in rows for _, value, interval in row.spots for end in (value, *(interval or ()))]
    is_log = min(ends) > 0 and max(medians) >= DECADE * min(medians)
    if is_log:
        _log_axis(panel.ax, min(ends) * 0.85, max(ends) * 1.18)
    else:
        panel.ax.set_ylim(0, 1.08 * max(ends))
        panel.ax.yaxis.set_major_locator(MaxNLocator(4, steps=ROUND_STEPS))
        panel.ax.yaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    _heading(panel, f"{chart.question.heading}, {unit}{' (log scale)' if is_log else ''}")
    _draw_rows(panel, rows)


def _draw_ratios(panel: Panel, chart: Chart, looks: Mapping[str, Style], limits: Limits) -> None:
    """Ratios to bare, which is a line at 1."""
    _log_axis(panel.ax, *limits)
    better = "more" if chart.question.higher_is_better else "less"
    _heading(panel, f"Ratio to {REFERENCE}: {better} is better (log scale)")
    panel.ax.axhline(1, color=looks[REFERENCE].light, lw=LINE_PT, zorder=1)
    related = {spec: [(spot, spot.cell.ratio.value, spot.cell.ratio.interval) for spot in curve if spot.cell.ratio]
               for spec, curve in chart.curves.items() if spec != REFERENCE}
    _draw_rows(panel, _rows(chart, looks, related))


def _rows(chart: Chart, looks: Mapping[str, Style], curves: Mapping[str, Sequence[Placed]]) -> list[Row]:
    """Rows of what there is of each design, which stands at the same side of a value in all panels."""
    middle = (len(chart.curves) - 1) / 2
    asides = {spec: SIDE * (i - middle) for i, spec in enumerate(chart.curves)}
    return [Row(looks[spec], asides[spec], spots) for spec, spots in curves.items() if spots]


def _draw_rows(panel: Panel, rows: Sequence[Row]) -> None:
    ax = panel.ax
    for row in rows:
        color, dash = row.style.light, row.style.dash
        at = {spot.value: panel.scale.places[spot.value] + row.aside for spot, _, _ in row.spots}
        for (one, low, _), (other, high, _) in pairwise(row.spots):
            if (one.value, other.value) in panel.scale.joined:
                ax.plot([at[one.value], at[other.value]], [low, high], color=color, lw=LINE_PT,
                        ls=(0, dash) if dash else "-", zorder=2)
        for spot, value, interval in row.spots:
            if interval:
                ax.plot([at[spot.value]] * 2, interval, color=color, lw=figure_tokens()["interval_pt"],
                        solid_capstyle="butt", ls=(0, DOUBTED_DASH) if spot.doubted else "-", zorder=3)
            ax.plot(at[spot.value], value, zorder=4, clip_on=False, **marker(row.style, 0, spot.doubted))
    _draw_names(panel, rows)


def _draw_names(panel: Panel, rows: Sequence[Row]) -> None:
    """Each design's name at the right, with its marker, joined to its last spot; moved where names would collide."""
    ordered = sorted(rows, key=lambda row: row.spots[-1][1])
    heights = [_position(panel.ax, row.spots[-1][1]) for row in ordered]
    centres = spread_out([height * panel.height for height in heights], [NAME_HEIGHT] * len(ordered), -0.05,
                         panel.height + 0.05)
    for row, height, centre in zip(ordered, heights, centres, strict=True):
        ax, color, y = panel.ax, row.style.light, centre / panel.height
        ends = [panel.scale.places[row.spots[-1][0].value] + row.aside, 1.02, 1 + LEADER / panel.width]
        ax.plot(ends, [height, height, y], transform=ax.transAxes, color=color, lw=0.6, ls=(0, (1, 2)), zorder=1,
                clip_on=False)
        ax.plot(1 + (LEADER + NAME) / 2 / panel.width, y, transform=ax.transAxes, clip_on=False,
                **marker(row.style, -0.5, hollow=False))
        ax.text(1 + NAME / panel.width, y, row.style.label, transform=ax.transAxes, ha="left", va="center_baseline",
                fontsize=NAME_PT, fontweight="bold", color=color)


def _draw_values_of_axis(panel: Panel, chart: Chart, labelled: bool) -> None:
    """The values that were swept, as ticks; the axis is broken where a value stands apart."""
    ax, scale = panel.ax, panel.scale
    ax.set_xlim(0, 1)
    texts = {value: chart.axis.text(value) for value in scale.places}
    widths = {value: text_width(f"{text} ", TICK_PT, "normal") for value, text in texts.items()}
    shown = thinned(scale, widths, panel.width) if labelled else []
    ax.xaxis.set_major_locator(FixedLocator(list(scale.places.values())))
    ax.xaxis.set_major_formatter(FixedFormatter([texts[value] if value in shown else "" for value in scale.places]))
    gap = 0.025 / panel.width
    on_axes: dict[str, Any] = {"transform": ax.transAxes, "clip_on": False}
    for place in scale.breaks:
        ax.plot([place - gap, place + gap], [0, 0], color="white", lw=2, zorder=5, **on_axes)
        for x in (place - gap, place + gap):
            ax.plot([x - gap / 2, x + gap / 2], [-0.03, 0.03], color=INK3, lw=0.6, zorder=6, **on_axes)
    if labelled:
        ax.set_xlabel(chart.axis.label + (" (log scale)" if scale.is_log else ""))


def _heading(panel: Panel, text: str) -> None:
    x, y = (MARGIN - LEFT) / panel.width, 1 + 0.05 / panel.height
    panel.ax.text(x, y, text, transform=panel.ax.transAxes, fontsize=7, fontweight="bold", color=INK2, va="bottom")


def _log_axis(ax: Axes, low: float, high: float) -> None:
    """A logarithmic y axis with plain numbers, also where it spans little."""
    near = [tick for tick in MaxNLocator(4, steps=ROUND_STEPS).tick_values(low, high) if low <= tick <= high]
    ticks = plain_ticks(low, high) if high >= 5 * low else near
    ax.set_yscale("log")
    ax.set_ylim(low, high)
    ax.yaxis.set_major_locator(FixedLocator(ticks))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FixedFormatter([f"{tick:,.0f}" if tick >= 10 else f"{tick:g}" for tick in ticks]))


def _position(ax: Axes, value: float) -> float:
    """How high a value is in a panel, as a share of it."""
    low, high = ax.get_ylim()
    if ax.get_yscale() == "log":
        return log(value / low) / log(high / low)
    return float((value - low) / (high - low))


def _scaled(spot: Spot, factor: float) -> Placed:
    """A spot at its median, times ``factor``."""
    median = spot.cell.median
    interval = (median.interval[0] * factor, median.interval[1] * factor) if median.interval else None
    return spot, median.value * factor, interval
