"""Who uses the CPUs: labs, the measuring program itself, or others.

What is busy comes from ``/proc/stat``, what labs use from their processes, ended ones included (a parent that waits
for its child takes over its times: proc(5), ``cutime``). The rest is others'. Time in interrupts belongs to nobody
there and counts as the labs'. ``/proc/stat`` is sampled by ticks on most kernels, so a difference over a second is
right to some hundredths of a CPU only; add up many. What a single lab's parts spend is ``emu.live.usage``'s to tell.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_KERNEL_THREADS = 2
"""The parent of all kernel threads."""


@dataclass(frozen=True)
class CpuTime:
    """CPU time over a while, in CPU seconds; ``wall_s`` in seconds. ``outside_s``: by processes of others, a bit below
    0 where the samples of ticks happen to miss some; ``steal_s``: taken by the hypervisor."""

    wall_s: float
    busy_s: float
    outside_s: float
    steal_s: float

    def __add__(self, other: CpuTime) -> CpuTime:
        return CpuTime(self.wall_s + other.wall_s, self.busy_s + other.busy_s, self.outside_s + other.outside_s,
                     self.steal_s + other.steal_s)


NONE = CpuTime(0, 0, 0, 0)


@dataclass(frozen=True)
class Process:
    """A line of ``/proc/PID/stat``: times in ticks, ``ended`` those of children that were waited for."""

    parent: int
    own: int
    ended: int


@dataclass(frozen=True)
class Snapshot:
    """CPU time since the machine started, in CPU seconds, at a monotonic time in seconds."""

    at_s: float
    processes_s: float
    interrupts_s: float
    steal_s: float
    known_s: float

    def since(self, earlier: Snapshot) -> CpuTime:
        """What was used between two snapshots."""
        processes_s = self.processes_s - earlier.processes_s
        return CpuTime(
            self.at_s - earlier.at_s,
            processes_s + self.interrupts_s - earlier.interrupts_s,
            processes_s - (self.known_s - earlier.known_s),
            self.steal_s - earlier.steal_s,
        )


def look(roots: Iterable[int]) -> Snapshot:
    """A snapshot now. ``roots``: the processes that those of labs descend from."""
    processes = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                processes[int(folder.name)] = parse_process((folder / "stat").read_text(errors="replace"))
            except OSError:  # it has ended meanwhile
                continue
    stat = Path("/proc/stat").read_text(encoding="ascii")
    return snapshot(time.monotonic(), stat, processes, os.getpid(), roots)


def snapshot(at_s: float, stat: str, processes: Mapping[int, Process], own: int, roots: Iterable[int]) -> Snapshot:
    """A snapshot from ``/proc/stat`` and all processes by number, of which ``own`` measures."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.split()[1:9])
    known = [process.own for pid, process in processes.items() if pid == own or process.parent == _KERNEL_THREADS]
    known += [processes[pid].own + processes[pid].ended for pid in _descending(processes, roots)]
    ticks = (user + nice + system, irq + softirq, steal, sum(known))
    return Snapshot(at_s, *(count / _TICKS_PER_S for count in ticks))


def _descending(processes: Mapping[int, Process], roots: Iterable[int]) -> set[int]:
    """``roots`` and all that descends from them."""
    found = {pid for pid in roots if pid in processes}
    more = found
    while more:
        more = {pid for pid, process in processes.items() if process.parent in more}
        found |= more
    return found


def parse_process(stat: str) -> Process:
    """A process from its ``/proc/PID/stat``; its name may hold anything, brackets too."""
    fields = stat.rpartition(")")[2].split()
    own, ended = (int(fields[i]) + int(fields[i + 1]) for i in (11, 13))
    return Process(int(fields[1]), own, ended)
