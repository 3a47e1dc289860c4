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

from emu.errors import EmuError, LabError
from emu.live.mounts import private_mounts


def main() -> None:
    """``python -m emu.live.agent DESCRIPTOR LAB DESIGN``: private mounts, an init that reaps, then serve."""
    connection = Connection(int(sys.argv[1]))
    os.set_inheritable(connection.fileno(), False)
    private_mounts()
    _become_init(connection)
    _raise_file_limit()
    threading.Thread(target=_end_with_owner, args=(connection.fileno(),), daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: None)  # the owner's to handle; children get the default back
    from emu.live.service import Service  # heavy (Mininet, netlink): not in the init

    serve(connection, Service())


def _become_init(connection: Connection) -> None:
    """Fork. The parent, process 1 of the tree, reaps orphans and ends when the child does."""
    child = os.fork()
    if child == 0:
        return
    connection.close()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
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


def serve(connection: Connection, service: object) -> None:
    """Answer requests ``(name, arguments)`` with ``(True, result)`` or ``(False, exception)`` until the end."""
    while True:
        try:
            name, arguments = connection.recv()
        except EOFError:
            return
        try:
            answer = (True, getattr(service, name)(**arguments))
        except EmuError as error:
            answer = (False, error)
        except Exception as error:  # the owner decides what a failure in here means
            where = traceback.format_exc()
            answer = (False, LabError(f"{type(error).__name__} in the lab ({name}): {error}\n{where}"))
        connection.send(answer)


if __name__ == "__main__":
    main()
