"""A kernel's messages about routes read, and followed: no route is missed, and none is gone for a moment."""

from __future__ import annotations

import errno
import socket
import struct
from ipaddress import IPv4Network

import pytest
from pyroute2.netlink import NLMSG_ERROR
from pyroute2.netlink.rtnl import RTM_DELROUTE, RTM_NEWROUTE
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from controllers.following import BIRD_PROTOCOL, Follower, Heard, read
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


def test_a_route_that_is_deleted_and_added_is_never_gone() -> None:
    """As BIRD changes one: two messages, the second a moment after the first."""
    hears, kernel = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    rib, seen = Rib(GATEWAY), []

    def settled() -> None:
        rib.changes(0.0)
        seen.append(rib.routes())

    def wait_for(count: int) -> None:
        for _ in range(1000):
            if len(seen) >= count:
                return
            hub.sleep(0.01)
        raise AssertionError(f"settled {len(seen)} times, not {count}")

    with hears, kernel:
        task = hub.spawn(Follower(hears).follow, rib, settled)
        kernel.send(route(RTM_NEWROUTE, VIAS[0]))
        wait_for(1)
        kernel.send(route(RTM_DELROUTE, VIAS[0]))
        hub.sleep(0)  # the first one is read alone
        kernel.send(route(RTM_NEWROUTE, VIAS[1]))
        wait_for(2)
        hub.kill(task)
    assert seen == [[{"prefix": "10.0.3.0/24", "via": [via]}] for via in VIAS]
