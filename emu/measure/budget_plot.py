"""How latency budgets are drawn: a stacked bar a design, its parts in path order, each named and its time told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes

from emu.measure.budget import UNEXPLAINED, Budget
from emu.measure.look import Style, figure_tokens
from emu.measure.plots import AXES_WIDTH, INK, INK2, INK3, LABELS_RIGHT, MARGIN, WIDTH, spread_out
from emu.measure.words import interval_text, number

ROW_HEIGHT = 0.78
"""Height of one design in inches, from the words above its bar to those below it."""

_BAR = (0.2, 0.36)  # inches below the top of a row, as all that follow
_INTERVAL, _LABELS, _LINE = 0.165, 0.44, 0.095
_FONT_PT, _CHAR, _LABEL_GAP = 6.6, 0.05, 0.03
_JOINT_PT, _LEADER_PT, _TICK_PT = 0.8, 0.5, 1.2
_DARK_GREYS = 3
_GREYS: Mapping[str, str] = figure_tokens()["budget"]


@dataclass(frozen=True)
class _Part:
    """A part of a bar: where it begins and ends (us), and how it is filled and written on."""

    name: str
    start: float
    end: float
    fill: str
    ink: str

    @property
    def time(self) -> str:
        return number(self.end - self.start)


def draw_budgets(ax: Axes, budgets: Sequence[Budget], styles: Mapping[str, Style]) -> None:
    """One row of ``ROW_HEIGHT`` a budget; ``ax`` is to be as high as all of them and ``AXES_WIDTH`` wide."""
    ends = [end for b in budgets for end in (_parts(b, "")[-1].end, b.round_trip.value, b.round_trip.high or 0.0)]
    ax.set_xlim(0, 1.02 * max(ends))
    ax.set_ylim(ROW_HEIGHT * len(budgets), 0)
    ax.set_yticks([])
    ax.spines["left"].set_visible(False)
    ax.locator_params(axis="x", nbins=5)
    ax.set_xlabel("µs of a round trip")
    for row, budget in enumerate(budgets):
        _draw_row(ax, row * ROW_HEIGHT, budget, styles[budget.spec])


def _parts(budget: Budget, color: str) -> list[_Part]:
    parts: list[_Part] = []
    start = 0.0
    for name, spent in budget.segments.items():
        end = start + max(spent.median_us, 0.0)
        is_dark = name == budget.largest or list(_GREYS).index(name) < _DARK_GREYS
        fill = color if name == budget.largest else _GREYS[name]
        parts.append(_Part(name, start, end, fill, "white" if is_dark else INK))
        start = end
    return parts


def _draw_row(ax: Axes, top: float, budget: Budget, style: Style) -> None:
    parts = _parts(budget, style.light)
    for part in parts:
        is_hatched = part.name == UNEXPLAINED
        ax.barh(top + _BAR[0], part.end - part.start, left=part.start, height=_BAR[1] - _BAR[0], align="edge",
                facecolor=part.fill, hatch="//////" if is_hatched else "", edgecolor=INK3 if is_hatched else "white",
                lw=0 if is_hatched else _JOINT_PT)
    ax.text(-0.02, top + sum(_BAR) / 2, style.label.replace(" ", "\n"), transform=ax.get_yaxis_transform(), ha="right",
            va="center", color=style.light, fontweight="bold", fontsize=7, linespacing=1.0)
    _draw_round_trip(ax, top, budget)
    inch = ax.get_xlim()[1] / AXES_WIDTH
    inside = [part for part in parts if (part.end - part.start) / inch > _CHAR * (len(f"{part.name} {part.time}") + 1)]
    for part in inside:
        box = {"facecolor": part.fill, "edgecolor": "none", "pad": 0.8} if part.name == UNEXPLAINED else None
        ax.text((part.start + part.end) / 2, top + sum(_BAR) / 2, f"{part.name} {part.time}", ha="center",
                va="center_baseline", fontsize=_FONT_PT, color=part.ink, bbox=box)
    _draw_labels(ax, top, [part for part in parts if part not in inside], inch)


def _draw_round_trip(ax: Axes, top: float, budget: Budget) -> None:
    """The measured round trip as a tick through the bar, its interval above, and both in words."""
    trip = budget.round_trip
    ax.plot([trip.value] * 2, [top + _INTERVAL - 0.03, top + _BAR[1] + 0.03], color=INK, lw=_TICK_PT,
            solid_capstyle="butt", zorder=5)
    if trip.interval:
        ax.plot(trip.interval, [top + _INTERVAL] * 2, color=INK, lw=figure_tokens()["interval_pt"],
                solid_capstyle="butt", zorder=5)
    interval = f" ({interval_text(trip, 1)})" if trip.interval else ""
    ax.text(trip.value, top + _INTERVAL - 0.045, f"round trip {number(trip.value)}{interval}", ha="right", va="bottom",
            fontsize=_FONT_PT, color=INK)


def _draw_labels(ax: Axes, top: float, parts: Sequence[_Part], inch: float) -> None:
    """Names and times under the bar, each joined to its part, moved sideways where they would collide."""
    labels = [[part.time, *part.name.split(" ")] for part in parts]
    widths = [_LABEL_GAP + _CHAR * max(map(len, lines)) for lines in labels]
    middles = [(part.start + part.end) / 2 for part in parts]
    low, high = MARGIN - LABELS_RIGHT, WIDTH - MARGIN - LABELS_RIGHT
    centres = spread_out([middle / inch for middle in middles], widths, low, high)
    for lines, middle, centre in zip(labels, middles, centres, strict=True):
        ax.plot([middle, middle, centre * inch], [top + _BAR[1] - 0.03, top + _BAR[1] + 0.02, top + _LABELS],
                color=INK2, lw=_LEADER_PT, clip_on=False, zorder=4)
        for count, line in enumerate(lines, 1):
            ax.text(centre * inch, top + _LABELS + count * _LINE, line, ha="center", fontsize=_FONT_PT, color=INK)
