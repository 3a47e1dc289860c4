"""What is measured: every metric's name, unit and better direction, and the values that workloads read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A measured quantity. ``better`` is ``higher`` or ``lower``; ``is_cost``: its ratio to bare says what a design
    costs (``loss``, or what an idle controller spends, are 0 in a healthy run: these and parts have no ratio)."""

    name: str
    unit: str
    better: str
    is_cost: bool


PER_BYTE, PER_TRANSACTION = "cpu_per_byte", "cpu_per_transaction"
COST_PARTS = ("client", "server", "switch", "controller", "softirq")

METRICS = {
    metric.name: metric
    for metric in (
        Metric("rtt", "us", "lower", is_cost=True),
        Metric("latency", "us", "lower", is_cost=True),
        Metric("rate", "1/s", "higher", is_cost=True),
        Metric("throughput", "bit/s", "higher", is_cost=True),
        Metric("loss", "1", "lower", is_cost=False),
        Metric("retransmits", "1", "lower", is_cost=False),
        Metric("packet_size", "B", "lower", is_cost=False),
        *(Metric(name, "ns", "lower", is_cost=True) for name in (PER_BYTE, PER_TRANSACTION)),
        *(Metric(f"{name}_{part}", "ns", "lower", is_cost=False)
          for name in (PER_BYTE, PER_TRANSACTION) for part in COST_PARTS),
        Metric("underlay_bytes", "1", "lower", is_cost=True),
        Metric("memory_switch", "B", "lower", is_cost=False),
        Metric("memory_controller", "B", "lower", is_cost=False),
    )
}
"""``rtt``: one packet there and back. ``latency``: one request and its answer. ``retransmits``: share of the
segments sent. ``packet_size``: bytes per frame that the sender handed to its interface, Ethernet header included.
``cpu_per_...``: CPU time of all the lab's processes, and of each part. ``underlay_bytes``: bytes that nodes sent on the
underlay per byte of payload. ``memory_...``: resident."""


@dataclass(frozen=True)
class Reading:
    """One value of one metric, in the unit that ``METRICS`` gives it."""

    metric: str
    value: float


def spread_evenly(histogram: Sequence[tuple[float, int]], keep: int) -> list[float]:
    """At most ``keep`` values that stand for the whole ``histogram`` of (value, count) pairs.

    A small histogram is expanded as it is. Of a large one the values at ``keep`` evenly spaced ranks are taken,
    so quantiles stay what they were to within half a rank. Raises ``ValueError`` on an empty histogram.
    """
    rows = sorted((value, count) for value, count in histogram if count > 0)
    total = sum(count for _, count in rows)
    if total == 0:
        raise ValueError("an empty histogram has no values")
    ranks = range(total) if total <= keep else [int((i + 0.5) * total / keep) for i in range(keep)]
    values: list[float] = []
    seen, row = 0, 0
    for rank in ranks:
        while seen + rows[row][1] <= rank:
            seen += rows[row][1]
            row += 1
        values.append(rows[row][0])
    return values
