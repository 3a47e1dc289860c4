"""The figures of an answer: cost between pods and from outside, what machines hold, what fail-over does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import isnan
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from emu.answer.numbers import Number, Numbers
from emu.measure.figures import GAP, HEADING, MARKS, TICKS_AND_LABEL, Subject
from emu.measure.look import Style, styles
from emu.measure.plots import INK2, ROW, ROWS_WIDTH, Row, Sheet, draw_rows, log_axis
from emu.measure.results import parts_of
from emu.measure.words import number

_QUESTIONS = (("tcp_stream", "throughput", "One TCP stream: more is better"),
              ("tcp_rr", "rate", "Requests on one connection: more is better"))
_TITLES = {"inside": "What it costs between pods", "outside": "What it costs from a machine outside"}
_KINDS = {"node": "A node of the cluster", "outside": "The outside machine", "bridge": "A bridge machine"}
Drawing = tuple[str, str, Figure]


def draw(document: Mapping[str, Any], parts: Mapping[str, Subject], numbers: Numbers, labels: Mapping[str, str],
         conditions: str) -> Iterator[Drawing]:
    """Every figure that the folder has data for: name, title, figure."""
    for name, part in parts.items():
        yield _costs(name, part, labels, conditions)
    specs = list(dict.fromkeys(each["spec"] for each in document["looked"]))
    looks = _looks(specs, labels)
    yield _state(specs, looks, numbers, conditions, document)
    if document["endings"]:
        yield _endings(document["endings"], labels, numbers, conditions)


def _looks(specs: Sequence[str], labels: Mapping[str, str]) -> dict[str, Style]:
    looks = styles([parts_of(spec) for spec in specs])
    return {spec: replace(looks[spec], label=labels[spec]) for spec in specs}


def _costs(name: str, part: Subject, labels: Mapping[str, str], conditions: str) -> Drawing:
    """Ratios to bare."""
    summary, title = part.summary, f"{_TITLES[name]}, as a share of bare"
    blocks: list[tuple[str, list[Row]]] = []
    for workload, metric, heading in _QUESTIONS:
        cells = [cell for spec in summary.specs[1:] if (cell := summary.cell(spec, workload, metric)) and cell.ratio]
        blocks.append((heading, [
            Row(replace(part.styles[cell.spec], label=labels[cell.spec]), cell.ratio.value, cell.ratio.interval,
                cell.ratios, f"{cell.ratio.value:.2f}", part.is_doubted(cell))
            for cell in cells if cell.ratio]))
    height = sum(HEADING + ROW * len(rows) for _, rows in blocks) + GAP + TICKS_AND_LABEL
    mark = f"run not trusted: {summary.verdict.reasons[0].short}" if summary.verdict.reasons else None
    sheet = Sheet(title, f"{conditions} Each block against bare in the same block. {MARKS}", height, mark)
    values = [x for _, rows in blocks for row in rows for x in (row.value, *row.points) if x > 0]
    low, high = min([*values, 0.9]) * 0.93, max([*values, 1.1]) * 1.07
    for index, (heading, rows) in enumerate(blocks):
        is_last = index == len(blocks) - 1
        ax = sheet.axes(HEADING, ROW * len(rows), TICKS_AND_LABEL if is_last else GAP, ROWS_WIDTH)
        draw_rows(ax, rows, heading)
        log_axis(ax, low, high, "ratio to bare (log scale)" if is_last else "")
        ax.axvline(1, color=INK2, lw=0.8, zorder=1)
        if not is_last:
            ax.spines["bottom"].set_visible(False)
            ax.xaxis.set_ticks([])
    return f"cost-{name}", title, sheet.figure


def _state(specs: Sequence[str], looks: Mapping[str, Style], numbers: Numbers, conditions: str,
           document: Mapping[str, Any]) -> Drawing:
    """Entries of kernels, a part a kind of machine."""
    title = "What a machine holds so that pods can be reached"
    parts = []
    for kind, heading in _KINDS.items():
        ids = {spec: (f"held/{kind}/{spec}", f"held/{kind}/{spec}/outside") for spec in specs}
        found = [(spec, value) for spec, names in ids.items()
                 if (value := numbers.get(names[0]) or numbers.get(names[1]))]
        if found:
            parts.append((heading, [_plain(looks[spec], value) for spec, value in found]))
    nodes = sorted({each["nodes"] for each in document["looked"]})
    height = sum(HEADING + ROW * len(rows) + GAP for _, rows in parts) + TICKS_AND_LABEL
    sheet = Sheet(title, f"{conditions} Routes, permanent neighbors and FDB entries of tunnel devices in its kernel, "
                  f"with {' or '.join(map(str, nodes))} nodes.", height, None)
    most = max(row.value for _, rows in parts for row in rows)
    for index, (heading, rows) in enumerate(parts):
        is_last = index == len(parts) - 1
        ax = sheet.axes(HEADING, ROW * len(rows), TICKS_AND_LABEL if is_last else GAP, ROWS_WIDTH)
        draw_rows(ax, rows, heading)
        _from_zero(ax, most, "entries" if is_last else "")
    return "state", title, sheet.figure


def _plain(style: Style, value: Number) -> Row:
    return Row(style, value.value, None, (), value.text)


def _endings(endings: Sequence[Mapping[str, Any]], labels: Mapping[str, str], numbers: Numbers,
             conditions: str) -> Drawing:
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
        ended = f"{len(trials) - len(lived)} of {len(trials)} reset" if len(lived) < len(trials) else ""
        if gap:
            interval = (gap.low, gap.high) if gap.low is not None and gap.high is not None else None
            rows.append(Row(style, gap.value, interval, lived, f"{number(gap.value)} ms", remark=ended))
        else:
            rows.append(Row(style, float("nan"), None, (), ended))
    sheet = Sheet(title, f"{conditions} Messages every 10 ms from an outside machine to a pod, by one of two bridge "
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
