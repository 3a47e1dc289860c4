"""The numbers of a run, each with a name of its own: all that tables show and that the guide may point at."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np

from emu.answer.look import Held, spoke_of
from emu.measure.metrics import PER_BYTE
from emu.measure.stats import Estimate, block_ratios, median_over_blocks
from emu.measure.summary import Cell, Summary
from emu.measure.words import DASH, number

COSTS = (("tcp_stream", "throughput", "TCP throughput"), ("tcp_rr", "rate", "request rate"),
         ("tcp_stream", PER_BYTE, "CPU time per byte"))
"""What is told of a design's cost: workload, metric, and its name in words."""


@dataclass(frozen=True)
class Number:
    """One number of a run. ``id`` is unique; ``low`` and ``high``: its 95 % interval, where it has one; ``n``: how many
    blocks or trials it is from; ``source``: the file in the run's folder that it is from; ``nodes``: the nodes of its
    cluster, where it is a count that grows with them."""

    id: str
    what: str
    value: float
    unit: str
    source: str
    n: int = 1
    low: float | None = None
    high: float | None = None
    nodes: int | None = None

    @property
    def text(self) -> str:
        """The number as it stands in tables and sentences, with its interval."""
        digits = (partial(_ratio, apart=self.differs) if self.unit == "ratio"
                  else _whole if self.unit in WHOLE else number)
        interval = f" ({digits(self.low)}{DASH}{digits(self.high)})" if self.low is not None and self.high is not None \
            else ""
        return digits(self.value) + interval

    @property
    def differs(self) -> bool:
        """Whether a ratio's interval leaves out 1."""
        return self.low is not None and self.high is not None and not self.low <= 1 <= self.high

    def entry(self) -> dict[str, Any]:
        """As ``answer.json`` has it; what is not known is left out."""
        return {key: value for key, value in {**asdict(self), "text": self.text}.items() if value is not None}


WHOLE = frozenset({"bytes", "entries", "flows", "routers", "trials", "machines"})
"""Units that are counted."""


def _ratio(value: float, apart: bool) -> str:
    """Two digits; more of a number that is not 1 but would read as it, where ``apart``."""
    digits = 2
    while apart and digits < 5 and float(f"{value:.{digits}f}") == 1:
        digits += 1
    return f"{value:.{digits}f}"


def _whole(value: float) -> str:
    return f"{value:,.0f}"


class Numbers:
    """All numbers of a run by their ids, in the order in which they were found."""

    def __init__(self, found: Iterable[Number] = ()) -> None:
        self.by_id: dict[str, Number] = {}
        for each in found:
            self.add(each)

    def add(self, found: Number) -> None:
        """Take a number in; ``ValueError`` if its id is taken."""
        if found.id in self.by_id:
            raise ValueError(f"two numbers {found.id}")
        self.by_id[found.id] = found

    def get(self, name: str) -> Number | None:
        """A number, or ``None`` where nothing such was measured."""
        return self.by_id.get(name)


RESET = "reset by peer"
"""What the system says of a connection that the other end has reset (``ECONNRESET``)."""

_GIGA, _MEGA = (1e-9, "Gbit/s"), (1e-6, "Mbit/s")


def costs(name: str, summary: Summary, labels: Mapping[str, str], uncounted: Collection[str]) -> Iterable[Number]:
    """Of each design of a comparison: its medians, and their ratios to bare. ``uncounted``: those whose CPU time is
    not all known."""
    for spec in summary.specs:
        for workload, metric, noun in COSTS:
            cell = _cell(summary, spec, workload, metric, uncounted)
            if cell is None:
                continue
            scale, unit = _unit(summary, cell)
            low, high = (end and end * scale for end in _ends(cell.median))
            yield Number(f"{name}/{metric}/{spec}", f"{labels[spec]}: {noun}", cell.median.value * scale, unit,
                         f"{name}/summary.json", len(cell.blocks), low, high)
            if cell.ratio is not None and spec != summary.specs[0]:
                yield Number(f"{name}/{metric}/{spec}/bare", f"{labels[spec]}: {noun} as a share of bare's",
                             cell.ratio.value, "ratio", f"{name}/summary.json", len(cell.ratios), *_ends(cell.ratio))


def _cell(summary: Summary, spec: str, workload: str, metric: str, uncounted: Collection[str]) -> Cell | None:
    return None if metric == PER_BYTE and spec in uncounted else summary.cell(spec, workload, metric)


def _unit(summary: Summary, cell: Cell) -> tuple[float, str]:
    """What values are multiplied by, and the unit they are in then: for throughput one for all designs."""
    unit = str(cell.entry()["unit"])
    if unit != "bit/s":
        return 1.0, unit
    first = summary.cell(summary.specs[0], cell.workload, cell.metric) or cell
    return _GIGA if first.median.value >= 1e8 else _MEGA


def against(name: str, summary: Summary, labels: Mapping[str, str], spec: str, other: str,
            uncounted: Collection[str]) -> Iterable[Number]:
    """One design's medians over another's of the same blocks. ``uncounted``: as for ``costs``."""
    for workload, metric, noun in COSTS:
        one, two = (_cell(summary, each, workload, metric, uncounted) for each in (spec, other))
        ratios = block_ratios(one.blocks, two.blocks) if one and two else np.array([])
        if ratios.size:
            estimate = median_over_blocks(ratios)
            yield Number(f"{name}/{metric}/{spec}/{other}", f"{labels[spec]}: {noun} as a share of {labels[other]}'s",
                         estimate.value, "ratio", f"{name}/samples.jsonl", int(ratios.size), *_ends(estimate))


def _ends(estimate: Estimate) -> tuple[float | None, float | None]:
    return estimate.interval or (None, None)


def looked(each: Mapping[str, Any], label: str) -> Iterable[Number]:
    """What was looked at in one lab; ids of what was looked at from an outside machine end in ``/outside``."""
    source = "answer.json"
    spec = each["spec"] if each["from"] == "inside" else f"{each['spec']}/outside"
    if each["largest_packet_bytes"] is not None:
        yield Number(f"packet/{spec}", f"{label}: largest packet", each["largest_packet_bytes"], "bytes", source)
    there, back = spoke_of(each)
    for way, spoke in (("there", there), ("back", back)):
        yield Number(f"answered/{way}/{spec}", f"{label}: pings of {spoke.dst} by {spoke.src} answered",
                     int(spoke.answered), "trials", source)
        if spoke.routers is not None:
            yield Number(f"routers/{way}/{spec}", f"{label}: machines that route from {spoke.src} to {spoke.dst}",
                         spoke.routers, "routers", source)
    for of_kind in (Held(**held) for held in each["held"]):
        if of_kind.kind != "container":
            yield Number(f"held/{of_kind.kind}/{spec}", f"{label}: entries that {of_kind.machine} holds, with "
                         f"{each['nodes']} nodes", of_kind.entries, "entries", source, nodes=each["nodes"])
    yield Number(f"flows/{spec}", f"{label}: flows in the switch's table, with {each['nodes']} nodes", each["flows"],
                 "flows", source, nodes=each["nodes"])


def spread(each: Mapping[str, Any], label: str) -> Iterable[Number]:
    """How flows from outside were spread over bridge machines."""
    counts = each["by"].values()
    arrived = sum(counts)
    if arrived:
        what = f"{label}: share, of the {arrived} of {each['flows']} flows that arrived, of the machine that has most"
        yield Number(f"hottest/{each['spec']}", what, max(counts) / arrived, "ratio", "answer.json", arrived)


def ended(trials: Sequence[Mapping[str, Any]], label: str) -> Iterable[Number]:
    """What the end of a bridge machine did to flows, in one design by one protocol."""
    first = trials[0]
    spec, protocol, source = first["spec"], first["protocol"], "answer.json"
    lived = [trial for trial in trials if not trial["error"]]
    were_reset = [trial for trial in trials if RESET in trial["error"]]
    yield Number(f"lived/{protocol}/{spec}", f"{label}: {protocol.upper()} flows that went on, of {len(trials)}",
                 len(lived), "trials", source, len(trials))
    yield Number(f"ended/{protocol}/{spec}", f"{label}: {protocol.upper()} flows that were ended, of {len(trials)}",
                 len(trials) - len(lived), "trials", source, len(trials))
    yield Number(f"reset/{protocol}/{spec}", f"{label}: {protocol.upper()} flows that were reset, of {len(trials)}",
                 len(were_reset), "trials", source, len(trials))
    for key, noun, of_these in (("longest_gap_ms", "the longest time in which nothing arrived", lived),
                                ("routed_ms", "until a look finds the client routing by the other one", trials)):
        if of_these:
            estimate = median_over_blocks(np.array([trial[key] for trial in of_these], dtype=np.float64))
            yield Number(f"{key}/{protocol}/{spec}", f"{label}, {protocol.upper()}: {noun}", estimate.value, "ms",
                         source, len(of_these), *_ends(estimate))


def wrong(document: Mapping[str, Any]) -> Iterable[str]:
    """What parts 3 and 4 of a run have found that is no number: flows of which none arrived, and flows that were ended
    by anything but a reset."""
    for each in document["spread"]:
        if not sum(each["by"].values()):
            yield f"{each['spec']}: of {each['flows']} flows from outside none arrived by a bridge machine"
    for trial in document["endings"]:
        if trial["error"] and RESET not in trial["error"]:
            yield f"{trial['spec']}: trial {trial['trial'] + 1}, {trial['protocol']}: {trial['error']}"
