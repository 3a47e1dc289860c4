"""Numbers and findings in words, for figures and the report. Pure, and careful: a sentence says only what is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import log
from typing import Any

from emu.live.links import queue_ms
from emu.measure.metrics import METRICS, PER_BYTE, PER_TRANSACTION
from emu.measure.stats import Estimate
from emu.measure.summary import REFERENCE, Cell
from emu.measure.trust import Control
from emu.measure.workloads import Workload, workloads_named


@dataclass(frozen=True)
class Question:
    """A measured quantity as figures and tables name it. Values times ``scale`` are in ``unit``. ``varied``: the
    heading beside parameters, where it is another one. ``unless``: a metric that leaves nothing to ask."""

    workload: str
    metric: str
    noun: str
    heading: str
    unit: str
    scale: float = 1.0
    varied: str = ""
    unless: str = ""

    def applies_to(self, workload: Workload) -> bool:
        """Whether a workload answers it."""
        return (workload.kind == self.workload and self.metric in workload.all_metrics
                and self.unless not in workload.all_metrics)

    def under(self, workload: Workload) -> Question:
        """The same asked of a workload that has parameters."""
        if not workload.parameters:
            return self
        return replace(self, workload=workload.name, noun=f"{self.noun} ({workload.parameters})",
                       heading=f"{self.varied or self.heading} ({workload.parameters})")

    @property
    def higher_is_better(self) -> bool:
        return METRICS[self.metric].better == "higher"


DASH = "\N{EN DASH}"
QUESTIONS = (
    Question("ping", "rtt", "round trip", "Round trip", "µs"),
    Question("tcp_rr", "rate", "request rate on one connection", "Requests, one connection", "1/s"),
    Question("tcp_stream", "throughput", "TCP throughput", "One TCP stream", "Gbit/s", 1e-9, "TCP streams"),
    Question("http", "rate", "HTTP request rate", "HTTP, eight connections", "1/s"),
    Question("http", "latency", "HTTP request time", "HTTP at a schedule", "µs", unless="rate"),
    Question("udp_rr", "latency", "UDP echo time", "UDP echo", "µs"),
    Question("tcp_crr", "rate", "rate of requests with a connection each", "Connection a request", "1/s"),
    Question("udp_stream", "throughput", "loss-free UDP rate", "UDP without loss", "Gbit/s", 1e-9),
    Question("rr_under_load", "rtt", "round trip while a stream fills the link", "Round trip under load", "µs"),
    Question("rr_under_load", "throughput", "TCP throughput beside pings", "TCP stream beside pings", "Gbit/s", 1e-9),
    Question("incast", "throughput", "incast throughput", "Incast", "Gbit/s", 1e-9),
    Question("first_packet", "latency", "first-packet time", "First packet, cold caches", "µs"),
)
"""What reports answer, a column each, where it was measured."""

COSTS = (
    Question("tcp_stream", PER_BYTE, "CPU time per byte", "CPU: one TCP stream", "ns a byte",
             varied="CPU: TCP streams"),
    Question("udp_rr", PER_TRANSACTION, "CPU time per UDP echo", "CPU: UDP echo", "µs an echo", 1e-3),
    Question("tcp_rr", PER_TRANSACTION, "CPU time per request", "CPU: one connection", "µs a request", 1e-3),
)
"""What the figure of CPU time shows."""


def questions(workloads: Iterable[str], asked: Sequence[Question] = QUESTIONS) -> list[Question]:
    """Those ``asked`` that a run under ``workloads`` answers: of a workload with parameters too, which are named then.
    """
    named = workloads_named(workloads).values()
    return [question.under(workload) for question in asked for workload in named
            if question.applies_to(workload)]


@dataclass(frozen=True)
class CostQuestion:
    """CPU time by part under a workload, as the report's table of costs names it; ``metric`` is the whole."""

    workload: str
    metric: str
    heading: str

    def part(self, part: str) -> str:
        """The metric of one part."""
        return f"{self.metric}_{part}"


def cost_questions(workloads: Iterable[str]) -> list[CostQuestion]:
    """What is told of costs in a run under ``workloads``."""
    per = {PER_BYTE: "ns per byte", PER_TRANSACTION: "ns per request"}
    return [CostQuestion(workload.name, workload.amount.metric, f"{workload.name}, {per[workload.amount.metric]}")
            for workload in workloads_named(workloads).values() if workload.amount]


UNTRUSTED = "These figures are not to be trusted"
LATENCY_OF_REQUESTS = Question("tcp_rr", "latency", "request time", "Request on one connection", "µs")


def number(value: float) -> str:
    """Three significant digits, with thousands set apart: ``62.1``, ``0.981``, ``31,200``."""
    if value == 0:
        return "0"
    if abs(value) >= 1000:
        return f"{round(value, 3 - len(f'{abs(value):.0f}')):,.0f}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}"


def interval_text(estimate: Estimate, scale: float) -> str:
    """Both ends of an interval; empty where there is none."""
    return DASH.join(number(end * scale) for end in estimate.interval) if estimate.interval else ""


def ratio_text(ratio: Estimate) -> str:
    """A ratio, with its interval in brackets where it has one."""
    if ratio.interval is None:
        return f"{ratio.value:.2f}"
    return f"{ratio.value:.2f} ({ratio.interval[0]:.2f}{DASH}{ratio.interval[1]:.2f})"


def differs(ratio: Estimate) -> bool:
    """Whether the interval of a ratio to bare leaves out 1."""
    return ratio.interval is not None and not ratio.interval[0] <= 1 <= ratio.interval[1]


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table for a terminal; all rows are of one length."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def control_text(control: Control) -> str:
    """What came of bare against bare, in one line."""
    if not control.p:
        outcome = "too few blocks to tell"
    else:
        outcome = "they differ" if control.reasons() else "no difference shown"
    ratios = (f"{workload} {metric} {ratio_text(ratio)}" for (workload, metric), ratio in control.ratios.items())
    return f"control: {REFERENCE} against {REFERENCE}: {outcome}: {', '.join(ratios)}"


def claim(cell: Cell, question: Question, label: str) -> str:
    """What a design costs, as in ``l2 keeps 0.56 of bare's TCP throughput``. ``cell`` must have a ratio."""
    assert cell.ratio is not None
    ratio = cell.ratio.value
    digits = 2 if abs(ratio - 1) >= 0.01 else 3
    verb = ("keeps" if ratio < 1 else "reaches") if question.higher_is_better else "takes"
    return f"{label} {verb} {ratio:.{digits}f} {'of' if ratio < 1 else 'times'} {REFERENCE}'s {question.noun}"


def finding(rows: Sequence[tuple[Cell, Question]], labels: Mapping[str, str], doubted: set[tuple[str, str]]) -> str:
    """One sentence on ``rows``: the largest difference from bare that is shown, or that none is.

    ``doubted``: (spec, workload) of figures that are not to be trusted; they are not told as findings.
    """
    sound = [(cell, question) for cell, question in rows if (cell.spec, cell.workload) not in doubted]
    if not sound:
        return UNTRUSTED
    related = [(cell, question) for cell, question in sound if cell.ratio is not None and cell.design != REFERENCE]
    if not related:
        return _medians(sound, labels)
    shown = [(cell, question) for cell, question in related if cell.ratio is not None and differs(cell.ratio)]
    if shown:
        cell, question = max(shown, key=lambda row: _distance(row[0]))
        return claim(cell, question, labels[cell.spec])
    if all(cell.ratio is not None and cell.ratio.interval is None for cell, _ in related):
        return "Too few blocks to tell the designs apart"
    return f"No difference from {REFERENCE} is shown"


def _distance(cell: Cell) -> float:
    return abs(log(cell.ratio.value)) if cell.ratio is not None else 0.0


def _medians(rows: Sequence[tuple[Cell, Question]], labels: Mapping[str, str]) -> str:
    """Where there is nothing to compare with: the medians of the first quantity."""
    question = rows[0][1]
    values = {cell.spec: cell.median.value * question.scale for cell, asked in rows if asked == question}
    unit = "a second" if question.unit == "1/s" else question.unit
    if len(values) == 1:
        ((spec, value),) = values.items()
        return f"{labels[spec]}: {number(value)} {unit}, median {question.noun}"
    return f"Median {question.noun}: {number(min(values.values()))} to {number(max(values.values()))} {unit}"


LINK_OPTIONS = ("bw", "delay", "jitter", "loss")


def links(scenario: Mapping[str, Any]) -> str:
    """What links between nodes and switch were asked to be like, as in ``links of 50 Mbit/s, 2 ms delay each way``."""
    others = [f"that of {node}: {_link({**scenario, **own}) or 'unshaped'}"
              for node, own in (scenario.get("links") or {}).items()]
    rest = _link(scenario)
    return "; ".join([f"links of {rest}" if rest else "links unshaped", *others])


def _link(scenario: Mapping[str, Any]) -> str:
    bw, delay, jitter, loss = (scenario.get(name) for name in LINK_OPTIONS)
    parts = [*([f"{bw:g} Mbit/s with a queue of {queue_ms(bw, scenario['mtu']):.0f} ms"] if bw else []),
             *([f"{delay:g} ms delay each way{f' (± {jitter:g} ms)' if jitter else ''}"] if delay else []),
             *([f"{loss:g} % loss each way"] if loss else [])]
    return ", ".join(parts)


def labs_text(run: Mapping[str, Any]) -> str:
    """In what labs blocks were measured."""
    return "fresh ones for each block" if run.get("fresh_labs") else "the same ones in all blocks"


def conditions(run: Mapping[str, Any], swept: str = "") -> str:
    """Under what conditions a run was measured, in one line; ``swept``: the scenario option that is told elsewhere."""
    scenario = {**run["scenario"], **({swept: None} if swept in LINK_OPTIONS else {})}
    datapath = "kernel" if run["datapath"] == "kernel" else "userspace"
    shaped = links(scenario)
    if swept in LINK_OPTIONS:
        shaped = shaped.replace("links unshaped", "links otherwise unshaped")
    nodes = "All nodes" if swept == "nodes" else f"{run['nodes']} nodes"
    others = {"mtu": f"MTU {scenario['mtu']}", "offload": f"offloads {scenario['offload']}",
              "datapath": f"{datapath} datapath"}
    told = [f"{nodes} on one machine", shaped, *(text for name, text in others.items() if name != swept)]
    return f"{', '.join(told)}."
