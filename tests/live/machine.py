"""The machine seen from outside of labs, and how tests call the command line."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from emu.live.buffers import FOLDER as BUFFERS
from emu.live.readings import tree_command
from emu.live.tree import RunningTree, running_trees
from tests.live.apart import CHECKOUT

LEFT_AFTER_S = 5.0
"""When a machine is judged after a lab's end, by the contract. One in software emulation, where Python alone takes
half a second to start, gets more in proportion."""
PYTHON_STARTS_IN_S = 0.05

SYSCTLS = ("net/core/rmem_max", "net/core/rmem_default", "net/ipv4/ip_forward", "kernel/pty/max",
           "net/ipv4/conf/all/rp_filter")


def emu_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "emu", *words]


def emu(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(emu_command(*words), capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)


def emu_alone(*words: str) -> list[str]:
    """A command that sees no labs but its own: /proc, where they are found, is that of new process namespaces."""
    return [*tree_command(os.geteuid() == 0), *emu_command(*words)]


def wait_for(what: str, condition: Callable[[], bool], deadline_s: float = 300.0) -> None:
    """Wait for a condition; the deadline detects hangs and is far beyond anything usual."""
    end = time.monotonic() + deadline_s
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.05)


def skip_without_framework(sdn: str) -> None:
    """Skip where Ryu (``ryu``) or os-ken is not installed for this Python."""
    if importlib.util.find_spec(sdn.replace("-", "_")) is None:
        pytest.skip(f"{sdn} is not installed for this Python")


def our_labs() -> list[RunningTree]:
    """Labs that this very process has started: it, unshare, the lab's init."""
    return [tree for tree in running_trees() if parent_of(parent_of(tree.init_pid)) == os.getpid()]


def parent_of(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in status if line.startswith("PPid:")))


def assert_nothing_left(before: Snapshot) -> None:
    """Nothing of ours is new on the machine, five seconds after the end of a lab at the latest."""
    begun = time.monotonic()
    subprocess.run([sys.executable, "-c", ""], check=True)
    slower = max(1.0, (time.monotonic() - begun) / PYTHON_STARTS_IN_S)
    while (left := before.leftovers()) and time.monotonic() - begun < LEFT_AFTER_S * slower:
        time.sleep(0.05)
    assert not left, f"left behind: {left}"


@dataclass(frozen=True)
class Snapshot:
    """All that what this process starts could leave behind: processes and their namespaces, mounts, links, sysctls,
    files. Labs of others may come and go beside it."""

    processes: frozenset[str]
    namespaces: frozenset[str]
    mounts: frozenset[str]
    links: frozenset[str]
    sysctls: frozenset[str]
    files: frozenset[str]

    def leftovers(self) -> dict[str, set[str]]:
        """What is there now and was not when this snapshot was taken."""
        now = vars(Snapshot.take())
        return {what: new for what, seen in vars(self).items() if (new := {*now[what]} - {*seen})}

    @staticmethod
    def take() -> Snapshot:
        pids = [pid for pid in descendants(os.getppid()) if pid not in (os.getpid(), os.getppid())]
        processes = {pid: words for pid in pids if (words := words_of(pid))}  # one that is dead has none
        in_use = buffers_are_in_use()
        folders = (Path("/run"), Path("/tmp"), Path("/var/run/netns"), CHECKOUT, Path.home())
        return Snapshot(
            frozenset(f"{pid} {words}" for pid, words in processes.items()),
            frozenset(name for pid in (os.getpid(), *processes) for name in namespaces_of(pid)),
            frozenset(Path("/proc/self/mounts").read_text().splitlines()),
            frozenset(
                subprocess.run(["ip", "-br", "link"], capture_output=True, text=True, check=True).stdout.splitlines()
            ),
            frozenset(f"{name}={sysctl(name, in_use)}" for name in SYSCTLS),
            frozenset(str(path) for folder in folders if folder.exists() for path in folder.iterdir()
                      if may_be_ours(path) and not (in_use and path == BUFFERS)),
        )


def descendants(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            found += [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:  # it has ended meanwhile
            continue
    return found


def words_of(pid: int) -> str:
    """A process's command; empty where it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""


def namespaces_of(pid: int) -> set[str]:
    try:
        return {str(Path(f"/proc/{pid}/ns/{kind}").readlink()) for kind in ("net", "mnt", "pid")}
    except OSError:  # it has ended meanwhile
        return set()


def buffers_are_in_use() -> bool:
    """Whether some lab's keeper, which may be anybody's, holds the lock that keeps socket buffers raised. Looked up and
    not tried: whoever ends meanwhile would take this for a lab."""
    try:
        inode = (BUFFERS / "users").stat().st_ino
    except OSError:
        return False
    return any(f":{inode} " in line for line in Path("/proc/locks").read_text().splitlines())


def sysctl(name: str, in_use: bool) -> str:
    """A sysctl, or what it will be again when the last lab that has raised it is gone."""
    with contextlib.suppress(OSError, KeyError, ValueError):
        if in_use:
            return str(json.loads((BUFFERS / "saved.json").read_text())[Path(name).name])
    return Path(f"/proc/sys/{name}").read_text().strip()


def may_be_ours(path: Path) -> bool:
    """Whether something in a folder that others use too can have been made by what this process starts: an ordinary
    user makes nothing in another's name, and the runs of other files of tests end meanwhile, with pytest's cache."""
    if path.name == ".pytest_cache":
        return False
    try:
        return os.geteuid() == 0 or path.lstat().st_uid == os.geteuid()
    except OSError:  # gone meanwhile
        return False
