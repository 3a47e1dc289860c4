"""The process inside a lab's namespace tree: it makes the plan real and does what the lab's owner asks.

Started by ``emu.live.tree`` as ``python -m emu.live.agent``. Its parent in the tree is the tree's init, which
only reaps. When the owner's end of the connection closes, for whatever reason, the agent ends, the init with
it, and the kernel ends everything else in the tree.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
import traceback
from multiprocessing.connection import Connection
from types import FrameType

from emu.errors import EmuError, LabError
from emu.live.mounts import private_mounts


def main() -> None:
    """``python -m emu.live.agent DESCRIPTOR OWNER LAB DESIGN``: private mounts, an init that reaps, then serve."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    connection = Connection(int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    private_mounts()
    _become_init(connection)
    _raise_file_limit()
    threading.Thread(target=_end_with_owner, args=(connection.fileno(),), daemon=True).start()
    signal.signal(signal.SIGINT, quiet)
    from emu.live.service import Service  # heavy (Mininet, netlink): not in the init

    serve(connection, Service())


def _become_init(connection: Connection) -> None:
    """Fork. The parent, process 1 of the tree, reaps orphans and ends when the child does."""
    child = os.fork()
    if child == 0:
        return
    connection.close()
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    while os.wait()[0] != child:
        pass
    os._exit(0)


def _raise_file_limit() -> None:
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _end_with_owner(descriptor: int) -> None:
    """End this process as soon as the other end of the connection is closed, even in mid-request."""
    poll = select.poll()
    poll.register(descriptor, select.POLLRDHUP | select.POLLHUP)
    poll.poll()
    os._exit(0)


def quiet(number: int, frame: FrameType | None) -> None:
    """Signals from the terminal are the owner's to handle. (Ignored, they would be so in every child as well.)"""


def serve(connection: Connection, service: object) -> None:
    """Answer requests ``(number, name, arguments)`` with ``(number, True, result)`` or ``(number, False, exception)``
    until the end."""
    while True:
        try:
            number, name, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (number, True, getattr(service, name)(**arguments))
        except EmuError as error:
            answer = (number, False, error)
        except Exception as error:  # the owner decides what a failure in here means
            where = traceback.format_exc()
            answer = (number, False, LabError(f"{type(error).__name__} in the lab ({name}): {error}\n{where}"))
        connection.send(answer)


if __name__ == "__main__":
    main()
