"""What a lab has used so far: CPU time by part, memory, bytes on the underlay. Two snapshots tell what lies between.

Processes are asked by their CPU clock (``clock_getcpuclockid(3)``, ns, ended threads included), clients by what the
kernel has added up for children that have ended (``getrusage(2)``, us). Softirq time is the whole machine's and comes
in ticks (``/proc/stat``, usually 10 ms). Whether others use the machine meanwhile is ``emu.live.cpu``'s to tell.
"""

from __future__ import annotations

import gzip
import os
import platform
import resource
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CPUCLOCK_SCHED = 2  # include/linux/posix-timers.h: a process's clock is (~pid << 3) | 2


@dataclass(frozen=True)
class LabUsage:
    """A snapshot of what a lab has used so far. What could not be read is absent.

    ``cpu_ns``: ``client`` (commands that have ended), ``switch`` (with the programs of the plan: those of
    tunnels carry packets as it does), ``controller`` and ``softirq`` (the machine's).
    ``servers_ns``: process number -> CPU time. ``memory_bytes``: resident, of ``switch`` and ``controller``.
    ``sent_bytes``: what all nodes together have sent on the underlay. ``softirq_apart``: whether this kernel keeps
    softirq time out of the processes it interrupts; ``None``: not known.
    """

    cpu_ns: Mapping[str, int]
    servers_ns: Mapping[int, int]
    memory_bytes: Mapping[str, int]
    sent_bytes: int
    softirq_apart: bool | None


def take(processes: Mapping[str, int], servers: Iterable[int], sent_bytes: int,
         programs: Iterable[int] = ()) -> LabUsage:
    """A snapshot of ``processes`` (part -> process number), of ``servers``, of the calling process's children, and of
    ``programs``, whose time counts with the switch's."""
    cpu_ns = {part: spent for part, pid in processes.items() if (spent := _cpu_ns(pid)) is not None}
    if "switch" in cpu_ns:
        cpu_ns["switch"] += sum(_cpu_ns(pid) or 0 for pid in programs)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_ns["client"] = round((children.ru_utime + children.ru_stime) * 1e9)
    softirq_ns = _softirq_ns(Path("/proc/stat"))
    if softirq_ns is not None:
        cpu_ns["softirq"] = softirq_ns
    return LabUsage(
        cpu_ns,
        {pid: spent for pid in servers if (spent := _cpu_ns(pid)) is not None},
        {part: size for part, pid in processes.items() if (size := _resident_bytes(pid)) is not None},
        sent_bytes,
        softirq_apart(platform.release()),
    )


def _cpu_ns(pid: int) -> int | None:
    with suppress(OSError):
        return time.clock_gettime_ns((~pid << 3) | _CPUCLOCK_SCHED)
    return None


def _resident_bytes(pid: int) -> int | None:
    with suppress(OSError, IndexError, ValueError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return None


def _softirq_ns(stat: Path) -> int | None:
    """``proc(5)``: the seventh number of the first line."""
    with suppress(OSError, IndexError, ValueError):
        words = stat.read_text().split(maxsplit=8)
        return int(words[7]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return None


def softirq_apart(release: str, root: Path = Path("/")) -> bool | None:
    """Whether a kernel was built to keep softirq time apart (``CONFIG_IRQ_TIME_ACCOUNTING``); ``None`` if its
    configuration is nowhere to be read."""
    with suppress(OSError):
        return "CONFIG_IRQ_TIME_ACCOUNTING=y" in (root / f"boot/config-{release}").read_text().splitlines()
    with suppress(OSError):
        packed = (root / "proc/config.gz").read_bytes()
        return b"CONFIG_IRQ_TIME_ACCOUNTING=y" in gzip.decompress(packed).splitlines()
    return None
