"""Neighbors, FDB entries and routes of a running machine, entered and removed by netlink.

Removing what is not there is no error: what a node's leaving is to end is then as it should be.
"""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pyroute2.netlink.exceptions import NetlinkError

from emu.live.namespaces import PERMANENT, Namespace
from emu.model import FdbEntry, Neighbor, Route

_ABSENT = (errno.ENOENT, errno.ESRCH)


@dataclass(frozen=True)
class Entries:
    """Some of a machine's tables."""

    machine: str
    neighbors: tuple[Neighbor, ...] = ()
    fdb: tuple[FdbEntry, ...] = ()
    routes: tuple[Route, ...] = field(default=())


def enter(space: Namespace, entries: Entries) -> None:
    """Enter what is not there yet; neighbors and FDB entries before the routes that send packets to them."""
    for neighbor in entries.neighbors:
        space.route.neigh("replace", **_neighbor(space, neighbor), state=PERMANENT)
    for entry in entries.fdb:
        space.route.fdb("append", **_fdb(space, entry))
    for route in entries.routes:
        space.put_route("replace", route)


def remove(space: Namespace, entries: Entries) -> None:
    """Remove what is there; routes first, so that no packet goes where nobody is known any more."""
    _absent_is_fine(lambda route: space.put_route("del", route), entries.routes)
    _absent_is_fine(lambda entry: space.route.fdb("del", **_fdb(space, entry)), entries.fdb)
    _absent_is_fine(lambda neighbor: space.route.neigh("del", **_neighbor(space, neighbor)), entries.neighbors)


def _absent_is_fine(delete: Callable[[Any], object], items: Iterable[Any]) -> None:
    for item in items:
        try:
            delete(item)
        except NetlinkError as error:
            if error.code not in _ABSENT:
                raise


def _neighbor(space: Namespace, neighbor: Neighbor) -> dict[str, Any]:
    return {"ifindex": space.index(neighbor.device), "dst": neighbor.address, "lladdr": neighbor.mac}


def _fdb(space: Namespace, entry: FdbEntry) -> dict[str, Any]:
    return {"ifindex": space.index(entry.device), "lladdr": entry.mac, "dst": entry.destination}
