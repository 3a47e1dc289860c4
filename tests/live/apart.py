"""What a run of the tests starts, and what that writes to /tmp, apart from everything else on the machine: so that what
it leaves behind can be told from what others do meanwhile."""

from __future__ import annotations

import ctypes
import getpass
import os
import signal
import sys
from pathlib import Path

from emu.live.linux import MS_BIND, MS_PRIVATE, MS_REC, die_with_parent, mount

CHECKOUT = Path(__file__).resolve().parents[2]
PR_SET_CHILD_SUBREAPER, CLONE_NEWNS = 36, 0x20000
PASSED_ON = (signal.SIGHUP, signal.SIGTERM)


def have_a_reaper() -> None:
    """Go on as the child of a process that does nothing but reap, and end with it.

    Whatever is started below that stays below it, when those between them have ended too (``prctl(2)``): no way of
    starting a process is a way out. It must reap: a lab's process namespace is gone only when none of its dead is left.
    """
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError("this kernel knows no PR_SET_CHILD_SUBREAPER")
    reaper = os.getpid()
    child = os.fork()
    if child == 0:
        die_with_parent(signal.SIGKILL)
        if os.getppid() != reaper:
            os._exit(1)
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # from a terminal, the child gets it too
    for number in PASSED_ON:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, lambda number, _: os.kill(child, number))
    pid = status = 0
    while pid != child:
        pid, status = os.wait()
    code = os.waitstatus_to_exitcode(status)
    os._exit(code if code >= 0 else 128 - code)


def have_a_tmp() -> None:
    """As root: a /tmp that only this process and what it starts write to, where pytest's folders and this checkout are
    as they were. Where a container forbids that, /tmp is everybody's."""
    here = Path.cwd()
    kept = [Path(f"/tmp/pytest-of-{getpass.getuser()}"), CHECKOUT, Path(sys.prefix), here]
    if os.geteuid() or ctypes.CDLL(None).unshare(CLONE_NEWNS):
        return
    kept[0].mkdir(mode=0o700, exist_ok=True)
    below = [(path, os.open(path, os.O_PATH)) for path in kept if path.is_relative_to("/tmp")]
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    mount("tmpfs", "/tmp", "tmpfs", options="mode=1777")
    for path, descriptor in below:
        path.mkdir(parents=True, exist_ok=True)
        mount(f"/proc/self/fd/{descriptor}", str(path), flags=MS_BIND)
        os.close(descriptor)
    os.chdir(here)
