"""What tables say, in words: parsers held against what the tools print."""

from __future__ import annotations

import pytest

from emu.live.explain import flow_words, neighbor_words, route_words
from emu.live.process import objects

TRACE = """Flow: arp,in_port=1,vlan_tci=0x0000,dl_src=aa:bb:cc:dd:e1:01,dl_dst=ff:ff:ff:ff:ff:ff,arp_spa=10.0.1.2

bridge("switch0")
-----------------
 0. in_port=1,dl_src=aa:bb:cc:dd:e1:01, priority 300, cookie 0x1000000000000
    goto_table:1
 1. arp,arp_tpa=10.0.3.2,arp_op=1, priority 300, cookie 0x2000000000000
    CONTROLLER:65535

Final flow: unchanged
Megaflow: recirc_id=0,eth,arp,in_port=1,dl_src=aa:bb:cc:dd:e1:01,dl_dst=ff:ff:ff:ff:ff:ff
Datapath actions: userspace(pid=0,controller(reason=1,dont_send=0,rule_cookie=0x2000000000000))
"""
FLOODED = """Flow: arp,in_port=1

bridge("switch0")
-----------------
 0. in_port=1,dl_src=12:22:33:44:55:01, priority 300, cookie 0x1000000000000
    goto_table:1
 1. priority 0, cookie 0x1000000000000
    goto_table:2
 2. priority 0, cookie 0x1000000000000
    FLOOD

Final flow: unchanged
"""
DROPPED = """bridge("switch0")
-----------------
 0. No match.
    drop

Final flow: unchanged
"""
WITHOUT_COOKIE = """bridge("switch0")
-----------------
 0. ip,nw_dst=10.0.3.0/24, priority 1024
    dec_ttl
    set_field:12:22:33:44:55:03->eth_dst
    output:3
"""
FLOWS = [
    "cookie=0x1000000000000, duration=0.181s, table=0, n_packets=2, n_bytes=140, "
    "priority=300,in_port=1,dl_src=aa:bb:cc:dd:e1:01 actions=goto_table:1",
    "cookie=0x2000000000000, duration=0.178s, table=1, n_packets=1, n_bytes=42, "
    "priority=300,arp,arp_tpa=10.0.3.2,arp_op=1 actions=CONTROLLER:65535",
    "cookie=0x2000000000000, duration=0.178s, table=1, n_packets=9, n_bytes=42, "
    "priority=300,arp,arp_tpa=10.0.3.20,arp_op=1 actions=CONTROLLER:65535",
    "cookie=0x1000000000000, duration=0.210s, table=2, n_packets=4, n_bytes=42, priority=0 actions=FLOOD",
]


def test_every_rule_that_says_something_is_named_with_cookie_and_counter() -> None:
    assert flow_words(TRACE, FLOWS) == (
        "table 0 priority 300 in_port=1,dl_src=aa:bb:cc:dd:e1:01 (cookie 0x1000000000000, 2 packets): goto_table:1; "
        "then table 1 priority 300 arp,arp_tpa=10.0.3.2,arp_op=1 (cookie 0x2000000000000, 1 packets): to the controller"
    )


def test_a_table_miss_is_told_only_where_it_decides() -> None:
    words = flow_words(FLOODED, FLOWS)
    assert "table 1" not in words
    assert words.endswith("then table 2 priority 0 anything (cookie 0x1000000000000, 4 packets): FLOOD")


def test_a_frame_that_no_rule_matches() -> None:
    assert flow_words(DROPPED, FLOWS) == "table 0 has no rule for it: drop"


def test_all_actions_of_a_rule_are_told() -> None:
    assert flow_words(WITHOUT_COOKIE, []) == (
        "table 0 priority 1024 ip,nw_dst=10.0.3.0/24 (cookie 0x0): "
        "dec_ttl,set_field:12:22:33:44:55:03->eth_dst,to port 3"
    )


def test_routes_and_neighbors_read_as_ip_prints_them() -> None:
    overlay = {"dst": "10.0.3.0/24", "gateway": "10.0.3.0", "dev": "flannel.1", "flags": ["onlink"]}
    assert route_words(overlay) == "route 10.0.3.0/24 via 10.0.3.0 dev flannel.1 onlink"
    own_table = {"dst": "10.0.0.0/16", "dev": "cbr0", "table": "100", "scope": "link", "flags": []}
    assert route_words(own_table) == "route 10.0.0.0/16 dev cbr0 table 100"
    permanent = {"dst": "10.0.3.0", "lladdr": "0a:58:0a:00:03:00", "state": ["PERMANENT"]}
    assert neighbor_words("10.0.3.0", [permanent]) == "neighbor 10.0.3.0 at 0a:58:0a:00:03:00 (permanent)"
    assert neighbor_words("10.0.3.9", [{"dst": "10.0.3.9", "state": ["FAILED"]}]).startswith("neighbor 10.0.3.9")
    assert neighbor_words("10.0.3.9", []) == "no neighbor 10.0.3.9"


@pytest.mark.parametrize("encap", ['"encap":"ip","id":1,"dst":"192.168.1.3"',
                                   '"encap":{"encap_type":"ip","id":1,"dst":"192.168.1.3"}'])
def test_a_route_with_an_encapsulation_is_read_whole_whichever_way_it_is_printed(encap: str) -> None:
    """As iproute2 6.1 and 6.15 print it."""
    (route,) = objects('[{},{"dst":"10.0.3.0/24",' + encap + ',"gateway":"10.0.3.0","dev":"pods-geneve","flags":[]}]')
    assert (route["dst"], route["encap"], route["dst.2"], route["id"]) == ("10.0.3.0/24", "ip", "192.168.1.3", 1)
    assert route_words(route) == "route 10.0.3.0/24 via 10.0.3.0 dev pods-geneve encap to 192.168.1.3"
