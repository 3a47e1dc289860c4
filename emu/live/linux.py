"""The few system calls that Python (before 3.12) has no name for: namespaces and mounts."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CAP_NET_RAW = 13
CLONE_NEWNET = 0x40000000
MNT_DETACH = 2
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
PR_SET_PDEATHSIG = 1

NAMESPACE_FOLDER = Path("/run/netns")
"""Where iproute2 keeps names of namespaces, so that ``ip netns exec NAME`` works inside a lab."""

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def mount(source: str, target: str, fstype: str | None = None, flags: int = 0, options: str | None = None) -> None:
    """mount(2). Raises ``OSError``."""
    encoded = [None if text is None else text.encode() for text in (source, target, fstype, options)]
    _check(_libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3]), f"mount on {target}")


def unmount(target: str) -> None:
    """umount2(2); who is still using what was mounted there keeps it. Raises ``OSError``."""
    _check(_libc.umount2(target.encode(), MNT_DETACH), f"umount of {target}")


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send this process a signal when its parent ends (prctl(2), PR_SET_PDEATHSIG)."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal_number), 0, 0, 0), "prctl")


def has_capability(number: int) -> bool:
    """Whether this process has a capability in effect (capabilities(7))."""
    status = Path("/proc/self/status").read_text().splitlines()
    effective = next(line.split()[1] for line in status if line.startswith("CapEff:"))
    return bool(int(effective, 16) >> number & 1)


def new_network_namespace() -> int:
    """A file descriptor of a new network namespace; the calling thread stays in its own."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.unshare(CLONE_NEWNET), "unshare")
        try:
            return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
    finally:
        os.close(home)


@contextmanager
def network_namespace(descriptor: int) -> Iterator[None]:
    """The calling thread inside another network namespace. Sockets made within stay there for good."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        _check(_libc.setns(descriptor, CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            _check(_libc.setns(home, CLONE_NEWNET), "setns")
    finally:
        os.close(home)
