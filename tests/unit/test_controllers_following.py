"""A kernel's messages about routes read, and followed: no route is missed, and none is gone for a moment."""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from ipaddress import IPv4Network

import pytest
from pyroute2.netlink import NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

import controllers.following
from controllers.following import BIRD_PROTOCOL, SETTLE_S, Follower, Heard, read
from controllers.framework import hub
from controllers.plan import Gateway, Neighbor
from controllers.rib import Rib

VIAS = ("192.168.1.1", "192.168.1.2")
NEIGHBORS = tuple(Neighbor(via, f"02:00:00:00:00:0{port}", port) for port, via in enumerate(VIAS, 1))
GATEWAY = Gateway("192.168.0.1", "12:22:33:44:55:fe", (1, 2), NEIGHBORS, (), speaker=3)
PREFIX = IPv4Network("10.0.3.0/24")


def route(kind: int, *vias: str, proto: int = BIRD_PROTOCOL, table: int = 254) -> bytes:
    """A message as the kernel writes it (rtnetlink(7))."""
    message = rtmsg()
    message["header"] = {"type": kind, "sequence_number": 0}
    message.update(family=socket.AF_INET, dst_len=24, proto=proto, table=table, type=1)
    hops = {"attrs": [["RTA_GATEWAY", vias[0]]]} if len(vias) == 1 else {
        "attrs": [["RTA_MULTIPATH", [{"oif": 1, "attrs": [["RTA_GATEWAY", via]]} for via in vias]]]}
    message["attrs"] = [["RTA_DST", "10.0.3.0"], *hops["attrs"]]
    message.encode()
    return bytes(message.data)


def test_routes_by_one_next_hop_by_several_and_none() -> None:
    messages = route(RTM_NEWROUTE, VIAS[0]) + route(RTM_NEWROUTE, *VIAS) + route(RTM_DELROUTE, *VIAS)
    assert list(read(messages)) == [Heard(PREFIX, VIAS[:1]), Heard(PREFIX, VIAS), Heard(PREFIX, ())]


def test_routes_of_others_and_of_other_tables_are_nobodys_business() -> None:
    assert list(read(route(RTM_NEWROUTE, VIAS[0], proto=3) + route(RTM_NEWROUTE, VIAS[0], table=100))) == []


def test_a_message_that_is_cut_off_is_none_and_an_error_is_raised() -> None:
    assert list(read(route(RTM_NEWROUTE, VIAS[0])[:10])) == []
    refused = struct.pack("=IHHIIi", 20, NLMSG_ERROR, 0, 0, 0, -errno.EPERM)
    with pytest.raises(OSError, match="netlink") as told:
        list(read(refused))
    assert told.value.errno == errno.EPERM


class Following:
    """A follower of what ``kernel`` sends, and what there was each time that things had settled."""

    def __init__(self, hears: socket.socket, kernel: socket.socket) -> None:
        self.kernel, self.seen = kernel, list[list[dict[str, object]]]()
        self._rib, self._follower = Rib(GATEWAY), Follower(hears)
        self._task = None

    def follow(self) -> None:
        self._follower.follow_anew(self._rib, self._settled)

    def begin(self) -> None:
        self._task = hub.spawn(self.follow)

    def end(self) -> None:
        hub.kill(self._task)

    def _settled(self) -> None:
        self._rib.changes(0.0)
        self.seen.append(self._rib.routes())

    def wait_for(self, count: int) -> None:
        for _ in range(1000):
            if len(self.seen) >= count:
                return
            hub.sleep(0.01)
        raise AssertionError(f"settled {len(self.seen)} times, not {count}")


@pytest.fixture
def following() -> Iterator[Following]:
    hears, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with hears, kernel:
        yield Following(hears, kernel)


def by(*vias: str) -> list[dict[str, object]]:
    return [{"prefix": str(PREFIX), "via": [via]} for via in vias]


@pytest.mark.parametrize("later_s", [0, SETTLE_S * 1.5])
def test_a_route_that_is_deleted_and_added_is_never_gone(
    following: Following, later_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As BIRD changes one: two messages, the second a moment after the first, or when it has a CPU again."""
    monkeypatch.setattr(controllers.following, "table", lambda: {PREFIX: VIAS[:1]})
    following.begin()
    following.wait_for(1)
    following.kernel.send(route(RTM_DELROUTE, VIAS[0]))
    hub.sleep(later_s)  # the first one is read alone
    following.kernel.send(route(RTM_NEWROUTE, VIAS[1]))
    following.wait_for(2)
    following.end()
    assert following.seen == [by(VIAS[0]), by(VIAS[1])]


def test_a_route_that_is_deleted_is_gone_in_the_end(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controllers.following, "table", lambda: {PREFIX: VIAS[:1]})
    following.begin()
    following.wait_for(1)
    following.kernel.send(route(RTM_DELROUTE, VIAS[0]))
    following.wait_for(2)
    following.end()
    assert following.seen == [by(VIAS[0]), []]


def test_after_an_error_it_begins_with_the_table_again(following: Following, monkeypatch: pytest.MonkeyPatch) -> None:
    tables = iter([{PREFIX: VIAS[:1]}, {PREFIX: VIAS[1:]}])
    monkeypatch.setattr(controllers.following, "table", lambda: next(tables))
    following.kernel.send(route(RTM_NEWROUTE, VIAS[1]))  # older than the table
    refused = struct.pack("=IHHIIi", 20, NLMSG_ERROR, 0, 0, 0, -errno.EPERM)
    hub.spawn(lambda: following.wait_for(1) or following.kernel.send(refused))
    with pytest.raises(OSError, match="netlink"):
        following.follow()
    following.begin()
    following.wait_for(2)
    following.end()
    assert following.seen == [by(VIAS[0]), by(VIAS[1])]
