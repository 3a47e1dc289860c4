"""Neighbors, FDB entries and routes of a running machine, entered and removed by netlink.

Removing what is not there is no error: what a node's leaving is to end is then as it should be.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

from pyroute2.netlink.exceptions import NetlinkError

from emu.live.namespaces import Namespace
from emu.model import FdbEntry, Neighbor, Route

_ABSENT = (errno.ENOENT, errno.ESRCH)
Entry = TypeVar("Entry", Neighbor, FdbEntry, Route)


@dataclass(frozen=True)
class Entries:
    """Some of a machine's tables."""

    machine: str
    neighbors: tuple[Neighbor, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    routes: tuple[Route, ...] = ()


def enter(space: Namespace, entries: Entries) -> None:
    """Enter what is not there yet; neighbors and FDB entries before the routes that send packets to them."""
    for neighbor in entries.neighbors:
        space.put_neighbor("replace", neighbor)
    for entry in entries.fdb:
        space.put_fdb("append", entry)
    for route in entries.routes:
        space.put_route("replace", route)


def remove(space: Namespace, entries: Entries) -> None:
    """Remove what is there; routes first, so that no packet goes where nobody is known any more."""
    _delete(space.put_route, entries.routes)
    _delete(space.put_fdb, entries.fdb)
    _delete(space.put_neighbor, entries.neighbors)


def _delete(put: Callable[[str, Entry], None], entries: Iterable[Entry]) -> None:
    for entry in entries:
        try:
            put("del", entry)
        except NetlinkError as error:
            if error.code not in _ABSENT:
                raise

