"""What a trial cost: CPU time by part, bytes on the underlay, memory. From two snapshots of a lab, pure.

A cost is per byte of payload that arrived, or per transaction that was answered, of the tools' whole run: their warm-up
is in both the time and the count. What could not be measured is absent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from emu.live.usage import LabUsage
from emu.measure.metrics import COST_PARTS, PER_BYTE, Reading

if TYPE_CHECKING:
    from emu.live.lab import Completed

PROCESSES = ("client", "server", "switch", "controller")


@dataclass(frozen=True)
class Amount:
    """What a workload's costs are divided by. ``metric``: ``cpu_per_byte`` or ``cpu_per_transaction``."""

    metric: str
    count: Callable[[Sequence[Completed]], int]

    @property
    def metrics(self) -> tuple[str, ...]:
        """All metrics that come from it."""
        more = ("underlay_bytes", "memory_switch", "memory_controller") if self.metric == PER_BYTE else ()
        return (self.metric, *(f"{self.metric}_{part}" for part in COST_PARTS), *more)


def spent_ns(before: LabUsage, after: LabUsage) -> dict[str, int]:
    """CPU time of each part between two snapshots, in ns; a part that cannot be told is left out."""
    spent = {part: after.cpu_ns[part] - start for part, start in before.cpu_ns.items() if part in after.cpu_ns}
    if before.servers_ns and before.servers_ns.keys() == after.servers_ns.keys():
        spent["server"] = sum(after.servers_ns.values()) - sum(before.servers_ns.values())
    return spent


def costs(metric: str, count: int, before: LabUsage, after: LabUsage) -> list[Reading]:
    """The costs of ``count`` bytes or transactions. ``metric`` alone is the sum over the processes, with softirq time
    where the kernel keeps it apart from theirs; it is left out where one of these is not known."""
    if count <= 0:
        return []
    spent = spent_ns(before, after)
    readings = [Reading(f"{metric}_{part}", ns / count) for part, ns in spent.items()]
    summed = (*PROCESSES, "softirq") if after.softirq_apart else PROCESSES
    if after.softirq_apart is not None and spent.keys() >= set(summed):
        readings.append(Reading(metric, sum(spent[part] for part in summed) / count))
    if metric == PER_BYTE:
        readings.append(Reading("underlay_bytes", (after.sent_bytes - before.sent_bytes) / count))
        readings += [Reading(f"memory_{part}", size) for part, size in after.memory_bytes.items()]
    return readings
