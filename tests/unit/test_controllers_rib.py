"""Learned routes: what the switch is told when they come, change and go, and where its flows then take packets."""

from __future__ import annotations

import random
from dataclasses import replace
from ipaddress import IPv4Network
from typing import Any

from controllers.pipeline import CONTROLLER, NO_MEMBER, Delete, Flow, GatewayTable, Kind
from controllers.plan import Gateway, Neighbor, Route
from controllers.rib import LINGER_S, ROUTE, Rib
from controllers.routing import flows
from tests.unit.test_controllers_fake_switch import FakeSwitch

MAC = "12:22:33:44:55:fe"
VIAS = {port: f"192.168.1.{port}" for port in range(1, 5)}
NEIGHBORS = tuple(Neighbor(via, f"02:00:00:00:00:0{port}", port) for port, via in VIAS.items())
ROUTES = tuple(Route(IPv4Network(via), via) for via in VIAS.values())
GATEWAY = Gateway("192.168.0.1", MAC, tuple(VIAS), NEIGHBORS, ROUTES, speaker=5)
PREFIX = IPv4Network("10.0.3.0/24")


class Told:
    """A rib, and a switch that does what it says."""

    def __init__(self, gateway: Gateway = GATEWAY) -> None:
        self.rib, self.switch = Rib(gateway), FakeSwitch(flows(gateway))

    def hear(self, *vias: int, prefix: IPv4Network = PREFIX, now_s: float = 0.0) -> list[Any]:
        self.rib.heard(prefix, [VIAS[via] for via in vias])
        messages = self.rib.changes(now_s)
        self.switch.apply(messages)
        return messages

    def goes(self, src: str = "192.168.1.1", dst: str = "10.0.3.2", port: int = 1) -> list[int]:
        return self.switch.ports(in_port=port, eth_src="02:00:00:00:00:01", eth_dst=MAC, eth_type=0x0800, ip_proto=6,
                                 nw_ttl=64, ipv4_src=src, ipv4_dst=dst)

    @property
    def learned(self) -> set[Flow]:
        return set(self.switch.flows) - set(flows(GATEWAY))


def test_a_route_comes_changes_its_next_hop_and_goes() -> None:
    told = Told()
    assert told.goes() == [CONTROLLER], "no route"
    told.hear(3)
    assert told.goes() == [3]
    changed = told.hear(2)
    assert told.goes() == [2]
    assert not any(isinstance(message, Delete) for message in changed), "a route that goes on is replaced in one step"
    told.hear(now_s=10)
    assert told.goes() == [CONTROLLER], "unreachable from the first packet on"
    told.switch.apply(told.rib.tick(10 + LINGER_S))
    assert told.learned == set()


def test_what_is_under_way_from_the_old_next_hop_may_pass_for_a_moment_and_no_longer() -> None:
    told = Told()
    told.hear(3)
    told.hear(2, now_s=10)
    reply: dict[str, Any] = {"src": "10.0.3.2", "dst": "192.168.1.1"}
    assert (told.goes(**reply, port=3), told.goes(**reply, port=2), told.goes(**reply, port=4)) == ([1], [1], [])
    told.switch.apply(told.rib.tick(10 + LINGER_S - 0.01))
    assert told.goes(**reply, port=3) == [1]
    told.switch.apply(told.rib.tick(10 + LINGER_S))
    assert (told.goes(**reply, port=3), told.goes(**reply, port=2)) == ([], [1])


def test_who_comes_back_before_that_stays() -> None:
    told = Told()
    told.hear(3)
    told.hear(now_s=10)
    told.hear(3, now_s=10.5)
    told.switch.apply(told.rib.tick(99))
    assert told.goes() == [3]
    assert told.goes(src="10.0.3.2", dst="192.168.1.1", port=3) == [1]


def test_flows_are_spread_over_next_hops_and_stay_with_those_that_stay() -> None:
    told, sources = Told(), [f"192.168.1.{n}" for n in range(6, 250)]
    told.hear(1, prefix=IPv4Network("192.168.1.0/24"))  # so that they may send
    told.hear(2, 3, 4)
    before = {src: told.goes(src=src) for src in sources}
    shares = [sum(to == [port] for to in before.values()) for port in (2, 3, 4)]
    assert sum(shares) == len(sources)
    assert min(shares) > len(sources) / 10, "not all with one"
    told.hear(2, 4)
    after = {src: told.goes(src=src) for src in sources}
    assert {src for src in sources if after[src] != before[src]} == {src for src in sources if before[src] == [3]}
    told.hear(2, 3, 4)
    assert {src: told.goes(src=src) for src in sources} == before


def test_a_next_hop_keeps_its_place_whoever_else_there_is() -> None:
    told = Told()
    told.hear(2, 4)
    (route,) = (flow for flow in told.learned if flow.table == GatewayTable.ROUTE)
    assert route.actions[0].ports == (NO_MEMBER, 2, NO_MEMBER, 4)  # type: ignore[union-attr]


def test_the_plan_is_not_overruled() -> None:
    told = Told()
    before = set(told.switch.flows)
    for prefix in ("192.168.1.3/32", "192.168.0.1/32", "127.0.0.0/8", "224.0.0.0/4"):
        assert told.hear(2, prefix=IPv4Network(prefix)) == []
    told.rib.heard(PREFIX, ["192.168.9.9"])
    assert told.rib.changes(0) == [], "nobody knows that next hop"
    assert set(told.switch.flows) == before


def test_the_switch_holds_what_the_table_says_whatever_happened_before() -> None:
    chance = random.Random(5)
    prefixes = [IPv4Network(f"10.{n}.0.0/16") for n in range(3)] + [IPv4Network("10.0.1.0/24")]
    for _ in range(200):
        told, now_s, table = Told(), 0.0, {}
        for _ in range(30):
            prefix, vias = chance.choice(prefixes), chance.sample(range(1, 5), chance.randint(0, 3))
            table[prefix] = tuple(VIAS[via] for via in vias)
            told.rib.heard(prefix, table[prefix])
            now_s += chance.random()
            if chance.random() < 0.7:
                told.switch.apply(told.rib.changes(now_s))
            if chance.random() < 0.3:
                told.switch.apply(told.rib.tick(now_s))
        told.switch.apply(told.rib.changes(now_s))
        told.switch.apply(told.rib.tick(now_s + LINGER_S))
        fresh = Rib(GATEWAY)
        fresh.heard_all({prefix: vias for prefix, vias in table.items() if vias})
        assert told.learned == set(fresh.all_flows())
        assert told.rib.routes() == fresh.routes()


def test_all_routes_at_once_take_the_place_of_those_before() -> None:
    told, other = Told(), IPv4Network("10.0.4.0/24")
    told.hear(3)
    told.rib.heard_all({other: [VIAS[4]]})
    told.switch.apply(told.rib.changes(0))
    assert told.rib.routes() == [{"prefix": "10.0.4.0/24", "via": [VIAS[4]]}]
    assert told.goes() == [CONTROLLER]


def test_a_switch_that_connects_anew_gets_all_and_nothing_that_lingers() -> None:
    told = Told()
    told.hear(3)
    told.hear(2)
    added = told.rib.all_flows()
    assert {flow.cookie for flow in added} == {ROUTE, replace(ROUTE, kind=Kind.SPOOFED)}
    assert not any(("in_port", 3) in flow.match for flow in added)
    assert told.rib.tick(99) == []


def test_the_speaker_speaks_for_the_gateway_and_is_spoken_to() -> None:
    switch = FakeSwitch(flows(GATEWAY))
    segment = {"eth_type": 0x0800, "ip_proto": 6, "nw_ttl": 1}
    to = {"in_port": 1, "eth_src": "02:00:00:00:00:01", "eth_dst": MAC, "ipv4_src": "192.168.1.1",
          "ipv4_dst": "192.168.0.1"}
    assert switch.ports(**segment, **to, tcp_dst=179, tcp_src=40000) == [5]
    assert switch.ports(**segment, **to, tcp_dst=40000, tcp_src=179) == [5]
    assert switch.ports(**{**segment, "ip_proto": 17}, **to, udp_dst=3784) == [5]
    assert switch.ports(**segment, **to, tcp_dst=22, tcp_src=40000) == []
    assert switch.ports(**segment, **{**to, "in_port": 2}, tcp_dst=179, tcp_src=40000) == [], "in another's name"
    back = {"in_port": 5, "eth_src": MAC, "eth_dst": "02:00:00:00:00:01", "ipv4_src": "192.168.0.1"}
    ((port, _, packet),) = switch.outputs(**segment, **back, ipv4_dst="192.168.1.1")
    assert (port, packet["nw_ttl"]) == (1, 1)
    assert switch.ports(**segment, **{**back, "ipv4_src": "10.0.3.2"}, ipv4_dst="192.168.1.1") == [], "not as a router"
