"""A capture of a running lab as it happens, written as pcapng to standard output.

``attach`` is the half outside of the lab; the half inside, ``python -m emu.live.tap LAB POINT...``, opens the lab's
named network namespaces itself and ends when its standard input does, so that it never outlives the one who started it.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from types import FrameType

from emu import pcapng
from emu.errors import EmuError, LabError, UsageError
from emu.live.capture import Taps, in_order, misspelt
from emu.live.linux import NAMESPACE_FOLDER
from emu.live.tree import RunningTree, entry, find_tree
from emu.model import SWITCH


def attach(lab_id: str | None, points: Sequence[str]) -> int:
    """Capture at ``points`` (``node-a:eth0``, ``switch:node-a-eth0``) to this process's standard output.

    Returns the exit status when the reader has gone or something went wrong, which has been told by then; ends in
    order when a signal raises. Raises ``UsageError`` with all that is wrong, ``LabError`` if the lab ends.
    """
    tree = _checked(lab_id, points)
    command = [*entry(tree, "mount", "pid", "net"), sys.executable, "-m", "emu.live.tap", tree.lab_id, *points]
    # In a session of its own: the terminal's Ctrl-C is for us, who then close its standard input.
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True) as process:
        status = process.wait()
    if status < 0:  # killed, as everything in a lab is when that ends
        raise LabError(f"lab {tree.lab_id} has ended")
    return status


def _checked(lab_id: str | None, points: Sequence[str]) -> RunningTree:
    problems = []
    if os.isatty(sys.stdout.fileno()):
        problems.append("a capture is no text for a terminal; send it on, as in: | wireshark -k -i -, or > FILE.pcapng")
    try:
        tree = find_tree(lab_id)
        _ = tree.machines  # asked for the error alone: is it ours?
    except UsageError as error:
        problems += error.problems
    if problems:  # otherwise the half inside tells of these, with all that only it can see
        raise UsageError(*problems, *filter(None, map(misspelt, points)))
    return tree


class _Over(BaseException):
    """Whoever started the capture wants no more of it, or is gone."""


def main() -> int:
    """``python -m emu.live.tap LAB POINT...``: capture until standard input ends; the exit status."""
    lab_id, points = sys.argv[1], sys.argv[2:]
    signal.signal(signal.SIGTERM, _end)
    try:
        threading.Thread(target=_watch_owner, daemon=True).start()
        _capture(lab_id, points)
    except _Over:
        return 0
    except BrokenPipeError:  # our reader has gone, and nothing is left to say to it
        return 1
    except EmuError as error:
        for problem in error.problems:
            print(f"emu: {problem}", file=sys.stderr)
        return error.exit_status
    return 0


def _end(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_IGN)
    raise _Over


def _watch_owner() -> None:
    """Wait for the end of standard input, then interrupt whatever this process does: a write to a reader that has
    stopped reading, too."""
    poll = select.poll()
    poll.register(sys.stdin.fileno(), select.POLLHUP)
    poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)


def _capture(lab_id: str, points: Sequence[str]) -> None:
    named = {point.partition(":")[0] for point in points}
    spaces = {path.name: os.open(path, os.O_RDONLY) for path in NAMESPACE_FOLDER.iterdir() if path.name in named}
    spaces[SWITCH] = os.open("/proc/self/ns/net", os.O_RDONLY)
    with contextlib.closing(Taps(spaces, points)) as taps:
        with contextlib.suppress(_Over):
            _write(lab_id, taps)
        taps.complain()


def _write(lab_id: str, taps: Taps) -> None:
    """Write what ``taps`` see, until an interface goes away; ``BrokenPipeError`` when the reader does."""
    with contextlib.suppress(PermissionError):  # a file has nothing to say
        taps.watch(sys.stdout.fileno(), 0)
    _put(b"".join((pcapng.section(), *(pcapng.interface(*each) for each in taps.interfaces()))))
    count = len(taps.points)
    print(f"capturing {count} interface{'s' * (count > 1)} of {lab_id}; Ctrl-C ends it", file=sys.stderr, flush=True)
    for frames in taps.turns():
        frames.sort(key=in_order)
        _put(b"".join(pcapng.packet(n, t_ns, data, "out" if is_out else "in") for n, is_out, t_ns, data in frames))
        if taps.gone:
            return
    raise BrokenPipeError


def _put(data: bytes) -> None:
    """Write all of it at once, past any buffer that would have to be emptied at the end."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(sys.stdout.fileno(), rest) :]


if __name__ == "__main__":
    sys.exit(main())
