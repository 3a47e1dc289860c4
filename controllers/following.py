"""The kernel's IPv4 routes of a routing daemon, followed by netlink (rtnetlink(7)).

What the messages say is pure; `Follower` has the socket. A daemon such as BIRD replaces a route by deleting and adding
it (sysdep/linux/netlink.c): who would act at once on the former would have no route for a moment, so after a deletion
the messages that follow are waited for.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Any

from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_GETROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from controllers.framework import hub, wait_readable
from controllers.rib import Rib

BIRD_PROTOCOL = 12
"""RTPROT_BIRD (include/uapi/linux/rtnetlink.h): whose routes are followed."""
_MAIN_TABLE, _UNICAST = 254, 1
_IPV4_ROUTES = 0x40
"""RTMGRP_IPV4_ROUTE."""
_SO_RCVBUFFORCE = 33
"""asm-generic/socket.h; not in Python's socket."""
_HEADER_BYTES = 16
_MESSAGES_BYTES = 1 << 18
_BUFFER_BYTES = 16 << 20
SETTLE_S, SETTLE_ROUNDS = 0.01, 4
"""How long a route that was deleted is waited for to come back, and how often. A daemon writes both at once, but may
have to wait for a CPU in between; until then the old next hop is sent to, which still knows the way."""


@dataclass(frozen=True)
class Heard:
    """A prefix and the next hops of its route; none: it has no route any more."""

    prefix: IPv4Network
    vias: tuple[str, ...]


def read(data: bytes) -> Iterator[Heard | None]:
    """The daemon's routes that messages of netlink tell of; None at the end of a dump.

    Raises OSError with the kernel's error where a message is one.
    """
    place = 0
    while place + _HEADER_BYTES <= len(data):
        length, kind = struct.unpack_from("=IH", data, place)
        part, place = data[place : place + length], place + (length + 3 & ~3)
        if kind == NLMSG_DONE:
            yield None
        elif kind == NLMSG_ERROR:
            raise OSError(-struct.unpack_from("=i", part, _HEADER_BYTES)[0], "netlink")
        elif kind in (RTM_NEWROUTE, RTM_DELROUTE):
            message = rtmsg(part)
            message.decode()
            if (message["proto"], message["table"], message["type"]) == (BIRD_PROTOCOL, _MAIN_TABLE, _UNICAST):
                prefix = IPv4Network((message.get_attr("RTA_DST") or "0.0.0.0", message["dst_len"]))
                yield Heard(prefix, _vias(message) if kind == RTM_NEWROUTE else ())


def _vias(message: Any) -> tuple[str, ...]:
    several = message.get_attr("RTA_MULTIPATH")
    gateways = [hop.get_attr("RTA_GATEWAY") for hop in several] if several else [message.get_attr("RTA_GATEWAY")]
    return tuple(gateway for gateway in gateways if gateway)


def table() -> dict[IPv4Network, tuple[str, ...]]:
    """The daemon's routes as they are now. Raises OSError."""
    request = rtmsg()
    request["header"] = {"type": RTM_GETROUTE, "flags": NLM_F_REQUEST | NLM_F_DUMP, "sequence_number": 1}
    request["family"] = socket.AF_INET
    request.encode()
    routes: dict[IPv4Network, tuple[str, ...]] = {}
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as asking:
        asking.send(bytes(request.data))
        while True:
            for heard in read(asking.recv(_MESSAGES_BYTES)):
                if heard is None:
                    return routes
                routes[heard.prefix] = heard.vias


def changes() -> socket.socket:
    """A socket that hears of every change of IPv4 routes in the network namespace that this process is in."""
    hearing = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    try:
        hearing.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    except PermissionError:  # what does not fit is told, and the table read anew
        hearing.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
    hearing.bind((0, _IPV4_ROUTES))
    return hearing


class Follower:
    """Follows the daemon's routes by what a socket hears of them."""

    def __init__(self, hearing: socket.socket) -> None:
        self._socket = hearing
        self._socket.setblocking(False)

    def follow(self, rib: Rib, settled: Callable[[], None]) -> None:
        """Tell `rib` of every change, and, after some were lost, of all routes; `settled`: whenever that is to be acted
        on."""
        while True:
            wait_readable(self._socket)
            try:
                gone: set[IPv4Network] = set()
                self._take(rib, gone)
                for _ in range(SETTLE_ROUNDS):
                    if gone:
                        hub.sleep(SETTLE_S)
                        self._take(rib, gone)
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self.begin(rib)
            settled()

    def follow_anew(self, rib: Rib, settled: Callable[[], None]) -> None:
        """As `follow`, from all routes as they are now."""
        self.begin(rib)
        settled()
        self.follow(rib, settled)

    def begin(self, rib: Rib) -> None:
        """Tell `rib` of all routes as they are now."""
        self._skip()  # what waits still is older than the table, and may not be all there was
        rib.heard_all(table())

    def _take(self, rib: Rib, gone: set[IPv4Network]) -> None:
        """Tell of all that waits; ``gone``: the prefixes of which the last word was that they are."""
        while True:
            try:
                data = self._socket.recv(_MESSAGES_BYTES)
            except BlockingIOError:
                return
            for change in read(data):
                if change is not None:
                    rib.heard(change.prefix, change.vias)
                    (gone.discard if change.vias else gone.add)(change.prefix)

    def _skip(self) -> None:
        while True:
            try:
                self._socket.recv(_MESSAGES_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
