"""Larger default socket buffers while labs run, as root.

Open vSwitch's userspace datapath reads its ports through packet sockets; with the kernel's default buffer it
drops bursts, tens of thousands of retransmits a few seconds. The two sysctls are the whole machine's (they
cannot be set in a namespace), so every lab has a keeper, a process in a session of its own, which raises them
and puts back what was there first when the last lab is gone. Labs are counted by the kernel: each keeper holds
a shared lock on one file, which no way of dying leaves behind. Whoever ends (a keeper whose lab is gone, or a
lab whose keeper was killed) restores if nobody holds that lock any more.
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

from emu.errors import LabError

FOLDER = Path("/run/kubenet-emu")
WANTED_BYTES = 32 << 20
SYSCTLS = {name: Path(f"/proc/sys/net/core/{name}") for name in ("rmem_max", "rmem_default")}
_USERS, _GATE, _SAVED, _NEW = (FOLDER / name for name in ("users", "gate", "saved.json", "saved.json.new"))


@contextmanager
def large_buffers() -> Iterator[None]:
    """Raised buffers for as long as the context, or this process, lasts. Where they cannot be set, without root or in
    a container, nothing is changed."""
    if not may_be_set():
        yield
        return
    keeper = subprocess.Popen(
        [sys.executable, "-m", "emu.live.buffers"],
        start_new_session=True,
        cwd="/",
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    assert keeper.stdin is not None
    assert keeper.stdout is not None
    try:
        if keeper.stdout.readline() != b"raised\n":
            raise LabError("could not raise net.core.rmem_default")
        yield
    finally:
        keeper.stdin.close()
        keeper.wait()
        keeper.stdout.close()
        restore_if_unused()


def may_be_set() -> bool:
    """Whether this process may set the sysctls: root may, in the machine's own network namespace."""
    return os.geteuid() == 0 and all(os.access(path, os.W_OK) for path in SYSCTLS.values())


def restore_if_unused() -> bool:
    """Put back what was there first, unless a lab still uses it; whether something was put back."""
    if not may_be_set() or not FOLDER.exists():
        return False
    with _gate():
        users = _open_users()
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        finally:
            os.close(users)
        saved = json.loads(_SAVED.read_text()) if _SAVED.exists() else {}
        for name, value in saved.items():
            SYSCTLS[name].write_text(value)
        for path in (_NEW, _SAVED, _USERS, _GATE):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody who waited for the gate has made a new one
            FOLDER.rmdir()
        return bool(saved)


@contextmanager
def _gate() -> Iterator[None]:
    """One at a time decides who is first and who is last. The last one takes the gate's file away."""
    while True:
        FOLDER.mkdir(mode=0o755, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(_GATE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink:
                break
            os.close(descriptor)
    try:
        yield
    finally:
        os.close(descriptor)


def _open_users() -> int:
    return os.open(_USERS, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def _keep() -> None:
    """The keeper of one lab: raise, tell it so, wait until it closes our input, restore if it was the last."""
    with _gate():
        users = _open_users()
        fcntl.flock(users, fcntl.LOCK_SH)
        if not _SAVED.exists():
            _NEW.write_text(json.dumps({name: path.read_text().strip() for name, path in SYSCTLS.items()}))
            _NEW.rename(_SAVED)
        for path in SYSCTLS.values():
            if int(path.read_text()) < WANTED_BYTES:
                path.write_text(str(WANTED_BYTES))
    print("raised", flush=True)
    sys.stdin.read()
    os.close(users)
    restore_if_unused()


if __name__ == "__main__":
    _keep()
