"""The machine seen from outside of all labs, and how tests call the command line."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from emu.live.tree import RunningTree, running_trees

CHECKOUT = Path(__file__).resolve().parents[2]
LEFT_AFTER_S = 5.0
"""When a machine is judged after a lab's end, by the contract. One in software emulation, where Python alone takes
half a second to start, gets more in proportion."""
PYTHON_STARTS_IN_S = 0.05

_OURS = ("emu.live", "-m emu", "-m controllers", "ovs-vswitchd", "ovsdb-server", "kubenet")


def emu_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "emu", *words]


def emu(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(emu_command(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def wait_for(what: str, condition: Callable[[], bool], deadline_s: float = 300.0) -> None:
    """Wait for a condition; the deadline detects hangs and is far beyond anything usual."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.05)


def our_labs() -> list[RunningTree]:
    """Labs that this very process has started: it, unshare, the lab's init."""
    return [tree for tree in running_trees() if parent_of(parent_of(tree.init_pid)) == os.getpid()]


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("PPid:")))


def assert_nothing_left(before: Snapshot) -> None:
    """Nothing is new on the machine, five seconds after the end of a lab at the latest."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    slower = max(1.0, (time.monotonic() - begun) / PYTHON_STARTS_IN_S)
    while (left := before.leftovers()) and time.monotonic() - begun < LEFT_AFTER_S * slower:
        time.sleep(0.05)
    assert not left, f"left behind: {left}"


@dataclass(frozen=True)
class Snapshot:
    """All that a lab could leave behind: namespaces, mounts, processes, links, sysctls, files."""

    namespaces: frozenset[str]
    mounts: frozenset[str]
    processes: frozenset[str]
    links: frozenset[str]
    sysctls: frozenset[str]
    files: frozenset[str]

    def leftovers(self) -> dict[str, set[str]]:
        """What is there now and was not when this snapshot was taken."""
        now = vars(Snapshot.take())
        return {what: new for what, seen in vars(self).items() if (new := {*now[what]} - {*seen})}

    @staticmethod
    def take() -> Snapshot:
        namespaces, processes = set(), set()
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                namespaces |= {str((folder / "ns" / kind).readlink()) for kind in ("net", "mnt", "pid")}
            except OSError:  # gone meanwhile, or another user's
                continue
            if any(mark in words for mark in _OURS):
                processes.add(f"{folder.name} {words}")
        folders = (Path("/run"), Path("/tmp"), Path("/var/run/netns"), CHECKOUT, Path.home())
        return Snapshot(
            frozenset(namespaces),
            frozenset(Path("/proc/self/mounts").read_text().splitlines()),
            frozenset(processes),
            frozenset(
                subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
            ),
            frozenset(
                f"{name}={Path(f'/proc/sys/{name}').read_text()}"
                for name in (
                    "net/core/rmem_max",
                    "net/core/rmem_default",
                    "net/ipv4/ip_forward",
                    "kernel/pty/max",
                    "net/ipv4/conf/all/rp_filter",
                )
            ),
            frozenset(str(path) for folder in folders if folder.exists() for path in folder.iterdir()),
        )
