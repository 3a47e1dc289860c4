"""Who uses the CPUs: labs, the measuring program itself, or others.

What processes use comes from their own times, ended ones included (a parent that waits for its child takes over its
times: proc(5), ``cutime``): the scheduler's exact sums, told to 10 ms (``cputime_adjust`` in kernel/sched/cputime.c).
What is busy in all comes from ``/proc/stat``, which most kernels sample by ticks: what wakes with the tick, as a ping
by a timer does, is seen there half a CPU too often or too rarely, so the two are never subtracted from each other. What
a single lab's parts spend is ``emu.live.usage``'s to tell.
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
    """CPU time over a while, in CPU seconds; ``wall_s`` in seconds. ``busy_s``: all there was; ``outside_s``: by
    processes of others; ``steal_s``: taken by the hypervisor."""

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
    """CPU time since the machine started, in CPU seconds, at a monotonic time in seconds. ``labs_s``: by processes of
    labs; ``others_s``: by process, of those that are neither a lab's nor the kernel's, nor the one that measures."""

    at_s: float
    busy_s: float
    steal_s: float
    labs_s: float
    others_s: Mapping[int, float]

    def since(self, earlier: Snapshot) -> CpuTime:
        """What was used between two snapshots. A process that has ended meanwhile is in its parent's time, or, where
        nobody waited for it, in no one's."""
        outside_s = sum(used_s - earlier.others_s.get(pid, 0.0) for pid, used_s in self.others_s.items())
        gone_s = sum(used_s for pid, used_s in earlier.others_s.items() if pid not in self.others_s)
        return CpuTime(
            self.at_s - earlier.at_s,
            self.busy_s - earlier.busy_s,
            max(0.0, outside_s - gone_s),
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
    labs = _descending(processes, roots)
    used_s = {pid: (process.own + process.ended) / _TICKS_PER_S for pid, process in processes.items()}
    others_s = {pid: used for pid, used in used_s.items() if pid not in labs and pid not in (own, _KERNEL_THREADS)
                and processes[pid].parent != _KERNEL_THREADS}
    busy, stolen = (user + nice + system + irq + softirq) / _TICKS_PER_S, steal / _TICKS_PER_S
    return Snapshot(at_s, busy, stolen, sum(used_s[pid] for pid in labs), others_s)


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
