"""The state meter's figure: a panel a kind of entry, against the number of nodes; designs that need the same number are
one line, and are named at its end."""

from __future__ import annotations

from collections.abc import Sequence
from math import log10

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from emu.laws import CONTAINER, FDB, FLOWS, LEARNED_FDB, LEARNED_NEIGHBORS, NEIGHBORS, NODE, ROUTES, SWITCH
from emu.measure.look import Style, styles, use_in_figures
from emu.measure.state import Point, by_spec

PANELS = (
    (NODE, ROUTES, "Routes of a node"),
    (NODE, NEIGHBORS, "Neighbors written on a node"),
    (NODE, FDB, "FDB entries written on a node"),
    (NODE, LEARNED_NEIGHBORS, "Neighbors a node learns"),
    (NODE, LEARNED_FDB, "MACs a node learns"),
    (CONTAINER, LEARNED_NEIGHBORS, "Neighbors a container learns"),
    (SWITCH, FLOWS, "Flows of the switch"),
)
COLUMNS = 2
_APART = 0.085
"""How far apart names are at the least, as a share of the panel's height."""


def figure(points: Sequence[Point]) -> Figure:
    """All kinds, with the most containers that were measured of each design."""
    use_in_figures()
    grouped = {spec: [point for point in some if point.containers == max(p.containers for p in some)]
               for spec, some in by_spec(points).items()}
    looks = styles([(some[0].design, some[0].params) for some in grouped.values()])
    lines = -(-len(PANELS) // COLUMNS)
    drawn = Figure(figsize=(7.0, 1.9 * lines), layout="constrained")
    axes = list(drawn.subplots(lines, COLUMNS).flat)
    for ax, (place, kind, title) in zip(axes, PANELS, strict=False):
        _panel(ax, grouped, looks, place, kind, title)
    for ax in axes[len(PANELS):]:
        ax.set_axis_off()
    most = max(point.containers for point in points)
    about = f"{most} containers on each node; every pair has spoken. Designs that a panel does not name have none"
    axes[-1].text(0, 0.5, about, fontsize=6, va="center", wrap=True, transform=axes[-1].transAxes)
    return drawn


def _panel(
    ax: Axes, grouped: dict[str, list[Point]], looks: dict[str, Style], place: str, kind: str, title: str
) -> None:
    curves: dict[tuple[tuple[int, int], ...], list[str]] = {}
    for spec, some in grouped.items():
        curve = tuple((p.nodes, p.counts[place][kind][1]) for p in some if kind in p.counts.get(place, {}))
        curves.setdefault(curve, []).append(spec)
    sizes = sorted({point.nodes for some in grouped.values() for point in some})
    named = []
    for curve, specs in curves.items():
        if not any(value for _, value in curve):
            continue
        look = looks[specs[0]]
        xs, ys = zip(*((x, y) for x, y in curve if y), strict=True)
        ax.plot(xs, ys, color=look.light, marker=look.marker, ms=3.5, mfc="white" if look.is_open else look.light,
                ls=(0, look.dash or (1, 0)), clip_on=False)
        named.append((ys[-1], ", ".join(looks[spec].label for spec in specs), look.light))
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set(title=title, xlim=(sizes[0], max(sizes[-1], 2 * sizes[0])))
    ax.set_xlabel("nodes")
    ax.xaxis.set_major_locator(FixedLocator(sizes))
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else ""))
    ax.yaxis.set_minor_locator(NullLocator())
    low = min((y for curve in curves for _, y in curve if y), default=1)
    high = max((y for curve in curves for _, y in curve), default=1)
    ax.set_ylim(low / 1.3, max(high, low * 2) * 1.3)
    _name(ax, named)


def _name(ax: Axes, named: Sequence[tuple[int, str, str]]) -> None:
    """Names at the ends of lines, none over another."""
    low, high = (log10(limit) for limit in ax.get_ylim())
    below = -1.0
    for value, text, color in sorted(named):
        place = max((log10(value) - low) / (high - low), below + _APART)
        ax.text(1.05, place, f"{value:,}  {text}", color=color, fontsize=6, va="center", transform=ax.transAxes)
        below = place
