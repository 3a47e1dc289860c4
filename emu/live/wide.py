"""Machine-wide mode, a lab on the machine's own Open vSwitch: what tells it from everything else, and how it ends.

All that such a lab makes bears a mark, and whatever bears it is the lab's: names of namespaces are in a folder of their
own, processes are in these namespaces, the bridge has an external id, the machine's ends of links have an alias.
Nothing is written down, so nothing can be out of date: after ``kill -9``, too, the marks tell what is to go.

One at a time: the lab's owner holds a lock, which the kernel lets go when that process ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from emu.errors import EmuError, LabError
from emu.live.linux import unmount
from emu.live.process import run, wait_until

FOLDER = Path("/run/kubenet-emu-mn")
SPACES = FOLDER / "netns"
"""Where the lab's namespaces have their names: ``nsenter --net=/run/kubenet-emu-mn/netns/node-a``."""
MARK = "kubenet-emu-mn"
"""The bridge's external id, and the alias of links."""

OVS_TIMEOUT = "--timeout=10"
_LOCK = FOLDER / "lock"


@contextlib.contextmanager
def plainly() -> Iterator[None]:
    """Errors that a user is to read end the program: a line each on standard error, and their exit status."""
    try:
        yield
    except EmuError as error:
        for problem in error.problems:
            print(f"mn: {problem}", file=sys.stderr)
        raise SystemExit(error.exit_status) from None


def claim() -> int:
    """Take the lock: a descriptor that holds it until it is closed. ``LabError`` if another lab has it."""
    while True:
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):  # whoever had it has just taken the folder away
            descriptor = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                raise LabError("another machine-wide lab is running, and there is one at a time") from None
            if os.fstat(descriptor).st_nlink:
                return descriptor
            os.close(descriptor)


def release(descriptor: int) -> None:
    """Give the lock back. What the lab made has to be gone."""
    _LOCK.unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        FOLDER.rmdir()
    os.close(descriptor)


def clean() -> list[str]:
    """Remove what a lab left whose owner is gone; what that was, in words. A lab that runs is left alone."""
    if os.geteuid() != 0:
        return []
    try:
        descriptor = claim()
    except LabError:
        return []
    try:
        return remove()
    finally:
        release(descriptor)


def remove() -> list[str]:
    """Remove everything that bears the mark; what that was, in words. Whoever calls this holds the lock.

    Bridges are last, since Open vSwitch alone may not do what it is told: ``LabError`` then, with all else gone.
    """
    processes: set[int] = set()

    def ended() -> bool:
        running = _processes()
        processes.update(running)
        for pid in running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not running

    wait_until("the lab's processes to end", ended)
    links = _links()
    for link in links:
        run(("ip", "link", "delete", link))
    spaces = _spaces()
    for space in spaces:
        with contextlib.suppress(OSError):  # it had its name and not yet its namespace
            unmount(str(space))
        space.unlink()
    if SPACES.exists():
        SPACES.rmdir()
    for file in FOLDER.iterdir():
        if file != _LOCK:
            file.unlink()
    bridges = _remove_bridges()
    there = Counter({"process": len(processes), "bridge": len(bridges), "link": len(links), "namespace": len(spaces)})
    return [f"{number} {what}{'' if number == 1 else 'es' if what.endswith('s') else 's'}"
            for what, number in there.items() if number]


def _spaces() -> list[Path]:
    return sorted(SPACES.iterdir()) if SPACES.exists() else []


def _processes() -> list[int]:
    """Who is in one of the lab's namespaces."""
    ours = {_identity(space) for space in _spaces()}
    found = []
    for folder in Path("/proc").iterdir() if ours else ():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if _identity(folder / "ns/net") in ours:
                    found.append(int(folder.name))
    return found


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _remove_bridges() -> list[str]:
    """Remove them, and return when Open vSwitch has done so: the next lab must not meet what is left. Nothing is taken
    from the database while the daemon is down: it would never remove the bridge's own interface."""
    if not vswitch_runs():
        return []
    marked = ("find", "Bridge", f"external_ids:{MARK}!=''")  # of those that have it at all (ovs-vsctl(8))
    try:
        bridges = run(("ovs-vsctl", OVS_TIMEOUT, "--bare", "--columns=name", *marked)).split()
        if bridges:
            run(("ovs-appctl", OVS_TIMEOUT, "version"))
        for bridge in bridges:
            run(("ovs-vsctl", OVS_TIMEOUT, "--if-exists", "del-br", bridge))
    except LabError as error:
        raise LabError(f"a lab's bridge, if there is one, could not be removed, since Open vSwitch does not answer"
                       f" ({error}); all else of the lab is gone; mend: sudo systemctl restart openvswitch-switch, then"
                       " sudo ./run clean") from None
    return bridges


def vswitch_runs() -> bool:
    """Whether the machine's own Open vSwitch can be asked."""
    folder = Path(os.environ.get("OVS_RUNDIR", "/run/openvswitch"))
    return (folder / "db.sock").exists()


def _links() -> list[str]:
    return [link["ifname"] for link in json.loads(run(("ip", "-j", "link", "show"))) if link.get("ifalias") == MARK]
