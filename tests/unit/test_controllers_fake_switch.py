"""A switch in memory that tells what flows do to a packet: tested here, used by the other tests of the controllers."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Address
from typing import Any

from controllers.pipeline import (
    NO_MEMBER,
    Add,
    CheckLarger,
    Cookie,
    Delete,
    Flow,
    Message,
    Move,
    Output,
    Owner,
    SetField,
    Spread,
    match,
)

COOKIE = Cookie(Owner.L2_SWITCH)


def number(value: Any) -> int:
    """A field's value as a number: 5, "10.0.0.1" or "02:00:00:00:00:01"."""
    if isinstance(value, int):
        return value
    return int(value.replace(":", ""), 16) if ":" in value else int(IPv4Address(value))


def fits(wanted: Any, value: Any) -> bool:
    if value is None:
        return False
    if not isinstance(wanted, tuple):
        return number(wanted) == number(value)
    wanted_value, mask = wanted
    return number(wanted_value) & number(mask) == number(value) & number(mask)


def chosen(ports: tuple[int, ...], packet: dict[str, Any]) -> int:
    """The port of the place that weighs most for this flow, as Open vSwitch's lib/bundle.c chooses it."""
    ends = sorted(str(packet.get(name)) for name in ("ipv4_src", "ipv4_dst"))
    weights = [(zlib.crc32(f"{place} {ends}".encode()), port) for place, port in enumerate(ports) if port != NO_MEMBER]
    return max(weights)[1]


@dataclass
class FakeSwitch:
    """Flows, and where they take a packet, which is a dictionary of OpenFlow's fields."""

    flows: list[Flow] = field(default_factory=list)

    def apply(self, messages: Iterable[Message]) -> None:
        for item in messages:
            if isinstance(item, Add | Delete):
                key = (item.flow.table, item.flow.priority, item.flow.match)
                self.flows = [flow for flow in self.flows if (flow.table, flow.priority, flow.match) != key]
            if isinstance(item, Add):
                self.flows.append(item.flow)

    def hit(self, table: int, packet: dict[str, Any]) -> Flow | None:
        """The flow of the highest priority that matches; two of the same priority would be a mistake."""
        found = [
            flow for flow in self.flows if flow.table == table and all(fits(v, packet.get(k)) for k, v in flow.match)
        ]
        best = [flow for flow in found if flow.priority == max(other.priority for other in found)]
        assert len(best) <= 1, f"undecided: {best}"
        return best[0] if best else None

    def outputs(self, **packet: Any) -> list[tuple[int, Flow, dict[str, Any]]]:
        """Each output: the port, the flow that says so, and the packet as it leaves."""
        # The Nicira name of eth_type means the same field.
        packet["eth_type_nxm"] = packet.get("eth_type")
        made, table = [], 0
        while (flow := self.hit(table, packet)) is not None:
            for action in flow.actions:
                if isinstance(action, Output):
                    made.append((action.port, flow, dict(packet)))
                elif isinstance(action, SetField):
                    packet[action.field] = action.value
                elif isinstance(action, Move):
                    packet[action.target] = packet[action.source]
                elif isinstance(action, CheckLarger):
                    packet["reg0"] = int(packet["frame_bytes"] > action.size_bytes)
                elif isinstance(action, Spread):
                    packet["reg1"] = chosen(action.ports, packet)
                else:
                    packet["nw_ttl"] -= 1
            if flow.metadata is not None:
                packet["metadata"] = flow.metadata
            if flow.goto is None:
                break
            table = flow.goto
        return made

    def ports(self, **packet: Any) -> list[int]:
        return [port for port, _, _ in self.outputs(**packet)]


def test_the_highest_priority_decides_and_masks_mask() -> None:
    switch = FakeSwitch(
        [
            Flow(0, 1, match(), COOKIE, (Output(1),)),
            Flow(0, 2, match(ipv4_dst=("10.0.0.0", "255.255.0.0")), COOKIE, (Output(2),)),
            Flow(0, 3, match(eth_src="02:00:00:00:00:01"), COOKIE),
        ]
    )
    assert switch.ports(ipv4_dst="10.0.255.1") == [2]
    assert switch.ports(ipv4_dst="10.1.0.1") == [1]
    assert switch.ports(ipv4_dst="10.0.0.1", eth_src="02:00:00:00:00:01") == []
    assert FakeSwitch().ports() == []


def test_actions_happen_in_order_and_tables_follow_each_other() -> None:
    first = (Output(7), SetField("eth_src", "02:00:00:00:00:09"), Move("eth_src", "eth_dst", 48))
    switch = FakeSwitch(
        [
            Flow(0, 1, match(), COOKIE, first, metadata=5, goto=1),
            Flow(1, 1, match(metadata=5), COOKIE, (Output(8),)),
        ]
    )
    (port, _, before), (next_port, _, after) = switch.outputs(eth_src="02:00:00:00:00:01", eth_dst="02:00:00:00:00:02")
    assert (port, before["eth_dst"]) == (7, "02:00:00:00:00:02")
    assert (next_port, after["eth_dst"]) == (8, "02:00:00:00:00:09")


def test_adding_replaces_and_deleting_the_absent_is_fine() -> None:
    one, other = (Flow(0, 1, match(in_port=1), COOKIE, (Output(port),)) for port in (1, 2))
    switch = FakeSwitch()
    switch.apply([Add(one), Add(other)])
    assert switch.ports(in_port=1) == [2]
    switch.apply([Delete(one), Delete(one)])
    assert switch.flows == []
