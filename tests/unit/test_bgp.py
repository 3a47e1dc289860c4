"""What a probe's output tells of an outage, and BIRD's of its sessions; routes as others print them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from emu.bgp import BgpNode, longest_gap, outage_ms
from emu.control import Gateway, NextHop
from emu.designs import plans_for
from emu.errors import UsageError
from emu.routes import in_flow_table, in_kernel
from emu.scenario import read
from emu.speakers.bird import sessions

ANSWERED = """PING 10.250.0.1 (10.250.0.1) 56(84) bytes of data.
[1795590600.000100] 64 bytes from 10.250.0.1: icmp_seq=1 ttl=62 time=0.3 ms
[1795590600.010100] 64 bytes from 10.250.0.1: icmp_seq=2 ttl=62 time=0.3 ms
"""
LATER = "[1795590602.510100] 64 bytes from 10.250.0.1: icmp_seq=90 ttl=62 time=0.3 ms\n"
REFUSED = "[1795590600.020100] From 192.168.0.1 icmp_seq=3 Destination Net Unreachable\n"


def test_an_outage_is_the_time_between_answers_around_what_is_missing() -> None:
    assert (longest_gap(ANSWERED), outage_ms(ANSWERED)) == (0, 0.0)
    assert (longest_gap(ANSWERED + LATER), round(outage_ms(ANSWERED + LATER))) == (87, 2500)
    assert (longest_gap(ANSWERED + REFUSED), outage_ms(ANSWERED + REFUSED)) == (0, 0.0), "told so: not lost in silence"
    assert (longest_gap(""), outage_ms("")) == (0, 0.0)


def test_sessions_are_read_from_birds_table() -> None:
    text = """BIRD 2.0.12 ready.
Name       Proto      Table      State  Since         Info
device1    Device     ---        up     06:41:02.101
node_a     BGP        ---        up     06:41:03.201  Established
node_b     BGP        ---        start  06:41:02.101  Passive
node_c     BGP        ---        down   06:41:02.101
"""
    assert [(row["name"], row["state"], row["since"]) for row in sessions(text)] == [
        ("node_a", "Established", "06:41:03.201"), ("node_b", "Passive", "06:41:02.101"),
        ("node_c", "down", "06:41:02.101")]


GATEWAY = Gateway("192.168.0.1", "12:22:33:44:55:fe", (1, 2, 3),
                  tuple(NextHop(f"192.168.1.{n}", n, f"02:00:00:00:00:0{n}") for n in (1, 2, 3)), ())


def test_routes_are_read_from_the_flow_table() -> None:
    head = "cookie=0x300007cc92afb, duration=7.219s, table=2, n_packets=10, n_bytes=772, "
    lines = [
        head + "priority=1032,ip,nw_dst=192.168.1.1 actions=write_metadata:0x1,goto_table:4",
        head + "priority=1024,ip,nw_dst=10.0.3.0/24 actions=write_metadata:0x3,goto_table:4",
        head + "priority=1024,ip,nw_dst=10.250.0.0/24 actions=bundle_load(symmetric_l3l4+udp,0,hrw,ofport,"
               "NXM_NX_REG1[],members:65279,2,3),goto_table:3",
        head + "priority=2000,ip,nw_dst=127.0.0.0/8 actions=drop",
        head + "priority=0 actions=CONTROLLER:65535",
    ]
    assert in_flow_table(lines, GATEWAY) == {
        "192.168.1.1/32": ("192.168.1.1",), "10.0.3.0/24": ("192.168.1.3",),
        "10.250.0.0/24": ("192.168.1.2", "192.168.1.3")}


def test_routes_are_read_from_the_kernels() -> None:
    text = """[{"dst":"10.0.3.0/24","gateway":"192.168.1.3","dev":"gateway","metric":32,"flags":[]},
              {"dst":"10.9.9.9","gateway":"192.168.1.1","dev":"gateway","metric":32,"flags":[]},
              {"dst":"10.250.0.0/24","metric":32,"flags":[],"nexthops":[
                {"gateway":"192.168.1.2","dev":"gateway","weight":1,"flags":[]},
                {"gateway":"192.168.1.3","dev":"gateway","weight":1,"flags":[]}]}]"""
    assert in_kernel(text) == {"10.0.3.0/24": ("192.168.1.3",), "10.9.9.9/32": ("192.168.1.1",),
                               "10.250.0.0/24": ("192.168.1.2", "192.168.1.3")}
    assert in_kernel("") == {}


def test_what_is_no_prefix_is_not_announced() -> None:
    lab: Any = SimpleNamespace(plan=plans_for(["routed:routes=bgp"], read({})[0], [])[0])
    wrong = ("10.250.0.1/24", "10.250.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "fd00::/64", "x; reject")
    with pytest.raises(UsageError) as raised:
        BgpNode(lab, "node-b").announce(["10.250.0.0/24", *wrong])
    assert raised.value.problems == tuple(f"'{text}' is no IPv4 prefix, such as 10.250.0.0/24" for text in wrong)
