"""Who used the CPUs while trials ran, and what that says of a run. Pure.

``run.json`` keeps it under ``usage``, an entry a block and workload, all designs together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from emu.live.cpu import NONE, CpuTime
from emu.measure.blocks import Trial
from emu.measure.verdict import Reason

MOST_OUTSIDE_CPUS = 0.15
"""CPUs that others may use on average. A quiet machine's daemons use some hundredths of one; a busy program takes one,
or its share of those there are."""
MOST_STEAL_CPUS = 0.02
CPU_BOUND = 0.9
"""Share of all CPUs kept busy from which on the machine, and no link, sets the limit."""

Entries = Sequence[Mapping[str, Any]]


def record(entries: list[dict[str, Any]], trial: Trial, used: CpuTime) -> None:
    """Add what was used during a trial to the last of ``entries``, or to a new one."""
    kind = {"block": trial.block, "workload": trial.workload}
    if entries and kind.items() <= entries[-1].items():
        used = _cpu_time(entries.pop()) + used
    entries.append({**kind, **asdict(used)})


def reasons(entries: Entries) -> list[Reason]:
    """What speaks against a run: CPUs that others, or the hypervisor, have taken."""
    used = sum(map(_cpu_time, entries), start=NONE)
    if not used.wall_s:
        return []
    outside, steal = used.outside_s / used.wall_s, used.steal_s / used.wall_s
    found = []
    if outside > MOST_OUTSIDE_CPUS:
        text = f"processes outside the labs used {outside:.2f} CPUs while trials ran"
        found.append(Reason(text, "CPU used by others"))
    if steal > MOST_STEAL_CPUS:
        found.append(Reason(f"the hypervisor took {steal:.2f} CPUs away while trials ran (steal)", "CPU stolen"))
    return found


def notes(entries: Entries, cpus: int | None) -> list[str]:
    """Which workloads had the labs use all CPUs there are: a fact, and no fault."""
    bound = []
    for workload in dict.fromkeys(entry["workload"] for entry in entries):
        used = sum((_cpu_time(entry) for entry in entries if entry["workload"] == workload), start=NONE)
        share = (used.busy_s - max(0.0, used.outside_s)) / (used.wall_s * cpus) if cpus and used.wall_s else 0
        if share >= CPU_BOUND:
            bound.append(f"{workload} ({share:.0%})")
    return [f"CPU-bound: the labs kept all CPUs busy under {', '.join(bound)}"] if bound else []


def _cpu_time(entry: Mapping[str, Any]) -> CpuTime:
    return CpuTime(**{name: entry[name] for name in CpuTime.__dataclass_fields__})
