"""Namespace trees: starting one for a lab, finding those that run, entering and ending them.

A tree is ``unshare``'s new network, mount and process namespaces (and a user namespace without root) with the
lab's init in them. Ending the init ends everything, so there is nothing to undo. Running trees are found by
what their init is called, in /proc: a list in a file could be wrong.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from emu.errors import LabError, UsageError
from emu.live.linux import NAMESPACE_FOLDER
from emu.live.readings import tree_command

AGENT = "emu.live.agent"
PATIENCE_S = 2.0
"""How long an init may take to end when told; it does nothing but reap. One that cannot (stopped, or not set up to
hear of it yet) is killed."""


class Tree:
    """A namespace tree with an agent in it that answers requests."""

    def __init__(self, spec: str, on_terminal: bool = False) -> None:
        """``on_terminal``: let the lab use this process's terminal (for Mininet's CLI)."""
        self._requests = count()
        self.lab_id = f"{spec.partition(':')[0]}-{secrets.token_hex(2)}"
        ours, theirs = socket.socketpair()
        own_namespaces = tree_command(is_root=os.geteuid() == 0)
        argv = [*own_namespaces, sys.executable, "-m", AGENT, str(theirs.fileno()), str(os.getpid()), self.lab_id, spec]
        with theirs:
            self._process = subprocess.Popen(
                argv,
                pass_fds=[theirs.fileno()],
                stdin=None if on_terminal else subprocess.DEVNULL,
                stdout=None if on_terminal else subprocess.DEVNULL,
                cwd="/",
                start_new_session=not on_terminal,
            )
        self._connection = Connection(ours.detach())

    @property
    def pid(self) -> int:
        """The process, outside of the tree, that all of the tree descends from."""
        return self._process.pid

    def request(self, what: str, /, **arguments: Any) -> Any:
        """Have the lab do something and return what it answers; ``LabError`` if it died over it."""
        number = next(self._requests)
        try:
            self._connection.send((number, what, arguments))
            answered = -1
            while answered != number:  # an answer to an earlier request that nobody waited for any more
                answered, succeeded, result = self._connection.recv()
        except (EOFError, OSError):
            raise LabError(f"lab {self.lab_id} has died") from None
        if not succeeded:
            raise result
        return result

    def end(self) -> None:
        """End the tree and everything in it; returns when its processes are gone."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            self.signal(number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=PATIENCE_S)
                break
        self._process.wait()
        self._connection.close()

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Tell the tree's init to end, and the kernel ends everything else with it; does not wait. Any thread may call
        this."""
        if self._process.poll() is None:
            # unshare waits for the init, which is gone only when all its tree is. Without an init yet: unshare itself.
            for pid in _children(self._process.pid) or [self._process.pid]:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)


@dataclass(frozen=True)
class RunningTree:
    """A tree found on this machine."""

    lab_id: str
    spec: str
    init_pid: int
    owner: int
    """User number of whoever started it."""
    owner_pid: int
    """Process number of whoever started it, in its own namespace."""

    @property
    def machines(self) -> list[str]:
        """The names of its nodes and containers; ``UsageError`` if it belongs to somebody else, or has ended."""
        folder = Path(f"/proc/{self.init_pid}/root{NAMESPACE_FOLDER}")
        try:
            return sorted(path.name for path in folder.iterdir())
        except PermissionError:
            raise UsageError(f"lab {self.lab_id} belongs to another user") from None
        except OSError:  # its init, whose view of the files this is, is gone
            raise UsageError(f"lab {self.lab_id} has ended") from None


def running_trees() -> list[RunningTree]:
    """Every lab of this machine that this user may see, the oldest first."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                tree = _tree_of(folder)
                if tree:
                    found.append(tree)
    return sorted(found, key=lambda tree: tree.init_pid)


def _tree_of(folder: Path) -> RunningTree | None:
    words = (folder / "cmdline").read_text().split("\0")
    if words[1:3] != ["-m", AGENT]:
        return None
    status = (folder / "status").read_text().splitlines()
    numbers = next(line.split()[1:] for line in status if line.startswith("NSpid:"))
    if len(numbers) < 2 or numbers[-1] != "1":  # not the init of a tree, but the agent in it
        return None
    return RunningTree(words[5], words[6], int(folder.name), folder.stat().st_uid, int(words[4]))


def find_tree(lab_id: str | None) -> RunningTree:
    """The running lab called so, or the only one. ``UsageError`` if there is no such or more than one."""
    trees = running_trees()
    if lab_id is not None:
        trees = [tree for tree in trees if tree.lab_id == lab_id]
        if not trees:
            raise UsageError(f"no lab {lab_id} is running here; emu labs lists them")
    if not trees:
        raise UsageError("no lab is running here")
    if len(trees) > 1:
        raise UsageError(f"several labs are running, name one with --lab: {', '.join(t.lab_id for t in trees)}")
    return trees[0]


def enter(tree: RunningTree, machine: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
    """Start a command in a machine of a running lab, on this process's own standard streams.

    Raises ``UsageError`` where the lab has no such machine, belongs to somebody else or has ended.
    """
    names = tree.machines
    if machine not in names:
        raise UsageError(f"lab {tree.lab_id} has no machine '{machine}'; it has: {', '.join(names)}")
    into_machine = ["nsenter", f"--net={NAMESPACE_FOLDER / machine}", "--"]
    return subprocess.Popen([*entry(tree, "mount", "pid"), *into_machine, *command])


def entry(tree: RunningTree, *namespaces: str) -> list[str]:
    """The command prefix that enters these namespaces of a running lab (``mount``, ``pid``, ``net``), with the rights
    its owner has there."""
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", f"--target={tree.init_pid}", *user, *(f"--{kind}" for kind in namespaces), "--wd", "--"]


def end_orphans() -> list[str]:
    """End trees whose owner is gone but which have not ended by themselves (a stopped process cannot).

    Returns their ids. Labs whose owner lives, or that belong to other users, are left alone.
    """
    ended = []
    for tree in running_trees():
        if any(tree.owner_pid in numbers for numbers in _ancestors(tree.init_pid)):
            continue
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(tree.init_pid, signal.SIGKILL)
            ended.append(tree.lab_id)
    return ended


def _ancestors(pid: int) -> Iterator[list[int]]:
    """The process numbers of each ancestor, in every process namespace it is in."""
    while pid > 1:
        try:
            status = Path(f"/proc/{pid}/status").read_text().splitlines()
            pid = int(next(line.split()[1] for line in status if line.startswith("PPid:")))
            parent = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:  # it has ended meanwhile
            return
        yield [int(word) for line in parent if line.startswith("NSpid:") for word in line.split()[1:]]


def _children(pid: int) -> list[int]:
    """The children of a process; none if it has ended."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
