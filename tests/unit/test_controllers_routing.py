"""Where the gateway's flows take packets, and what its controller says."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

import pytest

from controllers.limits import TokenBucket
from controllers.pipeline import CONTROLLER, IN_PORT, GatewayTable, Kind, PacketIn
from controllers.plan import EgressMtu, Gateway, Neighbor, Route
from controllers.routing import ERRORS_BURST, answer, error_limit, flows, forbids_fragments
from controllers.wire import checksum, parse_ethernet, parse_ipv4
from tests.unit.test_controllers_fake_switch import FakeSwitch
from tests.unit.test_controllers_wire import datagram, echo_request

MAC = "12:22:33:44:55:fe"
MACS = {1: "12:22:33:44:55:01", 2: "02:23:45:67:89:02", 3: "12:22:33:44:55:03"}
PREFIXES = {
    "192.168.1.1/32": 1,
    "192.168.1.3/32": 3,
    "10.0.0.0/8": 1,
    "10.0.0.0/16": 2,
    "10.0.3.0/24": 3,
    "10.0.3.7/32": 1,
}
GATEWAY = Gateway(
    "192.168.0.1",
    MAC,
    tuple(MACS),
    tuple(Neighbor(f"192.168.1.{port}", mac, port) for port, mac in MACS.items()),
    tuple(Route(IPv4Network(prefix), f"192.168.1.{port}") for prefix, port in PREFIXES.items()),
)
SWITCH = FakeSwitch(flows(GATEWAY))


def send(
    dst: str, *, src: str = "192.168.1.1", port: int = 1, ttl: int = 64, eth_dst: str = MAC, **fields: Any
) -> list[tuple[int, Any, dict[str, Any]]]:
    packet = {"eth_type": 0x0800, "ipv4_src": src, "ipv4_dst": dst, "nw_ttl": ttl, "ip_proto": 6, **fields}
    return SWITCH.outputs(in_port=port, eth_src=MACS[1], eth_dst=eth_dst, **packet)


@pytest.mark.parametrize(
    ("dst", "port"),
    [("10.0.3.2", 3), ("10.0.3.7", IN_PORT), ("10.0.9.9", 2), ("10.9.9.9", IN_PORT), ("192.168.1.3", 3)],
)
def test_the_longest_prefix_wins(dst: str, port: int) -> None:
    ((to, _, packet),) = send(dst)
    assert to == port
    assert packet["eth_src"] == MAC
    assert packet["eth_dst"] == MACS[1 if port == IN_PORT else port]
    assert packet["nw_ttl"] == 63


def why(made: list[tuple[int, Any, dict[str, Any]]]) -> Kind:
    """Why the one thing made is a packet-in."""
    ((port, flow, _),) = made
    assert port == CONTROLLER
    kind: Kind = flow.cookie.kind
    return kind


def test_what_the_controller_has_to_say_something_about() -> None:
    assert why(send("172.16.0.1")) is Kind.NO_ROUTE
    assert why(send("172.16.0.1", ttl=1)) is Kind.NO_ROUTE
    assert why(send("10.0.3.2", ttl=1)) is Kind.TTL_EXPIRED
    assert why(send("10.0.3.2", ttl=0)) is Kind.TTL_EXPIRED
    assert why(send("10.0.3.7", ttl=1)) is Kind.TTL_EXPIRED
    assert why(send("192.168.0.1", ip_proto=1, icmpv4_type=8, ttl=1)) is Kind.TO_GATEWAY
    assert why(send("192.168.0.1", ip_proto=17)) is Kind.TO_GATEWAY


def test_what_a_router_ignores() -> None:
    assert send("10.0.3.2", eth_dst=MACS[3]) == [], "another's frame: it is no switch"
    assert send("10.0.3.2", eth_dst="ff:ff:ff:ff:ff:ff") == []
    assert send("10.0.3.2", port=4) == [], "not one of its ports"
    assert send("192.168.0.1") == [], "TCP to itself"
    for dst in ("224.0.0.5", "255.255.255.255", "127.0.0.1", "0.1.2.3"):
        assert send(dst) == [], dst


SENDERS = {
    "192.168.1.1": 1,
    "192.168.1.2": 2,  # a neighbor that no route leads to
    "10.9.9.9": 1,
    "10.0.9.9": 2,
    "10.0.3.2": 3,
    "10.0.3.7": 1,
}


@pytest.mark.parametrize(("src", "home"), SENDERS.items())
def test_who_sends_does_so_by_the_port_that_leads_back_to_it(src: str, home: int) -> None:
    for port in MACS:
        assert bool(send("192.168.1.3", src=src, port=port)) == (port == home), port
        asks = send("192.168.0.1", src=src, port=port, ip_proto=1, icmpv4_type=8)
        assert bool(asks) == (port == home), "nor does it get an answer from the gateway itself"


@pytest.mark.parametrize("src", ["172.16.0.1", "0.0.0.0", "127.0.0.1", "224.0.0.5", "255.255.255.255", "192.168.0.1"])
def test_nobody_sends_from_there_even_with_a_default_route(src: str) -> None:
    default = (*GATEWAY.routes, Route(IPv4Network("0.0.0.0/0"), "192.168.1.1"))
    switch = FakeSwitch(flows(replace(GATEWAY, routes=default)))
    packet = {"in_port": 1, "eth_src": MACS[1], "eth_dst": MAC, "eth_type": 0x0800, "ipv4_src": src}
    packet |= {"ipv4_dst": "10.0.3.2", "nw_ttl": 64, "ip_proto": 6}
    assert send("10.0.3.2", src=src) == []
    assert bool(switch.outputs(**packet)) == (src == "172.16.0.1")


def test_what_is_dropped_for_its_sender_is_counted_as_such() -> None:
    for src, port in (("10.0.3.2", 1), ("172.16.0.1", 1), ("192.168.0.1", 2), ("192.168.1.1", 2)):
        hit = SWITCH.hit(GatewayTable.SOURCE, {"eth_type": 0x0800, "ipv4_src": src, "in_port": port})
        assert hit is not None
        assert hit.cookie.kind is Kind.SPOOFED


@pytest.mark.parametrize("eth_dst", ["ff:ff:ff:ff:ff:ff", MAC])
def test_arp_for_its_own_address_is_answered_by_the_switch(eth_dst: str) -> None:
    question = {
        "eth_type": 0x0806,
        "arp_op": 1,
        "arp_sha": MACS[2],
        "arp_spa": "192.168.1.2",
        "arp_tha": "00:00:00:00:00:00",
    }
    ((port, _, reply),) = SWITCH.outputs(in_port=2, eth_src=MACS[2], eth_dst=eth_dst, arp_tpa="192.168.0.1", **question)
    assert port == IN_PORT
    assert (reply["eth_src"], reply["eth_dst"], reply["arp_op"]) == (MAC, MACS[2], 2)
    assert (reply["arp_sha"], reply["arp_spa"]) == (MAC, "192.168.0.1")
    assert (reply["arp_tha"], reply["arp_tpa"]) == (MACS[2], "192.168.1.2")
    for other in ("192.168.1.1", "10.0.3.2", "192.168.0.2"):
        assert SWITCH.outputs(in_port=2, eth_src=MACS[2], eth_dst=eth_dst, arp_tpa=other, **question) == []


def test_a_next_hop_is_two_flows_however_many_routes_lead_there() -> None:
    more = tuple(Route(IPv4Network(f"10.1.{third}.0/24"), "192.168.1.3") for third in range(100))
    grown = flows(replace(GATEWAY, routes=GATEWAY.routes + more))
    assert len(grown) == len(flows(GATEWAY)) + 3 * len(more)
    in_last_table = [sum(flow.table == GatewayTable.NEXT_HOP for flow in each) for each in (grown, flows(GATEWAY))]
    assert in_last_table[0] == in_last_table[1]


def said(
    kind: Kind, frame: bytes, limit: TokenBucket | None = None, gateway: Gateway = GATEWAY, hop: int = 1
) -> tuple[int, int] | None:
    """Type and code of the answer, which goes back by the port and to the MAC that the frame came from."""
    send = answer(gateway, limit or error_limit(0), PacketIn(2, kind, frame, hop), now_s=0)
    if send is None:
        return None
    eth, ip = parse_ethernet(send.frame), parse_ipv4(send.frame)
    assert eth is not None
    assert ip is not None
    assert (send.port, eth.src, eth.dst) == (2, MAC, "02:00:00:00:00:05")
    assert (ip.src, ip.dst, ip.ttl) == ("192.168.0.1", "10.0.1.2", 64)
    return send.frame[34], send.frame[35]


def test_each_reason_has_its_message() -> None:
    assert said(Kind.NO_ROUTE, datagram()) == (3, 0)
    assert said(Kind.TTL_EXPIRED, datagram(ttl=1)) == (11, 0)
    assert said(Kind.TO_GATEWAY, datagram(dst="192.168.0.1")) == (3, 3)
    assert said(Kind.TO_GATEWAY, echo_request("192.168.0.1")) == (0, 0)
    assert said(Kind.TO_GATEWAY, echo_request("10.0.3.2")) is None, "not for the gateway"
    assert said(Kind.PLANNED, datagram()) is None


NARROW = replace(GATEWAY, egress_mtus=(EgressMtu(3, 1300),))


@pytest.mark.parametrize(("dst", "largest"), [("10.0.3.2", 1300), ("192.168.1.3", 1300), ("10.0.9.9", 65535)])
def test_what_is_larger_than_the_egress_mtu_stays(dst: str, largest: int) -> None:
    switch = FakeSwitch(flows(NARROW))
    packet = {"in_port": 1, "eth_src": MACS[1], "eth_dst": MAC, "eth_type": 0x0800, "ipv4_src": "192.168.1.1"}
    packet |= {"ipv4_dst": dst, "ip_proto": 6}
    ((port, _, sent),) = switch.outputs(**packet, nw_ttl=64, frame_bytes=14 + largest)
    assert (port, sent["nw_ttl"]) == (2 if dst == "10.0.9.9" else 3, 63)
    ((port, flow, sent),) = switch.outputs(**packet, nw_ttl=64, frame_bytes=14 + largest + 1)
    stays = port == CONTROLLER
    assert stays == (dst != "10.0.9.9")
    if stays:
        assert (flow.cookie.kind, sent["metadata"], sent["nw_ttl"]) == (Kind.TOO_LARGE, 3, 64)
        assert why(switch.outputs(**packet, nw_ttl=1, frame_bytes=1500)) is Kind.TTL_EXPIRED, "it ends here anyway"


def test_fragmentation_needed_tells_the_mtu() -> None:
    frame = datagram()
    assert said(Kind.TOO_LARGE, frame, gateway=NARROW, hop=3) == (3, 4)
    told = answer(NARROW, error_limit(0), PacketIn(2, Kind.TOO_LARGE, frame, 3), now_s=0)
    assert told is not None
    assert told.frame[38:42] == (1300).to_bytes(4, "big")
    assert told.frame[42:] == frame[14:]
    for kind in (Kind.NO_ROUTE, Kind.TTL_EXPIRED):
        other = answer(NARROW, error_limit(0), PacketIn(2, kind, frame, 3), now_s=0)
        assert other is not None
        assert other.frame[38:42] == bytes(4)
    spent = TokenBucket(rate_per_s=1, burst=1, tokens=0, filled_s=0)
    assert said(Kind.TOO_LARGE, frame, spent, NARROW, 3) is None


def test_who_may_be_fragmented() -> None:
    frame = bytearray(datagram())
    for flags, forbidden in ((0x40, True), (0x00, False), (0x20, False)):
        frame[20:26] = bytes((flags, 0)) + frame[22:24] + bytes(2)
        frame[24:26] = checksum(bytes(frame[14:34])).to_bytes(2, "big")
        assert forbids_fragments(bytes(frame)) == forbidden
    assert not forbids_fragments(b"")


def test_errors_are_limited_and_echo_replies_are_not() -> None:
    limit = error_limit(0)
    told = [said(Kind.NO_ROUTE, datagram(), limit) for _ in range(int(ERRORS_BURST) + 10)]
    assert told.count((3, 0)) == ERRORS_BURST
    assert said(Kind.TO_GATEWAY, echo_request("192.168.0.1"), limit) == (0, 0)


def test_what_may_not_be_answered_takes_no_token() -> None:
    limit = TokenBucket(rate_per_s=1, burst=1, tokens=1, filled_s=0)
    assert said(Kind.NO_ROUTE, datagram(fragment=100), limit) is None
    assert said(Kind.NO_ROUTE, datagram(), limit) == (3, 0)
    assert said(Kind.NO_ROUTE, datagram(), limit) is None


def test_a_bucket_fills_with_time_and_no_further_than_its_brim() -> None:
    bucket = TokenBucket(rate_per_s=8, burst=2, tokens=2, filled_s=100)
    assert [bucket.take(100) for _ in range(3)] == [True, True, False]
    assert [bucket.take(100.125), bucket.take(100.125)] == [True, False]
    assert [bucket.take(200) for _ in range(3)] == [True, True, False]
    assert not bucket.take(150), "a clock that goes back fills nothing"
