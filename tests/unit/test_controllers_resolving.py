"""Next hops that are asked for: what is held, what is told, what ages. Time is whatever a test says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from controllers import routing, wire
from controllers.pipeline import CONTROLLER, Add, Delete, GatewayTable, Kind, Message, PacketIn, Resubmit, Send
from controllers.plan import Neighbor
from controllers.resolving import (
    ALL_HELD_BYTES,
    ALL_HELD_PACKETS,
    GIVEN_UP,
    HELD_BYTES,
    HELD_PACKETS,
    NO_ROOM,
    REACHABLE_S,
    REQUESTS,
    RETRANSMIT_S,
    Resolver,
    standing_flows,
)
from tests.unit.test_controllers_fake_switch import FakeSwitch
from tests.unit.test_controllers_routing import GATEWAY, MAC, MACS

# The second and the third next hop are to be asked for; the first one is known.
ASKING = replace(GATEWAY, neighbors=tuple(replace(n, mac=n.mac if n.port == 1 else None) for n in GATEWAY.neighbors))
HOP, ADDRESS = 3, "192.168.1.3"
NEW_MAC = "02:00:00:00:00:33"


def packet(number: int = 0, hop: int = HOP, size: int = 60) -> PacketIn:
    return PacketIn(1, Kind.UNRESOLVED, number.to_bytes(2, "big") + bytes(size - 2), hop)


def question(to: str = wire.BROADCAST_MAC, port: int = 3) -> Send:
    return Send(port, wire.arp_request(MAC, "192.168.0.1", f"192.168.1.{port}", to))


def reply(mac: str = MACS[3], address: str = ADDRESS, port: int = 3, src: str = "", op: int = 2) -> PacketIn:
    asked = wire.Arp(op=1, sha=MAC, spa="192.168.0.1", tha="00:00:00:00:00:00", tpa=address)
    frame = wire.arp_reply(asked, mac)
    frame = frame[:6] + wire.mac_bytes(src or mac) + frame[12:20] + op.to_bytes(2, "big") + frame[22:]
    return PacketIn(port, Kind.ARP_ANSWER, frame)


def switch_of(*told: Iterable[Message]) -> FakeSwitch:
    switch = FakeSwitch([*routing.flows(ASKING), *standing_flows(ASKING)])
    for messages in told:
        switch.apply(messages)
    return switch


def way(switch: FakeSwitch, dst: str = "10.0.3.2") -> tuple[int, Any]:
    """Port and destination MAC of what the switch makes of a packet, or the controller and the kind of packet-in."""
    fields = {"eth_src": MACS[1], "eth_dst": MAC, "eth_type": 0x0800, "ipv4_src": "192.168.1.1", "ipv4_dst": dst}
    ((port, flow, sent),) = switch.outputs(in_port=1, nw_ttl=64, **fields)
    return port, flow.cookie.kind if port == CONTROLLER else sent["eth_dst"]


def test_only_next_hops_without_a_mac_are_asked_for() -> None:
    assert Resolver(ASKING).start(0, {}) == [question(port=2), question(port=3)]
    assert not Resolver(GATEWAY).is_needed
    assert list(standing_flows(GATEWAY)) == []
    assert way(switch_of()) == (CONTROLLER, Kind.UNRESOLVED)
    assert way(switch_of(), "192.168.1.1")[1] == MACS[1], "what is known is in the tables beforehand"


def test_a_next_hop_that_an_earlier_controller_knew_is_polled_and_stays_until_it_is_silent() -> None:
    resolver = Resolver(ASKING)
    messages = resolver.start(0, {3: MACS[3]})
    assert question(port=2) in messages
    assert question(to=MACS[3]) in messages
    assert way(switch_of(messages)) == (3, MACS[3])
    assert [known["state"] for known in resolver.learned()] == ["probe"]
    gone = [m for second in (1, 2, 3) for m in resolver.tick(second)[0]]
    assert way(switch_of(messages, gone)) == (CONTROLLER, Kind.UNRESOLVED)


def test_a_next_hop_that_has_answered_since_the_switch_connected_is_left_alone() -> None:
    resolver = Resolver(ASKING)
    resolver.packet(packet(1), 0)
    resolver.answered(reply(), 0.1)
    assert resolver.start(0.2, {3: "02:00:00:00:00:09"}) == [question(port=2)]
    assert resolver.learned()[0]["mac"] == MACS[3]


def test_a_packet_is_held_asked_for_and_sent_when_the_answer_comes() -> None:
    resolver = Resolver(ASKING)
    assert resolver.packet(packet(1), 0) == [question()]
    assert resolver.packet(packet(2), 0.5) == [], "asked already"
    messages = resolver.answered(reply(), 0.6)
    assert [type(message) for message in messages] == [Add, Add, Resubmit, Resubmit], "flows first"
    assert messages[2:] == [Resubmit(1, packet(number).frame) for number in (1, 2)], "in their order"
    assert way(switch_of(messages)) == (3, MACS[3])
    assert resolver.learned() == [{"ip": ADDRESS, "mac": MACS[3], "port": 3, "state": "reachable"}]
    again = resolver.packet(packet(3), 0.6)
    assert again == [*messages[:2], Resubmit(1, packet(3).frame)], "it was on its way here, or its flows were removed"
    assert dict(resolver.dropped) == {NO_ROOM: 0, GIVEN_UP: 0}


def test_the_switch_hands_over_the_answers_of_those_who_are_asked_and_no_other() -> None:
    fields = {"eth_dst": MAC, "eth_type": 0x0806, "arp_op": 2, "arp_tpa": "192.168.0.1"}
    for port, spa, heard in (
        (3, ADDRESS, True),
        (2, ADDRESS, False),
        (1, "192.168.1.1", False),
        (3, "10.0.3.2", False),
    ):
        assert bool(switch_of().outputs(in_port=port, eth_src=MACS[port], arp_spa=spa, **fields)) == heard


@pytest.mark.parametrize(
    "answer",
    [
        reply(op=1),
        reply(port=2),
        reply(address="192.168.1.9"),
        reply(src="02:00:00:00:00:66"),
        reply(mac="01:00:5e:00:00:01"),
        reply(mac=MAC),
        PacketIn(3, Kind.ARP_ANSWER, b"short"),
    ],
)
def test_what_is_no_answer(answer: PacketIn) -> None:
    resolver = Resolver(ASKING)
    resolver.packet(packet(), 0)
    assert resolver.answered(answer, 0.1) == []
    assert resolver.learned() == []


def test_nobody_is_believed_who_was_not_asked() -> None:
    resolver = Resolver(ASKING)
    assert resolver.answered(reply(), 0) == []
    resolver.packet(packet(), 0)
    resolver.answered(reply(), 0.1)
    assert resolver.answered(reply(NEW_MAC), 0.2) == []
    assert resolver.learned()[0]["mac"] == MACS[3]


def test_senders_are_told_when_nobody_answers_and_the_next_packet_asks_again() -> None:
    resolver, now_s = Resolver(ASKING), 100.0
    assert resolver.packet(packet(1), now_s) == [question()]
    resolver.packet(packet(2), now_s)
    for _ in range(REQUESTS - 1):
        assert resolver.tick(now_s + RETRANSMIT_S - 0.01) == ([], []), "not yet"
        now_s += RETRANSMIT_S
        assert resolver.tick(now_s) == ([question()], [])
    assert resolver.tick(now_s + RETRANSMIT_S) == ([], [packet(1), packet(2)])
    assert resolver.tick(now_s + 1000) == ([], []), "nobody wants it"
    assert resolver.dropped[GIVEN_UP] == 2
    assert resolver.packet(packet(3), now_s + 1000) == [question()]


def test_what_is_given_up_is_host_unreachable() -> None:
    from tests.unit.test_controllers_wire import datagram

    told = routing.answer(ASKING, routing.error_limit(0), PacketIn(1, Kind.UNRESOLVED, datagram(), HOP), 0)
    assert told is not None
    assert (told.port, told.frame[34], told.frame[35]) == (1, 3, 1)


def resolved(now_s: float) -> tuple[Resolver, list[Message]]:
    resolver = Resolver(ASKING)
    resolver.packet(packet(), now_s)
    return resolver, resolver.answered(reply(), now_s)


def test_a_known_next_hop_is_polled_and_its_flows_stay() -> None:
    resolver, _ = resolved(0)
    assert resolver.tick(REACHABLE_S - 0.01) == ([], [])
    assert resolver.tick(REACHABLE_S) == ([question(MACS[3])], []), "to its own MAC, no broadcast"
    assert resolver.learned()[0]["state"] == "probe"
    assert resolver.answered(reply(), REACHABLE_S + 0.1) == [], "nothing has changed"
    assert resolver.tick(REACHABLE_S + RETRANSMIT_S) == ([], [])
    assert resolver.tick(2 * REACHABLE_S + 0.1) == ([question(MACS[3])], [])


def test_another_mac_replaces_the_flows_in_one_step() -> None:
    resolver, told = resolved(0)
    resolver.tick(REACHABLE_S)
    changed = resolver.answered(reply(NEW_MAC), REACHABLE_S)
    assert [type(message) for message in changed] == [Add, Add], "none is deleted first"
    assert way(switch_of(told, changed)) == (3, NEW_MAC)


def test_a_next_hop_that_falls_silent_loses_its_flows_and_packets_are_held_again() -> None:
    resolver, told = resolved(0)
    switch, now_s = switch_of(told), REACHABLE_S
    for _ in range(REQUESTS):
        assert resolver.tick(now_s) == ([question(MACS[3])], [])
        assert way(switch) == (3, MACS[3])
        now_s += RETRANSMIT_S
    messages, given_up = resolver.tick(now_s)
    assert [type(message) for message in messages] == [Delete, Delete, Send]
    assert (messages[2], given_up) == (question(), [])
    switch.apply(messages)
    assert way(switch) == (CONTROLLER, Kind.UNRESOLVED)
    assert resolver.learned() == []
    assert resolver.packet(packet(7), now_s) == []
    again = resolver.answered(reply(NEW_MAC), now_s + 0.1)
    switch.apply(again)
    assert way(switch) == (3, NEW_MAC)
    assert again[-1] == Resubmit(1, packet(7).frame)


def held(resolver: Resolver, hop: int = HOP) -> list[bytes]:
    """What comes out when the next hop answers."""
    answer = reply(f"02:00:00:00:01:{hop:02x}", f"192.168.1.{hop}", hop)
    return [message.frame for message in resolver.answered(answer, 0.1) if isinstance(message, Resubmit)]


def test_a_next_hop_holds_no_more_packets_than_it_may_and_the_oldest_go() -> None:
    resolver = Resolver(ASKING)
    for number in range(HELD_PACKETS + 5):
        resolver.packet(packet(number), 0)
    assert held(resolver) == [packet(number).frame for number in range(5, HELD_PACKETS + 5)]
    assert resolver.dropped[NO_ROOM] == 5


def test_a_next_hop_holds_no_more_bytes_than_it_may() -> None:
    resolver, size = Resolver(ASKING), 9014
    fits = HELD_BYTES // size
    for number in range(fits + 3):
        resolver.packet(packet(number, size=size), 0)
    assert held(resolver) == [packet(number, size=size).frame for number in range(3, fits + 3)]
    assert resolver.dropped[NO_ROOM] == 3


@pytest.mark.parametrize(("size", "per_hop"), [(60, HELD_PACKETS), (9014, HELD_BYTES // 9014)])
def test_all_together_hold_no_more_than_they_may_and_who_holds_most_pays(size: int, per_hop: int) -> None:
    count = min(ALL_HELD_PACKETS // HELD_PACKETS, ALL_HELD_BYTES // (per_hop * size)) + 2
    neighbors = tuple(Neighbor(f"192.168.1.{k}", None, k) for k in range(1, count + 1))
    resolver = Resolver(replace(ASKING, neighbors=neighbors, ports=tuple(range(1, count + 1)), routes=()))
    resolver.packet(packet(1, hop=1), 0)
    for hop in range(2, count + 1):
        for number in range(per_hop):
            resolver.packet(packet(number, hop=hop, size=size), 0)
    frames = [held(resolver, hop) for hop in range(1, count + 1)]
    assert frames[0] == [packet(1).frame], "one of its own, held from the beginning on"
    total = [frame for each in frames for frame in each]
    assert len(total) <= ALL_HELD_PACKETS
    assert sum(map(len, total)) <= ALL_HELD_BYTES
    assert len(total) + resolver.dropped[NO_ROOM] == 1 + (count - 1) * per_hop
    assert resolver.dropped[NO_ROOM] > 0


def test_forgetting_forgets_answers_that_are_on_their_way() -> None:
    resolver, _ = resolved(0)
    resolver.tick(REACHABLE_S)
    resolver.forget()
    assert resolver.learned() == []
    assert resolver.answered(reply(), REACHABLE_S) == []
    assert resolver.tick(REACHABLE_S + 1000) == ([], [])
    assert resolver.packet(packet(), REACHABLE_S) == [question()]


def test_tables_have_one_place_for_packets_that_wait() -> None:
    flows = [flow for flow in standing_flows(ASKING) if flow.table == GatewayTable.NEXT_HOP]
    assert [dict(flow.match) for flow in flows] == [{"metadata": 2}, {"metadata": 3}]
