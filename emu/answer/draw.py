"""The figures of an answer: cost between pods and from outside, what machines hold, what fail-over does."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan, log
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emu.answer.numbers import RESET, Number, Numbers
from emu.backends import DEFAULT
from emu.designs.outside import NONE
from emu.measure.figures import GAP, HEADING, MARKS, TICKS_AND_LABEL, Subject
from emu.measure.look import Style, styles
from emu.measure.plots import INK2, ROW, ROWS_WIDTH, Row, Sheet, draw_rows, log_axis, text_width
from emu.measure.results import parts_of
from emu.measure.words import conditions, number

_QUESTIONS = (("tcp_stream", "throughput", "One TCP stream: more is better"),
              ("tcp_rr", "rate", "Requests on one connection: more is better"))
_TITLES = {"inside": "What it costs between pods", "outside": "What it costs from a machine outside"}
_TICKS = (1, 2, 5, 3, 7, 1.5, 4, 2.5)
"""Round numbers of a decade for a logarithmic axis, those that are wanted most first."""

_TICK_PT, _TICK_GAP_IN = 7, 0.08
PEERS = {"udp": "tinc", "wireguard": "WireGuard"}
"""Back ends that hold other machines where entries of the kernel's tables are not: what holds them."""

OVER = f"Ways are over {DEFAULT} where no other back end is named."
"""What labels of ways from outside leave out."""

_KINDS = {"node": "A node of the cluster", "outside": "The outside machine", "bridge": "A bridge machine"}
Drawing = tuple[str, str, Figure]


def draw(document: Mapping[str, Any], parts: Mapping[str, Subject], numbers: Numbers,
         labels: Mapping[str, str]) -> Iterator[Drawing]:
    """Every figure that the folder has data for: name, title, figure."""
    specs = list(dict.fromkeys(each["spec"] for each in document["looked"]))
    where = conditions(parts["inside"].run, "nodes")  # an outside machine may take a node's place
    drawings = (*(_costs(name, part, labels, numbers) for name, part in parts.items()),
                _state(specs, labels, numbers, where), _endings(document["endings"], labels, numbers, where))
    yield from filter(None, drawings)


def _looks(specs: Sequence[str], labels: Mapping[str, str]) -> dict[str, Style]:
    """Variants of a design are told apart by their labels: a hollow marker means that a figure is not trusted."""
    looks = styles([parts_of(spec) for spec in specs])
    return {spec: replace(looks[spec], label=labels[spec], is_open=False) for spec in specs}


def label_of(spec: str, origin: str, labels: Mapping[str, str]) -> str:
    """A design's label by where it is looked at from, ``inside`` or ``outside``."""
    return "nothing done" if origin == "outside" and parts_of(spec)[1].get("outside") == NONE else labels[spec]


def beside(specs: Collection[str]) -> str:
    """What the back ends of these designs hold besides entries of the kernel's tables; empty if nothing."""
    backends = {parts_of(spec)[1].get("backend") for spec in specs}
    names = [name for name in PEERS if name in backends]
    held = " and ".join(f"{name} (in {PEERS[name]})" for name in names)
    return f"Besides these, {held} {'hold' if len(names) > 1 else 'holds'} a peer for each other machine of the " \
           "overlay." if names else ""


def ratio_ticks(low: float, high: float, width_in: float) -> list[float]:
    """Round numbers from ``low`` to ``high``, as many as there is room for on a logarithmic axis; 1 first."""
    found: list[float] = []
    candidates = [factor * 10.0**power for factor in _TICKS for power in (0, -1, 1, -2, 2, -3, 3)]
    for tick in (round(tick, 6) for tick in candidates if low <= tick <= high):
        if all(abs(log(tick / other)) / log(high / low) * width_in >= _room(tick, other) for other in found):
            found.append(tick)
    return sorted(found)


def _room(*ticks: float) -> float:
    """How far apart two ticks have to be for their labels, in inches."""
    return sum(text_width(f"{tick:g}", _TICK_PT, "normal") for tick in ticks) / 2 + _TICK_GAP_IN


def _costs(name: str, part: Subject, labels: Mapping[str, str], numbers: Numbers) -> Drawing | None:
    """Ratios to bare."""
    summary, title = part.summary, f"{_TITLES[name]}, as a share of bare"
    looks = _looks(summary.specs, labels)
    blocks: list[tuple[str, list[Row]]] = []
    for workload, metric, heading in _QUESTIONS:
        rows = [Row(looks[spec], cell.ratio.value, cell.ratio.interval, cell.ratios, told.text, part.is_doubted(cell))
                for spec in summary.specs[1:] if (cell := summary.cell(spec, workload, metric)) and cell.ratio
                and (told := numbers.get(f"{name}/{metric}/{spec}/bare"))]
        blocks += [(heading, rows)] if rows else []
    if not blocks:
        return None
    height = sum(HEADING + ROW * len(rows) for _, rows in blocks) + GAP + TICKS_AND_LABEL
    mark = f"run not trusted: {summary.verdict.reasons[0].short}" if summary.verdict.reasons else None
    hollow = " Hollow or dashed: not to be trusted." if any(row.doubted for _, rows in blocks for row in rows) else ""
    where = f"{conditions(part.run)} " if name == "inside" else f"{conditions(part.run, 'nodes')} {OVER} "
    sheet = Sheet(title, f"{where}Each block against bare in the same block. {MARKS}{hollow}", height, mark)
    values = [x for _, rows in blocks for row in rows for x in (row.value, *row.points) if x > 0]
    low, high = min([*values, 0.9]) * 0.93, max([*values, 1.1]) * 1.07
    for index, (heading, rows) in enumerate(blocks):
        is_last = index == len(blocks) - 1
        ax = sheet.axes(HEADING, ROW * len(rows), TICKS_AND_LABEL if is_last else GAP, ROWS_WIDTH)
        draw_rows(ax, rows, heading)
        log_axis(ax, low, high, "ratio to bare (log scale)" if is_last else "", ratio_ticks(low, high, ROWS_WIDTH))
        ax.axvline(1, color=INK2, lw=0.8, zorder=1)
        if not is_last:
            ax.spines["bottom"].set_visible(False)
            ax.xaxis.set_ticks([])
    return f"cost-{name}", title, sheet.figure


def _state(specs: Sequence[str], labels: Mapping[str, str], numbers: Numbers, where: str) -> Drawing | None:
    """Entries of kernels, a part a kind of machine."""
    title = "What a machine holds so that pods can be reached"
    looks, parts = _looks(specs, labels), []
    for kind, heading in _KINDS.items():
        ids = {spec: (f"held/{kind}/{spec}", f"held/{kind}/{spec}/outside") for spec in specs}
        found = [(spec, value) for spec, names in ids.items()
                 if (value := numbers.get(names[0]) or numbers.get(names[1]))]
        if found:
            parts.append((heading, found))
    if not parts:
        return None
    nodes = sorted({value.nodes for _, found in parts for _, value in found if value.nodes})
    few = len(nodes) == 1
    height = sum(HEADING + ROW * len(found) + GAP for _, found in parts) + TICKS_AND_LABEL
    sheet = Sheet(title, f"{where} {OVER} Routes, permanent neighbors and FDB entries of tunnel devices in its kernel"
                  f"{f', with {nodes[0]} nodes' if few else ''}. {beside(specs)}", height, None)
    most = max(value.value for _, found in parts for _, value in found)
    for index, (heading, found) in enumerate(parts):
        is_last = index == len(parts) - 1
        ax = sheet.axes(HEADING, ROW * len(found), TICKS_AND_LABEL if is_last else GAP, ROWS_WIDTH)
        draw_rows(ax, [_held(looks[spec], spec, value, few) for spec, value in found], heading)
        _from_zero(ax, most, "entries" if is_last else "")
    return "state", title, sheet.figure


def _held(style: Style, spec: str, value: Number, alike: bool) -> Row:
    """What one machine holds. ``alike``: whether all clusters have as many nodes."""
    origin = "outside" if value.id.endswith("/outside") else "inside"
    style = replace(style, label=label_of(spec, origin, {spec: style.label}))
    return Row(style, value.value, None, (), value.text if alike else f"{value.text} · {value.nodes} nodes")


def _endings(endings: Sequence[Mapping[str, Any]], labels: Mapping[str, str], numbers: Numbers,
             where: str) -> Drawing | None:
    """How long nothing arrived, trial by trial, and what did not live."""
    title = "A bridge machine falls silent: how long is a flow without arrivals?"
    kinds = list(dict.fromkeys((trial["spec"], trial["protocol"]) for trial in endings))
    looks = _looks(list(dict.fromkeys(spec for spec, _ in kinds)), labels)
    rows = []
    for spec, protocol in kinds:
        trials = [trial for trial in endings if (trial["spec"], trial["protocol"]) == (spec, protocol)]
        lived = [trial["longest_gap_ms"] for trial in trials if not trial["error"]]
        gap = numbers.get(f"longest_gap_ms/{protocol}/{spec}")
        style = replace(looks[spec], label=f"{protocol.upper()}{' nat' if 'snat=on' in spec else ''}")
        fate = "reset" if all(RESET in trial["error"] for trial in trials if trial["error"]) else "ended"
        ended = f"{len(trials) - len(lived)} of {len(trials)} {fate}" if len(lived) < len(trials) else ""
        if gap:
            interval = (gap.low, gap.high) if gap.low is not None and gap.high is not None else None
            rows.append(Row(style, gap.value, interval, lived, f"{number(gap.value)} ms", remark=ended))
        else:
            rows.append(Row(style, float("nan"), None, (), ended))
    if all(isnan(row.value) for row in rows):
        return None
    sheet = Sheet(title, f"{where} Messages every 10 ms from an outside machine to a pod, by one of two bridge "
                  "machines; nat: it masquerades. Dots: trials; bar: 95\N{NO-BREAK SPACE}% interval of the median.",
                  HEADING + ROW * len(rows) + TICKS_AND_LABEL, None)
    ax = sheet.axes(HEADING, ROW * len(rows), TICKS_AND_LABEL, ROWS_WIDTH)
    draw_rows(ax, rows, "Longest time without arrivals: less is better")
    _from_zero(ax, max(x for row in rows for x in (row.value, *row.points) if not isnan(x)), "ms")
    return "fail-over", title, sheet.figure


def _from_zero(ax: Axes, most: float, label: str) -> None:
    ax.set_xlim(0, 1.05 * max(most, 1))
    ax.locator_params(axis="x", nbins=4)
    ax.xaxis.set_major_formatter(lambda value, _: f"{value:,g}")
    ax.set_xlabel(label)
    if not label:
        ax.spines["bottom"].set_visible(False)
        ax.xaxis.set_ticks([])
