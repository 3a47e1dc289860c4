"""Where the time of a round trip goes: the time between consecutive sightings of a packet, added up by what lies there.

All capture points share one clock, so that the difference of two time stamps is a time. What the kernel lets them say
(``emu.live.capture``): a frame is stamped once on its way in. ``in`` at a bridge, or at a tunnel device, bears the
stamp of the port or interface before it (or one that says no more), and is no point of its own here: what happens up
to there belongs to the stretch that follows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emu.errors import LabError, UsageError
from emu.live.servers import WEB_PORT
from emu.measure.results import spec_of
from emu.measure.stats import Estimate, block_medians, block_ratios, interval_entry, median_over_blocks
from emu.model import SWITCH, Hop, Plan
from emu.packets import ECHO_REPLY, ECHO_REQUEST
from emu.walk.join import Sighting

BUDGET_FORMAT = "emu-budget/1"

P99_FROM = 100
"""Exchanges that a p99 takes: of fewer it would be little else than the largest."""

FAR_STACK, UNEXPLAINED = "far stack", "unexplained"
SEGMENTS = (
    *("container veth", "bridge", "routing", "overlay device", "wire", "switch", "gateway"),
    *(FAR_STACK, UNEXPLAINED),
)
"""What time is spent on, in the order in which a packet first meets it.

- container veth: from a container's eth0 to its node's end of the pair, or back
- bridge: within a node, between ports of its bridge, or the bridge's own interface and a port
- routing: within a node that routes (TTL one less), from the interface the packet came in by to the next one
- overlay device: putting a packet into a tunnel, or taking it out and routing it on
- wire: from a node's uplink to the switch's port, or back
- switch, gateway: within the switch, which switches or routes (TTL one less)
- far stack: at the destination, from the request's last sighting to the answer's first
- unexplained: the round trip by the tool's clock less all of these: the sender's stack, and the tool itself
"""

Packet = Sequence[Sighting]
"""All sightings of a packet, from where it was made."""


@dataclass(frozen=True)
class Leg:
    """A stretch of a round trip, from one capture point and direction (``node-a:eth0 out``) to the next.

    ``direction``: ``there``, ``far`` (the far stack) or ``back``. ``segment``: one of ``SEGMENTS``.
    """

    direction: str
    start: str
    end: str
    segment: str


@dataclass(frozen=True)
class RoundTrip:
    """The declared way of a request and of its answer."""

    there: Sequence[Hop]
    back: Sequence[Hop]

    @property
    def points(self) -> tuple[str, ...]:
        """The capture points on the way, each once."""
        return tuple(dict.fromkeys(hop.point for hop in (*self.there, *self.back)))

    @property
    def legs(self) -> tuple[Leg, ...]:
        """The stretches of the round trip in order. The far stack begins where the request arrives."""
        there, back = ([path[index] for index in _stamped(path)] for path in (self.there, self.back))
        return (
            *(Leg("there", _words(a), _words(b), _segment(a, b)) for a, b in pairwise(there)),
            Leg("far", _words(there[-1]), _words(back[0]), FAR_STACK),
            *(Leg("back", _words(a), _words(b), _segment(a, b)) for a, b in pairwise(back)),
        )

    def times_us(self, asked: Packet, answered: Packet) -> tuple[float, ...]:
        """What a request and its answer spent on each of ``legs``. ``LabError`` if one left its declared way."""
        stamps = (*_stamps_ns(self.there, asked), *_stamps_ns(self.back, answered))
        return tuple((later - earlier) / 1000 for earlier, later in pairwise(stamps))


def _stamped(path: Sequence[Hop]) -> list[int]:
    """Indices of the hops with a time stamp of their own: all but those to which a frame is handed up."""
    handed_up = (a.machine == b.machine and a.direction == b.direction == "in" for a, b in pairwise(path))
    return [0, *(index for index, without in enumerate(handed_up, 1) if not without)]


def _words(hop: Hop) -> str:
    return f"{hop.point} {hop.direction}"


def _segment(before: Hop, after: Hop) -> str:
    if before.machine != after.machine:
        return "wire" if SWITCH in (before.machine, after.machine) else "container veth"
    if before.machine == SWITCH:
        return "switch" if before.ttl == after.ttl else "gateway"
    if (before.outer is None) != (after.outer is None):
        return "overlay device"
    return "bridge" if before.ttl == after.ttl else "routing"


def _stamps_ns(path: Sequence[Hop], packet: Packet) -> list[int]:
    seen = [f"{sighting.frame.at} {sighting.frame.direction}" for sighting in packet]
    if seen != [_words(hop) for hop in path]:
        raise LabError(f"a packet left its declared way: seen at {', '.join(seen)}")
    return [packet[index].frame.t_ns for index in _stamped(path)]


def exchanges(request: str, packets: Sequence[Packet]) -> dict[int, tuple[Packet, Packet]]:
    """Requests and their answers among ``packets`` (as ``emu.walk.join`` gives them), by what a tool can name.

    ``ping``: an echo request and its reply, by sequence number. ``http``: over each connection the first segment with
    data from the client and the first from the server, by the client's port. A request without an answer is left out.
    """
    asked: dict[int, Packet] = {}
    answered: dict[int, Packet] = {}
    for packet in packets:
        role = _ROLES[request](packet[0].frame.inner)
        if role is not None:
            is_answer, name = role
            (answered if is_answer else asked).setdefault(name, packet)
    return {name: (asked[name], answered[name]) for name in asked if name in answered}


def _echo_role(fields: Mapping[str, Any]) -> tuple[bool, int] | None:
    kind = fields.get("icmp.type")
    return (kind == ECHO_REPLY, fields["icmp.seq"]) if kind in (ECHO_REQUEST, ECHO_REPLY) else None


def _web_role(fields: Mapping[str, Any]) -> tuple[bool, int] | None:
    if not fields.get("tcp.len"):
        return None
    is_answer = fields["tcp.sport"] == WEB_PORT
    return is_answer, fields["tcp.dport" if is_answer else "tcp.sport"]


_ROLES: Mapping[str, Callable[[Mapping[str, Any]], tuple[bool, int] | None]] = {"ping": _echo_role, "http": _web_role}
"""From a packet's fields: whether it is an answer, and of which exchange; ``None`` if it is of none."""

REQUESTS = tuple(_ROLES)


@dataclass(frozen=True)
class Batch:
    """The exchanges of one run of a tool, in microseconds.

    ``round_trips_us``: by the tool's clock. ``legs_us``: what each exchange spent on each leg; empty if nothing was
    captured meanwhile.
    """

    block: int
    round_trips_us: Sequence[float]
    legs_us: Sequence[Sequence[float]] = ()

    @property
    def was_captured(self) -> bool:
        return bool(self.legs_us)


@dataclass(frozen=True)
class Spent:
    """The time spent on one leg, or in one segment, over ``n`` exchanges. ``p99_us``: ``None`` below ``P99_FROM``."""

    median_us: float
    p99_us: float | None
    n: int

    def entry(self) -> dict[str, float]:
        """These figures as they stand in ``budget.json``: without a p99 where there is none."""
        return {name: value for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Budget:
    """Where the time of round trips between two machines went.

    ``hops``: every leg in order. ``segments``: per segment the sum over its legs (of each exchange, so that its median
    is not the sum of the legs' medians), in the order of ``SEGMENTS``. ``round_trip``: by the tool's clock while
    capturing, in microseconds, as a median over blocks; ``uncaptured``: while not; ``capture_cost``: the first over the
    second of the same block. ``conditions``: ``nodes``, ``scenario`` and ``datapath``, as in ``run.json``.
    """

    design: str
    params: Mapping[str, str]
    src: str
    dst: str
    request: str
    conditions: Mapping[str, Any]
    blocks: int
    hops: tuple[tuple[Leg, Spent], ...]
    segments: Mapping[str, Spent]
    round_trip: Estimate
    uncaptured: Estimate
    capture_cost: Estimate

    @property
    def spec(self) -> str:
        """The design and its parameters in the words of the command line."""
        return spec_of(self.design, self.params)

    @property
    def repeats(self) -> int:
        """How many exchanges were captured."""
        return self.segments[UNEXPLAINED].n

    @property
    def largest(self) -> str:
        """The segment with the largest median, the unexplained part aside."""
        return max((name for name in self.segments if name != UNEXPLAINED), key=lambda n: self.segments[n].median_us)

    def entry(self) -> dict[str, Any]:
        """This budget as an entry of ``budget.json``."""
        return {
            "design": self.design, "params": dict(self.params), "src": self.src, "dst": self.dst,
            "request": self.request, "conditions": dict(self.conditions), "blocks": self.blocks,
            "round_trip_us": _estimate_entry(self.round_trip),
            "round_trip_uncaptured_us": _estimate_entry(self.uncaptured),
            "capture_cost": _estimate_entry(self.capture_cost),
            "hops": [{**asdict(leg), **spent.entry()} for leg, spent in self.hops],
            "segments": [{"segment": name, **spent.entry()} for name, spent in self.segments.items()],
        }


def _estimate_entry(estimate: Estimate) -> dict[str, float]:
    return {"value": estimate.value, **interval_entry(estimate)}


def _estimate(entry: Mapping[str, float]) -> Estimate:
    return Estimate(entry["value"], entry.get("ci_low"), entry.get("ci_high"))


def document(budgets: Sequence[Budget]) -> dict[str, Any]:
    """``budget.json`` as plain dictionaries, lists, strings and numbers."""
    return {"format": BUDGET_FORMAT, "budgets": [budget.entry() for budget in budgets]}


def read(stored: Any) -> list[Budget]:
    """The budgets of a document, as read from JSON; ``UsageError`` if it is none."""
    if not isinstance(stored, dict) or stored.get("format") != BUDGET_FORMAT:
        raise UsageError(f"not of the format {BUDGET_FORMAT}")
    try:
        return [_budget(entry) for entry in stored["budgets"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"not a whole budget: {type(error).__name__}: {error}") from None


def _budget(entry: Mapping[str, Any]) -> Budget:
    def spent(row: Mapping[str, Any]) -> Spent:
        return Spent(row["median_us"], row.get("p99_us"), row["n"])

    return Budget(
        **{name: entry[name] for name in ("design", "params", "src", "dst", "request", "conditions", "blocks")},
        hops=tuple((Leg(r["direction"], r["start"], r["end"], r["segment"]), spent(r)) for r in entry["hops"]),
        segments={row["segment"]: spent(row) for row in entry["segments"]},
        round_trip=_estimate(entry["round_trip_us"]),
        uncaptured=_estimate(entry["round_trip_uncaptured_us"]),
        capture_cost=_estimate(entry["capture_cost"]),
    )


def account(plan: Plan, ends: tuple[str, str], request: str, legs: Sequence[Leg], batches: Sequence[Batch],
            datapath: str) -> Budget:
    """The budget that ``batches`` of requests between the machines ``ends`` add up to.

    Each block has a batch with capture and one without.
    """
    captured = [batch for batch in batches if batch.was_captured]
    times_us = np.array([times for batch in captured for times in batch.legs_us])
    totals_us = np.array([rtt_us for batch in captured for rtt_us in batch.round_trips_us])
    columns = {name: [i for i, leg in enumerate(legs) if leg.segment == name] for name in SEGMENTS}
    sums_us = {name: times_us[:, legs_of].sum(axis=1) for name, legs_of in columns.items() if legs_of}
    sums_us[UNEXPLAINED] = totals_us - times_us.sum(axis=1)
    on, off = (
        block_medians({batch.block: list(batch.round_trips_us) for batch in batches if batch.was_captured == was})
        for was in (True, False)
    )
    return Budget(
        plan.design, plan.params, *ends, request,
        conditions={"nodes": len(plan.nodes), "scenario": plan.scenario.document(), "datapath": datapath},
        blocks=len(on),
        hops=tuple((leg, _spent(times_us[:, index])) for index, leg in enumerate(legs)),
        segments={name: _spent(values) for name, values in sums_us.items()},
        round_trip=median_over_blocks(np.array(list(on.values()))),
        uncaptured=median_over_blocks(np.array(list(off.values()))),
        capture_cost=median_over_blocks(block_ratios(on, off)),
    )


def _spent(values_us: NDArray[np.float64]) -> Spent:
    p99_us = float(np.quantile(values_us, 0.99)) if values_us.size >= P99_FROM else None
    return Spent(float(np.median(values_us)), p99_us, values_us.size)
