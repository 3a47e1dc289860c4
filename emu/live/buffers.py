"""Larger default socket buffers while labs run, as root.

Open vSwitch's userspace datapath reads its ports through packet sockets; with the kernel's default buffer it
drops bursts, tens of thousands of retransmits a few seconds. The two sysctls are the whole machine's (they
cannot be set in a namespace), so a keeper process in a session of its own holds what was there first and
restores it when the last user is gone. Users are counted by the kernel: each holds a shared lock on one file,
which no way of dying leaves behind; the keeper waits for the exclusive one.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emu.live.process import wait_until

FOLDER = Path("/run/kubenet-emu")
WANTED_BYTES = 32 << 20
SYSCTLS = {name: Path(f"/proc/sys/net/core/{name}") for name in ("rmem_max", "rmem_default")}
_USERS, _GATE, _SAVED = FOLDER / "users", FOLDER / "gate", FOLDER / "saved.json"


@contextmanager
def large_buffers() -> Iterator[None]:
    """Raised buffers for as long as the context lasts. Without root nothing is changed."""
    if os.geteuid() != 0:
        yield
        return
    FOLDER.mkdir(mode=0o755, exist_ok=True)
    users = _lock_shared()
    try:
        yield
    finally:
        os.close(users)
        # The keeper restores. If it was killed, or is late, this does.
        with contextlib.suppress(OSError):
            wait_until("the keeper to restore", lambda: not _SAVED.exists() or _in_use(), 2.0)
        restore_if_unused()


def _lock_shared() -> int:
    with _gate():
        users = os.open(_USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(users, fcntl.LOCK_SH)
        if not _SAVED.exists():
            temporary = _SAVED.with_suffix(".new")
            temporary.write_text(json.dumps({name: path.read_text().strip() for name, path in SYSCTLS.items()}))
            temporary.rename(_SAVED)
            subprocess.Popen([sys.executable, "-m", "emu.live.buffers"], start_new_session=True, cwd="/",
                             stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for path in SYSCTLS.values():
            if int(path.read_text()) < WANTED_BYTES:
                path.write_text(str(WANTED_BYTES))
    return users


@contextmanager
def _gate() -> Iterator[None]:
    """One at a time decides who is first and who is last."""
    descriptor = os.open(_GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _in_use() -> bool:
    descriptor = os.open(_USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def restore_if_unused() -> bool:
    """Put back what was there first, unless somebody still uses it; whether something was put back."""
    if os.geteuid() != 0 or not FOLDER.exists():
        return False
    with _gate():
        if _in_use() or not _SAVED.exists():
            return False
        for name, value in json.loads(_SAVED.read_text()).items():
            SYSCTLS[name].write_text(value)
        _SAVED.unlink()
        return True


def _keep() -> None:
    """The keeper: wait until nobody holds the lock, restore, and go, unless somebody came meanwhile."""
    while _SAVED.exists():
        descriptor = os.open(_USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.close(descriptor)
        restore_if_unused()


if __name__ == "__main__":
    _keep()
