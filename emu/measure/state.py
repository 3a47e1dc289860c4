"""The state meter: entries counted in running labs of several sizes, held against what each design declares.

A *point* is one lab: a design with so many nodes and containers on each. What was counted of machines of one sort is
kept as the least and the most, which are the same where the law holds. ``docs/state.md`` tells what is counted.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emu.designs import parse_design
from emu.laws import CONTAINER, FLOWS, KINDS, LEARNED_FDB, NODE, SWITCH, Growth, StateLaw
from emu.live.lab import Lab
from emu.measure.results import csv_text, spec_of
from emu.model import SWITCH as SWITCH_MACHINE
from emu.model import Plan

STATE_FORMAT = "emu-state/1"
CSV_FIELDS = ("design", "nodes", "containers", "of", "kind", "least", "most", "law")
AGEING_S = 300
"""How long a bridge, or a tunnel, keeps a MAC that it no longer hears (``net/bridge/br_device.c``,
``drivers/net/vxlan/vxlan_core.c``): of an exchange that takes longer, learned MACs are counted too low."""

Census = Mapping[str, Mapping[str, int]]
Range = tuple[int, int]


@dataclass(frozen=True)
class Point:
    """What was counted in one lab. ``counts``: least and most by place and kind. ``messages``: OpenFlow messages by
    sort, for building the lab and for the exchange. ``misses``: pairs that did not reach each other in the exchange.
    """

    design: str
    params: Mapping[str, str]
    nodes: int
    containers: int
    counts: Mapping[str, Mapping[str, Range]]
    messages: Mapping[str, Mapping[str, int]]
    misses: int
    exchange_s: float

    @property
    def spec(self) -> str:
        """The design and its parameters in the words of the command line."""
        return spec_of(self.design, self.params)

    def document(self) -> dict[str, Any]:
        """The point as ``state.json`` has it."""
        return {"design": self.design, "params": dict(self.params), "nodes": self.nodes, "containers": self.containers,
                "counts": {place: {kind: list(pair) for kind, pair in kinds.items()}
                           for place, kinds in self.counts.items()},
                "messages": self.messages, "misses": self.misses, "exchange_s": round(self.exchange_s, 3)}


def count(lab: Lab) -> Point:
    """Count a lab as it was built, have every pair of machines speak, and count it again."""
    plan = lab.plan
    before, flows_before, messages_before = lab.census(), len(lab.flows()), lab.controller()["counters"]
    started = time.monotonic()
    misses, learned = lab.exchange()
    exchange_s = time.monotonic() - started
    after, flows_after, messages_after = lab.census(), len(lab.flows()), lab.controller()["counters"]
    for census, flows in ((before, flows_before), (after, flows_after)):
        census[SWITCH_MACHINE] = {**census[SWITCH_MACHINE], FLOWS: flows}
    during = {sort: messages_after[sort] - number for sort, number in messages_before.items()}
    return Point(plan.design, dict(plan.params), plan.scenario.node_count, plan.scenario.containers_per_node,
                 ranges(plan, (before, after, learned)), {"built": dict(messages_before), "exchange": during},
                 len(misses), exchange_s)


def ranges(plan: Plan, taken: Sequence[Census]) -> dict[str, dict[str, Range]]:
    """The least and the most that was counted, by place and kind, over machines and over all that was ``taken``. A
    machine that has learned nothing counts as none."""
    names = {NODE: [m.name for m in plan.machines if m.kind == "node"],
             CONTAINER: [m.name for m in plan.machines if m.kind == "container"], SWITCH: [SWITCH_MACHINE]}
    found: dict[str, dict[str, Range]] = {}
    for place, machines in names.items():
        for kind in KINDS[place]:
            told = [census.get(name, {}).get(kind, 0) for census in taken for name in machines
                    if any(kind in counts for counts in census.values())]
            if told:
                found.setdefault(place, {})[kind] = min(told), max(told)
    return found


@dataclass(frozen=True)
class Row:
    """What was counted of one kind at one point, and what the law says; ``None`` where it cannot be held to that."""

    point: Point
    place: str
    kind: str
    least: int
    most: int
    law: int | None

    @property
    def holds(self) -> bool:
        return self.law is None or self.least == self.most == self.law

    def sentence(self) -> str:
        """What is not as the law has it."""
        seen = f"{self.least}" if self.least == self.most else f"{self.least} to {self.most}"
        return f"{_size(self.point)}: {self.kind} of {_PLACES[self.place]}: {seen}, by the law {self.law}"


_PLACES = {NODE: "a node", CONTAINER: "a container", SWITCH: "the switch"}


def law_of(point: Point) -> StateLaw:
    """The law of a point's design."""
    return parse_design(point.design).design.law(point.params)


def rows(point: Point) -> Iterator[Row]:
    """Everything counted at a point beside the law of its design."""
    law = law_of(point)
    for place, kinds in point.counts.items():
        amounts = law.of(place)
        for kind, (least, most) in kinds.items():
            aged = kind == LEARNED_FDB and point.exchange_s > AGEING_S
            wanted = None if aged else amounts[kind].at(point.nodes, point.containers)
            yield Row(point, place, kind, least, most, wanted)


def departures(points: Iterable[Point]) -> list[str]:
    """Where points are not as their designs declare, a sentence each."""
    told = []
    for point in points:
        told += [row.sentence() for row in rows(point) if not row.holds]
        if point.misses:
            told.append(f"{_size(point)}: {point.misses} pairs did not reach each other, and so learned nothing")
    return told


def _size(point: Point) -> str:
    return f"{point.spec}, {point.nodes} nodes, {point.containers} containers on each"


def document(run: Mapping[str, Any], points: Sequence[Point]) -> dict[str, Any]:
    """``state.json``: facts of the ``run``, laws, points, and the verdict on each design."""
    told = departures(points)
    designs = []
    for spec, some in by_spec(points).items():
        law = law_of(some[0])
        against = [text for text in told if text.startswith(f"{spec}, ")]
        designs.append({
            "spec": spec, "holds": not against, "departures": against,
            "law": {place: {kind: vars(growth) for kind, growth in law.of(place).items() if growth != Growth()}
                    for place in KINDS},
        })
    return {"format": STATE_FORMAT, **run, "designs": designs, "points": [point.document() for point in points]}


def by_spec(points: Iterable[Point]) -> dict[str, list[Point]]:
    """Points by design and parameters, in order."""
    found: dict[str, list[Point]] = {}
    for point in points:
        found.setdefault(point.spec, []).append(point)
    return found


def to_csv(points: Iterable[Point]) -> str:
    """Everything counted, a line a kind and point."""
    return csv_text(CSV_FIELDS, (
        {"design": point.spec, "nodes": point.nodes, "containers": point.containers, "of": row.place, "kind": row.kind,
         "least": row.least, "most": row.most, "law": "" if row.law is None else row.law}
        for point in points for row in rows(point)))


def table(points: Sequence[Point]) -> list[list[str]]:
    """Of each design a line for every kind of which there is any: the law in words, what was counted with the most
    containers at each number of nodes, and whether the law holds at all points."""
    sizes = sorted({point.nodes for point in points})
    lines = [["design", "of", "kind", "law", *(f"{size} nodes" for size in sizes), "verdict"]]
    for spec, some in by_spec(points).items():
        told = [row for point in some for row in rows(point)]
        law = law_of(some[0])
        largest = max(point.containers for point in some)
        for place, kinds in KINDS.items():
            for kind in kinds:
                here = [row for row in told if (row.place, row.kind) == (place, kind)]
                if not any(row.most or row.law for row in here):
                    continue
                seen = {row.point.nodes: str(row.most) for row in here if row.point.containers == largest}
                verdict = "holds" if all(row.holds for row in here) else "does not hold"
                lines.append([spec, place, kind, str(law.of(place)[kind]), *(seen.get(size, "-") for size in sizes),
                              verdict])
    return lines
